//! The SQL of the outbox: fair and cheap claims, leases that fence, states that newer mails keep.

use super::*;
use crate::store::{
    deliveries::{Settled, Verdict, settle},
    outbox::{Held, Lease},
};
use sea_orm::Statement;
use uuid::Uuid;

async fn claim(world: &World, tenant: TenantId, share: usize) -> Vec<outbox::Model> {
    let tx = world.store.system_write().await.unwrap();
    let now = world.clock.now();
    let lease = Lease { token: Uuid::new_v4(), now, until: now.plus(60_000) };
    let rows = store::outbox::claim(tx.conn(), tenant, share, lease).await.unwrap();
    tx.commit().await.unwrap();
    rows
}

fn settled(row: &outbox::Model, verdict: Verdict) -> Settled {
    Settled {
        lease: Held { id: row.id, token: row.lease_token.unwrap() },
        invite: row.invite_id,
        workspace: None,
        number: store::outbox::number(row),
        attempts: row.attempts,
        verdict,
        class: None,
    }
}

async fn write_down(world: &World, row: &outbox::Model, verdict: Verdict) -> usize {
    let tx = world.store.tenant_write(row.tenant_id).await.unwrap();
    let done = settle(tx.conn(), row.tenant_id, world.clock.now(), &[settled(row, verdict)]).await.unwrap();
    tx.commit().await.unwrap();
    done
}

#[test]
fn a_claim_takes_its_share_in_order_and_counts_the_attempt_before_it_is_made() {
    in_world(|world, _, _| async move {
        for name in ["a", "b", "c"] {
            world.invite(acme(), name).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let rows = claim(&world, acme(), 2).await;
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.attempts == 1 && row.state == OutboxState::Leased));
        assert!(rows[0].next_at < rows[1].next_at);
        assert_eq!(claim(&world, acme(), 2).await.len(), 1);
        assert_eq!(claim(&world, acme(), 2).await.len(), 0);
        assert_eq!(claim(&world, clinic(), 2).await.len(), 0);
    });
}

#[test]
fn the_walk_finds_every_tenant_however_long_the_queue_of_one() {
    in_world(|world, _, _| async move {
        let now = world.clock.now();
        let many = (0..500).map(|n| new_invite(acme(), &format!("p{n}"), now, |_| {})).collect();
        world.invites(acme(), many).await;
        world.invite(clinic(), "q").await;
        let walk =
            world.store.read(|db| async move { store::outbox::waiting(&db, None).await }).await.unwrap();
        assert_eq!(walk.iter().map(|w| w.tenant_id).collect::<Vec<_>>(), vec![acme(), clinic()]);
        let rest = world
            .store
            .read(|db| async move { store::outbox::waiting(&db, Some(acme())).await })
            .await
            .unwrap();
        assert_eq!(rest.len(), 1);
    });
}

#[test]
fn the_queue_is_read_by_its_partial_index_only() {
    in_world(|world, _, _| async move {
        if world.store.is_postgres() {
            return;
        }
        let plan = |sql: &'static str| {
            let store = world.store.clone();
            async move {
                let rows = store
                    .read(move |db| async move {
                        let explain = format!("EXPLAIN QUERY PLAN {sql}");
                        db.query_all_raw(Statement::from_string(db.get_database_backend(), explain)).await
                    })
                    .await
                    .unwrap();
                rows.iter().map(|row| row.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>()
            }
        };
        for sql in [
            "SELECT tenant_id FROM outbox WHERE state = 'queued' AND tenant_id > $1 ORDER BY tenant_id LIMIT 1",
            "SELECT next_at FROM outbox WHERE state = 'queued' AND tenant_id = $1 ORDER BY next_at LIMIT 1",
            "SELECT id FROM outbox WHERE state = 'queued' AND tenant_id = $1 AND next_at <= $2 ORDER BY next_at LIMIT $3",
        ] {
            let plan = plan(sql).await;
            assert!(
                plan.len() == 1 && plan[0].starts_with("SEARCH") && plan[0].contains("outbox_queued"),
                "{plan:?}"
            );
        }
        let leased = plan("SELECT 1 FROM outbox WHERE state = 'leased' AND lease_until < $1 LIMIT 1").await;
        assert!(leased[0].contains("outbox_leased_until"), "{leased:?}");
    });
}

#[test]
fn a_lease_that_was_taken_over_settles_nothing() {
    in_world(|world, _, _| async move {
        let invite = world.invite(acme(), "a").await;
        let stale = claim(&world, acme(), 1).await.remove(0);
        world.clock.advance_millis(61_000);
        let tx = world.store.system_write().await.unwrap();
        assert_eq!(store::outbox::reclaim(tx.conn(), world.clock.now()).await.unwrap(), 1);
        tx.commit().await.unwrap();
        let fresh = claim(&world, acme(), 1).await.remove(0);
        assert_eq!(fresh.attempts, 2, "the attempt of who did not come back stays counted");

        assert_eq!(write_down(&world, &stale, Verdict::Failed).await, 0);
        assert_eq!(world.row(invite.id).await.state, OutboxState::Leased);
        assert!(world.events(&invite).await.is_empty());
        assert_eq!(write_down(&world, &fresh, Verdict::Sent).await, 1);
        assert_eq!(write_down(&world, &fresh, Verdict::Sent).await, 0, "once only");
        assert_eq!(world.reread(&invite).await.delivery, Delivery::Sent);
    });
}

#[test]
fn renewing_keeps_a_lease_and_releasing_gives_the_attempt_back() {
    in_world(|world, _, _| async move {
        let invite = world.invite(acme(), "a").await;
        let row = claim(&world, acme(), 1).await.remove(0);
        let lease = Held { id: row.id, token: row.lease_token.unwrap() };
        world.clock.advance_millis(50_000);
        let tx = world.store.system_write().await.unwrap();
        store::outbox::renew(tx.conn(), &[lease], world.clock.now().plus(60_000)).await.unwrap();
        tx.commit().await.unwrap();
        world.clock.advance_millis(50_000);
        let now = world.clock.now();
        let abandoned =
            world.store.read(move |db| async move { store::outbox::any_abandoned(&db, now).await });
        assert!(!abandoned.await.unwrap());
        let tx = world.store.system_write().await.unwrap();
        store::outbox::release(tx.conn(), &[lease]).await.unwrap();
        tx.commit().await.unwrap();
        let row = world.row(invite.id).await;
        assert_eq!((row.state, row.attempts, row.lease_token), (OutboxState::Queued, 0, None));
    });
}

#[test]
fn an_older_mail_never_writes_over_the_state_of_a_newer_one() {
    in_world(|world, _, _| async move {
        let invite = world.invite(acme(), "a").await;
        let first = claim(&world, acme(), 1).await.remove(0);
        // a resend queues the second mail while the first is under way
        let tx = world.store.tenant_write(acme()).await.unwrap();
        let again = invite::Model { mails: 2, delivery: Delivery::Queued, ..invite.clone() };
        assert!(store::invites::rewrite_pending(tx.conn(), again).await.unwrap());
        store::outbox::append(tx.conn(), vec![new_mail(&invite, 2, world.clock.now())]).await.unwrap();
        tx.commit().await.unwrap();
        write_down(&world, &first, Verdict::Bounced).await;
        assert_eq!(world.reread(&invite).await.delivery, Delivery::Queued);
        let second = claim(&world, acme(), 1).await.remove(0);
        write_down(&world, &second, Verdict::Sent).await;
        assert_eq!(world.reread(&invite).await.delivery, Delivery::Sent);
    });
}

#[test]
fn a_mail_is_queued_once_however_often_its_command_runs() {
    in_world(|world, _, _| async move {
        let invite = world.invite(acme(), "a").await;
        let tx = world.store.tenant_write(acme()).await.unwrap();
        store::outbox::append(tx.conn(), vec![new_mail(&invite, 1, world.clock.now())]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(claim(&world, acme(), 9).await.len(), 1);
    });
}

#[test]
fn cancelling_takes_queued_mails_and_shows_on_the_invite_unless_only_older_links_go() {
    in_world(|world, _, _| async move {
        let invite = world.invite(acme(), "a").await;
        let cancel = async |below: Option<i32>| {
            let tx = world.store.tenant_write(acme()).await.unwrap();
            let count = store::outbox::cancel_for_invite(tx.conn(), acme(), invite.id, below).await.unwrap();
            tx.commit().await.unwrap();
            count
        };
        assert_eq!(cancel(Some(1)).await, 0);
        assert_eq!(cancel(Some(2)).await, 1);
        assert_eq!(world.reread(&invite).await.delivery, Delivery::Queued);
        let other = world.invite(acme(), "b").await;
        let tx = world.store.tenant_write(acme()).await.unwrap();
        store::outbox::cancel_for_invite(tx.conn(), acme(), other.id, None).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(world.row(other.id).await.state, OutboxState::Cancelled);
        assert_eq!(world.reread(&other).await.delivery, Delivery::Cancelled);
    });
}

#[test]
fn what_was_given_up_is_listed_and_queued_again_on_demand() {
    in_world(|world, _, _| async move {
        let invite = world.invite(acme(), "a").await;
        let row = claim(&world, acme(), 1).await.remove(0);
        write_down(&world, &row, Verdict::Failed).await;
        let dead = world
            .store
            .read(|db| async move {
                store::deliveries::list(&db, Some(acme()), Some(OutboxState::Dead), 10).await
            })
            .await
            .unwrap();
        assert_eq!(dead.len(), 1);
        let tx = world.store.tenant_write(acme()).await.unwrap();
        let now = world.clock.now();
        assert_eq!(store::deliveries::retry_dead(tx.conn(), clinic(), None, now).await.unwrap(), 0);
        assert_eq!(store::deliveries::retry_dead(tx.conn(), acme(), Some(row.id), now).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(world.reread(&invite).await.delivery, Delivery::Queued);
        assert_eq!(claim(&world, acme(), 1).await[0].attempts, 1, "attempts begin anew");
    });
}

#[test]
fn mails_that_ended_long_ago_are_forgotten_and_no_others() {
    in_world(|world, _, _| async move {
        let (sent, queued) = (world.invite(acme(), "a").await, world.invite(clinic(), "b").await);
        let row = claim(&world, acme(), 1).await.remove(0);
        write_down(&world, &row, Verdict::Sent).await;
        let forget = async |by: Millis| {
            let (tx, states) = (world.store.system_write().await.unwrap(), [OutboxState::Sent]);
            let ended = store::outbox::ended(tx.conn(), by, &states, 10).await.unwrap();
            let count = store::outbox::forget(tx.conn(), ended, &states).await.unwrap();
            tx.commit().await.unwrap();
            count
        };
        assert_eq!(forget(Clock::wall().plus(-60_000)).await, 0);
        assert_eq!(forget(Clock::wall().plus(1000)).await, 1);
        assert_eq!(world.row(queued.id).await.state, OutboxState::Queued);
        assert_eq!(world.reread(&sent).await.delivery, Delivery::Sent, "the invite still tells");
    });
}
