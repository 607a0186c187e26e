//! The table `invites`: finders, and the guarded statements that decide. Each change of state is one UPDATE
//! whose WHERE repeats the whole precondition; no row changed means somebody else decided first, and the
//! caller reads again to say why.

mod ended;
pub mod listing;
mod lists;

use entity::{Delivery, InviteId, InviteStatus, Millis, TenantId, UserId, WorkspaceId, invite};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, SimpleExpr},
};

#[cfg(test)]
pub(super) use self::lists::finding_inbox;
pub use self::{
    ended::{ended, ended_statements, forget, forget_statements},
    lists::{PreviewRow, find_for_preview, inbox, list_recent},
};
use super::tx::Tx;
use crate::domain::Scope;

/// The invite of this id within the tenant.
///
/// # Errors
/// As any statement.
pub async fn find(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    id: InviteId,
) -> Result<Option<invite::Model>, DbErr> {
    invite::Entity::find_by_id(id).filter(invite::Column::TenantId.eq(tenant)).one(conn).await
}

/// The invite a link names, of whatever tenant: the caller proves the link with the row, and compares the
/// row's tenant with where it was asked.
///
/// # Errors
/// As any statement.
pub async fn find_for_link(
    conn: &impl ConnectionTrait,
    id: InviteId,
) -> Result<Option<invite::Model>, DbErr> {
    invite::Entity::find_by_id(id).one(conn).await
}

fn in_scope(tenant: TenantId, scope: Scope) -> Condition {
    let workspace = match scope {
        Scope::Org => invite::Column::WorkspaceId.is_null(),
        Scope::Workspace(id) => invite::Column::WorkspaceId.eq(id),
    };
    Condition::all().add(invite::Column::TenantId.eq(tenant)).add(workspace)
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
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    scope: Scope,
    email_norm: &str,
) -> Result<Option<invite::Model>, DbErr> {
    finding_pending_for(tenant, scope, email_norm).one(conn).await
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

/// Writes a new invite.
///
/// # Errors
/// As any statement; a second pending one for the same scope and address violates its constraint.
pub async fn insert(conn: &impl ConnectionTrait, row: invite::Model) -> Result<(), DbErr> {
    invite::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(conn).await?;
    Ok(())
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
    let mut update = invite::Entity::update_many()
        .col_expr(invite::Column::Status, Expr::value(InviteStatus::Accepted))
        .col_expr(invite::Column::AcceptedBy, Expr::value(who.user.clone()))
        .col_expr(invite::Column::AcceptedAt, tx.now_before_expr(Expr::col(invite::Column::ExpiresAt)))
        .col_expr(invite::Column::UpdatedAt, tx.now_expr())
        .filter(invite::Column::Id.eq(who.id))
        .filter(invite::Column::TenantId.eq(tenant))
        .filter(pending())
        .filter(Expr::col(invite::Column::ExpiresAt).gt(tx.now_expr()))
        .filter(invite::Column::EmailNorm.eq(who.email_norm));
    if let Some(version) = who.version {
        update = update.filter(invite::Column::Version.eq(version));
    }
    Ok(update.exec_with_returning(tx.conn()).await?.into_iter().next())
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
    let mut update = invite::Entity::update_many()
        .col_expr(invite::Column::Status, Expr::value(InviteStatus::Declined))
        .col_expr(invite::Column::Note, Expr::value(note.map(str::to_owned)))
        .col_expr(invite::Column::DeclinedAt, tx.now_expr())
        .col_expr(invite::Column::UpdatedAt, tx.now_expr())
        .filter(invite::Column::Id.eq(who.id))
        .filter(invite::Column::TenantId.eq(tenant))
        .filter(pending())
        .filter(Expr::col(invite::Column::ExpiresAt).gt(tx.now_expr()))
        .filter(invite::Column::EmailNorm.eq(who.email_norm));
    if let Some(version) = who.version {
        update = update.filter(invite::Column::Version.eq(version));
    }
    Ok(update.exec_with_returning(tx.conn()).await?.into_iter().next())
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
    let done = revoking(by, at)
        .filter(invite::Column::Id.eq(id))
        .filter(invite::Column::TenantId.eq(tenant))
        .filter(pending())
        .exec(conn)
        .await?;
    Ok(done.rows_affected == 1)
}

fn revoking(by: Option<&UserId>, at: Millis) -> sea_orm::UpdateMany<invite::Entity> {
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
        revoking(by, at)
            .filter(invite::Column::TenantId.eq(tenant))
            .filter(invite::Column::Id.is_in(chunk))
            .filter(pending())
            .exec(conn)
            .await?;
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
        .filter(invite::Column::TenantId.eq(tenant))
        .filter(invite::Column::Id.is_in(ids))
        .filter(invite::Column::Delivery.is_in([Delivery::Queued, Delivery::Retrying]))
        .exec(conn)
        .await?;
    Ok(())
}
