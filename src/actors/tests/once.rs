//! Commands of requests that may come again, in batches that go well and in batches that do not.

use futures_util::future::{join_all, join3};
use tokio::sync::watch;

use super::{Act, LANE, Try, World, begun, in_world, until};
use crate::{
    actors::{Lanes, Reply},
    domain::{IdempotencyKey, MasterKey, MasterKeys, Refusal, Repeatable},
};

fn once(key: &str) -> Option<(Repeatable, MasterKeys)> {
    let request = Repeatable {
        key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
        caller: "person alice".into(),
        method: "POST".into(),
        path: "/".into(),
        body: [1; 32],
        kept: 60_000,
    };
    Some((request, MasterKeys::new("k1", vec![MasterKey::new("k1", [7; 32]).unwrap()]).unwrap()))
}

fn render(name: String) -> Result<Reply, Refusal> {
    Ok(Reply { status: 201, body: name.into_bytes(), replayed: false })
}

/// What a command of this name is answered under a key: what was told, and whether it was told before.
async fn tell(
    world: &World,
    lanes: &Lanes,
    key: Option<&str>,
    name: &str,
    act: Act,
) -> Result<(String, bool), Refusal> {
    let (tenant, command) = (world.tenants[0], Try::new(name, act));
    let planned = lanes.plan(async move { Ok((tenant, command)) });
    let (_, reply) = planned.answered(key.and_then(once), render).await?;
    Ok((String::from_utf8(reply.body).unwrap(), reply.replayed))
}

#[test]
fn the_same_request_twice_in_one_batch_is_done_once_also_where_the_batch_is_repeated() {
    in_world(async |world| {
        let lanes = world.lanes(LANE);
        for (round, bad) in [("good", Act::Refuse), ("bad", Act::BadStatement)] {
            let (open, gate) = watch::channel(false);
            let first = tell(&world, &lanes, None, round, Act::Wait(gate));
            let names = ["a", "b", "c"].map(|name| format!("{round}-{name}"));
            let rest = async {
                begun(&open).await;
                let told = names.iter().map(|name| tell(&world, &lanes, Some(round), name, Act::Keep));
                join3(join_all(told), tell(&world, &lanes, Some("other"), "x", bad), async {
                    until(|| lanes.unanswered(world.tenants[0]) == 5).await;
                    open.send_replace(true);
                })
                .await
            };
            let (_, (told, other, ())) = futures_util::future::join(first, rest).await;
            let name = format!("{round}-a");
            assert_eq!(told, [Ok((name.clone(), false)), Ok((name.clone(), true)), Ok((name, true))]);
            assert!(other.is_err(), "{other:?}");
        }
        assert_eq!(world.kept(world.tenants[0]).await, ["good", "good-a", "bad", "bad-a"]);
        let after = tell(&world, &lanes, Some("other"), "y", Act::Keep).await;
        assert_eq!(after, Ok(("y".into(), false)), "neither a refusal nor a failure is kept");
    });
}

#[test]
fn what_cannot_be_told_is_not_done() {
    in_world(async |world| {
        let lanes = world.lanes(LANE);
        let (tenant, command) = (world.tenants[0], Try::new("lost", Act::Keep));
        let planned = lanes.plan(async move { Ok((tenant, command)) });
        let untold = planned.answered(once("key"), |_| Err(Refusal::Internal)).await;
        assert!(matches!(untold.map(|_| ()), Err(Refusal::Unavailable { .. })));
        assert!(world.kept(tenant).await.is_empty());
        assert_eq!(tell(&world, &lanes, Some("key"), "told", Act::Keep).await, Ok(("told".into(), false)));
    });
}
