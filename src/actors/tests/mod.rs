//! The lane against a real database: a SQLite file, or the PostgreSQL that `USHER_TEST_POSTGRES` names. Owns
//! the world these tests live in, and commands that do what a use case never should.

mod batches;
mod lanes;
mod once;
mod shared;

use std::{
    future::Future,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use actix::{Arbiter, System};
use entity::{TenantId, WorkspaceId, event, workspace};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use tokio::sync::watch;

use super::{Command, Decision, Lanes, Stop, Work};
use crate::{
    config::settings,
    domain::{Clock, Refusal},
    identity::Call,
    store::{self, Store, events::NewEvent},
};

/// Lane settings that tests start from: the defaults.
const LANE: settings::Lane = settings::Lane {
    actors: true,
    max_batch: 64,
    queue_per_tenant: 256,
    queue_total: 4096,
    idle: Duration::from_secs(300),
};

/// A database of its own, with tenants in it.
struct World {
    folder: PathBuf,
    store: Store,
    tenants: Vec<TenantId>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs a test as the server runs: an actix system, and a runtime of its own for the store.
fn in_world<F, Fut>(test: F)
where
    F: FnOnce(World) -> Fut,
    Fut: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    System::new().block_on(async move {
        let world = World::new(handle, 8).await;
        test(world).await;
    });
}

impl World {
    async fn new(runtime: tokio::runtime::Handle, tenants: usize) -> Self {
        let folder = std::env::temp_dir().join(format!("usher-lane-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&folder).unwrap();
        let url = database_in(&folder).await.into();
        let database = settings::Database { url, max_connections: 8 };
        store::migrate::up(&database).await.unwrap();
        let store = Store::connect(&database, runtime, Clock::default()).await.unwrap();
        let tenants: Vec<TenantId> = (0..tenants).map(|_| TenantId(uuid::Uuid::now_v7())).collect();
        let tx = store.system_write().await.unwrap();
        for (at, id) in tenants.iter().enumerate() {
            let slug = format!("tenant-{at}");
            store::tenants::sync(tx.conn(), *id, &slug, &slug, store.clock().now()).await.unwrap();
        }
        tx.commit().await.unwrap();
        Self { folder, store, tenants }
    }

    fn lanes(&self, settings: settings::Lane) -> Lanes {
        Lanes::new(self.store.clone(), settings, 8, Arbiter::new().handle())
    }

    /// Names of what [`Act::Keep`] kept in a tenant, in the order of its events.
    async fn kept(&self, tenant: TenantId) -> Vec<String> {
        let names = self.store.read(async move |db| {
            let rows =
                workspace::Entity::find().filter(workspace::Column::TenantId.eq(tenant)).all(&db).await?;
            Ok(rows.into_iter().map(|row| row.name).collect::<Vec<_>>())
        });
        let mut rows = names.await.unwrap();
        let told = self.events(tenant).await;
        let seqs: Vec<i64> = told.iter().map(|event| event.seq).collect();
        assert_eq!(
            seqs,
            (1..=i64::try_from(told.len()).unwrap()).collect::<Vec<_>>(),
            "numbers without gaps"
        );
        let told: Vec<String> = told.into_iter().map(|event| event.actor).collect();
        let mut sorted = told.clone();
        sorted.sort();
        rows.sort();
        assert_eq!(rows, sorted, "a row for every event and an event for every row");
        told
    }

    async fn events(&self, tenant: TenantId) -> Vec<event::Model> {
        let read = self.store.read(async move |db| {
            let of_tenant = event::Entity::find().filter(event::Column::TenantId.eq(tenant));
            of_tenant.order_by_asc(event::Column::Seq).all(&db).await
        });
        read.await.unwrap()
    }
}

/// A new database: a file in this folder, or one in the PostgreSQL that `USHER_TEST_POSTGRES` names.
async fn database_in(folder: &std::path::Path) -> String {
    let Ok(server) = std::env::var("USHER_TEST_POSTGRES") else {
        return format!("sqlite://{}/usher.db", folder.display());
    };
    let name = format!("lane_{}", uuid::Uuid::now_v7().simple());
    let admin = sea_orm::Database::connect(format!("{server}/postgres")).await.unwrap();
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    admin.close().await.unwrap();
    format!("{server}/{name}")
}

/// What a command of these tests does.
#[derive(Clone, Debug)]
enum Act {
    /// Writes a row and its event.
    Keep,
    /// Refuses without having written.
    Refuse,
    /// Writes as [`Act::Keep`] does, and refuses then.
    RefuseAfterWrite,
    /// Panics after a write.
    Panic,
    /// Never comes back from a write.
    Hang,
    /// Sends a statement that would take a minute.
    SlowStatement,
    /// Sends a statement that the database does not understand, after a write.
    BadStatement,
    /// Writes what only the commit can refuse.
    BreakCommit,
    /// Keeps, and finds the first so many times that what it decided no longer holds.
    Again(usize),
    /// Keeps when the gate is opened.
    Wait(watch::Receiver<bool>),
}

/// Polls until it holds.
async fn until(holds: impl Fn() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), poll).await.expect("it comes to hold within a minute");
}

/// Waits until the one command that waits for this gate has begun: it has its receiver, and looks at another.
async fn begun(gate: &watch::Sender<bool>) {
    until(|| gate.receiver_count() > 1).await;
}

/// Runs these as one batch: they queue up behind a command that has begun and waits.
async fn together<C: Command>(
    world: &World,
    lanes: &Lanes,
    commands: Vec<C>,
) -> Vec<Result<C::Output, Refusal>> {
    let tenant = world.tenants[0];
    let (count, (open, gate)) = (commands.len(), watch::channel(false));
    let first = lanes.run(tenant, Try::new("first", Act::Wait(gate)));
    let rest = futures_util::future::join_all(commands.into_iter().map(|one| lanes.run(tenant, one)));
    let rest = async {
        begun(&open).await;
        rest.await
    };
    let opened = async {
        until(|| lanes.unanswered(tenant) == 1 + count).await;
        open.send_replace(true);
    };
    let (first, rest, ()) = futures_util::future::join3(first, rest, opened).await;
    assert_eq!(first, Ok("first".into()));
    rest
}

/// A command of these tests; answers its name.
struct Try {
    name: String,
    act: Act,
    begun: AtomicUsize,
}

impl Try {
    fn new(name: impl Into<String>, act: Act) -> Self {
        Self { name: name.into(), act, begun: AtomicUsize::new(0) }
    }

    /// The row, written at once, and the event, which is appended.
    async fn keep(&self, work: &mut Work<'_>) -> Decision<()> {
        let now = work.now().await?;
        let row = workspace::Model {
            id: WorkspaceId::new(),
            tenant_id: work.tenant(),
            name: self.name.clone(),
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
        store::workspaces::insert(work.conn(), row).await?;
        work.event(NewEvent {
            kind: "test.kept",
            invite_id: None,
            workspace_id: None,
            actor: self.name.clone(),
            data: None,
        });
        Ok(())
    }
}

impl Command for Try {
    type Output = String;

    fn told_to(&self) -> Option<&Call> {
        None
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<String> {
        let earlier = self.begun.fetch_add(1, Ordering::SeqCst);
        match &self.act {
            Act::Refuse => return Err(Refusal::AlreadyMember.into()),
            Act::Wait(gate) => {
                let _ = gate.clone().wait_for(|open| *open).await;
            }
            _ => {}
        }
        self.keep(work).await?;
        match &self.act {
            Act::RefuseAfterWrite => Err(Refusal::LastOwner.into()),
            Act::Panic => panic!("a command of a test panics"),
            Act::Hang => std::future::pending().await,
            Act::SlowStatement => {
                work.conn().execute_unprepared(slow(work)).await?;
                Ok(self.name.clone())
            }
            Act::BadStatement => {
                work.conn().execute_unprepared("SELECT FROM nothing WHERE").await?;
                Ok(self.name.clone())
            }
            Act::BreakCommit => {
                work.conn().execute_unprepared("INSERT INTO test_children VALUES ('nobody')").await?;
                Ok(self.name.clone())
            }
            Act::Again(times) if earlier < *times => Err(Stop::Again),
            _ => Ok(self.name.clone()),
        }
    }
}

fn slow(work: &Work<'_>) -> &'static str {
    if work.conn().get_database_backend() == sea_orm::DbBackend::Postgres {
        "SELECT pg_sleep(60)"
    } else {
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n LIMIT 1"
    }
}
