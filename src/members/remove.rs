//! Removing somebody from a tenant or a workspace, oneself included. Removal from a tenant takes the workspace
//! memberships along, passes workspaces they alone owned to the longest-standing tenant owner, and revokes
//! their pending invites, sent and received.

use entity::{Role, UserId};
use serde_json::json;

use super::{
    Members,
    rank::{held_below, last_owner},
    revoke_unsendable::{RevokeUnsendable, revoke_addressed},
};
use crate::{
    actors::{Command, Decision, Planned, Stop, Work},
    domain::{Refusal, Scope},
    identity::{Authority, Call},
    store::{self, events::NewEvent, members::Origin},
};

/// Removes a member.
///
/// # Errors
/// 404 for somebody who is no member, 403 by rank, 409 `LAST_OWNER`.
pub fn remove(
    members: &Members,
    by: impl Into<Authority>,
    scope: Scope,
    user: UserId,
) -> Planned<'_, impl Command<Output = ()>> {
    let by = by.into();
    members.lanes.plan(async move {
        by.require_scope("members:write")?;
        Ok((by.tenant().id, Remove { members: members.clone(), by, scope, user }))
    })
}

struct Remove {
    members: Members,
    by: Authority,
    scope: Scope,
    user: UserId,
}

impl Command for Remove {
    type Output = ();

    /// Whoever has left may hear of it again.
    fn told_to(&self) -> Option<&Call> {
        self.by.call().filter(|call| call.user_id() != Some(&self.user))
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<()> {
        let (conn, tenant) = (work.conn(), work.tenant());
        let held = held_below(work, &self.by, self.scope, &self.user, None).await?;
        if held == Role::Owner && last_owner(work, self.scope, &self.user).await? {
            return Err(Refusal::LastOwner.into());
        }
        let revoked = match self.scope {
            Scope::Org => self.leave_the_tenant(work).await?,
            Scope::Workspace(id) => {
                store::members::leave_workspace(conn, tenant, id, &self.user).await?;
                vec![]
            }
        };
        let unsendable = RevokeUnsendable {
            members: self.members.clone(),
            tenant: self.by.tenant().clone(),
            sender: self.user.clone(),
            actor: self.by.actor(),
            after: None,
        };
        unsendable.revoke_some(work).await?;
        work.event(NewEvent {
            kind: "member.removed",
            invite_id: None,
            workspace_id: self.scope.workspace(),
            actor: self.by.actor(),
            data: Some(json!({ "user_id": self.user, "role": held })),
        });
        self.members.forget_after(work, revoked);
        Ok(())
    }
}

impl Remove {
    async fn leave_the_tenant(&self, work: &mut Work<'_>) -> Result<Vec<entity::InviteId>, Stop> {
        let (conn, tenant) = (work.conn(), work.tenant());
        let now = work.now().await?;
        let orphaned = store::members::solely_owned_workspaces(conn, tenant, &self.user).await?;
        if !orphaned.is_empty() {
            let owners = store::members::tenant_owners(conn, tenant).await?;
            let heir = owners.into_iter().find(|owner| *owner != self.user);
            if let Some(heir) = heir {
                for workspace in orphaned {
                    let origin = Origin { added_by: None, invite: None, at: now };
                    store::members::join_workspace(conn, tenant, workspace, &heir, Role::Owner, origin)
                        .await?;
                    store::members::raise_workspace_role(conn, tenant, workspace, &heir, Role::Owner, now)
                        .await?;
                }
            }
        }
        let revoked =
            revoke_addressed(&self.members, work, self.by.tenant(), &self.user, &self.by.actor()).await?;
        store::members::leave_tenant(conn, tenant, &self.user).await?;
        store::tenants::count_seats(conn, tenant, -1).await?;
        Ok(revoked)
    }
}
