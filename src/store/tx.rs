//! Write transactions. Two functions open them and nothing else may: [`Store::tenant_write`] holds the
//! tenants' locks from its first statement on, [`Store::system_write`] holds none and is for claiming mail and
//! pruning. On SQLite both are IMMEDIATE: a deferred one fails with "locked" as soon as two run.

use std::time::Instant;

use entity::{Millis, TenantId, tenant};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExprTrait, Statement, TransactionTrait, Value,
    sea_query::{CommonTableExpression, Expr, Func, LockType, Order, Query, SimpleExpr, WithQuery},
};

use super::{
    Store, StoreError,
    commits::Commits,
    conn::{Conn, Side},
    connect::Write,
    error::READ_ONLY,
    health::Health,
    text::Text,
};
use crate::domain::{Clock, clock::millis_of};

/// The time of PostgreSQL at this moment, in milliseconds.
const CLOCK: &str = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// An open write transaction (or a savepoint in one).
pub struct Tx {
    conn: Conn,
    clock: Clock,
    health: Health,
    /// When the tenants' locks were had, by the clock that decides and by this process's own; `None` without a lock, and
    /// where both are one.
    locked_at: Option<(Millis, Instant)>,
    /// The tenants whose locks it holds, and who is told when it has committed; a savepoint tells nobody.
    tells: Option<(Commits, Vec<TenantId>)>,
}

impl Store {
    /// A transaction that holds the locks of these tenants, taken in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the lock is not had within a second.
    pub async fn tenants_write(&self, tenants: &[TenantId]) -> Result<Tx, StoreError> {
        let mut tx = self.begin().await?;
        tx.tells = Some((self.inner.commits.clone(), tenants.to_vec()));
        if self.is_postgres() {
            match self.inner.health.step(lock(&tx.conn, tenants)).await {
                Ok(at) => tx.locked_at = Some((at, Instant::now())),
                Err(error) => {
                    tx.rollback().await;
                    return Err(error);
                }
            }
        }
        Ok(tx)
    }

    /// [`Store::tenants_write`] for one tenant.
    ///
    /// # Errors
    /// As there.
    pub async fn tenant_write(&self, tenant: TenantId) -> Result<Tx, StoreError> {
        self.tenants_write(&[tenant]).await
    }

    /// A transaction without a tenant's lock: claiming mail, pruning. Never for invites or events.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn system_write(&self) -> Result<Tx, StoreError> {
        self.begin().await
    }

    async fn begin(&self) -> Result<Tx, StoreError> {
        let health = self.inner.health.clone();
        let side = match &self.inner.write {
            Write::Postgres(pool) => Side::Postgres(health.step(pool.begin()).await?),
            Write::Sqlite(writer, _) => Side::Sqlite(writer.begin().await?),
        };
        let conn = Conn::new(side, self.inner.statements.clone());
        Ok(Tx { conn, clock: self.inner.clock.clone(), health, locked_at: None, tells: None })
    }
}

/// Waits for the locks of these tenants, and tells the time when they were had: one statement, whose outer part is asked
/// when its inner one has given all its rows.
async fn lock(conn: &Conn, tenants: &[TenantId]) -> Result<Millis, DbErr> {
    static LOCK: Text = Text::new();
    let build = |engine: DbBackend| engine.build(&locking(tenants));
    let lock = match tenants {
        [one] => LOCK.with(conn, [(*one).into()], build),
        _ => build(conn.get_database_backend()),
    };
    let row = conn.query_one_raw(lock).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?;
    Ok(Millis(row.try_get_by_index(0)?))
}

fn locking(tenants: &[TenantId]) -> WithQuery {
    let held = Query::select()
        .column(tenant::Column::Id)
        .from(tenant::Entity)
        .and_where(Expr::col(tenant::Column::Id).is_in(tenants.iter().copied()))
        .order_by(tenant::Column::Id, Order::Asc)
        .lock(LockType::NoKeyUpdate)
        .to_owned();
    let held = CommonTableExpression::new().query(held).table_name("held").materialized(true).to_owned();
    Query::select()
        .expr(Expr::cust(CLOCK))
        .expr(Expr::cust("count(*)"))
        .from("held")
        .to_owned()
        .with(Query::with().cte(held).to_owned())
}

impl Tx {
    /// The connection, for the functions of the store.
    #[must_use]
    pub fn conn(&self) -> &Conn {
        &self.conn
    }

    /// Now, by the clock that decides: on PostgreSQL the database's, as it was when the lock was had, and what has passed
    /// since; where there is no lock, asked anew. On SQLite this process's.
    ///
    /// # Errors
    /// As any statement.
    pub async fn now(&self) -> Result<Millis, StoreError> {
        if self.conn.get_database_backend() != DbBackend::Postgres {
            return Ok(self.clock.now());
        }
        if let Some((at, then)) = self.locked_at {
            return Ok(at.plus(millis_of(then.elapsed())).plus(self.clock.offset_millis()));
        }
        let sql = format!("SELECT {CLOCK}, current_setting('transaction_read_only') = 'on'");
        let row = self.conn.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        let Some(row) = row else { return Err(StoreError::unavailable("the database told no time")) };
        let (at, read_only): (i64, bool) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if read_only {
            self.health.suspect();
            return Err(StoreError::unavailable(READ_ONLY));
        }
        Ok(Millis(at).plus(self.clock.offset_millis()))
    }

    /// Now, for a deciding statement to read.
    #[must_use]
    pub fn moment(&self) -> Moment {
        if self.conn.get_database_backend() == DbBackend::Postgres {
            Moment::Postgres(self.clock.offset_millis())
        } else {
            Moment::Sqlite(self.clock.now())
        }
    }

    /// Limits how long the statements of the next command may run (SQLite; PostgreSQL limits each by itself).
    pub fn arm_statement_limit(&self) {
        self.conn.limit_statements();
    }

    /// A savepoint in this transaction.
    ///
    /// # Errors
    /// As any statement.
    pub async fn savepoint(&self) -> Result<Self, StoreError> {
        let conn = self.conn.savepoint().await?;
        let (clock, health) = (self.clock.clone(), self.health.clone());
        Ok(Self { conn, clock, health, locked_at: self.locked_at, tells: None })
    }

    /// Commits (or releases the savepoint).
    ///
    /// # Errors
    /// Then the outcome is unknown.
    pub async fn commit(self) -> Result<(), StoreError> {
        let committed = self.health.step(self.conn.commit()).await;
        if let (Ok(()), Some((commits, tenants))) = (&committed, &self.tells) {
            commits.tell(tenants);
        }
        committed
    }

    /// Commits what went well, rolls back what did not.
    ///
    /// # Errors
    /// What went wrong; or the commit, and then the outcome is unknown.
    pub async fn end<T>(self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        match done {
            Ok(done) => self.commit().await.map(|()| done),
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }

    /// Rolls back, awaited; tells whether the connection is still good.
    pub async fn rollback(self) -> bool {
        self.health.step(self.conn.rollback()).await.is_ok()
    }
}

/// Now, as a deciding statement reads it.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// The time: nobody else writes while the statement waits.
    Sqlite(Millis),
    /// How far the test clock is ahead: the database's own clock is read while the statement runs, so an answer decided
    /// before a wait is not given after it.
    Postgres(i64),
}

impl Moment {
    /// Now inside a statement.
    #[must_use]
    pub fn expr(&self) -> SimpleExpr {
        match self {
            Self::Sqlite(now) => Expr::value(*now),
            Self::Postgres(ahead) => Expr::cust_with_values(format!("({CLOCK} + $1)"), [*ahead]),
        }
    }

    /// What [`Moment::expr`] binds.
    #[must_use]
    pub fn value(&self) -> Value {
        match self {
            Self::Sqlite(now) => (*now).into(),
            Self::Postgres(ahead) => (*ahead).into(),
        }
    }

    /// [`Moment::expr`], but before `end`: for a row whose WHERE has found it so. The clock is read anew for each
    /// mention, and may have passed the end in between.
    #[must_use]
    pub fn before(&self, end: SimpleExpr) -> SimpleExpr {
        match self {
            Self::Sqlite(_) => self.expr(),
            Self::Postgres(_) => Func::least([self.expr(), end.sub(1)]).into(),
        }
    }

    /// What [`Moment::before`] binds.
    pub fn before_values(&self) -> impl Iterator<Item = Value> + use<> {
        let one = matches!(self, Self::Postgres(_)).then(|| 1.into());
        std::iter::once(self.value()).chain(one)
    }
}
