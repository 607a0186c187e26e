//! What a use case hands to the lane. A command decides inside a transaction that is not its own: it never
//! opens, commits or sleeps, and it may be run twice, so it changes nothing but through its [`Work`].

use std::{collections::BTreeMap, future::Future, pin::Pin};

use entity::{Millis, TenantId, UserId, outbox};
use sea_orm::DbErr;
use tokio::{sync::OwnedSemaphorePermit, sync::oneshot, time::Instant};

use crate::{
    domain::Refusal,
    identity::{Call, first_sight::TAKEN},
    store::{self, Conn, StoreError, events::NewEvent, tx::Tx, users::Sighting},
};

/// Why a command ends without its output.
#[derive(Debug)]
pub enum Stop {
    /// An ordinary refusal. Nothing was written, so the rest of the batch is not touched by it.
    Refused(Refusal),
    /// Something failed; the command's writes are taken back.
    Failed(StoreError),
    /// What it decided no longer holds; it is taken back and run once more.
    Again,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<DbErr> for Stop {
    fn from(error: DbErr) -> Self {
        Self::Failed(error.into())
    }
}

/// What a command decided.
pub type Decision<T> = Result<T, Stop>;

/// A change within one tenant.
pub trait Command: Send + Sync + 'static {
    /// What the caller gets after the commit.
    type Output: Send + 'static;

    /// Who must still belong to the tenant to be told a kept answer again; `None` for those who are nobody there
    /// and need not be, such as whoever answers an invitation, and where no answer is ever kept.
    fn told_to(&self) -> Option<&Call>;

    /// Decides, under the tenant's lock.
    fn decide(&self, work: &mut Work<'_>) -> impl Future<Output = Decision<Self::Output>> + Send;
}

/// What a command works with: the transaction, its tenant, and what it only appends.
pub struct Work<'t> {
    tx: &'t Tx,
    tenant: TenantId,
    /// addresses that commands before this one have appended and that are not in the database yet
    seen: &'t [Address],
    now: Option<Millis>,
    events: Vec<NewEvent>,
    mails: Vec<outbox::Model>,
    users: Vec<Sighting>,
    after: Vec<Box<dyn FnOnce() + Send + Sync>>,
}

impl<'t> Work<'t> {
    pub(super) fn new(tx: &'t Tx, tenant: TenantId, seen: &'t [Address]) -> Self {
        Self { tx, tenant, seen, now: None, events: vec![], mails: vec![], users: vec![], after: vec![] }
    }

    /// The transaction, for deciding statements that read the clock.
    #[must_use]
    pub fn tx(&self) -> &'t Tx {
        self.tx
    }

    /// The connection, for the functions of the store.
    #[must_use]
    pub fn conn(&self) -> &'t Conn {
        self.tx.conn()
    }

    /// The tenant whose lock is held.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The time of this command: read once, after the lock was had.
    ///
    /// # Errors
    /// As any statement.
    pub async fn now(&mut self) -> Result<Millis, StoreError> {
        if let Some(now) = self.now {
            return Ok(now);
        }
        let now = self.tx.now().await?;
        self.now = Some(now);
        Ok(now)
    }

    /// Takes the time that a deciding statement has written as the time of this command.
    pub fn decided_at(&mut self, at: Millis) {
        self.now = Some(at);
    }

    /// Appends an event; numbered when the batch is written.
    pub fn event(&mut self, event: NewEvent) {
        self.events.push(event);
    }

    /// Appends a mail owed.
    pub fn mail(&mut self, mail: outbox::Model) {
        self.mails.push(mail);
    }

    /// Writes a user's row with the batch: shared rows come last, sorted, because two transactions that touch
    /// the same users wait for each other.
    pub fn person(&mut self, seen: Sighting) {
        self.users.push(seen);
    }

    /// Who got this address within the batch, before this command, the latest first: people of any tenant, since
    /// a batch may hold commands of several.
    pub fn holders_in_batch(&self, email_norm: &str) -> impl Iterator<Item = &'t UserId> {
        self.seen.iter().rev().filter(move |(norm, _)| norm == email_norm).map(|(_, user)| user)
    }

    /// Which address this person got within the batch, before this command.
    #[must_use]
    pub fn address_in_batch(&self, person: &UserId) -> Option<&'t str> {
        self.seen.iter().rev().find(|(_, user)| user == person).map(|(norm, _)| norm.as_str())
    }

    /// Runs after the commit and before the answer: drop a cached preview, wake the mailer.
    pub fn after_commit(&mut self, action: impl FnOnce() + Send + Sync + 'static) {
        self.after.push(Box::new(action));
    }

    pub(super) fn into_appends(self) -> Appends {
        Appends {
            tenant: Some(self.tenant),
            now: self.now,
            events: self.events,
            mails: self.mails,
            users: self.users,
            after: self.after,
        }
    }
}

/// An address as compared, and who got it.
pub(super) type Address = (String, UserId);

/// What one command appended.
#[derive(Default)]
pub(super) struct Appends {
    tenant: Option<TenantId>,
    now: Option<Millis>,
    events: Vec<NewEvent>,
    mails: Vec<outbox::Model>,
    users: Vec<Sighting>,
    after: Vec<Box<dyn FnOnce() + Send + Sync>>,
}

impl Appends {
    /// The addresses that will be written with the batch.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Address> {
        self.users.iter().filter_map(|user| Some((user.email.as_ref()?.norm().to_owned(), user.id.clone())))
    }

    /// Whether there is anything to write. A change always appends its event, so nothing to append means
    /// nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.mails.is_empty() && self.users.is_empty()
    }

    pub(super) fn finish(self) {
        for action in self.after {
            action();
        }
    }
}

/// Writes what commands appended, each table once: events by tenant, mails, and users last.
///
/// Refuses, and must then be rolled back, where a user's id belongs to somebody else.
pub(super) async fn write_appends(tx: &Tx, appends: &mut [Appends]) -> Decision<()> {
    let mut events_of: BTreeMap<TenantId, (Millis, Vec<NewEvent>)> = BTreeMap::new();
    let mut mails = Vec::new();
    let mut users = Vec::new();
    for one in appends {
        if let Some(tenant) = one.tenant.filter(|_| !one.events.is_empty()) {
            let at = match one.now {
                Some(at) => at,
                None => tx.now().await?,
            };
            let (_, events) = events_of.entry(tenant).or_insert_with(|| (at, Vec::new()));
            events.append(&mut one.events);
        }
        mails.append(&mut one.mails);
        users.append(&mut one.users);
    }
    for (tenant, (at, events)) in events_of {
        store::events::append(tx.conn(), tenant, at, events).await?;
    }
    store::outbox::append(tx.conn(), mails).await?;
    if users.is_empty() {
        return Ok(());
    }
    let now = tx.now().await?;
    if store::users::upsert(tx.conn(), users, now).await?.is_empty() { Ok(()) } else { Err(TAKEN.into()) }
}

/// A command waiting, with its way back to the caller.
pub(super) struct Job {
    pub(super) tenant: TenantId,
    /// Not begun after this: the caller has gone.
    pub(super) begin_by: Instant,
    pub(super) task: Box<dyn Task>,
    /// Held until the answer leaves, so that what waits is bounded.
    pub(super) _permits: Vec<OwnedSemaphorePermit>,
}

/// A command without its type.
pub(super) trait Task: Send {
    /// Decides and keeps the output.
    fn decide<'a>(
        &'a mut self,
        work: &'a mut Work<'_>,
    ) -> Pin<Box<dyn Future<Output = Decision<()>> + Send + 'a>>;
    /// Answers with the output; after the commit.
    fn answer(self: Box<Self>);
    /// Answers with a refusal.
    fn refuse(self: Box<Self>, refusal: Refusal);
}

pub(super) struct TypedTask<C: Command> {
    command: C,
    output: Option<C::Output>,
    reply: oneshot::Sender<Result<C::Output, Refusal>>,
}

impl<C: Command> TypedTask<C> {
    pub(super) fn new(command: C) -> (Self, oneshot::Receiver<Result<C::Output, Refusal>>) {
        let (reply, answer) = oneshot::channel();
        (Self { command, output: None, reply }, answer)
    }
}

impl<C: Command> Task for TypedTask<C> {
    fn decide<'a>(
        &'a mut self,
        work: &'a mut Work<'_>,
    ) -> Pin<Box<dyn Future<Output = Decision<()>> + Send + 'a>> {
        Box::pin(async move {
            self.output = Some(self.command.decide(work).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>) {
        let result = self.output.ok_or(Refusal::Internal);
        // a caller that has gone does not need it
        let _ = self.reply.send(result);
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        let _ = self.reply.send(Err(refusal));
    }
}
