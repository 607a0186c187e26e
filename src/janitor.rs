//! Forgetting what no longer counts: answers kept for `Idempotency-Key` past their day, and counters of limits
//! whose windows have passed. In small batches, each a transaction without any tenant's lock, so that nobody
//! waits for it; what is outdated is looked for outside of them. Nothing is decided by what is gone.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    config::settings::{Limits, Settings},
    store::{Store, StoreError, idempotency, limits},
    tenancy::Registry,
};

/// Between two looks; the first is at the start.
const EVERY: Duration = Duration::from_secs(600);
/// Between two batches, for others to come through.
const PAUSE: Duration = Duration::from_millis(50);
/// Rows of one batch at most.
const BATCH: u64 = 200;
/// Shortest time that a counter is kept, in milliseconds, so that a window made longer finds what was counted.
const COUNTERS_KEPT: i64 = 2 * 24 * 60 * 60 * 1000;

/// Starts it on the store's runtime; it goes on until it is aborted.
#[must_use]
pub fn start(store: Store, registry: Arc<Registry>) -> JoinHandle<()> {
    store.runtime().clone().spawn(async move {
        let mut looks = tokio::time::interval(EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let settings = registry.current().settings.clone();
            match sweep(&store, &settings).await {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "forgot outdated rows"),
                // the next look finds them too
                Err(error) => tracing::debug!(%error, "could not forget outdated rows"),
            }
        }
    })
}

/// Forgets everything that is outdated; tells how many rows that was.
///
/// # Errors
/// [`StoreError::Unavailable`] while the database is; what was forgotten by then stays so.
pub async fn sweep(store: &Store, settings: &Settings) -> Result<u64, StoreError> {
    let kept = counters_kept(settings);
    let mut count = 0;
    loop {
        let now = store.clock().now();
        let answers = store.read(async move |db| idempotency::outdated(&db, now, BATCH).await).await?;
        let counters =
            store.read(async move |db| limits::outdated(&db, now.plus(-kept), BATCH).await).await?;
        if answers.is_empty() && counters.is_empty() {
            return Ok(count);
        }
        let forgotten = forget(store, answers, counters).await?;
        if forgotten == 0 {
            // not outdated by the database's own clock, or another server was first
            return Ok(count);
        }
        count += forgotten;
        tokio::time::sleep(PAUSE).await;
    }
}

/// One batch in one transaction.
async fn forget(
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
    match forgotten {
        Ok(count) => tx.commit().await.map(|()| count),
        Err(error) => {
            tx.rollback().await;
            Err(error)
        }
    }
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
        .map(|rate| i64::try_from(rate.window.as_millis()).unwrap_or(i64::MAX))
        .max()
    };
    let longest = settings.tenants.iter().filter_map(|tenant| windows(&tenant.limits)).max();
    longest.map_or(COUNTERS_KEPT, |window| window.saturating_mul(2).max(COUNTERS_KEPT))
}
