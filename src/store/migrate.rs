//! Bringing the schema up or down, on a connection without the limits of requests, under a lock that makes
//! several processes starting at once migrate once: SQLite's write lock, a PostgreSQL advisory lock. An older
//! binary on a newer schema does not migrate and serves.

use migration::{Migrator, MigratorTrait, SchemaManagerConnection};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, TransactionTrait};

use super::{StoreError, connect};
use crate::config::settings;

/// Key of the advisory lock: nobody else's number.
const LOCK: i64 = 727_432_001;

/// One migration and whether it has been applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Name, which begins with its date.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
    /// Whether this binary knows it; a newer binary's step is foreign to an older one.
    pub known: bool,
}

/// What bringing the schema up did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgraded {
    /// The schema is as this binary wants it.
    Current {
        /// Migrations applied just now.
        applied: usize,
    },
    /// A newer binary has migrated further; serving goes on.
    NewerSchema,
}

/// Applies what is missing.
///
/// # Errors
/// When the database cannot be reached or a migration fails; then none of them was applied.
pub async fn up(settings: &settings::Database) -> Result<Upgraded, StoreError> {
    let db = connect::open_unlimited(settings).await?;
    let result = up_on(&db).await;
    let _ = db.close().await;
    result
}

async fn up_on(db: &DatabaseConnection) -> Result<Upgraded, StoreError> {
    let upgraded = locked(db, async |schema| {
        let steps = steps_on(&schema).await?;
        if steps.iter().any(|step| !step.known) {
            return Ok(Upgraded::NewerSchema);
        }
        let applied = steps.iter().filter(|step| !step.applied).count();
        if applied > 0 {
            Migrator::up(schema, None).await?;
        }
        Ok(Upgraded::Current { applied })
    });
    Ok(upgraded.await?)
}

/// Takes back the last `steps` migrations, all of them with `None`. Rows in the tables do not stop it.
///
/// # Errors
/// When the database cannot be reached, holds a newer binary's steps, or a migration fails.
pub async fn down(settings: &settings::Database, steps: Option<u32>) -> Result<(), StoreError> {
    let db = connect::open_unlimited(settings).await?;
    let result = locked(&db, async |schema| Migrator::down(schema, steps).await).await;
    let _ = db.close().await;
    Ok(result?)
}

/// All migrations known here or applied there, in order.
///
/// # Errors
/// When the database cannot be reached.
pub async fn status(settings: &settings::Database) -> Result<Vec<Step>, StoreError> {
    let db = connect::open_unlimited(settings).await?;
    let result = steps_on(&db).await;
    let _ = db.close().await;
    result.map_err(StoreError::from)
}

async fn steps_on<C: ConnectionTrait>(db: &C) -> Result<Vec<Step>, DbErr> {
    let backend = db.get_database_backend();
    let table = match backend {
        DbBackend::Sqlite => {
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations'"
        }
        _ => {
            "SELECT count(*) FROM pg_catalog.pg_tables WHERE tablename = 'seaql_migrations' AND schemaname = current_schema()"
        }
    };
    let exists = db.query_one_raw(sea_orm::Statement::from_string(backend, table)).await?;
    let exists = exists.is_some_and(|row| row.try_get_by_index::<i64>(0).is_ok_and(|n| n > 0));
    let mut applied = Vec::new();
    if exists {
        let sql = "SELECT version FROM seaql_migrations ORDER BY version";
        for row in db.query_all_raw(sea_orm::Statement::from_string(backend, sql)).await? {
            applied.push(row.try_get_by_index::<String>(0)?);
        }
    }
    let known: Vec<String> = Migrator::migrations().iter().map(|m| m.name().to_owned()).collect();
    let mut steps: Vec<Step> = known
        .iter()
        .map(|name| Step { name: name.clone(), applied: applied.contains(name), known: true })
        .collect();
    let foreign = applied.into_iter().filter(|name| !known.contains(name));
    steps.extend(foreign.map(|name| Step { name, applied: true, known: false }));
    Ok(steps)
}

/// Runs the work in a transaction that has the lock from its beginning, and commits it if it went well.
async fn locked<T>(
    db: &DatabaseConnection,
    work: impl AsyncFnOnce(SchemaManagerConnection<'_>) -> Result<T, DbErr>,
) -> Result<T, DbErr> {
    if db.get_database_backend() == DbBackend::Postgres {
        let tx = db.begin().await?;
        tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
        let done = work(SchemaManagerConnection::Transaction(&tx)).await;
        if done.is_ok() { tx.commit().await } else { tx.rollback().await }?;
        return done;
    }
    // this connection is the only one, and migrations of SQLite begin no transactions of their own
    db.execute_unprepared("BEGIN IMMEDIATE").await?;
    let done = work(SchemaManagerConnection::Connection(db)).await;
    db.execute_unprepared(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    done
}
