//! A connection that has the engine explain every statement before it carries it out: what a function of the store asks
//! is judged by its plan, whatever its text.

use std::{sync::Mutex, time::Instant};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement,
    prelude::async_trait::async_trait,
};

use usher::store::Rows;

/// A statement and how it was carried out.
pub struct Explained {
    /// Its text.
    pub sql: String,
    /// Its plan, one line a step.
    pub plan: Vec<String>,
    /// How long it took, in milliseconds.
    pub millis: f64,
}

/// Statements through it are explained and kept.
pub struct Explaining<'a> {
    rows: &'a DatabaseConnection,
    seen: Mutex<Vec<Explained>>,
}

impl<'a> Explaining<'a> {
    pub fn new(rows: &'a DatabaseConnection) -> Self {
        Self { rows, seen: Mutex::default() }
    }

    /// What was asked since this was called last.
    pub fn take(&self) -> Vec<Explained> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    async fn explain(&self, statement: &Statement) -> Result<Vec<String>, DbErr> {
        let (words, column) = match self.get_database_backend() {
            DbBackend::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
            _ => ("EXPLAIN", "QUERY PLAN"),
        };
        let mut asked = statement.clone();
        asked.sql = format!("{words} {}", statement.sql);
        let rows = self.rows.query_all_raw(asked).await?;
        rows.iter().map(|row| row.try_get::<String>("", column)).collect()
    }

    async fn through<T>(
        &self,
        statement: Statement,
        run: impl AsyncFnOnce(Statement) -> Result<T, DbErr>,
    ) -> Result<T, DbErr> {
        let (sql, plan) = (statement.sql.clone(), self.explain(&statement).await?);
        let began = Instant::now();
        let done = run(statement).await?;
        let millis = began.elapsed().as_secs_f64() * 1000.0;
        self.seen.lock().unwrap().push(Explained { sql, plan, millis });
        Ok(done)
    }
}

#[async_trait]
impl ConnectionTrait for Explaining<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.rows.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.through(statement, async |statement| self.rows.execute_raw(statement).await).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.rows.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.through(statement, async |statement| self.rows.query_one_raw(statement).await).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.through(statement, async |statement| self.rows.query_all_raw(statement).await).await
    }
}

impl Rows for Explaining<'_> {}
