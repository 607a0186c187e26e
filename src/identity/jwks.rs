//! The key sets of issuers, fetched over HTTP and kept by URL, so a reload neither loses nor refetches them.
//! However many tokens arrive, a set is fetched by one task at a time and at most once per cooldown, whether
//! the last attempt failed or not. What was fetched keeps serving while the issuer is down, up to a day.
//! Fetching runs on the store's runtime: a connection opened on an HTTP worker would die with that worker.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jsonwebtoken::Algorithm;
use reqwest::{Client, StatusCode, Url, redirect};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::{runtime::Handle, sync::watch};

use super::keys::VerifyingKey;

/// Keys of one set that are kept; providers publish two or three.
const MAX_KEYS: usize = 64;
/// Keys tried for one token, when it names none.
const MAX_CANDIDATES: usize = 8;

/// How key sets are fetched and how long they serve.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Time between two attempts to fetch one set.
    pub cooldown: Duration,
    /// Age at which a set in use is fetched again.
    pub refresh: Duration,
    /// Age up to which a set serves when it cannot be fetched again.
    pub stale: Duration,
    /// Limit of one fetch, connecting included.
    pub timeout: Duration,
    /// How long a caller waits for a fetch; it goes on without them.
    pub wait: Duration,
    /// Bytes of a set at most.
    pub max_bytes: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cooldown: Duration::from_secs(30),
            refresh: Duration::from_secs(300),
            stale: Duration::from_secs(24 * 3600),
            timeout: Duration::from_secs(5),
            wait: Duration::from_secs(2),
            max_bytes: 256 * 1024,
        }
    }
}

/// No keys are at hand and none can be had now: the token may well be genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysUnavailable;

/// All key sets in use.
pub struct KeySets {
    shared: Arc<Shared>,
    sets: Mutex<HashMap<String, Arc<KeySet>>>,
}

struct Shared {
    runtime: Handle,
    policy: Policy,
    plain: OnceLock<Client>,
    tls: OnceLock<Client>,
    generation: AtomicU64,
}

struct KeySet {
    url: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Arc<[VerifyingKey]>,
    digest: [u8; 32],
    fetched: Option<Instant>,
    attempted: Option<Instant>,
    failed: bool,
    /// open while a fetch runs
    running: Option<watch::Receiver<()>>,
}

/// What is known now about the keys that a token asks for.
struct Look {
    keys: Vec<VerifyingKey>,
    usable: bool,
    age: Duration,
    failed: bool,
}

impl KeySets {
    /// No sets yet; they are fetched on `runtime` when first asked for.
    #[must_use]
    pub fn new(runtime: Handle, policy: Policy) -> Self {
        let shared = Shared {
            runtime,
            policy,
            plain: OnceLock::new(),
            tls: OnceLock::new(),
            generation: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), sets: Mutex::default() }
    }

    /// Changes whenever the keys of any set do: part of the key of every cached verdict.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Forgets the sets that are not in use any more.
    pub fn retain(&self, urls: &HashSet<&str>) {
        lock(&self.sets).retain(|url, _| urls.contains(url.as_str()));
    }

    /// The keys of a set that a token with this `kid` and algorithm may be signed with; none if there is none.
    ///
    /// # Errors
    /// [`KeysUnavailable`] while there is no set at all.
    pub(super) async fn candidates(
        &self,
        url: &str,
        kid: Option<&str>,
        alg: Algorithm,
    ) -> Result<Vec<VerifyingKey>, KeysUnavailable> {
        let policy = self.shared.policy;
        let set = Arc::clone(
            lock(&self.sets)
                .entry(url.to_owned())
                .or_insert_with(|| Arc::new(KeySet { url: url.to_owned(), state: Mutex::default() })),
        );
        let known = set.look(kid, alg, policy.stale);
        if known.usable && !known.keys.is_empty() && known.age < policy.refresh {
            return Ok(known.keys);
        }
        let fetch = set.fetch(&self.shared);
        // a set in constant use is refreshed behind the callers' backs; one that lay idle is fetched first,
        // because a key withdrawn meanwhile must not serve
        if known.usable && !known.keys.is_empty() && (known.age < policy.refresh * 2 || known.failed) {
            return Ok(known.keys);
        }
        if let Some(mut done) = fetch {
            let _ = tokio::time::timeout(policy.wait, done.changed()).await;
        }
        let now_known = set.look(kid, alg, policy.stale);
        if now_known.usable { Ok(now_known.keys) } else { Err(KeysUnavailable) }
    }
}

impl KeySet {
    fn look(&self, kid: Option<&str>, alg: Algorithm, stale: Duration) -> Look {
        let state = lock(&self.state);
        let age = state.fetched.map_or(Duration::MAX, |at| at.elapsed());
        let fitting = state.keys.iter().filter(|key| key.is_named(kid) && key.allows(alg));
        Look {
            keys: fitting.take(MAX_CANDIDATES).cloned().collect(),
            usable: age < stale,
            age,
            failed: state.failed,
        }
    }

    /// Joins the fetch that runs, or starts one unless the last is too recent.
    fn fetch(self: &Arc<Self>, shared: &Arc<Shared>) -> Option<watch::Receiver<()>> {
        let mut state = lock(&self.state);
        if let Some(running) = state.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return Some(running.clone());
        }
        if state.attempted.is_some_and(|at| at.elapsed() < shared.policy.cooldown) {
            return None;
        }
        state.attempted = Some(Instant::now());
        let (ends, running) = watch::channel(());
        state.running = Some(running.clone());
        drop(state);
        let (set, shared) = (Arc::clone(self), Arc::clone(shared));
        shared.runtime.clone().spawn(async move {
            let fetched = tokio::time::timeout(shared.policy.timeout, download(&shared, &set.url)).await;
            set.keep(fetched.unwrap_or(Err("it did not answer in time")), &shared);
            // closing the channel wakes whoever waits, as an end by panic or shutdown would
            drop(ends);
        });
        Some(running)
    }

    fn keep(&self, fetched: Result<Fetched, &'static str>, shared: &Shared) {
        let mut state = lock(&self.state);
        match fetched {
            Ok(new) => {
                state.fetched = Some(Instant::now());
                state.failed = false;
                if new.digest != state.digest {
                    state.keys = new.keys;
                    state.digest = new.digest;
                    shared.generation.fetch_add(1, Ordering::AcqRel);
                }
            }
            Err(why) => {
                state.failed = true;
                let host = Url::parse(&self.url).ok().and_then(|url| url.host_str().map(str::to_owned));
                tracing::warn!(host, why, "cannot fetch an issuer's key set");
            }
        }
    }
}

struct Fetched {
    keys: Arc<[VerifyingKey]>,
    digest: [u8; 32],
}

/// Fetches a set once, for an operator who asks whether it can be had: how many usable keys it holds.
///
/// # Errors
/// Why it cannot be had.
pub async fn probe(runtime: &Handle, url: &str) -> Result<usize, &'static str> {
    let sets = KeySets::new(runtime.clone(), Policy::default());
    let url = url.to_owned();
    let fetching = runtime.spawn(async move {
        let limit = sets.shared.policy.timeout;
        tokio::time::timeout(limit, download(&sets.shared, &url)).await
    });
    match fetching.await {
        Ok(Ok(fetched)) => fetched.map(|fetched| fetched.keys.len()),
        Ok(Err(_)) => Err("it did not answer in time"),
        Err(_) => Err("fetching it was torn down"),
    }
}

/// One GET without redirects, read up to the cap.
async fn download(shared: &Shared, url: &str) -> Result<Fetched, &'static str> {
    let url = Url::parse(url).map_err(|_| "its address is no URL")?;
    let client = match url.scheme() {
        "http" => client(&shared.plain, shared.policy, false)?,
        "https" => client(&shared.tls, shared.policy, true)?,
        _ => return Err("its address is neither http nor https"),
    };
    let mut answer = client.get(url).send().await.map_err(|error| {
        if error.is_timeout() { "it did not answer in time" } else { "it cannot be reached" }
    })?;
    if answer.status() != StatusCode::OK {
        return Err("it answered with another status than 200");
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| "its answer broke off")? {
        if body.len() + chunk.len() > shared.policy.max_bytes {
            return Err("its answer is too large");
        }
        body.extend_from_slice(&chunk);
    }
    read_set(&body)
}

/// Reads a set: keys that cannot be used are left out, anything but a set is an error.
fn read_set(body: &[u8]) -> Result<Fetched, &'static str> {
    let set: Value = serde_json::from_slice(body).map_err(|_| "its answer is no JSON")?;
    let listed = set.get("keys").and_then(Value::as_array).ok_or("its answer is no key set")?;
    let keys: Arc<[VerifyingKey]> = listed.iter().filter_map(VerifyingKey::of_jwk).take(MAX_KEYS).collect();
    if keys.is_empty() {
        tracing::warn!(listed = listed.len(), "an issuer's key set holds no usable key");
    }
    Ok(Fetched { keys, digest: Sha256::digest(body).into() })
}

/// The client for one scheme, built when first needed: reading the system's roots takes time and fails on
/// machines without any, which must not matter where only `http` is used.
fn client(slot: &OnceLock<Client>, policy: Policy, tls: bool) -> Result<Client, &'static str> {
    if let Some(client) = slot.get() {
        return Ok(client.clone());
    }
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(policy.timeout)
        .timeout(policy.timeout)
        .user_agent(concat!("usher/", env!("CARGO_PKG_VERSION")));
    if !tls {
        builder = builder.tls_certs_only([]);
    }
    let built = builder.build().map_err(|_| "no HTTP client can be built (are there CA certificates?)")?;
    Ok(slot.get_or_init(|| built).clone())
}

/// These mutexes guard plain values; one that a panic poisoned is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
