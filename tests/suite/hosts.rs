//! Which tenant a host belongs to: by exact, canonical comparison of the real `Host`; a host of nobody is 421;
//! host, path, header and key must agree. Forwarded headers count only from configured proxies.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;

use crate::support::{
    ACME, ACME_ALIAS, ACME_HOST, GLOBEX, GLOBEX_HOST,
    Kind::{Org, Workspace},
    PLATFORM, Setup, TestServer, acme_owner, both_engines, eventually, globex_owner,
    invites::KINDS,
    person,
};

both_engines!(
    a_host_of_nobody_is_421,
    one_host_has_many_spellings,
    what_is_no_plain_host_is_refused,
    on_a_tenants_host_only_that_tenant_exists,
    host_path_and_header_must_agree,
    the_named_tenant_only_has_to_agree_on_token_routes,
    a_forwarded_host_counts_from_a_trusted_proxy_only => Setup::new()
        .server("server.trusted_proxies", vec!["127.0.0.1/32"]),
    a_removed_domain_is_421_and_its_links_move_to_the_primary,
    a_domain_that_goes_to_another_tenant_takes_nothing_along,
    a_retired_domain_redirects_live_links_only => Setup::new()
        .acme("retired_domains", vec!["old.acme.test"]),
    a_tenant_taken_out_comes_back_whole,
    a_slug_set_free_can_be_used_again,
);

/// One request by hand: what is sent and what comes back, byte for byte.
fn raw(server: &TestServer, request: &str) -> String {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A GET with exactly this `Host` line.
fn get_with_host(server: &TestServer, path: &str, host: &str) -> (u16, String) {
    let answer = raw(server, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    (status, answer)
}

async fn a_host_of_nobody_is_421(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    for host in ["evil.test", "acme.test", "x.app.acme.test", "app.acme.test.evil.test", "192.0.2.1"] {
        for path in [
            Workspace.collection(),
            Workspace.token(&invited.token),
            Workspace.page(&invited.token),
            "/nothing/here".to_owned(),
            "/".to_owned(),
        ] {
            let answer = server.get(&path).by(&acme_owner()).on(host).await;
            assert_eq!(answer.status, 421, "{host} {path}");
            assert!(answer.text().contains("UNKNOWN_HOST"), "{}", answer.text());
        }
        let body = json!({ "email": "x@example.com" });
        server
            .post(&Workspace.collection(), &body)
            .by(&acme_owner())
            .on(host)
            .await
            .refused(421, "UNKNOWN_HOST");
        assert_eq!(
            server.get("/healthz").on(host).await.status,
            200,
            "asked by load balancers under any name"
        );
    }
    assert!(server.letters().iter().all(|letter| letter.to != "x@example.com"));
}

async fn one_host_has_many_spellings(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let path = Workspace.token(&invited.token);
    for host in
        ["app.acme.test", "APP.Acme.TEST", "app.acme.test.", "app.acme.test:8080", "App.Acme.Test.:443"]
    {
        let (status, answer) = get_with_host(&server, &path, host);
        assert_eq!(status, 200, "{host}: {answer}");
    }
    let (status, _) = get_with_host(&server, &path, "people.globex.test:443");
    assert_eq!(status, 404, "another tenant's host");
}

async fn what_is_no_plain_host_is_refused(server: TestServer) {
    for host in [
        "app.acme.test/evil",
        "app.acme.test@evil.test",
        "evil.test#app.acme.test",
        "app.acme.test, evil.test",
        "app.acme.test:80:80",
        "app.acme.test:port",
        "app.acme.test:99999",
        "[::1",
        "app..acme.test",
        "%61pp.acme.test",
        "",
        "app.acme.test\\evil",
    ] {
        let (status, answer) = get_with_host(&server, "/api/v1/workspaces", host);
        assert!([400, 421].contains(&status), "{host:?}: {answer}");
    }
    for request in [
        "GET /api/v1/workspaces HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /api/v1/workspaces HTTP/1.1\r\nHost: app.acme.test\r\nHost: evil.test\r\nConnection: close\r\n\r\n",
    ] {
        let answer = raw(&server, request);
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "421"].contains(&status), "{request:?}: {answer}");
    }
    // the authority of an absolute target is the host, and is held to the same rules
    let absolute =
        "GET http://evil.test/api/v1/workspaces HTTP/1.1\r\nHost: app.acme.test\r\nConnection: close\r\n\r\n";
    let answer = raw(&server, absolute);
    let status = answer.split(' ').nth(1).unwrap_or_default();
    assert!(["400", "421"].contains(&status), "{answer}");
}

async fn on_a_tenants_host_only_that_tenant_exists(server: TestServer) {
    let both = server.joined(Org, "both@example.com", "admin").await;
    server.joined_globex(&both).await;
    for kind in KINDS {
        for host in [ACME_HOST, ACME_ALIAS] {
            server.get(&kind.collection()).by(&acme_owner()).on(host).await.expect(200);
            let foreign = server.get(&kind.globex_collection()).by(&both).on(host).await;
            assert_eq!(foreign.status, 404, "{}", foreign.text());
        }
        let body = json!({ "email": "x@example.com" });
        let crossed = server.post(&kind.collection(), &body).by(&acme_owner()).on(GLOBEX_HOST).await;
        assert_eq!(crossed.status, 404, "{}", crossed.text());
    }
    let listed = server.get("/api/v1/workspaces").by(&both).on(GLOBEX_HOST).await.expect(200);
    assert!(!listed.to_string().contains("Dr. Smith Clinic"), "{listed}");
}

async fn host_path_and_header_must_agree(server: TestServer) {
    let both = server.joined(Org, "both@example.com", "admin").await;
    server.joined_globex(&both).await;
    let list = |tenant: &'static str, host: &'static str| {
        server.get(&Org.collection()).by(&both).on(host).header("x-miosa-tenant", tenant)
    };
    for (tenant, host, status) in [
        ("acme", PLATFORM, 200),
        (ACME, PLATFORM, 200),
        ("acme", ACME_HOST, 200),
        ("globex", PLATFORM, 404),
        ("globex", ACME_HOST, 404),
        ("nobody", PLATFORM, 404),
        ("01900000-0000-7000-8000-00000000ffff", ACME_HOST, 404),
    ] {
        assert_eq!(list(tenant, host).await.status, status, "{tenant} on {host}");
    }
}

async fn the_named_tenant_only_has_to_agree_on_token_routes(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        let path = format!("{}/accept", kind.token(&invited.token));
        let crossed = server.post(&path, &json!({})).by(&bob).header("x-miosa-tenant", "globex").await;
        crossed.refused_as(kind.unknown());
        server.post(&path, &json!({})).by(&bob).header("x-miosa-tenant", "acme").await.expect(200);
    }
}

async fn a_forwarded_host_counts_from_a_trusted_proxy_only(server: TestServer) {
    let body = json!({ "email": "bob@example.com" });
    let answer = server
        .post(&Workspace.collection(), &body)
        .by(&acme_owner())
        .header("x-forwarded-host", "evil.test, join.acme.test")
        .await
        .expect(201);
    let url = answer["data"]["invite_url"].as_str().unwrap();
    assert!(url.starts_with("https://join.acme.test/"), "the rightmost, added by our own proxy: {url}");
    let spoofed =
        server.get("/api/v1/workspaces").by(&acme_owner()).header("x-forwarded-host", "evil.test").await;
    spoofed.refused(421, "UNKNOWN_HOST");
}

async fn a_removed_domain_is_421_and_its_links_move_to_the_primary(mut server: TestServer) {
    let body = json!({ "email": "bob@example.com" });
    let made = server.post(&Workspace.collection(), &body).by(&acme_owner()).on(ACME_ALIAS).await;
    let invited = crate::support::Invited::read(Workspace, &made.expect(201));
    assert!(invited.url.contains(ACME_ALIAS));
    server.setup = server.setup.clone().acme("domains", vec![ACME_HOST]);
    server.configure();
    server.signal("HUP");
    eventually("the removed domain to be unknown", async || {
        (server.get(&Workspace.token(&invited.token)).on(ACME_ALIAS).await.status == 421).then_some(())
    })
    .await;
    server.get(&Workspace.token(&invited.token)).on(ACME_HOST).await.expect(200);
    server.advance(Duration::from_secs(61));
    let again = server.resend(&invited, &acme_owner(), &json!({})).await.expect(200);
    assert_eq!(again["invite_url"], invited.url.replace(ACME_ALIAS, ACME_HOST));
}

async fn a_domain_that_goes_to_another_tenant_takes_nothing_along(mut server: TestServer) {
    let bob = person("bob@example.com");
    for kind in KINDS {
        let body = json!({ "email": bob.email() });
        let made = server.post(&kind.collection(), &body).by(&acme_owner()).on(ACME_ALIAS).await;
        let invited = crate::support::Invited::read(kind, &made.expect(201));
        assert!(invited.url.contains(ACME_ALIAS));
        let whole = server.setup.clone();
        server.setup = whole.clone().acme("domains", vec![ACME_HOST]).tenant(
            "globex",
            "domains",
            vec![GLOBEX_HOST, ACME_ALIAS],
        );
        server.configure();
        eventually("the domain's new owner", async || {
            let theirs = server.get(&Org.globex_collection()).by(&globex_owner()).on(ACME_ALIAS).await;
            (theirs.status == 200).then_some(())
        })
        .await;
        let path = kind.token(&invited.token);
        server.get(&path).on(ACME_ALIAS).await.refused(404, kind.invalid_token());
        let accept = format!("{path}/accept");
        server.post(&accept, &json!({})).by(&bob).on(ACME_ALIAS).await.refused_as(kind.unknown());
        let page = server.get(&kind.page(&invited.token)).on(ACME_ALIAS).header("accept", "text/html").await;
        assert_eq!(page.status, 404);
        assert!(!page.text().contains("Acme"), "{}", page.text());
        assert_eq!(server.get(&kind.collection()).by(&acme_owner()).on(ACME_ALIAS).await.status, 404);
        server.get(&path).on(ACME_HOST).await.expect(200);
        server.setup = whole;
        server.configure();
        eventually("the domain to be back", async || {
            (server.get(&path).on(ACME_ALIAS).await.status == 200).then_some(())
        })
        .await;
        server.revoke(&invited, &acme_owner()).await.expect(200);
    }
}

async fn a_retired_domain_redirects_live_links_only(server: TestServer) {
    let old = "old.acme.test";
    for kind in KINDS {
        let body = json!({ "email": format!("bob-{kind:?}@example.com"), "expires_in": 3600 });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        let page = kind.page(&invited.token);
        for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
            let answer = server.call(method, &page).on(old).await;
            assert_eq!(answer.status, 308);
            assert_eq!(answer.header("location"), format!("https://{ACME_HOST}{page}"));
        }
        assert_eq!(server.call(reqwest::Method::POST, &page).on(old).await.status, 421);
        assert_eq!(server.get(&kind.token(&invited.token)).on(old).await.status, 421);
        assert_eq!(server.get(&kind.page("garbage")).on(old).await.status, 421);
        server.advance(Duration::from_secs(3600));
        assert_eq!(server.get(&page).on(old).await.status, 421, "no longer live");
    }
    assert_eq!(server.get("/api/v1/workspaces").by(&acme_owner()).on(old).await.status, 421);
}

async fn a_tenant_taken_out_comes_back_whole(mut server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let whole = server.setup.clone();
    server.setup = whole.clone().without_tenant("acme");
    server.configure();
    eventually("acme to be gone", async || {
        (server.get(&Org.collection()).by(&acme_owner()).on(ACME_HOST).await.status == 421).then_some(())
    })
    .await;
    assert_eq!(server.get(&Org.collection()).by(&acme_owner()).await.status, 404);
    server.preview(&invited).await.refused(404, "INVALID_TOKEN");
    server.get(&Org.globex_collection()).by(&globex_owner()).await.expect(200);

    server.setup = whole;
    server.configure();
    eventually("acme to be back", async || {
        (server.get(&Org.collection()).by(&acme_owner()).on(ACME_HOST).await.status == 200).then_some(())
    })
    .await;
    server.accept(&invited, &person("bob@example.com")).await.expect(200);
}

async fn a_slug_set_free_can_be_used_again(mut server: TestServer) {
    let night = json!({ "name": "Night Shift", "slug": "night" });
    let mut before = String::new();
    for _ in 0..2 {
        let made = server.post("/api/v1/workspaces", &night).by(&acme_owner()).await.expect(201);
        assert_eq!(made["slug"], "night");
        let id = made["id"].as_str().unwrap().to_owned();
        assert_ne!(id, before);
        let gone = server.delete(&format!("/api/v1/workspaces/{id}")).by(&acme_owner()).await;
        assert_eq!(gone.status, 204, "{}", gone.text());
        before = id;
    }

    // another tenant under the slug of one that is configured no more
    let successor = "01900000-0000-7000-8000-00000000910c";
    let listed = "/api/v1/tenants/globex/members";
    server.get(listed).by(&globex_owner()).await.expect(200);
    let whole = server.setup.clone();
    server.setup = whole.clone().tenant("globex", "id", successor).tenant(
        "globex",
        "workspaces",
        Vec::<toml::Value>::new(),
    );
    server.configure();
    let tenant_of = async |server: &TestServer| {
        let answer = server.get(listed).by(&globex_owner()).await;
        let row = (answer.status == 200).then(|| answer.json()["data"][0]["tenant_id"].clone())?;
        row.as_str().map(str::to_owned)
    };
    eventually("the successor", async || tenant_of(&server).await.filter(|id| id == successor)).await;
    server.setup = whole;
    server.configure();
    eventually("the first one back", async || tenant_of(&server).await.filter(|id| id == GLOBEX)).await;
}
