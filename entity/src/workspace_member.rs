//! Memberships of users in workspaces; the schema makes one without the tenant membership impossible.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{InviteId, Millis, Role, TenantId, UserId, WorkspaceId};

/// A membership in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "workspace_members")]
pub struct Model {
    /// The workspace.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// The user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Tenant of both.
    pub tenant_id: TenantId,
    /// Role in the workspace.
    pub role: Role,
    /// Who let them in.
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
