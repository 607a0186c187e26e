//! Creating a workspace: by a tenant's owner or admin, who becomes its owner. The caller's own id makes it
//! repeat-safe; a name is taken twice only when asked for.

use std::collections::BTreeMap;

use entity::{Role, WorkspaceId, workspace};
use serde_json::json;

use super::Workspaces;
use crate::{
    actors::{Command, Decision, Planned, Work},
    domain::Refusal,
    identity::Call,
    store::{self, events::NewEvent, members::Origin},
};

/// A workspace asked for.
#[derive(Clone, Debug, Default)]
pub struct NewWorkspace {
    /// Display name.
    pub name: String,
    /// Short name.
    pub slug: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Flat map of strings.
    pub metadata: BTreeMap<String, String>,
    /// Id in the caller's own system.
    pub external_workspace_id: Option<String>,
    /// Id of the owner in the caller's own system.
    pub external_user_id: Option<String>,
    /// Whether a name may be taken twice.
    pub allow_duplicate_name: bool,
}

/// Creates a workspace, or answers the one that carries the caller's own id (then the flag is set).
///
/// # Errors
/// 404 for strangers, 403 below admin, 409 for a name that is taken.
pub fn create(
    workspaces: &Workspaces,
    call: Call,
    new: NewWorkspace,
) -> Planned<'_, impl Command<Output = (workspace::Model, bool)>> {
    workspaces.lanes.plan(async move {
        call.principal.require_scope("workspaces:write")?;
        Ok((call.tenant.id, CreateWorkspace { call, new }))
    })
}

struct CreateWorkspace {
    call: Call,
    new: NewWorkspace,
}

impl Command for CreateWorkspace {
    type Output = (workspace::Model, bool);

    fn told_to(&self) -> Option<&Call> {
        Some(&self.call)
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<Self::Output> {
        let (tenant, new) = (work.tenant(), &self.new);
        let standing = self.call.standing(work.conn(), None).await?;
        if standing.tenant.is_none() {
            return Err(Refusal::NotFound.into());
        }
        if standing.tenant < Some(Role::Admin) {
            return Err(Refusal::Forbidden("only owners and admins may create workspaces").into());
        }
        if let Some(external) = &new.external_workspace_id
            && let Some(there) = store::workspaces::find_external(work.conn(), tenant, external).await?
        {
            return Ok((there, true));
        }
        if !new.allow_duplicate_name
            && let Some(there) = store::workspaces::find_named(work.conn(), tenant, &new.name).await?
        {
            return Err(Refusal::WorkspaceNameExists { existing: there.id }.into());
        }
        let now = work.now().await?;
        let row = workspace::Model {
            id: WorkspaceId::new(),
            tenant_id: tenant,
            name: new.name.clone(),
            slug: new.slug.clone(),
            description: new.description.clone(),
            metadata: (!new.metadata.is_empty()).then(|| json!(new.metadata).to_string()),
            external_workspace_id: new.external_workspace_id.clone(),
            external_user_id: new.external_user_id.clone(),
            configured: false,
            created_by: self.call.user_id().cloned(),
            inserted_at: now,
            updated_at: now,
        };
        store::workspaces::insert(work.conn(), row.clone()).await?;
        if let Some(maker) = self.call.user_id() {
            let origin = Origin { added_by: Some(maker), invite: None, at: now };
            store::members::join_workspace(work.conn(), tenant, row.id, maker, Role::Owner, origin).await?;
        }
        if let Some(seen) = &self.call.sighting {
            work.person(seen.clone());
        }
        work.event(NewEvent {
            kind: "workspace.created",
            invite_id: None,
            workspace_id: Some(row.id),
            actor: self.call.principal.actor(),
            data: None,
        });
        Ok((row, false))
    }
}
