//! The document and the server agree: every operation it names is served, every status a call gets is named,
//! and the page that shows it loads nothing from elsewhere.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    ACME, ACME_HOST, CLINIC,
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines, person,
};

both_engines!(
    the_document_is_openapi_3_1,
    every_operation_it_names_is_served,
    the_routes_of_the_contract_are_in_it,
    every_status_that_a_call_gets_is_named,
    the_page_shows_it_and_loads_nothing_from_elsewhere,
);

async fn document(server: &TestServer) -> Value {
    server.get("/openapi.json").await.expect(200)
}

/// Every (method, path template) of the document.
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, _) in item.as_object().unwrap() {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                found.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    found
}

async fn the_document_is_openapi_3_1(server: TestServer) {
    let document = document(&server).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut ids = BTreeSet::new();
    for (method, path) in operations(&document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("no id: {method} {path}"));
        assert!(ids.insert(id.to_owned()), "{id} twice");
        assert_eq!(
            operation["tags"].as_array().map(Vec::len),
            Some(1),
            "one tag per family: {method} {path}"
        );
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(
                response["description"].is_string() || response["$ref"].is_string(),
                "{method} {path} {status}"
            );
        }
        for name in path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(
                parameters.iter().any(|p| p["name"] == name && p["in"] == "path"),
                "{name} of {method} {path}"
            );
        }
    }
    // a template that differs from another in a parameter's name only is invalid
    let shapes: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(|path| {
            path.split('/')
                .map(|part| if part.starts_with('{') { "{}" } else { part })
                .collect::<Vec<_>>()
                .join("/")
        })
        .collect();
    assert_eq!(shapes.iter().collect::<BTreeSet<_>>().len(), shapes.len());
}

async fn every_operation_it_names_is_served(server: TestServer) {
    for (method, path) in operations(&document(&server).await) {
        let filled: Vec<&str> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "01900000-0000-7000-8000-00000000ffff" } else { part })
            .collect();
        let call = server.call(method.parse().unwrap(), &filled.join("/")).by(&acme_owner());
        let answer = call.body("application/json", "{}").await;
        assert_ne!(answer.status, 405, "{method} {path}");
        if answer.status == 404 && path.starts_with("/api") {
            let missing = server.call(method.parse().unwrap(), "/api/v1/no/such/route/at/all").await;
            let unrouted = missing.anonymous() == answer.anonymous() && !path.contains('{');
            assert!(!unrouted, "{method} {path}: {}", answer.text());
        }
        // a method that the document does not name is not served
        let item = filled.join("/");
        if !operations(&document(&server).await).contains(&("PUT".to_owned(), path.clone())) {
            let put = server.call(Method::PUT, &item).by(&acme_owner()).await;
            assert_eq!(put.status, 405, "PUT {path}: {}", put.text());
            let allow = put.header("allow");
            assert!(allow.contains(&method), "{method} in the Allow of {path}: {allow}");
        }
    }
}

async fn the_routes_of_the_contract_are_in_it(server: TestServer) {
    let shapes: BTreeSet<(String, String)> = operations(&document(&server).await)
        .into_iter()
        .map(|(method, path)| {
            let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
            (method, parts.collect::<Vec<_>>().join("/"))
        })
        .collect();
    for family in ["/api/v1/workspaces/{}/invites", "/api/v1/tenants/{}/invites"] {
        for (method, rest) in [
            ("POST", ""),
            ("GET", ""),
            ("GET", "/{}"),
            ("PATCH", "/{}"),
            ("DELETE", "/{}"),
            ("POST", "/{}/resend"),
        ] {
            let wanted = (method.to_owned(), format!("{family}{rest}"));
            assert!(shapes.contains(&wanted), "{wanted:?}");
        }
    }
    for family in ["/api/v1/workspace-invites/{}", "/api/v1/invites/{}"] {
        for (method, rest) in [("GET", ""), ("POST", "/accept"), ("POST", "/decline")] {
            let wanted = (method.to_owned(), format!("{family}{rest}"));
            assert!(shapes.contains(&wanted), "{wanted:?}");
        }
    }
    for wanted in
        [("GET", "/api/v1/workspaces"), ("POST", "/api/v1/workspaces"), ("GET", "/api/v1/workspaces/{}")]
    {
        assert!(shapes.contains(&(wanted.0.to_owned(), wanted.1.to_owned())), "{wanted:?}");
    }
}

/// Fails unless the document names this status for the operation.
fn assert_named(document: &Value, method: &str, path: &str, status: u16) {
    let shape = |path: &str| {
        path.split('/').map(|p| if p.starts_with('{') { "{}" } else { p }).collect::<Vec<_>>().join("/")
    };
    let (_, item) =
        document["paths"].as_object().unwrap().iter().find(|(one, _)| shape(one) == path).unwrap();
    let responses = item[method.to_lowercase()]["responses"].as_object().unwrap();
    let class = format!("{}XX", status / 100);
    let named = responses.contains_key(&status.to_string()) || responses.contains_key(&class);
    assert!(named, "{status} of {method} {path}: {:?}", responses.keys());
}

async fn every_status_that_a_call_gets_is_named(server: TestServer) {
    let document = document(&server).await;
    let (owner, stranger) = (acme_owner(), person("stranger@example.com"));
    let invited = server.invite(Workspace, &owner, "bob@example.com", "member").await;
    let org = server.invite(Org, &owner, "bob@example.com", "member").await;
    let bob = person("bob@example.com");
    let create = json!({ "email": "x@example.com" });
    let (list, org_list) = (Workspace.collection(), Org.collection());
    let (item, token) = (Workspace.item(&invited.id), Workspace.token(&invited.token));
    let ws = "/api/v1/workspaces/{}/invites";
    for (shape, answer) in [
        (format!("POST {ws}"), server.post(&list, &create).by(&owner).await),
        (format!("POST {ws}"), server.post(&list, &create).await),
        (format!("POST {ws}"), server.post(&list, &create).by(&stranger).await),
        (format!("POST {ws}"), server.post(&list, &json!({})).by(&owner).await),
        (format!("POST {ws}"), server.post(&list, &create).by(&owner).on("evil.test").await),
        (format!("POST {ws}"), server.call(Method::POST, &list).by(&owner).body("text/plain", "x").await),
        (format!("GET {ws}"), server.get(&list).by(&owner).await),
        (format!("GET {ws}"), server.get(&Workspace.collection_in("x")).by(&owner).await),
        (format!("GET {ws}/{{}}"), server.get(&item).by(&owner).await),
        (format!("PATCH {ws}/{{}}"), server.patch(&item, &json!({ "expires_in": 1 })).by(&owner).await),
        (
            format!("POST {ws}/{{}}/resend"),
            server.post(&format!("{item}/resend"), &json!({})).by(&owner).await,
        ),
        ("GET /api/v1/workspace-invites/{}".into(), server.get(&token).await),
        ("GET /api/v1/workspace-invites/{}".into(), server.get(&Workspace.token("x")).await),
        ("POST /api/v1/workspace-invites/{}/accept".into(), server.accept(&invited, &stranger).await),
        (
            "POST /api/v1/workspace-invites/{}/accept".into(),
            server.accept(&invited, &bob.clone().with("email_verified", 1)).await,
        ),
        ("POST /api/v1/workspace-invites/{}/accept".into(), server.accept(&invited, &bob).await),
        ("POST /api/v1/workspace-invites/{}/accept".into(), server.accept(&invited, &bob).await),
        ("POST /api/v1/workspace-invites/{}/decline".into(), server.decline(&invited, &bob).await),
        (format!("DELETE {ws}/{{}}"), server.delete(&item).by(&owner).await),
        (
            "POST /api/v1/tenants/{}/invites".into(),
            server.post(&org_list, &json!({ "email": "bob@example.com" })).by(&owner).await,
        ),
        ("GET /api/v1/tenants/{}/invites".into(), server.get(&org_list).by(&owner).await),
        ("POST /api/v1/invites/{}/decline".into(), server.decline(&org, &bob).await),
        ("DELETE /api/v1/tenants/{}/invites/{}".into(), server.delete(&Org.item(&org.id)).by(&owner).await),
        (
            "GET /api/v1/workspaces/{}".into(),
            server.get(&format!("/api/v1/workspaces/{CLINIC}")).by(&owner).await,
        ),
        (
            "POST /api/v1/workspaces".into(),
            server.post("/api/v1/workspaces", &json!({ "name": "" })).by(&owner).await,
        ),
    ] {
        let (method, path) = shape.split_once(' ').unwrap();
        assert_named(&document, method, path, answer.status);
    }
    assert!(!document.to_string().contains(ACME), "nothing of this server's own configuration");
}

async fn the_page_shows_it_and_loads_nothing_from_elsewhere(server: TestServer) {
    for host in ["localhost", ACME_HOST] {
        let mut answer = server.get("/docs").on(host).await;
        if (300..400).contains(&answer.status) {
            answer = server.get(answer.header("location")).on(host).await;
        }
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with("text/html"));
        let text = answer.text();
        for attribute in ["src=\"", "href=\""] {
            for value in text.split(attribute).skip(1) {
                assert!(!value.starts_with("http") && !value.starts_with("//"), "{value:.80}");
            }
        }
        server.get("/openapi.json").on(host).await.expect(200);
    }
}
