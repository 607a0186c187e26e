//! Accepting: the memberships appear exactly once, by one guarded statement under the tenant's lock. What can
//! refuse besides the statement's own guards (verified address, the inviter's authority, seats) is looked at
//! before it; after it nothing refuses.

use std::sync::Arc;

use entity::{InviteId, Role, WorkspaceId, invite};
use serde_json::json;

use super::{
    Invites,
    preview::Previews,
    proof::{Answered, Presented, address_of, reason, require_verified},
    rules::inviter_may_send,
};
use crate::{
    actors::{Ahead, Command, Decision, Planned, Stop, Work},
    config::settings,
    domain::Refusal,
    identity::{Call, Principal, PrincipalKind, UserIdentity},
    store::{self, StoreError, events::NewEvent, invites::Acceptance, members::Origin},
};

/// Longest that a statement may wait for a lock, and more, in milliseconds.
const LONGEST_WAIT: i64 = 2000;

/// What an acceptance gave.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The tenant, as configured now.
    pub tenant: Arc<settings::Tenant>,
    /// The workspace, for workspace invites.
    pub workspace_id: Option<WorkspaceId>,
    /// The role held now: at least the invite's.
    pub role: Role,
    /// The invite.
    pub invite_id: InviteId,
}

/// Accepts by link.
///
/// # Errors
/// See the table of [`super`].
pub fn accept<'a>(
    invites: &'a Invites,
    principal: &'a Principal,
    link: &'a Presented,
) -> Planned<'a, impl Command<Output = Accepted>> {
    invites.lanes.plan(async move {
        let person = principal.person()?.clone();
        let (row, token, tenant) = invites.prove(link).await?;
        if !crate::domain::authority::agrees(principal.confined_to, tenant.id) {
            return Err(Refusal::InvalidToken);
        }
        let answered = Answered { id: row.id, version: Some(token.claims().version) };
        let (kind, previews) = (principal.kind, invites.previews.clone());
        Ok((tenant.id, AcceptInvite { tenant, person, kind, answered, previews }))
    })
}

pub(super) struct AcceptInvite {
    pub(super) tenant: Arc<settings::Tenant>,
    pub(super) person: UserIdentity,
    pub(super) kind: PrincipalKind,
    pub(super) answered: Answered,
    pub(super) previews: Previews,
}

impl Command for AcceptInvite {
    type Output = Accepted;

    /// Whoever answers an invitation need not belong to the tenant.
    fn told_to(&self) -> Option<&Call> {
        None
    }

    /// Where seats are limited, each acceptance counts those before it.
    fn ahead(&self) -> Option<Ahead> {
        let unlimited = self.tenant.invites.seats.is_none();
        unlimited.then(|| Ahead::Answer(self.answered.id, self.person.id.clone()))
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<Accepted> {
        let tenant = work.tenant();
        let row = match work.found(self.answered.id) {
            Some(row) => row,
            None => {
                work.settle().await?;
                let row = store::invites::find(work.conn(), tenant, self.answered.id).await?;
                row.ok_or(Refusal::InvalidToken)?
            }
        };
        if let Some(later) = self.may_not(work, &row).await? {
            // the state of the invite and its address come first, if they refuse as well
            return Err(reason(work.tx(), &row, self.answered, &self.person).await?.unwrap_or(later).into());
        }
        let acceptance = Acceptance {
            id: row.id,
            version: self.answered.version,
            email_norm: address_of(&self.person),
            user: &self.person.id,
        };
        let Some(accepted) = store::invites::accept(work.tx(), tenant, acceptance).await? else {
            let row = store::invites::find(work.conn(), tenant, self.answered.id).await?;
            let row = row.ok_or(Refusal::InvalidToken)?;
            return Err(reason(work.tx(), &row, self.answered, &self.person)
                .await?
                .map_or(Stop::Again, Stop::Refused));
        };
        let at = accepted.accepted_at.unwrap_or(accepted.updated_at);
        // a statement that waited for the row decided before it waited
        let close = accepted.expires_at.0.saturating_sub(at.0) <= LONGEST_WAIT;
        if close && work.tx().now().await? >= accepted.expires_at {
            return Err(Stop::Again);
        }
        work.decided_at(at);
        let role = self.join(work, &accepted).await?;
        // the link proves the address, or the credential does
        work.person(self.person.sighting(self.kind, self.answered.version.is_some()));
        work.event(NewEvent {
            kind: "invite.accepted",
            invite_id: Some(accepted.id),
            workspace_id: accepted.workspace_id,
            actor: self.person.id.0.clone(),
            data: Some(json!({ "role": role })),
        });
        let (previews, id) = (self.previews.clone(), accepted.id);
        work.after_commit(move || previews.invalidate(id));
        Ok(Accepted {
            tenant: self.tenant.clone(),
            workspace_id: accepted.workspace_id,
            role,
            invite_id: accepted.id,
        })
    }
}

impl AcceptInvite {
    /// What refuses besides the guards of the statement, in order: verified address, inviter, seats.
    async fn may_not(&self, work: &mut Work<'_>, row: &invite::Model) -> Result<Option<Refusal>, StoreError> {
        let rules = &self.tenant.invites;
        if let Err(refusal) = require_verified(rules, &self.person, self.answered.version.is_some()) {
            return Ok(Some(refusal));
        }
        if !inviter_may_send(work, &self.tenant, row).await? {
            return Ok(Some(Refusal::InviterNotAuthorized));
        }
        let Some(limit) = rules.seats else { return Ok(None) };
        work.settle().await?;
        if store::tenants::seats_used(work.conn(), work.tenant()).await? < limit {
            return Ok(None);
        }
        let member = store::members::tenant_member(work.conn(), work.tenant(), &self.person.id).await?;
        Ok(member.is_none().then_some(Refusal::SeatLimitReached { limit }))
    }

    /// Makes the memberships; a role held already is raised, never lowered. Answers the role held then.
    async fn join(&self, work: &mut Work<'_>, row: &invite::Model) -> Result<Role, StoreError> {
        let (conn, tenant, user) = (work.conn(), row.tenant_id, &self.person.id);
        let origin = Origin { added_by: row.inviter.as_ref(), invite: Some(row.id), at: row.updated_at };
        let tenant_role = if row.workspace_id.is_some() { Role::Member } else { row.role };
        if work.is_stranger(user) {
            let within = row.workspace_id.map(|id| origin.in_workspace(tenant, id, user, row.role));
            work.add_member(origin.in_tenant(tenant, user, tenant_role), within);
            return Ok(row.role);
        }
        work.settle().await?;
        let joined = store::members::join_tenant(conn, tenant, user, tenant_role, origin).await?;
        if joined {
            work.count_joined();
        }
        let Some(workspace) = row.workspace_id else {
            if joined {
                return Ok(row.role);
            }
            store::members::raise_tenant_role(conn, tenant, user, row.role, origin.at).await?;
            let held = store::members::tenant_member(conn, tenant, user).await?;
            return Ok(held.map_or(row.role, |member| member.role));
        };
        if store::members::join_workspace(conn, tenant, workspace, user, row.role, origin).await? {
            return Ok(row.role);
        }
        store::members::raise_workspace_role(conn, tenant, workspace, user, row.role, origin.at).await?;
        let held = store::members::workspace_member(conn, tenant, workspace, user).await?;
        Ok(held.map_or(row.role, |member| member.role))
    }
}
