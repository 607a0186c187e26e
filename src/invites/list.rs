//! Reading invites: the pending ones of a scope, and one by id in any state.

use entity::{InviteId, invite};

use super::{Invites, revoke::may_reach, scope_of};
use crate::{
    domain::{Permission, Refusal, Scope},
    identity::Call,
    store::{self, invites::ListPending},
};

/// Most rows one answer holds.
pub const MOST: u64 = 10_000;

/// A page of invites.
#[derive(Clone, Debug)]
pub struct Page {
    /// In order of making.
    pub invites: Vec<invite::Model>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins.
    pub next: Option<InviteId>,
}

/// The live pending invites of a scope: all of them with the right to read, otherwise those the caller sent.
///
/// # Errors
/// 404 for strangers; 403 for members without the right who sent none.
pub async fn list(
    invites: &Invites,
    call: Call,
    scope: Scope,
    after: Option<InviteId>,
    limit: u64,
) -> Result<Page, Refusal> {
    call.principal.require_scope("invites:read")?;
    let now = invites.store.clock().now();
    let limit = limit.clamp(1, MOST);
    let (reader, rows, total) = invites
        .store
        .read(move |db| async move {
            let tenant = call.tenant.id;
            let there = match scope.workspace() {
                Some(id) => store::workspaces::find(&db, tenant, id).await?.is_some(),
                None => true,
            };
            let standing = call.standing(&db, scope.workspace()).await?;
            if !there || call.require_member(standing).is_err() {
                return Ok((None, vec![], 0));
            }
            let all = call.principal.system_admin
                || standing.may(Permission::Read, scope, &call.tenant.invites.permissions);
            let sent_by = if all { None } else { call.user_id().cloned() };
            if !all && sent_by.is_none() {
                return Ok((Some(false), vec![], 0));
            }
            let wanted = ListPending { scope, sent_by, now, after, limit: limit + 1 };
            let (rows, total) = store::invites::list_pending(&db, tenant, &wanted).await?;
            Ok((Some(all), rows, total))
        })
        .await?;
    match reader {
        None => Err(Refusal::NotFound),
        Some(false) if total == 0 => Err(Refusal::Forbidden("only admins may list invitations here")),
        Some(_) => {
            let most = usize::try_from(limit).unwrap_or(usize::MAX);
            let more = rows.len() > most;
            let invites: Vec<_> = rows.into_iter().take(most).collect();
            let next = invites.last().filter(|_| more).map(|row| row.id);
            Ok(Page { invites, total, next })
        }
    }
}

/// One invite of the scope, in any state.
///
/// # Errors
/// 404 for strangers and foreign ids, 403 for members without the right who did not send it.
pub async fn get(
    invites: &Invites,
    call: Call,
    scope: Scope,
    id: InviteId,
) -> Result<invite::Model, Refusal> {
    call.principal.require_scope("invites:read")?;
    invites
        .store
        .read(move |db| async move {
            let standing = call.standing(&db, scope.workspace()).await?;
            if let Err(refusal) = call.require_member(standing) {
                return Ok(Err(refusal));
            }
            let row = store::invites::find(&db, call.tenant.id, id).await?;
            let Some(row) = row.filter(|row| scope_of(row) == scope) else {
                return Ok(Err(Refusal::NotFound));
            };
            Ok(if may_reach(&call.into(), standing, &row, Permission::Read) {
                Ok(row)
            } else {
                Err(Refusal::Forbidden("only admins and whoever sent it may read it"))
            })
        })
        .await?
}
