//! The mailer against a real database and a relay that misbehaves on demand. Owns the world these tests live
//! in: two tenants, a relay each, an invite when one is wanted.

mod mailing;
mod queue;
mod relay;
mod sending;
mod settling;

use std::{
    future::Future,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Arbiter, System};
use entity::{
    Delivery, InviteId, InviteStatus, Millis, OutboxId, OutboxState, TenantId, WorkspaceId, event, invite,
    outbox, workspace,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};

use super::{Deps, Mailbox, Mailer, MailerHandle, TakenNotes, Transports, mailer};
use crate::{
    config::{Documents, Settings, Source, compose},
    domain::Clock,
    store::{self, Store, examples::pending_invite},
    tenancy::Registry,
};
use relay::FaultyRelay;

const ACME: &str = "01900000-0000-7000-8000-00000000acde";
const CLINIC: &str = "01900000-0000-7000-8000-00000000c11c";
const KEY_1: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const KEY_2: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

fn acme() -> TenantId {
    ACME.parse().unwrap()
}

fn clinic() -> TenantId {
    CLINIC.parse().unwrap()
}

/// Settings of two tenants whose mails go to these URLs.
fn settings(acme_url: &str, clinic_url: &str, keys: &[(&str, &str)]) -> Arc<Settings> {
    let mut server =
        "[mail]\ntransport = \"smtp\"\ntimeout = \"1s\"\nurl = \"smtp://127.0.0.1:9?tls=none\"\n\
                      from = \"Usher <usher@platform.test>\"\n"
            .to_owned();
    server.push_str(&format!("[tokens]\nactive_key = \"{}\"\n", keys[0].0));
    for (id, secret) in keys {
        server.push_str(&format!("[[tokens.keys]]\nid = \"{id}\"\nsecret = \"{secret}\"\n"));
    }
    let tenant = |id: &str, slug: &str, name: &str, url: &str| {
        let text = format!(
            "id = \"{id}\"\nslug = \"{slug}\"\nname = \"{name}\"\ndomains = [\"app.{slug}.test\"]\n\
             [mail]\nurl = \"{url}\"\nfrom = \"{name} <invites@{slug}.test>\"\n"
        );
        (format!("{slug}.toml"), text)
    };
    let tenants =
        vec![tenant(ACME, "acme", "Acme Corp", acme_url), tenant(CLINIC, "clinic", "Clinic", clinic_url)];
    let documents = Documents { server: ("usher.toml".into(), server), tenants };
    compose(&Source::default(), &documents).unwrap_or_else(|problems| panic!("{problems}")).settings
}

/// A database of its own with both tenants in it.
struct World {
    folder: PathBuf,
    store: Store,
    clock: Clock,
    registry: Arc<Registry>,
    deps: Deps,
    mailer: Option<MailerHandle>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs a test in a world with these settings, as the server runs: an actix system, and a runtime of its own
/// for the store.
fn in_world<F, Fut>(test: F)
where
    F: FnOnce(World, FaultyRelay, FaultyRelay) -> Fut,
    Fut: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    System::new().block_on(async move {
        let one = FaultyRelay::start(relay::Mode::Accept).await;
        let two = FaultyRelay::start(relay::Mode::Accept).await;
        let settings = settings(&one.url(), &two.url(), &[("k1", KEY_1)]);
        let world = World::new(handle, settings).await;
        test(world, one, two).await;
    });
}

impl World {
    async fn new(runtime: tokio::runtime::Handle, settings: Arc<Settings>) -> Self {
        let folder = std::env::temp_dir().join(format!("usher-mail-{}", uuid::Uuid::now_v7()));
        let database =
            crate::config::settings::Database { url: database_in(&folder).await.into(), max_connections: 6 };
        std::fs::create_dir_all(&folder).unwrap();
        store::migrate::up(&database).await.unwrap();
        let clock = Clock::default();
        let sending = runtime.clone();
        let store = Store::connect(&database, runtime, clock.clone()).await.unwrap();
        let tx = store.system_write().await.unwrap();
        for tenant in &settings.tenants {
            let sync = store::tenants::sync(tx.conn(), tenant.id, &tenant.slug, &tenant.name, clock.now());
            sync.await.unwrap();
        }
        tx.commit().await.unwrap();
        let registry = Arc::new(Registry::new(settings));
        let taken = TakenNotes::beside(&database);
        let transports = Arc::new(Transports::new("usher.test".into(), Mailbox::default()));
        let deps = Deps {
            store: store.clone(),
            registry: Arc::clone(&registry),
            transports,
            taken,
            sending,
            poll: mailer::POLL,
        };
        Self { folder, store, clock, registry, deps, mailer: None }
    }

    fn start(&mut self) -> MailerHandle {
        let mailer = Mailer::start_in(&Arbiter::new().handle(), self.deps.clone());
        self.mailer = Some(mailer.clone());
        mailer
    }

    fn wake(&self) {
        self.mailer.as_ref().unwrap().wake();
    }

    /// A pending invite to `name@example.com` with its first mail queued.
    async fn invite(&self, tenant: TenantId, name: &str) -> invite::Model {
        self.invite_with(tenant, name, |_| {}).await
    }

    async fn invite_with(
        &self,
        tenant: TenantId,
        name: &str,
        change: impl FnOnce(&mut invite::Model),
    ) -> invite::Model {
        self.invites(tenant, vec![new_invite(tenant, name, self.clock.now(), change)]).await.remove(0)
    }

    async fn invites(&self, tenant: TenantId, rows: Vec<invite::Model>) -> Vec<invite::Model> {
        let tx = self.store.tenant_write(tenant).await.unwrap();
        for row in &rows {
            store::invites::insert(tx.conn(), vec![row.clone()]).await.unwrap();
        }
        let mails = rows.iter().map(|row| new_mail(row, row.mails, self.clock.now())).collect();
        store::outbox::append(tx.conn(), mails).await.unwrap();
        tx.commit().await.unwrap();
        rows
    }

    async fn workspace(&self, tenant: TenantId, name: &str) -> WorkspaceId {
        let now = self.clock.now();
        let row = workspace::Model {
            id: WorkspaceId::new(),
            tenant_id: tenant,
            name: name.to_owned(),
            slug: None,
            description: None,
            metadata: None,
            external_workspace_id: None,
            external_user_id: None,
            configured: false,
            created_by: None,
            inserted_at: now,
            updated_at: now,
        };
        let tx = self.store.tenant_write(tenant).await.unwrap();
        let insert = workspace::Entity::insert(row.clone().into_active_model().reset_all());
        insert.exec_without_returning(tx.conn()).await.unwrap();
        tx.commit().await.unwrap();
        row.id
    }

    async fn row(&self, invite: InviteId) -> outbox::Model {
        self.store
            .read(move |db| async move {
                let of_invite = outbox::Entity::find().filter(outbox::Column::InviteId.eq(invite));
                of_invite.order_by_desc(outbox::Column::Id).one(&db).await
            })
            .await
            .unwrap()
            .unwrap()
    }

    async fn reread(&self, invite: &invite::Model) -> invite::Model {
        let (tenant, id) = (invite.tenant_id, invite.id);
        let read = self.store.read(move |db| async move { store::invites::find(&db, tenant, id).await });
        read.await.unwrap().unwrap()
    }

    async fn events(&self, invite: &invite::Model) -> Vec<event::Model> {
        let (tenant, id) = (invite.tenant_id, invite.id);
        self.store
            .read(move |db| async move { store::events::of_invite(&db, tenant, id).await })
            .await
            .unwrap()
    }

    /// Waits until the invite's delivery is this, for five seconds.
    async fn until(&self, invite: &invite::Model, delivery: Delivery) -> invite::Model {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let now = self.reread(invite).await;
            if now.delivery == delivery {
                return now;
            }
            assert!(Instant::now() < end, "still {} ({:?})", now.delivery, now.delivery_detail);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A new database: a file in this folder, or one in the PostgreSQL that `USHER_TEST_POSTGRES` names.
async fn database_in(folder: &std::path::Path) -> String {
    let Ok(server) = std::env::var("USHER_TEST_POSTGRES") else {
        return format!("sqlite://{}/usher.db", folder.display());
    };
    let name = format!("mail_{}", uuid::Uuid::now_v7().simple());
    let admin = sea_orm::Database::connect(format!("{server}/postgres")).await.unwrap();
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    admin.close().await.unwrap();
    format!("{server}/{name}")
}

fn new_invite(
    tenant: TenantId,
    name: &str,
    now: Millis,
    change: impl FnOnce(&mut invite::Model),
) -> invite::Model {
    let mut row = invite::Model {
        link_host: Some(if tenant == acme() { "app.acme.test".into() } else { "app.clinic.test".into() }),
        delivery: Delivery::Queued,
        mails: 1,
        mailed_at: Some(now),
        expires_at: now.plus(7 * 86_400_000),
        ..pending_invite(tenant, &format!("{name}@example.com"), now)
    };
    change(&mut row);
    row
}

fn new_mail(invite: &invite::Model, number: i32, now: Millis) -> outbox::Model {
    outbox::Model {
        id: OutboxId::new(),
        tenant_id: invite.tenant_id,
        invite_id: invite.id,
        version: invite.version,
        dedupe_key: format!("{}:{number}", invite.id),
        state: OutboxState::Queued,
        attempts: 0,
        next_at: now,
        lease_until: None,
        lease_token: None,
        last_error: None,
        inserted_at: now,
        sent_at: None,
    }
}
