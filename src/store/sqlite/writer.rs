//! The one writing connection and its transactions. Whoever writes waits for the connection without blocking a thread;
//! only beginning and committing, which wait for a lock or the disk, do.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{DbErr, EntityTrait, ProxyExecResult, ProxyRow, RuntimeErr, Statement};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    blocking,
    connection::{Access, Connection},
    error::{Fault, busy, ended},
    rows::Table,
};

/// How long writers wait and how long their statements may run.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Patience {
    /// For whoever writes before them.
    pub(in crate::store) turn: Duration,
    /// For a lock of another process.
    pub(in crate::store) lock: Duration,
    /// For one command's statements.
    pub(in crate::store) statement: Duration,
}

/// The writing connection; clones share it.
#[derive(Clone)]
pub(in crate::store) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    gate: Arc<Semaphore>,
    /// None once it is closed.
    connection: Mutex<Option<Connection>>,
    deadline: Deadline,
    /// Number of the file's state when it was asked for last.
    seen: AtomicI64,
    patience: Patience,
}

/// The instant after which a statement is given up.
#[derive(Clone)]
struct Deadline {
    started: Instant,
    /// milliseconds since `started`; 0 means none
    at: Arc<AtomicI64>,
}

impl Deadline {
    fn set(&self, from_now: Option<Duration>) {
        let at = from_now.map_or(0, |limit| self.started.elapsed().saturating_add(limit).as_millis());
        self.at.store(i64::try_from(at).unwrap_or(0), Ordering::Relaxed);
    }

    fn passed(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        at != 0 && self.started.elapsed().as_millis() > u128::from(at.unsigned_abs())
    }
}

impl Writer {
    /// Opens the file, making it if it is not there, with a write-ahead log and commits that wait for the disk.
    pub(in crate::store) fn open(file: &Path, patience: Patience) -> Result<Self, DbErr> {
        let connection = Connection::open(file, Access::Write, patience.lock)?;
        let deadline = Deadline { started: Instant::now(), at: Arc::default() };
        let watched = deadline.clone();
        connection.give_up_when(move || watched.passed())?;
        let (gate, connection) = (Arc::new(Semaphore::new(1)), Mutex::new(Some(connection)));
        Ok(Self {
            shared: Arc::new(Shared { gate, connection, deadline, seen: AtomicI64::default(), patience }),
        })
    }

    /// A transaction that has the write lock from its first statement on: a deferred one would fail with "locked" as
    /// soon as another process writes too.
    pub(in crate::store) async fn begin(&self) -> Result<Writing, DbErr> {
        let turn = timeout(self.shared.patience.turn, self.shared.gate.clone().acquire_owned());
        let Ok(Ok(turn)) = turn.await else { return Err(busy()) };
        let shared = self.shared.clone();
        blocking(|| {
            shared.with(|connection| {
                if connection.in_transaction() {
                    // left over from one that could not even be rolled back
                    connection.run("ROLLBACK")?;
                }
                connection.run("BEGIN IMMEDIATE")
            })
        })?;
        Ok(Writing { shared, level: Level::Transaction, ended: false, turn: Arc::new(turn) })
    }

    /// Whether others have changed the file since this was asked last: its number as this connection sees it moves with
    /// the commits of all others, and with none of its own.
    pub(in crate::store) async fn changed_elsewhere(&self) -> Result<bool, DbErr> {
        let turn = timeout(self.shared.patience.turn, self.shared.gate.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(busy()) };
        let version = blocking(|| self.shared.with(Connection::data_version))?;
        Ok(self.shared.seen.swap(version, Ordering::AcqRel) != version)
    }

    /// Waits for who is writing and closes the file.
    pub(in crate::store) async fn close(&self) {
        let _turn = self.shared.gate.acquire().await;
        let connection = self.shared.lock().take();
        blocking(|| drop(connection));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        // what a panic leaves behind, the next transaction rolls back
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, DbErr> {
        match self.lock().as_ref() {
            Some(connection) => Ok(work(connection)?),
            None => Err(DbErr::Conn(RuntimeErr::Internal("closed".to_owned()))),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Transaction,
    Savepoint,
}

/// An open write transaction, or the savepoint in it: there is one level of them. Rolled back if it is dropped.
pub(in crate::store) struct Writing {
    shared: Arc<Shared>,
    level: Level,
    ended: bool,
    /// Nobody else writes meanwhile.
    turn: Arc<OwnedSemaphorePermit>,
}

impl Writing {
    pub(in crate::store) fn execute(&self, statement: &Statement) -> Result<ProxyExecResult, DbErr> {
        self.within(|connection| connection.execute(statement))
    }

    /// The first rows, at most so many.
    pub(in crate::store) fn query(&self, statement: &Statement, most: usize) -> Result<Vec<ProxyRow>, DbErr> {
        self.within(|connection| connection.query(statement, most))
    }

    /// Whole rows of a table.
    pub(in crate::store) fn rows<E: Table>(
        &self,
        statement: &Statement,
    ) -> Result<Vec<<E as EntityTrait>::Model>, DbErr> {
        self.within(|connection| connection.rows::<E>(statement))
    }

    /// Runs this in the transaction, and not beside it: SQLite ends one by itself where the disk is full or a statement
    /// is given up, and would commit whatever came after at once.
    fn within<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, DbErr> {
        self.shared
            .with(|connection| if connection.in_transaction() { work(connection) } else { Err(ended()) })
    }

    /// The savepoint in this transaction.
    pub(in crate::store) fn savepoint(&self) -> Result<Self, DbErr> {
        self.within(|connection| connection.run("SAVEPOINT command"))?;
        let (shared, turn) = (self.shared.clone(), self.turn.clone());
        Ok(Self { shared, level: Level::Savepoint, ended: false, turn })
    }

    /// From now on the statements of this transaction may take as long as one command's.
    pub(in crate::store) fn limit_statements(&self) {
        self.shared.deadline.set(Some(self.shared.patience.statement));
    }

    /// Waits for the disk; or releases the savepoint.
    pub(in crate::store) fn commit(mut self) -> Result<(), DbErr> {
        self.ended = true;
        if self.level == Level::Savepoint {
            return self.shared.with(|connection| connection.run("RELEASE command"));
        }
        self.shared.deadline.set(None);
        let committed = blocking(|| self.shared.with(|connection| connection.run("COMMIT")));
        if committed.is_err() {
            // one that failed may have left the transaction open
            let _ = self.roll_back();
        }
        committed
    }

    /// Takes everything back.
    pub(in crate::store) fn rollback(mut self) -> Result<(), DbErr> {
        self.ended = true;
        self.roll_back()
    }

    fn roll_back(&self) -> Result<(), DbErr> {
        if self.level == Level::Transaction {
            self.shared.deadline.set(None);
        }
        self.shared.with(|connection| match self.level {
            // SQLite has ended it by itself
            Level::Transaction if !connection.in_transaction() => Ok(()),
            Level::Transaction => connection.run("ROLLBACK"),
            Level::Savepoint => {
                connection.run("ROLLBACK TO command")?;
                connection.run("RELEASE command")
            }
        })
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.ended {
            // whatever it says, the next transaction begins by looking
            let _ = self.roll_back();
        }
    }
}
