//! Connections that ask outside of any write transaction: opened when they are needed, at most so many, kept for the
//! next.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{
    Database, DatabaseConnection, DbBackend, DbErr, ProxyDatabaseTrait, ProxyExecResult, ProxyRow,
    RuntimeErr, Statement, prelude::async_trait::async_trait,
};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    blocking,
    connection::{Access, Connection},
    error::{Fault, busy},
};

/// The connections; clones share them.
#[derive(Clone)]
pub(in crate::store) struct Readers(Arc<Shared>);

struct Shared {
    file: PathBuf,
    /// For a lock of another connection.
    lock: Duration,
    /// For one of these connections.
    turn: Duration,
    room: Semaphore,
    idle: Mutex<Idle>,
}

enum Idle {
    Open(Vec<Connection>),
    Closed,
}

impl Readers {
    /// Opens the first of at most `most` connections.
    pub(in crate::store) fn open(
        file: &Path,
        most: usize,
        lock: Duration,
        turn: Duration,
    ) -> Result<Self, DbErr> {
        let first = Connection::open(file, Access::Read, lock)?;
        Ok(Self(Arc::new(Shared {
            file: file.to_owned(),
            lock,
            turn,
            room: Semaphore::new(most),
            idle: Mutex::new(Idle::Open(vec![first])),
        })))
    }

    /// What the ORM asks through. Its transactions are refused: several connections have no transaction in common.
    pub(in crate::store) async fn database(&self) -> Result<DatabaseConnection, DbErr> {
        Database::connect_proxy(DbBackend::Sqlite, Arc::new(Box::new(self.clone()))).await
    }

    /// Closes the connections, those in use as soon as they are not.
    pub(in crate::store) fn close(&self) {
        let closed = std::mem::replace(&mut *self.idle(), Idle::Closed);
        blocking(|| drop(closed));
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        // a list of connections has no invariant that a panic could break
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Connection, DbErr> {
        let idle = match &mut *self.idle() {
            Idle::Open(connections) => connections.pop(),
            Idle::Closed => return Err(DbErr::Conn(RuntimeErr::Internal("closed".to_owned()))),
        };
        match idle {
            Some(connection) => Ok(connection),
            None => Ok(Connection::open(&self.0.file, Access::Read, self.0.lock)?),
        }
    }

    /// A connection that met an error goes on like any other: SQLite has ended its statement.
    fn put_back(&self, connection: Connection) {
        if let Idle::Open(connections) = &mut *self.idle() {
            connections.push(connection);
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, DbErr> {
        let Ok(Ok(_room)) = timeout(self.0.turn, self.0.room.acquire()).await else { return Err(busy()) };
        blocking(|| {
            let connection = self.take()?;
            let asked = ask(&connection);
            self.put_back(connection);
            Ok(asked?)
        })
    }
}

#[async_trait]
impl ProxyDatabaseTrait for Readers {
    async fn query(&self, statement: Statement) -> Result<Vec<ProxyRow>, DbErr> {
        self.ask(|connection| connection.query(&statement, usize::MAX)).await
    }

    async fn execute(&self, statement: Statement) -> Result<ProxyExecResult, DbErr> {
        self.ask(|connection| connection.execute(&statement)).await
    }

    async fn begin(&self) {
        // it cannot say no; what it would have protected must not be written
        tracing::error!("a transaction was begun on connections that have none: all of them are closed");
        self.close();
    }

    async fn ping(&self) -> Result<(), DbErr> {
        let one = Statement::from_string(DbBackend::Sqlite, "SELECT 1");
        self.ask(|connection| connection.query(&one, 1)).await.map(drop)
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readers")
    }
}
