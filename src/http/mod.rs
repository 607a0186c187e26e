//! HTTP: thin translations of routes onto use cases. No rule lives here; statuses and codes are in `error`.

pub mod edge;
pub mod error;
pub mod extract;
pub mod state;
pub mod v1;
