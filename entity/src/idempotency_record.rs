//! Answers kept for Idempotency-Key; sealed, because an answer may hold a link or a key.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{Millis, TenantId};

/// A stored answer.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "idempotency_records")]
pub struct Model {
    /// SHA-256 over principal, method, route and the hash of the key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Vec<u8>,
    /// Tenant of the effect, if it had one.
    pub tenant_id: Option<TenantId>,
    /// SHA-256 of the request body.
    pub request_hash: Vec<u8>,
    /// Status of the stored answer.
    pub status: i32,
    /// Salt of the sealing key.
    pub salt: Vec<u8>,
    /// Master key used.
    pub kid: String,
    /// The sealed body.
    pub sealed: Vec<u8>,
    /// When stored.
    pub inserted_at: Millis,
    /// When it may be forgotten.
    pub expires_at: Millis,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
