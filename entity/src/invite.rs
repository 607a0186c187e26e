//! Invites: the row is the authority, the link only proves a mailbox for one row and version.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{ApiKeyId, Delivery, InviteId, InviteStatus, Millis, Role, TenantId, UserId, WorkspaceId};

/// An invite.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "invites")]
pub struct Model {
    /// Primary key; also inside the link.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InviteId,
    /// Owning tenant.
    pub tenant_id: TenantId,
    /// Set for workspace invites, null for org invites.
    pub workspace_id: Option<WorkspaceId>,
    /// Address as given, for showing and mailing.
    pub email: String,
    /// Address as compared: ASCII-folded, A-label domain.
    pub email_norm: String,
    /// Role to be given.
    pub role: Role,
    /// What became of it.
    pub status: InviteStatus,
    /// Version of the link; a link of any other version is dead.
    pub version: i32,
    /// 32 random bytes that the link key is derived with; never leaves the store and the link code.
    pub salt: Vec<u8>,
    /// Which master key signs the link.
    pub kid: String,
    /// Host of the link, chosen at creation; null means the platform origin.
    pub link_host: Option<String>,
    /// Inviter of record; null for a service key and for the operator.
    pub inviter: Option<UserId>,
    /// Service key that made it, if one did.
    pub inviter_key: Option<ApiKeyId>,
    /// Personal message to the addressee.
    pub message: Option<String>,
    /// What the addressee wrote when declining.
    pub note: Option<String>,
    /// Language asked for.
    pub locale: Option<String>,
    /// Where its latest mail stands.
    pub delivery: Delivery,
    /// Class of the last delivery failure, without addresses.
    pub delivery_detail: Option<String>,
    /// Mails queued so far; numbers their rows in the outbox.
    pub mails: i32,
    /// When the latest mail was queued; starts the cooldown.
    pub mailed_at: Option<Millis>,
    /// Exact end of life.
    pub expires_at: Millis,
    /// Who accepted.
    pub accepted_by: Option<UserId>,
    /// When accepted.
    pub accepted_at: Option<Millis>,
    /// When declined.
    pub declined_at: Option<Millis>,
    /// Who revoked; null for the server itself and the operator.
    pub revoked_by: Option<UserId>,
    /// When revoked.
    pub revoked_at: Option<Millis>,
    /// When closed by a newer invite.
    pub expired_at: Option<Millis>,
    /// When made.
    pub inserted_at: Millis,
    /// Last change.
    pub updated_at: Millis,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
