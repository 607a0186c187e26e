//! Configured owners that were granted once; somebody removed later does not come back by the file.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{Millis, TenantId, UserId};

/// A grant that happened.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "owners_granted")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    /// The configured address as compared.
    #[sea_orm(primary_key, auto_increment = false)]
    pub email_norm: String,
    /// Who it became.
    pub user_id: UserId,
    /// When.
    pub granted_at: Millis,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
