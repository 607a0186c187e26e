//! Tables and column types of usher, one table a file. Owns no logic and no query: every statement is in
//! the root crate's `store`, where each function takes the tenant. Times are [`Millis`] everywhere, because
//! text dates compare differently on SQLite and PostgreSQL.

pub mod api_key;
pub mod enums;
pub mod event;
pub mod idempotency_record;
pub mod ids;
pub mod invite;
pub mod limit_counter;
pub mod outbox;
pub mod owner_granted;
pub mod tenant;
pub mod tenant_member;
pub mod user;
pub mod workspace;
pub mod workspace_member;

pub use enums::{AddressState, Delivery, InviteStatus, OutboxState, Role};
pub use ids::{ApiKeyId, InviteId, Millis, OutboxId, TenantId, UserId, WorkspaceId};
