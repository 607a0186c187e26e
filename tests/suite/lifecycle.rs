//! From pending to an end and back to a new beginning: expiry to the millisecond, inviting again after any end,
//! links that stay dead, and seats.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Invited,
    Kind::{self, Org, Workspace},
    Setup, TestServer, acme_owner, both_engines,
    invites::KINDS,
    person,
};

both_engines!(
    an_invite_is_good_until_the_last_millisecond_and_not_one_more,
    a_ttl_of_a_second_is_kept_without_any_job => Setup::new().server("invites.min_ttl", "1s"),
    an_ended_invite_never_stands_in_the_way_of_a_new_one,
    a_link_once_dead_never_lives_again,
    what_a_newer_invite_replaced_is_superseded,
    every_change_leaves_one_numbered_event,
    the_test_clock_does_not_age_a_credential,
    seats_are_never_exceeded_and_a_refused_invite_waits => Setup::new().acme("invites.seats", 3),
    fewer_seats_than_members_turn_nobody_out_and_let_nobody_in,
    a_member_who_accepts_again_takes_no_seat => Setup::new().acme("invites.seats", 2),
);

async fn an_invite_is_good_until_the_last_millisecond_and_not_one_more(server: TestServer) {
    let rows = server.inspect().await;
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let body = json!({ "email": bob.email(), "expires_in": 300 });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        let sql = format!("SELECT expires_at AS n FROM invites WHERE id = {}", rows.id(&invited.id));
        let left = || async { rows.count(&sql).await - server.now() };

        // a good while before: taken
        server.advance(millis(left().await - 5_000));
        server.accept(&invited, &bob).await.expect(200);

        // from the very millisecond on: not
        let carl = person(&format!("carl-{kind:?}@example.com"));
        let body = json!({ "email": carl.email(), "expires_in": 300 });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        let sql = format!("SELECT expires_at AS n FROM invites WHERE id = {}", rows.id(&invited.id));
        server.advance(millis(rows.count(&sql).await - server.now()));
        server.accept(&invited, &carl).await.refused_as(kind.expired());
        server.decline(&invited, &carl).await.refused_as(kind.expired());
        assert!(server.pending(kind, &acme_owner()).await.is_empty());
        assert_eq!(server.show(&invited, &acme_owner()).await.expect(200)["data"]["status"], "expired");
    }
    rows.assert_sound().await;
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap())
}

async fn a_ttl_of_a_second_is_kept_without_any_job(server: TestServer) {
    let bob = person("bob@example.com");
    let body = json!({ "email": bob.email(), "expires_in": 1 });
    let invited = server.invite_with(Workspace, &acme_owner(), body).await;
    // real time, as in production: no clock is advanced here
    crate::support::eventually("one second to pass", async || {
        let data = server.preview(&invited).await.expect(200)["data"].clone();
        (data["expired"] == true).then_some(())
    })
    .await;
    server.accept(&invited, &bob).await.refused(410, "EXPIRED");
}

/// Brings an invite to an end.
async fn end(server: &TestServer, invited: &Invited, how: &str) {
    let addressee = person(invited.data["email"].as_str().unwrap());
    match how {
        "revoked" => drop(server.revoke(invited, &acme_owner()).await.expect(200)),
        "declined" => drop(server.decline(invited, &addressee).await.expect(200)),
        _ => server.advance(Duration::from_secs(15 * 24 * 3600)),
    }
}

async fn an_ended_invite_never_stands_in_the_way_of_a_new_one(server: TestServer) {
    for kind in KINDS {
        for how in ["revoked", "declined", "expired"] {
            let bob = person(&format!("bob-{kind:?}-{how}@example.com"));
            let old = server.invite(kind, &acme_owner(), bob.email(), "member").await;
            server.letters_to(bob.email(), 1).await;
            end(&server, &old, how).await;
            let new = server.invite(kind, &acme_owner(), bob.email(), "member").await;
            assert_ne!(new.id, old.id, "{how}: a new row");
            assert_ne!(new.token, old.token);
            assert_eq!(server.letters_to(bob.email(), 2).await.len(), 2, "{how}: mailed anew");
            let pending = server.pending(kind, &acme_owner()).await;
            assert_eq!(pending.iter().filter(|item| item["email"] == old.data["email"]).count(), 1);
            server.accept(&new, &bob).await.expect(200);
        }
    }
    server.inspect().await.assert_sound().await;
}

async fn a_link_once_dead_never_lives_again(server: TestServer) {
    for kind in KINDS {
        for how in ["revoked", "declined", "expired"] {
            let bob = person(&format!("bob-{kind:?}-{how}@example.com"));
            let old = server.invite(kind, &acme_owner(), bob.email(), "member").await;
            end(&server, &old, how).await;
            let before = server.accept(&old, &bob).await;
            assert!((400..500).contains(&before.status), "{how}: {}", before.text());
            let new = server.invite(kind, &acme_owner(), bob.email(), "member").await;
            assert!(
                (400..500).contains(&server.accept(&old, &bob).await.status),
                "{how}, after inviting again"
            );
            server.accept(&new, &bob).await.expect(200);
            let after = server.accept(&old, &bob).await;
            assert!((400..500).contains(&after.status), "{how}, after accepting: {}", after.text());
            let preview = server.preview(&old).await;
            match how {
                "expired" => assert_eq!(preview.expect(200)["data"]["expired"], true),
                _ => drop(preview.refused(404, kind.invalid_token())),
            }
        }
    }
}

async fn what_a_newer_invite_replaced_is_superseded(server: TestServer) {
    for kind in KINDS {
        let (owner, email) = (acme_owner(), format!("bob-{kind:?}@example.com"));
        let old = server.invite(kind, &owner, &email, "member").await;
        server.advance(Duration::from_secs(15 * 24 * 3600));
        let new = server.invite(kind, &owner, &email, "member").await;
        assert_eq!(server.show(&old, &owner).await.expect(200)["data"]["status"], "expired");
        for body in [json!({}), json!({ "rotate": true })] {
            server.resend(&old, &owner, &body).await.refused(409, "SUPERSEDED");
        }
        server.edit(&old, &owner, &json!({ "expires_in": 3600 })).await.refused(409, "SUPERSEDED");
        let body = server.revoke(&old, &owner).await.expect(200);
        assert_eq!(body["revoked"], true, "the safe direction, without a change");
        assert_eq!(server.show(&old, &owner).await.expect(200)["data"]["status"], "expired");
        server.accept(&new, &person(&email)).await.expect(200);
    }
}

async fn every_change_leaves_one_numbered_event(server: TestServer) {
    let (owner, bob) = (acme_owner(), person("bob@example.com"));
    let rows = server.inspect().await;
    let about_invites = "SELECT count(*) AS n FROM events WHERE invite_id IS NOT NULL";
    let body = json!({ "email": bob.email(), "send_email": false });
    let invited = server.invite_with(Workspace, &owner, body).await;
    assert_eq!(rows.count(about_invites).await, 1, "created");
    server.edit(&invited, &owner, &json!({ "role": "admin" })).await.expect(200);
    assert_eq!(rows.count(about_invites).await, 2, "edited");
    server.accept(&invited, &person("other@example.com")).await.refused(422, "EMAIL_MISMATCH");
    assert_eq!(rows.count(about_invites).await, 2, "a refusal changes nothing");
    server.accept(&invited, &bob).await.expect(200);
    assert_eq!(rows.count(about_invites).await, 3, "accepted");
    let kinds = rows.texts("SELECT kind AS t FROM events WHERE invite_id IS NOT NULL ORDER BY seq").await;
    assert!(kinds[0].contains("created") && kinds[2].contains("accepted"), "{kinds:?}");
    let data = rows.texts("SELECT data AS t FROM events").await.concat();
    assert!(!data.contains("eyJ") && !data.contains(bob.email()), "no token and no address: {data}");
    rows.assert_sound().await;
}

async fn the_test_clock_does_not_age_a_credential(server: TestServer) {
    let owner = acme_owner();
    server.advance(Duration::from_secs(365 * 24 * 3600));
    server.invite(Workspace, &owner, "bob@example.com", "member").await;
}

async fn seats_are_never_exceeded_and_a_refused_invite_waits(server: TestServer) {
    let owner = acme_owner();
    server.joined(Org, "second@example.com", "member").await;
    let mut waiting = Vec::new();
    for (at, kind) in [Org, Workspace, Org].into_iter().enumerate() {
        let who = person(&format!("late{at}@example.com"));
        waiting.push((server.invite(kind, &owner, who.email(), "member").await, who));
    }
    let (first, who) = &waiting[0];
    server.accept(first, who).await.expect(200);
    for (invited, who) in &waiting[1..] {
        let refused = server.accept(invited, who).await.refused(409, "SEAT_LIMIT_REACHED");
        assert!(refused["message"].as_str().unwrap().contains('3'), "{refused}");
        assert_eq!(server.show(invited, &owner).await.expect(200)["data"]["status"], "pending");
    }
    // a seat that becomes free is taken by whoever comes next
    server.cli(&["member", "remove", &waiting[0].1.user_id(), "--tenant", "acme"]).await.data();
    server.accept(&waiting[1].0, &waiting[1].1).await.expect(200);
    server.accept(&waiting[2].0, &waiting[2].1).await.refused(409, "SEAT_LIMIT_REACHED");
    server.inspect().await.assert_sound().await;
}

async fn a_member_who_accepts_again_takes_no_seat(server: TestServer) {
    let owner = acme_owner();
    let bob = person("bob@example.com");
    let invites: Vec<(Kind, Invited)> = vec![
        (Org, server.invite(Org, &owner, bob.email(), "member").await),
        (Workspace, server.invite(Workspace, &owner, bob.email(), "viewer").await),
    ];
    for (kind, invited) in &invites {
        let body: Value = server.accept(invited, &bob).await.expect(200);
        assert_eq!(body["accepted"], true, "{kind:?}");
    }
    let rows = server.inspect().await;
    assert_eq!(rows.count("SELECT count(*) AS n FROM tenant_members").await, 2);
    rows.assert_sound().await;
}

async fn fewer_seats_than_members_turn_nobody_out_and_let_nobody_in(mut server: TestServer) {
    let owner = acme_owner();
    let bob = server.joined(Org, "bob@example.com", "admin").await;
    server.joined(Org, "carl@example.com", "member").await;
    let late = person("late@example.com");
    let waiting = server.invite(Org, &owner, late.email(), "member").await;
    server.setup = server.setup.clone().acme("invites.seats", 1).acme("name", "Acme Small");
    server.configure();
    crate::support::eventually("the seats to be taken away", async || {
        let data = server.preview(&waiting).await.expect(200)["data"].clone();
        (data["tenant_name"] == "Acme Small").then_some(())
    })
    .await;
    server.accept(&waiting, &late).await.refused(409, "SEAT_LIMIT_REACHED");
    assert_eq!(server.show(&waiting, &owner).await.expect(200)["data"]["status"], "pending");
    // who is in stays in, works, and takes no further seat
    server.invite(Workspace, &bob, "dora@example.com", "member").await;
    let body = json!({ "email": bob.email(), "role": "member" });
    server.post(&Workspace.collection(), &body).by(&owner).await.expect(200);
    let rows = server.inspect().await;
    assert_eq!(rows.count("SELECT count(*) AS n FROM tenant_members").await, 3);
    rows.assert_sound().await;
    server.setup = server.setup.clone().acme("invites.seats", 4);
    server.configure();
    crate::support::eventually("a seat", async || {
        (server.accept(&waiting, &late).await.status == 200).then_some(())
    })
    .await;
}
