//! What the lane does between its callers and its batches: order, admission, fairness, actors that end.

use std::{future::Future, time::Duration};

use actix::{ActorContext, Context, Handler, Message};
use entity::TenantId;
use futures_util::future::{join, join_all};
use tokio::sync::watch;

use super::{Act, LANE, Try, begun, in_world, until};
use crate::{actors::tenant_actor::TenantActor, config::settings, domain::Refusal};

/// Ends an actor from outside, as a fault would.
#[derive(Message)]
#[rtype(result = "()")]
struct Die;

impl Handler<Die> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Die, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

/// Fails a test that waits for an answer that never comes.
async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), answer).await.expect("an answer within a minute")
}

#[test]
fn commands_of_a_tenant_commit_in_the_order_they_came_and_numbers_have_no_gaps() {
    in_world(async |world| {
        let lanes = world.lanes(settings::Lane { max_batch: 7, ..LANE });
        let runs = world.tenants.iter().flat_map(|tenant| {
            let lanes = &lanes;
            (0..100).map(move |at| {
                let act = if at % 5 == 3 { Act::Refuse } else { Act::Keep };
                lanes.run(*tenant, Try::new(format!("{at:03}"), act))
            })
        });
        let answers = soon(join_all(runs)).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 80 * world.tenants.len());
        for tenant in &world.tenants {
            let kept = world.kept(*tenant).await;
            assert_eq!(kept.len(), 80);
            assert!(kept.is_sorted(), "{kept:?}");
        }
    });
}

#[test]
fn a_failing_command_takes_no_other_tenants_command_with_it() {
    in_world(async |world| {
        let lanes = world.lanes(LANE);
        let runs = world.tenants.iter().flat_map(|tenant| {
            let lanes = &lanes;
            (0..20).map(move |at| {
                let act = if at % 4 == 1 { Act::BadStatement } else { Act::Keep };
                lanes.run(*tenant, Try::new(format!("{at:02}"), act))
            })
        });
        let answers = soon(join_all(runs)).await;
        let good = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(good, 15 * world.tenants.len(), "{answers:?}");
        for tenant in &world.tenants {
            assert_eq!(world.kept(*tenant).await.len(), 15);
        }
    });
}

#[test]
fn no_command_is_lost_when_it_crosses_the_end_of_an_idle_actor() {
    in_world(async |world| {
        let lanes = world.lanes(settings::Lane { idle: Duration::from_millis(10), ..LANE });
        let callers = world.tenants.iter().enumerate().map(|(seed, tenant)| {
            let (lanes, tenant) = (lanes.clone(), *tenant);
            async move {
                // around the end of the second interval without work, when the actor goes
                let mut jitter = seed as u64 * 7919 + 1;
                for at in 0..400 {
                    jitter = jitter
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    tokio::time::sleep(Duration::from_micros(8_000 + (jitter >> 33) % 14_000)).await;
                    let answer = lanes.run(tenant, Try::new(at.to_string(), Act::Refuse));
                    assert_eq!(soon(answer).await, Err(Refusal::AlreadyMember), "command {at}");
                }
            }
        });
        join_all(callers).await;
    });
}

#[test]
fn an_idle_actor_ends_and_the_next_command_starts_another() {
    in_world(async |world| {
        let (lanes, tenant) =
            (world.lanes(settings::Lane { idle: Duration::from_millis(20), ..LANE }), world.tenants[0]);
        assert_eq!(lanes.run(tenant, Try::new("one", Act::Keep)).await, Ok("one".into()));
        until(|| lanes.actor_of(tenant).is_none()).await;
        assert_eq!(soon(lanes.run(tenant, Try::new("two", Act::Keep))).await, Ok("two".into()));
        assert_eq!(world.kept(tenant).await, ["one", "two"]);
    });
}

#[test]
fn a_dead_actor_is_replaced_and_what_waited_is_done() {
    in_world(async |world| {
        let (lanes, tenant) = (world.lanes(LANE), world.tenants[0]);
        assert_eq!(lanes.run(tenant, Try::new("one", Act::Keep)).await, Ok("one".into()));
        lanes.actor_of(tenant).unwrap().send(Die).await.unwrap();
        assert_eq!(soon(lanes.run(tenant, Try::new("two", Act::Keep))).await, Ok("two".into()));

        // dead in the middle of a batch, with a command waiting behind it
        let (open, gate) = watch::channel(false);
        let running = lanes.run(tenant, Try::new("three", Act::Wait(gate)));
        let waiting = async {
            begun(&open).await;
            let waiting = lanes.run(tenant, Try::new("four", Act::Keep));
            let killed = async {
                until(|| lanes.unanswered(tenant) == 2).await;
                lanes.actor_of(tenant).unwrap().send(Die).await.unwrap();
                open.send_replace(true);
                lanes.run(tenant, Try::new("five", Act::Keep)).await
            };
            join(waiting, killed).await
        };
        let (three, (four, five)) = soon(join(running, waiting)).await;
        assert_eq!([three, four, five], [Ok("three".into()), Ok("four".into()), Ok("five".into())]);
        assert_eq!(world.kept(tenant).await, ["one", "two", "three", "four", "five"]);
    });
}

#[test]
fn a_full_queue_refuses_its_own_tenant_at_once_and_nobody_else() {
    in_world(async |world| {
        let lanes = world.lanes(LANE);
        let [full, other] = [world.tenants[0], world.tenants[1]];
        let (open, gate) = watch::channel(false);
        let run = |tenant: TenantId, name: &str, act: Act| lanes.run(tenant, Try::new(name, act));
        let queued = (0..256).map(|at| {
            let act = if at == 0 { Act::Wait(gate.clone()) } else { Act::Refuse };
            run(full, &at.to_string(), act)
        });
        let beyond = async {
            until(|| lanes.unanswered(full) == 256).await;
            let refused = run(full, "beyond", Act::Keep).await;
            assert!(matches!(refused, Err(Refusal::Unavailable { retry_after: 1, .. })), "{refused:?}");
            // it is queued or refused as soon as it is asked for
            let opening = async { open.send_replace(true) };
            join(run(other, "theirs", Act::Keep), opening).await.0
        };
        let (queued, theirs) = soon(join(join_all(queued), beyond)).await;
        assert_eq!(theirs, Ok("theirs".into()));
        assert_eq!(queued.iter().filter(|answer| **answer == Err(Refusal::AlreadyMember)).count(), 255);
        assert_eq!(run(full, "after", Act::Keep).await, Ok("after".into()), "room again");
        assert_eq!(world.kept(full).await, ["0", "after"]);
    });
}

#[test]
fn all_queues_together_have_a_limit_too() {
    in_world(async |world| {
        let lanes = world.lanes(settings::Lane { queue_total: 4, ..LANE });
        let (open, gate) = watch::channel(false);
        let runs = world
            .tenants
            .iter()
            .take(5)
            .map(|tenant| lanes.run(*tenant, Try::new("waits", Act::Wait(gate.clone()))));
        // each is queued or refused as soon as it is asked for
        let opening = async { open.send_replace(true) };
        let (answers, _) = soon(join(join_all(runs), opening)).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 4);
        assert!(matches!(answers[4], Err(Refusal::Unavailable { .. })));
        lanes.drained().await;
    });
}

#[test]
fn a_caller_that_goes_away_does_not_stop_its_command_or_the_next() {
    in_world(async |world| {
        let (lanes, tenant) = (world.lanes(LANE), world.tenants[0]);
        let (open, gate) = watch::channel(false);
        let gone = lanes.run(tenant, Try::new("gone", Act::Wait(gate)));
        assert!(tokio::time::timeout(Duration::from_millis(50), gone).await.is_err());
        open.send_replace(true);
        assert_eq!(soon(lanes.run(tenant, Try::new("next", Act::Keep))).await, Ok("next".into()));
        assert_eq!(world.kept(tenant).await, ["gone", "next"]);
    });
}
