//! usher: a self-hosted, white-label invitation and membership server.

pub mod actors;
pub mod config;
pub mod domain;
pub mod identity;
pub mod mail;
pub mod store;
