//! Notes of mails that have left, where the database has one writer for everything (SQLite): an empty file for each,
//! beside the database's. Writing it down properly waits behind whatever is being written; a note waits for nothing.
//! Should the process die meanwhile, whoever takes the mail over finds the note and does not send it again. Notes
//! outlive the process, not the machine: none of this waits for the disk.

use std::path::PathBuf;

use entity::OutboxId;
use tokio::fs;
use uuid::Uuid;

use crate::{
    config::settings,
    store::{self, outbox::Held},
};

/// The folder of the notes; none on PostgreSQL, where the mail's own row takes them.
#[derive(Clone, Debug, Default)]
pub struct TakenNotes {
    folder: Option<PathBuf>,
}

impl TakenNotes {
    /// Notes for the mails of this database.
    #[must_use]
    pub fn beside(database: &settings::Database) -> Self {
        let folder = store::sqlite_file(database).map(|file| {
            let mut name = file.into_os_string();
            name.push("-taken");
            PathBuf::from(name)
        });
        Self { folder }
    }

    /// Notes that the relay has taken the mail with this lease. Failing costs nothing but the note.
    pub async fn note(&self, lease: Held) {
        let Some(folder) = &self.folder else { return };
        let file = folder.join(name(lease));
        if fs::File::create(&file).await.is_ok() {
            return;
        }
        // the first of all
        let made = async {
            fs::create_dir_all(folder).await?;
            fs::File::create(&file).await
        };
        if let Err(error) = made.await {
            tracing::debug!(mail = %lease.id, %error, "a mail that has left is not noted ahead");
        }
    }

    /// All that are noted.
    pub async fn all(&self) -> Vec<Held> {
        let mut noted = Vec::new();
        let Some(folder) = &self.folder else { return noted };
        let Ok(mut files) = fs::read_dir(folder).await else { return noted };
        while let Ok(Some(file)) = files.next_entry().await {
            noted.extend(file.file_name().to_str().and_then(lease));
        }
        noted
    }

    /// Drops the notes of leases that say no more than the database.
    pub async fn forget(&self, leases: &[Held]) {
        let Some(folder) = &self.folder else { return };
        for lease in leases {
            // most were never noted, or are forgotten already
            let _ = fs::remove_file(folder.join(name(*lease))).await;
        }
    }
}

fn name(Held { id, token }: Held) -> String {
    format!("{id}.{token}")
}

fn lease(name: &str) -> Option<Held> {
    let (id, token) = name.split_once('.')?;
    Some(Held { id: OutboxId(Uuid::try_parse(id).ok()?), token: Uuid::try_parse(token).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_noted_is_found_until_it_is_forgotten() {
        let folder = std::env::temp_dir().join(format!("usher-taken-{}", Uuid::now_v7()));
        let notes = TakenNotes { folder: Some(folder.clone()) };
        let [one, other] = [0; 2].map(|_| Held { id: OutboxId::new(), token: Uuid::new_v4() });
        assert!(notes.all().await.is_empty());
        notes.note(one).await;
        notes.note(other).await;
        std::fs::write(folder.join("of somebody else"), "").unwrap();
        assert_eq!(notes.all().await.len(), 2);
        notes.forget(&[one, one]).await;
        assert_eq!(notes.all().await, [other]);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(TakenNotes::default().all().await.is_empty());
    }
}
