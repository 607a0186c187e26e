//! Adding somebody without an invitation: into a workspace of a tenant they belong to, or into the tenant by
//! their user id, known here or not (nobody learns who is).

use std::sync::Arc;

use entity::{Role, UserId};
use serde_json::json;

use super::Members;
use crate::{
    actors::{Command, Decision, Planned, Work},
    config::settings,
    domain::{Refusal, Scope},
    identity::Call,
    store::{self, events::NewEvent, members::Origin},
};

/// Adds a member.
///
/// # Errors
/// 404 for strangers, 403 by rank, 409 `ALREADY_MEMBER` or `SEAT_LIMIT_REACHED`, 422 `NOT_TENANT_MEMBER`.
pub fn add(
    members: &Members,
    call: Call,
    scope: Scope,
    user: UserId,
    role: Role,
) -> Planned<'_, impl Command<Output = entity::Millis>> {
    members.lanes.plan(async move {
        call.principal.require_scope("members:write")?;
        let tenant = call.tenant.clone();
        Ok((tenant.id, AddMember { tenant, call, scope, user, role }))
    })
}

struct AddMember {
    tenant: Arc<settings::Tenant>,
    call: Call,
    scope: Scope,
    user: UserId,
    role: Role,
}

impl Command for AddMember {
    type Output = entity::Millis;

    fn told_to(&self) -> Option<&Call> {
        Some(&self.call)
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<entity::Millis> {
        let (conn, tenant) = (work.conn(), work.tenant());
        if let Scope::Workspace(id) = self.scope
            && !store::workspaces::exists(conn, tenant, id).await?
        {
            return Err(Refusal::NotFound.into());
        }
        let standing = self.call.standing(conn, self.scope.workspace()).await?;
        if standing.tenant.is_none() {
            return Err(Refusal::NotFound.into());
        }
        require_rank(standing.ceiling(self.scope), self.role)?;
        let current = store::members::standing(conn, tenant, &self.user, self.scope.workspace()).await?;
        let now = work.now().await?;
        let origin = Origin { added_by: self.call.user_id(), invite: None, at: now };
        match self.scope {
            Scope::Org => {
                if current.tenant.is_some() {
                    return Err(Refusal::AlreadyMember.into());
                }
                if let Some(limit) = self.tenant.invites.seats
                    && store::tenants::seats_used(conn, tenant).await? >= limit
                {
                    return Err(Refusal::SeatLimitReached { limit }.into());
                }
                store::members::join_tenant(conn, tenant, &self.user, self.role, origin).await?;
                store::tenants::count_seats(conn, tenant, 1).await?;
            }
            Scope::Workspace(id) => {
                if current.tenant.is_none() {
                    return Err(Refusal::NotTenantMember.into());
                }
                if current.workspace.is_some() {
                    return Err(Refusal::AlreadyMember.into());
                }
                store::members::join_workspace(conn, tenant, id, &self.user, self.role, origin).await?;
            }
        }
        work.event(NewEvent {
            kind: "member.added",
            invite_id: None,
            workspace_id: self.scope.workspace(),
            actor: self.call.principal.actor(),
            data: Some(json!({ "user_id": self.user, "role": self.role })),
        });
        Ok(now)
    }
}

/// Members are managed by admins, and nobody gives a role above their own.
pub(super) fn require_rank(held: Option<Role>, given: Role) -> Result<(), Refusal> {
    if held < Some(Role::Admin) {
        return Err(Refusal::Forbidden("only owners and admins manage members"));
    }
    if held < Some(given) {
        return Err(Refusal::Forbidden("nobody may grant a role above their own"));
    }
    Ok(())
}
