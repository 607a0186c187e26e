//! The composition root: builds the server from its settings, runs it, and drains it. Used alike by the
//! command line and by tests.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use actix_web::web;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::{
    actors::Lanes,
    config::{self, ConfigErrors, Documents, Loaded, Source, reload::Watcher},
    domain::{Clock, Refusal},
    http::{
        admin::AdminState,
        edge::{crowd::Crowd, limits::AddressLimits},
        server::{self, Extra},
        state::State,
    },
    identity::{Authenticator, Trust},
    invites::Invites,
    janitor,
    keys::Keys,
    mail::{Deps, Mailbox, Mailer, MailerHandle, TakenNotes, Transports, mailer},
    members::Members,
    priority::give_way,
    store::{Store, StoreError, api_keys, migrate},
    telemetry,
    tenancy::{Places, Registry},
    tenants::{self, Tenants},
    workspaces::Workspaces,
};

/// What to start.
#[derive(Clone, Default)]
pub struct Options {
    /// Where the configuration is and what overrides it.
    pub source: Source,
    /// A configuration given instead of read; it is not watched.
    pub documents: Option<Documents>,
    /// Routes beside the usual ones.
    pub routes: Option<fn(&mut web::ServiceConfig)>,
    /// End on SIGTERM and SIGINT.
    pub signals: bool,
    /// When a thread has fallen behind.
    pub crowd: Crowd,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// Something that cannot be reached: the database, a port.
    #[error("{0}")]
    Unreachable(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreachable(why) | StoreError::Unavailable(why) => Self::Unreachable(why),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<Refusal> for StartError {
    fn from(refusal: Refusal) -> Self {
        Self::Other(refusal.message())
    }
}

/// A server that runs in its own thread.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where the admin listener is.
    pub admin: Option<SocketAddr>,
    /// Its clock.
    pub clock: Clock,
    store: Store,
    mailbox: Mailbox,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<Result<(), StartError>>>,
}

impl Running {
    /// What the memory transport took.
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Stops: finishes requests, then mails in flight. Blocks until it has ended.
    ///
    /// # Errors
    /// What ended it before.
    pub fn stop(mut self) -> Result<(), StartError> {
        drop(self.stop.take());
        self.wait()
    }

    /// Blocks until it has ended by itself, on a signal.
    ///
    /// # Errors
    /// What ended it.
    pub fn join(mut self) -> Result<(), StartError> {
        let held = self.stop.take();
        let ended = self.wait();
        drop(held);
        ended
    }

    fn wait(&mut self) -> Result<(), StartError> {
        match self.thread.take().map(thread::JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(StartError::Other("the server panicked".into())),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.wait();
    }
}

/// Starts a server and returns when it serves.
///
/// # Errors
/// [`StartError`].
pub fn start(options: Options) -> Result<Running, StartError> {
    telemetry::install_metrics();
    // a second provider in the tree would make the first use panic; whoever comes first decides for all
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (started, begun) = mpsc::sync_channel(1);
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new().name("usher".into()).spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().thread_name("usher-db").enable_all().build();
        let runtime = runtime.map_err(|e| StartError::Other(format!("no runtime: {e}")))?;
        let sending = tokio::runtime::Builder::new_multi_thread()
            .thread_name("usher-mail")
            .worker_threads(1)
            .on_thread_start(give_way)
            .enable_all()
            .build();
        let sending = sending.map_err(|e| StartError::Other(format!("no runtime for mails: {e}")))?;
        let runtimes = Runtimes { store: runtime.handle().clone(), sending: sending.handle().clone() };
        let ended = actix_web::rt::System::new().block_on(serve(runtimes, options, stopped, started));
        sending.shutdown_timeout(Duration::from_secs(5));
        // ended last: everything that uses the database ran on it
        runtime.shutdown_timeout(Duration::from_secs(5));
        ended
    });
    let thread = thread.map_err(|e| StartError::Other(format!("no thread: {e}")))?;
    match begun.recv() {
        Ok(began) => Ok(Running {
            addr: began.addr,
            admin: began.admin,
            clock: began.store.clock().clone(),
            store: began.store,
            mailbox: began.mailbox,
            stop: Some(stop),
            thread: Some(thread),
        }),
        Err(_) => match thread.join() {
            Ok(Err(error)) => Err(error),
            _ => Err(StartError::Other("the server ended while starting".into())),
        },
    }
}

/// Starts a server and blocks until a signal has ended it.
///
/// # Errors
/// [`StartError`].
pub fn run(options: Options) -> Result<(), StartError> {
    start(Options { signals: true, ..options })?.join()
}

struct Began {
    addr: SocketAddr,
    admin: Option<SocketAddr>,
    store: Store,
    mailbox: Mailbox,
}

/// Everything that lives as long as the server.
struct Parts {
    registry: Arc<Registry>,
    auth: Arc<Authenticator>,
    store: Store,
    lanes: Lanes,
    mailer: MailerHandle,
    mailbox: Mailbox,
    state: web::Data<State>,
}

/// Where what is no request runs.
struct Runtimes {
    store: Handle,
    /// Mails, on threads that give way.
    sending: Handle,
}

async fn serve(
    runtimes: Runtimes,
    options: Options,
    stopped: oneshot::Receiver<()>,
    started: mpsc::SyncSender<Began>,
) -> Result<(), StartError> {
    let loaded = match &options.documents {
        Some(documents) => config::compose(&options.source, documents)?,
        None => config::load(&options.source)?,
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let parts = build(runtimes, &loaded, options.crowd).await?;
    let settings = loaded.settings.clone();
    let public = listen(&settings.server.listen)?;
    let admin = settings.server.admin_listen.as_deref().map(listen).transpose()?;
    let (addr, admin_addr) = (address(&public)?, admin.as_ref().map(address).transpose()?);

    let watcher = options.documents.is_none().then(|| Watcher::new(options.source.clone(), &loaded));
    let reloads = watcher.as_ref().map(Watcher::health);
    // what `config show` tells of every key is of no use from here on, and is much with many tenants
    drop(loaded);
    let extra =
        Extra { routes: options.routes, clock: parts.store.clock().clone(), mailbox: parts.mailbox.clone() };
    let server = server::public(parts.state.clone(), extra, public).map_err(cannot_listen)?;
    let server_handle = server.handle();
    let admin_state = AdminState { store: parts.store.clone(), registry: parts.registry.clone(), reloads };
    let admin =
        admin.map(|listener| server::admin(admin_state, listener)).transpose().map_err(cannot_listen)?;
    let admin_handle = admin.as_ref().map(actix_web::dev::Server::handle);
    let _ = admin.map(actix_web::rt::spawn);
    let reloading = watcher.map(|watcher| reload(&parts, watcher));
    let sweeping = janitor::start(parts.store.clone(), parts.registry.clone());

    let began = Began { addr, admin: admin_addr, store: parts.store.clone(), mailbox: parts.mailbox.clone() };
    tracing::info!(%addr, admin = ?admin_addr, tenants = settings.tenants.len(), "serving");
    let _ = started.send(began);
    let served = actix_web::rt::spawn(server);
    wait_for_end(options.signals, stopped).await;

    tracing::info!("stopping: requests first, then mails in flight");
    parts.state.tenants.stop_waiting();
    server_handle.stop(true).await;
    let _ = served.await;
    if let Some(reloading) = reloading {
        reloading.abort();
    }
    parts.lanes.drained().await;
    parts.mailer.drain().await;
    sweeping.abort();
    if let Some(admin) = admin_handle {
        admin.stop(false).await;
    }
    parts.store.close().await;
    tracing::info!("stopped");
    Ok(())
}

async fn build(runtimes: Runtimes, loaded: &Loaded, crowd: Crowd) -> Result<Parts, StartError> {
    let settings = loaded.settings.clone();
    match migrate::up(&settings.database).await? {
        migrate::Upgraded::Current { applied: 0 } => {}
        migrate::Upgraded::Current { applied } => tracing::info!(applied, "migrated the schema"),
        migrate::Upgraded::NewerSchema => {
            tracing::warn!("the schema is newer than this binary; serving without migrating");
        }
    }
    let store = Store::connect(&settings.database, runtimes.store, Clock::default()).await?;
    let live_key = has_live_key(&store).await?;
    loaded.require_servable(&settings.server.listen, live_key)?;

    let registry = Arc::new(Registry::new(settings.clone()));
    let auth = Authenticator::new(store.clone(), &settings);
    let auth = Arc::new(auth.map_err(|bad| ConfigErrors::one(bad.issuer, bad.why))?);
    let actors = actix::Arbiter::new();
    let lanes = Lanes::new(store.clone(), settings.lane, settings.database.max_connections, actors.handle());
    let mailbox = Mailbox::default();
    let transports = Arc::new(Transports::new(hello(&settings.server.base_url), mailbox.clone()));
    let mail_arbiter = actix::Arbiter::new();
    let deps = Deps {
        store: store.clone(),
        registry: registry.clone(),
        transports,
        taken: TakenNotes::beside(&settings.database),
        sending: runtimes.sending,
        poll: mailer::POLL,
    };
    let mailer = Mailer::start_in(&mail_arbiter.handle(), deps);

    let wake = mailer.clone();
    let invites = Invites::new(store.clone(), lanes.clone(), registry.clone(), move || wake.wake());
    let verdicts = auth.clone();
    invites.previews().watch();
    let (previews, names) = (invites.previews().clone(), invites.previews().clone());
    let places = Places::new(store.clone());
    let moved = places.clone();
    let tenants = Tenants::new(store.clone(), lanes.clone());
    tenants::sync::sync_at_start(&tenants, &settings.tenants).await?;
    let state = web::Data::new(State {
        registry: registry.clone(),
        auth: auth.clone(),
        invites,
        workspaces: Workspaces::new(store.clone(), lanes.clone(), move || {
            names.invalidate_all();
            moved.forget();
        }),
        places,
        keys: Keys::new(store.clone(), lanes.clone(), registry.clone(), move || verdicts.keys_changed()),
        members: Members::new(store.clone(), lanes.clone(), registry.clone(), move |id| {
            previews.invalidate(id)
        }),
        tenants,
        store: store.clone(),
        lanes: lanes.clone(),
        limits: AddressLimits::default(),
        crowd,
    });
    Ok(Parts { registry, auth, store, lanes, mailer, mailbox, state })
}

async fn has_live_key(store: &Store) -> Result<bool, StartError> {
    let now = Clock::wall();
    Ok(store.read(async move |db| api_keys::any_live(&db, now).await).await?)
}

/// The name that relays are greeted with: the host of the platform's origin.
fn hello(base_url: &str) -> String {
    let host = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    host.split([':', '/']).next().unwrap_or("localhost").to_owned()
}

fn listen(address: &str) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address)
        .map_err(|e| StartError::Unreachable(format!("cannot listen on {address}: {e}")))?;
    Ok(listener)
}

fn cannot_listen(error: std::io::Error) -> StartError {
    StartError::Unreachable(format!("cannot listen: {error}"))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|e| StartError::Other(e.to_string()))
}

/// Puts new files in force as a whole: credentials compiled, tenants' rows made, then one swap.
fn reload(parts: &Parts, watcher: Watcher) -> actix_web::rt::task::JoinHandle<()> {
    let (registry, auth, store) = (parts.registry.clone(), parts.auth.clone(), parts.store.clone());
    let tenants = parts.state.tenants.clone();
    let watching = watcher.run(move |loaded: Loaded| {
        let (registry, auth, store, tenants) =
            (registry.clone(), auth.clone(), store.clone(), tenants.clone());
        async move {
            let settings = loaded.settings.clone();
            let refuse = |why: String| ConfigErrors::one("configuration", why);
            let live_key = has_live_key(&store).await.map_err(|e| refuse(e.to_string()))?;
            loaded.require_servable(&settings.server.listen, live_key)?;
            let trust = Trust::compile(&settings).map_err(|bad| ConfigErrors::one(bad.issuer, bad.why))?;
            tenants::sync::sync(&tenants, &settings.tenants).await.map_err(|e| refuse(e.message()))?;
            registry.replace(settings);
            auth.replace(trust);
            Ok(())
        }
    });
    actix_web::rt::spawn(async move {
        if let Err(error) = watching.await {
            tracing::error!(%error, "configuration is no longer watched");
        }
    })
}

async fn wait_for_end(signals: bool, stopped: oneshot::Receiver<()>) {
    if !signals {
        let _ = stopped.await;
        return;
    }
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        let _ = stopped.await;
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        _ = stopped => {}
    }
}
