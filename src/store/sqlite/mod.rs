//! SQLite, spoken to through its own library on the thread that asks: one writing connection (`writer`), several that
//! only read (`readers`), and single ones for maintenance (`alone`). A driver that hands each statement to a thread of
//! its own and waits for the answer costs several times what SQLite needs for a statement of a few microseconds, and a
//! write transaction is many of them.

mod alone;
mod connection;
mod error;
mod readers;
mod rows;
mod values;
mod writer;

use std::path::PathBuf;

use tokio::runtime::{Handle, RuntimeFlavor};

pub(super) use self::{
    alone::open as open_alone,
    connection::Access,
    readers::{Asking, Readers},
    rows::Table,
    writer::{Patience, Writer, Writing},
};

/// The file that an address such as `sqlite://data/usher.db` names; `None` for any other database.
pub(super) fn file_of(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite://")?;
    // spaces and the like may be written as in any URL
    let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    Some(PathBuf::from(path.as_ref()))
}

/// Runs what waits for a lock or the disk, while another thread takes over the other tasks of this one.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    let many =
        Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if many { tokio::task::block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_the_address_says() {
        for (url, file) in [
            ("sqlite://data/usher.db", Some("data/usher.db")),
            ("sqlite:///var/lib/usher.db", Some("/var/lib/usher.db")),
            ("sqlite://a%20b%3F.db", Some("a b?.db")),
            ("postgres://somewhere/usher", None),
        ] {
            assert_eq!(file_of(url), file.map(PathBuf::from), "{url}");
        }
    }
}
