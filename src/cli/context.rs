//! What a maintenance command works with: configuration, database, lane and use cases, opened in this order. It
//! changes things through the same guarded commands as a running server, whose database this may well be, and
//! waits patiently for its locks.

use std::{future::Future, sync::Arc};

use entity::{InviteId, TenantId, invite};

use super::{Globals, failure::Failure};
use crate::{
    actors::Lanes,
    config::{self, Loaded, settings},
    domain::{Clock, Scope},
    invites::{Invites, history},
    keys::Keys,
    members::Members,
    store::{self, Store, migrate},
    tenancy::Registry,
    tenants::{self, Tenants},
};

/// An opened system.
pub struct Context {
    /// The configuration.
    pub loaded: Loaded,
    /// The same, by tenant.
    pub registry: Arc<Registry>,
    /// The database.
    pub store: Store,
    /// The lane; a server beside this one has its own, and neither relies on it.
    pub lanes: Lanes,
}

/// Reads the configuration. Its warnings are for `config check`, `doctor` and `serve` to tell.
///
/// # Errors
/// What is wrong with it.
pub fn load(globals: &Globals) -> Result<Loaded, Failure> {
    Ok(config::load(&globals.source())?)
}

/// Runs a future on a runtime of its own, within an actix system.
///
/// # Errors
/// As the future; or when the runtime cannot be made.
pub fn block_on<T>(
    work: impl AsyncFnOnce(tokio::runtime::Handle) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("usher-cli")
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("cannot start threads: {error}")))?;
    let handle = runtime.handle().clone();
    actix_web::rt::System::new().block_on(work(handle))
}

/// Runs one command with everything opened, and closes it.
///
/// # Errors
/// As the command; or what cannot be opened.
pub fn with<T>(
    globals: &Globals,
    work: impl AsyncFnOnce(&Context) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let loaded = load(globals)?;
    block_on(async |runtime| {
        let cx = Context::open(loaded, runtime).await?;
        let result = work(&cx).await;
        cx.store.close().await;
        result
    })
}

impl Context {
    async fn open(loaded: Loaded, runtime: tokio::runtime::Handle) -> Result<Self, Failure> {
        let settings = loaded.settings.clone();
        let database = settings.database.clone();
        on(&runtime, async move { require_schema(&database).await }).await?;
        let store = Store::connect_for_maintenance(&settings.database, runtime, Clock::default()).await?;
        let lane = settings::Lane { actors: false, ..settings.lane };
        let arbiter = actix_web::rt::System::current().arbiter().clone();
        let lanes = Lanes::new(store.clone(), lane, settings.database.max_connections, arbiter);
        Ok(Self { registry: Arc::new(Registry::new(settings)), loaded, store, lanes })
    }

    /// The configured tenant of this id or slug.
    ///
    /// # Errors
    /// If there is none, naming those there are.
    pub fn tenant(&self, id_or_slug: &str) -> Result<Arc<settings::Tenant>, Failure> {
        named(&self.registry, id_or_slug)
    }

    /// The same for a command that writes: the tenant's rows are brought in line with its file first, as a start
    /// of the server would.
    ///
    /// # Errors
    /// As [`Context::tenant`], or the database's.
    pub async fn tenant_with_rows(&self, id_or_slug: &str) -> Result<Arc<settings::Tenant>, Failure> {
        let tenant = self.tenant(id_or_slug)?;
        let all = Tenants::new(self.store.clone(), self.lanes.clone());
        tenants::sync::sync(&all, std::slice::from_ref(&tenant)).await?;
        Ok(tenant)
    }

    /// The use cases of invites. Mails they owe are sent by the server, which looks for them every second.
    #[must_use]
    pub fn invites(&self) -> Invites {
        Invites::new(self.store.clone(), self.lanes.clone(), self.registry.clone(), || {})
    }

    /// The use cases of memberships.
    #[must_use]
    pub fn members(&self) -> Members {
        Members::new(self.store.clone(), self.lanes.clone(), self.registry.clone(), |_| {})
    }

    /// The use cases of API keys.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys::new(self.store.clone(), self.lanes.clone(), self.registry.clone(), || {})
    }

    /// What a command is about: the tenant, or one of its workspaces by id or slug.
    ///
    /// # Errors
    /// If there is no such workspace.
    pub async fn scope(&self, tenant: TenantId, workspace: Option<&str>) -> Result<Scope, Failure> {
        let Some(named) = workspace else { return Ok(Scope::Org) };
        let text = named.to_owned();
        let found = self.store.read(async move |db| match text.parse() {
            Ok(id) => Ok(store::workspaces::find(&db, tenant, id).await?.map(|row| row.id)),
            Err(_) => {
                let all = store::workspaces::list(&db, tenant, &store::workspaces::Visible::All, 0, 10_000);
                let (rows, _) = all.await?;
                Ok(rows.into_iter().find(|row| row.slug.as_ref() == Some(&text)).map(|row| row.id))
            }
        });
        match found.await? {
            Some(id) => Ok(Scope::Workspace(id)),
            None => {
                Err(Failure::Other(format!("the tenant has no workspace {named:?}; name it by id or slug")))
            }
        }
    }

    /// An invite by its id alone, and its tenant.
    ///
    /// # Errors
    /// If there is none.
    pub async fn invite(&self, id: InviteId) -> Result<(invite::Model, Arc<settings::Tenant>), Failure> {
        history::find_any(&self.invites(), id).await.map_err(|refusal| match refusal {
            crate::domain::Refusal::NotFound => Failure::Other(format!(
                "no invite {id} in this database, or its tenant is not in the configuration"
            )),
            refusal => refusal.into(),
        })
    }
}

/// The configured tenant of this id or slug.
///
/// # Errors
/// If there is none, naming those there are.
pub fn named(registry: &Registry, id_or_slug: &str) -> Result<Arc<settings::Tenant>, Failure> {
    let snapshot = registry.current();
    snapshot.tenant_named(id_or_slug).cloned().ok_or_else(|| {
        let slugs: Vec<&str> =
            snapshot.settings.tenants.iter().take(12).map(|tenant| tenant.slug.as_str()).collect();
        let known = match slugs.as_slice() {
            [] => "no tenant is configured; add a file to tenants/ in the configuration".to_owned(),
            slugs => format!("configured are {}", slugs.join(", ")),
        };
        Failure::Other(format!("no tenant {id_or_slug:?}: {known}"))
    })
}

/// Runs a future on the given runtime.
///
/// # Errors
/// As the future; or if it panicked.
pub async fn on<T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    runtime.spawn(work).await.unwrap_or_else(|_| Err(Failure::other("a task of usher panicked")))
}

/// An empty database is given its schema, as a first start would; one that lags behind is the operator's to
/// migrate, since a server may be running on it.
async fn require_schema(database: &settings::Database) -> Result<(), Failure> {
    let steps = migrate::status(database).await?;
    if steps.iter().any(|step| !step.known) || steps.iter().all(|step| step.applied) {
        return Ok(());
    }
    if steps.iter().any(|step| step.applied) {
        return Err(Failure::other(
            "the database has an older schema than this program; run `usher migrate up`, or start the server",
        ));
    }
    migrate::up(database).await?;
    Ok(())
}
