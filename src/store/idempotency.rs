//! The table `idempotency_records`: answers kept for `Idempotency-Key`, sealed. A record's id says whose and for
//! what it is, its tenant included; it is read and written under that tenant's lock, so a second request with the
//! same key waits for the first.

use entity::{Millis, idempotency_record};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{LockBehavior, LockType},
};

use super::{
    Rows,
    text::{Inserts, Text},
};

/// The record of this id, also one past its end.
///
/// # Errors
/// As any statement.
pub async fn find(conn: &impl Rows, id: &[u8]) -> Result<Option<idempotency_record::Model>, DbErr> {
    static FIND: Text = Text::new();
    let found = FIND.with(conn, [id.to_vec().into()], |engine| {
        idempotency_record::Entity::find_by_id(id.to_vec()).build(engine)
    });
    conn.row::<idempotency_record::Entity>(found).await
}

/// Keeps an answer; there must be none of this id.
///
/// # Errors
/// As any statement; a unique constraint where another transaction was first.
pub async fn insert(conn: &impl ConnectionTrait, row: idempotency_record::Model) -> Result<(), DbErr> {
    static INSERTS: Inserts = Inserts::new();
    INSERTS.add::<idempotency_record::Entity>(conn, vec![row], None).await.map(drop)
}

/// Forgets one that no longer counts.
///
/// # Errors
/// As any statement.
pub async fn delete(conn: &impl ConnectionTrait, id: &[u8]) -> Result<(), DbErr> {
    idempotency_record::Entity::delete_by_id(id.to_vec()).exec(conn).await?;
    Ok(())
}

/// Ids of records past their end, the oldest first.
///
/// # Errors
/// As any statement.
pub async fn outdated(conn: &impl ConnectionTrait, now: Millis, most: u64) -> Result<Vec<Vec<u8>>, DbErr> {
    idempotency_record::Entity::find()
        .select_only()
        .column(idempotency_record::Column::Id)
        .filter(idempotency_record::Column::ExpiresAt.lte(now))
        .order_by_asc(idempotency_record::Column::ExpiresAt)
        .limit(most)
        .into_tuple()
        .all(conn)
        .await
}

/// Forgets those of them that are past their end still; tells how many. What somebody else is at is left to them.
///
/// # Errors
/// As any statement.
pub async fn prune(conn: &impl ConnectionTrait, ids: Vec<Vec<u8>>, now: Millis) -> Result<u64, DbErr> {
    let free = idempotency_record::Entity::find()
        .select_only()
        .column(idempotency_record::Column::Id)
        .filter(idempotency_record::Column::Id.is_in(ids))
        .filter(idempotency_record::Column::ExpiresAt.lte(now))
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let forget = idempotency_record::Entity::delete_many()
        .filter(idempotency_record::Column::Id.in_subquery(free.into_query()));
    Ok(forget.exec(conn).await?.rows_affected)
}
