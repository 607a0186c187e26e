//! What a removal or demotion takes along: the pending invites that their sender could no longer send, and on
//! removal those addressed to them. One set-based statement for up to a thousand; the rest fails at acceptance,
//! where the inviter's authority is looked at again.

use entity::{InviteId, UserId, invite};
use serde_json::json;

use crate::{
    actors::Work,
    config::settings,
    domain::Scope,
    store::{self, StoreError, events::NewEvent},
};

/// Invites revoked in one go at most.
const MOST: u64 = 1000;

/// Revokes what this person could no longer send, as they stand after the change. Answers the ids.
pub(super) async fn revoke_unsendable(
    work: &mut Work<'_>,
    tenant: &settings::Tenant,
    sender: &UserId,
    actor: &str,
) -> Result<Vec<InviteId>, StoreError> {
    let sent = store::invites::pending_sent_by(work.conn(), tenant.id, sender, MOST).await?;
    let mut dead = Vec::new();
    for row in sent {
        let standing = store::members::standing(work.conn(), tenant.id, sender, row.workspace_id).await?;
        if !standing.may_send(row.role, Scope::of(row.workspace_id), &tenant.invites.permissions) {
            dead.push(row);
        }
    }
    revoke(work, dead, actor, "sender").await
}

/// Revokes what is addressed to this person. Answers the ids.
pub(super) async fn revoke_addressed(
    work: &mut Work<'_>,
    tenant: &settings::Tenant,
    addressee: &UserId,
    actor: &str,
) -> Result<Vec<InviteId>, StoreError> {
    let user = store::users::find(work.conn(), addressee).await?;
    let Some(address) = user.and_then(|user| user.email_norm) else { return Ok(vec![]) };
    let rows = store::invites::pending_to(work.conn(), tenant.id, &address).await?;
    revoke(work, rows, actor, "addressee").await
}

async fn revoke(
    work: &mut Work<'_>,
    rows: Vec<invite::Model>,
    actor: &str,
    whose: &str,
) -> Result<Vec<InviteId>, StoreError> {
    let ids: Vec<InviteId> = rows.iter().map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let now = work.now().await?;
    store::invites::revoke_all(work.conn(), work.tenant(), &ids, None, now).await?;
    for row in rows {
        work.event(NewEvent {
            kind: "invite.revoked",
            invite_id: Some(row.id),
            workspace_id: row.workspace_id,
            actor: actor.to_owned(),
            data: Some(json!({ "because": format!("{whose} removed or demoted") })),
        });
    }
    Ok(ids)
}
