//! What happened within a tenant, numbered without gaps in commit order. No token, no secret, no address.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{InviteId, Millis, TenantId, WorkspaceId};

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "events")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    /// Number within the tenant, from 1, gapless.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// What happened, such as `invite.created`.
    pub kind: String,
    /// Invite it is about.
    pub invite_id: Option<InviteId>,
    /// Workspace it is about.
    pub workspace_id: Option<WorkspaceId>,
    /// Who did it: a user id, `key:<id>`, `operator` or `system`.
    pub actor: String,
    /// Further facts, as JSON text.
    pub data: Option<String>,
    /// When.
    pub at: Millis,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
