//! Looking into the database of a test from outside the server: counts and texts by plain SQL that both
//! engines read.

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use super::server::{Engine, TestServer};

/// A connection of the test's own.
pub struct Inspector {
    db: DatabaseConnection,
    /// Whose SQL it speaks.
    pub engine: Engine,
}

impl TestServer {
    /// Opens a connection of the test's own to the server's rows.
    pub async fn inspect(&self) -> Inspector {
        let database =
            usher::config::settings::Database { url: self.database_url().into(), max_connections: 1 };
        Inspector { db: usher::store::look_into(&database).await.unwrap(), engine: self.engine }
    }
}

impl Inspector {
    /// The number that a `SELECT count(*) AS n …` gives.
    pub async fn count(&self, sql: &str) -> i64 {
        // SQLite answers at once: whoever counts again and again must let others have their turn
        tokio::task::yield_now().await;
        let row = self.db.query_one_raw(self.statement(sql)).await.unwrap().unwrap();
        row.try_get::<i64>("", "n").unwrap()
    }

    /// The texts that a `SELECT … AS t …` gives.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.db.query_all_raw(self.statement(sql)).await.unwrap();
        rows.iter().map(|row| row.try_get::<Option<String>>("", "t").unwrap().unwrap_or_default()).collect()
    }

    /// Runs a statement and tells how many rows it changed.
    pub async fn execute(&self, sql: &str) -> u64 {
        self.db.execute_raw(self.statement(sql)).await.unwrap().rows_affected()
    }

    /// How the engine carries a statement out, one line a step; and how long it takes, in milliseconds.
    pub async fn plan(&self, statement: &Statement) -> (Vec<String>, f64) {
        let explain = match self.engine {
            Engine::Sqlite => "EXPLAIN QUERY PLAN",
            Engine::Postgres => "EXPLAIN",
        };
        let mut asked = statement.clone();
        asked.sql = format!("{explain} {}", statement.sql);
        let rows = self.db.query_all_raw(asked).await.unwrap();
        let column = if self.engine == Engine::Sqlite { "detail" } else { "QUERY PLAN" };
        let plan = rows.iter().map(|row| row.try_get::<String>("", column).unwrap()).collect();
        let began = std::time::Instant::now();
        self.db.query_all_raw(statement.clone()).await.unwrap();
        (plan, began.elapsed().as_secs_f64() * 1000.0)
    }

    /// The engine of the rows, as the database's driver names it.
    pub fn backend(&self) -> sea_orm::DbBackend {
        self.db.get_database_backend()
    }

    /// The connection, for the migrator.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.db
    }

    fn statement(&self, sql: &str) -> Statement {
        Statement::from_string(self.db.get_database_backend(), sql)
    }

    /// An id as this engine writes it in SQL.
    pub fn id(&self, id: &str) -> String {
        match self.engine {
            Engine::Sqlite => format!("x'{}'", id.replace('-', "")),
            Engine::Postgres => format!("'{id}'::uuid"),
        }
    }

    /// A column of ids as text: hexadecimal, without hyphens.
    pub fn hex(&self, column: &str) -> String {
        match self.engine {
            Engine::Sqlite => format!("lower(hex({column}))"),
            Engine::Postgres => format!("replace({column}::text, '-', '')"),
        }
    }

    /// Every text of every column of every table, for looking for what must not be there.
    pub async fn dump(&self) -> String {
        let tables = match self.engine {
            Engine::Sqlite => self.texts("SELECT name AS t FROM sqlite_master WHERE type = 'table'").await,
            Engine::Postgres => {
                self.texts("SELECT tablename::text AS t FROM pg_tables WHERE schemaname = 'public'").await
            }
        };
        let mut dump = String::new();
        for table in tables {
            let row = match self.engine {
                Engine::Sqlite => self.quoted_columns(&table).await,
                Engine::Postgres => "x::text".to_owned(),
            };
            let rows = self.texts(&format!("SELECT {row} AS t FROM \"{table}\" AS x")).await;
            dump.push_str(&rows.join("\n"));
            dump.push('\n');
        }
        dump
    }

    /// All columns of a SQLite table as one text, blobs in hexadecimal.
    async fn quoted_columns(&self, table: &str) -> String {
        let columns = self.texts(&format!("SELECT name AS t FROM pragma_table_info('{table}')")).await;
        columns.iter().map(|c| format!("quote(\"{c}\")")).collect::<Vec<_>>().join(" || ' ' || ")
    }
}
