//! Writing down what became of mails: at once, once, and before the end.

use std::collections::HashMap;

use super::{relay::Mode, *};

#[test]
fn what_has_landed_is_written_down_without_waiting_for_a_round() {
    in_world(|mut world, relay, _| async move {
        if world.store.is_postgres() {
            return;
        }
        world.deps.poll = Duration::from_secs(3600);
        relay.set_mode(Mode::Slow(Duration::from_millis(200)));
        world.start();
        // whoever writes next gets its turn in order; a mail may land before the round stands in line
        for attempt in 0.. {
            let address = format!("first{attempt}@example.com");
            let first = world.invite(acme(), &format!("first{attempt}")).await;
            world.wake();
            while !relay.recipients().contains(&address) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let later = world.invite(acme(), &format!("later{attempt}")).await;
            let writer = world.store.system_write().await.unwrap();
            world.wake();
            while relay.accepted_for(&address).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            let next = world.store.system_write();
            writer.rollback().await;
            let tx = next.await.unwrap();
            let row = store::invites::find(tx.conn(), acme(), first.id).await.unwrap().unwrap();
            tx.rollback().await;
            if row.delivery == Delivery::Sent {
                return;
            }
            assert!(attempt < 20, "{}", row.delivery);
            world.until(&later, Delivery::Sent).await;
        }
    });
}

#[test]
fn a_mail_that_had_left_when_its_sender_died_is_settled_and_not_sent_again() {
    in_world(|mut world, relay, _| async move {
        let gone = world.invite(acme(), "gone").await;
        let tx = world.store.system_write().await.unwrap();
        let now = world.clock.now();
        let lease = store::outbox::Lease { token: uuid::Uuid::new_v4(), now, until: now.plus(60_000) };
        let row = store::outbox::claim(tx.conn(), acme(), 1, lease).await.unwrap().remove(0);
        let held = store::outbox::Held { id: row.id, token: lease.token };
        if world.store.is_postgres() {
            store::outbox::note_taken(tx.conn(), held).await.unwrap();
        }
        world.deps.taken.note(held).await;
        tx.commit().await.unwrap();
        world.clock.advance_millis(61_000);
        world.start();
        world.until(&gone, Delivery::Sent).await;
        let row = world.row(gone.id).await;
        assert_eq!((row.state, row.last_error), (OutboxState::Sent, None));
        let told: Vec<_> = world.events(&gone).await.into_iter().map(|event| event.kind).collect();
        assert_eq!(told, ["mail.sent"]);
        assert!(relay.recipients().is_empty());
        assert!(world.deps.taken.all().await.is_empty());
    });
}

#[test]
fn draining_lets_mails_in_flight_end_and_claims_no_more() {
    in_world(|mut world, relay, _| async move {
        relay.set_mode(Mode::Slow(Duration::from_millis(300)));
        let now = world.clock.now();
        let rows = (0..30).map(|n| new_invite(acme(), &format!("p{n}"), now, |_| {})).collect();
        let invites = world.invites(acme(), rows).await;
        let mailer = world.start();
        tokio::time::sleep(Duration::from_millis(150)).await;
        let begun = Instant::now();
        mailer.drain().await;
        assert!(begun.elapsed() < Duration::from_secs(10), "not for what is still queued");
        let sent = relay.accepted().len();
        assert!((1..=7).contains(&sent), "{sent}");
        let mut states = HashMap::new();
        for invite in &invites {
            *states.entry(world.row(invite.id).await.state).or_insert(0) += 1;
        }
        assert_eq!(states, HashMap::from([(OutboxState::Sent, sent), (OutboxState::Queued, 30 - sent)]));
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(relay.mails().len(), sent, "nothing leaves after the end");
    });
}
