//! One connection used by one task at a time: for migrations, backups and whoever looks into a file. The ORM's
//! transactions are savepoints on it, so that they work inside of a `BEGIN` and without.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sea_orm::{
    Database, DatabaseConnection, DbBackend, DbErr, ProxyDatabaseTrait, ProxyExecResult, ProxyRow, Statement,
    prelude::async_trait::async_trait,
};

use super::{
    blocking,
    connection::{Access, Connection},
    error::Fault,
};

/// How long it waits for whoever holds the whole file.
const LOCK_WAIT: Duration = Duration::from_secs(60);

struct Alone(Mutex<State>);

struct State {
    connection: Connection,
    /// Beginning and ending a savepoint cannot say that it failed; what comes next does.
    broken: Option<DbErr>,
}

/// Opens the file for one task; it is closed when the last clone is gone.
pub(in crate::store) async fn open(file: &Path, access: Access) -> Result<DatabaseConnection, DbErr> {
    let connection = Connection::open(file, access, LOCK_WAIT)?;
    let alone = Alone(Mutex::new(State { connection, broken: None }));
    Database::connect_proxy(DbBackend::Sqlite, Arc::new(Box::new(alone))).await
}

impl Alone {
    fn ask<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, DbErr> {
        blocking(|| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match state.broken.take() {
                Some(error) => Err(error),
                None => Ok(ask(&state.connection)?),
            }
        })
    }

    fn savepoint(&self, steps: &[&str]) {
        let stepped = self.ask(|connection| steps.iter().try_for_each(|step| connection.run(step)));
        if let Err(error) = stepped {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).broken = Some(error);
        }
    }
}

#[async_trait]
impl ProxyDatabaseTrait for Alone {
    async fn query(&self, statement: Statement) -> Result<Vec<ProxyRow>, DbErr> {
        self.ask(|connection| connection.query(&statement, usize::MAX))
    }

    async fn execute(&self, statement: Statement) -> Result<ProxyExecResult, DbErr> {
        self.ask(|connection| connection.execute(&statement))
    }

    async fn begin(&self) {
        self.savepoint(&["SAVEPOINT orm"]);
    }

    async fn commit(&self) {
        self.savepoint(&["RELEASE orm"]);
    }

    async fn rollback(&self) {
        self.start_rollback();
    }

    fn start_rollback(&self) {
        self.savepoint(&["ROLLBACK TO orm", "RELEASE orm"]);
    }
}

impl fmt::Debug for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alone")
    }
}
