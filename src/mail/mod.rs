//! Mails: what they say, how they leave, and who sees to it that every mail owed leaves. Knows no HTTP. The
//! outbox's SQL is in `store`; here are the words (`render`, `words`), the bytes (`letter`), the ways out
//! (`transport`), what becomes of one mail (`delivery`) and the actor that runs them all (`mailer`).

mod circuit;
pub mod delivery;
mod handle;
pub mod letter;
pub mod mailer;
pub mod render;
pub mod requeue;
mod round;
mod schedule;
mod settling;
mod share;
mod taken;
#[cfg(test)]
mod tests;
pub mod transport;
mod words;

pub use delivery::Deps;
pub use handle::MailerHandle;
pub use mailer::Mailer;
pub use taken::TakenNotes;
pub use transport::{
    Transports,
    memory::{Mail, Mailbox},
};
