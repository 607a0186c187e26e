//! One connection to the file: opened with the settings that the promises rest on, and the statements of the ORM run
//! on it.

use std::{path::Path, time::Duration};

use rusqlite::{CachedStatement, OpenFlags, config::DbConfig};
use sea_orm::{DbErr, EntityTrait, ProxyExecResult, ProxyRow, Statement};

use super::{
    error::Fault,
    rows::{self, Table},
    values::{Bound, KINDS},
};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Access {
    /// Reads alone, of a file that is there.
    Read,
    /// Reads and writes; the file is made if it is not there.
    Write,
    /// Reads and writes a file that is there, and changes none of its settings.
    AsItIs,
}

/// One connection.
pub(in crate::store) struct Connection {
    raw: rusqlite::Connection,
}

impl Connection {
    /// Opens the file; `patience` is how long it waits for a lock of another connection.
    pub(in crate::store) fn open(file: &Path, access: Access, patience: Duration) -> Result<Self, Fault> {
        let flags = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Access::AsItIs => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let raw = rusqlite::Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        raw.busy_timeout(patience)?;
        raw.set_prepared_statement_cache_capacity(256);
        // a plan is made for the text alone: else a bound `LIMIT`, which the ORM writes at every single row, has its
        // statement compiled anew each time it is run
        raw.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        if access == Access::Write {
            // a committed invite survives a power cut; NORMAL would not promise that
            raw.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON",
            )?;
        }
        raw.execute_batch("PRAGMA cache_size = -16000; PRAGMA temp_store = memory")?;
        Ok(Self { raw })
    }

    /// How long statements wait for a lock of another connection from now on.
    pub(super) fn wait_for_locks(&self, patience: Duration) -> Result<(), Fault> {
        Ok(self.raw.busy_timeout(patience)?)
    }

    /// Asks this, every so often, while a statement runs; at "yes" the statement is given up.
    pub(super) fn give_up_when(&self, passed: impl FnMut() -> bool + Send + 'static) -> Result<(), Fault> {
        Ok(self.raw.progress_handler(20_000, Some(passed))?)
    }

    pub(super) fn in_transaction(&self) -> bool {
        !self.raw.is_autocommit()
    }

    /// A number that moves when another connection has changed the file.
    pub(super) fn data_version(&self) -> Result<i64, Fault> {
        Ok(self.raw.prepare_cached("PRAGMA data_version")?.query_one((), |row| row.get(0))?)
    }

    /// Runs a statement without values and without rows, such as `COMMIT`.
    pub(super) fn run(&self, sql: &str) -> Result<(), Fault> {
        self.raw.prepare_cached(sql)?.raw_execute()?;
        Ok(())
    }

    /// Runs a statement, or several if they have no values, and tells how many rows the last one changed.
    pub(super) fn execute(&self, statement: &Statement) -> Result<ProxyExecResult, Fault> {
        if statement.values.is_none() {
            self.raw.execute_batch(&statement.sql)?;
        } else {
            let mut prepared = self.prepare(statement)?;
            let mut rows = prepared.raw_query();
            while rows.next()?.is_some() {}
        }
        Ok(ProxyExecResult { last_insert_id: 0, rows_affected: self.raw.changes() })
    }

    /// The first rows of a statement, at most so many.
    pub(super) fn query(&self, statement: &Statement, most: usize) -> Result<Vec<ProxyRow>, Fault> {
        let mut prepared = self.prepare(statement)?;
        let names: Vec<String> = prepared.column_names().iter().map(ToString::to_string).collect();
        let (mut rows, mut read) = (prepared.raw_query(), Vec::new());
        while read.len() < most
            && let Some(row) = rows.next()?
        {
            read.push(KINDS.row(row, &names)?);
        }
        Ok(read)
    }

    /// All rows of a statement that gives the columns of a table, each once and in their order.
    pub(super) fn rows<E: Table>(
        &self,
        statement: &Statement,
    ) -> Result<Vec<<E as EntityTrait>::Model>, Fault> {
        let mut prepared = self.prepare(statement)?;
        if !rows::are_all_of::<E>(&prepared.column_names()) {
            let why = "a statement gives other columns than those of its table";
            return Err(DbErr::Type(why.to_owned()).into());
        }
        let (mut rows, mut read) = (prepared.raw_query(), Vec::new());
        while let Some(row) = rows.next()? {
            read.push(rows::model(row)?);
        }
        Ok(read)
    }

    fn prepare(&self, statement: &Statement) -> Result<CachedStatement<'_>, Fault> {
        let mut prepared = self.raw.prepare_cached(&statement.sql)?;
        if let Some(values) = &statement.values {
            for (at, value) in values.0.iter().enumerate() {
                prepared.raw_bind_parameter(at + 1, Bound(value))?;
            }
        }
        Ok(prepared)
    }
}
