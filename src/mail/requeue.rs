//! Trying given-up mails again, by the operator's hand: under the tenant's lock, with an event, like every other
//! change.

use entity::{OutboxId, TenantId};
use serde_json::json;

use crate::store::{
    self, Store, StoreError,
    events::{NewEvent, Told},
};

/// Queues given-up mails of a tenant again, one or all of them (a thousand at a time); gives how many.
///
/// # Errors
/// [`StoreError::Unavailable`] without the database.
pub async fn requeue(store: &Store, tenant: TenantId, which: Option<OutboxId>) -> Result<usize, StoreError> {
    let work = store.clone();
    let queued = store.runtime().spawn(async move { queue_again(&work, tenant, which).await }).await;
    queued.unwrap_or_else(|_| Err(StoreError::unavailable("the write was torn down")))
}

async fn queue_again(store: &Store, tenant: TenantId, which: Option<OutboxId>) -> Result<usize, StoreError> {
    let tx = store.tenant_write(tenant).await?;
    let done = async {
        let now = tx.now().await?;
        let count = store::deliveries::retry_dead(tx.conn(), tenant, which, now).await?;
        if count > 0 {
            let event = NewEvent {
                kind: "mail.requeued",
                invite_id: None,
                workspace_id: None,
                actor: "operator".to_owned(),
                data: Some(json!({ "mails": count })),
            };
            store::events::append(tx.conn(), vec![Told::of(tenant, now, vec![event])]).await?;
        }
        Ok::<_, StoreError>(count)
    }
    .await;
    tx.end(done).await
}
