//! Who calls: credentials verified into a principal, and a principal in its tenant.

pub mod authority;
pub mod call;
pub mod principal;

pub use authority::Authority;
pub use call::Call;
pub use principal::{Principal, PrincipalKind, UserIdentity};
