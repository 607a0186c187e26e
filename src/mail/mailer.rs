//! The mailer: the actor that sees to it that every mail owed leaves. It decides what is due and keeps count of
//! what is in flight; the work itself runs on the store's runtime (sending: on one whose threads give way) and comes
//! back as messages. A poll every second is the guarantee, wake-ups are hints. Rounds claim mails; beside them what has
//! landed is written down at once. Nothing it knows is needed again after a crash: leases run out and others take over.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, ArbiterHandle, AsyncContext, Context, Handler, Message,
    WrapFuture,
};
use entity::{OutboxId, TenantId};
use tokio::{sync::oneshot, task::AbortHandle, time::Instant};

use super::{
    circuit::{Circuit, Gate},
    delivery::{Deps, Landed, deliver},
    handle::MailerHandle,
    round::{Claimed, Done, Room, Round},
    settling::{Settlement, settle},
    transport::Lane,
};
use crate::store::{
    deliveries::{Settled, Verdict},
    outbox::Held,
};

/// The guarantee that what is due leaves.
pub const POLL: Duration = Duration::from_secs(1);
/// From a wake-up to the round that follows it.
const GATHER: Duration = Duration::from_millis(10);
/// How often leases of mails in flight are renewed; a third of their length.
const RENEW: Duration = Duration::from_secs(20);
const RECLAIM: Duration = Duration::from_secs(5);
const COUNT: Duration = Duration::from_secs(15);
/// How long mails in flight may take to end when the server stops.
pub(super) const DRAIN: Duration = Duration::from_secs(20);
/// Pause after a mail that was cut off while being sent, in milliseconds: the relay may have taken it.
const AFTER_CUT: i64 = 300_000;

/// Starts the actor in this arbiter.
pub(super) fn launch(arbiter: &ArbiterHandle, deps: &Deps, woken: &Arc<AtomicBool>) -> Addr<Mailer> {
    let (deps, woken) = (deps.clone(), Arc::clone(woken));
    Mailer::start_in_arbiter(arbiter, move |_| Mailer {
        deps,
        woken,
        lanes: HashMap::new(),
        busy: HashMap::new(),
        flying: HashMap::new(),
        landed: Vec::new(),
        settling: Vec::new(),
        untried: Vec::new(),
        after: None,
        skew: 0,
        in_round: false,
        again: false,
        renewed: Instant::now(),
        reclaimed: None,
        counted: None,
        drain: None,
    })
}

/// The actor.
pub struct Mailer {
    deps: Deps,
    woken: Arc<AtomicBool>,
    lanes: HashMap<Lane, LaneState>,
    busy: HashMap<TenantId, usize>,
    flying: HashMap<OutboxId, Flight>,
    /// Ended, to be written down.
    landed: Vec<Ended>,
    /// Being written down, and kept until that is known to be done.
    settling: Vec<Ended>,
    /// Claimed as the server began to stop.
    untried: Vec<Held>,
    after: Option<TenantId>,
    skew: i64,
    in_round: bool,
    /// Something happened during the round.
    again: bool,
    renewed: Instant,
    reclaimed: Option<Instant>,
    counted: Option<Instant>,
    drain: Option<oneshot::Sender<()>>,
}

#[derive(Debug, Default)]
struct LaneState {
    busy: usize,
    circuit: Circuit,
}

/// A mail being sent.
struct Flight {
    tenant: TenantId,
    lane: Lane,
    task: AbortHandle,
    /// What is written down if it has to be cut off; its lease.
    cut: Settled,
}

/// A mail that has ended, this way or that.
struct Ended {
    tenant: TenantId,
    settled: Settled,
    /// Whose slot it keeps until writing it down has been tried: more mails than that cannot leave again.
    slot: Option<Lane>,
}

impl Mailer {
    /// Starts the mailer in this arbiter.
    #[must_use]
    pub fn start_in(arbiter: &ArbiterHandle, deps: Deps) -> MailerHandle {
        MailerHandle::new(arbiter.clone(), deps)
    }

    /// Does what there is to do.
    fn look(&mut self, ctx: &mut Context<Self>) {
        self.settle(ctx);
        self.pump(ctx);
    }

    /// Starts a round, or has another follow the one under way.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.in_round {
            self.again = true;
            return;
        }
        (self.in_round, self.again) = (true, false);
        let (round, deps) = (self.round(), self.deps.clone());
        let work = self.deps.store.runtime().spawn(async move { round.run(&deps).await });
        ctx.spawn(work.into_actor(self).map(|done, mailer, ctx| {
            mailer.in_round = false;
            mailer.after_round(done.unwrap_or_else(|_| Done { failed: true, ..Done::default() }), ctx);
        }));
    }

    /// Writes down what has landed, or leaves it to follow what is being written down.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        if !self.settling.is_empty() || self.landed.is_empty() {
            return;
        }
        self.settling = std::mem::take(&mut self.landed);
        let landed = self.settling.iter().map(|ended| (ended.tenant, ended.settled.clone())).collect();
        let deps = self.deps.clone();
        let work = self.deps.store.runtime().spawn(async move { settle(&deps, landed).await });
        ctx.spawn(work.into_actor(self).map(|done, mailer, ctx| {
            mailer.after_settling(&done.unwrap_or_default(), ctx);
        }));
    }

    fn after_settling(&mut self, done: &Settlement, ctx: &mut Context<Self>) {
        let mut failed = false;
        for mut ended in std::mem::take(&mut self.settling) {
            if let Some(lane) = ended.slot.take() {
                self.free(ended.tenant, &lane);
            }
            if !done.written.contains(&ended.settled.lease.id) {
                failed = true;
                self.landed.push(ended);
            }
        }
        self.skew = done.skew.unwrap_or(self.skew);
        if self.ends_drained(ctx) {
            return;
        }
        if !failed {
            self.settle(ctx);
        }
        self.pump(ctx);
    }

    fn round(&mut self) -> Round {
        let now = Instant::now();
        let due = |last: Option<Instant>, every| last.is_none_or(|last| now.duration_since(last) >= every);
        let mut round = Round { skew: self.skew, ..Round::default() };
        round.release = std::mem::take(&mut self.untried);
        if due(Some(self.renewed), RENEW) {
            self.renewed = now;
            round.renew = self.held();
        }
        if self.drain.is_some() {
            return round;
        }
        if due(self.reclaimed, RECLAIM) {
            self.reclaimed = Some(now);
            round.reclaim = true;
            round.renew = self.held();
        }
        if due(self.counted, COUNT) {
            self.counted = Some(now);
            round.count = true;
            self.tidy();
        }
        let lanes =
            self.lanes.iter().map(|(lane, state)| (lane.clone(), (state.busy, state.circuit.gate(now))));
        round.claim = Some(Room { lanes: lanes.collect(), busy: self.busy.clone(), after: self.after });
        round
    }

    /// Leases of what is in flight or not yet written down, in the order in which settling takes them too.
    fn held(&self) -> Vec<Held> {
        let flying = self.flying.values().map(|flight| flight.cut.lease);
        let ended = self.landed.iter().chain(&self.settling).map(|ended| ended.settled.lease);
        let mut held: Vec<Held> = flying.chain(ended).collect();
        held.sort_unstable_by_key(|lease| lease.id);
        held
    }

    fn after_round(&mut self, done: Done, ctx: &mut Context<Self>) {
        if !done.failed {
            (self.after, self.skew) = (done.after, done.skew);
        }
        if let Some(backlog) = done.backlog {
            self.show(backlog);
        }
        if self.drain.is_some() && !done.claimed.is_empty() {
            self.untried.extend(done.claimed.into_iter().map(|mail| mail.lease));
        } else {
            for mail in done.claimed {
                self.launch(mail, ctx);
            }
        }
        if self.ends_drained(ctx) {
            return;
        }
        // after a failure the next poll tries again
        if !done.failed && (self.again || done.more || !self.untried.is_empty()) {
            self.pump(ctx);
        }
    }

    fn launch(&mut self, mail: Claimed, ctx: &Context<Self>) {
        let Claimed { row, lease, lane } = mail;
        let (id, tenant) = (row.id, row.tenant_id);
        let cut = Settled {
            lease,
            invite: row.invite_id,
            workspace: None,
            number: crate::store::outbox::number(&row),
            attempts: row.attempts,
            verdict: Verdict::Retry { after: AFTER_CUT, counts: true },
            class: Some("stopped"),
        };
        let (deps, mailer) = (self.deps.clone(), ctx.address());
        let task = self.deps.sending.spawn(async move {
            mailer.do_send(Back(deliver(&deps, row, lease).await));
        });
        self.lanes.entry(lane.clone()).or_default().busy += 1;
        *self.busy.entry(tenant).or_default() += 1;
        self.flying.insert(id, Flight { tenant, lane, task: task.abort_handle(), cut });
    }

    fn free(&mut self, tenant: TenantId, lane: &Lane) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.busy = lane.busy.saturating_sub(1);
        }
        if let Some(busy) = self.busy.get_mut(&tenant) {
            *busy = busy.saturating_sub(1);
            if *busy == 0 {
                self.busy.remove(&tenant);
            }
        }
    }

    /// Ends what is still being sent; it will be tried again, late enough not to meet itself.
    fn cut_off(&mut self) {
        for (_, flight) in self.flying.drain() {
            flight.task.abort();
            let Flight { tenant, lane, cut, .. } = flight;
            self.landed.push(Ended { tenant, settled: cut, slot: Some(lane) });
        }
    }

    /// Ends the mailer if it is to end and nothing is left to do.
    fn ends_drained(&mut self, ctx: &mut Context<Self>) -> bool {
        let idle = self.flying.is_empty() && self.settling.is_empty() && !self.in_round;
        let over = idle && self.landed.is_empty() && self.untried.is_empty();
        let Some(ended) = self.drain.take_if(|_| over) else { return false };
        let _ = ended.send(());
        ctx.stop();
        true
    }

    /// Forgets lanes and relays that no tenant uses any more.
    fn tidy(&mut self) {
        let snapshot = self.deps.registry.current();
        let tenants = snapshot.settings.tenants.iter();
        let in_use: HashSet<Lane> = tenants.map(|tenant| Lane::of(&tenant.mail.transport)).collect();
        self.lanes.retain(|lane, state| state.busy > 0 || in_use.contains(lane));
        self.deps.transports.tidy(&in_use);
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    fn show(&self, backlog: crate::store::outbox::Backlog) {
        let now = self.deps.store.clock().now().0;
        let age = backlog.oldest.map_or(0, |oldest| now.saturating_sub(oldest.0).max(0));
        metrics::gauge!("usher_outbox_queued").set(backlog.queued as f64);
        metrics::gauge!("usher_outbox_oldest_seconds").set(age as f64 / 1000.0);
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    fn note_circuit(&mut self, lane: Lane, usable: bool) {
        let now = Instant::now();
        let state = self.lanes.entry(lane).or_default();
        let before = state.circuit.gate(now);
        if usable {
            state.circuit.worked();
        } else {
            state.circuit.failed(now);
        }
        match (before, state.circuit.gate(now)) {
            (Gate::Open | Gate::Probe, Gate::Shut) => {
                tracing::error!("a relay cannot be used; its mails wait")
            }
            (Gate::Shut | Gate::Probe, Gate::Open) => tracing::info!("a relay can be used again"),
            _ => {}
        }
        let shut = self.lanes.values().filter(|lane| lane.circuit.gate(now) != Gate::Open).count();
        metrics::gauge!("usher_mail_circuit_open").set(shut as f64);
    }
}

impl Actor for Mailer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.woken.store(false, Ordering::Release);
        ctx.run_interval(self.deps.poll, Self::look);
        self.pump(ctx);
    }
}

/// A mail may be due.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Wake;

impl Handler<Wake> for Mailer {
    type Result = ();

    /// What commits within the same moment is looked for once: under load there is a wake-up for every batch.
    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        ctx.run_later(GATHER, |mailer, ctx| {
            mailer.woken.store(false, Ordering::Release);
            mailer.pump(ctx);
        });
    }
}

/// A mail has ended, this way or that.
#[derive(Message)]
#[rtype(result = "()")]
struct Back(Landed);

impl Handler<Back> for Mailer {
    type Result = ();

    fn handle(&mut self, Back(landed): Back, ctx: &mut Self::Context) {
        // cut off meanwhile: that has been written down, and this comes too late
        let Some(flight) = self.flying.remove(&landed.settled.lease.id) else { return };
        if let Some((lane, usable)) = landed.lane {
            self.note_circuit(lane, usable);
        }
        let Landed { tenant, settled, .. } = landed;
        match settled.class {
            None if settled.verdict == Verdict::Sent => {
                metrics::counter!("usher_mail_sent_total").increment(1)
            }
            None => {}
            Some(class) => {
                metrics::counter!("usher_mail_failed_total", "class" => class).increment(1);
                tracing::warn!(mail = %settled.lease.id, class, "a mail did not leave");
            }
        }
        self.landed.push(Ended { tenant, settled, slot: Some(flight.lane) });
        self.settle(ctx);
    }
}

/// The server stops.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Drain(pub oneshot::Sender<()>);

impl Handler<Drain> for Mailer {
    type Result = ();

    fn handle(&mut self, Drain(ended): Drain, ctx: &mut Self::Context) {
        self.drain = Some(ended);
        ctx.run_later(DRAIN, |mailer, ctx| {
            mailer.cut_off();
            mailer.look(ctx);
        });
        self.look(ctx);
    }
}
