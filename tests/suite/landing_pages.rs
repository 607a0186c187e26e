//! The page behind a link: on the tenant's own host, one page per state, nothing loaded from elsewhere, no
//! script needed, and nothing on it that a stranger should not read.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    ACME_ALIAS, ACME_HOST, GLOBEX_HOST, Invited, Kind::Workspace, Setup, TestServer, acme_owner,
    both_engines, client::Answer, invites::KINDS, person,
};

both_engines!(
    a_pending_invite_is_explained,
    there_is_one_page_per_state,
    what_a_stranger_may_not_know_looks_like_nothing,
    a_page_loads_nothing_and_runs_nothing,
    names_and_messages_are_shown_as_text,
    errors_are_html_only_where_asked_for,
    the_way_to_sign_in_leads_back_here,
    nothing_of_a_request_leads_elsewhere => Setup::new().acme("retired_domains", vec!["old.acme.test"]),
    a_page_is_small,
);

async fn page(server: &TestServer, invited: &Invited, host: &str) -> Answer {
    server.get(&invited.kind.page(&invited.token)).on(host).header("accept", "text/html").await
}

async fn a_pending_invite_is_explained(server: TestServer) {
    for kind in KINDS {
        let body = json!({ "email": "bob@example.com", "role": "admin", "message": "Looking forward" });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        for host in [ACME_HOST, ACME_ALIAS, "localhost"] {
            let answer = page(&server, &invited, host).await;
            assert_eq!(answer.status, 200);
            assert!(answer.header("content-type").starts_with("text/html"), "{:?}", answer.headers);
            let text = answer.text();
            for word in ["Acme Corp", acme_owner().name(), "b•••@example.com"] {
                assert!(text.contains(word), "{word} in {text}");
            }
            assert!(text.to_lowercase().contains("admin"), "the role: {text}");
            assert!(text.contains(&invited.data["expires_at"].as_str().unwrap()[..4]), "the deadline's year");
            if kind == Workspace {
                assert!(text.contains("Dr. Smith Clinic"), "{text}");
            }
            assert!(!text.contains("bob@example.com"), "the address is masked: {text}");
            assert!(!text.contains(&invited.id) && !text.contains(acme_owner().email()), "{text}");
        }
        // any Accept gets the page: it succeeds as HTML
        let plain = server.get(&kind.page(&invited.token)).on(ACME_HOST).await;
        assert!(plain.header("content-type").starts_with("text/html"));
    }
}

async fn there_is_one_page_per_state(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let pending = server.invite(kind, &acme_owner(), "pending@example.com", "member").await;
        let taken = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        let short = json!({ "email": format!("late-{kind:?}@example.com"), "expires_in": 300 });
        let late = server.invite_with(kind, &acme_owner(), short).await;
        server.accept(&taken, &bob).await.expect(200);
        server.advance(Duration::from_secs(300));
        let mut texts = Vec::new();
        for invited in [&pending, &taken, &late] {
            let answer = page(&server, invited, ACME_HOST).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            texts.push(answer.text());
        }
        assert!(texts[1].to_lowercase().contains("accepted"), "{}", texts[1]);
        assert!(texts[2].to_lowercase().contains("expired"), "{}", texts[2]);
        assert!(!texts[0].to_lowercase().contains("expired on") && texts[0] != texts[2]);
    }
}

async fn what_a_stranger_may_not_know_looks_like_nothing(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let revoked = server.invite(kind, &acme_owner(), "revoked@example.com", "member").await;
        server.revoke(&revoked, &acme_owner()).await.expect(200);
        let declined = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        server.decline(&declined, &bob).await.expect(200);
        let live = server.invite(kind, &acme_owner(), "live@example.com", "member").await;
        let nothing = Invited { token: "garbage".into(), ..live.clone() };
        let plain = |answer: &Answer| {
            answer
                .text()
                .replace(answer.header("x-request-id"), "")
                .replace(ACME_HOST, "")
                .replace(GLOBEX_HOST, "")
        };
        let unknown = page(&server, &nothing, ACME_HOST).await;
        assert_eq!(unknown.status, 404);
        for invited in [&revoked, &declined] {
            let answer = page(&server, invited, ACME_HOST).await;
            assert_eq!(answer.status, 404, "{}", answer.text());
            assert_eq!(plain(&answer), plain(&unknown));
        }
        let elsewhere = page(&server, &live, GLOBEX_HOST).await;
        assert_eq!(elsewhere.status, 404);
        assert_eq!(plain(&elsewhere), plain(&page(&server, &nothing, GLOBEX_HOST).await));
        assert!(!elsewhere.text().contains("Acme"), "{}", elsewhere.text());
    }
}

async fn a_page_loads_nothing_and_runs_nothing(server: TestServer) {
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "bob@example.com", "member").await;
        let missing = Invited { token: "garbage".into(), ..invited.clone() };
        for invited in [&invited, &missing] {
            let answer = page(&server, invited, ACME_HOST).await;
            let policy = answer.header("content-security-policy");
            for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
                assert!(policy.contains(directive), "{directive} in {policy}");
            }
            assert!(!policy.contains("unsafe-eval") && !policy.contains('*'), "{policy}");
            assert!(answer.header("x-robots-tag").contains("noindex"), "{:?}", answer.headers);
            let text = answer.text().to_lowercase();
            assert!(!text.contains("<script") && !text.contains("http-equiv=\"refresh\""), "{text}");
            for attribute in ["src=\"", "href=\"", "action=\""] {
                for value in text.split(attribute).skip(1) {
                    let value = value.split('"').next().unwrap_or_default();
                    // a link may be followed, nothing may be loaded
                    let own = value.starts_with('/') && !value.starts_with("//") || value.starts_with('#');
                    let followed = attribute == "href=\"" && !text.contains(&format!("<link href=\"{value}"));
                    assert!(own || value.starts_with("data:") || followed, "{attribute}{value}");
                }
            }
        }
    }
}

async fn names_and_messages_are_shown_as_text(server: TestServer) {
    let evil = acme_owner().with("name", "<img src=x onerror=alert(1)>\"'&");
    for kind in KINDS {
        let body = json!({ "email": "bob@example.com", "message": "<script>alert(1)</script>" });
        let invited = server.invite_with(kind, &evil, body).await;
        let text = page(&server, &invited, ACME_HOST).await.text();
        assert!(!text.contains("<img src=x") && !text.contains("<script>alert"), "{text}");
    }
}

async fn errors_are_html_only_where_asked_for(server: TestServer) {
    for kind in KINDS {
        let path = kind.page("garbage");
        let html = server.get(&path).on(ACME_HOST).header("accept", "text/html,application/xhtml+xml").await;
        assert_eq!(html.status, 404);
        assert!(html.header("content-type").starts_with("text/html"));
        for accept in ["application/json", "*/*"] {
            let json = server.get(&path).on(ACME_HOST).header("accept", accept).await;
            json.refused(404, kind.invalid_token());
        }
        server
            .get(&kind.token("garbage"))
            .on(ACME_HOST)
            .header("accept", "text/html")
            .await
            .refused(404, kind.invalid_token());
        let unknown = server.get(&path).on("evil.test").header("accept", "text/html").await;
        assert_eq!(unknown.status, 421);
        assert!(unknown.header("content-type").starts_with("text/html"));
        server.get(&path).on("evil.test").await.refused(421, "UNKNOWN_HOST");
    }
}

async fn the_way_to_sign_in_leads_back_here(server: TestServer) {
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "bob@example.com", "member").await;
        let text = page(&server, &invited, ACME_HOST).await.text();
        let link = text
            .split("href=\"")
            .skip(1)
            .find(|rest| rest.starts_with("https://app.acme.test/login?return_to="));
        let link = link.unwrap_or_else(|| panic!("no sign-in link in {text}")).split('"').next().unwrap();
        let encoded = link.split("return_to=").nth(1).unwrap();
        assert!(!encoded.contains("://"), "percent-encoded: {encoded}");
        let decoded = encoded.replace("%3A", ":").replace("%2F", "/").replace("%3a", ":").replace("%2f", "/");
        assert_eq!(decoded, invited.url);
    }
}

async fn a_page_is_small(server: TestServer) {
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "bob@example.com", "member").await;
        let size = page(&server, &invited, ACME_HOST).await.body.len();
        assert!(size < 30_000, "{size} bytes");
    }
}

async fn nothing_of_a_request_leads_elsewhere(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        for leads in [
            "https://evil.test/",
            "//evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "https:evil.test",
            "https://app.acme.test@evil.test",
            "https://app.acme.test.evil.test",
            "javascript:alert('evil.test')",
            "data:text/html,evil.test",
        ] {
            let encoded: String = leads.bytes().map(|byte| format!("%{byte:02X}")).collect();
            for name in ["next", "return_to", "redirect_uri", "callbackURL", "after_accept_url", "url"] {
                for value in [encoded.as_str(), leads.split('\\').next().unwrap()] {
                    let path = format!("{}?{name}={value}", kind.page(&invited.token));
                    let answer =
                        server.get(&path).on(ACME_HOST).header("referer", "https://evil.test/").await;
                    assert_eq!(answer.header("location"), "");
                    assert!(!answer.text().to_lowercase().contains("evil"), "{path}: {}", answer.text());
                    let old = server.get(&path).on("old.acme.test").await;
                    assert_eq!(old.header("location"), invited.url, "{path}");
                }
                let path = format!("{}/decline", kind.token("garbage"));
                let answer = server.post(&path, &json!({ name: leads })).by(&bob).await;
                assert_eq!(answer.header("location"), "");
                assert!(!answer.text().contains("evil"), "{}", answer.text());
            }
        }
        let body = json!({ "next": "https://evil.test", "return_to": "//evil.test" });
        let path = format!("{}/accept?next=https://evil.test", kind.token(&invited.token));
        let answer = server.post(&path, &body).by(&bob).await;
        assert_eq!((answer.status, answer.header("location")), (200, ""));
        assert!(!answer.text().contains("evil"), "{}", answer.text());
    }
}
