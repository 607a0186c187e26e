//! Mailing an invite again. The link stays the same unless `rotate` asks for a new one; an expired invite is
//! revived with a new link, since a link once dead never lives again.

use entity::{InviteId, InviteStatus, Millis, invite};
use serde_json::json;

use super::{
    Invites,
    limits::Counters,
    revoke::reachable,
    rules::{Life, cooldown_left, owe_mail, renew_link, take_over_if_needed},
    scope_of,
};
use crate::{
    actors::{Command, Decision, Planned, Stop, Work},
    domain::{MasterKeys, Permission, Refusal, Scope, Standing},
    identity::{Authority, Call},
    store::{self, events::NewEvent},
};

/// Mails the invite again and answers it with its link.
///
/// # Errors
/// See the table of [`super`].
pub fn resend(
    invites: &Invites,
    by: impl Into<Authority>,
    scope: Scope,
    id: InviteId,
    rotate: bool,
) -> Planned<'_, impl Command<Output = (invite::Model, String)>> {
    let by = by.into();
    invites.lanes.plan(async move {
        by.require_scope("invites:write")?;
        let tenant = by.tenant().id;
        let command = ResendInvite { keys: invites.keys()?, invites: invites.clone(), by, scope, id, rotate };
        Ok((tenant, command))
    })
}

struct ResendInvite {
    invites: Invites,
    keys: MasterKeys,
    by: Authority,
    scope: Scope,
    id: InviteId,
    rotate: bool,
}

impl Command for ResendInvite {
    type Output = (invite::Model, String);

    fn told_to(&self) -> Option<&Call> {
        self.by.call()
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<Self::Output> {
        let standing = self.by.standing(work.conn(), self.scope.workspace()).await?;
        let mut row = reachable(work, &self.by, standing, self.scope, self.id, Permission::Create).await?;
        require_open(&row)?;
        require_ceiling(standing, &row)?;
        let now = work.now().await?;
        let rules = &self.by.tenant().invites;
        let revive = now >= row.expires_at;
        let renew = revive || self.rotate || self.keys.get(&row.kid).is_none();
        let left = cooldown_left(&row, rules, now);
        if left > 0 && !renew {
            return Err(cooling_down(left).into());
        }
        let counters = Counters::of(&self.by, &row.email_norm);
        counters.require_room(work, now).await?;

        row.updated_at = now;
        if revive {
            row.expires_at = Life::default().end(rules, now)?;
        }
        if renew {
            renew_link(&mut row, &self.keys)?;
        }
        // one that has not left yet would only be a second one of the same
        store::outbox::cancel_for_invite(work.conn(), work.tenant(), row.id, None).await?;
        take_over_if_needed(work, &self.by, &mut row).await?;
        owe_mail(work, &mut row, now);
        counters.count(work, now).await?;
        save(work, &self.invites, &row).await?;
        work.event(NewEvent {
            kind: "invite.resent",
            invite_id: Some(row.id),
            workspace_id: row.workspace_id,
            actor: self.by.actor(),
            data: Some(json!({ "rotated": renew })),
        });
        let wake = self.invites.wake_mailer.clone();
        work.after_commit(move || wake());
        let url = self.invites.url_by(&self.keys, self.by.tenant(), &row)?;
        Ok((row, url))
    }
}

/// Refuses what is finished; a pending row past its end is not.
pub(super) fn require_open(row: &invite::Model) -> Result<(), Refusal> {
    match row.status {
        InviteStatus::Pending => Ok(()),
        InviteStatus::Accepted => Err(Refusal::AlreadyAccepted { by_you: None }),
        InviteStatus::Revoked => Err(Refusal::Revoked),
        InviteStatus::Declined => Err(Refusal::Declined),
        InviteStatus::Expired => Err(Refusal::Superseded),
    }
}

/// Refuses a caller below the invite's role.
pub(super) fn require_ceiling(standing: Standing, row: &invite::Model) -> Result<(), Refusal> {
    if standing.ceiling(scope_of(row)) >= Some(row.role) {
        Ok(())
    } else {
        Err(Refusal::Forbidden("this invitation has a role above your own"))
    }
}

/// Writes a pending row and drops its preview after the commit.
pub(super) async fn save(work: &mut Work<'_>, invites: &Invites, row: &invite::Model) -> Result<(), Stop> {
    if !store::invites::rewrite_pending(work.conn(), row.clone()).await? {
        return Err(Stop::Again);
    }
    let (previews, id) = (invites.previews.clone(), row.id);
    work.after_commit(move || previews.invalidate(id));
    Ok(())
}

fn cooling_down(left: i64) -> Refusal {
    let retry_after = u64::try_from(Millis(left).0 / 1000).unwrap_or(0) + 1;
    Refusal::RateLimited { retry_after, what: "mails for this invitation" }
}
