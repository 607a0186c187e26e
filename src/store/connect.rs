//! Opening both engines with the settings that the promises rest on: WAL and full sync on SQLite with one
//! writing connection; on PostgreSQL commits that wait for the disk, and short lock and statement limits.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use secrecy::ExposeSecret;
use sqlx::{
    Connection, PgConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{StoreError, health::Health};
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

/// The instant after which SQLite's writer gives up its statement; PostgreSQL has its own limit.
#[derive(Clone)]
pub(super) struct StatementDeadline {
    started: Instant,
    limit: Duration,
    /// milliseconds since `started`; 0 means none
    at: Arc<AtomicI64>,
    /// The connection does not know its own state any more and must not be used again.
    broken: Arc<AtomicBool>,
}

impl StatementDeadline {
    fn new(limit: Duration) -> Self {
        Self { started: Instant::now(), limit, at: Arc::default(), broken: Arc::default() }
    }

    pub(super) fn arm(&self) {
        let at = self.started.elapsed() + self.limit;
        self.at.store(i64::try_from(at.as_millis()).unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn disarm(&self) {
        self.at.store(0, Ordering::Relaxed);
    }

    /// A rollback or commit failed. SQLite has then ended the transaction by itself (disk full, interrupted), and
    /// the driver, which counts on, would take the next `BEGIN` for a savepoint.
    pub(super) fn mark_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    fn take_broken(&self) -> bool {
        self.broken.swap(false, Ordering::AcqRel)
    }

    fn passed(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        at != 0 && self.started.elapsed().as_millis() > u128::from(at.unsigned_abs())
    }
}

/// The file of a SQLite database; `None` for PostgreSQL.
#[must_use]
pub(super) fn sqlite_file(settings: &settings::Database) -> Option<std::path::PathBuf> {
    let url = settings.url.expose_secret();
    let options = url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok())??;
    Some(options.get_filename().to_path_buf())
}

pub(super) async fn open(
    settings: &settings::Database,
    purpose: Purpose,
) -> Result<(DatabaseConnection, DatabaseConnection, StatementDeadline, Health), StoreError> {
    let url = settings.url.expose_secret();
    let deadline = StatementDeadline::new(purpose.statement_limit());
    if url.starts_with("sqlite:") {
        let (write, read) = open_sqlite(url, settings.max_connections, &deadline, purpose).await?;
        Ok((write, read, deadline, Health::new(None)))
    } else {
        let health = Health::new(Some(purpose.silence()));
        let pool = open_postgres(url, settings.max_connections, purpose, &health).await?;
        Ok((pool.clone(), pool, deadline, health))
    }
}

async fn open_sqlite(
    url: &str,
    connections: u32,
    deadline: &StatementDeadline,
    purpose: Purpose,
) -> Result<(DatabaseConnection, DatabaseConnection), StoreError> {
    let parsed = SqliteConnectOptions::from_str(url)
        .map_err(|e| StoreError::unreachable(format!("database.url is no SQLite address: {e}")))?;
    let file = parsed.get_filename().to_path_buf();
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| {
            StoreError::unreachable(format!("cannot make the folder {}: {e}", folder.display()))
        })?;
    }
    let open = async |read_only: bool| {
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(if read_only { connections.max(2) } else { 1 })
            .acquire_timeout(ACQUIRE_WAIT)
            .sqlx_logging(false)
            .record_stmt_in_spans(false)
            .test_before_acquire(false);
        options.map_sqlx_sqlite_opts(move |o| {
            o.create_if_missing(!read_only)
                .read_only(read_only)
                .journal_mode(SqliteJournalMode::Wal)
                // a committed invite survives a power cut; NORMAL would not promise that
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(purpose.lock_wait())
                .foreign_keys(true)
                .pragma("cache_size", "-16000")
                .pragma("temp_store", "memory")
                .statement_cache_capacity(256)
        });
        if !read_only {
            let deadline = deadline.clone();
            options.map_sqlx_sqlite_pool_opts(move |pool| {
                let (deadline, state) = (deadline.clone(), deadline.clone());
                let pool = pool.before_acquire(move |_, _| {
                    let usable = !state.take_broken();
                    Box::pin(async move { Ok(usable) })
                });
                pool.after_connect(move |connection, _| {
                    let deadline = deadline.clone();
                    Box::pin(async move {
                        let mut handle = connection.lock_handle().await?;
                        handle.set_progress_handler(20_000, move || !deadline.passed());
                        Ok(())
                    })
                })
            });
        }
        Database::connect(options)
            .await
            .map_err(|e| StoreError::unreachable(format!("cannot open {}: {e}", file.display())))
    };
    // the writer first: it makes the file and its WAL, which read-only connections cannot
    let write = open(false).await?;
    let read = open(true).await?;
    Ok((write, read))
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

/// One connection without the limits of requests, for migrations and maintenance.
pub(super) async fn open_unlimited(settings: &settings::Database) -> Result<DatabaseConnection, StoreError> {
    let url = settings.url.expose_secret();
    if !url.starts_with("sqlite:") {
        probe_postgres(url).await?;
    }
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).record_stmt_in_spans(false);
    options.map_sqlx_sqlite_opts(|o| {
        o.journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(60))
            .foreign_keys(true)
            .create_if_missing(true)
    });
    options.map_sqlx_postgres_opts(|o| o.application_name("usher-maintenance"));
    Database::connect(options)
        .await
        .map_err(|e| StoreError::unreachable(format!("cannot reach the database: {e}")))
}
