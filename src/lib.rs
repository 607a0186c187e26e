//! usher: a self-hosted, white-label invitation and membership server.

pub mod config;
pub mod domain;
pub mod identity;
pub mod store;
pub mod tenancy;
