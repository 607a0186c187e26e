//! Tenants as the configuration names them, and the counters that their lock protects.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{Millis, TenantId};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "tenants")]
pub struct Model {
    /// Primary key, from the configuration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TenantId,
    /// Unique short name.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// Tenant members, owners included; changed in the transaction that changes the members.
    pub seats_used: i64,
    /// Number of the last event.
    pub event_seq: i64,
    /// When the row was made.
    pub inserted_at: Millis,
    /// When slug or name last changed.
    pub updated_at: Millis,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
