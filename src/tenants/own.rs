//! The tenants a person belongs to.

use entity::{Role, TenantId, UserId};

use super::Tenants;
use crate::{domain::Refusal, store};

/// Tenants of this person with the role there, in order of joining.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database.
pub async fn own(tenants: &Tenants, user: UserId) -> Result<Vec<(TenantId, Role)>, Refusal> {
    Ok(tenants.store.read(async move |db| store::members::tenants_of(&db, &user).await).await?)
}
