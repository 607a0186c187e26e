//! usher: a self-hosted, white-label invitation and membership server.
//!
//! Reading order: [`domain`] (what is true), [`invites`] (what can be done), [`actors`] (in what order and what
//! commits together), [`store`] (the statements that decide), [`http`] (how it is asked for), [`app`] (how it
//! all starts and ends). Imports point down: [`cli`], [`dev`], app, http, then the use cases ([`invites`],
//! [`members`], [`workspaces`], [`tenants`], [`keys`]), then [`actors`] and [`mail`], then [`identity`] and
//! [`tenancy`], then [`store`], [`config`], [`domain`] and the `entity` crate; a test keeps it so. [`priority`] says who
//! goes first where processors are short.

pub mod actors;
pub mod app;
pub mod cli;
pub mod config;
pub mod dev;
pub mod domain;
pub mod http;
pub mod identity;
pub mod invites;
pub mod janitor;
pub mod keys;
pub mod mail;
pub mod members;
pub mod priority;
pub mod store;
pub mod telemetry;
pub mod tenancy;
pub mod tenants;
pub mod workspaces;
