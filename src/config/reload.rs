//! Reloading while serving: on SIGHUP, or when a file of the configuration changes. A configuration is applied
//! as a whole or not at all; one that is wrong is told, and the old one stays in force.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use entity::Millis;
use secrecy::ExposeSecret;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use crate::{
    config::{ConfigErrors, Loaded, Settings, Source, load, load::config_files},
    domain::Clock,
};

/// How often the files are looked at. A change counts once two looks in a row saw the same, so that a file
/// being written is not read half; two looks and the reading stay well below a second.
const POLL: Duration = Duration::from_millis(250);

/// Files looked at in one look, at most, where none seems to have changed: a thousand are through within half a second.
/// Of more, what is written in place shows as much later as there are more; what is added, renamed or removed changes
/// its directory and shows at once.
const SHARE: usize = 512;

/// How long a directory must have been left alone before its times are relied on: what happens within one tick of the
/// file system's clock leaves them as they are.
const SETTLED: i64 = 2_000;

/// After how many looks a configuration that could not be applied is tried again.
const RETRY_EVERY: u32 = 4;

/// Inode, length, modification and change time of a file; `None` if it is not there.
pub(super) type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

/// The files that a configuration was read from, as they were just before.
pub(super) type Stamps = BTreeMap<PathBuf, Stamp>;

/// The stamp of a file now.
pub(super) fn stamp(path: &Path) -> Stamp {
    let about = fs::metadata(path).ok()?;
    Some((about.ino(), about.len(), about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()))
}

/// How the reloads so far went; clones share it.
#[derive(Clone, Debug)]
pub struct ReloadHealth {
    state: Arc<ArcSwap<ReloadState>>,
    looks: Arc<AtomicU64>,
}

/// The last reload and the count of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadState {
    /// Whether the files as they are now are in force.
    pub in_force: bool,
    /// Reloads that took effect.
    pub succeeded: u64,
    /// Reloads that were refused.
    pub failed: u64,
    /// When the last one was, or the start.
    pub at: Millis,
    /// What was wrong with it; no secrets.
    pub problems: Vec<String>,
}

impl ReloadHealth {
    fn new() -> Self {
        let state =
            ReloadState { in_force: true, succeeded: 0, failed: 0, at: Clock::wall(), problems: Vec::new() };
        Self { state: Arc::new(ArcSwap::from_pointee(state)), looks: Arc::default() }
    }

    /// How it stands now: for `/readyz`, and for a gauge that is 1 while `in_force`.
    #[must_use]
    pub fn state(&self) -> Arc<ReloadState> {
        self.state.load_full()
    }

    /// How often the files have been looked at, with what came of it, for tests that wait for it.
    #[cfg(test)]
    pub(super) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Acquire)
    }

    fn record(&self, outcome: &Result<(), ConfigErrors>) {
        let before = self.state();
        let problems = match outcome {
            Ok(()) => Vec::new(),
            Err(errors) => errors.problems().iter().map(ToString::to_string).collect(),
        };
        let in_force = outcome.is_ok();
        self.state.store(Arc::new(ReloadState {
            in_force,
            succeeded: before.succeeded + u64::from(in_force),
            failed: before.failed + u64::from(!in_force),
            at: Clock::wall(),
            problems,
        }));
        metrics::gauge!("usher_config_last_reload_successful").set(if in_force { 1.0 } else { 0.0 });
    }
}

/// Watches the files of a configuration in force.
pub struct Watcher {
    source: Source,
    at_start: Arc<Settings>,
    tried: Arc<Stamps>,
    round: Round,
    health: ReloadHealth,
}

/// How far the files of a large configuration have been looked at since all of them were.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// Which is next.
    next: usize,
    /// The directories and `usher.toml` as they were then; none if that does not tell what is in them.
    places: Option<[Stamp; 3]>,
}

impl Watcher {
    /// A watcher that goes on from a configuration loaded from this source.
    #[must_use]
    pub fn new(source: Source, loaded: &Loaded) -> Self {
        metrics::gauge!("usher_config_last_reload_successful").set(1.0);
        Self {
            source,
            at_start: loaded.settings.clone(),
            tried: Arc::new(loaded.stamps.clone()),
            round: Round::default(),
            health: ReloadHealth::new(),
        }
    }

    /// How the reloads go; to be kept before [`Watcher::run`] takes the watcher.
    #[must_use]
    pub fn health(&self) -> ReloadHealth {
        self.health.clone()
    }

    /// Reloads until dropped. `apply` gets every configuration without a problem and puts it in force, or
    /// refuses it having changed nothing; a refused one is tried again every second, since the reason may lie
    /// elsewhere (a database that is away).
    ///
    /// # Errors
    /// Only if SIGHUP cannot be listened for.
    pub async fn run<F, Fut>(mut self, apply: F) -> std::io::Result<()>
    where
        F: Fn(Loaded) -> Fut,
        Fut: Future<Output = Result<(), ConfigErrors>>,
    {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut looks = interval(POLL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changed: Option<Stamps> = None;
        let mut refused_for: Option<u32> = None;
        loop {
            let asked = tokio::select! {
                heard = hangup.recv() => heard.is_some(),
                _ = looks.tick() => false,
            };
            let seen = self.look(changed.is_some()).await;
            let settled = seen.is_some() && changed == seen;
            let again = refused_for.is_some_and(|looks| looks >= RETRY_EVERY);
            if asked || settled || again {
                changed = None;
                refused_for = self.reload(&apply).await.then_some(0);
            } else {
                changed = seen;
                refused_for = refused_for.map(|looks| looks + 1);
            }
            self.health.looks.fetch_add(1, Ordering::Release);
        }
    }

    /// The files as they are now, those of the directory and the secrets and keys that they named, if they are not as
    /// they were tried last. All of them are looked at if asked for, or if a share of them is not enough.
    async fn look(&mut self, at_all: bool) -> Option<Stamps> {
        let (dir, tried) = (self.source.config_dir.clone(), self.tried.clone());
        let round = if at_all { Round::default() } else { self.round };
        let (seen, round) = blocking(move || look(&dir, &tried, round)).await.unwrap_or_default();
        self.round = round;
        seen
    }

    /// One reload; `true` if the configuration is fine and was refused by `apply`.
    async fn reload<F, Fut>(&mut self, apply: &F) -> bool
    where
        F: Fn(Loaded) -> Fut,
        Fut: Future<Output = Result<(), ConfigErrors>>,
    {
        self.round = Round::default();
        let source = self.source.clone();
        let loaded = blocking(move || load(&source))
            .await
            .unwrap_or_else(|| Err(ConfigErrors::one("reload", "stopped unexpectedly")));
        let (outcome, refused) = match loaded {
            Ok(loaded) => {
                self.tried = Arc::new(loaded.stamps.clone());
                let (settings, warnings) = (loaded.settings.clone(), loaded.warnings.clone());
                let outcome = apply(loaded).await;
                if outcome.is_ok() {
                    self.tell_success(&settings, &warnings);
                }
                let refused = outcome.is_err();
                (outcome, refused)
            }
            Err(errors) => {
                self.tried = Arc::new(errors.stamps.clone());
                (Err(errors), false)
            }
        };
        if let Err(errors) = &outcome {
            self.tell_failure(errors);
        }
        self.health.record(&outcome);
        refused
    }

    fn tell_success(&self, settings: &Settings, warnings: &[String]) {
        tracing::info!(tenants = settings.tenants.len(), "configuration reloaded");
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        for key in needs_restart(&self.at_start, settings) {
            tracing::warn!("`{key}` has changed; that takes effect at the next start");
        }
    }

    /// A failure that repeats is told once.
    fn tell_failure(&self, errors: &ConfigErrors) {
        let told: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
        if self.health.state().problems == told {
            return;
        }
        tracing::error!(problems = told.len(), "configuration not reloaded, the old one stays in force");
        for line in told {
            tracing::error!("{line}");
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// One look, and how far the round is after it.
fn look(dir: &Path, tried: &Stamps, round: Round) -> (Option<Stamps>, Round) {
    let places = [dir.to_owned(), dir.join("tenants"), dir.join("usher.toml")].map(|place| stamp(&place));
    if tried.len() > SHARE && round.places == Some(places) {
        let begin = if round.next < tried.len() { round.next } else { 0 };
        let mut share = tried.iter().skip(begin).take(SHARE);
        if share.all(|(path, before)| stamp(path) == *before) {
            return (None, Round { next: begin + SHARE, ..round });
        }
    }
    let seen = look_at_all(dir, tried);
    let settled = places.iter().flatten().all(|place| is_older(place, SETTLED));
    let round = Round { next: 0, places: settled.then_some(places) };
    ((seen != *tried).then_some(seen), round)
}

/// Whether what was stamped has been as it is for so many milliseconds.
fn is_older(place: &(u64, u64, i64, i64, i64, i64), millis: i64) -> bool {
    let changed = place.4.saturating_mul(1000).saturating_add(place.5 / 1_000_000);
    Clock::wall().0.saturating_sub(changed) > millis
}

fn look_at_all(dir: &Path, known: &Stamps) -> Stamps {
    // tenants count by the listing alone: one that is gone is a change, not a file to wait for
    let tenants = dir.join("tenants");
    let listed = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "toml") && path.parent() == Some(&tenants)
    };
    let Ok(files) = config_files(dir) else { return Stamps::from([(dir.to_owned(), None)]) };
    let named = known.keys().filter(|path| !listed(path)).cloned();
    let paths = named.chain([files.server]).chain(files.tenants);
    paths
        .map(|path| {
            let stamp = stamp(&path);
            (path, stamp)
        })
        .collect()
}

/// Keys whose change a running server cannot follow.
fn needs_restart(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let mut keys = Vec::new();
    if old.server.listen != new.server.listen {
        keys.push("server.listen");
    }
    if old.server.admin_listen != new.server.admin_listen {
        keys.push("server.admin_listen");
    }
    if old.database.url.expose_secret() != new.database.url.expose_secret()
        || old.database.max_connections != new.database.max_connections
    {
        keys.push("database");
    }
    if old.lane != new.lane {
        keys.push("lane");
    }
    keys
}
