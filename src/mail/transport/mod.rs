//! The ways a mail leaves, and the one vocabulary for how that went. Owns the relays in use; equal relays of
//! several tenants share connections.

pub mod file;
pub mod memory;
pub mod smtp;
mod tls_stream;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use self::{memory::Mailbox, smtp::SmtpRelay};
use super::letter::Letter;
use crate::config::settings::{self, Relay, Transport};

/// How handing over one mail went. The text is its class: for metrics, the row and the invite, without
/// anything the relay said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Taken.
    Sent,
    /// Not taken this time; the relay itself works.
    Deferred(&'static str),
    /// Perhaps taken: the answer to the whole message never came.
    Ambiguous(&'static str),
    /// Refused for good, recipient or message.
    Refused(&'static str),
    /// The relay cannot be used at all: connection, TLS, greeting, 421 or authentication.
    RelayDown(&'static str),
}

/// What shares a circuit and its slots: mails that leave by the same way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// One relay.
    Smtp(Relay),
    /// One directory.
    File(PathBuf),
    /// The mailbox of this process.
    Memory,
}

impl Lane {
    /// The lane of a transport.
    #[must_use]
    pub fn of(transport: &Transport) -> Self {
        match transport {
            Transport::Smtp(relay) => Self::Smtp(relay.clone()),
            Transport::File(folder) => Self::File(folder.clone()),
            Transport::Memory => Self::Memory,
        }
    }
}

/// All transports of this process.
#[derive(Debug)]
pub struct Transports {
    hello: String,
    mailbox: Mailbox,
    relays: Mutex<HashMap<Relay, Arc<SmtpRelay>>>,
}

impl Transports {
    /// Transports that greet relays with this host name; `memory` mails go to the mailbox.
    #[must_use]
    pub fn new(hello: String, mailbox: Mailbox) -> Self {
        Self { hello, mailbox, relays: Mutex::default() }
    }

    /// Hands one mail over, within the time that the settings allow.
    pub async fn send(&self, mail: &settings::Mail, letter: &Letter) -> Outcome {
        match &mail.transport {
            Transport::Smtp(relay) => self.relay(relay).send(letter, mail.timeout).await,
            Transport::File(folder) => {
                match tokio::time::timeout(mail.timeout, file::write(folder, letter)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Outcome::Deferred("file_timeout"),
                }
            }
            Transport::Memory => {
                self.mailbox.put(letter);
                Outcome::Sent
            }
        }
    }

    fn relay(&self, relay: &Relay) -> Arc<SmtpRelay> {
        let mut relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            relays
                .entry(relay.clone())
                .or_insert_with(|| Arc::new(SmtpRelay::new(relay.clone(), self.hello.clone()))),
        )
    }

    /// Forgets relays that no tenant uses any more, and closes connections idle for long.
    pub fn tidy(&self, in_use: &HashSet<Lane>) {
        let mut relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
        relays.retain(|relay, _| in_use.contains(&Lane::Smtp(relay.clone())));
        for relay in relays.values() {
            relay.drop_idle();
        }
    }
}
