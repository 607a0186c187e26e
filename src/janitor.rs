//! Forgetting what no longer counts, each kind after its time: invites that ended, mails that left or were given
//! up, answers kept for `Idempotency-Key`, and counters of limits whose windows have passed. What is outdated is
//! looked for outside of any transaction, by an index, and forgotten in small batches, each a transaction of its
//! own, with a pause for others to come through. Several servers may do so at once: whatever somebody else is at is
//! passed by, or gone when its turn comes. Nothing is decided by what is gone, and nobody is told: events stay.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use entity::{InviteId, Millis, OutboxState, TenantId};
use tokio::task::JoinHandle;

use crate::{
    config::settings::{Limits, Settings},
    domain::clock::millis_of,
    store::{Store, StoreError, idempotency, invites, limits, outbox},
    tenancy::Registry,
};

/// Between two looks; the first is at the start.
const EVERY: Duration = Duration::from_secs(600);
/// Between two glances at whether the configuration or the test clock calls for a look before that.
const GLANCE: Duration = Duration::from_secs(1);
/// Between two batches, for others to come through.
const PAUSE: Duration = Duration::from_millis(50);
/// Rows of one batch at most: answers, counters, mails.
const BATCH: u64 = 200;
/// Invites of one batch at most, and mails of theirs: each is in eight indexes.
const INVITES: u64 = 10;
/// Tenants looked through by one statement.
const TENANTS: usize = 64;
/// Shortest time that a counter is kept, in milliseconds, so that a window made longer finds what was counted.
const COUNTERS_KEPT: i64 = 2 * 24 * 60 * 60 * 1000;

/// Starts it on the store's runtime; it goes on until it is aborted.
#[must_use]
pub fn start(store: Store, registry: Arc<Registry>) -> JoinHandle<()> {
    store.runtime().clone().spawn(async move {
        let mut glances = tokio::time::interval(GLANCE);
        glances.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looked = None;
        loop {
            glances.tick().await;
            let snapshot = registry.current();
            let circumstances = (snapshot.generation, store.clock().offset_millis());
            if looked.is_some_and(|(then, at): (_, Instant)| then == circumstances && at.elapsed() < EVERY) {
                continue;
            }
            match sweep(&store, &snapshot.settings).await {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "forgot outdated rows"),
                // the next look finds them too
                Err(error) => tracing::debug!(%error, "could not forget outdated rows"),
            }
            looked = Some((circumstances, Instant::now()));
        }
    })
}

/// Forgets everything that is outdated; tells how many rows that was.
///
/// # Errors
/// [`StoreError::Unavailable`] while the database is; what was forgotten by then stays so.
pub async fn sweep(store: &Store, settings: &Settings) -> Result<u64, StoreError> {
    let mut count = sweep_counts(store, counters_kept(settings)).await?;
    let kept = settings.retention;
    let ways_to_end = [
        (kept.mails, &[OutboxState::Sent, OutboxState::Cancelled][..]),
        (kept.failed_mails, &[OutboxState::Dead][..]),
    ];
    for (kept, states) in ways_to_end {
        if let Some(kept) = kept {
            count += sweep_mails(store, millis_of(kept), states).await?;
        }
    }
    let mut by_time: BTreeMap<i64, Vec<TenantId>> = BTreeMap::new();
    for tenant in &settings.tenants {
        if let Some(kept) = tenant.retention.invites {
            by_time.entry(millis_of(kept)).or_default().push(tenant.id);
        }
    }
    for (kept, tenants) in by_time {
        for some in tenants.chunks(TENANTS) {
            count += sweep_invites(store, some, kept).await?;
        }
    }
    Ok(count)
}

/// Answers past their time and counters past their windows.
async fn sweep_counts(store: &Store, kept: i64) -> Result<u64, StoreError> {
    let mut count = 0;
    loop {
        let now = store.clock().now();
        let answers = store.read(async move |db| idempotency::outdated(&db, now, BATCH).await).await?;
        let counters =
            store.read(async move |db| limits::outdated(&db, now.plus(-kept), BATCH).await).await?;
        if answers.is_empty() && counters.is_empty() {
            return Ok(count);
        }
        let forgotten = forget_counts(store, answers, counters).await?;
        if forgotten == 0 {
            // not outdated by the database's own clock, or another server was first
            return Ok(count);
        }
        count += forgotten;
        note("answers and counters", forgotten);
        tokio::time::sleep(PAUSE).await;
    }
}

/// One batch in one transaction.
async fn forget_counts(
    store: &Store,
    answers: Vec<Vec<u8>>,
    counters: Vec<limits::CounterId>,
) -> Result<u64, StoreError> {
    let tx = store.system_write().await?;
    tx.arm_statement_limit();
    let forgotten = async {
        let now = tx.now().await?;
        let mut count = 0;
        if !answers.is_empty() {
            count += idempotency::prune(tx.conn(), answers, now).await?;
        }
        if !counters.is_empty() {
            count += limits::prune(tx.conn(), counters).await?;
        }
        Ok(count)
    }
    .await;
    tx.end(forgotten).await
}

/// Mails that ended so, whether or not their invites have.
async fn sweep_mails(store: &Store, kept: i64, states: &'static [OutboxState]) -> Result<u64, StoreError> {
    let mut count = 0;
    loop {
        let by = store.clock().now().plus(-kept);
        let mails = store.read(async move |db| outbox::ended(&db, by, states, BATCH).await).await?;
        if mails.is_empty() {
            return Ok(count);
        }
        let tx = store.system_write().await?;
        tx.arm_statement_limit();
        let forgotten = outbox::forget(tx.conn(), mails, states).await.map_err(StoreError::from);
        let forgotten = tx.end(forgotten).await?;
        if forgotten == 0 {
            return Ok(count);
        }
        count += forgotten;
        note("mails", forgotten);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Invites of these tenants that ended so long ago.
async fn sweep_invites(store: &Store, tenants: &[TenantId], kept: i64) -> Result<u64, StoreError> {
    let tenants: Arc<[TenantId]> = tenants.into();
    let mut count = 0;
    loop {
        let (asked, by) = (tenants.clone(), store.clock().now().plus(-kept));
        let found = store.read(async move |db| invites::ended(&db, &asked, by, INVITES).await).await?;
        let mut by_tenant: BTreeMap<TenantId, Vec<InviteId>> = BTreeMap::new();
        for (tenant, id) in found {
            by_tenant.entry(tenant).or_default().push(id);
        }
        let mut forgotten = 0;
        for (tenant, ids) in &by_tenant {
            for few in ids.chunks(usize::try_from(INVITES).unwrap_or(1)) {
                match forget_invites(store, *tenant, few, kept).await {
                    Ok(rows) => forgotten += rows,
                    // one whose lock is not to be had holds up no other
                    Err(error) => tracing::debug!(%tenant, %error, "could not forget ended invites"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        if forgotten == 0 {
            return Ok(count);
        }
        count += forgotten;
        note("invites and their mails", forgotten);
    }
}

/// One batch of one tenant in one transaction, which holds its lock: one of them might be about to live again.
async fn forget_invites(
    store: &Store,
    tenant: TenantId,
    ids: &[InviteId],
    kept: i64,
) -> Result<u64, StoreError> {
    let tx = store.tenant_write(tenant).await?;
    tx.arm_statement_limit();
    let forgotten = async {
        let by: Millis = tx.now().await?.plus(-kept);
        Ok(invites::forget(tx.conn(), tenant, ids, by, INVITES).await?)
    }
    .await;
    tx.end(forgotten).await
}

fn note(what: &'static str, rows: u64) {
    metrics::counter!("usher_rows_forgotten_total", "of" => what).increment(rows);
}

/// How long counters still matter, in milliseconds: for the longest window of any tenant, and the one before it.
fn counters_kept(settings: &Settings) -> i64 {
    let windows = |limits: &Limits| {
        [
            limits.invites_per_inviter,
            limits.invites_per_recipient,
            limits.invites_per_api_key,
            limits.invites_per_tenant,
        ]
        .into_iter()
        .flatten()
        .map(|rate| millis_of(rate.window))
        .max()
    };
    let longest = settings.tenants.iter().filter_map(|tenant| windows(&tenant.limits)).max();
    longest.map_or(COUNTERS_KEPT, |window| window.saturating_mul(2).max(COUNTERS_KEPT))
}
