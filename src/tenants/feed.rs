//! What has happened in a tenant, in order and without gaps, for applications that want to hear of it without
//! asking for each invite. Whoever asks may wait for the next thing to happen: woken by this process's own
//! commits, looking twice a second for those of others, and answered at once when the server stops.

use std::{sync::Arc, time::Duration};

use entity::{Role, TenantId, event};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};

use super::Tenants;
use crate::{
    domain::{Refusal, Standing},
    identity::Call,
    store::{self, Rows, Store},
};

/// Longest that anybody may wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Most events of one answer.
pub const MOST: u64 = 1000;
/// Waiting at once, all tenants together, and of one tenant.
const MOST_WAITING: (usize, usize) = (256, 32);
/// How often those who wait look for what other processes commit.
const LOOK: Duration = Duration::from_millis(500);

/// Who waits, and whether the server stops; clones share it.
#[derive(Clone)]
pub(super) struct Waiters {
    places: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST_WAITING.0)), stopping: watch::Sender::new(false) }
    }
}

impl Waiters {
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

/// What is asked of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Events after this number.
    pub after: i64,
    /// At most so many, one to [`MOST`].
    pub limit: u64,
    /// How long to wait if there is none yet.
    pub wait: Duration,
}

/// Events in order.
#[derive(Clone, Debug)]
pub struct Events {
    /// Each numbered one higher than the one before.
    pub events: Vec<event::Model>,
    /// Whether there are more already.
    pub more: bool,
}

/// The events of the tenant after a number.
///
/// # Errors
/// 404 for strangers, 403 for members who are no admins, 429 and 503 where too many wait already.
pub async fn feed(tenants: &Tenants, call: Call, asked: Asked) -> Result<Events, Refusal> {
    call.principal.require_scope("invites:read")?;
    let store = &tenants.store;
    let until = Instant::now() + asked.wait.min(LONGEST_WAIT);
    let mut found = look(store, &call, asked).await?;
    if !found.events.is_empty() || asked.wait.is_zero() {
        return Ok(found);
    }
    let mut stopping = tenants.waiters.stopping.subscribe();
    let _place = tenants.waiters.places.try_acquire().map_err(|_| Refusal::Unavailable {
        retry_after: 1,
        what: "Too many wait for events already. Ask without waiting.",
    })?;
    let waiting = store.commits().wait_for(call.tenant.id, MOST_WAITING.1);
    let waiting = waiting.ok_or(Refusal::RateLimited { retry_after: 1, what: "waiting for events" })?;
    while found.events.is_empty() && Instant::now() < until && !*stopping.borrow() {
        // from before the look, so that no commit falls between
        let woken = waiting.woken();
        found = look(store, &call, asked).await?;
        if found.events.is_empty() {
            let soon = until.min(Instant::now() + LOOK);
            let _ = timeout_at(soon, async {
                tokio::select! {
                    () = woken => {}
                    _ = stopping.changed() => {}
                }
            })
            .await;
        }
    }
    Ok(found)
}

/// What there is now, if the caller may know it now.
async fn look(store: &Store, call: &Call, asked: Asked) -> Result<Events, Refusal> {
    let call = call.clone();
    store
        .read(async move |db| {
            let standing = call.standing(&db, None).await?;
            if let Err(refusal) = may_know(&call, standing) {
                return Ok(Err(refusal));
            }
            Ok(Ok(after(&db, call.tenant.id, asked).await?))
        })
        .await?
}

fn may_know(call: &Call, standing: Standing) -> Result<(), Refusal> {
    call.require_member(standing)?;
    if call.principal.system_admin || standing.tenant >= Some(Role::Admin) {
        Ok(())
    } else {
        Err(Refusal::Forbidden("only admins may read the events of an organisation"))
    }
}

async fn after(conn: &impl Rows, tenant: TenantId, asked: Asked) -> Result<Events, sea_orm::DbErr> {
    let limit = asked.limit.clamp(1, MOST);
    let mut events = store::events::after(conn, tenant, asked.after, limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = events.len() > most;
    events.truncate(most);
    Ok(Events { events, more })
}
