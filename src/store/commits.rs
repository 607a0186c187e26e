//! Who waits for something to be committed in a tenant, to be woken by this process's own commits: a hint that
//! saves asking the database. What another process commits wakes nobody here, so whoever waits also asks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use entity::TenantId;
use tokio::sync::Notify;

/// How many wait for each tenant, and what wakes them.
type WaitedFor = HashMap<TenantId, (usize, Arc<Notify>)>;

/// The tenants that somebody waits for; clones share them.
#[derive(Clone, Default)]
pub struct Commits {
    waited_for: Arc<Mutex<WaitedFor>>,
}

/// One who waits; gone with it.
pub struct Waiting {
    commits: Commits,
    tenant: TenantId,
    woken: Arc<Notify>,
}

impl Commits {
    /// Waits for commits of a tenant from now on; `None` if so many wait for it already.
    #[must_use]
    pub fn wait_for(&self, tenant: TenantId, most: usize) -> Option<Waiting> {
        let mut waited_for = self.lock();
        let (count, woken) = waited_for.entry(tenant).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Waiting { commits: self.clone(), tenant, woken: woken.clone() })
    }

    /// Wakes whoever waits for one of these tenants.
    pub(super) fn tell(&self, tenants: &[TenantId]) {
        if tenants.is_empty() {
            return;
        }
        let waited_for = self.lock();
        for (_, woken) in tenants.iter().filter_map(|tenant| waited_for.get(tenant)) {
            woken.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, WaitedFor> {
        self.waited_for.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Ends with the next commit after the call, even if it is polled only later.
    pub fn woken(&self) -> impl Future<Output = ()> + '_ {
        self.woken.notified()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waited_for = self.commits.lock();
        if let Some((count, _)) = waited_for.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                waited_for.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_wakes_whoever_waited_before_it_and_nobody_stays_behind() {
        let commits = Commits::default();
        let (here, elsewhere) = (TenantId::new(), TenantId::new());
        let waiting = commits.wait_for(here, 2).unwrap();
        let second = commits.wait_for(here, 2);
        assert!(commits.wait_for(here, 2).is_none(), "no more than allowed");
        assert!(commits.wait_for(elsewhere, 2).is_some());
        let woken = waiting.woken();
        commits.tell(&[elsewhere]);
        commits.tell(&[here]);
        woken.await;
        drop((second, waiting));
        assert!(commits.lock().is_empty());
    }
}
