//! Reading keys: what is kept of them, which is everything but the key.

use entity::{TenantId, api_key};

use super::Keys;
use crate::{domain::Refusal, store};

/// The keys that manage a tenant, or all keys of the server; revoked ones left out, oldest first.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database.
pub async fn list(keys: &Keys, tenant: Option<TenantId>) -> Result<Vec<api_key::Model>, Refusal> {
    Ok(keys
        .store
        .read(async move |db| match tenant {
            Some(tenant) => store::api_keys::of_tenant(&db, tenant).await,
            None => store::api_keys::all(&db).await,
        })
        .await?)
}
