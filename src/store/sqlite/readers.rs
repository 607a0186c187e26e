//! Connections that ask outside of any write transaction: opened when they are needed, at most so many, kept for the
//! next. Whoever asks has one to itself for as long as it asks.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{DbErr, EntityTrait, ProxyExecResult, ProxyRow, RuntimeErr, Statement};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    connection::{Access, Connection},
    error::{Fault, busy},
    rows::Table,
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
    room: Arc<Semaphore>,
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
            room: Arc::new(Semaphore::new(most)),
            idle: Mutex::new(Idle::Open(vec![first])),
        })))
    }

    /// Waits until there is one for the caller.
    pub(in crate::store) async fn turn(&self) -> Result<Turn, DbErr> {
        let room = timeout(self.0.turn, self.0.room.clone().acquire_owned()).await;
        let Ok(Ok(room)) = room else { return Err(busy()) };
        Ok(Turn { readers: self.clone(), room })
    }

    /// A connection that is free now, if one is. Its statements wait for nobody.
    pub(in crate::store) fn free(&self) -> Option<Asking> {
        let room = self.0.room.clone().try_acquire_owned().ok()?;
        let Idle::Open(connections) = &mut *self.idle() else { return None };
        let connection = connections.pop()?;
        if connection.wait_for_locks(Duration::ZERO).is_err() {
            return None;
        }
        let connection = Mutex::new(Some(connection));
        Some(Asking { readers: self.clone(), connection, waits: false, _room: room })
    }

    /// Closes the connections, those in use as soon as they are not.
    pub(in crate::store) fn close(&self) {
        let closed = std::mem::replace(&mut *self.idle(), Idle::Closed);
        super::blocking(|| drop(closed));
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
}

/// The right to one connection.
pub(in crate::store) struct Turn {
    readers: Readers,
    room: OwnedSemaphorePermit,
}

impl Turn {
    /// Takes the connection, or opens it: on a thread that may block.
    pub(in crate::store) fn take(self) -> Result<Asking, DbErr> {
        let connection = Mutex::new(Some(self.readers.take()?));
        Ok(Asking { readers: self.readers, connection, waits: true, _room: self.room })
    }
}

/// One connection, until it is dropped.
pub(in crate::store) struct Asking {
    readers: Readers,
    /// There as long as this is.
    connection: Mutex<Option<Connection>>,
    /// Whether it waits for locks as all do.
    waits: bool,
    _room: OwnedSemaphorePermit,
}

impl Asking {
    pub(in crate::store) fn query(&self, statement: &Statement, most: usize) -> Result<Vec<ProxyRow>, DbErr> {
        self.with(|connection| connection.query(statement, most))
    }

    pub(in crate::store) fn rows<E: Table>(
        &self,
        statement: &Statement,
    ) -> Result<Vec<<E as EntityTrait>::Model>, DbErr> {
        self.with(|connection| connection.rows::<E>(statement))
    }

    pub(in crate::store) fn execute(&self, statement: &Statement) -> Result<ProxyExecResult, DbErr> {
        self.with(|connection| connection.execute(statement))
    }

    fn with<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, DbErr> {
        match self.connection.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(connection) => Ok(ask(connection)?),
            None => Err(DbErr::Conn(RuntimeErr::Internal("given back".to_owned()))),
        }
    }
}

impl Drop for Asking {
    /// A connection that met an error goes on like any other: SQLite has ended its statement.
    fn drop(&mut self) {
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(connection) = connection else { return };
        if !self.waits && connection.wait_for_locks(self.readers.0.lock).is_err() {
            return;
        }
        if let Idle::Open(idle) = &mut *self.readers.idle() {
            idle.push(connection);
        }
    }
}
