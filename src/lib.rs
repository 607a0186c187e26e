//! usher: a self-hosted, white-label invitation and membership server.

pub mod actors;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod identity;
pub mod invites;
pub mod keys;
pub mod mail;
pub mod members;
pub mod store;
pub mod tenancy;
pub mod tenants;
pub mod workspaces;
