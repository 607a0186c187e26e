//! Bringing rows in line with the configuration, at start and after a reload: tenants are made or renamed,
//! configured workspaces are made once. What left the configuration keeps its rows.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use entity::{TenantId, WorkspaceId, tenant};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Tenants;
use crate::{
    actors::{Command, Decision, Work},
    config::settings,
    domain::Refusal,
    identity::Call,
    store::{self, StoreError, events::NewEvent},
};

/// Tenants looked at by one read.
const LOOK: usize = 500;
/// Tenants made at the same time.
const AT_ONCE: usize = 32;
/// How long a start goes on trying.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the rows of these tenants and of their workspaces. What is in line already is not written, so that a start or
/// a reload with ten thousand tenants costs a few reads.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database. A workspace id that belongs to another tenant is left there,
/// and the log names it.
pub async fn sync(tenants: &Tenants, configured: &[Arc<settings::Tenant>]) -> Result<(), Refusal> {
    let at_once = AT_ONCE.min(tenants.lanes.room()).max(1);
    for some in configured.chunks(LOOK) {
        let Difference { new, changed } = difference(tenants, some).await?;
        let run = |tenant: Arc<settings::Tenant>| tenants.lanes.run(tenant.id, SyncTenant { tenant });
        stream::iter(new.into_iter().map(run)).buffer_unordered(at_once).try_collect::<()>().await?;
        // one after another: those that exchange their slugs touch each other's rows
        for tenant in changed {
            run(tenant).await?;
        }
    }
    Ok(())
}

/// [`sync`] at a start: where it is told to come back it does, for a minute. Other servers may be starting on the same
/// database and make the same rows, and a server that gave up for that would only be started again.
///
/// # Errors
/// As [`sync`].
pub async fn sync_at_start(tenants: &Tenants, configured: &[Arc<settings::Tenant>]) -> Result<(), Refusal> {
    let begun = Instant::now();
    loop {
        match sync(tenants, configured).await {
            Err(Refusal::Unavailable { retry_after, what }) if begun.elapsed() < PATIENCE => {
                tracing::warn!(
                    what,
                    "the rows of the configured tenants cannot be written yet; trying again"
                );
                tokio::time::sleep(Duration::from_secs(retry_after)).await;
            }
            done => return done,
        }
    }
}

/// Tenants that are not in line with their rows.
struct Difference {
    /// Without a row, their slug nobody's.
    new: Vec<Arc<settings::Tenant>>,
    changed: Vec<Arc<settings::Tenant>>,
}

async fn difference(tenants: &Tenants, some: &[Arc<settings::Tenant>]) -> Result<Difference, Refusal> {
    let ids: Vec<TenantId> = some.iter().map(|tenant| tenant.id).collect();
    let slugs: Vec<String> = some.iter().map(|tenant| tenant.slug.clone()).collect();
    let read = tenants.store.read(move |db| async move {
        let rows = store::tenants::find_all_or_slugs(&db, &ids, &slugs).await?;
        Ok::<_, sea_orm::DbErr>((rows, store::workspaces::configured(&db, &ids).await?))
    });
    let (rows, workspaces) = read.await.map_err(StoreError::into_refusal)?;
    let workspaces: HashSet<(WorkspaceId, TenantId)> = workspaces.into_iter().collect();
    let slugs: HashSet<&str> = rows.iter().map(|row| row.slug.as_str()).collect();
    let rows: HashMap<TenantId, &tenant::Model> = rows.iter().map(|row| (row.id, row)).collect();
    let mut difference = Difference { new: Vec::new(), changed: Vec::new() };
    for tenant in some {
        let row = rows.get(&tenant.id);
        let complete = || tenant.workspaces.iter().all(|one| workspaces.contains(&(one.id, tenant.id)));
        match row {
            Some(row) if row.slug == tenant.slug && row.name == tenant.name && complete() => {}
            None if !slugs.contains(tenant.slug.as_str()) => difference.new.push(tenant.clone()),
            _ => difference.changed.push(tenant.clone()),
        }
    }
    Ok(difference)
}

struct SyncTenant {
    tenant: Arc<settings::Tenant>,
}

impl Command for SyncTenant {
    type Output = ();

    /// The configuration's; there is no answer.
    fn told_to(&self) -> Option<&Call> {
        None
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<()> {
        let (conn, tenant) = (work.conn(), &self.tenant);
        let now = work.now().await?;
        store::tenants::sync(conn, tenant.id, &tenant.slug, &tenant.name, now).await?;
        for workspace in &tenant.workspaces {
            let slug = workspace.slug.as_deref();
            if store::workspaces::sync(conn, tenant.id, workspace.id, &workspace.name, slug, now).await? {
                work.event(NewEvent {
                    kind: "workspace.created",
                    invite_id: None,
                    workspace_id: Some(workspace.id),
                    actor: "system".to_owned(),
                    data: None,
                });
                continue;
            }
            if !store::workspaces::exists(conn, tenant.id, workspace.id).await? {
                tracing::error!(tenant = %tenant.slug, workspace = %workspace.id, "a configured workspace id belongs to another tenant");
            }
        }
        Ok(())
    }
}
