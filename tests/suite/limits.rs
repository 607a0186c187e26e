//! How often anybody may do what others feel: invitations by inviter, by key, to an address and in a tenant; unknown
//! links and failed credentials by where they come from. Whoever is refused is told when to come back, and nothing is
//! dropped in silence.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    ACME_HOST, Credential, Engine,
    Kind::{self, Org, Workspace},
    PLATFORM, Setup, TestServer, acme_owner, both_engines,
    client::Answer,
    invites::KINDS,
    person,
};

both_engines!(
    an_inviter_meets_their_limit_and_nobody_else_does => Setup::new()
        .server("limits.invites_per_inviter", "3/1h")
        .server("limits.invites_per_api_key", "3/1h"),
    an_address_is_not_flooded_by_whomever_and_however => Setup::new()
        .server("limits.invites_per_recipient", "3/1h")
        .server("invites.resend_cooldown", "0s"),
    a_tenants_limit_counts_everybody_in_it => Setup::new().acme("limits.invites_per_tenant", "3/1h"),
    what_was_counted_outlives_a_restart_and_counts_on_every_server => Setup::new()
        .server("limits.invites_per_inviter", "4/1h"),
    whoever_guesses_links_is_slowed_down_and_whoever_holds_one_is_not => Setup::new()
        .server("limits.requests_per_ip", "5/1h"),
    a_forwarded_address_counts_from_a_trusted_proxy_only => Setup::new()
        .server("limits.requests_per_ip", "5/1h"),
    behind_a_proxy_everybody_has_a_limit_of_their_own => Setup::new()
        .server("limits.requests_per_ip", "5/1h")
        .server("server.trusted_proxies", vec!["127.0.0.1/32"]),
);

async fn create(server: &TestServer, kind: Kind, by: &(impl Credential + ?Sized), email: &str) -> Answer {
    server.post(&kind.collection(), &json!({ "email": email, "role": "member" })).by(by).await
}

/// Asserts a refusal that says when to come back.
#[track_caller]
fn limited(answer: &Answer) {
    let body = answer.refused(429, "rate_limit_exceeded");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    assert_eq!(body["retry_after"], seconds);
}

async fn an_inviter_meets_their_limit_and_nobody_else_does(server: TestServer) {
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    for at in 0..3 {
        create(&server, KINDS[at % 2], &admin, &format!("a{at}@example.com")).await.expect(201);
    }
    for kind in KINDS {
        limited(&create(&server, kind, &admin, "more@example.com").await);
    }
    // a key has the limit of keys, and making another one makes no room
    let mint = async || {
        let key = server.post("/api/v1/api-keys", &json!({ "name": "k" })).by(&admin).await.expect(201);
        key["key"].as_str().unwrap().to_owned()
    };
    let keys = [mint().await, mint().await, mint().await];
    for (at, key) in keys.iter().enumerate() {
        create(&server, Org, key, &format!("k{at}@example.com")).await.expect(201);
    }
    for key in &keys {
        limited(&create(&server, Org, key, "more@example.com").await);
    }
    limited(&create(&server, Org, &mint().await, "more@example.com").await);
    create(&server, Org, &acme_owner(), "others@example.com").await.expect(201);
    let refused = "SELECT count(*) AS n FROM invites WHERE email_norm = 'more@example.com'";
    assert_eq!(server.inspect().await.count(refused).await, 0);
    // time makes room again
    server.advance(Duration::from_secs(2 * 3600));
    create(&server, Org, &admin, "more@example.com").await.expect(201);
}

async fn an_address_is_not_flooded_by_whomever_and_however(server: TestServer) {
    let (owner, victim) = (acme_owner(), "victim@example.com");
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let invited = server.invite(Org, &owner, victim, "member").await;
    server.letters_to(victim, 1).await;
    server.resend(&invited, &owner, &json!({})).await.expect(200);
    server.letters_to(victim, 2).await;
    // revoking gives nothing back
    server.revoke(&invited, &owner).await.expect(200);
    let again = server.invite(Org, &owner, victim, "member").await;
    server.letters_to(victim, 3).await;
    for body in [json!({}), json!({ "rotate": true })] {
        limited(&server.resend(&again, &owner, &body).await);
    }
    limited(&create(&server, Workspace, &admin, victim).await);
    limited(&create(&server, Workspace, &admin, "VICTIM@Example.com").await);
    limited(&create(&server, Org, &admin, victim).await);
    server.revoke(&again, &owner).await.expect(200);
    limited(&create(&server, Org, &owner, victim).await);
    // whoever is refused has sent nothing, and other addresses are not concerned
    create(&server, Org, &owner, "other@example.com").await.expect(201);
    server.letters_to("other@example.com", 1).await;
    assert_eq!(server.letters_to(victim, 3).await.len(), 3);
    // no address is kept to count by
    let subjects = server.inspect().await.texts("SELECT subject AS t FROM limit_counters").await;
    assert!(subjects.iter().all(|subject| !subject.contains('@')), "{subjects:?}");
}

async fn a_tenants_limit_counts_everybody_in_it(server: TestServer) {
    let service = ["api-key", "create", "--tenant", "acme", "--service", "--role", "admin"];
    let service = server.cli(&service).await.data();
    create(&server, Org, &acme_owner(), "a@example.com").await.expect(201);
    create(&server, Org, &service, "b@example.com").await.expect(201);
    create(&server, Workspace, &acme_owner(), "c@example.com").await.expect(201);
    limited(&create(&server, Org, &service, "d@example.com").await);
    limited(&create(&server, Workspace, &acme_owner(), "d@example.com").await);
    server.invite_to_globex(Org, "d@example.com").await;
}

async fn what_was_counted_outlives_a_restart_and_counts_on_every_server(mut server: TestServer) {
    let owner = acme_owner();
    create(&server, Org, &owner, "a@example.com").await.expect(201);
    server.stop();
    server.serve();
    create(&server, Org, &owner, "b@example.com").await.expect(201);
    let other = (server.engine == Engine::Postgres).then(|| server.replica());
    let other = other.as_ref().unwrap_or(&server);
    create(other, Org, &owner, "c@example.com").await.expect(201);
    create(&server, Org, &owner, "d@example.com").await.expect(201);
    for one in [&server, other] {
        limited(&create(one, Org, &owner, "e@example.com").await);
    }
}

/// The next guess at a link: its shape is right, nothing else.
fn guess(at: usize) -> String {
    format!("eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.eyJpIjoi{at}In0.{}", "A".repeat(43))
}

async fn whoever_guesses_links_is_slowed_down_and_whoever_holds_one_is_not(server: TestServer) {
    let bob = person("bob@example.com");
    let invited = server.invite(Workspace, &acme_owner(), bob.email(), "member").await;
    for at in 0..5 {
        let (kind, path) = (KINDS[at % 2], guess(at));
        match at {
            0 | 1 => drop(server.get(&kind.token(&path)).await.refused(404, kind.invalid_token())),
            2 => {
                let accept = format!("{}/accept", kind.token(&path));
                server.post(&accept, &json!({})).by(&bob).await.refused_as(kind.unknown());
            }
            _ => assert_eq!(server.get(&kind.page(&path)).on(ACME_HOST).await.status, 404),
        }
    }
    for kind in KINDS {
        for host in [PLATFORM, ACME_HOST] {
            limited(&server.get(&kind.token(&guess(9))).on(host).await);
            assert_eq!(server.get(&kind.page(&guess(9))).on(host).await.status, 429);
            let accept = format!("{}/accept", kind.token(&guess(9)));
            limited(&server.post(&accept, &json!({})).by(&bob).on(host).await);
        }
    }
    limited(&server.get("/api/v1/workspaces").bearer("nonsense").await);
    // the same address, with what is genuine
    server.preview(&invited).await.expect(200);
    assert_eq!(server.get(&Workspace.page(&invited.token)).on(ACME_HOST).await.status, 200);
    server.accept(&invited, &bob).await.expect(200);
    server.get("/api/v1/workspaces").by(&bob).await.expect(200);
}

/// Guesses a link with such a header and tells whether the limit was met.
async fn is_limited(server: &TestServer, at: usize, header: (&str, &str)) -> bool {
    let answer = server.call(Method::GET, &Org.token(&guess(at))).header(header.0, header.1).await;
    assert!([404, 429].contains(&answer.status), "{}", answer.text());
    answer.status == 429
}

async fn a_forwarded_address_counts_from_a_trusted_proxy_only(server: TestServer) {
    let mut limits = Vec::new();
    for at in 0..8 {
        let (address, element) = (format!("192.0.2.{at}"), format!("for=192.0.2.{at}"));
        let header = [
            ("x-forwarded-for", address.as_str()),
            ("forwarded", element.as_str()),
            ("x-real-ip", address.as_str()),
        ];
        limits.push(is_limited(&server, at, header[at % 3]).await);
    }
    assert_eq!(limits, [false, false, false, false, false, true, true, true], "nobody is anybody else");
}

async fn behind_a_proxy_everybody_has_a_limit_of_their_own(server: TestServer) {
    // what stands further left was made up by the client
    for at in 0..5 {
        assert!(!is_limited(&server, at, ("x-forwarded-for", &format!("198.51.100.{at}, 192.0.2.1"))).await);
    }
    assert!(is_limited(&server, 5, ("x-forwarded-for", "198.51.100.77, 192.0.2.1")).await);
    assert!(!is_limited(&server, 6, ("x-forwarded-for", "192.0.2.1, 192.0.2.2")).await, "nobody is framed");
    let told: Value = server.get("/api/v1/workspaces").by(&acme_owner()).await.expect(200);
    assert!(told["data"].is_array());
}
