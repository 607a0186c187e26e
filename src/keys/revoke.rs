//! Revoking a key: at once in this process, within a second in others. What a service key has sent can no longer
//! be accepted.

use entity::{ApiKeyId, api_key};
use serde_json::json;

use super::Keys;
use crate::{
    actors::{Command, Decision, Work},
    domain::Refusal,
    identity::Call,
    store::{self, StoreError, events::NewEvent},
};

/// Revokes a key by the operator's hand; repeating that changes nothing.
///
/// # Errors
/// [`Refusal::NotFound`] for an unknown id.
pub async fn revoke(keys: &Keys, id: ApiKeyId) -> Result<(), Refusal> {
    let row = keys.store.read(async move |db| store::api_keys::find(&db, id).await).await?;
    let row = row.ok_or(Refusal::NotFound)?;
    match row.tenant_id {
        Some(tenant) => keys.lanes.run(tenant, RevokeKey { row }).await?,
        None => personal(keys, id).await?,
    }
    (keys.forget_verdicts)();
    Ok(())
}

/// A personal key belongs to no tenant: there is no lane to wait in and no tenant to tell.
async fn personal(keys: &Keys, id: ApiKeyId) -> Result<(), StoreError> {
    let store = keys.store.clone();
    let revoking = async move {
        let tx = store.system_write().await?;
        let done = async {
            let now = tx.now().await?;
            Ok::<_, StoreError>(store::api_keys::revoke(tx.conn(), id, now).await?)
        }
        .await;
        tx.end(done).await.map(drop)
    };
    super::create::on_runtime(keys, revoking).await
}

struct RevokeKey {
    row: api_key::Model,
}

impl Command for RevokeKey {
    type Output = ();

    /// The operator's; no answer is kept.
    fn told_to(&self) -> Option<&Call> {
        None
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<()> {
        let now = work.now().await?;
        if store::api_keys::revoke(work.conn(), self.row.id, now).await? {
            work.event(NewEvent {
                kind: "api_key.revoked",
                invite_id: None,
                workspace_id: None,
                actor: "operator".to_owned(),
                data: Some(json!({ "key": self.row.id, "prefix": self.row.prefix })),
            });
        }
        Ok(())
    }
}
