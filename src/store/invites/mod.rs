//! The table `invites`: finders, and the guarded statements that decide. Each change of state is one UPDATE
//! whose WHERE repeats the whole precondition; no row changed means somebody else decided first, and the
//! caller reads again to say why.

mod ended;
pub mod listing;
mod lists;

use entity::{Delivery, InviteId, InviteStatus, Millis, TenantId, UserId, WorkspaceId, invite};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait, Iterable, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, UpdateMany,
    sea_query::{Expr, Func, Query, SimpleExpr, UpdateStatement},
};

#[cfg(test)]
pub(super) use self::lists::finding_inbox;
pub use self::{
    ended::{ended, ended_statements, forget, forget_statements},
    lists::{PreviewRow, find_all, find_for_preview, inbox, list_recent, pending_among},
};
use super::{
    Rows,
    text::{Inserts, Text},
    tx::{Moment, Tx},
};
use crate::domain::Scope;

/// The invite of this id within the tenant.
///
/// # Errors
/// As any statement.
pub async fn find(conn: &impl Rows, tenant: TenantId, id: InviteId) -> Result<Option<invite::Model>, DbErr> {
    static FIND: Text = Text::new();
    let found = FIND.with(conn, [id.into(), tenant.into()], |engine| {
        invite::Entity::find_by_id(id).filter(invite::Column::TenantId.eq(tenant)).build(engine)
    });
    conn.row::<invite::Entity>(found).await
}

/// The invite a link names, of whatever tenant: the caller proves the link with the row, and compares the
/// row's tenant with where it was asked.
///
/// # Errors
/// As any statement.
pub async fn find_for_link(conn: &impl Rows, id: InviteId) -> Result<Option<invite::Model>, DbErr> {
    static FIND: Text = Text::new();
    let found = FIND.with(conn, [id.into()], |engine| invite::Entity::find_by_id(id).build(engine));
    conn.row::<invite::Entity>(found).await
}

fn in_scope(tenant: TenantId, scope: Scope) -> Condition {
    let workspace = match scope {
        Scope::Org => invite::Column::WorkspaceId.is_null(),
        Scope::Workspace(id) => invite::Column::WorkspaceId.eq(id),
    };
    Condition::all().add(invite::Column::TenantId.eq(tenant)).add(workspace)
}

/// These invites of the tenant, spelled so that no engine walks all that it has: their ids find them.
fn of_ids(tenant: TenantId, ids: &[InviteId]) -> Condition {
    let of_tenant = SimpleExpr::from(Func::coalesce([invite::Column::TenantId; 2].map(Expr::col))).eq(tenant);
    Condition::all().add(of_tenant).add(invite::Column::Id.is_in(ids.iter().copied()))
}

/// Spelled out, not bound: no engine takes a partial index on the word of a parameter.
pub(super) fn pending() -> SimpleExpr {
    Expr::col((invite::Entity, invite::Column::Status)).eq(SimpleExpr::Constant(InviteStatus::Pending.into()))
}

/// The pending row of an address in a scope, live or past its end; the schema allows one.
///
/// # Errors
/// As any statement.
pub async fn pending_for(
    conn: &impl Rows,
    tenant: TenantId,
    scope: Scope,
    email_norm: &str,
) -> Result<Option<invite::Model>, DbErr> {
    static INTO_ORG: Text = Text::new();
    static INTO_WORKSPACE: Text = Text::new();
    let build = |engine| finding_pending_for(tenant, scope, email_norm).build(engine);
    let found = match scope {
        Scope::Org => INTO_ORG.with(conn, [tenant.into(), email_norm.into()], build),
        Scope::Workspace(id) => {
            INTO_WORKSPACE.with(conn, [tenant.into(), id.into(), email_norm.into()], build)
        }
    };
    conn.row::<invite::Entity>(found).await
}

/// The statement of [`pending_for`].
pub(super) fn finding_pending_for(
    tenant: TenantId,
    scope: Scope,
    email_norm: &str,
) -> sea_orm::Select<invite::Entity> {
    invite::Entity::find()
        .filter(in_scope(tenant, scope))
        .filter(invite::Column::EmailNorm.eq(email_norm))
        .filter(pending())
}

/// Writes new invites.
///
/// # Errors
/// As any statement; a second pending one for the same scope and address violates its constraint.
pub async fn insert(conn: &impl ConnectionTrait, rows: Vec<invite::Model>) -> Result<(), DbErr> {
    static INSERTS: Inserts = Inserts::new();
    INSERTS.add::<invite::Entity>(conn, rows, None).await.map(drop)
}

/// Rewrites a pending row with what a re-invite, resend or edit decided, if it is still what they decided on.
///
/// # Errors
/// As any statement.
pub async fn rewrite_pending(conn: &impl ConnectionTrait, row: invite::Model) -> Result<bool, DbErr> {
    let done = invite::Entity::update_many()
        .col_expr(invite::Column::Role, Expr::value(row.role))
        .col_expr(invite::Column::Version, Expr::value(row.version))
        .col_expr(invite::Column::Salt, Expr::value(row.salt))
        .col_expr(invite::Column::Kid, Expr::value(row.kid))
        .col_expr(invite::Column::Inviter, Expr::value(row.inviter))
        .col_expr(invite::Column::InviterKey, Expr::value(row.inviter_key))
        .col_expr(invite::Column::Message, Expr::value(row.message))
        .col_expr(invite::Column::Locale, Expr::value(row.locale))
        .col_expr(invite::Column::Delivery, Expr::value(row.delivery))
        .col_expr(invite::Column::DeliveryDetail, Expr::value(row.delivery_detail))
        .col_expr(invite::Column::Mails, Expr::value(row.mails))
        .col_expr(invite::Column::MailedAt, Expr::value(row.mailed_at))
        .col_expr(invite::Column::ExpiresAt, Expr::value(row.expires_at))
        .col_expr(invite::Column::UpdatedAt, Expr::value(row.updated_at))
        .filter(invite::Column::Id.eq(row.id))
        .filter(invite::Column::TenantId.eq(row.tenant_id))
        .filter(pending())
        .exec(conn)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Who accepts which link.
#[derive(Clone, Copy, Debug)]
pub struct Acceptance<'a> {
    /// The invite.
    pub id: InviteId,
    /// Version of the presented link; `None` when accepted by id.
    pub version: Option<i32>,
    /// Address of the credential.
    pub email_norm: &'a str,
    /// The person.
    pub user: &'a UserId,
}

/// The statement that decides an acceptance: tenant, status, expiry, version and address all in its WHERE,
/// the clock read while it runs. `None`: nothing was changed.
///
/// # Errors
/// As any statement.
pub async fn accept(tx: &Tx, tenant: TenantId, who: Acceptance<'_>) -> Result<Option<invite::Model>, DbErr> {
    static BY_LINK: Text = Text::new();
    static BY_ID: Text = Text::new();
    let now = tx.moment();
    let mut values = vec![InviteStatus::Accepted.into(), who.user.clone().into()];
    values.extend(now.before_values());
    values.extend([now.value(), who.id.into(), tenant.into(), now.value(), who.email_norm.into()]);
    values.extend(who.version.map(Into::into));
    let text = if who.version.is_some() { &BY_LINK } else { &BY_ID };
    let accepted = text.with(tx.conn(), values, |engine| {
        let end = Expr::col(invite::Column::ExpiresAt);
        let update = invite::Entity::update_many()
            .col_expr(invite::Column::Status, Expr::value(InviteStatus::Accepted))
            .col_expr(invite::Column::AcceptedBy, Expr::value(who.user.clone()))
            .col_expr(invite::Column::AcceptedAt, now.before(end))
            .col_expr(invite::Column::UpdatedAt, now.expr());
        engine.build(&answering(update, tenant, who, &now))
    });
    tx.conn().row::<invite::Entity>(accepted).await
}

/// Declines, under the same guards as accepting.
///
/// # Errors
/// As any statement.
pub async fn decline(
    tx: &Tx,
    tenant: TenantId,
    who: Acceptance<'_>,
    note: Option<&str>,
) -> Result<Option<invite::Model>, DbErr> {
    let now = tx.moment();
    let update = invite::Entity::update_many()
        .col_expr(invite::Column::Status, Expr::value(InviteStatus::Declined))
        .col_expr(invite::Column::Note, Expr::value(note.map(str::to_owned)))
        .col_expr(invite::Column::DeclinedAt, now.expr())
        .col_expr(invite::Column::UpdatedAt, now.expr());
    let declined = tx.conn().get_database_backend().build(&answering(update, tenant, who, &now));
    tx.conn().row::<invite::Entity>(declined).await
}

/// The guards of both answers, and the row as it becomes.
fn answering(
    update: UpdateMany<invite::Entity>,
    tenant: TenantId,
    who: Acceptance<'_>,
    now: &Moment,
) -> UpdateStatement {
    let mut update = update
        .filter(invite::Column::Id.eq(who.id))
        .filter(invite::Column::TenantId.eq(tenant))
        .filter(pending())
        .filter(Expr::col(invite::Column::ExpiresAt).gt(now.expr()))
        .filter(invite::Column::EmailNorm.eq(who.email_norm));
    if let Some(version) = who.version {
        update = update.filter(invite::Column::Version.eq(version));
    }
    let mut statement = update.into_query();
    statement.returning(Query::returning().columns(invite::Column::iter()));
    statement
}

/// Revokes a pending invite, also one past its end.
///
/// # Errors
/// As any statement.
pub async fn revoke(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    id: InviteId,
    by: Option<&UserId>,
    at: Millis,
) -> Result<bool, DbErr> {
    static REVOKE: Text = Text::new();
    let values =
        [InviteStatus::Revoked.into(), by.cloned().into(), at.into(), at.into(), id.into(), tenant.into()];
    let revoke = REVOKE.with(conn, values, |engine| {
        let update = revoking(by, at)
            .filter(invite::Column::Id.eq(id))
            .filter(invite::Column::TenantId.eq(tenant))
            .filter(pending());
        update.build(engine)
    });
    Ok(conn.execute_raw(revoke).await?.rows_affected() == 1)
}

fn revoking(by: Option<&UserId>, at: Millis) -> UpdateMany<invite::Entity> {
    invite::Entity::update_many()
        .col_expr(invite::Column::Status, Expr::value(InviteStatus::Revoked))
        .col_expr(invite::Column::RevokedBy, Expr::value(by.cloned()))
        .col_expr(invite::Column::RevokedAt, Expr::value(at))
        .col_expr(invite::Column::UpdatedAt, Expr::value(at))
}

/// Closes a pending row past its end, so that a new one can be made for the same address.
///
/// # Errors
/// As any statement.
pub async fn close_expired(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    id: InviteId,
    at: Millis,
) -> Result<bool, DbErr> {
    let done = invite::Entity::update_many()
        .col_expr(invite::Column::Status, Expr::value(InviteStatus::Expired))
        .col_expr(invite::Column::ExpiredAt, Expr::value(at))
        .col_expr(invite::Column::UpdatedAt, Expr::value(at))
        .filter(invite::Column::Id.eq(id))
        .filter(invite::Column::TenantId.eq(tenant))
        .filter(pending())
        .filter(invite::Column::ExpiresAt.lte(at))
        .exec(conn)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Pending invites that this person sent in the tenant, in order of making, after the given one, at most `limit`.
///
/// # Errors
/// As any statement.
pub async fn pending_sent_by(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    inviter: &UserId,
    after: Option<InviteId>,
    limit: u64,
) -> Result<Vec<invite::Model>, DbErr> {
    let mut query = invite::Entity::find()
        .filter(invite::Column::TenantId.eq(tenant))
        .filter(invite::Column::Inviter.eq(inviter.clone()))
        .filter(pending());
    if let Some(after) = after {
        query = query.filter(invite::Column::Id.gt(after));
    }
    query.order_by_asc(invite::Column::Id).limit(limit).all(conn).await
}

/// Pending invites to this address in the tenant.
///
/// # Errors
/// As any statement.
pub async fn pending_to(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    email_norm: &str,
) -> Result<Vec<invite::Model>, DbErr> {
    invite::Entity::find()
        .filter(invite::Column::EmailNorm.eq(email_norm))
        .filter(invite::Column::TenantId.eq(tenant))
        .filter(pending())
        .all(conn)
        .await
}

/// Revokes these pending rows in one statement.
///
/// # Errors
/// As any statement.
pub async fn revoke_all(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    ids: &[InviteId],
    by: Option<&UserId>,
    at: Millis,
) -> Result<(), DbErr> {
    for chunk in super::constant_chunks(ids.to_vec()) {
        revoking(by, at).filter(of_ids(tenant, &chunk)).filter(pending()).exec(conn).await?;
    }
    Ok(())
}

/// Ids of the pending invites into a workspace.
///
/// # Errors
/// As any statement.
pub async fn pending_in(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    workspace: WorkspaceId,
) -> Result<Vec<InviteId>, DbErr> {
    let rows = invite::Entity::find()
        .filter(in_scope(tenant, Scope::Workspace(workspace)))
        .filter(pending())
        .order_by_asc(invite::Column::Id)
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Notes that what was still to be mailed for these invites will not be.
///
/// # Errors
/// As any statement.
pub(super) async fn undelivered(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    ids: Vec<InviteId>,
) -> Result<(), DbErr> {
    invite::Entity::update_many()
        .col_expr(invite::Column::Delivery, Expr::value(Delivery::Cancelled))
        .filter(of_ids(tenant, &ids))
        .filter(invite::Column::Delivery.is_in([Delivery::Queued, Delivery::Retrying]))
        .exec(conn)
        .await?;
    Ok(())
}
