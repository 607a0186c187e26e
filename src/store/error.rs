//! What can go wrong below: told apart only as far as callers act differently. Database texts stay in the log.

use sea_orm::{DbErr, RuntimeErr};

use crate::domain::Refusal;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Cannot be reached at start; the text is for the operator.
    #[error("{0}")]
    Unreachable(String),
    /// Not now: down, locked, full, read-only, or too slow. Nothing of ours is wrong.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// A unique constraint; the text names constraint or columns.
    #[error("unique constraint: {0}")]
    Unique(String),
    /// Anything else: a fault of ours.
    #[error("database error: {0}")]
    Fault(DbErr),
}

impl StoreError {
    /// An [`StoreError::Unavailable`] with a reason for the log.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable(why.into())
    }

    /// An [`StoreError::Unreachable`] with a reason for the operator.
    pub fn unreachable(why: impl Into<String>) -> Self {
        Self::Unreachable(why.into())
    }

    /// What the caller is told: a clean 503, or an internal error. Logs the cause.
    #[must_use]
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Unavailable(why) | Self::Unreachable(why) => {
                tracing::warn!(why, "database unavailable");
                Refusal::Unavailable { retry_after: 1, what: "The database cannot be used right now." }
            }
            fault => {
                tracing::error!(error = %fault, "database fault");
                Refusal::Internal
            }
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        error.into_refusal()
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if let Some(broken) = database(&error).filter(|said| said.is_unique_violation()) {
            return Self::Unique(broken.message().to_owned());
        }
        if database(&error).and_then(|said| said.code()).as_deref() == Some("25006") {
            return Self::unavailable(READ_ONLY);
        }
        if is_passing(&error) { Self::Unavailable(error.to_string()) } else { Self::Fault(error) }
    }
}

/// Whether a write was refused because the database only reads now: a standby, or an operator's wish.
pub(super) fn is_read_only(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(why) if why.contains(READ_ONLY))
}

/// Our words for it, whatever the language of the database's.
pub(super) const READ_ONLY: &str = "the database is read-only";

/// Whether trying again later can help without anybody changing usher.
fn is_passing(error: &DbErr) -> bool {
    let runtime = match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => return true,
        DbErr::Exec(runtime) | DbErr::Query(runtime) => runtime,
        _ => return false,
    };
    let RuntimeErr::SqlxError(error) = runtime else { return false };
    match error.as_ref() {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(db) => db.code().is_some_and(|code| {
            // SQLite primary codes: busy, locked, read-only, interrupted, I/O, full, cannot open
            let sqlite = code
                .parse::<i32>()
                .is_ok_and(|n| code.len() <= 4 && matches!(n & 0xff, 5 | 6 | 8 | 9 | 10 | 13 | 14));
            // PostgreSQL: connection, resources, operator intervention (timeouts too), lock timeout,
            // serialization, deadlock, read-only transaction
            let postgres =
                ["08", "53", "57", "58"].iter().any(|class| code.len() == 5 && code.starts_with(class))
                    || matches!(code.as_ref(), "55P03" | "40001" | "40P01" | "25006" | "25P03");
            sqlite || postgres
        }),
        _ => false,
    }
}

/// What the database itself said, if the error comes from there.
fn database(error: &DbErr) -> Option<&dyn sqlx::error::DatabaseError> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    match error.as_ref() {
        sqlx::Error::Database(said) => Some(said.as_ref()),
        _ => None,
    }
}
