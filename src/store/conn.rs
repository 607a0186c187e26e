//! What statements go through, on either engine: those of a write transaction, which are counted (one is a round trip on
//! PostgreSQL, so their number is what a command costs there), and those that only read.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait, ExecResult,
    FromQueryResult, ProxyRow, QueryResult, Statement, TransactionTrait, prelude::async_trait::async_trait,
};

use super::sqlite::{Asking, Table, Writing};

/// A connection that gives whole rows of a table, on SQLite without the names and copies that the ORM's own rows need.
pub trait Rows: ConnectionTrait {
    /// All rows of a statement that gives the columns of a table, each once and in their order. Unless a connection
    /// knows better, as the ORM reads them.
    ///
    /// # Errors
    /// As any statement.
    fn rows<E: Table>(
        &self,
        statement: Statement,
    ) -> impl Future<Output = Result<Vec<<E as EntityTrait>::Model>, DbErr>> + Send {
        async { models::<E>(&self.query_all_raw(statement).await?) }
    }

    /// The first of them.
    ///
    /// # Errors
    /// As any statement.
    fn row<E: Table>(
        &self,
        statement: Statement,
    ) -> impl Future<Output = Result<Option<<E as EntityTrait>::Model>, DbErr>> + Send {
        async { Ok(self.rows::<E>(statement).await?.into_iter().next()) }
    }
}

fn models<E: EntityTrait>(rows: &[QueryResult]) -> Result<Vec<E::Model>, DbErr> {
    rows.iter().map(|row| E::Model::from_query_result(row, "")).collect()
}

/// The open transaction, or a savepoint in it.
pub struct Conn {
    pub(super) side: Side,
    statements: Statements,
}

pub(super) enum Side {
    Postgres(DatabaseTransaction),
    Sqlite(Writing),
}

/// How many statements write transactions have made; clones count together.
#[derive(Clone, Default)]
pub(super) struct Statements(Arc<AtomicU64>);

impl Statements {
    pub(super) fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Conn {
    pub(super) fn new(side: Side, statements: Statements) -> Self {
        Self { side, statements }
    }

    /// A savepoint, through which the same statements go.
    pub(super) async fn savepoint(&self) -> Result<Self, DbErr> {
        let side = match &self.side {
            Side::Postgres(tx) => Side::Postgres(tx.begin().await?),
            Side::Sqlite(writing) => Side::Sqlite(writing.savepoint()?),
        };
        Ok(Self { side, statements: self.statements.clone() })
    }

    pub(super) async fn commit(self) -> Result<(), DbErr> {
        match self.side {
            Side::Postgres(tx) => tx.commit().await,
            Side::Sqlite(writing) => writing.commit(),
        }
    }

    pub(super) async fn rollback(self) -> Result<(), DbErr> {
        match self.side {
            Side::Postgres(tx) => tx.rollback().await,
            Side::Sqlite(writing) => writing.rollback(),
        }
    }

    /// From now on statements may take as long as one command's; PostgreSQL limits each by itself.
    pub(super) fn limit_statements(&self) {
        if let Side::Sqlite(writing) = &self.side {
            writing.limit_statements();
        }
    }

    fn count(&self, sql: &str) {
        // the text alone: what is bound to it is nobody's to read
        tracing::trace!(sql, "statement");
        self.statements.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl ConnectionTrait for Conn {
    fn get_database_backend(&self) -> DbBackend {
        match &self.side {
            Side::Postgres(_) => DbBackend::Postgres,
            Side::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.count(&statement.sql);
        match &self.side {
            Side::Postgres(tx) => tx.execute_raw(statement).await,
            Side::Sqlite(writing) => Ok(writing.execute(&statement)?.into()),
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.count(sql);
        match &self.side {
            Side::Postgres(tx) => tx.execute_unprepared(sql).await,
            Side::Sqlite(writing) => {
                Ok(writing.execute(&Statement::from_string(DbBackend::Sqlite, sql))?.into())
            }
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.count(&statement.sql);
        match &self.side {
            Side::Postgres(tx) => tx.query_one_raw(statement).await,
            Side::Sqlite(writing) => Ok(writing.query(&statement, 1)?.into_iter().next().map(ProxyRow::into)),
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.count(&statement.sql);
        match &self.side {
            Side::Postgres(tx) => tx.query_all_raw(statement).await,
            Side::Sqlite(writing) => {
                let rows = writing.query(&statement, usize::MAX)?;
                Ok(rows.into_iter().map(ProxyRow::into).collect())
            }
        }
    }
}

impl Rows for Conn {
    async fn rows<E: Table>(&self, statement: Statement) -> Result<Vec<<E as EntityTrait>::Model>, DbErr> {
        self.count(&statement.sql);
        match &self.side {
            Side::Postgres(tx) => models::<E>(&tx.query_all_raw(statement).await?),
            Side::Sqlite(writing) => writing.rows::<E>(&statement),
        }
    }
}

/// What asks outside of any transaction.
pub struct Reading(pub(super) Asked);

pub(super) enum Asked {
    /// The pool.
    Postgres(DatabaseConnection),
    /// A connection of its own.
    Sqlite(Asking),
}

#[async_trait]
impl ConnectionTrait for Reading {
    fn get_database_backend(&self) -> DbBackend {
        match &self.0 {
            Asked::Postgres(_) => DbBackend::Postgres,
            Asked::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Asked::Postgres(pool) => pool.execute_raw(statement).await,
            Asked::Sqlite(asking) => Ok(asking.execute(&statement)?.into()),
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.0 {
            Asked::Postgres(pool) => pool.execute_unprepared(sql).await,
            Asked::Sqlite(asking) => {
                Ok(asking.execute(&Statement::from_string(DbBackend::Sqlite, sql))?.into())
            }
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match &self.0 {
            Asked::Postgres(pool) => pool.query_one_raw(statement).await,
            Asked::Sqlite(asking) => Ok(asking.query(&statement, 1)?.into_iter().next().map(ProxyRow::into)),
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.0 {
            Asked::Postgres(pool) => pool.query_all_raw(statement).await,
            Asked::Sqlite(asking) => {
                Ok(asking.query(&statement, usize::MAX)?.into_iter().map(ProxyRow::into).collect())
            }
        }
    }
}

impl Rows for Reading {
    async fn rows<E: Table>(&self, statement: Statement) -> Result<Vec<<E as EntityTrait>::Model>, DbErr> {
        match &self.0 {
            Asked::Postgres(pool) => models::<E>(&pool.query_all_raw(statement).await?),
            Asked::Sqlite(asking) => asking.rows::<E>(&statement),
        }
    }
}

impl Rows for DatabaseConnection {}
