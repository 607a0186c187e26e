//! Who calls: credentials verified into a principal. Knows no HTTP beyond the values of two headers and no
//! SQL. A bearer token is read (`claims`), its issuer looked up by exact name (`trust`), its signature checked
//! with a key that the issuer's record binds to one algorithm (`keys`, fetched by `jwks`), and what it says
//! mapped onto a principal (`bearer`). An API key is recognised by its shape alone (`api_key`) before its row is
//! asked for. `caller` puts them together, and `first_sight` keeps one user id from reaching two people. What a
//! command may do follows from its `Authority`: a principal's call within a tenant, or the operator.

pub mod api_key;
pub mod authority;
pub mod bearer;
pub mod call;
pub mod caller;
mod claims;
pub mod first_sight;
pub mod jwks;
mod keys;
mod last_used;
pub mod principal;
pub mod trust;

#[cfg(test)]
mod tests;

pub use authority::Authority;
pub use call::Call;
pub use caller::{Authenticator, agree, agree_confined, single_header};
pub use principal::{OPERATOR_ISSUER, Principal, PrincipalKind, UserIdentity};
pub use trust::{BadIssuer, Trust};
