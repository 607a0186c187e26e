//! When API keys were last used, written behind the callers' backs: a key at most once a minute, and all keys
//! used within a second in one transaction, so a busy key costs one small write a minute.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use entity::{ApiKeyId, Millis};
use moka::sync::Cache;

use crate::store::{Store, StoreError, api_keys};

/// Time between two writes for one key.
const EVERY: Duration = Duration::from_secs(60);
/// How long uses are gathered.
const GATHER: Duration = Duration::from_secs(1);

pub(super) struct LastUsed {
    noted: Cache<ApiKeyId, ()>,
    waiting: Arc<Mutex<BTreeMap<ApiKeyId, Millis>>>,
}

impl LastUsed {
    pub(super) fn new() -> Self {
        let noted = Cache::builder().max_capacity(100_000).time_to_live(EVERY).build();
        Self { noted, waiting: Arc::default() }
    }

    /// Notes a use; never waits and never fails.
    pub(super) fn note(&self, store: &Store, key: ApiKeyId) {
        if self.noted.contains_key(&key) {
            return;
        }
        self.noted.insert(key, ());
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.insert(key, store.clock().now());
            waiting.len() == 1
        };
        if first {
            let (store, waiting) = (store.clone(), Arc::clone(&self.waiting));
            store.runtime().clone().spawn(async move {
                tokio::time::sleep(GATHER).await;
                let used = std::mem::take(&mut *waiting.lock().unwrap_or_else(PoisonError::into_inner));
                if let Err(error) = write(&store, used).await {
                    // worth nothing more: the next minute writes again
                    tracing::debug!(%error, "cannot note when API keys were used");
                }
            });
        }
    }
}

async fn write(store: &Store, used: BTreeMap<ApiKeyId, Millis>) -> Result<(), StoreError> {
    let at = used.values().max().copied().unwrap_or_default();
    let ids: Vec<ApiKeyId> = used.into_keys().collect();
    let tx = store.system_write().await?;
    let touched = api_keys::touch(tx.conn(), &ids, at).await;
    tx.end(touched.map_err(StoreError::from)).await
}
