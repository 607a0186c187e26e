//! The only SQL of usher. Owns the connections of both engines, the error of all of them, and one file per
//! table. Every function takes the connection first and the tenant next; what it returns is a row, never a
//! decision. All database futures run on the store's own runtime: a pooled connection opened on an HTTP
//! worker's runtime would die with that worker.

pub mod api_keys;
pub mod backup;
pub mod commits;
mod conn;
mod connect;
pub mod deliveries;
mod error;
pub mod events;
#[cfg(test)]
pub(crate) mod examples;
mod health;
pub mod idempotency;
pub mod invites;
pub mod limits;
pub mod members;
pub mod migrate;
pub mod outbox;
pub mod owners_granted;
pub mod restore;
mod sqlite;
pub mod tenants;
#[cfg(test)]
mod tests;
mod text;
pub mod tx;
pub mod users;
pub mod workspaces;

use std::{future::Future, sync::Arc};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;

use self::{
    commits::Commits,
    conn::{Asked, Statements},
    connect::{Connections, Purpose, Write},
};
pub use self::{
    conn::{Conn, Reading, Rows},
    error::StoreError,
    tx::Tx,
};
use crate::{config::settings, domain::Clock};

/// The file of a SQLite database, for whoever looks after it; `None` for PostgreSQL.
#[must_use]
pub fn sqlite_file(settings: &settings::Database) -> Option<std::path::PathBuf> {
    sqlite::file_of(settings.url.expose_secret())
}

/// One connection to a database that is there, without a server's limits: for looking into it, and for its owner's own
/// tools.
///
/// # Errors
/// [`StoreError::Unreachable`] with what the database said.
pub async fn look_into(settings: &settings::Database) -> Result<DatabaseConnection, StoreError> {
    match sqlite_file(settings) {
        Some(file) => connect::open_alone(&file, sqlite::Access::AsItIs).await,
        None => connect::open_unlimited(settings).await,
    }
}

/// Longest that closing the connections may take at the end.
const LONGEST_CLOSE: std::time::Duration = std::time::Duration::from_secs(3);

/// Connections and clock of one database; clones share them.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// SQLite: the one writing connection, and those that only read; PostgreSQL: the one pool.
    write: Write,
    runtime: Handle,
    clock: Clock,
    /// Who waits for commits.
    commits: Commits,
    /// Made by write transactions.
    statements: Statements,
    /// Which connections of PostgreSQL are still good.
    health: health::Health,
}

impl Store {
    /// Connects, on the given runtime. SQLite files and their folder are made. Does not migrate.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] with what the database said, without the URL's password.
    pub async fn connect(
        settings: &settings::Database,
        runtime: Handle,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        Self::open(settings, runtime, clock, Purpose::Serving).await
    }

    /// [`Store::connect`] for one command of the operator: it waits patiently for a busy server's locks.
    ///
    /// # Errors
    /// As there.
    pub async fn connect_for_maintenance(
        settings: &settings::Database,
        runtime: Handle,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        Self::open(settings, runtime, clock, Purpose::Maintenance).await
    }

    async fn open(
        settings: &settings::Database,
        runtime: Handle,
        clock: Clock,
        purpose: Purpose,
    ) -> Result<Self, StoreError> {
        let settings = settings.clone();
        let opened = runtime.spawn(async move { connect::open(&settings, purpose).await }).await;
        let Connections { write, health } =
            opened.map_err(|_| StoreError::unreachable("connecting failed"))??;
        let (commits, statements) = (Commits::default(), Statements::default());
        Ok(Self { inner: Arc::new(Inner { write, runtime, clock, commits, statements, health }) })
    }

    /// The runtime that database futures run on, those of [`Store::look_up`] on SQLite aside.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.inner.runtime
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Who waits for something to be committed by this process.
    #[must_use]
    pub fn commits(&self) -> &Commits {
        &self.inner.commits
    }

    /// Whether this is PostgreSQL (then several replicas may share it).
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self.inner.write, Write::Postgres(_))
    }

    /// How many statements write transactions have made, beginning and ending them aside: what the budgets of commands
    /// are counted by.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.inner.statements.so_far()
    }

    /// Whether another process has changed the file of SQLite since this was asked last. On PostgreSQL nobody can tell.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn changed_elsewhere(&self) -> Result<bool, StoreError> {
        match &self.inner.write {
            Write::Postgres(_) => Ok(true),
            Write::Sqlite(writer, _) => Ok(writer.changed_elsewhere().await?),
        }
    }

    /// Runs a read outside of any transaction: on the store's runtime, where it waits for PostgreSQL; on a thread that
    /// may block, where it reads the file of SQLite.
    ///
    /// # Errors
    /// As the read; [`StoreError::Unavailable`] while the runtime ends.
    pub async fn read<T, F, Fut>(&self, read: F) -> Result<T, StoreError>
    where
        F: FnOnce(Reading) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, DbErr>> + Send,
        T: Send + 'static,
    {
        let (runtime, health) = (self.inner.runtime.clone(), self.inner.health.clone());
        let reading = match &self.inner.write {
            Write::Postgres(pool) => {
                let pool = Reading(Asked::Postgres(pool.clone()));
                runtime.spawn(async move { health.within(2, async { Ok(read(pool).await?) }).await })
            }
            Write::Sqlite(_, readers) => {
                let (turn, within) = (readers.turn().await?, runtime.clone());
                runtime.spawn_blocking(move || {
                    let asking = Reading(Asked::Sqlite(turn.take()?));
                    Ok(within.block_on(read(asking))?)
                })
            }
        };
        reading.await.map_err(|_| StoreError::unavailable("the server is stopping"))?
    }

    /// A read of a few rows by their keys. Where SQLite has a connection free it is made at once, on the thread that asks:
    /// it takes less than handing it to another thread and back. Where it fails there, for a lock perhaps, it is made
    /// again as [`Store::read`] makes it. `read` waits for nothing but the database.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn look_up<T, F, Fut>(&self, read: F) -> Result<T, StoreError>
    where
        F: FnOnce(Reading) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<T, DbErr>> + Send,
        T: Send + 'static,
    {
        if let Write::Sqlite(_, readers) = &self.inner.write
            && let Some(free) = readers.free()
            && let Ok(found) = read.clone()(Reading(Asked::Sqlite(free))).await
        {
            return Ok(found);
        }
        self.read(read).await
    }

    /// Waits for work in transactions that no command limits, such as the mailer's, a few seconds at most: a connection
    /// that does not answer any more must not hold it up for ever.
    ///
    /// # Errors
    /// As the work; [`StoreError::Unavailable`] where it is not answered.
    pub async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.inner.health.within(3, work).await
    }

    /// Answers if the database does: what readiness asks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read(|db| async move {
            let one = Statement::from_string(db.get_database_backend(), "SELECT 1");
            db.query_one_raw(one).await.map(drop)
        })
        .await
    }

    /// Closes all connections, after everything that uses them has ended. A connection that has gone silent is
    /// not waited for.
    pub async fn close(&self) {
        let write = self.inner.write.clone();
        let closing = self.inner.runtime.spawn(async move {
            let all = async {
                match write {
                    // readers and writers share its pool
                    Write::Postgres(pool) => drop(pool.close().await),
                    Write::Sqlite(writer, readers) => {
                        readers.close();
                        writer.close().await;
                    }
                }
            };
            let _ = tokio::time::timeout(LONGEST_CLOSE, all).await;
        });
        let _ = closing.await;
    }
}

/// How many rows one statement is for.
pub(crate) const SIZES: [usize; 9] = [64, 32, 16, 8, 6, 4, 3, 2, 1];

/// Splits rows into runs of these sizes, so that a table has few insert texts and each stays prepared.
pub(crate) fn constant_chunks<T>(mut rows: Vec<T>) -> Vec<Vec<T>> {
    let mut chunks = Vec::new();
    while !rows.is_empty() {
        let size = SIZES.into_iter().find(|size| *size <= rows.len()).unwrap_or(1);
        let rest = rows.split_off(size);
        chunks.push(rows);
        rows = rest;
    }
    chunks
}

/// Splits what is asked for into runs of these sizes. The last is filled up with what it ends with: asking twice for the
/// same costs less than asking once more.
pub(crate) fn filled_chunks<T: Clone>(asked: &[T]) -> Vec<Vec<T>> {
    asked
        .chunks(SIZES[0])
        .map(|chunk| {
            let size = SIZES.into_iter().rev().find(|size| *size >= chunk.len()).unwrap_or(chunk.len());
            let more = chunk.last().into_iter().cycle().take(size - chunk.len());
            chunk.iter().chain(more).cloned().collect()
        })
        .collect()
}
