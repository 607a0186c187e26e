//! `Idempotency-Key`: a request that comes again is answered as the first time, byte for byte, and nothing is
//! done again; whose it is, for how long, and that nothing of it can be read from the rows.

use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

use super::sharing;
use crate::support::{
    ACME, ACME_HOST, Credential, Engine, GLOBEX, GLOBEX_HOST, Invited,
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines,
    client::{Answer, Call},
    eventually,
    invites::{KINDS, token_of},
    person, with_and_without_actors,
};

both_engines!(
    a_create_that_comes_again_is_answered_again_and_not_done_again,
    another_body_is_refused,
    callers_routes_and_tenants_are_kept_apart,
    what_is_no_key_is_refused_and_other_methods_take_none,
    a_refusal_is_not_kept,
    after_a_day_the_key_is_free,
    an_acceptance_is_told_again_to_its_person_only,
    a_credential_or_place_that_is_gone_is_refused_before_anything_is_told_again,
    who_has_gone_from_the_tenant_is_told_nothing_again,
    who_has_left_may_hear_of_it_again,
    an_answer_whose_master_key_is_gone_is_made_anew,
    nothing_that_is_kept_can_be_read_from_the_rows,
    what_is_outdated_is_forgotten,
);

with_and_without_actors!(
    twenty_at_once_have_one_outcome_and_one_answer,
    three_servers_on_one_database_give_one_answer,
);

pub(super) const KEY: &str = "7d1f0c52-8a3e-4b6f-9c1d-2e5a4b3c6d7e";

pub(super) fn keyed(call: Call, key: &str) -> Call {
    call.header("idempotency-key", key)
}

/// Asserts that one answer tells the other again.
#[track_caller]
pub(super) fn assert_again(first: &Answer, again: &Answer) {
    assert_eq!(first.header("idempotency-replayed"), "", "{}", first.text());
    assert_eq!(again.header("idempotency-replayed"), "true", "{} {}", again.status, again.text());
    assert_eq!((first.status, first.text()), (again.status, again.text()));
    assert_eq!(first.header("content-type"), again.header("content-type"));
    assert_ne!(first.header("x-request-id"), again.header("x-request-id"));
}

#[track_caller]
pub(super) fn assert_fresh(answer: &Answer) {
    assert!((200..300).contains(&answer.status), "{}", answer.text());
    assert_eq!(answer.header("idempotency-replayed"), "", "{}", answer.text());
}

async fn a_create_that_comes_again_is_answered_again_and_not_done_again(server: TestServer) {
    let owner = acme_owner();
    for kind in KINDS {
        let (email, key) = (format!("bob-{kind:?}@example.com"), format!("{KEY}-{kind:?}"));
        let body = json!({ "email": email, "role": "member" });
        let create = || keyed(server.post(&kind.collection(), &body).by(&owner), &key);
        let first = create().await;
        let invited = Invited::read(kind, &first.expect(201));
        server.letters_to(&email, 1).await;
        // past the cooldown, where a create without a key mails again
        server.advance(Duration::from_secs(61));
        for _ in 0..3 {
            assert_again(&first, &create().await);
        }
        let fence = format!("fence-{kind:?}@example.com");
        server.invite(kind, &owner, &fence, "member").await;
        server.letters_to(&fence, 1).await;
        assert_eq!(server.letters_to(&email, 1).await.len(), 1, "one mail");
        let rows = server.inspect().await;
        let events = format!(
            "SELECT count(*) AS n FROM events WHERE kind LIKE 'invite.%' AND kind NOT LIKE 'invite.mail%' \
             AND invite_id = {}",
            rows.id(&invited.id)
        );
        assert_eq!(rows.count(&events).await, 1, "one event");
        // without the key it is the same invite, reissued
        let plain = server.post(&kind.collection(), &body).by(&owner).await;
        assert_fresh(&plain);
        assert_eq!(Invited::read(kind, &plain.expect(201)).id, invited.id);
    }
    server.inspect().await.assert_sound().await;
}

async fn another_body_is_refused(server: TestServer) {
    let owner = acme_owner();
    let create = |body: &str| {
        let post =
            server.call(reqwest::Method::POST, &Org.collection()).body("application/json", body.to_owned());
        keyed(post.by(&owner), KEY)
    };
    let first = create(r#"{"email":"bob@example.com"}"#).await;
    first.expect(201);
    for other in [r#"{"email":"carol@example.com"}"#, r#"{"email":"bob@example.com" }"#] {
        create(other).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(server.pending(Org, &owner).await.len(), 1);
    assert_again(&first, &create(r#"{"email":"bob@example.com"}"#).await);
}

async fn callers_routes_and_tenants_are_kept_apart(server: TestServer) {
    let (owner, body) = (acme_owner(), json!({ "email": "bob@example.com" }));
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let create = |by: &str, body: &Value| keyed(server.post(&Org.collection(), body).bearer(by), KEY);
    let first = create(&owner.bearer(), &body).await;
    assert_fresh(&first);
    // of another caller it is neither told again nor compared with
    assert_fresh(&create(&admin.bearer(), &body).await);
    let minted = server.post("/api/v1/api-keys", &json!({ "name": "ci" })).by(&owner).await.expect(201);
    let key = minted["key"].as_str().unwrap();
    assert_fresh(&create(key, &json!({ "email": "carol@example.com" })).await);
    // a later token of the same person is the same caller
    assert_again(&first, &create(&owner.clone().with("jti", "later").bearer(), &body).await);

    assert_fresh(&keyed(server.post(&Workspace.collection(), &body).by(&owner), KEY).await);
    // one path, the tenant in a header: two requests
    let both = server.joined(Org, "both@example.com", "member").await;
    server.joined_globex(&both).await;
    let verify = |tenant: &str| {
        let post = server.post("/api/v1/tenant/preview-domain/verify", &json!({}));
        keyed(post.by(&both).header("x-miosa-tenant", tenant), KEY)
    };
    let (acme, globex) = (verify(ACME).await, verify(GLOBEX).await);
    assert_fresh(&globex);
    assert_eq!((&acme.json()["domain"], &globex.json()["domain"]), (&json!(ACME_HOST), &json!(GLOBEX_HOST)));
    assert_again(&acme, &verify("acme").await);
}

async fn what_is_no_key_is_refused_and_other_methods_take_none(server: TestServer) {
    let (owner, body) = (acme_owner(), json!({ "email": "bob@example.com" }));
    let create = || server.post(&Org.collection(), &body).by(&owner);
    for bad in ["", "two words", "tab\there", &"x".repeat(256)] {
        let told = keyed(create(), bad).await.refused(400, "BAD_REQUEST");
        assert!(told["message"].as_str().unwrap().contains("Idempotency-Key"), "{told}");
    }
    let twice = keyed(keyed(create(), "one"), "two").await.refused(400, "BAD_REQUEST");
    assert!(twice["message"].as_str().unwrap().contains("twice"), "{twice}");
    assert!(server.pending(Org, &owner).await.is_empty());
    assert_fresh(&keyed(create(), &"x".repeat(255)).await);

    let invited = server.invite(Org, &owner, "carol@example.com", "member").await;
    let edit = |role: &str| server.edit(&invited, &owner, &json!({ "role": role }));
    for role in ["admin", "member", "admin"] {
        let answer = keyed(edit(role), KEY).await;
        assert_fresh(&answer);
        assert_eq!(answer.json()["data"]["role"], role);
    }
    assert_fresh(&keyed(server.get(&Org.collection()).by(&owner), "two words").await);
    assert_fresh(&keyed(server.revoke(&invited, &owner), "two words").await);
}

async fn a_refusal_is_not_kept(server: TestServer) {
    let owner = acme_owner();
    let bob = server.joined(Org, "bob@example.com", "member").await;
    let body = json!({ "email": bob.email() });
    let create = || keyed(server.post(&Org.collection(), &body).by(&owner), KEY);
    create().await.refused(409, "ALREADY_MEMBER");
    let bob_there = format!("/api/v1/tenants/{ACME}/members/u-bob-at-example.com");
    server.delete(&bob_there).by(&owner).await.expect(200);
    let first = create().await;
    assert_fresh(&first);
    assert_again(&first, &create().await);
}

async fn after_a_day_the_key_is_free(server: TestServer) {
    let owner = acme_owner();
    let create =
        |email: &str| keyed(server.post(&Org.collection(), &json!({ "email": email })).by(&owner), KEY);
    let first = create("bob@example.com").await;
    server.letters_to("bob@example.com", 1).await;
    server.advance(Duration::from_secs(24 * 3600 - 60));
    assert_again(&first, &create("bob@example.com").await);
    create("carol@example.com").await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    server.advance(Duration::from_secs(61));
    let second = create("carol@example.com").await;
    assert_fresh(&second);
    assert_again(&second, &create("carol@example.com").await);
    assert_eq!(server.pending(Org, &owner).await.len(), 2);
}

async fn an_acceptance_is_told_again_to_its_person_only(server: TestServer) {
    for kind in KINDS {
        let (bob, eve) = (person(&format!("bob-{kind:?}@example.com")), person("eve@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        let first = keyed(server.accept(&invited, &bob), KEY).await;
        first.expect(200);
        assert_again(&first, &keyed(server.accept(&invited, &bob), KEY).await);
        server.accept(&invited, &bob).await.refused(409, "ALREADY_ACCEPTED");
        keyed(server.accept(&invited, &bob), "another").await.refused(409, "ALREADY_ACCEPTED");
        keyed(server.accept(&invited, &eve), KEY).await.refused(409, "ALREADY_ACCEPTED");
        // the link does not lead there, whatever was told before
        let elsewhere = keyed(server.accept(&invited, &bob), KEY).on(GLOBEX_HOST).await;
        elsewhere.refused_as(kind.unknown());
    }
}

async fn a_credential_or_place_that_is_gone_is_refused_before_anything_is_told_again(server: TestServer) {
    let owner = acme_owner();
    let minted = server.post("/api/v1/api-keys", &json!({ "name": "ci" })).by(&owner).await.expect(201);
    let (key, id) = (minted["key"].as_str().unwrap(), minted["id"].as_str().unwrap());
    let body = json!({ "email": "bob@example.com" });
    let create = |by: &str| keyed(server.post(&Workspace.collection(), &body).bearer(by), KEY);
    let first = create(key).await;
    assert_again(&first, &create(key).await);
    create(key).on(GLOBEX_HOST).await.refused(404, "NOT_FOUND");
    let fewer = json!({ "scopes": ["invites:read"] });
    server.patch(&format!("/api/v1/api-keys/{id}"), &fewer).by(&owner).await.expect(200);
    create(key).await.refused(403, "insufficient_scope");
    assert_eq!(server.delete(&format!("/api/v1/api-keys/{id}")).by(&owner).await.status, 204);
    create(key).await.refused(401, "invalid_token");
}

async fn who_has_gone_from_the_tenant_is_told_nothing_again(server: TestServer) {
    let owner = acme_owner();
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let posts = [
        (Org.collection(), json!({ "email": "bob@example.com" })),
        (Workspace.collection(), json!({ "email": "carl@example.com" })),
        ("/api/v1/api-keys".to_owned(), json!({ "name": "ci" })),
        ("/api/v1/workspaces".to_owned(), json!({ "name": "Night Shift" })),
    ];
    let post = |at: usize| {
        let (path, body) = &posts[at];
        let call = server.post(path, body).by(&admin).header("x-miosa-tenant", ACME);
        keyed(call, KEY)
    };
    for at in 0..posts.len() {
        let first = post(at).await;
        assert_fresh(&first);
        assert_again(&first, &post(at).await);
    }
    let member = format!("/api/v1/tenants/{ACME}/members/{}", admin.user_id());
    server.delete(&member).by(&owner).await.expect(200);
    for at in 0..posts.len() {
        post(at).await.refused(404, "NOT_FOUND");
    }
}

async fn who_has_left_may_hear_of_it_again(server: TestServer) {
    let nurse = server.joined(Workspace, "nurse@example.com", "member").await;
    let leave = || keyed(server.post(&sharing::user(&nurse, "/remove"), &json!({})).by(&nurse), KEY);
    let first = leave().await;
    assert_fresh(&first);
    assert_again(&first, &leave().await);
}

async fn an_answer_whose_master_key_is_gone_is_made_anew(mut server: TestServer) {
    let (owner, body) = (acme_owner(), json!({ "email": "bob@example.com" }));
    let first = keyed(server.post(&Org.collection(), &body).by(&owner), KEY).await;
    let invited = Invited::read(Org, &first.expect(201));
    let key = |id: &str, secret: &str| {
        toml::Table::from_iter([("id".to_owned(), id.into()), ("secret".to_owned(), secret.into())])
    };
    let old = key("k1", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    let new = key("k2", "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=");
    for (keys, again) in [(vec![old, new.clone()], true), (vec![new], false)] {
        server.stop();
        let keys: Vec<toml::Value> = keys.into_iter().map(toml::Value::Table).collect();
        server.setup = server.setup.clone().server("tokens.active_key", "k2").server("tokens.keys", keys);
        server.configure();
        server.serve();
        let answer = keyed(server.post(&Org.collection(), &body).by(&owner), KEY).await;
        if again {
            assert_again(&first, &answer);
        } else {
            assert_fresh(&answer);
            assert_eq!(Invited::read(Org, &answer.expect(201)).id, invited.id, "the same invite, a new link");
            assert_again(&answer, &keyed(server.post(&Org.collection(), &body).by(&owner), KEY).await);
        }
    }
}

async fn nothing_that_is_kept_can_be_read_from_the_rows(server: TestServer) {
    let (owner, bob) = (acme_owner(), person("bob@example.com"));
    let mut secrets = vec![KEY.to_owned()];
    let create = || keyed(server.post(&Org.collection(), &json!({ "email": bob.email() })).by(&owner), KEY);
    let first = create().await;
    assert_again(&first, &create().await);
    let invited = Invited::read(Org, &first.expect(201));
    keyed(server.accept(&invited, &bob), KEY).await.expect(200);
    secrets.push(token_of(&invited.url).rsplit('.').next().unwrap().to_owned());
    let mint = || keyed(server.post("/api/v1/api-keys", &json!({ "name": "ci" })).by(&owner), KEY);
    let minted = mint().await;
    assert_again(&minted, &mint().await);
    let key = minted.json()["key"].as_str().unwrap().to_owned();
    server.get(&Org.collection()).by(&key).await.expect(200);
    secrets.push(key.strip_prefix("msk_u_").unwrap().to_owned());
    let rows = server.inspect().await;
    assert_eq!(rows.count("SELECT count(*) AS n FROM idempotency_records").await, 3);
    let dump = rows.dump().await.to_lowercase();
    assert!(dump.contains("bob@example.com"), "the dump shows what is there");
    for secret in secrets {
        let secret = secret.to_lowercase();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!dump.contains(&secret) && !dump.contains(&hex), "{secret}");
    }
}

async fn what_is_outdated_is_forgotten(mut server: TestServer) {
    let owner = acme_owner();
    let create = |server: &TestServer, key: &str| {
        keyed(server.post(&Org.collection(), &json!({ "email": "bob@example.com" })).by(&owner), key)
    };
    let first = create(&server, "kept").await;
    for at in 0..3 {
        assert_fresh(&create(&server, &format!("old{at}")).await);
    }
    let (rows, now) = (server.inspect().await, server.now());
    let old = format!(
        "UPDATE idempotency_records SET expires_at = {now} WHERE expires_at > (SELECT min(expires_at) FROM idempotency_records)"
    );
    let count = "SELECT count(*) AS n FROM idempotency_records";
    rows.execute(&old).await;
    let outdated = format!("{count} WHERE expires_at <= {now}");
    let outdated = rows.count(&outdated).await;
    let counters = format!(
        "INSERT INTO limit_counters (tenant_id, kind, subject, window_start, used) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 450) \
         SELECT {}, 'recipient', 's' || i, CASE WHEN i <= 3 THEN {now} ELSE 0 END, 1 FROM n",
        rows.id(ACME)
    );
    assert_eq!(rows.execute(&counters).await, 450);
    // it looks when it starts
    server.stop();
    server.serve();
    eventually("what is outdated to be gone", async || {
        let records = rows.count(count).await;
        let counters = rows.count("SELECT count(*) AS n FROM limit_counters").await;
        (records == 4 - outdated && counters == 3).then_some(())
    })
    .await;
    assert_again(&first, &create(&server, "kept").await);
}

async fn twenty_at_once_have_one_outcome_and_one_answer(server: TestServer) {
    let owner = acme_owner();
    for round in 0..4 {
        let (kind, key) = (KINDS[round % 2], format!("{KEY}-{round}"));
        let email = format!("bob{round}@example.com");
        let body = json!({ "email": email });
        let calls =
            (0..20).map(|_| keyed(server.post(&kind.collection(), &body).by(&owner), &key).patiently());
        one_outcome(&join_all(calls).await);
        let minted = (0..20).map(|_| {
            let mint = server.post("/api/v1/api-keys", &json!({ "name": "ci" })).by(&owner);
            keyed(mint, &key).patiently()
        });
        one_outcome(&join_all(minted).await);
    }
    let rows = server.inspect().await;
    assert_eq!(rows.count("SELECT count(*) AS n FROM events WHERE kind = 'invite.created'").await, 4);
    assert_eq!(rows.count("SELECT count(*) AS n FROM events WHERE kind = 'invite.reissued'").await, 0);
    assert_eq!(rows.count("SELECT count(*) AS n FROM api_keys").await, 4);
    rows.assert_sound().await;
}

/// One answer was made and all others tell it again.
#[track_caller]
fn one_outcome(answers: &[Answer]) {
    for answer in answers {
        assert_eq!((answer.status, answer.text()), (201, answers[0].text()));
    }
    let fresh = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).count();
    assert_eq!(fresh, 1);
}

async fn three_servers_on_one_database_give_one_answer(server: TestServer) {
    if server.engine == Engine::Sqlite {
        return; // one process writes to a file
    }
    let owner = acme_owner();
    let servers = [&server, &server.replica(), &server.replica()];
    server.get("/api/v1/workspaces").by(&owner).await.expect(200);
    for round in 0..10 {
        let body = json!({ "name": format!("Ward {round}") });
        let calls = (0..21).map(|at| {
            let create = servers[at % 3].post("/api/v1/workspaces", &body).by(&owner);
            keyed(create, &format!("{KEY}-{round}")).patiently()
        });
        one_outcome(&join_all(calls).await);
    }
    let rows = server.inspect().await;
    assert_eq!(rows.count("SELECT count(*) AS n FROM workspaces WHERE name LIKE 'Ward %'").await, 10);
    rows.assert_sound().await;
}
