//! A copy of a SQLite database while it is served: one consistent moment of it, written beside its name and given
//! that name when it is whole and checked, so that a file of that name is always a good backup.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use secrecy::ExposeSecret;

use super::{
    StoreError, connect,
    sqlite::{self, Access},
};
use crate::config::settings;

/// Why there is no backup. Nothing is left behind then.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database is PostgreSQL, which has its own tools.
    #[error("PostgreSQL is backed up with its own tools")]
    NotSqlite,
    /// There is something of that name; it is left as it is.
    #[error("{0} exists already; a backup never overwrites")]
    Exists(String),
    /// The file cannot be written.
    #[error("cannot write {0}: {1}")]
    File(String, io::Error),
    /// The copy is not what it should be.
    #[error("the copy is damaged, and so may be the database: {0}")]
    Damaged(String),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies the database into a new file, readable by its owner alone; gives its size in bytes. Its readers and its
/// writer go on meanwhile.
///
/// # Errors
/// See [`BackupError`].
pub async fn backup(settings: &settings::Database, to: &Path) -> Result<u64, BackupError> {
    let from = sqlite::file_of(settings.url.expose_secret()).ok_or(BackupError::NotSqlite)?;
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.display().to_string()));
    }
    if !from.is_file() {
        return Err(StoreError::unreachable(format!("there is no database at {}", from.display())).into());
    }
    let part = Part::beside(to)?;
    copy(&from, &part.0).await?;
    check(&part.0).await?;
    part.take_name(to)
}

/// The file while it is not whole; gone with this unless it got its name.
struct Part(PathBuf);

impl Part {
    /// Made empty by us, so that it is nobody else's to read at any moment.
    fn beside(to: &Path) -> Result<Self, BackupError> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = to.with_file_name(name);
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        made.map_err(|error| unwritable(to, error))?;
        Ok(Self(part))
    }

    /// On disk first, then under its name in one step, which fails if that name was taken meanwhile.
    fn take_name(self, to: &Path) -> Result<u64, BackupError> {
        let done = || {
            let file = fs::File::open(&self.0)?;
            file.sync_all()?;
            let size = file.metadata()?.len();
            fs::hard_link(&self.0, to)?;
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
            fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(size)
        };
        done().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(to.display().to_string()),
            _ => unwritable(to, error),
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // nothing more can be done about it
        let _ = fs::remove_file(&self.0);
    }
}

fn unwritable(to: &Path, error: io::Error) -> BackupError {
    BackupError::File(to.display().to_string(), error)
}

/// Writes one moment of the database into an empty file.
async fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let db = connect::open_alone(from, Access::AsItIs).await?;
    let to = to.to_str().ok_or_else(|| StoreError::unreachable("the file's name must be UTF-8"))?;
    let into = Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO $1", [to.into()]);
    db.execute_raw(into).await?;
    Ok(())
}

/// Fails unless every page and index of the copy is in order.
async fn check(copy: &Path) -> Result<(), BackupError> {
    const CHECK: &str = "PRAGMA integrity_check(1)";
    let db = connect::open_alone(copy, Access::AsItIs).await?;
    let asked = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, CHECK)).await;
    let told = asked.and_then(|row| row.map(|row| row.try_get_by_index::<String>(0)).transpose());
    match told.map_err(StoreError::from)?.as_deref() {
        Some("ok") => Ok(()),
        wrong => Err(BackupError::Damaged(wrong.unwrap_or("it cannot be checked").to_owned())),
    }
}
