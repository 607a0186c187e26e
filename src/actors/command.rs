//! What a use case hands to the lane. A command decides inside a transaction that is not its own: it never
//! opens, commits or sleeps, and it may be run twice, so it changes nothing but through its [`Work`].

use std::{collections::BTreeMap, future::Future, pin::Pin};

use entity::{
    InviteId, Millis, TenantId, UserId, WorkspaceId, invite, outbox, tenant_member, workspace_member,
};
use sea_orm::DbErr;
use tokio::{sync::OwnedSemaphorePermit, sync::oneshot, time::Instant};

use super::shared::{Ahead, Shared};
use crate::{
    domain::{Refusal, Scope, Standing},
    identity::{Call, first_sight::TAKEN},
    store::{
        self, Conn, StoreError,
        events::{NewEvent, Told},
        tx::Tx,
        users::Sighting,
    },
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

    /// What it is going to look at, for a batch to read for many at once.
    fn ahead(&self) -> Option<Ahead> {
        None
    }

    /// Decides, under the tenant's lock.
    fn decide(&self, work: &mut Work<'_>) -> impl Future<Output = Decision<Self::Output>> + Send;
}

/// What a command works with: the transaction, its tenant, what its batch shares, and what it only appends.
pub struct Work<'t> {
    tx: &'t Tx,
    tenant: TenantId,
    shared: &'t mut Shared,
    /// whatever it changes is in what the batch shares
    only_adds: bool,
    /// addresses that commands before this one have appended and that are not in the database yet
    seen: &'t [Address],
    now: Option<Millis>,
    events: Vec<NewEvent>,
    mails: Vec<outbox::Model>,
    users: Vec<Sighting>,
    after: Vec<Box<dyn FnOnce() + Send + Sync>>,
}

impl<'t> Work<'t> {
    pub(super) fn new(tx: &'t Tx, tenant: TenantId, shared: &'t mut Shared, seen: &'t [Address]) -> Self {
        let (events, mails, users, after) = (vec![], vec![], vec![], vec![]);
        Self { tx, tenant, shared, only_adds: false, seen, now: None, events, mails, users, after }
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

    /// Writes what commands before this one have only added, so that statements see it: before anything is read that is
    /// not asked here.
    ///
    /// # Errors
    /// As any statement.
    pub async fn settle(&mut self) -> Result<(), StoreError> {
        Ok(self.shared.settle(self.conn()).await?)
    }

    /// What somebody is in the tenant and, if one is given, in the workspace.
    ///
    /// # Errors
    /// As any statement.
    pub async fn standing(
        &mut self,
        user: &UserId,
        workspace: Option<WorkspaceId>,
    ) -> Result<Standing, StoreError> {
        Ok(self.shared.standing(self.tx.conn(), self.tenant, user, workspace).await?)
    }

    /// Whether the tenant has this workspace.
    ///
    /// # Errors
    /// As any statement.
    pub async fn has_workspace(&mut self, id: WorkspaceId) -> Result<bool, StoreError> {
        Ok(self.shared.has_workspace(self.tx.conn(), self.tenant, id).await?)
    }

    /// Whether it is known that an address can be invited ([`Ahead::Invite`]); `false` says nothing.
    pub fn is_free(&mut self, scope: Scope, email_norm: &str) -> bool {
        // somebody of this batch may have got it
        self.shared.take_free(self.tenant, scope, email_norm)
            && self.holders_in_batch(email_norm).next().is_none()
    }

    /// The row of an invite, if it was read for the batch ([`Ahead::Answer`]).
    pub fn found(&mut self, id: InviteId) -> Option<invite::Model> {
        self.shared.take_found(self.tenant, id)
    }

    /// Whether it is known that somebody is no member here ([`Ahead::Answer`]); `false` says nothing.
    pub fn is_stranger(&mut self, user: &UserId) -> bool {
        self.shared.take_stranger(self.tenant, user)
    }

    /// Adds an invite for an address that [`Work::is_free`], by a command that changes nothing else.
    pub fn add_invite(&mut self, row: invite::Model) {
        self.only_adds = true;
        self.shared.add_invite(row);
    }

    /// Adds the first membership of somebody who [`Work::is_stranger`], by a command that changes nothing else that
    /// others of the batch look at.
    pub fn add_member(&mut self, row: tenant_member::Model, within: Option<workspace_member::Model>) {
        self.only_adds = true;
        self.shared.add_member(row, within);
    }

    /// Counts somebody in whom this command has made a member of the tenant.
    pub fn count_joined(&mut self) {
        self.shared.count_joined(self.tenant);
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
        let appends = Appends {
            tenant: Some(self.tenant),
            now: self.now,
            events: self.events,
            mails: self.mails,
            users: self.users,
            after: self.after,
        };
        if !self.only_adds && !appends.is_empty() {
            self.shared.forget();
        }
        appends
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

/// Writes what commands added and appended, each table once: invites and members, events by tenant, mails, and users
/// last.
///
/// Refuses, and must then be rolled back, where a user's id belongs to somebody else.
pub(super) async fn write_appends(tx: &Tx, shared: &mut Shared, appends: &mut [Appends]) -> Decision<()> {
    shared.write(tx.conn()).await?;
    let mut told: BTreeMap<TenantId, Told> = BTreeMap::new();
    let mut mails = Vec::new();
    let mut users = Vec::new();
    for one in appends {
        if let Some(tenant) = one.tenant.filter(|_| !one.events.is_empty()) {
            let at = match one.now {
                Some(at) => at,
                None => tx.now().await?,
            };
            let first = || Told { tenant, at, events: Vec::new(), joined: shared.take_joined(tenant) };
            told.entry(tenant).or_insert_with(first).events.append(&mut one.events);
        }
        mails.append(&mut one.mails);
        users.append(&mut one.users);
    }
    store::events::append(tx.conn(), told.into_values().collect()).await?;
    shared.settle(tx.conn()).await?;
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
    /// What it is going to look at.
    fn ahead(&self) -> Option<Ahead>;
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
    fn ahead(&self) -> Option<Ahead> {
        self.command.ahead()
    }

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
