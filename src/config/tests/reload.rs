//! Reloading while serving, with real files: what is fine is in force within a second, what is broken changes
//! nothing and is told.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::RwLock,
};

use super::{ACME, CLINIC, SERVER, Scratch};
use crate::config::{
    ConfigErrors, Loaded, load,
    reload::{ReloadHealth, Watcher},
};

/// A hangup reaches every watcher of this process, so its test runs while no other does.
static HANGUPS: RwLock<()> = RwLock::const_new(());

/// A watched directory and the slugs in force.
struct Watched {
    scratch: Scratch,
    in_force: Arc<Mutex<Vec<String>>>,
    refuse: Arc<Mutex<bool>>,
    health: ReloadHealth,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A tenant that needs nothing but a name.
fn other(at: u32, name: &str) -> String {
    format!("id = \"01900000-0000-7000-8000-0000000{at:05}\"\nslug = \"t{at}\"\nname = \"{name}\"\n")
}

fn slugs(loaded: &Loaded) -> Vec<String> {
    loaded.settings.tenants.iter().map(|tenant| tenant.slug.clone()).collect()
}

impl Watched {
    fn start() -> Self {
        Self::start_with(0)
    }

    /// With so many tenants besides, none of which has a domain.
    fn start_with(others: u32) -> Self {
        let scratch = Scratch::new();
        scratch.write("usher.toml", SERVER);
        scratch.write("tenants/acme.toml", ACME);
        for at in 0..others {
            scratch.write(&format!("tenants/t{at:04}.toml"), &other(at, "as it was"));
        }
        let loaded = load(&scratch.source()).unwrap();
        let in_force = Arc::new(Mutex::new(slugs(&loaded)));
        let refuse = Arc::new(Mutex::new(false));
        let watcher = Watcher::new(scratch.source(), &loaded);
        let health = watcher.health();
        let (into, refusing) = (in_force.clone(), refuse.clone());
        let task = tokio::spawn(watcher.run(move |loaded| {
            let refused = *refusing.lock().unwrap();
            if !refused {
                *into.lock().unwrap() = slugs(&loaded);
            }
            async move { if refused { Err(ConfigErrors::one("database", "is away")) } else { Ok(()) } }
        }));
        Self { scratch, in_force, refuse, health, task }
    }

    fn now(&self) -> Vec<String> {
        self.in_force.lock().unwrap().clone()
    }

    /// Waits until this holds; how long that took.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Duration {
        let start = Instant::now();
        while !holds(self) {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{what}: {:?} {:?}",
                self.now(),
                self.health.state()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        start.elapsed()
    }

    /// Waits until the files have been looked at so many times more.
    async fn looks(&self, count: u64) {
        let enough = self.health.looks() + count;
        self.until("looks", |watched| watched.health.looks() >= enough).await;
    }

    async fn failures(&self, count: u64) {
        self.until("failure", |watched| watched.health.state().failed == count).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_in_force_within_a_second_and_an_unchanged_file_is_left_alone() {
    let _calm = HANGUPS.read().await;
    let watched = Watched::start();
    watched.looks(3).await;
    assert_eq!(watched.health.state().succeeded, 0, "nothing has changed");
    watched.scratch.write("tenants/clinic.toml", CLINIC);
    let took = watched.until("added", |watched| watched.now() == ["acme", "clinic"]).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    std::fs::remove_file(watched.scratch.path().join("tenants/acme.toml")).unwrap();
    watched.until("removed", |watched| watched.now() == ["clinic"]).await;
    assert!(watched.health.state().in_force);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_broken_changes_nothing_and_is_told() {
    let _calm = HANGUPS.read().await;
    let watched = Watched::start();
    let breaks: [(&str, Option<&str>, &str); 6] = [
        ("tenants/clinic.toml", Some("id = \"01900000-0000"), "clinic.toml:1: not TOML"),
        ("tenants/clinic.toml", Some(""), "clinic.toml: `id`: is missing"),
        ("tenants/clinic.toml", Some(ACME), "is already the id of a tenant"),
        ("tenants/clinic.toml", Some(CLINIC), ""),
        ("usher.toml", None, "usher.toml: no such file"),
        ("usher.toml", Some("[server]\nlistne = 1"), "did you mean `listen`?"),
    ];
    let mut failed = 0;
    for (name, text, said) in breaks {
        match text {
            Some(text) => {
                watched.scratch.write(name, text);
            }
            None => std::fs::remove_file(watched.scratch.path().join(name)).unwrap(),
        }
        if said.is_empty() {
            watched.until("fine again", |watched| watched.health.state().in_force).await;
            assert_eq!(watched.now(), ["acme", "clinic"]);
            continue;
        }
        failed += 1;
        watched.failures(failed).await;
        let state = watched.health.state();
        assert!(
            !state.in_force && state.problems.iter().any(|line| line.contains(said)),
            "{said}: {state:?}"
        );
        let before: &[&str] = if failed <= 3 { &["acme"] } else { &["acme", "clinic"] };
        assert_eq!(watched.now(), before, "{said}");
    }
    watched.looks(3).await;
    assert_eq!(watched.health.state().failed, failed, "a broken file is looked at once, not over and over");
    std::fs::remove_dir_all(watched.scratch.path()).unwrap();
    watched.failures(failed + 1).await;
    assert!(watched.health.state().problems[0].contains("no such directory"));
    assert_eq!(watched.now(), ["acme", "clinic"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_file_counts_as_configuration_and_may_be_late() {
    let _calm = HANGUPS.read().await;
    let watched = Watched::start();
    let secret = watched.scratch.path().join("secret");
    let server =
        SERVER.replace("hs256_secret = ", &format!("hs256_secret_file = \"{}\" # ", secret.display()));
    watched.scratch.write("usher.toml", &server);
    watched.failures(1).await;
    watched.looks(3).await;
    assert_eq!(watched.health.state().failed, 1);
    watched.scratch.write("secret", "a secret that has at least 32 bytes");
    watched.until("the secret is there", |watched| watched.health.state().succeeded == 1).await;
    watched.scratch.write("secret", "short");
    watched.failures(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_could_not_be_applied_is_tried_again() {
    let _calm = HANGUPS.read().await;
    let watched = Watched::start();
    *watched.refuse.lock().unwrap() = true;
    watched.scratch.write("tenants/clinic.toml", CLINIC);
    watched.until("refused", |watched| watched.health.state().failed > 0).await;
    assert_eq!(watched.health.state().problems, ["database: is away"]);
    assert_eq!(watched.now(), ["acme"]);
    *watched.refuse.lock().unwrap() = false;
    watched.until("applied", |watched| watched.health.state().in_force).await;
    assert_eq!(watched.now(), ["acme", "clinic"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reloads_even_if_nothing_seems_to_have_changed() {
    let _alone = HANGUPS.write().await;
    // from here on a hangup does not end this process
    let _heard = signal(SignalKind::hangup()).unwrap();
    let watched = Watched::start();
    watched.looks(1).await;
    let pid = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    let took = watched.until("reloaded", |watched| watched.health.state().succeeded == 1).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_very_many_files_each_change_is_seen_however_it_was_made() {
    let _calm = HANGUPS.read().await;
    // three shares; made long enough ago that the times of the directory count
    let watched = Watched::start_with(1500);
    watched.looks(12).await;
    assert_eq!(watched.health.state().succeeded, 0, "nothing has changed");
    let place = |at: u32| watched.scratch.path().join(format!("tenants/t{at:04}.toml"));
    for (at, succeeded) in [(3, 1), (1499, 2)] {
        // written in place, which leaves the directory as it is
        std::fs::write(place(at), other(at, "changed")).unwrap();
        watched.until("changed", |watched| watched.health.state().succeeded == succeeded).await;
    }
    std::fs::write(place(9000).with_extension("new"), other(1500, "added")).unwrap();
    std::fs::rename(place(9000).with_extension("new"), place(1500)).unwrap();
    watched.until("added", |watched| watched.now().len() == 1502).await;
    std::fs::remove_file(place(7)).unwrap();
    watched.until("removed", |watched| watched.now().len() == 1501).await;
    std::fs::write(watched.scratch.path().join("usher.toml"), "[server]\nlistne = 1").unwrap();
    watched.failures(1).await;
}
