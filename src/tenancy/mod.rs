//! Which tenant a host belongs to, which host a tenant's links lie on, and which pages may call its API.
//! Everything here decides from the configured domains and origins; what a request claims about itself is only
//! ever looked up among them.

pub mod arrival;
pub mod links;
pub mod origins;
mod registry;
#[cfg(test)]
mod tests;

pub use arrival::{Arrival, Headers};
pub use registry::{Registry, Site, Snapshot};
