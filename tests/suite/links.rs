//! The link: on the tenant's own configured domain whatever a request claims, good for one invite, one version,
//! one tenant and one kind, and never taken in any other spelling.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    ACME_ALIAS, ACME_HOST, GLOBEX_HOST,
    Kind::{self, Org, Workspace},
    PLATFORM, Setup, TestServer, acme_owner, both_engines, globex_owner,
    invites::{KINDS, token_of},
    person,
};

both_engines!(
    no_header_of_a_request_reaches_a_link,
    the_host_of_a_link_is_chosen_among_the_tenants_own,
    a_link_keeps_its_host_when_it_is_sent_again,
    a_tenant_without_a_domain_uses_the_base_url => Setup::new().add_tenant("initech", INITECH),
    a_port_and_a_scheme_can_be_configured => Setup::new()
        .server("server.link_scheme", "http")
        .server("server.link_port", 8080),
    a_token_works_for_its_kind_and_tenant_only,
    no_single_changed_character_is_taken,
    no_other_header_or_signature_is_taken,
    mangled_links_are_refused_cleanly,
    an_id_is_no_token_and_a_token_no_id,
    a_link_of_an_older_key_lives_until_the_key_goes => Setup::new()
        .server("tokens.keys", two_keys()).server("tokens.active_key", "k1"),
);

const INITECH: &str = r#"
id = "01900000-0000-7000-8000-0000000001e1"
slug = "initech"
name = "Initech"
owners = ["owner@initech.test"]
[[workspaces]]
id = "01900000-0000-7000-8000-0000000000c1"
name = "Basement"
"#;

fn two_keys() -> Vec<toml::Table> {
    let key = |id: &str, secret: &str| format!("id = '{id}'\nsecret = '{secret}'").parse().unwrap();
    vec![
        key("k1", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        key("k2", "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="),
    ]
}

async fn no_header_of_a_request_reaches_a_link(server: TestServer) {
    for (at, kind) in KINDS.into_iter().enumerate() {
        for (nth, header) in [
            ("x-forwarded-host", "evil.test"),
            ("forwarded", "host=evil.test;proto=http"),
            ("x-host", "evil.test"),
            ("x-original-host", "evil.test"),
            ("x-forwarded-server", "evil.test"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-port", "1234"),
            ("x-forwarded-prefix", "/evil.test"),
            ("origin", "https://evil.test"),
            ("referer", "https://evil.test/"),
        ]
        .into_iter()
        .enumerate()
        {
            let email = format!("bob{at}{nth}@example.com");
            let body = json!({ "email": email });
            let answer =
                server.post(&kind.collection(), &body).by(&acme_owner()).header(header.0, header.1).await;
            let url = answer.expect(201)["data"]["invite_url"].as_str().unwrap().to_owned();
            assert!(url.starts_with("https://app.acme.test/"), "{header:?}: {url}");
            let id = answer.json()["data"]["id"].as_str().unwrap().to_owned();
            server.letters_to(&email, 1).await; // a mail that has not left when its invite is resent never does
            server.advance(Duration::from_secs(61));
            let path = format!("{}/resend", kind.item(&id));
            let again = server.post(&path, &json!({})).by(&acme_owner()).header(header.0, header.1).await;
            assert_eq!(again.expect(200)["invite_url"], url);
            for letter in server.letters_to(&email, 2).await {
                assert_eq!(letter.link, url);
                let all = format!("{} {} {}", letter.subject, letter.text, letter.html);
                assert!(!all.contains("evil.test"), "{all}");
            }
        }
    }
}

async fn the_host_of_a_link_is_chosen_among_the_tenants_own(server: TestServer) {
    for kind in KINDS {
        for (at, (asked_on, linked_to)) in [
            (PLATFORM, ACME_HOST),
            (ACME_HOST, ACME_HOST),
            (ACME_ALIAS, ACME_ALIAS),
            ("127.0.0.1", ACME_HOST),
        ]
        .into_iter()
        .enumerate()
        {
            let body = json!({ "email": format!("bob{at}@example.com") });
            let answer =
                server.post(&kind.collection(), &body).by(&acme_owner()).on(asked_on).await.expect(201);
            let url = answer["data"]["invite_url"].as_str().unwrap();
            assert!(url.starts_with(&format!("https://{linked_to}/")), "asked on {asked_on}: {url}");
            // it works on every domain of its tenant and on platform hosts
            for host in [ACME_HOST, ACME_ALIAS, PLATFORM] {
                server.get(&kind.token(&token_of(url))).on(host).await.expect(200);
                assert_eq!(server.get(&kind.page(&token_of(url))).on(host).await.status, 200, "{host}");
            }
        }
    }
}

async fn a_link_keeps_its_host_when_it_is_sent_again(server: TestServer) {
    for kind in KINDS {
        let email = format!("bob-{kind:?}@example.com");
        let body = json!({ "email": email });
        let answer =
            server.post(&kind.collection(), &body).by(&acme_owner()).on(ACME_ALIAS).await.expect(201);
        let url = answer["data"]["invite_url"].as_str().unwrap();
        let path = format!("{}/resend", kind.item(answer["data"]["id"].as_str().unwrap()));
        server.letters_to(&email, 1).await;
        server.advance(Duration::from_secs(61));
        let again = server.post(&path, &json!({})).by(&acme_owner()).on(ACME_HOST).await.expect(200);
        assert_eq!(again["invite_url"], url);
        assert!(server.letters_to(&email, 2).await.iter().all(|letter| letter.link == url));
        let repeat = server.post(&kind.collection(), &body).by(&acme_owner()).on(ACME_HOST).await.expect(201);
        assert_eq!(repeat["data"]["invite_url"], url);
    }
}

async fn a_tenant_without_a_domain_uses_the_base_url(server: TestServer) {
    let owner = person("owner@initech.test");
    let collection = Org.collection_in("01900000-0000-7000-8000-0000000001e1");
    let body = json!({ "email": "bob@example.com" });
    let answer = server.post(&collection, &body).by(&owner).await.expect(201);
    let url = answer["data"]["invite_url"].as_str().unwrap();
    assert!(url.starts_with("http://localhost:8080/invites/eyJ"), "{url}");
    server.get(&Org.token(&token_of(url))).await.expect(200);
    let elsewhere = server.get(&Org.token(&token_of(url))).on(ACME_HOST).await;
    elsewhere.refused(404, "invalid_token");
}

async fn a_port_and_a_scheme_can_be_configured(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    assert!(invited.url.starts_with("http://app.acme.test:8080/workspace-invites/eyJ"), "{}", invited.url);
}

async fn a_token_works_for_its_kind_and_tenant_only(server: TestServer) {
    let bob = person("bob@example.com");
    let other = |kind| if kind == Org { Workspace } else { Org };
    for kind in KINDS {
        let acme = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        let globex = server.invite_to_globex(kind, bob.email()).await;
        for (invited, own, foreign) in [(&acme, ACME_HOST, GLOBEX_HOST), (&globex, GLOBEX_HOST, ACME_HOST)] {
            server.get(&kind.token(&invited.token)).on(own).await.expect(200);
            for (host, wrong_kind) in [(own, true), (PLATFORM, true), (foreign, true), (foreign, false)] {
                let kind: Kind = if wrong_kind { other(kind) } else { kind };
                let (path, random) =
                    (kind.token(&invited.token), kind.token(&"A".repeat(invited.token.len())));
                let (there, nothing) = (server.get(&path).on(host).await, server.get(&random).on(host).await);
                there.refused(404, kind.invalid_token());
                assert_eq!(there.anonymous(), nothing.anonymous());
                for act in ["accept", "decline"] {
                    let (path, random) = (format!("{path}/{act}"), format!("{random}/{act}"));
                    let there = server.post(&path, &json!({})).by(&bob).on(host).await;
                    let nothing = server.post(&random, &json!({})).by(&bob).on(host).await;
                    there.refused_as(kind.unknown());
                    assert_eq!(there.anonymous(), nothing.anonymous(), "{path} on {host}");
                }
            }
        }
    }
    let accepted = "SELECT count(*) AS n FROM invites WHERE status <> 'pending'";
    assert_eq!(server.inspect().await.count(accepted).await, 0);
    server.get(&Org.globex_collection()).by(&globex_owner()).await.expect(200);
}

async fn no_single_changed_character_is_taken(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        let token = &invited.token;
        for at in 0..token.len() {
            for with in ["A", "w", "9", "_", "."] {
                if &token[at..=at] == with {
                    continue;
                }
                let changed = format!("{}{with}{}", &token[..at], &token[at + 1..]);
                server.get(&kind.token(&changed)).await.refused(404, kind.invalid_token());
                if with == "A" {
                    let path = format!("{}/accept", kind.token(&changed));
                    server.post(&path, &json!({})).by(&bob).await.refused_as(kind.unknown());
                }
            }
        }
        server.accept(&invited, &bob).await.expect(200);
    }
}

async fn no_other_header_or_signature_is_taken(server: TestServer) {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let bob = person("bob@example.com");
    let invited = server.invite(Workspace, &acme_owner(), bob.email(), "member").await;
    let other = server.invite(Workspace, &acme_owner(), "carl@example.com", "owner").await;
    let parts: Vec<&str> = invited.token.split('.').collect();
    let others: Vec<&str> = other.token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let claims = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let spaced = String::from_utf8(claims.clone()).unwrap().replace(',', ", ");
    let extra = String::from_utf8(claims).unwrap().replace('}', r#","role":"owner"}"#);
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    for forged in [
        format!("{}.{payload}.", encoded(r#"{"alg":"none"}"#)),
        format!("{}.{payload}.{signature}", encoded(r#"{"alg":"none"}"#)),
        format!("{}.{payload}.{signature}", encoded(r#"{"alg":"HS512","kid":"k1"}"#)),
        format!("{}.{payload}.{signature}", encoded(r#"{"alg":"RS256","jku":"http://127.0.0.1:1/"}"#)),
        format!("{}.{payload}.{signature}", encoded(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#)),
        format!("{header}.{}.{signature}", encoded(&spaced)),
        format!("{header}.{}.{signature}", encoded(&extra)),
        format!("{header}.{}.{signature}", others[1]),
        format!("{header}.{payload}.{}", others[2]),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}.{}", "A".repeat(7_000)),
    ] {
        server.get(&Workspace.token(&forged)).await.refused(404, "INVALID_TOKEN");
        let path = format!("{}/accept", Workspace.token(&forged));
        server.post(&path, &json!({})).by(&bob).await.refused(404, "INVALID_TOKEN");
    }
    server.accept(&invited, &bob).await.expect(200);
}

async fn mangled_links_are_refused_cleanly(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let token = &invited.token;
    for mangled in [
        token.to_uppercase(),
        token.to_lowercase(),
        format!("{token}."),
        format!("{token})"),
        format!("{token}%3E"),
        format!("{token}%3D"),
        format!("{token}%0D%0A"),
        format!("{token}%00"),
        format!("%20{token}"),
        token.replace('.', "%2e%2e"),
    ] {
        let answer = server.get(&Workspace.token(&mangled)).await;
        answer.refused(404, "INVALID_TOKEN");
    }
    let suffixed = server.get(&format!("{}/x.css", Workspace.token(token))).await;
    suffixed.refused(404, "NOT_FOUND");
    assert_eq!(server.get(&format!("{}/", Workspace.token(token))).await.status, 404);
}

async fn an_id_is_no_token_and_a_token_no_id(server: TestServer) {
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "bob@example.com", "member").await;
        server.get(&kind.token(&invited.id)).await.refused(404, kind.invalid_token());
        let by_id = format!("{}/accept", kind.token(&invited.id));
        server.post(&by_id, &json!({})).by(&person("bob@example.com")).await.refused_as(kind.unknown());
        server.delete(&kind.item(&invited.token)).by(&acme_owner()).await.refused(400, "INVALID_ID");
        server.get(&kind.item(&invited.token)).by(&acme_owner()).await.refused(400, "INVALID_ID");
    }
}

async fn a_link_of_an_older_key_lives_until_the_key_goes(mut server: TestServer) {
    let bob = person("bob@example.com");
    let old = server.invite(Workspace, &acme_owner(), bob.email(), "member").await;
    server.stop();
    server.setup = server.setup.clone().server("tokens.active_key", "k2");
    server.configure();
    server.serve();
    server.preview(&old).await.expect(200);
    let fresh = server.invite(Workspace, &acme_owner(), "carl@example.com", "member").await;

    server.stop();
    server.setup = server.setup.clone().server("tokens.keys", vec![two_keys().remove(1)]);
    server.configure();
    server.serve();
    server.preview(&old).await.refused(404, "INVALID_TOKEN");
    server.preview(&fresh).await.expect(200);
    // a resend finds the row's key gone and goes over to the active one
    let body = server.resend(&old, &acme_owner(), &json!({ "rotate": true })).await.expect(200);
    let token = token_of(body["invite_url"].as_str().unwrap());
    let path = format!("{}/accept", Workspace.token(&token));
    server.post(&path, &json!({})).by(&bob).await.expect(200);
}
