//! Workspaces: create (`create`), list and get one (`list`).

pub mod create;
pub mod list;

use crate::{actors::Lanes, store::Store};

/// The use cases and what they need; clones share it.
#[derive(Clone)]
pub struct Workspaces {
    store: Store,
    lanes: Lanes,
}

impl Workspaces {
    /// The use cases on a store and its lane.
    #[must_use]
    pub fn new(store: Store, lanes: Lanes) -> Self {
        Self { store, lanes }
    }
}
