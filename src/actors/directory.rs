//! The way in: admission, a queue per tenant, and the tenant's actor, started when something waits, replaced
//! when it died, gone when it was idle.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix::{Actor, Addr, ArbiterHandle};
use entity::TenantId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

use super::{
    batch::{self, Way},
    command::{Command, Job, TypedTask},
    pace::Pace,
    tenant_actor::{TenantActor, Wake},
};
use crate::{config::settings, domain::Refusal, priority::give_way, store::Store};

/// A command that could not begin within this time is not begun: its caller has been answered by then.
const BEGIN_WITHIN: Duration = Duration::from_secs(7);

/// The write lane of all tenants; clones share it.
#[derive(Clone)]
pub struct Lanes {
    shared: Arc<Shared>,
    lanes: Arc<Mutex<HashMap<TenantId, Arc<Lane>>>>,
    total: Arc<Semaphore>,
    settings: settings::Lane,
}

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) committer: Committer,
    pub(super) pace: Arc<Pace>,
    pub(super) idle: Duration,
    arbiter: ArbiterHandle,
}

/// One tenant's queue and the actor that works on it.
pub(super) struct Lane {
    state: Mutex<LaneState>,
    admission: Arc<Semaphore>,
}

#[derive(Default)]
struct LaneState {
    queue: VecDeque<Job>,
    actor: Option<Addr<TenantActor>>,
    /// Number of the latest actor: an earlier one that ends late has nothing to say.
    started: u64,
}

impl Lane {
    fn new(queue: usize) -> Self {
        Self { state: Mutex::default(), admission: Arc::new(Semaphore::new(queue)) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, LaneState> {
        // a queue has no invariant that a panic could break
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what waits, at most so many.
    pub(super) fn take(&self, most: usize) -> Vec<Job> {
        let mut state = self.state();
        let count = state.queue.len().min(most);
        state.queue.drain(..count).collect()
    }

    /// Whether anything waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.state().queue.is_empty()
    }

    /// Refuses everything that waits.
    pub(super) fn turn_back(&self) {
        batch::turn_back(self.take(usize::MAX));
    }

    /// Lets the actor go if nothing waits.
    pub(super) fn passivate(&self) -> bool {
        let mut state = self.state();
        let quiet = state.queue.is_empty();
        if quiet {
            state.actor = None;
        }
        quiet
    }

    /// Puts a job on the queue and tells the actor, which is started if there is none. Where something waits already
    /// it has been told: it looks at the queue again by itself.
    fn enqueue(self: &Arc<Self>, job: Job, shared: &Arc<Shared>) {
        let mut state = self.state();
        let told = !state.queue.is_empty();
        state.queue.push_back(job);
        match &state.actor {
            Some(_) if told => {}
            Some(actor) => actor.do_send(Wake),
            None => self.start_actor(&mut state, shared),
        }
    }

    /// Forgets an actor that has ended, by itself or by a fault, and starts another if anything waits: a wake
    /// sent to the one that was ending is lost with it.
    pub(super) fn ended(self: &Arc<Self>, number: u64, shared: &Arc<Shared>) {
        let mut state = self.state();
        if state.started == number {
            state.actor = None;
            if !state.queue.is_empty() {
                self.start_actor(&mut state, shared);
            }
        }
    }

    fn start_actor(self: &Arc<Self>, state: &mut LaneState, shared: &Arc<Shared>) {
        state.started += 1;
        let (lane, number, shared_with) = (self.clone(), state.started, shared.clone());
        let start = move |_: &mut _| TenantActor::new(lane, shared_with, number);
        let actor = TenantActor::start_in_arbiter(&shared.arbiter, start);
        actor.do_send(Wake);
        state.actor = Some(actor);
    }
}

type Batches = mpsc::UnboundedReceiver<(Vec<Job>, oneshot::Sender<Way>)>;

/// Where batches are committed: by one writer for all tenants on SQLite, which has one writer anyway; each by
/// itself on PostgreSQL, so that tenants share no fate.
pub(super) enum Committer {
    Writer(mpsc::UnboundedSender<(Vec<Job>, oneshot::Sender<Way>)>),
    Parallel(Store, Arc<Semaphore>),
}

impl Committer {
    fn new(store: &Store, pace: &Arc<Pace>, connections: u32) -> Self {
        if store.is_postgres() {
            // some connections are left to reads and the mailer
            let writers = usize::try_from(connections).unwrap_or(10).saturating_sub(3).max(1);
            return Self::Parallel(store.clone(), Arc::new(Semaphore::new(writers)));
        }
        // unbounded, because admission has bounded what can be in it
        let (send, receive) = mpsc::unbounded_channel();
        start_writer(store.clone(), receive, pace.clone());
        Self::Writer(send)
    }

    /// Waits until a batch can be begun. What comes meanwhile belongs to it, so it is not taken from the queue before.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        match self {
            Self::Writer(_) => None,
            Self::Parallel(_, connections) => connections.clone().acquire_owned().await.ok(),
        }
    }

    /// Commits a batch whose turn it is.
    pub(super) fn commit(
        &self,
        batch: Vec<Job>,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Pin<Box<dyn Future<Output = Way> + Send>> {
        match self {
            Self::Writer(writer) => {
                let (done, committed) = oneshot::channel();
                let sent = writer.send((batch, done));
                Box::pin(async move {
                    // a writer that has gone takes nothing more
                    if sent.is_ok() { committed.await.unwrap_or(Way::Blocked) } else { Way::Blocked }
                })
            }
            Self::Parallel(store, _) => {
                let store = store.clone();
                let committing = store.runtime().clone().spawn(async move {
                    let _turn = turn;
                    batch::commit(&store, batch, None).await
                });
                Box::pin(async move { committing.await.unwrap_or(Way::Blocked) })
            }
        }
    }
}

/// Gives the SQLite writer a thread of its own, which waits for the disk and nobody else for it, and gives way to the
/// threads that answer: they refuse what it cannot take. It ends with the last clone of the lanes.
fn start_writer(store: Store, batches: Batches, pace: Arc<Pace>) {
    let runtime = store.runtime().clone();
    let write = move || {
        give_way();
        runtime.block_on(write_all(store, batches, &pace));
    };
    if let Err(error) = std::thread::Builder::new().name("usher-writer".to_owned()).spawn(write) {
        tracing::error!(%error, "no thread can be had for the writer");
    }
}

/// The SQLite writer: merges the batches that wait, across tenants, up to the limit, and commits as soon as it
/// is free. It waits for nothing to fill.
async fn write_all(store: Store, mut batches: Batches, pace: &Pace) {
    while let Some((mut jobs, done)) = batches.recv().await {
        let mut waiting = vec![done];
        while jobs.len() < pace.room() {
            let Ok((more, done)) = batches.try_recv() else { break };
            jobs.extend(more);
            waiting.push(done);
        }
        let way = batch::commit(&store, jobs, Some(pace)).await;
        if way == Way::Blocked {
            while let Ok((behind, done)) = batches.try_recv() {
                batch::turn_back(behind);
                waiting.push(done);
            }
        }
        for done in waiting {
            let _ = done.send(way);
        }
    }
}

impl Lanes {
    /// The lane on a store; its actors live on the given arbiter.
    #[must_use]
    pub fn new(store: Store, settings: settings::Lane, connections: u32, arbiter: ArbiterHandle) -> Self {
        let pace = Arc::new(Pace::new(settings.max_batch.max(1)));
        let committer = Committer::new(&store, &pace, connections);
        Self {
            shared: Arc::new(Shared { store, committer, pace, idle: settings.idle, arbiter }),
            lanes: Arc::default(),
            total: Arc::new(Semaphore::new(settings.queue_total)),
            settings,
        }
    }

    /// Runs a command in its tenant's lane and waits for its answer, which leaves after the commit.
    ///
    /// # Errors
    /// What the command refused; [`Refusal::Unavailable`] when too much waits, the database cannot be used, or
    /// the outcome is unknown.
    pub async fn run<C: Command>(&self, tenant: TenantId, command: C) -> Result<C::Output, Refusal> {
        let lane = self.lane(tenant);
        let permits = self.admit(&lane)?;
        let (task, answer) = TypedTask::new(command);
        let job =
            Job { tenant, begin_by: Instant::now() + BEGIN_WITHIN, task: Box::new(task), _permits: permits };
        if self.settings.actors {
            lane.enqueue(job, &self.shared);
        } else {
            let store = self.shared.store.clone();
            self.shared.store.runtime().spawn(async move { batch::commit(&store, vec![job], None).await });
        }
        // a reply that never comes: the process is ending
        answer.await.unwrap_or(Err(Refusal::Unavailable {
            retry_after: 1,
            what: "The server is stopping; the change may or may not have happened.",
        }))
    }

    /// Whether a command of this tenant, or of any, would find room now. Looked at before anything is spent on a
    /// request; whether there is room is decided when it is queued.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`].
    pub fn require_room(&self, tenant: Option<TenantId>) -> Result<(), Refusal> {
        let crowded = || {
            let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            tenant.and_then(|id| lanes.get(&id)).is_some_and(|lane| lane.admission.available_permits() == 0)
        };
        if self.total.available_permits() == 0 || crowded() { Err(no_room()) } else { Ok(()) }
    }

    /// How many commands may wait in all.
    #[must_use]
    pub fn room(&self) -> usize {
        self.settings.queue_total
    }

    /// Waits until nothing is queued or being committed; for a graceful end, after the last caller.
    pub async fn drained(&self) {
        let all = u32::try_from(self.settings.queue_total).unwrap_or(u32::MAX);
        let _ = self.total.acquire_many(all).await;
    }

    /// The live actor of a tenant, for tests that end it.
    #[cfg(test)]
    pub(super) fn actor_of(&self, tenant: TenantId) -> Option<Addr<TenantActor>> {
        self.lane(tenant).state().actor.clone()
    }

    /// How many commands of a tenant are not answered yet, for tests that wait for them to come.
    #[cfg(test)]
    pub(super) fn unanswered(&self, tenant: TenantId) -> usize {
        self.settings.queue_per_tenant - self.lane(tenant).admission.available_permits()
    }

    fn lane(&self, tenant: TenantId) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(tenant).or_insert_with(|| Arc::new(Lane::new(self.settings.queue_per_tenant))).clone()
    }

    fn admit(&self, lane: &Lane) -> Result<Vec<OwnedSemaphorePermit>, Refusal> {
        let own = lane.admission.clone().try_acquire_owned();
        let total = self.total.clone().try_acquire_owned();
        match (own, total) {
            (Ok(own), Ok(total)) => Ok(vec![own, total]),
            _ => Err(no_room()),
        }
    }
}

fn no_room() -> Refusal {
    metrics::counter!("usher_lane_refused_total").increment(1);
    Refusal::TOO_MUCH_WAITS
}
