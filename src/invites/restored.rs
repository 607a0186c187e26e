//! Pending invites of a database that was brought back from a dump. Between the dump and now they may have been
//! revoked, accepted, declined or given another link, and nobody can tell which: so none is left as it is.

use entity::{Delivery, InviteId, Millis, TenantId, invite};
use serde_json::{Value, json};

use super::{
    Invites,
    resend::save,
    rules::{owe_mail, renew_link},
};
use crate::{
    actors::{Command, Decision, Work},
    domain::{MasterKeys, Refusal, clock::rfc3339},
    identity::Call,
    store::{self, events::NewEvent},
};

/// Invites that one command closes, well within its time.
const AT_ONCE: u64 = 100;

/// What becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Revoked: the only one that lets nothing revoked since the dump come back, since an addressee can accept a
    /// pending invite without any link.
    Revoked,
    /// A new link that nobody has: whoever resends, mails it.
    Rotated,
    /// A new link, mailed: also to those who were uninvited since the dump.
    Mailed,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Invites revoked or given a new link.
    pub invites: u64,
    /// Mails that will not leave.
    pub cancelled: u64,
    /// Mails owed.
    pub queued: u64,
}

/// Settles every pending invite of a tenant, configured or not, a hundred at a time. Repeating it does it again to
/// whatever is pending then.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database; what was settled by then is settled.
pub async fn settle(
    invites: &Invites,
    tenant: TenantId,
    fate: Fate,
    since: Option<Millis>,
) -> Result<Settled, Refusal> {
    let mut all = Settled::default();
    let mut after = None;
    loop {
        let keys = if fate == Fate::Revoked { None } else { Some(invites.keys()?) };
        let command = SettleRestored { invites: invites.clone(), keys, fate, since, after };
        let (some, last) = invites.lanes.run(tenant, command).await?;
        all.invites += some.invites;
        all.cancelled += some.cancelled;
        all.queued += some.queued;
        if last.is_none() {
            return Ok(all);
        }
        after = last;
    }
}

struct SettleRestored {
    invites: Invites,
    /// Those of new links; none are needed to revoke.
    keys: Option<MasterKeys>,
    fate: Fate,
    since: Option<Millis>,
    after: Option<InviteId>,
}

impl Command for SettleRestored {
    type Output = (Settled, Option<InviteId>);

    /// The operator's; no answer is kept.
    fn told_to(&self) -> Option<&Call> {
        None
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<Self::Output> {
        let (conn, tenant) = (work.conn(), work.tenant());
        let rows = store::restore::pending(conn, tenant, self.after, AT_ONCE).await?;
        let ids: Vec<InviteId> = rows.iter().map(|row| row.id).collect();
        let Some(last) = ids.last().copied() else { return Ok((Settled::default(), None)) };
        let now = work.now().await?;
        let mut done = Settled { invites: ids.len().try_into().unwrap_or(u64::MAX), ..Settled::default() };
        done.cancelled = store::restore::cancel_mails(conn, tenant, &ids).await?;
        if self.fate == Fate::Revoked {
            store::invites::revoke_all(conn, tenant, &ids, None, now).await?;
        }
        for row in rows {
            if self.fate == Fate::Revoked {
                self.tell(work, "invite.revoked", &row);
                let (previews, id) = (self.invites.previews.clone(), row.id);
                work.after_commit(move || previews.invalidate(id));
            } else if self.renew(work, row, now).await? {
                done.queued += 1;
            }
        }
        Ok((done, Some(last)))
    }
}

impl SettleRestored {
    /// Gives an invite another link; tells whether a mail is owed for it.
    async fn renew(&self, work: &mut Work<'_>, mut row: invite::Model, now: Millis) -> Decision<bool> {
        let mails = self.fate == Fate::Mailed && now < row.expires_at;
        row.updated_at = now;
        if matches!(row.delivery, Delivery::Queued | Delivery::Retrying) {
            row.delivery = Delivery::Cancelled;
        }
        renew_link(&mut row, self.keys.as_ref().ok_or(Refusal::Internal)?)?;
        if mails {
            owe_mail(work, &mut row, now);
            let wake = self.invites.wake_mailer.clone();
            work.after_commit(move || wake());
        }
        save(work, &self.invites, &row).await?;
        self.tell(work, "invite.link_rotated", &row);
        Ok(mails)
    }

    fn tell(&self, work: &mut Work<'_>, kind: &'static str, row: &invite::Model) {
        let mut data = json!({ "reason": "restored", "dump": self.since.map(rfc3339) });
        if let Value::Object(facts) = &mut data
            && self.fate != Fate::Revoked
        {
            facts.insert("version".to_owned(), json!(row.version));
        }
        work.event(NewEvent {
            kind,
            invite_id: Some(row.id),
            workspace_id: row.workspace_id,
            actor: "operator".to_owned(),
            data: Some(data),
        });
    }
}
