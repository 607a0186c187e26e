//! The HTTP edge: every refusal under `/api` is JSON in both shapes, whatever refused it; methods, media types
//! and sizes have their own answers; and the same headers stand on every answer.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    ACME_HOST, CLINIC,
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines,
    client::Call,
    invites::KINDS,
    person,
};

both_engines!(
    a_path_of_nobody_is_404,
    another_method_is_405_and_says_which_would_do,
    a_body_must_be_a_json_object_of_a_json_type,
    a_body_beyond_the_limit_is_413,
    a_post_without_a_body_is_accepted_where_none_is_needed,
    head_works_wherever_get_does,
    the_same_headers_stand_on_every_answer,
    a_request_id_is_answered_and_never_echoes_nonsense,
    a_method_override_changes_nothing,
    nothing_of_the_operators_is_on_the_public_listener,
    the_admin_listener_answers_with_the_same_headers_and_to_head,
    a_workspace_is_made_read_and_listed,
);

async fn a_path_of_nobody_is_404(server: TestServer) {
    for path in
        ["/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v3/workspaces", "/api/v1/workspaces/x/y/z"]
    {
        for host in ["localhost", ACME_HOST] {
            server.get(path).by(&acme_owner()).on(host).await.refused(404, "NOT_FOUND");
            server.get(path).on(host).header("accept", "text/html").await.refused(404, "NOT_FOUND");
        }
    }
    let answer = server.get("/nothing").on(ACME_HOST).header("accept", "text/html").await;
    assert_eq!(answer.status, 404);
}

async fn another_method_is_405_and_says_which_would_do(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let token = Workspace.token(&invited.token);
    for (method, path, allowed) in [
        (Method::PUT, Workspace.collection(), vec!["GET", "HEAD", "POST"]),
        (Method::DELETE, Org.collection(), vec!["GET", "HEAD", "POST"]),
        (Method::POST, Workspace.item(&invited.id), vec!["DELETE", "GET", "HEAD", "PATCH"]),
        (Method::GET, format!("{}/resend", Workspace.item(&invited.id)), vec!["POST"]),
        (Method::DELETE, token.clone(), vec!["GET", "HEAD"]),
        (Method::GET, format!("{token}/accept"), vec!["POST"]),
        (Method::HEAD, format!("{token}/accept"), vec!["POST"]),
        (Method::PUT, format!("{token}/decline"), vec!["POST"]),
        (Method::TRACE, token.clone(), vec!["GET", "HEAD"]),
        (Method::DELETE, "/api/v1/workspaces".into(), vec!["GET", "HEAD", "POST"]),
    ] {
        let answer = server.call(method.clone(), &path).by(&acme_owner()).await;
        assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
        if method != Method::HEAD {
            answer.refused(405, "METHOD_NOT_ALLOWED");
        }
        let mut allow: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        allow.sort_unstable();
        allow.retain(|method| *method != "OPTIONS");
        assert_eq!(allow, allowed, "{method} {path}");
    }
}

async fn a_body_must_be_a_json_object_of_a_json_type(server: TestServer) {
    for kind in KINDS {
        let post = |content_type: &str, body: &str| {
            server
                .call(Method::POST, &kind.collection())
                .by(&acme_owner())
                .body(content_type, body.to_owned())
        };
        let good = r#"{"email":"bob@example.com"}"#;
        for other in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "text/json",
            "application/xml",
        ] {
            post(other, good).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
        }
        for bad in [
            "",
            "{",
            "nonsense",
            r#"["bob@example.com"]"#,
            r#""bob@example.com""#,
            "null",
            "7",
            "[]",
            "[{}]",
            r#"{"email":"bob@example.com"} {"#,
            r#"{"email":"bob@example.com",}"#,
            "{'email':'x'}",
            r#"{"email":["bob@example.com"]}"#,
            r#"{"email":{"a":1}}"#,
            r#"{"email":"a@example.com","email":"b@example.com"}"#,
        ] {
            let answer = post("application/json", bad).await;
            assert!([400, 422].contains(&answer.status), "{bad}: {} {}", answer.status, answer.text());
            assert!(answer.json()["error"]["code"].is_string(), "{}", answer.text());
        }
        assert!(server.pending(kind, &acme_owner()).await.is_empty());
        post("application/json; charset=utf-8", good).await.expect(201);
    }
}

async fn a_body_beyond_the_limit_is_413(server: TestServer) {
    for kind in KINDS {
        let fits = format!(r#"{{"email":"bob@example.com","ignored":"{}"}}"#, "x".repeat(60 * 1024));
        let beyond = format!(r#"{{"email":"bob@example.com","ignored":"{}"}}"#, "x".repeat(64 * 1024));
        let call = |body: String| {
            server.call(Method::POST, &kind.collection()).by(&acme_owner()).body("application/json", body)
        };
        call(fits).await.expect(201);
        call(beyond).await.refused(413, "PAYLOAD_TOO_LARGE");
    }
    let invited = server.invite(Workspace, &acme_owner(), "carl@example.com", "member").await;
    let accept = format!("{}/accept", Workspace.token(&invited.token));
    let body = format!(r#"{{"x":"{}"}}"#, "x".repeat(64 * 1024));
    let answer =
        server.call(Method::POST, &accept).by(&person("carl@example.com")).body("application/json", body);
    answer.await.refused(413, "PAYLOAD_TOO_LARGE");
}

async fn a_post_without_a_body_is_accepted_where_none_is_needed(server: TestServer) {
    for kind in KINDS {
        let invited =
            server.invite(kind, &acme_owner(), &format!("bob-{kind:?}@example.com"), "member").await;
        server.advance(std::time::Duration::from_secs(61));
        let resend = format!("{}/resend", kind.item(&invited.id));
        server.call(Method::POST, &resend).by(&acme_owner()).await.expect(200);
        let accept = format!("{}/accept", kind.token(&invited.token));
        let who = person(&format!("bob-{kind:?}@example.com"));
        server.call(Method::POST, &accept).by(&who).await.expect(200);
        server.call(Method::POST, &kind.collection()).by(&acme_owner()).await.refused(422, "MISSING_EMAIL");
    }
}

async fn head_works_wherever_get_does(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    for path in [
        "/healthz".to_owned(),
        "/openapi.json".to_owned(),
        "/api/v1/workspaces".to_owned(),
        format!("/api/v1/workspaces/{CLINIC}"),
        Workspace.collection(),
        Workspace.item(&invited.id),
        Workspace.token(&invited.token),
        Workspace.page(&invited.token),
    ] {
        let get = server.get(&path).by(&acme_owner()).await;
        let head = server.call(Method::HEAD, &path).by(&acme_owner()).await;
        assert_eq!((get.status, head.status), (200, 200), "{path}");
        assert!(head.body.is_empty());
        for name in ["content-type", "cache-control", "referrer-policy", "x-content-type-options"] {
            assert_eq!(get.header(name), head.header(name), "{name} of {path}");
        }
    }
    assert_eq!(server.call(Method::HEAD, "/api/v1/workspaces").await.status, 401);
}

async fn the_same_headers_stand_on_every_answer(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let owner = acme_owner();
    let body = json!({ "email": "carl@example.com" });
    let mut ids = std::collections::BTreeSet::new();
    for answer in [
        server.get("/healthz").await,
        server.get(&Workspace.token(&invited.token)).await,
        server.get(&Workspace.page(&invited.token)).on(ACME_HOST).await,
        server.get(&Workspace.page("garbage")).on(ACME_HOST).header("accept", "text/html").await,
        server.post(&Workspace.collection(), &body).by(&owner).await,
        server.get(&Workspace.collection()).await,
        server.get("/api/v1/nothing").await,
        server.delete("/api/v1/workspaces").by(&owner).await,
        server.get("/api/v1/workspaces").on("evil.test").await,
        server.call(Method::POST, &Org.collection()).by(&owner).body("text/plain", "x").await,
        server.call(Method::POST, &Org.collection()).by(&owner).body("application/json", "{").await,
        server
            .call(Method::POST, &Org.collection())
            .by(&owner)
            .body("application/json", "x".repeat(70_000))
            .await,
        server.get("/openapi.json").await,
    ] {
        let id = answer.header("x-request-id").to_owned();
        assert!(!id.is_empty(), "{answer:?}");
        assert!(ids.insert(id), "each its own");
        assert_eq!(answer.header("cache-control"), "no-store", "{}", answer.text());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(["no-referrer", "same-origin"].contains(&answer.header("referrer-policy")), "{answer:?}");
        for name in ["server", "x-powered-by", "access-control-allow-origin", "set-cookie"] {
            assert_eq!(answer.header(name), "", "{name}");
        }
    }
}

async fn a_request_id_is_answered_and_never_echoes_nonsense(server: TestServer) {
    for sent in ["a".repeat(500), "<script>".to_owned(), "a b\tc".to_owned(), "\"quoted\"".to_owned()] {
        let answer = server.get("/api/v1/nothing").header("x-request-id", &sent).await;
        let id = answer.header("x-request-id");
        assert!(!id.is_empty() && id.len() <= 128 && *id != sent, "{id}");
        answer.refused(404, "NOT_FOUND");
    }
}

async fn a_method_override_changes_nothing(server: TestServer) {
    let bob = person("bob@example.com");
    let invited = server.invite(Workspace, &acme_owner(), bob.email(), "member").await;
    let accept = format!("{}/accept", Workspace.token(&invited.token));
    for header in ["x-http-method-override", "x-method-override", "x-http-method"] {
        server.get(&accept).by(&bob).header(header, "POST").await.refused(405, "METHOD_NOT_ALLOWED");
        server.get(&Workspace.token(&invited.token)).header(header, "DELETE").await.expect(200);
    }
    server.get(&format!("{accept}?_method=POST")).by(&bob).await.refused(405, "METHOD_NOT_ALLOWED");
    // a cookie is no credential
    let cookie = format!("session={0}; token={0}", crate::support::Credential::bearer(&bob));
    server.post(&accept, &json!({})).header("cookie", &cookie).await.refused(401, "invalid_token");
    assert_eq!(server.show(&invited, &acme_owner()).await.expect(200)["data"]["status"], "pending");
}

async fn nothing_of_the_operators_is_on_the_public_listener(server: TestServer) {
    for path in
        ["/metrics", "/readyz", "/domain-allowed?domain=app.acme.test", "/dev/mailbox", "/dev/clock/advance"]
    {
        for host in ["localhost", ACME_HOST] {
            assert_eq!(server.get(path).on(host).await.status, 404, "{path} on {host}");
            assert_eq!(
                server.post(path, &json!({ "seconds": 1 })).on(host).await.status,
                404,
                "{path} on {host}"
            );
        }
    }
}

async fn the_admin_listener_answers_with_the_same_headers_and_to_head(server: TestServer) {
    let head = |path: &str| {
        let url = format!("http://{}{path}", server.admin_addr());
        Call::new(&server.client, Method::HEAD, url)
    };
    let mut ids = std::collections::BTreeSet::new();
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/domain-allowed?domain=app.acme.test", 200),
        ("/domain-allowed?domain=evil.test", 404),
        ("/domain-allowed", 422),
        ("/nothing", 404),
    ] {
        let (read, looked) = (server.admin(path).await, head(path).await);
        assert_eq!((read.status, looked.status, looked.body.len()), (status, status, 0), "{path}");
        assert_eq!(read.header("content-type"), looked.header("content-type"), "{path}");
        for answer in [read, looked] {
            assert!(ids.insert(answer.header("x-request-id").to_owned()), "each its own: {answer:?}");
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert_eq!(answer.header("server"), "");
        }
    }
    let posted =
        Call::new(&server.client, Method::POST, format!("http://{}/readyz", server.admin_addr())).await;
    posted.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(posted.header("allow"), "GET, HEAD");
}

async fn a_workspace_is_made_read_and_listed(server: TestServer) {
    let owner = acme_owner();
    let body = json!({ "name": "Night Shift", "slug": "night", "description": "After hours", "metadata": { "a": "b" } });
    let made = server.post("/api/v1/workspaces", &body).by(&owner).await.expect(201);
    for workspace in [&made, &made["data"]] {
        assert_eq!(workspace["name"], "Night Shift");
        assert_eq!(workspace["slug"], "night");
        assert_eq!(workspace["description"], "After hours");
        assert_eq!(workspace["metadata"]["a"], "b");
        assert!(workspace["created_at"].as_str().unwrap().ends_with('Z'));
        assert!(workspace["updated_at"].is_string());
    }
    let path = format!("/api/v1/workspaces/{}", made["id"].as_str().unwrap());
    let read = server.get(&path).by(&owner).await.expect(200);
    assert_eq!(read["name"], "Night Shift");
    assert_eq!(read["data"]["id"], made["id"]);
    let listed = server.get("/api/v1/workspaces").by(&owner).on(ACME_HOST).await.expect(200);
    assert_eq!(listed.as_object().unwrap().len(), 2, "`data` and `meta` and nothing else: {listed}");
    assert_eq!(listed["meta"]["total"], 2);
    let names: Vec<&Value> = listed["data"].as_array().unwrap().iter().map(|w| &w["name"]).collect();
    assert!(
        names.contains(&&json!("Night Shift")) && names.contains(&&json!("Dr. Smith Clinic")),
        "{names:?}"
    );

    let again = server.post("/api/v1/workspaces", &json!({ "name": "Night Shift" })).by(&owner).await;
    let refused = again.refused(409, "WORKSPACE_NAME_EXISTS");
    assert!(refused["error"]["existing"].to_string().contains(made["id"].as_str().unwrap()), "{refused}");
    let twice = json!({ "name": "Night Shift", "allow_duplicate_name": true });
    server.post("/api/v1/workspaces", &twice).by(&owner).await.expect(201);

    let external = json!({ "name": "Customer", "external_workspace_id": "cust_1" });
    let first = server.post("/api/v1/workspaces", &external).by(&owner).await.expect(201);
    let second = server.post("/api/v1/workspaces", &external).by(&owner).await.expect(200);
    assert_eq!(second["reused"], true);
    assert_eq!(second["id"], first["id"]);
    server.get(&path).by(&person("stranger@example.com")).await.refused(404, "NOT_FOUND");
    let numbers = json!({ "name": "Numbers", "metadata": { "a": 1 } });
    server.post("/api/v1/workspaces", &numbers).by(&owner).await.refused(422, "VALIDATION_ERROR");
    server
        .post("/api/v1/workspaces", &json!({ "name": "x".repeat(65) }))
        .by(&owner)
        .await
        .refused(422, "VALIDATION_ERROR");
}
