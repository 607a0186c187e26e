//! Bringing the schema up or down, on a connection without the limits of requests, under a lock that makes
//! several processes starting at once migrate once: SQLite's write lock, a PostgreSQL advisory lock. An older
//! binary on a newer schema does not migrate and serves.

use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

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
    prepare_folder(settings)?;
    let db = connect::open_unlimited(settings).await?;
    let result = up_on(&db).await;
    let _ = db.close().await;
    result
}

async fn up_on(db: &DatabaseConnection) -> Result<Upgraded, StoreError> {
    let tx = locked(db).await?;
    let steps = steps_on(&tx).await?;
    if steps.iter().any(|step| !step.known) {
        tx.rollback().await?;
        return Ok(Upgraded::NewerSchema);
    }
    let applied = steps.iter().filter(|step| !step.applied).count();
    if applied > 0 {
        Migrator::up(&tx, None).await?;
    }
    tx.commit().await?;
    Ok(Upgraded::Current { applied })
}

/// Takes back the last `steps` migrations, all of them with `None`. Rows in the tables do not stop it.
///
/// # Errors
/// When the database cannot be reached, holds a newer binary's steps, or a migration fails.
pub async fn down(settings: &settings::Database, steps: Option<u32>) -> Result<(), StoreError> {
    let db = connect::open_unlimited(settings).await?;
    let result = async {
        let tx = locked(&db).await?;
        Migrator::down(&tx, steps).await?;
        tx.commit().await?;
        Ok(())
    }
    .await;
    let _ = db.close().await;
    result
}

/// All migrations known here or applied there, in order.
///
/// # Errors
/// When the database cannot be reached.
pub async fn status(settings: &settings::Database) -> Result<Vec<Step>, StoreError> {
    prepare_folder(settings)?;
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

async fn locked(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let tx = db.begin_with_options(immediate).await?;
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    }
    Ok(tx)
}

/// Makes the folder of a SQLite file, so that a first `migrate up` works as `serve` does.
fn prepare_folder(settings: &settings::Database) -> Result<(), StoreError> {
    use secrecy::ExposeSecret;
    use std::str::FromStr;

    let url = settings.url.expose_secret();
    if !url.starts_with("sqlite:") {
        return Ok(());
    }
    let options = sqlx::sqlite::SqliteConnectOptions::from_str(url)
        .map_err(|e| StoreError::unreachable(format!("database.url is no SQLite address: {e}")))?;
    match options.get_filename().parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::create_dir_all(folder).map_err(|e| {
            StoreError::unreachable(format!("cannot make the folder {}: {e}", folder.display()))
        }),
        None => Ok(()),
    }
}
