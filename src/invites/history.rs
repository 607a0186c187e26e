//! What happened to an invite, in order, for whoever may read it, and the operator's views of invites of any status. Natural expiry is no
//! event: it is shown as a computed last line.

use std::sync::Arc;

use entity::{InviteId, InviteStatus, Millis, TenantId, event, invite};

use super::{Invites, list};
use crate::{
    config::settings,
    domain::{Refusal, Scope, invite::status_at},
    identity::Call,
    store,
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Millis,
    /// What, such as `invite.created`.
    pub kind: String,
    /// Who did it: a user id, `key:<id>`, `operator` or `system`.
    pub actor: String,
    /// Further facts, as JSON text.
    pub data: Option<String>,
}

/// An invite and what happened to it, oldest first.
#[derive(Clone, Debug)]
pub struct History {
    /// The row.
    pub invite: invite::Model,
    /// Its status now.
    pub status: InviteStatus,
    /// What happened.
    pub lines: Vec<Line>,
}

/// The invite of this id in whatever tenant, and that tenant as configured now: for the operator only.
///
/// # Errors
/// [`Refusal::NotFound`] for an unknown id, and for a tenant that is not configured any more.
pub async fn find_any(
    invites: &Invites,
    id: InviteId,
) -> Result<(invite::Model, Arc<settings::Tenant>), Refusal> {
    let row = invites.store.look_up(async move |db| store::invites::find_for_link(&db, id).await).await?;
    let row = row.ok_or(Refusal::NotFound)?;
    let tenant = invites.registry.current().tenant(row.tenant_id).cloned().ok_or(Refusal::NotFound)?;
    Ok((row, tenant))
}

/// Invites of a tenant of any status, newest first: for the operator only.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database.
pub async fn recent(invites: &Invites, tenant: TenantId, limit: u64) -> Result<Vec<invite::Model>, Refusal> {
    Ok(invites.store.read(async move |db| store::invites::list_recent(&db, tenant, limit).await).await?)
}

/// What happened to an invite of this scope, for whoever may read it.
///
/// # Errors
/// As [`list::get`].
pub async fn of(invites: &Invites, call: Call, scope: Scope, id: InviteId) -> Result<History, Refusal> {
    let row = list::get(invites, call, scope, id).await?;
    history(invites, row).await
}

/// What happened to an invite. Who may know is the caller's to judge.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database.
pub async fn history(invites: &Invites, invite: invite::Model) -> Result<History, Refusal> {
    let (tenant, id) = (invite.tenant_id, invite.id);
    let events = invites.store.read(async move |db| store::events::of_invite(&db, tenant, id).await).await?;
    Ok(told(invite, events, invites.store.clock().now()))
}

fn told(invite: invite::Model, events: Vec<event::Model>, now: Millis) -> History {
    let status = status_at(&invite, now);
    let mut lines: Vec<Line> = events
        .into_iter()
        .map(|event| Line { at: event.at, kind: event.kind, actor: event.actor, data: event.data })
        .collect();
    // a row stored as `expired` had run out as well, before a newer invite closed it
    if status == InviteStatus::Expired {
        lines.push(Line {
            at: invite.expires_at,
            kind: "invite.expired".to_owned(),
            actor: "system".to_owned(),
            data: None,
        });
    }
    History { invite, status, lines }
}
