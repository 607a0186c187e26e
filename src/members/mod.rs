//! Memberships: list (`list`), add (`add`), change a role (`set_role`), remove (`remove`), hand over a tenant
//! (`transfer`). The last owner can be neither
//! removed nor demoted; what somebody could no longer send is revoked with their role (`revoke_unsendable`).

pub mod add;
pub mod list;
mod rank;
pub mod remove;
mod revoke_unsendable;
pub mod set_role;
pub mod transfer;

use std::sync::Arc;

use entity::{InviteId, TenantId, UserId, user};

use crate::{
    actors::{Lanes, Work},
    store::Store,
    tenancy::Registry,
};

/// The use cases and what they need; clones share it.
#[derive(Clone)]
pub struct Members {
    store: Store,
    lanes: Lanes,
    registry: Arc<Registry>,
    forget_preview: Arc<dyn Fn(InviteId) + Send + Sync>,
}

impl Members {
    /// The use cases on a store and its lane. `forget_preview` is called after a commit that revoked invites.
    pub fn new(
        store: Store,
        lanes: Lanes,
        registry: Arc<Registry>,
        forget_preview: impl Fn(InviteId) + Send + Sync + 'static,
    ) -> Self {
        Self { store, lanes, registry, forget_preview: Arc::new(forget_preview) }
    }

    /// What is known of a member, as far as it is the tenant's to see: nothing of another tenant's own people.
    fn visible(&self, tenant: TenantId, user: Option<user::Model>) -> Option<user::Model> {
        user.filter(|user| !self.is_foreign(tenant, &user.id))
    }

    /// Whether a member is one of another tenant's own people.
    fn is_foreign(&self, tenant: TenantId, user: &UserId) -> bool {
        self.registry.current().settings.is_foreign(user, tenant)
    }

    fn forget_after(&self, work: &mut Work<'_>, ids: Vec<InviteId>) {
        let forget = self.forget_preview.clone();
        work.after_commit(move || ids.into_iter().for_each(|id| forget(id)));
    }
}
