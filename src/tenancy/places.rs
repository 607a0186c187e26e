//! Which tenant a workspace belongs to, for paths that name only the workspace. It belongs to the same one as long as it
//! is there, so only its end can make this wrong: forgotten at once where it is deleted here, and after less than a
//! second where it is deleted elsewhere. Whatever is then done there looks for the workspace again.

use std::time::Duration;

use entity::{TenantId, WorkspaceId};
use moka::sync::Cache;

use crate::store::{Store, StoreError, workspaces};

/// As long as a preview is remembered.
const REMEMBERED: Duration = Duration::from_millis(800);

/// Tenants of workspaces; clones share them.
#[derive(Clone)]
pub struct Places {
    store: Store,
    known: Cache<WorkspaceId, TenantId>,
}

impl Places {
    /// Those of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, known: Cache::builder().max_capacity(20_000).time_to_live(REMEMBERED).build() }
    }

    /// The tenant of a workspace that is there.
    ///
    /// # Errors
    /// As any read.
    pub async fn tenant_of(&self, id: WorkspaceId) -> Result<Option<TenantId>, StoreError> {
        if let Some(tenant) = self.known.get(&id) {
            return Ok(Some(tenant));
        }
        let found = self.store.look_up(async move |db| workspaces::tenant_of(&db, id).await).await?;
        if let Some(tenant) = found {
            self.known.insert(id, tenant);
        }
        Ok(found)
    }

    /// Forgets all of them: after the commit of a change to workspaces.
    pub fn forget(&self) {
        self.known.invalidate_all();
    }
}
