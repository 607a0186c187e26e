//! HTTP: thin translations of routes onto use cases. No rule lives here; statuses and codes are in `error`.

pub mod admin;
pub mod answer;
pub mod edge;
pub mod error;
pub mod extract;
pub mod once;
pub mod openapi;
pub mod pages;
pub mod routes;
pub mod server;
pub mod state;
pub mod v1;
pub mod v2;
