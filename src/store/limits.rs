//! The table `limit_counters`: counts within one tenant and window, under the tenant's lock, so that they
//! agree across replicas and survive a restart.

use entity::{Millis, TenantId, limit_counter};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait, InsertMany,
    IntoActiveModel, Iterable, ModelTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, LockBehavior, LockType, OnConflict},
};

use super::{Rows, text::Text};

/// Counters that one command may have.
const MOST_KINDS: usize = 4;

/// What one command adds to each of its counters.
const MORE: i64 = 1;

/// The texts of one statement for so many counters.
type Kinds = [Text; MOST_KINDS + 1];

fn text_of<'a>(texts: &'a Kinds, counters: &[&Counter]) -> Result<&'a Text, DbErr> {
    texts.get(counters.len()).ok_or_else(|| DbErr::Custom("more counters than there are kinds".to_owned()))
}

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
    conn: &impl Rows,
    tenant: TenantId,
    counters: &[&Counter],
    now: Millis,
) -> Result<Vec<i64>, DbErr> {
    if counters.is_empty() {
        return Ok(Vec::new());
    }
    static USED: Kinds = [const { Text::new() }; MOST_KINDS + 1];
    let since = |counter: &Counter| Millis(counter.start(now) - counter.window);
    let values = counters.iter().flat_map(|counter| {
        [counter.kind.into(), counter.subject.as_str().into(), since(counter).into(), tenant.into()]
    });
    let found = text_of(&USED, counters)?.with(conn, values, |engine| {
        let any = counters.iter().fold(Condition::any(), |any, counter| {
            let one = Condition::all()
                .add(limit_counter::Column::Kind.eq(counter.kind))
                .add(limit_counter::Column::Subject.eq(counter.subject.as_str()))
                .add(limit_counter::Column::WindowStart.gte(since(counter)));
            any.add(one.add(limit_counter::Column::TenantId.eq(tenant)))
        });
        limit_counter::Entity::find().filter(any).build(engine)
    });
    let rows = conn.rows::<limit_counter::Entity>(found).await?;
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
    static COUNT: Kinds = [const { Text::new() }; MOST_KINDS + 1];
    let row = |counter: &Counter| limit_counter::Model {
        tenant_id: tenant,
        kind: counter.kind.to_owned(),
        subject: counter.subject.clone(),
        window_start: Millis(counter.start(now)),
        used: MORE,
    };
    let rows: Vec<_> = counters.iter().map(|counter| row(counter)).collect();
    let values = rows.iter().flat_map(|row| limit_counter::Column::iter().map(|column| row.get(column)));
    let values = values.chain([MORE.into()]);
    let count = text_of(&COUNT, counters)?.with(conn, values, |engine| counting(&rows).build(engine));
    conn.execute_raw(count).await.map(drop)
}

fn counting(rows: &[limit_counter::Model]) -> InsertMany<limit_counter::ActiveModel> {
    let more = OnConflict::columns([
        limit_counter::Column::TenantId,
        limit_counter::Column::Kind,
        limit_counter::Column::Subject,
        limit_counter::Column::WindowStart,
    ])
    .value(
        limit_counter::Column::Used,
        Expr::col((limit_counter::Entity, limit_counter::Column::Used)).add(MORE),
    )
    .to_owned();
    let rows = rows.iter().map(|row| row.clone().into_active_model().reset_all());
    limit_counter::Entity::insert_many(rows).on_conflict(more)
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
