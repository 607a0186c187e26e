//! Memberships of users in tenants.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{InviteId, Millis, Role, TenantId, UserId};

/// A membership in a tenant.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "tenant_members")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    /// The user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Owner, admin or member.
    pub role: Role,
    /// Who let them in; null for configured owners.
    pub added_by: Option<UserId>,
    /// The invite that made this membership, if one did.
    pub invite_id: Option<InviteId>,
    /// Since when.
    pub inserted_at: Millis,
    /// Last change of role.
    pub updated_at: Millis,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
