//! Renaming a workspace, and changing what is noted of it. A configured one may be renamed as well; its file
//! gives only its first name.

use std::collections::BTreeMap;

use entity::{Role, WorkspaceId, workspace};
use serde_json::json;

use super::Workspaces;
use crate::{
    actors::{Command, Decision, Work},
    domain::{Refusal, Scope},
    identity::Call,
    store::{self, events::NewEvent},
};

/// What is to change; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Display name.
    pub name: Option<String>,
    /// Free text; an inner `None` clears it.
    pub description: Option<Option<String>>,
    /// Flat map of strings, replaced as a whole.
    pub metadata: Option<BTreeMap<String, String>>,
}

/// Changes a workspace and answers it.
///
/// # Errors
/// 404 for strangers and foreign ids, 403 below admin, 409 for a name that is taken.
pub async fn edit(
    workspaces: &Workspaces,
    call: Call,
    id: WorkspaceId,
    change: Change,
) -> Result<workspace::Model, Refusal> {
    call.principal.require_scope("workspaces:write")?;
    let tenant = call.tenant.id;
    workspaces.lanes.run(tenant, EditWorkspace { workspaces: workspaces.clone(), call, id, change }).await
}

struct EditWorkspace {
    workspaces: Workspaces,
    call: Call,
    id: WorkspaceId,
    change: Change,
}

impl Command for EditWorkspace {
    type Output = workspace::Model;

    fn told_to(&self) -> Option<&Call> {
        Some(&self.call)
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<workspace::Model> {
        let mut row = reachable(work, &self.call, self.id, Role::Admin).await?;
        let change = &self.change;
        if let Some(name) = change.name.as_ref().filter(|name| **name != row.name) {
            if let Some(there) = store::workspaces::find_named(work.conn(), work.tenant(), name).await? {
                return Err(Refusal::WorkspaceNameExists { existing: there.id }.into());
            }
            row.name.clone_from(name);
        }
        if let Some(description) = &change.description {
            row.description.clone_from(description);
        }
        if let Some(metadata) = &change.metadata {
            row.metadata = (!metadata.is_empty()).then(|| json!(metadata).to_string());
        }
        row.updated_at = work.now().await?;
        store::workspaces::rewrite(work.conn(), row.clone()).await?;
        work.event(NewEvent {
            kind: "workspace.edited",
            invite_id: None,
            workspace_id: Some(self.id),
            actor: self.call.principal.actor(),
            data: None,
        });
        let forget = self.workspaces.forget_previews.clone();
        work.after_commit(move || forget());
        Ok(row)
    }
}

/// The workspace, if the caller holds at least this role in it.
pub(super) async fn reachable(
    work: &Work<'_>,
    call: &Call,
    id: WorkspaceId,
    least: Role,
) -> Result<workspace::Model, crate::actors::Stop> {
    let standing = call.standing(work.conn(), Some(id)).await?;
    if standing.tenant.is_none() {
        return Err(Refusal::NotFound.into());
    }
    let row = store::workspaces::find(work.conn(), work.tenant(), id).await?.ok_or(Refusal::NotFound)?;
    if standing.effective(Scope::Workspace(id)) < Some(least) {
        return Err(Refusal::Forbidden("your role in this workspace does not allow that").into());
    }
    Ok(row)
}
