//! Pure rules: no I/O, no async. What an address is, who may grant what, what a link proves, which refusals
//! exist. Everything above decides with these and nothing here knows of databases or HTTP.

pub mod authority;
pub mod clock;
pub mod cursor;
pub mod disposable;
pub mod email;
pub mod host;
pub mod idempotency;
pub mod invite;
pub mod link_token;
pub mod nearest;
pub mod random;
pub mod refusal;
pub mod role;

pub use authority::{Permission, Permissions, Scope, Standing};
pub use clock::Clock;
pub use email::EmailAddress;
pub use host::Host;
pub use idempotency::{IdempotencyKey, Repeatable};
pub use link_token::{LinkClaims, LinkToken, MasterKey, MasterKeys};
pub use refusal::{FieldError, Refusal};
