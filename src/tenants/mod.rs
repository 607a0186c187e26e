//! Tenants: rows follow the configuration (`sync`), configured owners are granted once (`grant_owner`), a
//! caller's own tenants can be told (`own`), and what happens in one can be followed (`feed`).

pub mod feed;
pub mod grant_owner;
pub mod own;
pub mod sync;

use entity::TenantId;

use crate::{
    actors::{Command, Decision, Lanes, Planned, Reply, Work},
    identity::Call,
    store::Store,
};

/// The use cases and what they need; clones share it.
#[derive(Clone)]
pub struct Tenants {
    store: Store,
    lanes: Lanes,
    waiters: feed::Waiters,
}

impl Tenants {
    /// The use cases on a store and its lane.
    #[must_use]
    pub fn new(store: Store, lanes: Lanes) -> Self {
        Self { store, lanes, waiters: feed::Waiters::default() }
    }

    /// Answers whoever waits for events, from now on at once: the server stops.
    pub fn stop_waiting(&self) {
        self.waiters.stop();
    }

    /// A change that changes nothing and gives this reply: for keeping it where there is nothing else to do.
    pub fn tell(
        &self,
        tenant: TenantId,
        reply: Reply,
    ) -> Planned<'static, impl Command<Output = Reply> + use<>> {
        self.lanes.plan(async move { Ok((tenant, Tell(reply))) })
    }
}

struct Tell(Reply);

impl Command for Tell {
    type Output = Reply;

    /// What is told was looked at just now, for this caller.
    fn told_to(&self) -> Option<&Call> {
        None
    }

    async fn decide(&self, _: &mut Work<'_>) -> Decision<Reply> {
        Ok(self.0.clone())
    }
}
