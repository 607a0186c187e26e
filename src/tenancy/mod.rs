//! Which tenant a host or a workspace belongs to, which host a tenant's links lie on, and which pages may call its API.
//! Everything here decides from the configured domains and origins; what a request claims about itself is only
//! ever looked up among them.

pub mod arrival;
pub mod links;
pub mod origins;
pub mod places;
mod registry;
#[cfg(test)]
mod tests;

pub use arrival::{Arrival, Headers};
pub use places::Places;
pub use registry::{Registry, Site, Snapshot};
