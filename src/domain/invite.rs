//! What an invite's row means at a given time: natural expiry is computed here, in one place, and never
//! stored.

use entity::{InviteStatus, Millis, invite};

use crate::domain::{Refusal, refusal::Membership};

/// The status people see: a pending row past its end is expired.
#[must_use]
pub fn status_at(row: &invite::Model, now: Millis) -> InviteStatus {
    if row.status == InviteStatus::Pending && now >= row.expires_at {
        InviteStatus::Expired
    } else {
        row.status
    }
}

/// Whether the row can still be accepted at this time.
#[must_use]
pub fn is_live(row: &invite::Model, now: Millis) -> bool {
    status_at(row, now) == InviteStatus::Pending
}

/// What an accepted invite gave.
#[must_use]
pub fn membership(row: &invite::Model) -> Membership {
    Membership { tenant_id: row.tenant_id, workspace_id: row.workspace_id, role: row.role }
}

/// Why a genuine link cannot be accepted in this state, in the order accepted, revoked, declined, expired;
/// `None` while it can.
#[must_use]
pub fn state_refusal(row: &invite::Model, now: Millis, by: Option<&entity::UserId>) -> Option<Refusal> {
    match status_at(row, now) {
        InviteStatus::Pending => None,
        InviteStatus::Accepted => {
            let by_you = (by.is_some() && row.accepted_by.as_ref() == by).then(|| membership(row));
            Some(Refusal::AlreadyAccepted { by_you })
        }
        InviteStatus::Revoked => Some(Refusal::Revoked),
        InviteStatus::Declined => Some(Refusal::Declined),
        InviteStatus::Expired => Some(Refusal::Expired),
    }
}
