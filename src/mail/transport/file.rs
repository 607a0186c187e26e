//! Mails as files: `<outbox id>.eml` in a folder. Whole or not there: written aside, synced, then renamed. A
//! repeated attempt replaces the file, so one mail owed is one file.

use std::{io, path::Path};

use tokio::io::AsyncWriteExt;

use super::Outcome;
use crate::mail::letter::Letter;

/// Writes one mail; the folder is made.
pub async fn write(folder: &Path, letter: &Letter) -> Outcome {
    match write_whole(folder, letter).await {
        Ok(()) => Outcome::Sent,
        Err(error) => {
            tracing::error!(%error, folder = %folder.display(), "cannot write a mail");
            Outcome::Deferred("file")
        }
    }
}

async fn write_whole(folder: &Path, letter: &Letter) -> io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    let aside = folder.join(format!(".{}.part", letter.id));
    let mut file = tokio::fs::File::create(&aside).await?;
    file.write_all(&letter.raw).await?;
    file.sync_data().await?;
    tokio::fs::rename(&aside, folder.join(format!("{}.eml", letter.id))).await
}
