//! Workspaces, each of one tenant.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{Millis, TenantId, UserId, WorkspaceId};

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "workspaces")]
pub struct Model {
    /// Primary key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WorkspaceId,
    /// Owning tenant.
    pub tenant_id: TenantId,
    /// Display name.
    pub name: String,
    /// Short name, if given.
    pub slug: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Flat map of strings, as JSON text.
    pub metadata: Option<String>,
    /// Id in the caller's own system; unique per tenant.
    pub external_workspace_id: Option<String>,
    /// Id of the owner in the caller's own system.
    pub external_user_id: Option<String>,
    /// Whether a configuration file names it (then it cannot be deleted).
    pub configured: bool,
    /// Who made it; null for configured ones.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub inserted_at: Millis,
    /// Last change.
    pub updated_at: Millis,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
