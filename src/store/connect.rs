//! Opening both engines with the settings that the promises rest on: WAL and full sync on SQLite with one
//! writing connection; on PostgreSQL commits that wait for the disk, and short lock and statement limits.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};
use secrecy::ExposeSecret;
use sqlx::{Connection, PgConnection};

use super::{
    StoreError,
    health::Health,
    sqlite::{self, Access, Patience, Readers, Writer},
};
use crate::config::settings;

/// How long a write waits for a lock, on either engine.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// How long one statement may run.
const STATEMENT_LIMIT: Duration = Duration::from_millis(1500);
/// How long a request waits for a pooled connection.
const ACQUIRE_WAIT: Duration = Duration::from_millis(1500);

/// How long a maintenance command waits for a lock: a server may be busy beside it, and nobody else waits.
const PATIENT_LOCK_WAIT: Duration = Duration::from_secs(30);

/// Longer than PostgreSQL lets any step take, getting a connection included: what takes longer is not answered at all.
const SILENCE: Duration = Duration::from_millis(1800);

/// Whose connections these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Requests: short waits, limited statements.
    Serving,
    /// One command of the operator: it waits its turn and its statements take the time they need.
    Maintenance,
}

impl Purpose {
    fn lock_wait(self) -> Duration {
        match self {
            Self::Serving => LOCK_WAIT,
            Self::Maintenance => PATIENT_LOCK_WAIT,
        }
    }

    /// After which a step of PostgreSQL counts as never to be answered.
    fn silence(self) -> Duration {
        match self {
            Self::Serving => SILENCE,
            Self::Maintenance => self.statement_limit() + SILENCE,
        }
    }

    fn statement_limit(self) -> Duration {
        match self {
            Self::Serving => STATEMENT_LIMIT,
            // PostgreSQL counts the wait for a lock as part of the statement
            Self::Maintenance => PATIENT_LOCK_WAIT.saturating_mul(2),
        }
    }
}

/// What a store works with.
pub(super) struct Connections {
    pub(super) write: Write,
    pub(super) health: Health,
}

/// Where write transactions are begun.
#[derive(Clone)]
pub(super) enum Write {
    Postgres(DatabaseConnection),
    Sqlite(Writer, Readers),
}

pub(super) async fn open(settings: &settings::Database, purpose: Purpose) -> Result<Connections, StoreError> {
    let url = settings.url.expose_secret();
    if url.starts_with("sqlite:") {
        let write = open_sqlite(url, settings.max_connections, purpose)?;
        Ok(Connections { write, health: Health::new(None) })
    } else {
        let health = Health::new(Some(purpose.silence()));
        let pool = open_postgres(url, settings.max_connections, purpose, &health).await?;
        Ok(Connections { write: Write::Postgres(pool), health })
    }
}

/// The writer and the readers.
fn open_sqlite(url: &str, connections: u32, purpose: Purpose) -> Result<Write, StoreError> {
    let file = prepared_file(url)?;
    let (turn, lock) = (ACQUIRE_WAIT, purpose.lock_wait());
    let opened = || {
        // the writer first: it makes the file and its WAL, which read-only connections cannot
        let writer = Writer::open(&file, Patience { turn, lock, statement: purpose.statement_limit() })?;
        let most = usize::try_from(connections).unwrap_or(2).max(2);
        Ok(Write::Sqlite(writer, Readers::open(&file, most, lock, turn)?))
    };
    opened().map_err(|error: DbErr| cannot_open(&file, &error))
}

/// The file that the address names, its folder made.
fn prepared_file(url: &str) -> Result<PathBuf, StoreError> {
    let file = sqlite::file_of(url)
        .ok_or_else(|| StoreError::unreachable("database.url is no address of a SQLite file"))?;
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| {
            StoreError::unreachable(format!("cannot make the folder {}: {e}", folder.display()))
        })?;
    }
    Ok(file)
}

fn cannot_open(file: &Path, error: &DbErr) -> StoreError {
    StoreError::unreachable(format!("cannot open {}: {error}", file.display()))
}

async fn open_postgres(
    url: &str,
    connections: u32,
    purpose: Purpose,
    health: &Health,
) -> Result<DatabaseConnection, StoreError> {
    let commits = probe_postgres(url).await?;
    if purpose == Purpose::Serving {
        commits.complain();
    }
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections.max(2))
        .acquire_timeout(ACQUIRE_WAIT)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .test_before_acquire_if_idle_for(Duration::from_secs(5));
    options.map_sqlx_postgres_opts(move |o| {
        let o = o.application_name("usher").statement_cache_capacity(256).options([
            ("lock_timeout", format!("{}ms", purpose.lock_wait().as_millis())),
            ("statement_timeout", format!("{}ms", purpose.statement_limit().as_millis())),
            ("idle_in_transaction_session_timeout", "15s".to_owned()),
        ]);
        // a stronger setting of the operator's stays
        if commits.wait_for_the_disk { o } else { o.options([("synchronous_commit", "on")]) }
    });
    let health = health.clone();
    options.map_sqlx_postgres_pool_opts(move |pool| {
        let (before, after) = (health.clone(), health.clone());
        pool.before_acquire(move |_, meta| {
            let trusted = before.trusts(meta.age);
            Box::pin(async move { Ok(trusted) })
        })
        // asked before the driver waits for a last answer of the connection
        .after_release(move |_, meta| {
            let trusted = after.trusts(meta.age);
            Box::pin(async move { Ok(trusted) })
        })
    });
    Database::connect(options)
        .await
        .map_err(|e| StoreError::unreachable(format!("cannot reach PostgreSQL: {e}")))
}

/// What PostgreSQL does, by its own settings, before it confirms a commit.
#[derive(Clone, Copy, Debug)]
struct Commits {
    /// `synchronous_commit` is not `off`.
    wait_for_the_disk: bool,
    /// `fsync` is not `off`.
    reach_the_disk: bool,
}

impl Commits {
    /// Tells the operator what an answer would not survive.
    fn complain(self) {
        if !self.wait_for_the_disk {
            tracing::warn!(
                "synchronous_commit is off in this PostgreSQL: turned on for usher's own sessions"
            );
        }
        if !self.reach_the_disk {
            tracing::warn!("fsync is off in this PostgreSQL: a power cut may lose what was acknowledged");
        }
    }
}

/// One connection, because a pool hides "connection refused" behind its own timeout.
async fn probe_postgres(url: &str) -> Result<Commits, StoreError> {
    const SETTINGS: &str = "SELECT current_setting('synchronous_commit'), current_setting('fsync')";
    let asked = async {
        let mut connection = PgConnection::connect(url).await?;
        let (commit, fsync): (String, String) = sqlx::query_as(SETTINGS).fetch_one(&mut connection).await?;
        let _ = connection.close().await;
        Ok::<_, sqlx::Error>(Commits { wait_for_the_disk: commit != "off", reach_the_disk: fsync != "off" })
    };
    match tokio::time::timeout(Duration::from_secs(5), asked).await {
        Ok(Ok(commits)) => Ok(commits),
        Ok(Err(error)) => Err(StoreError::unreachable(format!("cannot reach PostgreSQL: {error}"))),
        Err(_) => Err(StoreError::unreachable("cannot reach PostgreSQL: no answer in 5 s")),
    }
}

/// One connection without the limits of requests, for migrations, maintenance and whoever looks into a database.
/// Transactions are begun on it by `BEGIN`, since it is only one.
pub(super) async fn open_unlimited(settings: &settings::Database) -> Result<DatabaseConnection, StoreError> {
    let url = settings.url.expose_secret();
    if url.starts_with("sqlite:") {
        let file = prepared_file(url)?;
        return open_alone(&file, Access::Write).await;
    }
    probe_postgres(url).await?;
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).record_stmt_in_spans(false);
    options.map_sqlx_postgres_opts(|o| o.application_name("usher-maintenance"));
    Database::connect(options)
        .await
        .map_err(|e| StoreError::unreachable(format!("cannot reach the database: {e}")))
}

/// One connection to a file of SQLite, which waits patiently for whoever has locked it.
pub(super) async fn open_alone(file: &Path, access: Access) -> Result<DatabaseConnection, StoreError> {
    sqlite::open_alone(file, access).await.map_err(|error| cannot_open(file, &error))
}
