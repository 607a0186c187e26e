//! The model: invites and members as the contract describes them, without a database, a lock or a clock.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Given,
    people::{Chance, PEOPLE, person_of},
};
use crate::support::{Kind, invites::KINDS};

/// Ticks after which an invite is past its end.
const LIFE: u64 = 3;
/// Ticks that a revived invite lives for: the tenant's fourteen days, longer than any run.
const LONG: u64 = 14 * 24 * 60 / 25;

/// A link that was given out, dead or alive.
#[derive(Clone)]
pub struct Link {
    /// Into what.
    pub kind: Kind,
    /// Its token.
    pub token: String,
    invite: String,
    version: i64,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "link {} of {}", self.version, self.invite)
    }
}

/// What can be asked for.
#[derive(Clone, Debug)]
pub enum Change {
    /// Time passes.
    Wait,
    /// The owner invites somebody.
    Create(Kind, usize),
    /// The owner mails an invite again, with a new link or not.
    Resend(String, bool),
    /// The owner gives an invite a new end.
    Extend(String),
    /// The owner revokes an invite.
    Revoke(String),
    /// Somebody presents a link and accepts.
    Accept(Link, usize),
    /// Somebody presents a link and declines.
    Decline(Link, usize),
    /// The owner removes somebody from the tenant.
    Remove(usize),
}

#[derive(Clone, Debug)]
struct Invite {
    kind: Kind,
    who: usize,
    status: &'static str,
    version: i64,
    ends: u64,
    mailed: u64,
}

/// Everything that the model knows.
#[derive(Default)]
pub struct World {
    now: u64,
    invites: BTreeMap<String, Invite>,
    links: Vec<Link>,
    tenant: BTreeSet<usize>,
    workspace: BTreeSet<usize>,
}

impl World {
    /// A change that could be asked for now, sensible or not.
    pub fn pick(&self, chance: &mut Chance) -> Change {
        let who = chance.below(PEOPLE);
        let ids: Vec<String> = self.invites.keys().cloned().collect();
        let link = chance.of(&self.links).cloned();
        // mostly whom it was meant for
        let guest = |link: &Link, chance: &mut Chance| match chance.below(5) {
            0 => who,
            _ => self.invites[&link.invite].who,
        };
        match (chance.below(16), chance.of(&ids).cloned(), link) {
            (0 | 1, ..) => Change::Wait,
            (2 | 3, Some(id), _) => Change::Resend(id, chance.below(2) == 0),
            (4 | 5, Some(id), _) => Change::Extend(id),
            (6, Some(id), _) => Change::Revoke(id),
            (7..=9, _, Some(link)) => Change::Accept(link.clone(), guest(&link, chance)),
            (10, _, Some(link)) => Change::Decline(link.clone(), guest(&link, chance)),
            (11, ..) => Change::Remove(who),
            _ => Change::Create(KINDS[chance.below(2)], who),
        }
    }

    /// The kind of an invite.
    pub fn kind(&self, id: &str) -> Kind {
        self.invites[id].kind
    }

    /// Time passes.
    pub fn wait(&mut self) {
        self.now += 1;
    }

    /// Ids as the database writes them, with status and version.
    pub fn invites(&self) -> impl Iterator<Item = (String, String)> {
        self.invites.iter().map(|(id, it)| (id.replace('-', ""), format!("{} {}", it.status, it.version)))
    }

    /// Ids of members besides the owner.
    pub fn members(&self, of: Kind) -> Vec<String> {
        let who = if of == Kind::Org { &self.tenant } else { &self.workspace };
        who.iter().map(|who| person_of(*who).user_id()).collect()
    }

    /// Makes a change and gives what must be answered; from the answer it takes ids and links alone.
    pub fn make(&mut self, change: &Change, given: &Given) -> String {
        let told = match change {
            Change::Wait => Ok(()),
            Change::Create(kind, who) => self.create(*kind, *who, given),
            Change::Resend(id, rotate) => self.resend(id, *rotate, given),
            Change::Extend(id) => self.extend(id),
            Change::Revoke(id) => self.revoke(id),
            Change::Accept(link, who) => self.present(link, *who, "accepted"),
            Change::Decline(link, who) => self.present(link, *who, "declined"),
            Change::Remove(who) => self.remove(*who),
        };
        told.err().unwrap_or("ok").to_owned()
    }

    fn create(&mut self, kind: Kind, who: usize, given: &Given) -> Result<(), &'static str> {
        if self.tenant.contains(&who) {
            if kind == Kind::Org {
                return Err("already_member");
            }
            self.workspace.insert(who);
            self.end_pending("revoked", |it| it.kind == Kind::Workspace && it.who == who);
            return Err("added");
        }
        let now = self.now;
        let live =
            |it: &&mut Invite| it.status == "pending" && it.kind == kind && it.who == who && now < it.ends;
        if let Some(it) = self.invites.values_mut().find(live) {
            it.ends = now + LIFE;
            if now > it.mailed {
                it.mailed = now;
            }
            return Ok(());
        }
        self.end_pending("expired", |it| it.kind == kind && it.who == who);
        let Some(id) = given.id.clone() else { return Ok(()) };
        let it = Invite { kind, who, status: "pending", version: 1, ends: now + LIFE, mailed: now };
        self.invites.insert(id.clone(), it);
        self.hand_out(&id, given);
        Ok(())
    }

    fn resend(&mut self, id: &str, rotate: bool, given: &Given) -> Result<(), &'static str> {
        let (now, it) = (self.now, self.open(id)?);
        let revive = now >= it.ends;
        if !revive && !rotate && now == it.mailed {
            return Err("rate_limit_exceeded");
        }
        if revive {
            it.ends = now + LONG;
        }
        if revive || rotate {
            it.version += 1;
        }
        it.mailed = now;
        self.hand_out(id, given);
        Ok(())
    }

    fn extend(&mut self, id: &str) -> Result<(), &'static str> {
        let (now, it) = (self.now, self.open(id)?);
        if now >= it.ends {
            it.version += 1;
        }
        it.ends = now + LIFE;
        Ok(())
    }

    fn revoke(&mut self, id: &str) -> Result<(), &'static str> {
        let it = self.invites.get_mut(id).unwrap();
        match it.status {
            "accepted" => Err("already_accepted"),
            "declined" => Err("declined"),
            "pending" => {
                it.status = "revoked";
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn present(&mut self, link: &Link, who: usize, end: &'static str) -> Result<(), &'static str> {
        let (now, it) = (self.now, self.invites.get_mut(&link.invite).unwrap());
        if link.version != it.version {
            return Err("invalid_token");
        }
        match it.status {
            "accepted" => return Err("already_accepted"),
            "revoked" => return Err("revoked"),
            "declined" if end == "declined" && it.who == who => return Ok(()),
            "declined" => return Err("declined"),
            _ if it.status == "expired" || now >= it.ends => {
                return Err(if it.kind == Kind::Org { "invalid_token" } else { "expired" });
            }
            _ => {}
        }
        if it.who != who {
            return Err("email_mismatch");
        }
        it.status = end;
        if end == "accepted" {
            self.tenant.insert(who);
            if it.kind == Kind::Workspace {
                self.workspace.insert(who);
            }
        }
        Ok(())
    }

    fn remove(&mut self, who: usize) -> Result<(), &'static str> {
        if !self.tenant.remove(&who) {
            return Err("not_found");
        }
        self.workspace.remove(&who);
        self.end_pending("revoked", |it| it.who == who);
        Ok(())
    }

    /// A pending invite, past its end or not.
    fn open(&mut self, id: &str) -> Result<&mut Invite, &'static str> {
        let it = self.invites.get_mut(id).unwrap();
        match it.status {
            "accepted" => Err("already_accepted"),
            "revoked" => Err("revoked"),
            "declined" => Err("declined"),
            "expired" => Err("superseded"),
            _ => Ok(it),
        }
    }

    fn end_pending(&mut self, end: &'static str, which: impl Fn(&Invite) -> bool) {
        for it in self.invites.values_mut().filter(|it| it.status == "pending" && which(it)) {
            it.status = end;
        }
    }

    fn hand_out(&mut self, id: &str, given: &Given) {
        let Some(token) = given.token.clone() else { return };
        let it = &self.invites[id];
        self.links.push(Link { kind: it.kind, token, invite: id.to_owned(), version: it.version });
    }
}
