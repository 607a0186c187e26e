//! One tenant's actor: waits for its turn, takes what waits as a batch, hands it to the committer, and begins anew when
//! that one is done. One batch outstanding per tenant keeps order and lets no tenant starve another. The queue
//! itself lives in the lane, not in the mailbox, so nothing is lost when an actor ends or is replaced.

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};

use super::{
    batch::Way,
    directory::{Lane, Shared},
};

pub(super) struct TenantActor {
    pub(super) lane: Arc<Lane>,
    pub(super) shared: Arc<Shared>,
    /// Which of the lane's actors this is.
    number: u64,
    busy: bool,
    /// Whether anything came since the last look.
    active: bool,
}

/// Something waits.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Wake;

impl TenantActor {
    pub(super) fn new(lane: Arc<Lane>, shared: Arc<Shared>, number: u64) -> Self {
        metrics::gauge!("usher_tenant_actors").increment(1.0);
        Self { lane, shared, number, busy: false, active: true }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        if self.busy || !self.lane.is_waiting() {
            return;
        }
        self.busy = true;
        self.active = true;
        let (lane, shared) = (self.lane.clone(), self.shared.clone());
        let committing = async move {
            let turn = shared.committer.turn().await;
            // nothing comes between taking a batch and handing it over: with this actor, a batch would be lost
            let batch = lane.take(shared.pace.room());
            let committing = shared.committer.commit(batch, turn);
            committing.await
        };
        ctx.spawn(committing.into_actor(self).map(|way, actor, ctx| {
            if way == Way::Blocked {
                actor.lane.turn_back();
            }
            actor.busy = false;
            actor.pump(ctx);
        }));
    }
}

impl Actor for TenantActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.shared.idle, |actor, ctx| {
            let quiet = !actor.busy && !std::mem::take(&mut actor.active);
            // under the lane's lock: either a sender sees no actor and starts one, or its job is seen here
            if quiet && actor.lane.passivate() {
                actix::ActorContext::stop(ctx);
            }
        });
    }
}

impl Drop for TenantActor {
    fn drop(&mut self) {
        metrics::gauge!("usher_tenant_actors").decrement(1.0);
        self.lane.ended(self.number, &self.shared);
    }
}

impl Handler<Wake> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.pump(ctx);
    }
}
