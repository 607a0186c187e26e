//! usher: a self-hosted, white-label invitation and membership server.

pub mod actors;
pub mod config;
pub mod domain;
pub mod http;
pub mod identity;
pub mod invites;
pub mod mail;
pub mod members;
pub mod store;
pub mod tenancy;
pub mod tenants;
pub mod workspaces;
