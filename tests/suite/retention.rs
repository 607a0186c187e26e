//! What is forgotten when: invites that ended, mails that left, answers kept and counters are there until their time
//! and gone after it, and nothing pending is ever touched.

use std::{collections::BTreeMap, time::Duration};

use entity::InviteId;
use serde_json::json;

use crate::support::{
    ACME_HOST, Invited,
    Kind::{self, Org, Workspace},
    TestServer, acme_owner, both_engines, eventually,
    forgetting::kept,
    globex_owner,
    invites::KINDS,
    person,
};

both_engines!(
    an_invite_is_forgotten_so_long_after_it_ended_however_it_did => kept("30d", "off"),
    what_is_forgotten_answers_as_what_never_was => kept("30d", "off"),
    each_tenant_keeps_for_its_own_time => kept("30d", "1d"),
    mails_are_forgotten_by_what_became_of_them => kept("off", "off").server("retention.failed_mails", "60d"),
    answers_and_counters_are_forgotten_after_their_times => kept("30d", "30d")
        .server("retention.answers", "2h")
        .server("limits.invites_per_tenant", "1000/1d"),
    an_invite_that_lives_again_or_is_being_mailed_stays => kept("30d", "off"),
    a_reload_and_the_clock_are_noticed_without_being_asked => kept("off", "off"),
);

const DAY: Duration = Duration::from_secs(24 * 3600);

impl TestServer {
    async fn is_there(&self, invited: &Invited) -> bool {
        self.show(invited, &acme_owner()).await.status == 200
    }
}

fn id(invited: &Invited) -> InviteId {
    invited.id.parse().unwrap()
}

/// One invite for each way to end, all ended now but the one that runs out, and one that does not end at all.
async fn ended(server: &TestServer, kind: Kind) -> BTreeMap<&'static str, Invited> {
    let mut made = BTreeMap::new();
    for how in ["accepted", "declined", "revoked", "runs out", "superseded", "pending"] {
        let who = person(&format!("{kind:?}-{}@example.com", how.replace(' ', "-")).to_lowercase());
        let expires_in = if how == "pending" { 80 * 86_400 } else { 3600 };
        let body = json!({ "email": who.email(), "role": "member", "expires_in": expires_in });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        server.letters_to(who.email(), 1).await;
        match how {
            "accepted" => drop(server.accept(&invited, &who).await.expect(200)),
            "declined" => drop(server.decline(&invited, &who).await.expect(200)),
            "revoked" => drop(server.revoke(&invited, &acme_owner()).await.expect(200)),
            _ => {}
        }
        made.insert(how, invited);
    }
    made
}

async fn an_invite_is_forgotten_so_long_after_it_ended_however_it_did(server: TestServer) {
    let rows = server.inspect().await;
    let mut all = Vec::new();
    for kind in KINDS {
        all.push(ended(&server, kind).await);
    }
    // two days later one that ran out is closed by a newer one: that is its end, and the newer one runs out
    server.advance(2 * DAY);
    for made in &all {
        let old = &made["superseded"];
        let body = json!({ "email": old.data["email"], "role": "member", "expires_in": 3600 });
        assert_ne!(server.invite_with(old.kind, &acme_owner(), body).await.id, old.id);
        server.letters_to(old.data["email"].as_str().unwrap(), 2).await;
    }
    for (advanced, gone) in [
        // ten minutes before and after, because the machine may take its time
        (28 * DAY - Duration::from_secs(600), vec![]),
        (Duration::from_secs(1200), vec!["accepted", "declined", "revoked"]),
        (Duration::from_secs(3600), vec!["accepted", "declined", "revoked", "runs out"]),
        (2 * DAY, vec!["accepted", "declined", "revoked", "runs out", "superseded"]),
    ] {
        server.advance(advanced);
        server.forget().await;
        for made in &all {
            for (how, invited) in made {
                eventually(&format!("{how} after {advanced:?}"), async || {
                    (server.is_there(invited).await != gone.contains(how)).then_some(())
                })
                .await;
            }
        }
        rows.assert_sound().await;
    }
    eventually("none to be left but the two that are pending", async || {
        (rows.count("SELECT count(*) AS n FROM invites").await == 2).then_some(())
    })
    .await;
    let orphans = "SELECT count(*) AS n FROM outbox WHERE invite_id NOT IN (SELECT id FROM invites)";
    assert_eq!(rows.count(orphans).await, 0);
    for made in &all {
        let who = person(made["pending"].data["email"].as_str().unwrap());
        server.accept(&made["pending"], &who).await.expect(200);
    }
}

async fn what_is_forgotten_answers_as_what_never_was(server: TestServer) {
    let owner = acme_owner();
    for kind in KINDS {
        let made = ended(&server, kind).await;
        let told = server.get("/api/v1/events?limit=1000").by(&owner).on(ACME_HOST).await.expect(200);
        server.advance(31 * DAY);
        server.forget().await;
        for (how, invited) in &made {
            if *how == "pending" {
                continue;
            }
            eventually("it to be gone", async || (!server.is_there(invited).await).then_some(())).await;
            let who = person(invited.data["email"].as_str().unwrap());
            server.accept(invited, &who).await.refused_as(kind.unknown());
            server.decline(invited, &who).await.refused_as(kind.unknown());
            eventually("no preview", async || {
                let preview = server.preview(invited).await;
                (preview.status == 404 && preview.json()["code"] == kind.invalid_token()).then_some(())
            })
            .await;
            server.revoke(invited, &owner).await.refused(404, "NOT_FOUND");
            server.resend(invited, &owner, &json!({})).await.refused(404, "NOT_FOUND");
            let history = format!("{}/events", kind.item(&invited.id));
            server.get(&history).by(&owner).await.refused(404, "NOT_FOUND");
        }
        // the feed goes on telling of them, from the first number on
        let still = server.get("/api/v1/events?limit=1000").by(&owner).on(ACME_HOST).await.expect(200);
        let before = told["data"].as_array().unwrap().len();
        assert_eq!(still["data"].as_array().unwrap()[..before], *told["data"].as_array().unwrap());
        // whoever came in by one is still there, and whoever did not is invited as if for the first time
        let members = server.get("/api/v1/tenant/members").by(&owner).on(ACME_HOST).await.expect(200);
        let email = made["accepted"].data["email"].as_str().unwrap();
        assert!(members.to_string().contains(email), "{members}");
        for how in ["declined", "revoked", "runs out"] {
            let who = person(made[how].data["email"].as_str().unwrap());
            let again = server.invite(kind, &owner, who.email(), "member").await;
            server.accept(&again, &who).await.expect(200);
        }
    }
    server.inspect().await.assert_sound().await;
}

async fn each_tenant_keeps_for_its_own_time(server: TestServer) {
    let ours = server.invite(Org, &acme_owner(), "ann@example.com", "member").await;
    let theirs = server.invite_to_globex(Org, "ann@example.com").await;
    let their_item = format!("{}/{}", Org.globex_collection(), theirs.id);
    server.revoke(&ours, &acme_owner()).await.expect(200);
    server.delete(&their_item).by(&globex_owner()).await.expect(200);
    server.advance(2 * DAY);
    server.forget().await;
    eventually("globex to forget", async || {
        (server.get(&their_item).by(&globex_owner()).await.status == 404).then_some(())
    })
    .await;
    assert!(server.is_there(&ours).await);
    server.advance(29 * DAY);
    server.forget().await;
    eventually("acme to forget", async || (!server.is_there(&ours).await).then_some(())).await;
}

async fn mails_are_forgotten_by_what_became_of_them(server: TestServer) {
    let rows = server.inspect().await;
    let mut made = Vec::new();
    for name in ["sent", "dead", "cancelled", "queued"] {
        made.push(server.invite(Org, &acme_owner(), &format!("{name}@example.com"), "member").await);
        server.letters_to(&format!("{name}@example.com"), 1).await;
    }
    let all_sent = "SELECT count(*) AS n FROM outbox WHERE state = 'sent'";
    eventually("all to be settled", async || (rows.count(all_sent).await == 4).then_some(())).await;
    for (name, invited) in ["dead", "cancelled", "queued"].iter().zip(&made[1..]) {
        // one that waits does so for a relay that is never there
        let sql = format!(
            "UPDATE outbox SET state = '{name}', sent_at = NULL, next_at = {far} WHERE invite_id = {id}",
            far = server.now() + 400 * 86_400_000,
            id = rows.id(&invited.id),
        );
        assert_eq!(rows.execute(&sql).await, 1);
    }
    let left = async || {
        let mut left = rows.texts("SELECT state AS t FROM outbox").await;
        left.sort();
        left.join(" ")
    };
    for (days, expected) in [
        (29, "cancelled dead queued sent"),
        (2, "dead queued"),
        (28, "dead queued"),
        (2, "queued"),
        (100, "queued"),
    ] {
        server.advance(days * DAY);
        server.forget().await;
        eventually(expected, async || (left().await == expected).then_some(())).await;
    }
    assert_eq!(server.show(&made[0], &acme_owner()).await.expect(200)["data"]["delivery"], "sent");
}

async fn answers_and_counters_are_forgotten_after_their_times(server: TestServer) {
    let rows = server.inspect().await;
    let create = || {
        let body = json!({ "email": "ann@example.com", "send_email": false });
        server.post(&Org.collection(), &body).by(&acme_owner()).header("Idempotency-Key", "once")
    };
    let answers = "SELECT count(*) AS n FROM idempotency_records";
    let counters = "SELECT count(*) AS n FROM limit_counters";
    let first = create().await.expect(201);
    server.advance(Duration::from_secs(2 * 3600 - 60));
    server.forget().await;
    let again = create().await;
    assert_eq!((again.header("idempotency-replayed"), again.json()), ("true", first));
    assert_eq!((rows.count(answers).await, rows.count(counters).await), (1, 1));
    server.advance(Duration::from_secs(120));
    server.forget().await;
    eventually("no answer", async || (rows.count(answers).await == 0).then_some(())).await;
    assert_eq!(rows.count(counters).await, 1, "what was counted counts for its window and the next");
    server.advance(3 * DAY);
    server.forget().await;
    eventually("no counter", async || (rows.count(counters).await == 0).then_some(())).await;
}

async fn an_invite_that_lives_again_or_is_being_mailed_stays(server: TestServer) {
    let rows = server.inspect().await;
    let body = |email: &str| json!({ "email": email, "role": "member", "expires_in": 3600 });
    let revived = server.invite_with(Org, &acme_owner(), body("ann@example.com")).await;
    let mailed = server.invite_with(Workspace, &acme_owner(), body("bob@example.com")).await;
    server.letters_to("ann@example.com", 1).await;
    server.letters_to("bob@example.com", 1).await;
    let settled = "SELECT count(*) AS n FROM outbox WHERE state = 'sent'";
    eventually("both to be settled", async || (rows.count(settled).await == 2).then_some(())).await;
    let by = server.now() + 2 * 3_600_000;
    server.advance(Duration::from_secs(2 * 3600));
    // found as ended, and alive before its turn came
    server.resend(&revived, &acme_owner(), &json!({})).await.expect(200);
    assert_eq!(server.forget_some(vec![id(&revived)], server.now(), 10).await, 0);
    let lease = format!(
        "UPDATE outbox SET state = 'leased', sent_at = NULL, lease_until = {until}, lease_token = id \
         WHERE invite_id = {id}",
        until = server.now() + 400 * 86_400_000,
        id = rows.id(&mailed.id),
    );
    assert_eq!(rows.execute(&lease).await, 1);
    assert_eq!(server.forget_some(vec![id(&mailed)], by, 10).await, 0);
    assert!(server.is_there(&revived).await && server.is_there(&mailed).await);
    let settle = format!(
        "UPDATE outbox SET state = 'cancelled', lease_until = NULL, lease_token = NULL WHERE invite_id = {}",
        rows.id(&mailed.id)
    );
    rows.execute(&settle).await;
    assert_eq!(server.forget_some(vec![id(&mailed)], by, 10).await, 2, "the invite and its mail");
    assert_eq!(server.forget_some(vec![id(&revived)], by, 10).await, 0, "not by then");
}

async fn a_reload_and_the_clock_are_noticed_without_being_asked(mut server: TestServer) {
    let invited = server.invite(Org, &acme_owner(), "ann@example.com", "member").await;
    server.revoke(&invited, &acme_owner()).await.expect(200);
    server.advance(40 * DAY);
    server.setup = kept("30d", "off");
    server.configure();
    eventually("the reload to count", async || (!server.is_there(&invited).await).then_some(())).await;
    let invited = server.invite(Org, &acme_owner(), "ann@example.com", "member").await;
    server.revoke(&invited, &acme_owner()).await.expect(200);
    server.advance(31 * DAY);
    eventually("the clock to count", async || (!server.is_there(&invited).await).then_some(())).await;
}
