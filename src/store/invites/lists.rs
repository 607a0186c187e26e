//! What is shown of invites: the lists, the inbox, and the row of a preview with its names.

use entity::{InviteId, Millis, TenantId, UserId, invite};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::{find_for_link, in_scope, pending};
use crate::domain::Scope;

/// Which live pending invites a list shows.
#[derive(Clone, Debug)]
pub struct ListPending {
    /// Where.
    pub scope: Scope,
    /// Only those this person sent.
    pub sent_by: Option<UserId>,
    /// Still alive at this time.
    pub now: Millis,
    /// Rows after this id.
    pub after: Option<InviteId>,
    /// At most so many.
    pub limit: u64,
}

fn live(tenant: TenantId, list: &ListPending) -> Select<invite::Entity> {
    let mut query = invite::Entity::find()
        .filter(in_scope(tenant, list.scope))
        .filter(pending())
        .filter(invite::Column::ExpiresAt.gt(list.now));
    if let Some(sender) = &list.sent_by {
        query = query.filter(invite::Column::Inviter.eq(sender.clone()));
    }
    query
}

/// Live pending invites in order of making, and how many there are in all.
///
/// # Errors
/// As any statement.
pub async fn list_pending(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    list: &ListPending,
) -> Result<(Vec<invite::Model>, u64), DbErr> {
    use sea_orm::PaginatorTrait;

    let mut query = live(tenant, list);
    if let Some(after) = list.after {
        query = query.filter(invite::Column::Id.gt(after));
    }
    let rows = query.order_by_asc(invite::Column::Id).limit(list.limit).all(conn).await?;
    let complete = list.after.is_none() && u64::try_from(rows.len()).unwrap_or(u64::MAX) < list.limit;
    let total = if complete {
        u64::try_from(rows.len()).unwrap_or(u64::MAX)
    } else {
        live(tenant, list).count(conn).await?
    };
    Ok((rows, total))
}

/// Invites of the tenant of any status, newest first: the operator's list.
///
/// # Errors
/// As any statement.
pub async fn list_recent(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    limit: u64,
) -> Result<Vec<invite::Model>, DbErr> {
    invite::Entity::find()
        .filter(invite::Column::TenantId.eq(tenant))
        .order_by_desc(invite::Column::Id)
        .limit(limit)
        .all(conn)
        .await
}

/// What a preview is made of: facts of the row, never computed flags.
#[derive(Clone, Debug)]
pub struct PreviewRow {
    /// The row.
    pub invite: invite::Model,
    /// Name of the inviter, if known.
    pub inviter_name: Option<String>,
    /// Name of the workspace.
    pub workspace_name: Option<String>,
}

/// The invite a link names, with the names a preview shows.
///
/// # Errors
/// As any statement.
pub async fn find_for_preview(
    conn: &impl ConnectionTrait,
    id: InviteId,
) -> Result<Option<PreviewRow>, DbErr> {
    let Some(invite) = find_for_link(conn, id).await? else { return Ok(None) };
    let inviter_name = match &invite.inviter {
        Some(inviter) => super::super::users::find(conn, inviter).await?.and_then(|user| user.name),
        None => None,
    };
    let workspace_name = match invite.workspace_id {
        Some(workspace) => {
            super::super::workspaces::find(conn, invite.tenant_id, workspace).await?.map(|w| w.name)
        }
        None => None,
    };
    Ok(Some(PreviewRow { invite, inviter_name, workspace_name }))
}

/// Live pending invites to an address, of whatever tenant, in order of making: the inbox. Whoever asks shows
/// only those of tenants that the caller may see.
///
/// # Errors
/// As any statement.
pub async fn inbox(
    conn: &impl ConnectionTrait,
    email_norm: &str,
    tenants: &[TenantId],
    now: Millis,
    limit: u64,
) -> Result<Vec<invite::Model>, DbErr> {
    let mut query = invite::Entity::find()
        .filter(invite::Column::EmailNorm.eq(email_norm))
        .filter(pending())
        .filter(invite::Column::ExpiresAt.gt(now));
    // beyond that the list is longer than what it would leave out
    if tenants.len() <= 100 {
        query = query.filter(invite::Column::TenantId.is_in(tenants.iter().copied()));
    }
    query.order_by_asc(invite::Column::Id).limit(limit).all(conn).await
}
