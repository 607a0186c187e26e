//! Counters of rate limits that must agree across replicas; counted within one tenant under its lock.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{Millis, TenantId};

/// A counter of one window.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "limit_counters")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    /// What is counted: `inviter`, `recipient`, `tenant`, `api_key`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// Whose: a user id, a hash of an address, a key id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// Start of the window.
    #[sea_orm(primary_key, auto_increment = false)]
    pub window_start: Millis,
    /// Counted so far.
    pub used: i64,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
