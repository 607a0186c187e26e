//! A clock that jumps, and locks held across the end of an invite's life: what decides is the one reading of the
//! clock after the lock was had. Nothing expires early or late by it, nothing is lost, and whoever waits for a mail
//! or a limit does not wait for ever.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    ACME, Engine, Invited,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines,
    client::Answer,
    database::Inspector,
    eventually,
    invites::{KINDS, token_of},
    person,
};

both_engines!(
    an_acceptance_that_waited_past_the_end_is_refused,
    an_acceptance_that_waited_and_is_in_time_is_taken,
    a_clock_that_jumps_ahead_loses_nothing,
    a_clock_that_is_set_back_loses_nothing,
    mails_leave_though_the_clock_was_set_back => Setup::new().smtp(),
);

const HOUR: Duration = Duration::from_secs(3600);

/// Takes what every change of acme needs, on a connection of its own.
async fn hold(rows: &Inspector) {
    match rows.engine {
        Engine::Sqlite => drop(rows.execute("BEGIN IMMEDIATE").await),
        Engine::Postgres => {
            rows.execute("BEGIN").await;
            let lock = format!(
                "SELECT count(*) AS n FROM (SELECT 1 FROM tenants WHERE id = {} FOR UPDATE) AS held",
                rows.id(ACME)
            );
            assert_eq!(rows.count(&lock).await, 1);
        }
    }
}

/// Waits until somebody waits for what is held; SQLite does not say who does.
async fn somebody_waits(server: &TestServer) {
    if server.engine == Engine::Postgres {
        let other = server.inspect().await;
        let waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                       AND datname = current_database()";
        eventually("a waiting change", async || (other.count(waiting).await > 0).then_some(())).await;
    }
}

/// Accepts while the lock is held; time moves on by this before the lock is let go.
async fn accepted_after_waiting(server: &TestServer, invited: &Invited, by: Duration) -> Answer {
    let who = person(invited.data["email"].as_str().unwrap());
    // the person has been seen, so that nothing but the acceptance waits
    server.get("/api/v1/me/invites").by(&who).await.expect(200);
    let rows = server.inspect().await;
    loop {
        hold(&rows).await;
        let accepting = tokio::spawn(server.accept(invited, &who).send());
        somebody_waits(server).await;
        server.advance(by);
        rows.execute("ROLLBACK").await;
        let answer = accepting.await.unwrap().unwrap();
        if answer.status != 503 {
            return answer;
        }
        // a starved machine let it wait longer than anybody may
        answer.come_back();
        server.set_back(by);
    }
}

async fn an_acceptance_that_waited_past_the_end_is_refused(server: TestServer) {
    for kind in KINDS {
        let body = json!({ "email": format!("late-{kind:?}@example.com").to_lowercase(), "expires_in": 300, "send_email": false });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        let answer = accepted_after_waiting(&server, &invited, Duration::from_secs(300)).await;
        answer.refused_as(kind.expired());
        let data = server.show(&invited, &acme_owner()).await.expect(200)["data"].clone();
        assert_eq!(data["status"], "expired");
    }
    server.inspect().await.assert_sound().await;
}

async fn an_acceptance_that_waited_and_is_in_time_is_taken(server: TestServer) {
    for kind in KINDS {
        let body = json!({ "email": format!("just-{kind:?}@example.com").to_lowercase(), "expires_in": 300, "send_email": false });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        accepted_after_waiting(&server, &invited, Duration::from_secs(270)).await.expect(200);
    }
    server.inspect().await.assert_sound().await;
}

async fn a_clock_that_jumps_ahead_loses_nothing(server: TestServer) {
    let owner = acme_owner();
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let late = person(&format!("late-{kind:?}@example.com"));
        let short = json!({ "email": late.email(), "expires_in": 600 });
        let short = server.invite_with(kind, &owner, short).await;
        let long = server.invite(kind, &owner, bob.email(), "member").await;
        // the mail may be under way just then
        server.advance(HOUR);
        server.letters_to(bob.email(), 1).await;
        server.accept(&short, &late).await.refused_as(kind.expired());
        server.accept(&long, &bob).await.expect(200);
    }
    server.inspect().await.assert_sound().await;
}

async fn a_clock_that_is_set_back_loses_nothing(server: TestServer) {
    let owner = acme_owner();
    for kind in KINDS {
        let name = |what: &str| format!("{what}-{kind:?}@example.com");
        let (bob, dora) = (person(&name("bob")), person(&name("dora")));
        let taken = server.invite(kind, &owner, bob.email(), "member").await;
        let declined = server.invite(kind, &owner, dora.email(), "member").await;
        let revoked = server.invite(kind, &owner, &name("rev"), "member").await;
        let edited = server.invite(kind, &owner, &name("edit"), "member").await;
        server.letters_to(&name("edit"), 1).await;
        server.set_back(HOUR);
        // what was made in what is now the future is there, and every change of it works
        server.preview(&edited).await.expect(200);
        server.accept(&taken, &bob).await.expect(200);
        server.decline(&declined, &dora).await.expect(200);
        server.revoke(&revoked, &owner).await.expect(200);
        server.edit(&edited, &owner, &json!({ "expires_in": 600 })).await.expect(200);
        // nobody waits longer for the next mail than the pause itself
        let told = server.resend(&edited, &owner, &json!({})).await;
        told.refused(429, "rate_limit_exceeded");
        assert!(told.header("retry-after").parse::<u64>().unwrap() <= 61, "{told:?}");
        let again = server.resend(&edited, &owner, &json!({ "rotate": true })).await.expect(200);
        let token = token_of(again["invite_url"].as_str().unwrap());
        // an end that was a moment ago in the past is in the future again, exactly
        server.advance(Duration::from_secs(600));
        let late = format!("{}/accept", kind.token(&token));
        server.post(&late, &json!({})).by(&person(&name("edit"))).await.refused_as(kind.expired());
    }
    let rows = server.inspect().await;
    let gaps = "SELECT count(*) AS n FROM tenants t WHERE t.event_seq <> \
                (SELECT count(*) FROM events e WHERE e.tenant_id = t.id)";
    assert_eq!(rows.count(gaps).await, 0, "events are numbered by order, not by time");
    rows.assert_nobody_missing().await;
}

async fn mails_leave_though_the_clock_was_set_back(server: TestServer) {
    let owner = acme_owner();
    let sink = server.setup.sink.clone().unwrap();
    // one whose next try is due in what will be the future, one that is not made yet
    sink.answer("busy", "451 4.3.0 later");
    let waiting = server.invite(Org, &owner, "busy@example.com", "member").await;
    eventually("the first try", async || {
        let data = server.show(&waiting, &owner).await.expect(200)["data"].clone();
        (data["delivery"] == "retrying").then_some(())
    })
    .await;
    sink.take_all();
    server.set_back(Duration::from_secs(60));
    server.invite(Workspace, &owner, "next@example.com", "member").await;
    server.letters_to("next@example.com", 1).await;
    server.advance(Duration::from_secs(120));
    assert_eq!(server.letters_to("busy@example.com", 1).await[0].link, waiting.url);
}
