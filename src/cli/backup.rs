//! `usher backup`: a copy of a SQLite database while it is served, or the command that PostgreSQL has for it.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::{
    Globals,
    context::{self, on},
    failure::Failure,
};
use crate::store::backup::{self, BackupError};

/// Runs it.
///
/// # Errors
/// Any [`Failure`].
pub fn run(globals: &Globals, file: PathBuf) -> Result<(), Failure> {
    let loaded = context::load(globals)?;
    let database = loaded.settings.database.clone();
    let url = database.url.clone();
    let (to, shown) = (file.clone(), file.display().to_string());
    let size = context::block_on(async move |runtime| {
        on(&runtime, async move {
            backup::backup(&database, &to).await.map_err(|error| match error {
                BackupError::Store(error) => error.into(),
                BackupError::NotSqlite => Failure::Other(pg_dump(url.expose_secret(), &to)),
                error => Failure::Other(error.to_string()),
            })
        })
        .await
    })?;
    eprintln!("{shown}: {size} bytes, checked; keep it apart from the keys of links");
    Ok(())
}

/// What to do on PostgreSQL, with the very command; the password is not in it.
fn pg_dump(url: &str, file: &Path) -> String {
    format!(
        "no backup was made: PostgreSQL is backed up with its own tools, while usher serves. For this database:\n\n    \
         pg_dump --format=custom --file={} --dbname={}\n\n\
         with the password in PGPASSWORD or in ~/.pgpass.",
        quoted(&file.display().to_string()),
        quoted(&without_password(url)),
    )
}

/// The address without its password, wherever that stands, and without what only usher's driver knows.
fn without_password(url: &str) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let address = match address.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
        Some((scheme, Some((login, place)))) => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        _ => address.to_owned(),
    };
    let libpq = ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "user", "dbname"];
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| pair.split_once('=').is_some_and(|(key, _)| libpq.contains(&key)))
        .collect();
    if kept.is_empty() { address } else { format!("{address}?{}", kept.join("&")) }
}

/// As a shell reads it back.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_postgresql_has_everything_but_the_password() {
        for (url, shown) in [
            ("postgres://usher:s3cr%40t@db:5432/usher", "postgres://usher@db:5432/usher"),
            (
                "postgresql://usher:a@b@db/usher?sslmode=require",
                "postgresql://usher@db/usher?sslmode=require",
            ),
            (
                "postgres://db/usher?user=u&password=s3cret&statement-cache-capacity=1",
                "postgres://db/usher?user=u",
            ),
            ("postgres://db/usher", "postgres://db/usher"),
        ] {
            assert_eq!(without_password(url), shown);
        }
        let told = pg_dump("postgres://usher:s3cret@db/usher", Path::new("it's.dump"));
        assert!(
            told.contains(
                r"pg_dump --format=custom --file='it'\''s.dump' --dbname='postgres://usher@db/usher'"
            )
        );
        assert!(!told.contains("s3cret"));
    }
}
