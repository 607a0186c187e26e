//! The table `outbox`: mails queued, claimed with a lease and given back. Claiming never looks at the length
//! of a queue: it steps from tenant to tenant over the index of queued rows and takes a share of each, so
//! that fifty thousand mails of one tenant hide no other's. What became of a mail is in `deliveries`.
//!
//! The partial indexes serve only statements that spell `state = 'queued'` out, hence the hand-written ones.

use entity::{InviteId, Millis, OutboxId, OutboxState, TenantId, outbox};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, ExprTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select, Statement, Value,
    sea_query::{Expr, Func, LockBehavior, LockType, OnConflict, SimpleExpr},
};
use uuid::Uuid;

use super::{
    Rows,
    text::{Inserts, Text},
};

/// Tenants looked at by one walk.
pub const WALK: usize = 256;

/// Which mail of its invite a row is; 0 if its key is not of the form `<invite>:<number>`.
#[must_use]
pub fn number(row: &outbox::Model) -> i32 {
    row.dedupe_key.rsplit_once(':').and_then(|(_, number)| number.parse().ok()).unwrap_or_default()
}

/// Queues mails, in the transaction of the change that owes them. A mail queued already (its key says so) is
/// left as it is.
///
/// # Errors
/// As any statement.
pub async fn append(conn: &impl ConnectionTrait, mails: Vec<outbox::Model>) -> Result<(), DbErr> {
    static INSERTS: Inserts = Inserts::new();
    let queued_already = OnConflict::new().do_nothing().to_owned();
    INSERTS.add::<outbox::Entity>(conn, mails, Some(&queued_already)).await.map(drop)
}

/// A tenant with queued mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Waiting {
    /// The tenant.
    pub tenant_id: TenantId,
    /// When its first queued mail is due.
    pub first_at: Millis,
}

/// Steps over tenants with queued mails in order of their ids, after the given one, at most [`WALK`] of them.
/// Fewer than that means that there are no more.
///
/// # Errors
/// As any statement.
pub async fn waiting(conn: &impl ConnectionTrait, after: Option<TenantId>) -> Result<Vec<Waiting>, DbErr> {
    const SQL: &str = "WITH RECURSIVE walk(tenant_id, step) AS ( \
           SELECT (SELECT tenant_id FROM outbox WHERE state = 'queued' AND tenant_id > $1 \
                   ORDER BY tenant_id LIMIT 1), 1 \
         UNION ALL \
           SELECT (SELECT o.tenant_id FROM outbox o WHERE o.state = 'queued' AND o.tenant_id > walk.tenant_id \
                   ORDER BY o.tenant_id LIMIT 1), walk.step + 1 \
             FROM walk WHERE walk.tenant_id IS NOT NULL AND walk.step < 256 \
         ) \
         SELECT tenant_id, (SELECT o.next_at FROM outbox o WHERE o.state = 'queued' \
                             AND o.tenant_id = walk.tenant_id ORDER BY o.next_at LIMIT 1) AS first_at \
           FROM walk WHERE tenant_id IS NOT NULL";
    let after = after.map_or(Uuid::nil(), |tenant| tenant.0);
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), SQL, [after.into()]);
    Waiting::find_by_statement(statement).all(conn).await
}

/// Terms of a claim.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// Fencing token: only who holds it settles.
    pub token: Uuid,
    /// Now.
    pub now: Millis,
    /// When others may take the mail over.
    pub until: Millis,
}

/// Claims up to `share` due mails of one tenant, in the order they are due. The attempt counts from here on,
/// so a mail that kills its sender is given up some day. Rows that another process is claiming are passed by.
///
/// # Errors
/// As any statement.
pub async fn claim(
    conn: &impl Rows,
    tenant: TenantId,
    share: usize,
    lease: Lease,
) -> Result<Vec<outbox::Model>, DbErr> {
    const PICK: &str = "WITH picked AS MATERIALIZED (SELECT id FROM outbox WHERE state = 'queued' \
         AND tenant_id = $1 AND next_at <= $2 ORDER BY next_at LIMIT $3";
    // by name: what is prepared as `*` fails once a newer binary has added a column
    const TAKE: &str = ") UPDATE outbox SET state = 'leased', attempts = attempts + 1, lease_until = $4, \
         lease_token = $5 WHERE id IN (SELECT id FROM picked) AND state = 'queued' RETURNING id, tenant_id, \
         invite_id, version, dedupe_key, state, attempts, next_at, lease_until, lease_token, last_error, \
         inserted_at, sent_at";
    let backend = conn.get_database_backend();
    let statement = Statement::from_sql_and_values(
        backend,
        format!("{PICK}{}{TAKE}", skip_locked(conn)),
        [
            tenant.into(),
            lease.now.into(),
            i64::try_from(share).unwrap_or(i64::MAX).into(),
            lease.until.into(),
            lease.token.into(),
        ],
    );
    let mut rows = conn.rows::<outbox::Entity>(statement).await?;
    rows.sort_by_key(|row| (row.next_at, row.id));
    Ok(rows)
}

/// A lease held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// The row.
    pub id: OutboxId,
    /// Its fencing token.
    pub token: Uuid,
}

fn held(update: sea_orm::UpdateMany<outbox::Entity>, lease: Held) -> sea_orm::UpdateMany<outbox::Entity> {
    update
        .filter(outbox::Column::Id.eq(lease.id))
        .filter(outbox::Column::State.eq(OutboxState::Leased))
        .filter(outbox::Column::LeaseToken.eq(lease.token))
}

/// What stands in place of a failure while a relay has taken a mail and nothing else has been written down yet.
const TAKEN: &str = "taken";

/// Notes that the relay has taken a mail whose lease is held. Needs no tenant's lock, so it comes ahead of all that is
/// told of it: should the sender die before that, whoever takes the mail over does not send it again.
///
/// # Errors
/// As any statement.
pub async fn note_taken(conn: &impl ConnectionTrait, lease: Held) -> Result<(), DbErr> {
    let noted = held(outbox::Entity::update_many(), lease).col_expr(outbox::Column::LastError, TAKEN.into());
    noted.exec(conn).await.map(drop)
}

/// Whether [`note_taken`] is all that was written down of a mail.
#[must_use]
pub fn is_taken(row: &outbox::Model) -> bool {
    row.last_error.as_deref() == Some(TAKEN)
}

/// An update of a row whose lease is held, which ends the lease: nothing is changed if somebody else has it.
pub(super) fn ending(lease: Held, state: OutboxState) -> sea_orm::UpdateMany<outbox::Entity> {
    held(outbox::Entity::update_many(), lease)
        .col_expr(outbox::Column::State, Expr::value(state))
        .col_expr(outbox::Column::LeaseUntil, Expr::value(None::<Millis>))
        .col_expr(outbox::Column::LeaseToken, Expr::value(None::<Uuid>))
}

/// What [`ending`] binds, with what the columns set after it bind.
pub(super) fn ending_values(
    lease: Held,
    state: OutboxState,
    further: impl IntoIterator<Item = Value>,
) -> Vec<Value> {
    let mut values = vec![state.into(), None::<Millis>.into(), None::<Uuid>.into()];
    values.extend(further);
    values.extend([lease.id.into(), OutboxState::Leased.into(), lease.token.into()]);
    values
}

/// Keeps leases while their mails are still being sent.
///
/// # Errors
/// As any statement.
pub async fn renew(conn: &impl ConnectionTrait, leases: &[Held], until: Millis) -> Result<(), DbErr> {
    for lease in leases {
        held(outbox::Entity::update_many(), *lease)
            .col_expr(outbox::Column::LeaseUntil, Expr::value(until))
            .exec(conn)
            .await?;
    }
    Ok(())
}

/// Gives claimed mails back untried, with their attempt.
///
/// # Errors
/// As any statement.
pub async fn release(conn: &impl ConnectionTrait, leases: &[Held]) -> Result<(), DbErr> {
    for lease in leases {
        ending(*lease, OutboxState::Queued)
            .col_expr(outbox::Column::Attempts, Expr::col(outbox::Column::Attempts).sub(1))
            .exec(conn)
            .await?;
    }
    Ok(())
}

/// Whether a lease has run out, so that [`reclaim`] is worth a write.
///
/// # Errors
/// As any statement.
pub async fn any_abandoned(conn: &impl ConnectionTrait, now: Millis) -> Result<bool, DbErr> {
    const SQL: &str = "SELECT 1 FROM outbox WHERE state = 'leased' AND lease_until < $1 LIMIT 1";
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), SQL, [now.into()]);
    Ok(conn.query_one_raw(statement).await?.is_some())
}

/// Queues mails again whose sender did not come back, at most a thousand; their attempt stays counted.
///
/// # Errors
/// As any statement.
pub async fn reclaim(conn: &impl ConnectionTrait, now: Millis) -> Result<u64, DbErr> {
    const PICK: &str = "WITH picked AS MATERIALIZED (SELECT id FROM outbox WHERE state = 'leased' \
         AND lease_until < $1 LIMIT 1000";
    const TAKE: &str = ") UPDATE outbox SET state = 'queued', lease_until = NULL, lease_token = NULL \
         WHERE id IN (SELECT id FROM picked) AND state = 'leased'";
    let sql = format!("{PICK}{}{TAKE}", skip_locked(conn));
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), sql, [now.into()]);
    Ok(conn.execute_raw(statement).await?.rows_affected())
}

/// Passes rows by that somebody else is at; SQLite has one writer and no such words.
fn skip_locked(conn: &impl ConnectionTrait) -> &'static str {
    if conn.get_database_backend() == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" }
}

/// Cancels queued mails of an invite, all or only those that carry an older link than `below_version`. With
/// all of them the invite's delivery becomes `cancelled`, unless its latest mail has left already.
///
/// # Errors
/// As any statement.
pub async fn cancel_for_invite(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    invite: InviteId,
    below_version: Option<i32>,
) -> Result<u64, DbErr> {
    static CANCEL_ALL: Text = Text::new();
    static CANCEL_OLDER: Text = Text::new();
    let mut values =
        vec![OutboxState::Cancelled.into(), invite.into(), tenant.into(), OutboxState::Queued.into()];
    values.extend(below_version.map(Into::into));
    let text = if below_version.is_some() { &CANCEL_OLDER } else { &CANCEL_ALL };
    let cancel = text.with(conn, values, |engine| {
        let mut update = outbox::Entity::update_many()
            .col_expr(outbox::Column::State, Expr::value(OutboxState::Cancelled))
            .filter(outbox::Column::InviteId.eq(invite))
            .filter(outbox::Column::TenantId.eq(tenant))
            .filter(outbox::Column::State.eq(OutboxState::Queued));
        if let Some(version) = below_version {
            update = update.filter(outbox::Column::Version.lt(version));
        }
        update.build(engine)
    });
    let cancelled = conn.execute_raw(cancel).await?.rows_affected();
    if cancelled > 0 && below_version.is_none() {
        super::deliveries::cancel(conn, tenant, invite).await?;
    }
    Ok(cancelled)
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Queued mails, due or not.
    pub queued: i64,
    /// When the oldest of them was queued.
    pub oldest: Option<Millis>,
}

/// How much waits, for the gauges. Reads the whole queue: not for every tick.
///
/// # Errors
/// As any statement.
pub async fn backlog(conn: &impl ConnectionTrait) -> Result<Backlog, DbErr> {
    const SQL: &str =
        "SELECT count(*) AS queued, min(inserted_at) AS oldest FROM outbox WHERE state = 'queued'";
    let statement = Statement::from_string(conn.get_database_backend(), SQL);
    let Some(row) = conn.query_one_raw(statement).await? else { return Ok(Backlog::default()) };
    Ok(Backlog { queued: row.try_get("", "queued")?, oldest: row.try_get("", "oldest")? })
}

/// Mails that ended in one of these states: sent by then, or queued by then where they were not sent; oldest first.
/// Ids begin with the time of their making, so the primary key finds them.
///
/// # Errors
/// As any statement.
pub async fn ended(
    conn: &impl ConnectionTrait,
    by: Millis,
    states: &[OutboxState],
    most: u64,
) -> Result<Vec<OutboxId>, DbErr> {
    ended_query(by, states, most).into_tuple().all(conn).await
}

/// The statement of [`ended`], for asking an engine how it carries it out.
#[must_use]
pub fn ended_statement(engine: DbBackend, by: Millis, states: &[OutboxState], most: u64) -> Statement {
    ended_query(by, states, most).build(engine)
}

fn ended_query(by: Millis, states: &[OutboxState], most: u64) -> Select<outbox::Entity> {
    let millis = u128::try_from(by.0.saturating_add(1)).unwrap_or_default();
    let first_later = OutboxId(Uuid::from_u128(millis << 80));
    let end = Func::coalesce([outbox::Column::SentAt, outbox::Column::InsertedAt].map(Expr::col));
    outbox::Entity::find()
        .select_only()
        .column(outbox::Column::Id)
        .filter(outbox::Column::Id.lt(first_later))
        .filter(outbox::Column::State.is_in(states.iter().copied()))
        .filter(SimpleExpr::from(end).lte(by))
        .order_by_asc(outbox::Column::Id)
        .limit(most)
}

/// Forgets those of these mails that are still in one of these states; tells how many. What somebody else is at is
/// left to them.
///
/// # Errors
/// As any statement.
pub async fn forget(
    conn: &impl ConnectionTrait,
    ids: Vec<OutboxId>,
    states: &[OutboxState],
) -> Result<u64, DbErr> {
    let free = outbox::Entity::find()
        .select_only()
        .column(outbox::Column::Id)
        .filter(outbox::Column::Id.is_in(ids))
        .filter(outbox::Column::State.is_in(states.iter().copied()))
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let forget = outbox::Entity::delete_many().filter(outbox::Column::Id.in_subquery(free.into_query()));
    Ok(forget.exec(conn).await?.rows_affected)
}

/// Cancels the mails of these invites that have not been claimed.
///
/// # Errors
/// As any statement.
pub async fn cancel_for_invites(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    invites: &[InviteId],
) -> Result<(), DbErr> {
    for chunk in super::constant_chunks(invites.to_vec()) {
        outbox::Entity::update_many()
            .col_expr(outbox::Column::State, Expr::value(OutboxState::Cancelled))
            .filter(outbox::Column::TenantId.eq(tenant))
            .filter(outbox::Column::InviteId.is_in(chunk.clone()))
            .filter(outbox::Column::State.eq(OutboxState::Queued))
            .exec(conn)
            .await?;
        super::invites::undelivered(conn, tenant, chunk).await?;
    }
    Ok(())
}

/// How many mails are in each state, of a tenant or of all. Reads the whole table: for the operator.
///
/// # Errors
/// As any statement.
pub async fn count_by_state(
    conn: &impl ConnectionTrait,
    tenant: Option<TenantId>,
) -> Result<Vec<(OutboxState, i64)>, DbErr> {
    let mut query = outbox::Entity::find()
        .select_only()
        .column(outbox::Column::State)
        .column_as(outbox::Column::Id.count(), "count")
        .group_by(outbox::Column::State)
        .order_by_asc(outbox::Column::State);
    if let Some(tenant) = tenant {
        query = query.filter(outbox::Column::TenantId.eq(tenant));
    }
    let counted: Vec<InState> = query.into_model().all(conn).await?;
    Ok(counted.into_iter().map(|counted| (counted.state, counted.count)).collect())
}

#[derive(FromQueryResult)]
struct InState {
    state: OutboxState,
    count: i64,
}
