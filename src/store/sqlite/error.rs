//! What SQLite says when it fails, in the form in which PostgreSQL's driver says it: whoever tells errors apart does so
//! in one place.

use std::{borrow::Cow, error::Error, sync::Arc};

use sea_orm::{DbErr, RuntimeErr};
use sqlx::error::{DatabaseError, ErrorKind};

/// An error on its way out.
pub(in crate::store) struct Fault(DbErr);

impl From<DbErr> for Fault {
    fn from(error: DbErr) -> Self {
        Self(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let message = error.to_string();
        Self(failed(match error {
            rusqlite::Error::SqliteFailure(failure, said) => {
                Failure { code: failure.extended_code.to_string(), message: said.unwrap_or(message) }
            }
            _ => Failure { code: String::new(), message },
        }))
    }
}

impl From<Fault> for DbErr {
    fn from(fault: Fault) -> Self {
        fault.0
    }
}

/// Others were writing for too long: SQLite's own code for it.
pub(super) fn busy() -> DbErr {
    failed(Failure { code: "5".to_owned(), message: "others are writing".to_owned() })
}

/// The transaction was ended by SQLite before its work was done: as if it had been interrupted.
pub(super) fn ended() -> Fault {
    Fault(failed(Failure { code: "9".to_owned(), message: "the transaction has ended already".to_owned() }))
}

fn failed(failure: Failure) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Database(Box::new(failure)))))
}

/// What SQLite's own library says.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Failure {
    code: String,
    message: String,
}

impl DatabaseError for Failure {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        (!self.code.is_empty()).then_some(Cow::Borrowed(self.code.as_str()))
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.code.as_str() {
            // primary key, unique
            "1555" | "2067" => ErrorKind::UniqueViolation,
            "787" => ErrorKind::ForeignKeyViolation,
            "275" => ErrorKind::CheckViolation,
            "1299" => ErrorKind::NotNullViolation,
            _ => ErrorKind::Other,
        }
    }
}
