//! The table `limit_counters`: counts within one tenant and window, under the tenant's lock, so that they
//! agree across replicas and survive a restart.

use entity::{Millis, TenantId, limit_counter};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    QueryTrait,
    sea_query::{Expr, LockBehavior, LockType, OnConflict},
};

/// What is counted, whose, and in which window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// `inviter`, `recipient`, `tenant` or `api_key`.
    pub kind: &'static str,
    /// Whose.
    pub subject: String,
    /// Length of the window in milliseconds, at least 1.
    pub window: i64,
}

impl Counter {
    fn start(&self, now: Millis) -> i64 {
        now.0 - now.0.rem_euclid(self.window)
    }

    fn used(&self, rows: &[limit_counter::Model], now: Millis) -> i64 {
        let start = self.start(now);
        let own = |row: &&limit_counter::Model| row.kind == self.kind && row.subject == self.subject;
        let at = |from: i64| {
            rows.iter().filter(own).filter(|row| row.window_start.0 == from).map(|row| row.used).sum::<i64>()
        };
        let remains = self.window - (now.0 - start);
        let previous = i128::from(at(start - self.window)) * i128::from(remains) / i128::from(self.window);
        at(start) + i64::try_from(previous).unwrap_or(i64::MAX)
    }
}

/// How much of each was used in its sliding window that ends now: that window's count, and the previous one's in
/// proportion to what of it still lies within. In the order of the counters, by one statement.
///
/// # Errors
/// As any statement.
pub async fn used(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    counters: &[&Counter],
    now: Millis,
) -> Result<Vec<i64>, DbErr> {
    if counters.is_empty() {
        return Ok(Vec::new());
    }
    let any = counters.iter().fold(Condition::any(), |any, counter| {
        let one = Condition::all()
            .add(limit_counter::Column::Kind.eq(counter.kind))
            .add(limit_counter::Column::Subject.eq(counter.subject.as_str()))
            .add(limit_counter::Column::WindowStart.gte(Millis(counter.start(now) - counter.window)));
        any.add(one.add(limit_counter::Column::TenantId.eq(tenant)))
    });
    let rows = limit_counter::Entity::find().filter(any).all(conn).await?;
    Ok(counters.iter().map(|counter| counter.used(&rows, now)).collect())
}

/// Counts one for each, by one statement.
///
/// # Errors
/// As any statement.
pub async fn count(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    counters: &[&Counter],
    now: Millis,
) -> Result<(), DbErr> {
    if counters.is_empty() {
        return Ok(());
    }
    let rows = counters.iter().map(|counter| limit_counter::ActiveModel {
        tenant_id: Set(tenant),
        kind: Set(counter.kind.to_owned()),
        subject: Set(counter.subject.clone()),
        window_start: Set(Millis(counter.start(now))),
        used: Set(1),
    });
    let more = OnConflict::columns([
        limit_counter::Column::TenantId,
        limit_counter::Column::Kind,
        limit_counter::Column::Subject,
        limit_counter::Column::WindowStart,
    ])
    .value(
        limit_counter::Column::Used,
        Expr::col((limit_counter::Entity, limit_counter::Column::Used)).add(1),
    )
    .to_owned();
    limit_counter::Entity::insert_many(rows).on_conflict(more).exec_without_returning(conn).await?;
    Ok(())
}

/// Which counter, without how much was counted.
pub type CounterId = (TenantId, String, String, Millis);

/// Counters of windows that began before this, in no order.
///
/// # Errors
/// As any statement.
pub async fn outdated(
    conn: &impl ConnectionTrait,
    before: Millis,
    most: u64,
) -> Result<Vec<CounterId>, DbErr> {
    let rows = limit_counter::Entity::find()
        .filter(limit_counter::Column::WindowStart.lt(before))
        .limit(most)
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.kind, row.subject, row.window_start)).collect())
}

/// Forgets these counters; tells how many there were. What somebody else is at is left to them.
///
/// # Errors
/// As any statement.
pub async fn prune(conn: &impl ConnectionTrait, counters: Vec<CounterId>) -> Result<u64, DbErr> {
    let columns = [
        limit_counter::Column::TenantId,
        limit_counter::Column::Kind,
        limit_counter::Column::Subject,
        limit_counter::Column::WindowStart,
    ];
    let key = || Expr::tuple(columns.map(Expr::col));
    let free = limit_counter::Entity::find()
        .select_only()
        .columns(columns)
        .filter(key().in_tuples(counters))
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let forget = limit_counter::Entity::delete_many().filter(key().in_subquery(free.into_query()));
    Ok(forget.exec(conn).await?.rows_affected)
}
