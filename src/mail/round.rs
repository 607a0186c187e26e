//! One round of the mailer's database work: keep the leases of mails under way, take over what others dropped,
//! and claim as many as there are free slots. Owns no state; the mailer says what to do and learns what came of
//! it. It touches the outbox only and holds no tenant's lock.

use std::collections::HashMap;

use entity::{Millis, TenantId, outbox};
use uuid::Uuid;

use super::{circuit::Gate, delivery::Deps, share::share, transport::Lane};
use crate::{
    domain::random,
    store::{
        self, StoreError,
        outbox::{Backlog, Held, Lease, WALK},
    },
};

/// How long a claim holds without being renewed.
const LEASE: i64 = 60_000;
/// Walks over tenants in one round, at most.
const WALKS: usize = 8;
/// Tenants with due mails that are enough for one round.
const ENOUGH: usize = 64;

/// What to do.
#[derive(Debug, Default)]
pub struct Round {
    /// Leases to keep while their mails are under way.
    pub renew: Vec<Held>,
    /// Leases to give back untried.
    pub release: Vec<Held>,
    /// Whether to look for leases that ran out.
    pub reclaim: bool,
    /// Whether to count what waits.
    pub count: bool,
    /// What to claim for; `None` claims nothing.
    pub claim: Option<Room>,
    /// How far the database's clock is ahead of ours, as last seen, in milliseconds.
    pub skew: i64,
}

/// Where there is room for more mails.
#[derive(Debug, Default)]
pub struct Room {
    /// Mails in flight and gate of each lane that has been used.
    pub lanes: HashMap<Lane, (usize, Gate)>,
    /// Mails in flight of each tenant.
    pub busy: HashMap<TenantId, usize>,
    /// The tenant after whom it is the next one's turn.
    pub after: Option<TenantId>,
}

/// A mail claimed.
#[derive(Debug)]
pub struct Claimed {
    /// Its row, leased.
    pub row: outbox::Model,
    /// Its lease.
    pub lease: Held,
    /// The lane whose slot it takes.
    pub lane: Lane,
}

/// What came of a round.
#[derive(Debug, Default)]
pub struct Done {
    /// Mails to be delivered now.
    pub claimed: Vec<Claimed>,
    /// Whose turn it was last.
    pub after: Option<TenantId>,
    /// Whether there is probably more to claim for the slots still free.
    pub more: bool,
    /// What waits, if it was counted.
    pub backlog: Option<Backlog>,
    /// As [`Round::skew`].
    pub skew: i64,
    /// Whether the database could not be used.
    pub failed: bool,
}

impl Round {
    /// Does it. Errors are logged; what they leave undone comes round again.
    pub async fn run(self, deps: &Deps) -> Done {
        let mut done = Done { skew: self.skew, ..Done::default() };
        done.after = self.claim.as_ref().and_then(|room| room.after);
        let written = deps.store.bounded(leases(deps, &self, &mut done)).await;
        if let Err(error) = written {
            done.complain("renewing", &error);
        }
        if self.count {
            match deps.store.read(|db| async move { store::outbox::backlog(&db).await }).await {
                Ok(backlog) => done.backlog = Some(backlog),
                Err(error) => done.complain("counting", &error),
            }
        }
        if let Some(room) = self.claim
            && let Err(error) = deps.store.bounded(claim(deps, room, &mut done)).await
        {
            done.complain("claiming", &error);
        }
        done
    }
}

impl Done {
    fn complain(&mut self, what: &'static str, error: &StoreError) {
        self.failed = true;
        tracing::warn!(what, %error, "the mailer cannot use the database");
    }

    fn now(&self, deps: &Deps) -> Millis {
        deps.store.clock().now().plus(self.skew)
    }
}

/// Now by the clock that decides, and how far it is ahead of ours: both read in one go, since a test clock that
/// is moved in between would look like a skew.
pub async fn now_and_skew(deps: &Deps, tx: &store::Tx) -> Result<(Millis, i64), StoreError> {
    let now = tx.now().await?;
    let skew = if deps.store.is_postgres() { now.0.saturating_sub(deps.store.clock().now().0) } else { 0 };
    Ok((now, skew))
}

/// Renews leases, and queues mails again whose lease ran out, with what is noted of them. Ours are renewed first, so
/// that a clock that jumped does not make us take over from ourselves.
async fn leases(deps: &Deps, round: &Round, done: &mut Done) -> Result<(), StoreError> {
    let now = done.now(deps);
    let abandoned = round.reclaim
        && deps.store.read(move |db| async move { store::outbox::any_abandoned(&db, now).await }).await?;
    // the clocks are compared even when there is nothing to do
    let compare = round.reclaim && deps.store.is_postgres();
    if round.renew.is_empty() && round.release.is_empty() && !abandoned && !compare {
        return Ok(());
    }
    let taken = if abandoned { deps.taken.all().await } else { vec![] };
    let tx = deps.store.system_write().await?;
    let written = async {
        let (now, skew) = now_and_skew(deps, &tx).await?;
        for lease in &taken {
            store::outbox::note_taken(tx.conn(), *lease).await?;
        }
        store::outbox::renew(tx.conn(), &round.renew, now.plus(LEASE)).await?;
        store::outbox::release(tx.conn(), &round.release).await?;
        if abandoned {
            let count = store::outbox::reclaim(tx.conn(), now).await?;
            tracing::info!(count, "took over mails whose sender did not come back");
        }
        Ok(skew)
    }
    .await;
    done.skew = tx.end(written).await?;
    deps.taken.forget(&taken).await;
    Ok(())
}

/// A tenant's part of a claim.
struct Part {
    tenant: TenantId,
    share: usize,
    lane: Lane,
}

async fn claim(deps: &Deps, room: Room, done: &mut Done) -> Result<(), StoreError> {
    let parts = parts(deps, &room, done).await?;
    let Some(last) = parts.last() else { return Ok(()) };
    done.after = Some(last.tenant);
    let Ok(random) = random::bytes::<16>() else { return Ok(()) };
    let token = uuid::Builder::from_random_bytes(random).into_uuid();
    let tx = deps.store.system_write().await?;
    let claimed = claim_parts(deps, &tx, &parts, token).await;
    let (skew, rows) = tx.end(claimed).await?;
    done.skew = skew;
    let asked: usize = parts.iter().map(|part| part.share).sum();
    done.more = !rows.is_empty() && rows.len() < asked;
    done.claimed = rows;
    Ok(())
}

async fn claim_parts(
    deps: &Deps,
    tx: &store::Tx,
    parts: &[Part],
    token: Uuid,
) -> Result<(i64, Vec<Claimed>), StoreError> {
    let (now, skew) = now_and_skew(deps, tx).await?;
    let lease = Lease { token, now, until: now.plus(LEASE) };
    let mut claimed = Vec::new();
    for part in parts {
        for row in store::outbox::claim(tx.conn(), part.tenant, part.share, lease).await? {
            claimed.push(Claimed { lease: Held { id: row.id, token }, row, lane: part.lane.clone() });
        }
    }
    Ok((skew, claimed))
}

/// Who gets how many of the free slots, in the order of turns. Tenants that are not configured keep their
/// mails waiting, and so do those whose relay is shut off.
async fn parts(deps: &Deps, room: &Room, done: &mut Done) -> Result<Vec<Part>, StoreError> {
    let snapshot = deps.registry.current();
    // slots, free slots and tenants waiting, by lane
    let mut lanes: HashMap<Lane, (usize, usize, Vec<TenantId>)> = HashMap::new();
    let mut turns: Vec<(TenantId, Lane)> = Vec::new();
    let (mut after, mut wrapped) = (room.after, room.after.is_none());
    for _ in 0..WALKS {
        let from = after;
        let walk = deps.store.read(move |db| async move { store::outbox::waiting(&db, from).await }).await?;
        let now = done.now(deps);
        for waiting in &walk {
            let past_start = wrapped && room.after.is_some_and(|start| waiting.tenant_id > start);
            let Some(tenant) = snapshot.tenant(waiting.tenant_id).filter(|_| !past_start) else { continue };
            if waiting.first_at > now {
                continue;
            }
            let lane = Lane::of(&tenant.mail.transport);
            let slots = tenant.mail.concurrency.max(1);
            let (_, free, tenants) =
                lanes.entry(lane.clone()).or_insert_with(|| (slots, free_slots(room, &lane, slots), vec![]));
            if *free > 0 {
                tenants.push(waiting.tenant_id);
                turns.push((waiting.tenant_id, lane));
            }
        }
        after = walk.last().map(|waiting| waiting.tenant_id);
        if turns.len() >= ENOUGH || (walk.len() < WALK && wrapped) {
            break;
        }
        if walk.len() < WALK {
            (after, wrapped) = (None, true);
        }
    }
    // nobody served: go on from where the walk ended
    done.after = after;
    let shares: HashMap<TenantId, usize> =
        lanes.values().flat_map(|(slots, free, tenants)| share(*slots, *free, &room.busy, tenants)).collect();
    let part = |(tenant, lane)| shares.get(&tenant).map(|share| Part { tenant, share: *share, lane });
    Ok(turns.into_iter().filter_map(part).collect())
}

fn free_slots(room: &Room, lane: &Lane, slots: usize) -> usize {
    let (busy, gate) = room.lanes.get(lane).copied().unwrap_or((0, Gate::Open));
    match gate {
        Gate::Open => slots.saturating_sub(busy),
        Gate::Probe => 1_usize.saturating_sub(busy),
        Gate::Shut => 0,
    }
}
