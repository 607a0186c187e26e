//! Workspaces: create (`create`), list and get one (`list`), rename (`edit`), delete (`delete`).

pub mod create;
pub mod delete;
pub mod edit;
pub mod list;

use std::sync::Arc;

use crate::{actors::Lanes, store::Store};

/// The use cases and what they need; clones share it.
#[derive(Clone)]
pub struct Workspaces {
    store: Store,
    lanes: Lanes,
    forget_previews: Arc<dyn Fn() + Send + Sync>,
}

impl Workspaces {
    /// The use cases on a store and its lane. `forget_previews` is called after a commit that changed what
    /// previews show of a workspace or its invites.
    pub fn new(store: Store, lanes: Lanes, forget_previews: impl Fn() + Send + Sync + 'static) -> Self {
        Self { store, lanes, forget_previews: Arc::new(forget_previews) }
    }
}
