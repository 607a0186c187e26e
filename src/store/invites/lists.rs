//! What is read of invites besides the lists of [`super::listing`]: the operator's list, the inbox, the row of a preview
//! with its names, and what a batch of commands asks for at once.

use entity::{InviteId, Millis, TenantId, invite};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select,
    sea_query::{Expr, Query},
};

use super::{find_for_link, in_scope, of_ids, pending};
use crate::{
    domain::Scope,
    store::{
        Rows, filled_chunks,
        text::{ASKED, Sizes, asking_each},
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

/// Those of these addresses that have a pending row in the scope, live or past its end, in no order.
///
/// # Errors
/// As any statement.
pub async fn pending_among(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    scope: Scope,
    emails: &[String],
) -> Result<Vec<String>, DbErr> {
    static INTO_ORG: Sizes = Sizes::new();
    static INTO_WORKSPACE: Sizes = Sizes::new();
    let texts = if scope == Scope::Org { &INTO_ORG } else { &INTO_WORKSPACE };
    let mut found_pending = Vec::new();
    for chunk in filled_chunks(emails) {
        let place = std::iter::once(tenant.into()).chain(scope.workspace().map(Into::into));
        let values = chunk.iter().map(|email| email.as_str().into()).chain(place);
        let found = texts.of(chunk.len())?.with(conn, values, |engine| {
            let one = Query::select()
                .column(invite::Column::Id)
                .from(invite::Entity)
                .cond_where(in_scope(tenant, scope))
                .and_where(Expr::col(invite::Column::EmailNorm).equals(ASKED))
                .and_where(pending())
                .to_owned();
            engine.build(&asking_each(chunk.iter().map(String::as_str), one))
        });
        for row in conn.query_all_raw(found).await? {
            found_pending.push(row.try_get_by_index(0)?);
        }
    }
    Ok(found_pending)
}
