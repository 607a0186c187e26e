//! API keys: as the operator makes them (`create`, `list`, `revoke`), and as people do for themselves (`own`).
//! Only the operator asserts an address without a credential that proves it, or makes a key without a person.
//!
//! | operation | file | the guard that decides | refusals |
//! |---|---|---|---|
//! | create | `create` | the hash is unique; a user's id belongs to whom it first reached | 404 tenant |
//! | list | `list` | none: a read | |
//! | mint, list, edit, rotate, revoke one's own | `own` | the hash is unique; not revoked | 404, 403 scopes |
//! | revoke | `revoke` | `store::api_keys::revoke`: not revoked yet | 404 |

pub mod create;
pub mod list;
pub mod own;
pub mod revoke;

use std::sync::Arc;

use crate::{actors::Lanes, store::Store, tenancy::Registry};

/// The use cases and what they need; clones share it.
#[derive(Clone)]
pub struct Keys {
    store: Store,
    lanes: Lanes,
    registry: Arc<Registry>,
    forget_verdicts: Arc<dyn Fn() + Send + Sync>,
}

impl Keys {
    /// The use cases on a store and its lane. `forget_verdicts` is called after a commit that changed what a key
    /// may do, before that is answered.
    pub fn new(
        store: Store,
        lanes: Lanes,
        registry: Arc<Registry>,
        forget_verdicts: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { store, lanes, registry, forget_verdicts: Arc::new(forget_verdicts) }
    }
}
