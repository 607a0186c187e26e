//! Deleting a workspace: memberships and invites go along. A configured one stays.

use entity::{Role, WorkspaceId};
use serde_json::json;

use super::{Workspaces, edit::reachable};
use crate::{
    actors::{Command, Decision, Work},
    domain::Refusal,
    identity::Call,
    store::{self, events::NewEvent},
};

/// Deletes a workspace.
///
/// # Errors
/// 404 for strangers and foreign ids, 403 for anybody but its owners and the tenant's, 409 `MANAGED_BY_CONFIG`.
pub async fn delete(workspaces: &Workspaces, call: Call, id: WorkspaceId) -> Result<(), Refusal> {
    call.principal.require_scope("workspaces:write")?;
    let tenant = call.tenant.id;
    workspaces.lanes.run(tenant, DeleteWorkspace { workspaces: workspaces.clone(), call, id }).await
}

struct DeleteWorkspace {
    workspaces: Workspaces,
    call: Call,
    id: WorkspaceId,
}

impl Command for DeleteWorkspace {
    type Output = ();

    fn told_to(&self) -> Option<&Call> {
        Some(&self.call)
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<()> {
        let row = reachable(work, &self.call, self.id, Role::Admin).await?;
        // a tenant admin counts as admin here, not as owner
        let standing = self.call.standing(work.conn(), Some(self.id)).await?;
        if standing.workspace != Some(Role::Owner) && standing.tenant != Some(Role::Owner) {
            return Err(Refusal::Forbidden("only owners delete a workspace").into());
        }
        if row.configured {
            return Err(Refusal::ManagedByConfig.into());
        }
        let now = work.now().await?;
        let pending = store::invites::pending_in(work.conn(), work.tenant(), self.id).await?;
        store::invites::revoke_all(work.conn(), work.tenant(), &pending, self.call.user_id(), now).await?;
        for invite in pending {
            work.event(NewEvent {
                kind: "invite.revoked",
                invite_id: Some(invite),
                workspace_id: Some(self.id),
                actor: self.call.principal.actor(),
                data: Some(json!({ "because": "workspace deleted" })),
            });
        }
        store::workspaces::delete(work.conn(), work.tenant(), self.id).await?;
        work.event(NewEvent {
            kind: "workspace.deleted",
            invite_id: None,
            workspace_id: Some(self.id),
            actor: self.call.principal.actor(),
            data: None,
        });
        let forget = self.workspaces.forget_previews.clone();
        work.after_commit(move || forget());
        Ok(())
    }
}
