//! API keys: everything but the secret, of which only a SHA-256 is kept.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{AddressState, ApiKeyId, Millis, Role, TenantId, UserId};

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// Primary key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiKeyId,
    /// Tenant that the key manages; null for a personal key.
    pub tenant_id: Option<TenantId>,
    /// Tenant it is confined to on every route, because its maker's issuer speaks for that tenant only.
    pub confined_to: Option<TenantId>,
    /// Person it acts as; null for a service key.
    pub user_id: Option<UserId>,
    /// Role of a service key in its tenant.
    pub role: Option<Role>,
    /// Issuer of its maker; null where the operator made it.
    pub issuer: Option<String>,
    /// Its maker's address at minting.
    pub email: Option<String>,
    /// That address as compared.
    pub email_norm: Option<String>,
    /// What was known of that address at minting.
    pub email_state: AddressState,
    /// Given name.
    pub name: String,
    /// First characters, for showing.
    pub prefix: String,
    /// SHA-256 of the whole key.
    pub hash: Vec<u8>,
    /// Scopes, space-separated; empty means all that its user may.
    pub scopes: String,
    /// End of life, if any.
    pub expires_at: Option<Millis>,
    /// Last use, written in the background.
    pub last_used_at: Option<Millis>,
    /// When revoked.
    pub revoked_at: Option<Millis>,
    /// Who made it; null for the operator.
    pub created_by: Option<UserId>,
    /// When made.
    pub inserted_at: Millis,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
