//! Bringing rows in line with the configuration, at start and after a reload: tenants are made or renamed,
//! configured workspaces are made once. What left the configuration keeps its rows.

use std::sync::Arc;

use super::Tenants;
use crate::{
    actors::{Command, Decision, Work},
    config::settings,
    domain::Refusal,
    store::{self, events::NewEvent},
};

/// Makes the rows of these tenants and of their workspaces.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database. A workspace id that belongs to another tenant is left there,
/// and the log names it.
pub async fn sync(tenants: &Tenants, configured: &[Arc<settings::Tenant>]) -> Result<(), Refusal> {
    for tenant in configured {
        tenants.lanes.run(tenant.id, SyncTenant { tenant: tenant.clone() }).await?;
    }
    Ok(())
}

struct SyncTenant {
    tenant: Arc<settings::Tenant>,
}

impl Command for SyncTenant {
    type Output = ();

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
            if store::workspaces::find(conn, tenant.id, workspace.id).await?.is_none() {
                tracing::error!(tenant = %tenant.slug, workspace = %workspace.id, "a configured workspace id belongs to another tenant");
            }
        }
        Ok(())
    }
}
