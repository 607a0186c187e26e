//! What has happened: the history of one invite, and the feed of a tenant that applications follow.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    CLINIC, GLOBEX_HOST, Invited,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines,
    client::Answer,
    eventually, globex_owner,
    invites::KINDS,
    person,
};

both_engines!(
    a_history_tells_what_happened_by_whom_and_when,
    a_history_ends_with_an_expiry_that_nobody_caused,
    a_history_tells_what_became_of_the_mail => Setup::new().smtp(),
    whoever_may_read_an_invite_may_read_its_history,
    the_command_line_prints_the_same_history,
    the_feed_is_in_order_without_gaps_and_page_by_page,
    the_feed_is_for_admins_and_their_keys,
    the_feed_is_of_one_tenant,
    the_feed_names_bad_and_unknown_parameters,
    whoever_waits_is_answered_by_the_next_event,
    whoever_waits_is_answered_with_nothing_when_the_time_is_over,
    an_event_of_another_server_is_answered_too,
    whoever_waits_is_answered_at_once_when_the_server_stops,
    so_many_may_wait_and_no_more,
);

const FEED: &str = "/api/v1/events";

fn silent(email: &str) -> Value {
    json!({ "email": email, "send_email": false })
}

/// Events of a history by name and actor.
fn told(body: &Value) -> Vec<(&str, &str)> {
    let lines = body["data"].as_array().unwrap();
    assert_eq!(body["total"], lines.len());
    lines.iter().map(|line| (line["event"].as_str().unwrap(), line["actor"].as_str().unwrap())).collect()
}

async fn history(server: &TestServer, invited: &Invited) -> Value {
    let path = format!("{}/events", invited.kind.item(&invited.id));
    server.get(&path).by(&acme_owner()).await.expect(200)
}

async fn a_history_tells_what_happened_by_whom_and_when(server: TestServer) {
    let (owner, bob) = (acme_owner(), person("bob@example.com"));
    for kind in KINDS {
        let invited = server.invite_with(kind, &owner, silent("ann@example.com")).await;
        server.edit(&invited, &owner, &json!({ "role": "admin" })).await.expect(200);
        server.decline(&invited, &person("ann@example.com")).await.expect(200);
        let body = history(&server, &invited).await;
        let ann = person("ann@example.com").user_id();
        assert_eq!(
            told(&body),
            [
                ("invite.created", owner.user_id().as_str()),
                ("invite.edited", owner.user_id().as_str()),
                ("invite.declined", ann.as_str()),
            ]
        );
        for line in body["data"].as_array().unwrap() {
            assert!(line["at"].as_str().unwrap().ends_with('Z'), "{line}");
        }
        assert_eq!(body["data"][1]["data"]["role"], "admin");
        assert!(!body.to_string().contains("eyJ") && !body.to_string().contains("ann@example.com"));
        let second = server.invite_with(kind, &owner, silent(bob.email())).await;
        server.revoke(&second, &owner).await.expect(200);
        assert_eq!(told(&history(&server, &second).await)[1], ("invite.revoked", owner.user_id().as_str()));
    }
    let accepted = server.invite_with(Org, &owner, silent(bob.email())).await;
    server.accept(&accepted, &bob).await.expect(200);
    let body = history(&server, &accepted).await;
    assert_eq!(told(&body)[1], ("invite.accepted", bob.user_id().as_str()));
    // the third family tells the same inside its envelope
    let path = format!("/api/v1/invitations/{}/events", accepted.id);
    let enveloped = server.get(&path).by(&owner).await.expect(200);
    assert_eq!((&enveloped["success"], &enveloped["data"]["events"]), (&json!(true), &body["data"]));
}

async fn a_history_ends_with_an_expiry_that_nobody_caused(server: TestServer) {
    let body = json!({ "email": "ann@example.com", "send_email": false, "expires_in": 300 });
    let invited = server.invite_with(Org, &acme_owner(), body).await;
    assert_eq!(told(&history(&server, &invited).await).len(), 1);
    server.advance(Duration::from_secs(300));
    let body = history(&server, &invited).await;
    assert_eq!(told(&body)[1], ("invite.expired", "system"));
    assert_eq!(body["data"][1]["at"], invited.data["expires_at"]);
    let rows = server.inspect().await;
    assert_eq!(rows.count("SELECT count(*) AS n FROM events WHERE kind = 'invite.expired'").await, 0);
    server.edit(&invited, &acme_owner(), &json!({ "expires_in": 600 })).await.expect(200);
    let after = history(&server, &invited).await;
    assert_eq!(told(&after).last().unwrap().0, "invite.edited", "revived, it has not run out");
}

async fn a_history_tells_what_became_of_the_mail(server: TestServer) {
    let invited = server.invite(Org, &acme_owner(), "ann@example.com", "member").await;
    server.letters_to("ann@example.com", 1).await;
    let body = eventually("the mail in the history", async || {
        let body = history(&server, &invited).await;
        (body["total"] == 2).then_some(body)
    })
    .await;
    assert_eq!(told(&body)[1], ("mail.sent", "system"));
    assert_eq!(body["data"][1]["data"]["attempts"], 1);
    server.advance(Duration::from_secs(61));
    server.resend(&invited, &acme_owner(), &json!({})).await.expect(200);
    let body = history(&server, &invited).await;
    assert_eq!(told(&body)[2], ("invite.resent", acme_owner().user_id().as_str()));
}

async fn whoever_may_read_an_invite_may_read_its_history(server: TestServer) {
    let sender = server.joined(Org, "sender@example.com", "admin").await;
    let member = server.joined(Org, "member@example.com", "member").await;
    for kind in KINDS {
        let invited = server.invite_with(kind, &sender, silent("ann@example.com")).await;
        let path = format!("{}/events", kind.item(&invited.id));
        server.get(&path).by(&sender).await.expect(200);
        server.get(&path).by(&acme_owner()).await.expect(200);
        server.get(&path).by(&person("root@example.com").with("role", "system_admin")).await.expect(200);
        for path in [path, format!("/api/v1/invitations/{}/events", invited.id)] {
            server.get(&path).by(&member).await.refused(403, "FORBIDDEN");
            server.get(&path).by(&person("stranger@example.com")).await.refused(404, "NOT_FOUND");
            server.get(&path).await.refused(401, "invalid_token");
        }
        // nor under a place that it is not of
        let other = if kind == Org { Workspace } else { Org };
        let elsewhere = format!("{}/events", other.item(&invited.id));
        server.get(&elsewhere).by(&acme_owner()).await.refused(404, "NOT_FOUND");
    }
}

async fn the_command_line_prints_the_same_history(server: TestServer) {
    let invited = server.invite_with(Org, &acme_owner(), silent("ann@example.com")).await;
    server.revoke(&invited, &acme_owner()).await.expect(200);
    let body = history(&server, &invited).await;
    let shown = server.cli(&["invite", "show", &invited.id, "--json"]).await.json();
    assert_eq!(shown["history"], body["data"]);
    let text = server.cli(&["invite", "show", &invited.id]).await.data();
    assert!(text.contains("invite.created") && text.contains("invite.revoked"), "{text}");
}

/// Walks the feed of the caller's tenant from a number to its end.
async fn follow(server: &TestServer, mut after: i64, limit: usize) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let path = format!("{FEED}?after={after}&limit={limit}");
        let body = server.get(&path).by(&acme_owner()).await.expect(200);
        let page = body["data"].as_array().unwrap();
        assert!(page.len() <= limit);
        events.extend(page.iter().cloned());
        after = body["next_after"].as_i64().unwrap();
        if body["has_more"] == false {
            return events;
        }
    }
}

async fn the_feed_is_in_order_without_gaps_and_page_by_page(server: TestServer) {
    for name in ["ann", "bob", "cat"] {
        let kind = if name == "bob" { Workspace } else { Org };
        let invited = server.invite_with(kind, &acme_owner(), silent(&format!("{name}@example.com"))).await;
        server.accept(&invited, &person(&format!("{name}@example.com"))).await.expect(200);
    }
    let rows = server.inspect().await;
    let count = rows.count("SELECT max(event_seq) AS n FROM tenants").await;
    for limit in [1, 2, 100] {
        let events = follow(&server, 0, limit).await;
        let numbers: Vec<i64> = events.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
        assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
        let accepted: Vec<_> = events.iter().filter(|event| event["event"] == "invite.accepted").collect();
        assert_eq!(accepted.len(), 3);
        assert_eq!(accepted[1]["workspace_id"], CLINIC);
        assert_eq!(accepted[1]["actor"], person("bob@example.com").user_id());
        assert!(accepted[1]["invite_id"].is_string());
    }
    let late = follow(&server, count - 1, 100).await;
    assert_eq!(late.len(), 1);
    let beyond = server.get(&format!("{FEED}?after={count}")).by(&acme_owner()).await.expect(200);
    assert_eq!(beyond, json!({ "data": [], "next_after": count, "has_more": false }));
}

async fn the_feed_is_for_admins_and_their_keys(server: TestServer) {
    let member = server.joined(Org, "member@example.com", "member").await;
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    server.get(FEED).by(&admin).await.expect(200);
    server.get(FEED).by(&member).await.refused(403, "FORBIDDEN");
    let stranger = server.get(FEED).by(&person("stranger@example.com")).header("x-miosa-tenant", "acme");
    stranger.await.refused(404, "NOT_FOUND");
    server.get(FEED).await.refused(401, "invalid_token");
    let root = person("root@example.com").with("role", "system_admin");
    server.get(FEED).by(&root).header("x-miosa-tenant", "acme").await.expect(200);
    for (scopes, status) in [("invites:read", 200), ("members:read", 403)] {
        let arguments =
            ["api-key", "create", "--service", "--role", "admin", "--tenant", "acme", "--scopes", scopes];
        let key = server.cli(&arguments).await.data();
        assert_eq!(server.get(FEED).by(key.trim()).await.status, status, "{scopes}");
    }
}

async fn the_feed_is_of_one_tenant(server: TestServer) {
    server.invite_with(Org, &acme_owner(), silent("ann@example.com")).await;
    let globex = server.invite_to_globex(Org, "gus@example.com").await;
    let theirs = server.get(FEED).by(&globex_owner()).on(GLOBEX_HOST).await.expect(200);
    assert!(theirs.to_string().contains(&globex.id));
    let own = follow(&server, 0, 100).await;
    assert!(own.iter().all(|event| event["invite_id"] != globex.id.as_str()));
    server.get(FEED).by(&acme_owner()).on(GLOBEX_HOST).await.refused(404, "NOT_FOUND");
}

async fn the_feed_names_bad_and_unknown_parameters(server: TestServer) {
    for (query, field) in [
        ("after=-1", "after"),
        ("after=x", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("wait=31", "wait"),
    ] {
        let path = format!("{FEED}?{query}");
        let body = server.get(&path).by(&acme_owner()).await.refused(422, "VALIDATION_ERROR");
        assert!(body["errors"][field][0].is_string(), "{query}: {body}");
    }
    let body = server.get(&format!("{FEED}?aftr=1")).by(&acme_owner()).await.refused(400, "BAD_REQUEST");
    assert!(body["message"].as_str().unwrap().contains("did you mean `after`?"), "{body}");
}

/// The number of acme's latest event.
async fn latest(server: &TestServer) -> i64 {
    follow(server, 0, 1000).await.last().map_or(0, |event| event["seq"].as_i64().unwrap())
}

/// Somebody who waits for what follows a number.
fn wait(server: &TestServer, after: i64, seconds: u64) -> tokio::task::JoinHandle<(Value, Duration)> {
    let call = server.get(&format!("{FEED}?after={after}&wait={seconds}")).by(&acme_owner());
    tokio::spawn(async move {
        let began = Instant::now();
        (call.await.expect(200), began.elapsed())
    })
}

async fn whoever_waits_is_answered_by_the_next_event(server: TestServer) {
    server.invite_with(Org, &acme_owner(), silent("ann@example.com")).await;
    let after = latest(&server).await;
    let waiting: Vec<_> = (0..4).map(|_| wait(&server, after, 25)).collect();
    let invited = server.invite_with(Org, &acme_owner(), silent("bob@example.com")).await;
    for one in waiting {
        let (body, _) = one.await.unwrap();
        assert_eq!(body["data"][0]["seq"], after + 1);
        assert_eq!(body["data"][0]["invite_id"], invited.id);
    }
    // what has happened already is not waited for
    let (body, _) = wait(&server, 0, 25).await.unwrap();
    assert!(!body["data"].as_array().unwrap().is_empty());
}

async fn whoever_waits_is_answered_with_nothing_when_the_time_is_over(server: TestServer) {
    let after = latest(&server).await;
    let (body, took) = wait(&server, after, 1).await.unwrap();
    assert_eq!(body, json!({ "data": [], "next_after": after, "has_more": false }));
    assert!(took >= Duration::from_secs(1), "it has waited: {took:?}");
}

async fn an_event_of_another_server_is_answered_too(server: TestServer) {
    let other = server.replica();
    let after = latest(&server).await;
    let waiting = wait(&server, after, 25);
    let invited = other.invite_with(Org, &acme_owner(), silent("bob@example.com")).await;
    let (body, _) = waiting.await.unwrap();
    assert_eq!(body["data"][0]["invite_id"], invited.id);
}

async fn whoever_waits_is_answered_at_once_when_the_server_stops(mut server: TestServer) {
    let after = latest(&server).await;
    let calls = waiting(&server, after, 33).await;
    server.stop();
    for call in calls {
        let answer = call.await.unwrap();
        if answer.status != 429 {
            assert_eq!(answer.expect(200)["data"], json!([]));
        }
    }
}

/// So many who wait, once one too many has been refused: then all the others do wait.
async fn waiting(server: &TestServer, after: i64, count: usize) -> Vec<tokio::task::JoinHandle<Answer>> {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let call = server.get(&format!("{FEED}?after={after}&wait=25")).by(&acme_owner());
            tokio::spawn(async move { call.await })
        })
        .collect();
    eventually("the last ones to be refused", async || {
        (calls.iter().filter(|call| call.is_finished()).count() >= count - 32).then_some(())
    })
    .await;
    calls
}

async fn so_many_may_wait_and_no_more(server: TestServer) {
    let after = latest(&server).await;
    let calls = waiting(&server, after, 40).await;
    // whoever does not wait is served meanwhile
    server.get(&format!("{FEED}?after={after}")).by(&acme_owner()).await.expect(200);
    server.invite_with(Org, &acme_owner(), silent("bob@example.com")).await;
    let mut answers: Vec<u16> = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap().status);
    }
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 8, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 32, "{answers:?}");
}
