//! Tenants by host.
pub mod links;
pub mod registry;
pub use registry::{Registry, Site, Snapshot};
