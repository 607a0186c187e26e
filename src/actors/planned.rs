//! A use case that is ready to be run: what refuses it without a transaction has been looked at when it is
//! awaited, the rest is its [`Command`]. Awaited, it gives what the command decided. A handler has it *answered*
//! instead: then a request with an `Idempotency-Key` is answered once, and the same again when it comes again.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
};

use entity::TenantId;

use super::{Command, Lanes, once::Once};
use crate::domain::{MasterKeys, Refusal, Repeatable};

type Ready<'a, C> = Pin<Box<dyn Future<Output = Result<(TenantId, C), Refusal>> + Send + 'a>>;

/// A change within a tenant that has yet to be made.
#[must_use = "nothing happens before it is awaited or answered"]
pub struct Planned<'a, C> {
    lanes: Lanes,
    ready: Ready<'a, C>,
}

/// What the caller is told: rendered, so that it can be kept and told again byte for byte. May hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
    /// Whether it was told before and nothing was done now.
    pub replayed: bool,
}

impl Lanes {
    /// A change that is made in the tenant's lane, once what precedes it has given tenant and command.
    pub fn plan<'a, C: Command>(
        &self,
        ready: impl Future<Output = Result<(TenantId, C), Refusal>> + Send + 'a,
    ) -> Planned<'a, C> {
        Planned { lanes: self.clone(), ready: Box::pin(ready) }
    }
}

impl<C: Command> Planned<'_, C> {
    /// Makes the change and renders the answer. Of a request that may come again the answer is kept in the
    /// transaction of the change, and when it comes again, that is the answer and nothing is done; `render` then
    /// runs inside the transaction, perhaps twice. Tells the tenant too.
    ///
    /// # Errors
    /// As the use case; [`Refusal::IdempotencyKeyReused`] for a key that came with another body.
    pub async fn answered(
        self,
        once: Option<(Repeatable, MasterKeys)>,
        render: impl Fn(C::Output) -> Result<Reply, Refusal> + Send + Sync + 'static,
    ) -> Result<(TenantId, Reply), Refusal> {
        let (tenant, command) = self.ready.await?;
        let reply = match once {
            None => render(self.lanes.run(tenant, command).await?)?,
            Some((request, keys)) => self.lanes.run(tenant, Once { command, request, keys, render }).await?,
        };
        Ok((tenant, reply))
    }
}

impl<'a, C: Command> IntoFuture for Planned<'a, C> {
    type Output = Result<C::Output, Refusal>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    /// Makes the change.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (tenant, command) = self.ready.await?;
            self.lanes.run(tenant, command).await
        })
    }
}
