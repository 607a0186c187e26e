//! The write lane: who waits, in what order, and what commits together. A use case is a [`Command`]; it is put
//! on its tenant's queue, one actor per tenant takes what waits as a batch, and a batch is one transaction.
//! The lane adds order, fairness, back-pressure, time limits and group commit. It is never the only guard:
//! every outcome is decided by a guarded statement under the tenant's lock, with the actors or without.
//! What a request with an `Idempotency-Key` changes is wrapped in a command that keeps its answer ([`planned`]).

pub mod batch;
pub mod command;
pub mod directory;
mod once;
mod pace;
pub mod planned;
mod shared;
mod tenant_actor;
#[cfg(test)]
mod tests;

pub use command::{Command, Decision, Stop, Work};
pub use directory::Lanes;
pub use planned::{Planned, Reply};
pub use shared::Ahead;
