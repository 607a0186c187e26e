//! Who calls: credentials verified into a principal.

pub mod principal;

pub use principal::{Principal, PrincipalKind, UserIdentity};
