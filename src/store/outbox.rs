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
