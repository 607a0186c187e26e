//! What the server has acknowledged, written down by the writers, and what the rows say about it afterwards.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use crate::support::{database::Inspector, smtp_sink::Letter};

/// One invite as its writer last knew it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its addressee.
    pub email: String,
    /// The last state that was acknowledged.
    pub status: &'static str,
    /// The last version of its link that was acknowledged.
    pub version: i64,
    /// What was under way when the server died: it may have happened or not.
    pub tried: Option<Tried>,
}

/// A change that was asked for and not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Into this state.
    End(&'static str),
    /// To the next link.
    Rotation,
}

/// All invites that were acknowledged; writers share it.
#[derive(Default)]
pub struct Ledger {
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl Ledger {
    /// An invite was acknowledged.
    pub fn created(&self, id: &str, email: &str) {
        let entry = Entry { email: email.to_owned(), status: "pending", version: 1, tried: None };
        self.entries.lock().unwrap().insert(id.to_owned(), entry);
    }

    /// A change is about to be asked for.
    pub fn tries(&self, id: &str, what: Tried) {
        self.entries.lock().unwrap().get_mut(id).unwrap().tried = Some(what);
    }

    /// It was acknowledged.
    pub fn done(&self, id: &str) {
        let mut entries = self.entries.lock().unwrap();
        let entry = entries.get_mut(id).unwrap();
        match entry.tried.take() {
            Some(Tried::End(status)) => entry.status = status,
            Some(Tried::Rotation) => entry.version += 1,
            None => {}
        }
    }

    /// How many invites it knows.
    pub fn len(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    /// Fails unless every acknowledged invite is there, in the state that was acknowledged last or in the one that
    /// was asked for when the server died. From then on the ledger knows which.
    pub async fn check(&self, rows: &Inspector) {
        let sql = format!("SELECT {} || ' ' || status || ' ' || version AS t FROM invites", rows.hex("id"));
        let found: HashMap<String, (String, i64)> =
            rows.texts(&sql).await.iter().map(|row| read(row)).collect();
        let mut lost = Vec::new();
        for (id, entry) in &mut *self.entries.lock().unwrap() {
            let Some((status, version)) = found.get(&id.replace('-', "")) else {
                lost.push(format!("{id} of {} is gone", entry.email));
                continue;
            };
            let now = match entry.tried.take() {
                Some(Tried::End(to)) if status == to => (to, entry.version),
                Some(Tried::Rotation) if *version == entry.version + 1 => (entry.status, entry.version + 1),
                _ => (entry.status, entry.version),
            };
            if (status.as_str(), *version) != now {
                lost.push(format!("{id} is {status} with link {version}: {entry:?}"));
            }
            (entry.status, entry.version) = now;
        }
        assert!(lost.is_empty(), "{} lost changes: {lost:#?}", lost.len());
    }

    /// Fails unless every invite that still waits has been mailed, every mail counted as sent has left, and no mail
    /// has left more often than once and once per crash. Gives how many mails were repeats.
    pub async fn check_mails(&self, rows: &Inspector, letters: &[Letter], crashes: usize) -> usize {
        let sent = |state: &str, column: &str| {
            format!("SELECT {} AS t FROM outbox WHERE state = '{state}'", rows.hex(column))
        };
        let mut by_mail: HashMap<String, Vec<&Letter>> = HashMap::new();
        for letter in letters {
            let id = letter.message_id.split('@').next().unwrap().replace('-', "");
            by_mail.entry(id).or_default().push(letter);
        }
        for id in rows.texts(&sent("sent", "id")).await {
            assert!(by_mail.contains_key(&id), "mail {id} counts as sent and has not left");
        }
        for (id, copies) in &by_mail {
            assert!(copies.len() <= 1 + crashes, "mail {id} left {} times", copies.len());
            assert!(copies.iter().all(|one| one.link == copies[0].link), "one mail, two links");
        }
        let mailed: std::collections::HashSet<String> =
            rows.texts(&sent("sent", "invite_id")).await.into_iter().collect();
        for (id, entry) in self.entries.lock().unwrap().iter() {
            let waits = entry.status == "pending";
            assert!(!waits || mailed.contains(&id.replace('-', "")), "{id} was never mailed: {entry:?}");
        }
        letters.len() - by_mail.len()
    }
}

/// `id status version`.
fn read(row: &str) -> (String, (String, i64)) {
    let mut words = row.split(' ').map(str::to_owned);
    let mut word = || words.next().unwrap();
    (word(), (word(), word().parse().unwrap()))
}
