//! Tenants: rows follow the configuration (`sync`), configured owners are granted once (`grant_owner`), and a
//! caller's own tenants can be told (`own`).

pub mod grant_owner;
pub mod own;
pub mod sync;

use crate::{actors::Lanes, store::Store};

/// The use cases and what they need; clones share it.
#[derive(Clone)]
pub struct Tenants {
    store: Store,
    lanes: Lanes,
}

impl Tenants {
    /// The use cases on a store and its lane.
    #[must_use]
    pub fn new(store: Store, lanes: Lanes) -> Self {
        Self { store, lanes }
    }
}
