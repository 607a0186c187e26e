//! A command whose answer is kept with what it changes: in the same transaction, under the tenant's lock, so a
//! second request with the same key waits for the first and is given its answer. Only what was decided is kept,
//! never a refusal.

use entity::{Millis, idempotency_record};

use super::{Ahead, Command, Decision, Reply, Stop, Work};
use crate::{
    domain::{MasterKeys, Refusal, Repeatable, idempotency::Sealed},
    identity::Call,
    store::{StoreError, idempotency},
};

/// A command of a request that may come again.
pub(super) struct Once<C, R> {
    pub(super) command: C,
    pub(super) request: Repeatable,
    /// Seal its answer and open it again.
    pub(super) keys: MasterKeys,
    pub(super) render: R,
}

impl<C: Command, R> Command for Once<C, R>
where
    R: Fn(C::Output) -> Result<Reply, Refusal> + Send + Sync + 'static,
{
    type Output = Reply;

    fn told_to(&self) -> Option<&Call> {
        self.command.told_to()
    }

    fn ahead(&self) -> Option<Ahead> {
        self.command.ahead()
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<Reply> {
        let (id, now) = (self.request.record_id(work.tenant()), work.now().await?);
        let record = idempotency::find(work.conn(), &id).await?;
        if let Some(record) = &record
            && let Some(reply) = self.told_before(record, now)?
        {
            if let Some(call) = self.command.told_to() {
                work.settle().await?;
                call.require_member(call.standing(work.conn(), None).await?)?;
            }
            metrics::counter!("usher_idempotent_replays_total").increment(1);
            return Ok(reply);
        }
        let reply = (self.render)(self.command.decide(work).await?).map_err(not_rendered)?;
        if record.is_some() {
            idempotency::delete(work.conn(), &id).await?;
        }
        self.keep(work, &id, &reply, now).await?;
        Ok(reply)
    }
}

impl<C, R> Once<C, R> {
    /// The answer given before. None if the record is past its end, or can no longer be opened: a record whose
    /// master key was taken out of the configuration is as if it were not there, and the command runs again.
    fn told_before(&self, record: &idempotency_record::Model, now: Millis) -> Result<Option<Reply>, Refusal> {
        if record.expires_at <= now {
            return Ok(None);
        }
        let sealed =
            Sealed { kid: record.kid.clone(), salt: record.salt.clone(), text: record.sealed.clone() };
        let Some(body) = self.request.open(&self.keys, &record.id, record.status, sealed) else {
            return Ok(None);
        };
        if record.request_hash != self.request.body {
            return Err(Refusal::IdempotencyKeyReused);
        }
        let status = u16::try_from(record.status).map_err(|_| Refusal::Internal)?;
        Ok(Some(Reply { status, body, replayed: true }))
    }

    /// Written at once and not with the batch: the next command of the batch may be the same request.
    async fn keep(&self, work: &Work<'_>, id: &[u8], reply: &Reply, now: Millis) -> Result<(), Stop> {
        let status = i32::from(reply.status);
        let sealed = self.request.seal(&self.keys, id, status, reply.body.clone()).map_err(not_rendered)?;
        let record = idempotency_record::Model {
            id: id.to_vec(),
            tenant_id: Some(work.tenant()),
            request_hash: self.request.body.to_vec(),
            status,
            salt: sealed.salt,
            kid: sealed.kid,
            sealed: sealed.text,
            inserted_at: now,
            expires_at: now.plus(self.request.kept),
        };
        Ok(idempotency::insert(work.conn(), record).await?)
    }
}

/// The change has been decided, so it is taken back: nothing may be done that is not told.
fn not_rendered(refusal: Refusal) -> Stop {
    tracing::error!(%refusal, "an answer could not be rendered");
    Stop::Failed(StoreError::unavailable("an answer could not be rendered"))
}
