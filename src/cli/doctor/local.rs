//! What the doctor looks at on this machine: folders that must be written, files that others should not read,
//! the port.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::ErrorKind,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::Check;
use crate::{
    config::settings::{Settings, Transport},
    store,
};

/// Database file and mail folders.
pub(super) fn files(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(file) = store::sqlite_file(&settings.database) {
        checks.push(database_file(&file));
    }
    let folders: BTreeSet<&Path> = settings
        .transports()
        .filter_map(|transport| match transport {
            Transport::File(folder) => Some(folder.as_path()),
            Transport::Smtp(_) | Transport::Memory => None,
        })
        .collect();
    for folder in folders {
        checks.push(match writable_folder(folder) {
            Ok(()) => Check::warning(
                "mail",
                format!("mails are only written to {}", folder.display()),
                "set mail.transport = \"smtp\" and mail.url where they shall be sent",
            ),
            Err(why) => {
                Check::problem("mail", why, "let the user that runs usher write there, or change mail.dir")
            }
        });
    }
    checks
}

fn database_file(file: &Path) -> Check {
    const WHAT: &str = "database file";
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let about = match fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match writable_folder(folder) {
                Ok(()) => Check::ok(WHAT, format!("{} is made at the first start", file.display())),
                Err(why) => Check::problem(
                    WHAT,
                    why,
                    "let the user that runs usher write there, or name another --data-dir",
                ),
            };
        }
        Err(error) => {
            let found = format!("{}: {}", file.display(), error.kind());
            return Check::problem(WHAT, found, "let the user that runs usher read it");
        }
        Ok(about) => about,
    };
    if let Err(error) = OpenOptions::new().append(true).open(file) {
        let found = format!("{} cannot be written: {}", file.display(), error.kind());
        return Check::problem(WHAT, found, "let the user that runs usher write it, with its folder");
    }
    let closed = fs::metadata(folder).is_ok_and(|about| about.permissions().mode() & 0o001 == 0);
    if about.permissions().mode() & 0o004 != 0 && !closed {
        let found = format!("{} can be read by everybody on this machine", file.display());
        return Check::warning(WHAT, found, format!("chmod o-rx {}", folder.display()));
    }
    Check::ok(WHAT, file.display().to_string())
}

/// Whether files can be made in a folder, or the folder itself.
fn writable_folder(folder: &Path) -> Result<(), String> {
    let existing = folder.ancestors().find(|path| path.as_os_str().is_empty() || path.exists());
    let existing = match existing {
        Some(path) if !path.as_os_str().is_empty() => path,
        _ => Path::new("."),
    };
    let probe = existing.join(format!(".usher-doctor-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).open(&probe);
    match made {
        Ok(_) => {
            let _ = fs::remove_file(&probe);
            Ok(())
        }
        Err(error) => Err(format!("nothing can be written to {}: {}", existing.display(), error.kind())),
    }
}

/// Whether the port is free, or a server has it.
pub(super) fn port(listen: &str) -> Check {
    match TcpListener::bind(listen) {
        Ok(_) => Check::ok("port", format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Check::ok("port", format!("{listen} is in use: by a running usher, or `serve` could not start"))
        }
        Err(error) => Check::problem(
            "port",
            format!("cannot listen on {listen}: {error}"),
            "change server.listen, or give --listen",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Health;

    #[test]
    fn a_database_file_that_is_not_there_yet_is_no_problem_and_is_not_made() {
        let folder = std::env::temp_dir().join(format!("usher-doctor-{}", std::process::id()));
        let file = folder.join("deep/usher.db");
        assert_eq!(database_file(&file).health, Health::Ok);
        assert!(!folder.exists());
    }

    #[test]
    fn a_database_file_that_everybody_can_read_is_worth_a_warning() {
        let folder = std::env::temp_dir().join(format!("usher-doctor-open-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("usher.db");
        fs::write(&file, b"").unwrap();
        for (folder_mode, file_mode, health) in
            [(0o755, 0o644, Health::Warning), (0o755, 0o600, Health::Ok), (0o750, 0o644, Health::Ok)]
        {
            fs::set_permissions(&folder, fs::Permissions::from_mode(folder_mode)).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(file_mode)).unwrap();
            assert_eq!(database_file(&file).health, health, "{folder_mode:o} {file_mode:o}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
