//! The table `owners_granted`: a configured owner is granted once per tenant and address, so somebody removed
//! later does not come back by the file.

use entity::{Millis, TenantId, UserId, owner_granted};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait, QuerySelect, sea_query::OnConflict};

/// Notes the grant; `false` if it happened before. To be called under the tenant's lock, in the transaction
/// that makes the owner.
///
/// # Errors
/// As any statement.
pub async fn insert_once(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    email_norm: &str,
    user: &UserId,
    now: Millis,
) -> Result<bool, DbErr> {
    let row = owner_granted::ActiveModel {
        tenant_id: Set(tenant),
        email_norm: Set(email_norm.to_owned()),
        user_id: Set(user.clone()),
        granted_at: Set(now),
    };
    let ignore = OnConflict::new().do_nothing().to_owned();
    let added = owner_granted::Entity::insert(row).on_conflict(ignore).exec_without_returning(conn).await?;
    Ok(added == 1)
}

/// Whether the grant happened.
///
/// # Errors
/// As any statement.
pub async fn exists(conn: &impl ConnectionTrait, tenant: TenantId, email_norm: &str) -> Result<bool, DbErr> {
    let key = (tenant, email_norm.to_owned());
    Ok(owner_granted::Entity::find_by_id(key).limit(1).one(conn).await?.is_some())
}
