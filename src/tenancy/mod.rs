//! Which tenant a host belongs to, and which host a tenant's links lie on. Everything here decides from the
//! configured domains; what a request claims about itself is only ever looked up among them.

pub mod arrival;
pub mod links;
mod registry;
#[cfg(test)]
mod tests;

pub use arrival::{Arrival, Headers};
pub use registry::{Registry, Site, Snapshot};
