//! Revoking: the safe direction, so the ceiling does not limit it. A pending invite, also one past its end,
//! becomes revoked; repeating that changes nothing.

use entity::{InviteId, InviteStatus, invite};

use super::{Invites, preview::Previews, scope_of};
use crate::{
    actors::{Command, Decision, Stop, Work},
    domain::{Permission, Refusal, Scope, Standing},
    identity::{Authority, Call},
    store::{self, events::NewEvent},
};

/// Revokes an invite of this scope.
///
/// # Errors
/// See the table of [`super`].
pub async fn revoke(
    invites: &Invites,
    by: impl Into<Authority>,
    scope: Scope,
    id: InviteId,
) -> Result<(), Refusal> {
    let by = by.into();
    by.require_scope("invites:write")?;
    let tenant = by.tenant().id;
    let command = RevokeInvite { by, scope, id, previews: invites.previews.clone() };
    invites.lanes.run(tenant, command).await
}

struct RevokeInvite {
    by: Authority,
    scope: Scope,
    id: InviteId,
    previews: Previews,
}

impl Command for RevokeInvite {
    type Output = ();

    fn told_to(&self) -> Option<&Call> {
        self.by.call()
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<()> {
        let standing = self.by.standing(work.conn(), self.scope.workspace()).await?;
        let row = reachable(work, &self.by, standing, self.scope, self.id, Permission::Revoke).await?;
        let now = work.now().await?;
        if !store::invites::revoke(work.conn(), work.tenant(), row.id, self.by.user_id(), now).await? {
            return match row.status {
                InviteStatus::Revoked | InviteStatus::Expired => Ok(()),
                InviteStatus::Declined => Err(Refusal::Declined.into()),
                InviteStatus::Accepted => Err(Refusal::AlreadyAccepted { by_you: None }.into()),
                InviteStatus::Pending => Err(Stop::Again),
            };
        }
        store::outbox::cancel_for_invite(work.conn(), work.tenant(), row.id, None).await?;
        work.event(NewEvent {
            kind: "invite.revoked",
            invite_id: Some(row.id),
            workspace_id: row.workspace_id,
            actor: self.by.actor(),
            data: None,
        });
        let (previews, id) = (self.previews.clone(), row.id);
        work.after_commit(move || previews.invalidate(id));
        Ok(())
    }
}

/// The invite of this scope that the caller may act on: with the right, or because they sent it. Strangers
/// and foreign ids get 404, members without the right 403.
pub(super) async fn reachable(
    work: &Work<'_>,
    by: &Authority,
    standing: Standing,
    scope: Scope,
    id: InviteId,
    right: Permission,
) -> Result<invite::Model, Stop> {
    by.require_member(standing)?;
    let row = store::invites::find(work.conn(), work.tenant(), id).await?;
    let row = row.filter(|row| scope_of(row) == scope).ok_or(Refusal::NotFound)?;
    if may_reach(by, standing, &row, right) {
        Ok(row)
    } else {
        Err(Refusal::Forbidden("only admins and whoever sent it may do that").into())
    }
}

/// Whether the caller holds the right over this invite.
pub(super) fn may_reach(by: &Authority, standing: Standing, row: &invite::Model, right: Permission) -> bool {
    let sent_it = by.user_id().is_some() && row.inviter.as_ref() == by.user_id();
    let administers = by.is_system_admin() && right != Permission::Create;
    sent_it || administers || standing.may(right, scope_of(row), &by.tenant().invites.permissions)
}
