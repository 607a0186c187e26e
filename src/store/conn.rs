//! What the statements of a write transaction go through, on either engine, and how many there were: a statement is a
//! round trip on PostgreSQL, so their number is what a command costs there.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, ProxyRow, QueryResult, Statement,
    TransactionTrait, prelude::async_trait::async_trait,
};

use super::sqlite::Writing;

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
