//! CORS: a browser may read the API's answers on the pages that a tenant lists, to the letter, and nowhere else.
//! On a platform host an answer is for the pages of the tenant it is of.

use reqwest::Method;
use serde_json::json;

use crate::support::{
    ACME, ACME_ALIAS, ACME_HOST, GLOBEX_HOST,
    Kind::{Org, Workspace},
    PLATFORM, Setup, TestServer, acme_owner, both_engines,
    client::{Answer, Call},
    eventually, globex_owner, person,
};

both_engines!(
    nothing_is_allowed_by_default => Setup::new(),
    a_listed_page_may_call_and_read => listed(),
    a_preflight_needs_no_credential_and_no_existing_route => listed(),
    the_header_of_api_keys_is_the_configured_one => listed().server("api_keys.header", "X-Acme-Key"),
    an_origin_is_compared_to_the_letter => listed(),
    errors_can_be_read_too => listed().server("limits.requests_per_ip", "2/1h"),
    a_page_of_one_tenant_reads_nothing_of_another => listed(),
    on_a_platform_host_an_answer_is_for_the_pages_of_its_tenant => listed(),
    whose_a_foreign_id_is_shows_in_no_header => listed(),
    only_the_api_is_shared => listed(),
    credentials_are_allowed_by_name_only => listed().acme("cors.allow_credentials", true),
    any_origin_may_be_allowed_without_credentials => Setup::new()
        .acme("cors.allowed_origins", vec!["*"]),
    a_reload_takes_effect => listed(),
);

const ACME_PAGE: &str = "https://app.acme.com";
const ACME_DEV: &str = "http://localhost:5173";
const GLOBEX_PAGE: &str = "https://globex.example";

/// Both tenants list a page; acme's are written in another spelling than browsers use.
fn listed() -> Setup {
    Setup::new().acme("cors.allowed_origins", vec!["HTTPS://App.Acme.com:443/", ACME_DEV]).tenant(
        "globex",
        "cors.allowed_origins",
        vec![GLOBEX_PAGE],
    )
}

impl TestServer {
    fn preflight(&self, path: &str, origin: &str) -> Call {
        self.call(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
    }
}

/// The page that a browser would let read this answer.
fn reader(answer: &Answer) -> &str {
    answer.header("access-control-allow-origin")
}

fn words(list: &str) -> Vec<String> {
    list.split(',').map(|word| word.trim().to_ascii_lowercase()).collect()
}

#[track_caller]
fn assert_no_word_of_cors(answer: &Answer) {
    let told: Vec<_> = answer.headers.keys().filter(|name| name.starts_with("access-control-")).collect();
    assert!(told.is_empty(), "{told:?}");
}

async fn nothing_is_allowed_by_default(server: TestServer) {
    for host in [PLATFORM, ACME_HOST] {
        for origin in [ACME_PAGE, "https://app.acme.test", "null", "*"] {
            let asked = server.preflight(&Org.collection(), origin).on(host).await;
            assert_eq!(asked.status, 405);
            assert_no_word_of_cors(&asked);
            let read =
                server.get(&Org.collection()).on(host).by(&acme_owner()).header("origin", origin).await;
            assert_eq!(read.status, 200);
            assert_no_word_of_cors(&read);
            assert_eq!(read.header("vary"), "");
        }
    }
}

async fn a_listed_page_may_call_and_read(server: TestServer) {
    for host in [ACME_HOST, ACME_ALIAS, PLATFORM] {
        for origin in [ACME_PAGE, ACME_DEV] {
            let asked = server.preflight(&Org.collection(), origin).on(host).await;
            assert_eq!((asked.status, asked.body.len()), (204, 0));
            assert_eq!((reader(&asked), asked.header("vary")), (origin, "Origin"));
            assert!(!asked.headers.contains_key("access-control-allow-credentials"));

            let body = json!({ "email": "bob@example.com" });
            let made = server.post(&Org.collection(), &body).by(&acme_owner()).on(host);
            let made = made.header("origin", origin).await;
            made.expect(201);
            assert_eq!((reader(&made), made.header("vary")), (origin, "Origin"));
            let readable = words(made.header("access-control-expose-headers"));
            for name in ["x-request-id", "retry-after", "idempotency-replayed"] {
                assert!(readable.contains(&name.to_owned()), "{readable:?}");
            }
        }
        let without = server.get(&Org.collection()).by(&acme_owner()).on(host).await;
        assert_no_word_of_cors(&without);
        assert_eq!(without.header("vary"), "Origin", "a cache must not hand this to a page");
    }
}

async fn a_preflight_needs_no_credential_and_no_existing_route(server: TestServer) {
    for path in ["/api/v1/nothing/here", "/api/v1/workspaces/none/invites", "/api/v1/me/invites"] {
        for host in [ACME_HOST, PLATFORM] {
            let asked = server.preflight(path, ACME_PAGE).on(host).bearer("nonsense").await;
            assert_eq!((asked.status, reader(&asked)), (204, ACME_PAGE));
            let methods = words(asked.header("access-control-allow-methods"));
            for method in ["get", "post", "put", "patch", "delete"] {
                assert!(methods.contains(&method.to_owned()), "{methods:?}");
            }
            let headers = words(asked.header("access-control-allow-headers"));
            for name in ["authorization", "content-type", "x-miosa-tenant", "idempotency-key", "x-api-key"] {
                assert!(headers.contains(&name.to_owned()), "{headers:?}");
            }
            assert!((1..=7200).contains(&asked.header("access-control-max-age").parse::<u32>().unwrap()));
            assert_eq!(asked.header("cache-control"), "no-store");
        }
    }
    // what asks for no method is no preflight
    let plain = server.call(Method::OPTIONS, &Org.collection()).header("origin", ACME_PAGE).await;
    plain.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(reader(&plain), ACME_PAGE);
    let nobody = server.preflight(&Org.collection(), ACME_PAGE).on("evil.test").await;
    nobody.refused(421, "UNKNOWN_HOST");
    assert_no_word_of_cors(&nobody);
}

async fn the_header_of_api_keys_is_the_configured_one(server: TestServer) {
    let asked = server.preflight(&Org.collection(), ACME_PAGE).await;
    let headers = words(asked.header("access-control-allow-headers"));
    assert!(headers.contains(&"x-acme-key".to_owned()) && !headers.contains(&"x-api-key".to_owned()));
}

async fn an_origin_is_compared_to_the_letter(server: TestServer) {
    for origin in [
        "https://app.acme.com.evil.test",
        "https://evilapp.acme.com",
        "https://x.app.acme.com",
        "https://acme.com",
        "https://app.acme.com/",
        "https://app.acme.com:443",
        "https://app.acme.com:8443",
        "https://app.acme.com.",
        "http://app.acme.com",
        "https://APP.acme.com",
        "HTTPS://app.acme.com",
        "https://app.acme.com https://evil.test",
        "https://evil.test, https://app.acme.com",
        "https://user@app.acme.com",
        "https://app.acme.com%00.evil.test",
        "https://app\u{ff0e}acme.com",
        "http://localhost",
        "app.acme.com",
        "null",
        "*",
        "",
    ] {
        for host in [ACME_HOST, PLATFORM] {
            let asked = server.preflight(&Org.collection(), origin).on(host).await;
            assert_eq!(asked.status, 405, "{origin}");
            assert_no_word_of_cors(&asked);
            let read =
                server.get(&Org.collection()).on(host).by(&acme_owner()).header("origin", origin).await;
            read.expect(200);
            assert_no_word_of_cors(&read);
        }
    }
    let twice = server.preflight(&Org.collection(), ACME_PAGE).header("origin", "https://evil.test").await;
    assert_no_word_of_cors(&twice);
}

async fn errors_can_be_read_too(server: TestServer) {
    let from = |call: Call| call.header("origin", ACME_PAGE);
    let unknown = Org.token("nonsense");
    for host in [ACME_HOST, PLATFORM] {
        let anonymous = from(server.get(&Org.collection())).on(host).await;
        anonymous.refused(401, "invalid_token");
        let stranger = from(server.get(&Org.collection())).on(host).by(&person("eve@evil.test")).await;
        stranger.refused(404, "NOT_FOUND");
        let nowhere = from(server.get("/api/v1/nothing")).on(host).await;
        nowhere.refused(404, "NOT_FOUND");
        let method = from(server.delete(&Org.collection())).on(host).await;
        method.refused(405, "METHOD_NOT_ALLOWED");
        let invalid = from(server.post(&Org.collection(), &json!({}))).by(&acme_owner()).on(host).await;
        invalid.refused(422, "MISSING_EMAIL");
        let broken = server.call(Method::POST, &Org.collection()).body("text/plain", "x").by(&acme_owner());
        let broken = from(broken).on(host).await;
        broken.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        let large = format!(r#"{{"email":"{}"}}"#, "x".repeat(70_000));
        let large = server.call(Method::POST, &Org.collection()).body("application/json", large);
        let large = from(large.by(&acme_owner())).on(host).await;
        large.refused(413, "PAYLOAD_TOO_LARGE");
        for answer in [anonymous, stranger, nowhere, method, invalid, broken, large] {
            assert_eq!(reader(&answer), ACME_PAGE, "{} on {host}", answer.status);
        }
        for _ in 0..2 {
            from(server.get(&unknown)).on(host).await;
        }
        let limited = from(server.get(&unknown)).on(host).await;
        limited.refused(429, "rate_limit_exceeded");
        assert_eq!(reader(&limited), ACME_PAGE);
        assert!(words(limited.header("access-control-expose-headers")).contains(&"retry-after".to_owned()));
    }
}

async fn a_page_of_one_tenant_reads_nothing_of_another(server: TestServer) {
    for (host, origin) in [(ACME_HOST, GLOBEX_PAGE), (GLOBEX_HOST, ACME_PAGE)] {
        let asked = server.preflight(&Org.collection(), origin).on(host).await;
        assert_eq!(asked.status, 405);
        assert_no_word_of_cors(&asked);
        for answer in [
            server.get(&Org.collection()).by(&acme_owner()).on(host).header("origin", origin).await,
            server.get(&Org.globex_collection()).by(&globex_owner()).on(host).header("origin", origin).await,
            server.get("/api/v1/nothing").on(host).header("origin", origin).await,
            server.get("/api/v1/me/invites").on(host).header("origin", origin).await,
        ] {
            assert_no_word_of_cors(&answer);
        }
    }
}

async fn on_a_platform_host_an_answer_is_for_the_pages_of_its_tenant(server: TestServer) {
    let (acme, globex) = (acme_owner(), globex_owner());
    for (origin, bob) in [(ACME_PAGE, "bob@example.com"), (GLOBEX_PAGE, "bert@example.com")] {
        let at_acme = server.invite(Workspace, &acme, bob, "member").await;
        let at_globex = server.invite_to_globex(Org, bob).await;
        let bob = person(bob);
        let from = |call: Call| call.header("origin", origin);
        let (acmes, globexes) = if origin == ACME_PAGE { (origin, "") } else { ("", origin) };
        for answer in [
            from(server.get(&Org.collection())).by(&acme).await,
            from(server.get(&Workspace.collection())).by(&acme).await,
            from(server.get("/api/v1/tenant/members")).by(&acme).await,
            from(server.get("/api/v1/tenants/acme/members")).by(&acme).await,
            from(server.get("/api/v1/me/invites")).by(&acme).header("x-miosa-tenant", "acme").await,
            from(server.get("/api/v1/platform/tenants")).by(&acme).header("x-miosa-tenant", ACME).await,
            from(server.preview(&at_acme)).await,
            // a link shows its own tenant, whatever the header says
            from(server.preview(&at_acme)).header("x-miosa-tenant", "globex").await,
            from(server.accept(&at_acme, &bob)).header("idempotency-key", "once").await,
            // told again, it is of the same tenant
            from(server.accept(&at_acme, &bob)).header("idempotency-key", "once").await,
        ] {
            assert_eq!((answer.status, reader(&answer)), (200, acmes), "{}", answer.text());
        }
        for answer in [
            from(server.get(&Org.globex_collection())).by(&globex).await,
            from(server.get(&Workspace.globex_collection())).by(&globex).await,
            from(server.preview(&at_globex)).await,
        ] {
            assert_eq!((answer.status, reader(&answer)), (200, globexes), "{}", answer.text());
        }
        // refused within the tenant, to a member of it
        let forbidden = from(server.get(&Org.collection())).by(&bob).await;
        forbidden.refused(403, "FORBIDDEN");
        let again = from(server.accept(&at_acme, &bob)).await;
        again.refused(409, "ALREADY_ACCEPTED");
        assert_eq!((reader(&forbidden), reader(&again)), (acmes, acmes));
        // what spans tenants is for the pages of none
        for path in ["/api/v1/me/invites", "/api/v1/platform/tenants"] {
            let spanning = from(server.get(path)).by(&bob).await;
            spanning.expect(200);
            assert_eq!(reader(&spanning), "");
        }
        let asked = server.preflight(&Org.collection(), origin).await;
        assert_eq!((asked.status, reader(&asked)), (204, origin), "a preflight is of no tenant");
    }
}

async fn whose_a_foreign_id_is_shows_in_no_header(server: TestServer) {
    let eve = person("eve@evil.test");
    let nobody = "01900000-0000-7000-8000-000000000bad";
    for kind in [Org, Workspace] {
        for origin in [ACME_PAGE, GLOBEX_PAGE] {
            let answers = [kind.collection(), kind.globex_collection(), kind.collection_in(nobody)];
            for by in [Some(&eve), None] {
                for path in &answers {
                    let call = server.get(path).header("origin", origin);
                    let answer = match by {
                        Some(eve) => call.by(eve).await,
                        None => call.await,
                    };
                    assert_eq!(
                        (answer.status, reader(&answer)),
                        (if by.is_some() { 404 } else { 401 }, origin)
                    );
                }
            }
        }
    }
}

async fn only_the_api_is_shared(server: TestServer) {
    let invited = server.invite(Org, &acme_owner(), "bob@example.com", "member").await;
    for path in [Org.page(&invited.token), "/".into(), "/healthz".into(), "/openapi.json".into()] {
        for host in [ACME_HOST, PLATFORM] {
            let read = server.get(&path).on(host).header("origin", ACME_PAGE).await;
            assert_no_word_of_cors(&read);
            assert!(!read.header("vary").contains("Origin"));
            let asked = server.preflight(&path, ACME_PAGE).on(host).await;
            assert_ne!(asked.status, 204, "{path}");
            assert_no_word_of_cors(&asked);
        }
    }
}

async fn credentials_are_allowed_by_name_only(server: TestServer) {
    let with = |answer: &Answer| answer.header("access-control-allow-credentials").to_owned();
    for host in [ACME_HOST, PLATFORM] {
        let asked = server.preflight(&Org.collection(), ACME_PAGE).on(host).await;
        let read = server.get(&Org.collection()).by(&acme_owner()).on(host);
        let read = read.header("origin", ACME_PAGE).await;
        assert_eq!((with(&asked), with(&read)), ("true".into(), "true".into()));
    }
    let globex = server.get(&Org.globex_collection()).by(&globex_owner()).header("origin", GLOBEX_PAGE).await;
    assert_eq!(
        (reader(&globex), with(&globex)),
        (GLOBEX_PAGE, String::new()),
        "the other tenant's own choice"
    );
}

async fn any_origin_may_be_allowed_without_credentials(server: TestServer) {
    for origin in ["https://anybody.example", "null"] {
        for host in [ACME_HOST, PLATFORM] {
            let asked = server.preflight(&Org.collection(), origin).on(host).await;
            let read = server.get(&Org.collection()).by(&acme_owner()).on(host);
            let read = read.header("origin", origin).await;
            for answer in [asked, read] {
                assert_eq!(reader(&answer), "*");
                assert!(!answer.headers.contains_key("access-control-allow-credentials"));
            }
        }
        let globex = server.get(&Org.globex_collection()).by(&globex_owner()).header("origin", origin).await;
        globex.expect(200);
        assert_no_word_of_cors(&globex);
    }
}

async fn a_reload_takes_effect(mut server: TestServer) {
    assert_eq!(server.preflight(&Org.collection(), ACME_PAGE).await.status, 204);
    server.setup = server.setup.clone().acme("cors.allowed_origins", vec!["https://new.acme.com"]);
    server.configure();
    eventually("the new origin", async || {
        let asked = server.preflight(&Org.collection(), "https://new.acme.com").on(ACME_HOST).await;
        (asked.status == 204).then_some(())
    })
    .await;
    for host in [ACME_HOST, PLATFORM] {
        assert_eq!(server.preflight(&Org.collection(), ACME_PAGE).on(host).await.status, 405);
        let read = server.get(&Org.collection()).by(&acme_owner()).on(host).header("origin", ACME_PAGE).await;
        assert_no_word_of_cors(&read);
    }
}
