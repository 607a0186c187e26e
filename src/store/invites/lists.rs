//! What is read of invites besides the lists of [`super::listing`]: the operator's list, the inbox, the row of a preview
//! with its names, and what a batch of commands asks for at once.

use std::collections::HashSet;

use entity::{InviteId, Millis, TenantId, invite};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select, Value,
    sea_query::{Expr, Query, SelectStatement},
};

use super::{find_for_link, of_ids, pending};
use crate::{
    domain::Scope,
    store::{
        Rows, filled_chunks,
        text::{Asked, Asking, Sizes, found},
    },
};

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
pub async fn find_for_preview(conn: &impl Rows, id: InviteId) -> Result<Option<PreviewRow>, DbErr> {
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
    conn: &impl Rows,
    email_norm: &str,
    tenants: &[TenantId],
    now: Millis,
    limit: u64,
) -> Result<Vec<invite::Model>, DbErr> {
    let found = finding_inbox(email_norm, tenants, now).limit(limit);
    conn.rows::<invite::Entity>(found.build(conn.get_database_backend())).await
}

/// The statement of [`inbox`]. The end is hidden from SQLite, which would rather walk all that ends later than look one
/// address up.
pub(in crate::store) fn finding_inbox(
    email_norm: &str,
    tenants: &[TenantId],
    now: Millis,
) -> Select<invite::Entity> {
    let mut query = invite::Entity::find()
        .filter(invite::Column::EmailNorm.eq(email_norm))
        .filter(pending())
        .filter(Expr::col(invite::Column::ExpiresAt).add(0).gt(now));
    // beyond that the list is longer than what it would leave out
    if tenants.len() <= 100 {
        query = query.filter(invite::Column::TenantId.is_in(tenants.iter().copied()));
    }
    query.order_by_asc(invite::Column::Id)
}

/// The invites of these ids within the tenant, in no order.
///
/// # Errors
/// As any statement.
pub async fn find_all(
    conn: &impl Rows,
    tenant: TenantId,
    ids: &[InviteId],
) -> Result<Vec<invite::Model>, DbErr> {
    static FIND: Sizes = Sizes::new();
    let mut rows = Vec::with_capacity(ids.len());
    for chunk in filled_chunks(ids) {
        let values = std::iter::once(tenant.into()).chain(chunk.iter().map(|id| (*id).into()));
        let found = FIND
            .of(chunk.len())?
            .with(conn, values, |engine| invite::Entity::find().filter(of_ids(tenant, &chunk)).build(engine));
        rows.extend(conn.rows::<invite::Entity>(found).await?);
    }
    Ok(rows)
}

/// The places of those of these addresses that have a pending row in their scope, live or past its end.
///
/// # Errors
/// As any statement.
pub async fn pending_among(
    conn: &impl ConnectionTrait,
    asked: &[(TenantId, Scope, String)],
) -> Result<HashSet<usize>, DbErr> {
    static INTO_ORG: Asking = Asking::new();
    static INTO_WORKSPACE: Asking = Asking::new();
    let (mut org, mut org_places) = (Vec::new(), Vec::new());
    let (mut workspace, mut workspace_places) = (Vec::new(), Vec::new());
    for (place, (tenant, scope, email)) in asked.iter().enumerate() {
        let (tenant, email) = (Value::from(*tenant), Value::from(email.as_str()));
        match scope.workspace() {
            None => {
                org.push([tenant, email]);
                org_places.push(place);
            }
            Some(id) => {
                workspace.push([tenant, email, id.into()]);
                workspace_places.push(place);
            }
        }
    }
    let is_pending = |within| found(pending_to_asked(within)).is_not_null();
    let org = INTO_ORG.each(conn, &org, |query| query.and_where(is_pending(None))).await?;
    let within = Some(Asking::THIRD);
    let workspace =
        INTO_WORKSPACE.each(conn, &workspace, |query| query.and_where(is_pending(within))).await?;
    let org = org.iter().filter_map(|(place, _)| org_places.get(*place));
    let workspace = workspace.iter().filter_map(|(place, _)| workspace_places.get(*place));
    Ok(org.chain(workspace).copied().collect())
}

/// The pending invite to the address that is a tuple's second value, of the tenant that is its first.
fn pending_to_asked(workspace: Option<Asked>) -> SelectStatement {
    let column = Expr::col(invite::Column::WorkspaceId);
    Query::select()
        .column(invite::Column::Id)
        .from(invite::Entity)
        .and_where(Expr::col(invite::Column::TenantId).equals(Asking::FIRST))
        .and_where(workspace.map_or(column.clone().is_null(), |asked| column.equals(asked)))
        .and_where(Expr::col(invite::Column::EmailNorm).equals(Asking::SECOND))
        .and_where(pending())
        .to_owned()
}
