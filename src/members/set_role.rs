//! Changing somebody's role in a tenant or a workspace.

use entity::{Role, UserId};
use serde_json::json;

use super::{
    Members,
    rank::{held_below, last_owner},
    revoke_unsendable::RevokeUnsendable,
};
use crate::{
    actors::{Command, Decision, Planned, Work},
    domain::{Refusal, Scope},
    identity::{Authority, Call},
    store::{self, events::NewEvent},
};

/// Sets the role of a member.
///
/// # Errors
/// 404 for somebody who is no member, 403 by rank, 409 `LAST_OWNER`.
pub fn set_role(
    members: &Members,
    by: impl Into<Authority>,
    scope: Scope,
    user: UserId,
    role: Role,
) -> Planned<'_, impl Command<Output = ()>> {
    let by = by.into();
    members.lanes.plan(async move {
        by.require_scope("members:write")?;
        Ok((by.tenant().id, SetRole { members: members.clone(), by, scope, user, role }))
    })
}

struct SetRole {
    members: Members,
    by: Authority,
    scope: Scope,
    user: UserId,
    role: Role,
}

impl Command for SetRole {
    type Output = ();

    fn told_to(&self) -> Option<&Call> {
        self.by.call()
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<()> {
        let (conn, tenant) = (work.conn(), work.tenant());
        let held = held_below(work, &self.by, self.scope, &self.user, Some(self.role)).await?;
        if held == self.role {
            return Ok(());
        }
        if held == Role::Owner && last_owner(work, self.scope, &self.user).await? {
            return Err(Refusal::LastOwner.into());
        }
        let now = work.now().await?;
        match self.scope {
            Scope::Org => store::members::set_tenant_role(conn, tenant, &self.user, self.role, now).await?,
            Scope::Workspace(id) => {
                store::members::set_workspace_role(conn, tenant, id, &self.user, self.role, now).await?
            }
        };
        work.event(NewEvent {
            kind: "member.role_changed",
            invite_id: None,
            workspace_id: self.scope.workspace(),
            actor: self.by.actor(),
            data: Some(json!({ "user_id": self.user, "from": held, "to": self.role })),
        });
        if self.role < held {
            let unsendable = RevokeUnsendable {
                members: self.members.clone(),
                tenant: self.by.tenant().clone(),
                sender: self.user.clone(),
                actor: self.by.actor(),
                after: None,
            };
            unsendable.revoke_some(work).await?;
        }
        Ok(())
    }
}
