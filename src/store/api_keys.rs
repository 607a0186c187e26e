//! The table `api_keys`.

use entity::{ApiKeyId, Role, TenantId, api_key};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

/// The role of a service key that has not been revoked: what an invite it sent still rests on. Expiry and
/// rotation of the key take nothing back.
///
/// # Errors
/// As any statement.
pub async fn service_role(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    id: ApiKeyId,
) -> Result<Option<Role>, DbErr> {
    let row = api_key::Entity::find_by_id(id)
        .filter(api_key::Column::TenantId.eq(tenant))
        .filter(api_key::Column::RevokedAt.is_null())
        .one(conn)
        .await?;
    Ok(row.and_then(|row| row.role))
}
