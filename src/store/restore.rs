//! What a database brought back from a dump must not carry on with: mails and answers of a time that went on
//! without it. Invites and keys are their use cases' to close.

use entity::{InviteId, Millis, OutboxState, TenantId, event, idempotency_record, invite, outbox};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use uuid::Uuid;

use super::{Store, StoreError};

/// Records forgotten by one transaction.
const RECORDS: u64 = 1000;

/// Pending invites of a tenant in order of making, after the given one, at most `limit`.
///
/// # Errors
/// As any statement.
pub async fn pending(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    after: Option<InviteId>,
    limit: u64,
) -> Result<Vec<invite::Model>, DbErr> {
    let mut query =
        invite::Entity::find().filter(invite::Column::TenantId.eq(tenant)).filter(super::invites::pending());
    if let Some(after) = after {
        query = query.filter(invite::Column::Id.gt(after));
    }
    query.order_by_asc(invite::Column::Id).limit(limit).all(conn).await
}

/// Cancels mails of these invites that have not left, those under way included: whoever was sending them when the
/// dump was made has long finished, and holds no lease any more.
///
/// # Errors
/// As any statement.
pub async fn cancel_mails(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    invites: &[InviteId],
) -> Result<u64, DbErr> {
    let mut cancelled = 0;
    for chunk in super::constant_chunks(invites.to_vec()) {
        let done = outbox::Entity::update_many()
            .col_expr(outbox::Column::State, Expr::value(OutboxState::Cancelled))
            .col_expr(outbox::Column::LeaseUntil, Expr::value(None::<Millis>))
            .col_expr(outbox::Column::LeaseToken, Expr::value(None::<Uuid>))
            .filter(outbox::Column::TenantId.eq(tenant))
            .filter(outbox::Column::InviteId.is_in(chunk.clone()))
            .filter(outbox::Column::State.is_in([OutboxState::Queued, OutboxState::Leased]))
            .exec(conn)
            .await?;
        cancelled += done.rows_affected;
        super::invites::undelivered(conn, tenant, chunk).await?;
    }
    Ok(cancelled)
}

/// When something last changed, as far as this database knows.
///
/// # Errors
/// As any statement.
pub async fn last_change(conn: &impl ConnectionTrait) -> Result<Option<Millis>, DbErr> {
    let latest = event::Entity::find()
        .select_only()
        .column_as(event::Column::At.max(), "at")
        .into_tuple::<Option<i64>>()
        .one(conn)
        .await?;
    Ok(latest.flatten().map(Millis))
}

/// How many changes are later than this.
///
/// # Errors
/// As any statement.
pub async fn changes_after(conn: &impl ConnectionTrait, at: Millis) -> Result<u64, DbErr> {
    event::Entity::find().filter(event::Column::At.gt(at)).count(conn).await
}

/// Forgets every answer kept for `Idempotency-Key`, a thousand at a time; gives how many. Some tell of what this
/// database does not know any more.
///
/// # Errors
/// [`StoreError::Unavailable`] without the database; what was forgotten by then is forgotten.
pub async fn forget_answers(store: &Store) -> Result<u64, StoreError> {
    let work = store.clone();
    let forgetting = store.runtime().spawn(async move {
        let mut forgotten = 0;
        loop {
            let some = forget_some(&work).await?;
            if some == 0 {
                return Ok(forgotten);
            }
            forgotten += some;
        }
    });
    forgetting.await.unwrap_or_else(|_| Err(StoreError::unavailable("the write was torn down")))
}

async fn forget_some(store: &Store) -> Result<u64, StoreError> {
    let tx = store.system_write().await?;
    let done = async {
        let ids: Vec<Vec<u8>> = idempotency_record::Entity::find()
            .select_only()
            .column(idempotency_record::Column::Id)
            .limit(RECORDS)
            .into_tuple()
            .all(tx.conn())
            .await?;
        let forget = idempotency_record::Entity::delete_many()
            .filter(idempotency_record::Column::Id.is_in(ids))
            .exec(tx.conn())
            .await?;
        Ok::<_, StoreError>(forget.rows_affected)
    }
    .await;
    match done {
        Ok(count) => tx.commit().await.map(|()| count),
        Err(error) => {
            tx.rollback().await;
            Err(error)
        }
    }
}
