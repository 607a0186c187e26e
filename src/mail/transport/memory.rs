//! Mails kept in this process, for `usher dev` and tests: the last thousand, already decoded.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

use crate::mail::letter::Letter;

/// How many mails are kept.
const CAPACITY: usize = 1000;

/// A mail as the mailbox shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mail {
    /// Recipient.
    pub to: String,
    /// Subject line.
    pub subject: String,
    /// Text part.
    pub text: String,
    /// HTML part.
    pub html: String,
    /// The link in it.
    pub link: String,
    /// Message-ID with its angle brackets.
    pub message_id: String,
}

/// The mailbox; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Mailbox {
    mails: Arc<Mutex<VecDeque<Mail>>>,
}

impl Mailbox {
    /// Takes a mail in; the oldest makes room.
    pub fn put(&self, letter: &Letter) {
        let mail = Mail {
            to: letter.to.to_string(),
            subject: letter.content.subject.clone(),
            text: letter.content.text.clone(),
            html: letter.content.html.clone(),
            link: letter.link.clone(),
            message_id: letter.message_id.clone(),
        };
        let mut mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        if mails.len() >= CAPACITY {
            mails.pop_front();
        }
        mails.push_back(mail);
    }

    /// All mails kept, in order of arrival.
    #[must_use]
    pub fn list(&self) -> Vec<Mail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Empties it.
    pub fn clear(&self) {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
