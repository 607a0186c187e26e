//! The mailer as a whole: what leaves, what does not, and that nothing that goes wrong with one mail is felt
//! by another.

use mail_parser::MessageParser;

use super::{relay::Mode, *};

#[test]
fn a_mail_owed_leaves_with_its_link_and_is_shown_as_sent() {
    in_world(|mut world, relay, _| async move {
        let clinic = world.workspace(acme(), "Dr. Smith Clinic").await;
        let invite = world.invite_with(acme(), "alice", |row| row.workspace_id = Some(clinic)).await;
        world.start();
        let mail = relay.wait_for(1, Duration::from_secs(3)).await.remove(0);
        world.until(&invite, Delivery::Sent).await;

        let row = world.row(invite.id).await;
        assert_eq!((row.state, row.attempts, row.lease_token), (OutboxState::Sent, 1, None));
        assert_eq!(mail.to, ["alice@example.com"]);
        assert_eq!(mail.message_id, format!("<{}@acme.test>", row.id));
        let link = mail.link().unwrap();
        assert!(link.starts_with("https://app.acme.test/workspace-invites/eyJ"), "{link}");
        let snapshot = world.registry.current();
        let keys = snapshot.settings.tokens.as_ref().unwrap();
        assert!(keys.parse(link.rsplit('/').next().unwrap()).is_some());
        let parsed = MessageParser::default().parse(&mail.raw).unwrap();
        assert!(parsed.body_text(0).unwrap().contains("Dr. Smith Clinic"));
        let events = world.events(&invite).await;
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].kind.as_str(), events[0].workspace_id), ("mail.sent", Some(clinic)));
        assert!(!events[0].data.as_ref().unwrap().contains("eyJ"));
    });
}

#[test]
fn a_wake_up_sends_without_a_poll() {
    in_world(|mut world, relay, _| async move {
        world.deps.poll = Duration::from_secs(3600);
        let first = world.invite(acme(), "first").await;
        world.start();
        // the round of the start is over
        world.until(&first, Delivery::Sent).await;
        world.invite(acme(), "a").await;
        world.wake();
        relay.wait_for(2, Duration::from_secs(30)).await;
    });
}

#[test]
fn the_poll_sends_without_a_wake_up() {
    in_world(|mut world, relay, _| async move {
        let first = world.invite(acme(), "first").await;
        world.start();
        world.until(&first, Delivery::Sent).await;
        world.invite(acme(), "a").await;
        relay.wait_for(2, Duration::from_secs(30)).await;
    });
}

#[test]
fn poisoned_rows_at_the_head_of_the_queue_die_alone_and_hold_nobody_up() {
    in_world(|mut world, relay, other| async move {
        let poisoned = world.workspace(acme(), "Clinic\r\nBcc: victim@evil.test").await;
        let mut bad = Vec::new();
        for n in 0..12 {
            let name = format!("bad{n}");
            bad.push(world.invite_with(acme(), &name, |row| row.workspace_id = Some(poisoned)).await);
        }
        bad.push(world.invite_with(acme(), "x", |row| row.email = "x\r\nRCPT TO:<y@evil.test>".into()).await);
        let good = world.invite(acme(), "good").await;
        let elsewhere = world.invite(clinic(), "elsewhere").await;
        world.start();
        world.until(&good, Delivery::Sent).await;
        world.until(&elsewhere, Delivery::Sent).await;
        for invite in &bad {
            let row = world.until(invite, Delivery::Failed).await;
            assert!(matches!(row.delivery_detail.as_deref(), Some("control_character" | "bad_address")));
            assert_eq!(world.row(invite.id).await.state, OutboxState::Dead);
            assert_eq!(world.events(invite).await[0].kind, "mail.failed");
        }
        assert_eq!((relay.recipients().len(), other.recipients().len()), (1, 1));
    });
}

#[test]
fn a_refused_recipient_bounces_and_the_relay_stays_in_use() {
    in_world(|mut world, relay, _| async move {
        relay.for_recipient("nobody@example.com", Mode::AtRecipient(550));
        let nobody = world.invite(acme(), "nobody").await;
        let alice = world.invite(acme(), "alice").await;
        world.start();
        let row = world.until(&nobody, Delivery::Bounced).await;
        assert_eq!(row.delivery_detail.as_deref(), Some("recipient_refused"));
        assert_eq!(world.row(nobody.id).await.state, OutboxState::Dead);
        assert_eq!(world.events(&nobody).await[0].kind, "mail.bounced");
        world.until(&alice, Delivery::Sent).await;
        let bob = world.invite(acme(), "bob").await;
        world.wake();
        world.until(&bob, Delivery::Sent).await;
        assert_eq!(relay.recipients().iter().filter(|to| *to == "nobody@example.com").count(), 1);
    });
}

#[test]
fn a_deferred_mail_is_tried_again_on_schedule_with_the_same_message_id() {
    in_world(|mut world, relay, _| async move {
        relay.set_mode(Mode::AtMessage(451));
        let invite = world.invite(acme(), "alice").await;
        let begun = world.clock.now().0;
        world.start();
        world.until(&invite, Delivery::Retrying).await;
        let row = world.row(invite.id).await;
        let pause = row.next_at.0 - begun;
        assert!((8_000..13_000).contains(&pause), "{pause}");
        assert_eq!((row.state, row.attempts), (OutboxState::Queued, 1));
        relay.set_mode(Mode::Accept);
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(relay.mails().len(), 1, "not before it is due");
        world.clock.advance_millis(13_000);
        world.wake();
        world.until(&invite, Delivery::Sent).await;
        let mails = relay.mails();
        assert_eq!(mails.len(), 2);
        assert_eq!(mails[0].message_id, mails[1].message_id);
        assert_eq!(mails[0].link(), mails[1].link());
    });
}

#[test]
fn an_unanswered_message_frees_its_slot_and_waits_five_minutes() {
    in_world(|mut world, relay, _| async move {
        relay.for_recipient("lost@example.com", Mode::DropAfterDot);
        relay.for_recipient("stuck@example.com", Mode::SilentAfterData);
        let begun = world.clock.now().0;
        let unanswered = [world.invite(acme(), "lost").await, world.invite(acme(), "stuck").await];
        let alice = world.invite(acme(), "alice").await;
        world.start();
        world.until(&alice, Delivery::Sent).await;
        for invite in &unanswered {
            world.until(invite, Delivery::Retrying).await;
            assert!(world.row(invite.id).await.next_at.0 - begun >= 300_000);
        }
        let after = world.invite(acme(), "after").await;
        world.wake();
        world.until(&after, Delivery::Sent).await;
    });
}

#[test]
fn a_relay_that_cannot_be_used_burns_no_attempt_and_is_left_alone() {
    for mode in [Mode::Unavailable, Mode::RefuseLogin] {
        in_world(|mut world, relay, other| async move {
            relay.set_mode(mode);
            let now = world.clock.now();
            let rows = (0..20).map(|n| new_invite(acme(), &format!("p{n}"), now, |_| {})).collect();
            let invites = world.invites(acme(), rows).await;
            let elsewhere = world.invite(clinic(), "elsewhere").await;
            world.start();
            world.until(&invites[0], Delivery::Retrying).await;
            world.until(&elsewhere, Delivery::Sent).await;
            tokio::time::sleep(Duration::from_millis(1500)).await;
            assert!(relay.connections() <= 8, "{}", relay.connections());
            for invite in &invites {
                let row = world.row(invite.id).await;
                assert_eq!((row.state, row.attempts), (OutboxState::Queued, 0));
            }
            assert_eq!(other.accepted().len(), 1);
        });
    }
}

#[test]
fn what_is_no_longer_wanted_is_not_mailed() {
    in_world(|mut world, relay, _| async move {
        let now = world.clock.now();
        let revoked = world
            .invite_with(acme(), "revoked", |row| {
                (row.status, row.revoked_at) = (InviteStatus::Revoked, Some(now));
            })
            .await;
        let expired = world.invite_with(acme(), "expired", |row| row.expires_at = now).await;
        let rotated = world.invite(acme(), "rotated").await;
        let tx = world.store.tenant_write(acme()).await.unwrap();
        let next = invite::Model { version: 2, ..rotated.clone() };
        store::invites::rewrite_pending(tx.conn(), next).await.unwrap();
        tx.commit().await.unwrap();
        world.start();
        for invite in [&revoked, &expired, &rotated] {
            world.until(invite, Delivery::Cancelled).await;
            assert_eq!(world.row(invite.id).await.state, OutboxState::Cancelled);
            let told: Vec<_> = world.events(invite).await.into_iter().map(|event| event.kind).collect();
            assert_eq!(told, ["mail.cancelled"]);
        }
        assert!(relay.recipients().is_empty());
    });
}

#[test]
fn a_retry_that_would_come_after_the_end_of_the_invite_is_cancelled() {
    in_world(|mut world, relay, _| async move {
        relay.set_mode(Mode::AtRecipient(450));
        let soon = world.clock.now().plus(5_000);
        let invite = world.invite_with(acme(), "alice", |row| row.expires_at = soon).await;
        world.start();
        world.until(&invite, Delivery::Cancelled).await;
        assert_eq!(relay.recipients().len(), 1);
    });
}

#[test]
fn a_long_queue_hides_nobody_and_one_tenant_never_takes_every_slot() {
    in_world(|mut world, relay, _| async move {
        // both tenants by one relay
        world.registry.replace(settings(&relay.url(), &relay.url(), &[("k1", KEY_1)]));
        relay.set_mode(Mode::Slow(Duration::from_millis(50)));
        let now = world.clock.now();
        let rows = (0..2000).map(|n| new_invite(acme(), &format!("p{n}"), now, |_| {})).collect();
        world.invites(acme(), rows).await;
        world.start();
        relay.wait_for(20, Duration::from_secs(5)).await;
        assert!((4..=7).contains(&relay.most_at_once()), "{}", relay.most_at_once());
        let single = world.invite(clinic(), "single").await;
        let before = relay.accepted().len();
        world.wake();
        world.until(&single, Delivery::Sent).await;
        let overtaken =
            relay.accepted().iter().position(|mail| mail.to == ["single@example.com"]).unwrap() - before;
        assert!(overtaken < 30, "{overtaken} mails of the other tenant came first");
    });
}

#[test]
fn an_invite_whose_master_key_is_gone_gets_a_new_link_before_it_is_mailed() {
    in_world(|mut world, relay, other| async move {
        let invite = world.invite(acme(), "alice").await;
        world.registry.replace(settings(&relay.url(), &other.url(), &[("k2", KEY_2)]));
        world.start();
        let row = world.until(&invite, Delivery::Sent).await;
        assert_eq!((row.version, row.kid.as_str()), (2, "k2"));
        assert_ne!(row.salt, invite.salt);
        assert_eq!(world.row(invite.id).await.version, 2);
        let kinds: Vec<_> = world.events(&invite).await.into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["invite.link_rotated", "mail.sent"]);
        let link = relay.accepted()[0].link().unwrap();
        let snapshot = world.registry.current();
        let token =
            snapshot.settings.tokens.as_ref().unwrap().parse(link.rsplit('/').next().unwrap()).unwrap();
        assert_eq!(token.claims().version, 2);
    });
}

#[test]
fn mails_of_a_tenant_that_is_not_configured_wait_untouched() {
    in_world(|mut world, relay, _| async move {
        let gone = TenantId::new();
        let tx = world.store.system_write().await.unwrap();
        store::tenants::sync(tx.conn(), gone, "gone", "Gone", world.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        let parked = world.invite(gone, "parked").await;
        let alice = world.invite(acme(), "alice").await;
        world.start();
        world.until(&alice, Delivery::Sent).await;
        let row = world.row(parked.id).await;
        assert_eq!((row.state, row.attempts), (OutboxState::Queued, 0));
        assert_eq!(relay.recipients(), ["alice@example.com"]);
    });
}

#[test]
fn two_mailers_on_one_queue_send_each_mail_once() {
    in_world(|mut world, relay, _| async move {
        let now = world.clock.now();
        let rows = (0..200).map(|n| new_invite(acme(), &format!("p{n}"), now, |_| {})).collect();
        let invites = world.invites(acme(), rows).await;
        world.start();
        let second = Mailer::start_in(&Arbiter::new().handle(), world.deps.clone());
        relay.wait_for(200, Duration::from_secs(20)).await;
        for invite in &invites {
            world.until(invite, Delivery::Sent).await;
        }
        let mut ids: Vec<_> = relay.mails().into_iter().map(|mail| mail.message_id).collect();
        assert_eq!(ids.len(), 200);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 200);
        second.drain().await;
    });
}

#[test]
fn a_mail_whose_sender_died_is_taken_over_and_one_that_kills_its_sender_is_given_up() {
    in_world(|mut world, relay, _| async move {
        let dropped = world.invite(acme(), "dropped").await;
        let deadly = world.invite(acme(), "deadly").await;
        let tx = world.store.system_write().await.unwrap();
        let now = world.clock.now();
        let lease = store::outbox::Lease { token: uuid::Uuid::new_v4(), now, until: now.plus(60_000) };
        assert_eq!(store::outbox::claim(tx.conn(), acme(), 9, lease).await.unwrap().len(), 2);
        tx.commit().await.unwrap();
        // nine senders before that one
        let id = world.row(deadly.id).await.id;
        let tx = world.store.system_write().await.unwrap();
        let deaths = outbox::Entity::update_many()
            .col_expr(outbox::Column::Attempts, sea_orm::sea_query::Expr::value(10))
            .filter(outbox::Column::Id.eq(id));
        deaths.exec(tx.conn()).await.unwrap();
        tx.commit().await.unwrap();
        world.clock.advance_millis(61_000);
        world.start();
        world.until(&dropped, Delivery::Sent).await;
        assert_eq!(world.row(dropped.id).await.attempts, 2);
        let row = world.until(&deadly, Delivery::Failed).await;
        assert_eq!(row.delivery_detail.as_deref(), Some("too_many_attempts"));
        assert_eq!(relay.recipients(), ["dropped@example.com"]);
    });
}
