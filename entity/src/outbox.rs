//! Mails owed. Holds neither link nor rendered text: both are derived when the mail leaves.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{InviteId, Millis, OutboxId, OutboxState, TenantId};

/// A mail owed.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// Primary key; the Message-ID is made of it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OutboxId,
    /// Owning tenant.
    pub tenant_id: TenantId,
    /// Invite it is about.
    pub invite_id: InviteId,
    /// Version of the link it carries.
    pub version: i32,
    /// One mail of an invite is queued once: `<invite>:<number>`.
    pub dedupe_key: String,
    /// Where it stands.
    pub state: OutboxState,
    /// Tries begun.
    pub attempts: i32,
    /// Not before.
    pub next_at: Millis,
    /// End of the lease while `leased`.
    pub lease_until: Option<Millis>,
    /// Fencing token of the lease.
    pub lease_token: Option<Uuid>,
    /// Class of the last failure; `taken` from when a relay has it until that is settled.
    pub last_error: Option<String>,
    /// When queued.
    pub inserted_at: Millis,
    /// When the relay took it.
    pub sent_at: Option<Millis>,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
