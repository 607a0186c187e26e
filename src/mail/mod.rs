//! Mails: what they say, how they leave, and who sees to it that every mail owed leaves. Knows no HTTP. The
//! outbox's SQL is in `store`; here are the words (`render`, `words`), the bytes (`letter`), the ways out
//! (`transport`), what becomes of one mail (`delivery`) and the actor that runs them all (`mailer`).

pub mod letter;
pub mod render;
pub mod transport;
mod words;
