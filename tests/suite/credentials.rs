//! Which credentials are believed, and how far: what a JWT must say, what a tenant's own issuer may speak for,
//! how configured owners come to be, and what API keys can do.

use jsonwebtoken::Algorithm;
use serde_json::json;
use usher::domain::Clock;

use crate::support::{
    ACME_HOST, CLINIC, Credential, GLOBEX_HOST,
    Kind::{Org, Workspace},
    Person, Setup, TestServer, acme_owner, both_engines, globex_owner, globex_person,
    invites::KINDS,
    person,
    setup::{GLOBEX_ISSUER, ISSUER},
};

both_engines!(
    a_call_without_a_trusted_credential_is_401,
    audience_issuer_subject_and_expiry_are_demanded,
    an_audience_list_that_names_us_is_fine,
    the_audience_can_stand_in_another_claim => Setup::new().issuer("audience_claim", "azp"),
    times_must_be_plain_numbers_and_in_order,
    the_algorithm_belongs_to_the_key,
    a_tenants_issuer_opens_no_other_tenant,
    a_tenants_issuer_cannot_accept_elsewhere,
    an_issuer_does_not_speak_with_anothers_secret,
    two_issuers_do_not_share_a_person => Setup::new().add_issuer(second_issuer()),
    a_tenants_issuer_makes_no_system_admin,
    a_configured_owner_must_be_verified,
    a_configured_owner_is_granted_once,
    a_key_acts_as_its_person,
    a_scoped_key_does_what_its_scopes_say,
    a_key_that_is_not_one_is_refused,
    a_service_key_manages_and_cannot_accept,
    a_revoked_key_is_dead,
    only_a_credential_that_fails_counts_against_an_address => Setup::new()
        .server("limits.requests_per_ip", "2/1h"),
);

fn second_issuer() -> toml::Table {
    r#"
    issuer = "https://second.example.test"
    audience = "usher"
    algorithms = ["HS256"]
    hs256_secret = "the-second-issuer-has-a-secret-of-its-own-32"
    "#
    .parse()
    .unwrap()
}

/// Whether this credential is believed at all: the owner's list of invites.
async fn believed(server: &TestServer, who: &(impl Credential + ?Sized)) -> bool {
    let answer = server.get(&Org.collection()).by(who).await;
    match answer.status {
        200 => true,
        _ => {
            answer.refused(401, "invalid_token");
            false
        }
    }
}

async fn a_call_without_a_trusted_credential_is_401(server: TestServer) {
    server.get(&Org.collection()).await.refused(401, "invalid_token");
    for header in ["", "Bearer", "Bearer ", "Basic b3duZXI6cHc=", "Token abc", "Bearer a b", "bearer"] {
        let answer = server.get(&Org.collection()).header("authorization", header).await;
        answer.refused(401, "invalid_token");
    }
    // a token in the query is no credential
    let jwt = acme_owner().bearer();
    server
        .get(&format!("{}?access_token={jwt}&token={jwt}", Org.collection()))
        .await
        .refused(401, "invalid_token");
    // an invite's token is none either, nor is a credential an invite's token
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    server.get(&Org.collection()).bearer(&invited.token).await.refused(401, "invalid_token");
    server.get(&Workspace.token(&jwt)).await.refused(404, "INVALID_TOKEN");
}

async fn audience_issuer_subject_and_expiry_are_demanded(server: TestServer) {
    let owner = acme_owner();
    assert!(believed(&server, &owner).await);
    for (what, who) in [
        ("no audience", owner.clone().without("aud")),
        ("another audience", owner.clone().with("aud", "somebody-else")),
        ("an empty audience", owner.clone().with("aud", "")),
        ("audiences without us", owner.clone().with("aud", json!(["a", "b"]))),
        ("no issuer", owner.clone().without("iss")),
        ("another issuer", owner.clone().with("iss", "https://evil.test")),
        ("a list of issuers", owner.clone().with("iss", json!([ISSUER.0]))),
        ("no subject", owner.clone().without("sub")),
        ("an empty subject", owner.clone().with("sub", "")),
        ("a numeric subject", owner.clone().with("sub", 7)),
        ("no end", owner.clone().without("exp")),
        ("another secret", owner.clone().signed_with("another-secret-that-is-at-least-32-bytes-long")),
    ] {
        assert!(!believed(&server, &who).await, "{what}");
    }
}

async fn an_audience_list_that_names_us_is_fine(server: TestServer) {
    assert!(believed(&server, &acme_owner().with("aud", json!(["other", "usher"]))).await);
}

async fn the_audience_can_stand_in_another_claim(server: TestServer) {
    assert!(believed(&server, &acme_owner().without("aud").with("azp", "usher")).await);
    assert!(!believed(&server, &acme_owner()).await, "`azp` is the configured claim and is missing");
    assert!(!believed(&server, &acme_owner().with("azp", "other")).await);
}

async fn times_must_be_plain_numbers_and_in_order(server: TestServer) {
    let (owner, now) = (acme_owner(), Clock::wall().0 / 1000);
    for (what, who) in [
        ("long over", owner.clone().with("exp", now - 3600)),
        ("an end as text", owner.clone().with("exp", (now + 3600).to_string())),
        ("a negative end", owner.clone().with("exp", -1)),
        ("an end beyond all numbers", owner.clone().with("exp", json!(1e20))),
        ("not yet", owner.clone().with("nbf", now + 3600)),
        ("a beginning as text", owner.clone().with("nbf", "soon")),
    ] {
        assert!(!believed(&server, &who).await, "{what}");
    }
    assert!(believed(&server, &owner.with("nbf", now - 5)).await);
}

async fn the_algorithm_belongs_to_the_key(server: TestServer) {
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert!(!believed(&server, &acme_owner().signed_as(algorithm)).await, "{algorithm:?}");
    }
    let jwt = acme_owner().bearer();
    let (_, rest) = jwt.split_once('.').unwrap();
    let (claims, _) = rest.split_once('.').unwrap();
    for header in [
        r#"{"alg":"none","typ":"JWT"}"#,
        r#"{"alg":"hs256","typ":"JWT"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":"../../etc/passwd"}"#,
        r#"{"alg":"RS256","jku":"http://127.0.0.1:1/keys"}"#,
        r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#,
    ] {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        for signature in ["", "AAAA"] {
            let forged = format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(header));
            assert!(!believed(&server, &forged).await, "{header}");
        }
    }
}

async fn a_tenants_issuer_opens_no_other_tenant(server: TestServer) {
    // the address of acme's owner, from globex's issuer
    let posing = globex_person("owner@acme.test");
    let never = "01900000-0000-7000-8000-00000000ffff";
    for kind in KINDS {
        let body = json!({ "email": "x@example.com" });
        let real = server.post(&kind.collection(), &body).by(&posing).await;
        let absent = server.post(&kind.collection_in(never), &body).by(&posing).await;
        assert_eq!(real.status, 404, "{}", real.text());
        assert_eq!(real.anonymous(), absent.anonymous());
        assert_eq!(server.get(&kind.collection()).by(&posing).await.status, 404);
        let at_acme = server.get(&kind.collection()).by(&posing).on(ACME_HOST).await;
        assert!([401, 404].contains(&at_acme.status), "{}", at_acme.text());
    }
    let owners = "SELECT count(*) AS n FROM tenant_members WHERE user_id LIKE 'globex:%'";
    assert_eq!(server.inspect().await.count(owners).await, 0);
    server.invite_to_globex(Org, "greta@example.com").await;
}

async fn a_tenants_issuer_cannot_accept_elsewhere(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "admin").await;
        let posing = globex_person(bob.email());
        let answer = server.accept(&invited, &posing).await;
        assert!([400, 401, 404].contains(&answer.status), "{}", answer.text());
        let declined = server.decline(&invited, &posing).await;
        assert_eq!(declined.anonymous(), answer.anonymous());
        assert_eq!(server.show(&invited, &acme_owner()).await.expect(200)["data"]["status"], "pending");
        server.accept(&invited, &bob).await.expect(200);
    }
}

async fn an_issuer_does_not_speak_with_anothers_secret(server: TestServer) {
    let crossed = Person::of((ISSUER.0, GLOBEX_ISSUER.1), "owner@acme.test");
    assert!(!believed(&server, &crossed).await);
    let crossed = Person::of((GLOBEX_ISSUER.0, ISSUER.1), "owner@globex.test");
    server.get(&Org.globex_collection()).by(&crossed).await.refused(401, "invalid_token");
    server.get(&Org.globex_collection()).by(&globex_owner()).await.expect(200);
    server.get(&Org.globex_collection()).by(&globex_owner()).on(GLOBEX_HOST).await.expect(200);
}

async fn two_issuers_do_not_share_a_person(server: TestServer) {
    let bob = server.joined(Org, "bob@example.com", "admin").await;
    server.get(&Org.collection()).by(&bob).await.expect(200);
    // the second server-level issuer has an empty prefix too: whoever comes second to an id is refused
    let secret = "the-second-issuer-has-a-secret-of-its-own-32";
    let twin = Person::of(("https://second.example.test", secret), "bob@example.com");
    assert_eq!(twin.user_id(), bob.user_id());
    server.get(&Org.collection()).by(&twin).await.refused(401, "invalid_token");
    let other = Person::of(("https://second.example.test", secret), "carl@example.com");
    let invited = server.invite(Org, &acme_owner(), other.email(), "member").await;
    server.accept(&invited, &other).await.expect(200);
}

async fn a_tenants_issuer_makes_no_system_admin(server: TestServer) {
    let admin = person("root@example.com").with("role", "system_admin");
    server.get(&Org.collection()).by(&admin).await.expect(200);
    let posing = globex_person("root@globex.test").with("role", "system_admin");
    assert_eq!(server.get(&Org.collection()).by(&posing).await.status, 404);
    let at_home = server.get(&Org.globex_collection()).by(&posing).await;
    assert_eq!(at_home.status, 404, "not a member of its own tenant either: {}", at_home.text());
}

async fn a_configured_owner_must_be_verified(server: TestServer) {
    for who in [
        acme_owner().with("email_verified", false),
        acme_owner().with("email_verified", "true"),
        acme_owner().without("email_verified"),
    ] {
        assert_eq!(server.get(&Org.collection()).by(&who).await.status, 404);
    }
    server.get(&Org.collection()).by(&acme_owner()).await.expect(200);
}

async fn a_configured_owner_is_granted_once(server: TestServer) {
    let first = acme_owner();
    server.get(&Org.collection()).by(&first).await.expect(200);
    let twin = acme_owner().with("sub", "u-a-second-account");
    assert_eq!(server.get(&Org.collection()).by(&twin).await.status, 404, "the address was granted already");

    let other = server.joined(Org, "other@example.com", "owner").await;
    server.cli(&["member", "remove", &first.user_id(), "--tenant", "acme"]).await.data();
    assert_eq!(server.get(&Org.collection()).by(&first).await.status, 404, "removed is removed");
    server.get(&Org.collection()).by(&other).await.expect(200);
}

/// A key minted by the operator.
async fn key(server: &TestServer, further: &[&str]) -> String {
    let mut arguments = vec!["api-key", "create", "--tenant", "acme"];
    arguments.extend(further);
    let key = server.cli(&arguments).await.data();
    assert!(key.starts_with("msk_u_") && !key.contains(char::is_whitespace), "the key alone: {key}");
    key
}

async fn a_key_acts_as_its_person(server: TestServer) {
    server.get(&Org.collection()).by(&acme_owner()).await.expect(200);
    let owners = key(&server, &["--email", "owner@acme.test", "--name", "ci"]).await;
    let invited = server.invite(Workspace, &owners, "bob@example.com", "member").await;
    server.get(&Org.collection()).header("x-api-key", &owners).await.expect(200);
    // pinned to its tenant in what it manages
    assert_eq!(server.get(&Org.globex_collection()).by(&owners).await.status, 404);

    let bobs = server.cli(&["api-key", "create", "--email", "bob@example.com"]).await.data();
    let body = server.accept(&invited, &bobs).await.expect(200);
    assert_eq!(body["workspace_id"], CLINIC);
    let mallorys = server.cli(&["api-key", "create", "--email", "mallory@example.com"]).await.data();
    let next = server.invite(Workspace, &owners, "carl@example.com", "member").await;
    server.accept(&next, &mallorys).await.refused(422, "EMAIL_MISMATCH");
}

async fn a_scoped_key_does_what_its_scopes_say(server: TestServer) {
    server.get(&Org.collection()).by(&acme_owner()).await.expect(200);
    let reader = key(&server, &["--email", "owner@acme.test", "--scopes", "invites:read"]).await;
    let writer = key(&server, &["--email", "owner@acme.test", "--scopes", "invites:write"]).await;
    let neither = key(&server, &["--email", "owner@acme.test", "--scopes", "members:write,unheard:of"]).await;
    for kind in KINDS {
        let body = json!({ "email": "bob@example.com" });
        server.post(&kind.collection(), &body).by(&reader).await.refused(403, "insufficient_scope");
        server.post(&kind.collection(), &body).by(&neither).await.refused(403, "insufficient_scope");
        let invited = server.invite_with(kind, &writer, body).await;
        server.get(&kind.collection()).by(&reader).await.expect(200);
        server.get(&kind.collection()).by(&writer).await.expect(200);
        server.get(&kind.collection()).by(&neither).await.refused(403, "insufficient_scope");
        server.show(&invited, &reader).await.expect(200);
        server.revoke(&invited, &reader).await.refused(403, "insufficient_scope");
        server.resend(&invited, &reader, &json!({})).await.refused(403, "insufficient_scope");
        server.edit(&invited, &reader, &json!({ "role": "admin" })).await.refused(403, "insufficient_scope");
        server.revoke(&invited, &writer).await.expect(200);
    }
}

async fn a_key_that_is_not_one_is_refused(server: TestServer) {
    server.get(&Org.collection()).by(&acme_owner()).await.expect(200);
    let good = key(&server, &["--email", "owner@acme.test"]).await;
    let mut flipped = good.clone();
    let last = if flipped.pop() == Some('A') { 'B' } else { 'A' };
    flipped.push(last);
    let mut inner = good.clone().into_bytes();
    inner[10] = if inner[10] == b'x' { b'y' } else { b'x' };
    let inner = String::from_utf8(inner).unwrap();
    for bad in [&flipped, &inner, &good[..good.len() - 1], "msk_u_", "msk_p_0123456789", "msk_"] {
        assert!(!believed(&server, bad).await, "{bad}");
    }
    assert!(believed(&server, &good).await);
}

async fn a_service_key_manages_and_cannot_accept(server: TestServer) {
    let service = key(&server, &["--service", "--role", "admin", "--name", "back end"]).await;
    for kind in KINDS {
        let invited = server.invite(kind, &service, &format!("bob-{kind:?}@example.com"), "admin").await;
        server.accept(&invited, &service).await.refused(403, "FORBIDDEN");
        let body = json!({ "email": "boss@example.com", "role": "owner" });
        server.post(&kind.collection(), &body).by(&service).await.refused(403, "FORBIDDEN");
        server.accept(&invited, &person(&format!("bob-{kind:?}@example.com"))).await.expect(200);
    }
}

async fn a_revoked_key_is_dead(server: TestServer) {
    let service = key(&server, &["--service", "--role", "admin", "--name", "doomed"]).await;
    let invited = server.invite(Org, &service, "bob@example.com", "member").await;
    let keys = server.cli(&["api-key", "list", "--tenant", "acme", "--json"]).await;
    assert!(!keys.stdout.contains(&service), "a key is shown once");
    let listed = keys.json();
    let all = listed.as_array().or_else(|| listed["data"].as_array()).unwrap();
    let id = all[0]["id"].as_str().unwrap();
    server.cli(&["api-key", "revoke", id]).await.data();
    crate::support::eventually("the key to be refused", async || {
        (server.get(&Org.collection()).by(&service).await.status == 401).then_some(())
    })
    .await;
    server.accept(&invited, &person("bob@example.com")).await.refused(409, "INVITER_NOT_AUTHORIZED");
}

async fn only_a_credential_that_fails_counts_against_an_address(server: TestServer) {
    let path = Org.collection();
    for _ in 0..5 {
        server.get(&path).await.refused(401, "invalid_token");
    }
    for _ in 0..2 {
        server.get(&path).bearer("nonsense").await.refused(401, "invalid_token");
    }
    let limited = server.get(&path).bearer("nonsense").await;
    limited.refused(429, "rate_limit_exceeded");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() > 0);
    // nor does the limit touch whoever shows none, or a good one
    server.get(&path).await.refused(401, "invalid_token");
    server.get(&path).by(&acme_owner()).await.expect(200);
}
