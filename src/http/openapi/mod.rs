//! The OpenAPI document, generated from the handlers and completed: what is the same for every route, how each
//! can be refused, what parameters and fields mean.

mod fields;
mod refusals;

use actix_web::{App, http::Method};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, OpenApi as Document, PathItem, RefOr, Required,
        path::{Operation, ParameterIn},
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_actix_web::AppExt;

use super::{error::Family, routes};

/// What the document says of the whole.
const ABOUT: &str = "Invitations and memberships for multi-tenant applications.

**Credentials**: a JWT of a configured issuer or an API key, as `Authorization: Bearer …` (an API key also as \
`X-API-Key`). Previews of links need none.

**Which tenant**: the one of the host where that is a tenant's own, else the one of the path, of the workspace, of \
`X-MIOSA-Tenant`, of the key, or the caller's only one. Where they contradict each other, nothing is found.

**Errors** have one shape, told by `code`; quote `request_id` (also the header `X-Request-Id`) when asking about one. \
Whatever does not exist for the caller is 404, whether or not it exists.

**Repeating** is safe: creating an invite that waits already gives the same one, accepting twice says so. A POST with \
an `Idempotency-Key` is answered once: for 24 hours the same request gets the same answer, byte for byte, with \
`Idempotency-Replayed: true`, and nothing is done again.";

/// Bodies that may be left out: nothing in them is needed.
const OPTIONAL: [&str; 5] = ["Empty", "DeclineInvite", "ResendInvite", "EditKey", "EditWorkspace"];

#[derive(OpenApi)]
#[openapi(
    info(title = "usher", description = ABOUT),
    tags(
        (name = "workspace-invites", description = "Invitations into a workspace"),
        (name = "org-invites", description = "Invitations into an organisation (tenant)"),
        (name = "invitations", description = "Invitations of every organisation and workspace at once"),
        (name = "events", description = "What has happened in an organisation"),
        (name = "tenants", description = "Organisations (tenants)"),
        (name = "white-label", description = "Looks and domain of an organisation"),
        (name = "api-keys", description = "API keys"),
        (name = "inbox", description = "What waits for the caller"),
        (name = "workspaces", description = "Workspaces"),
        (name = "workspace-members", description = "Memberships in a workspace"),
        (name = "tenant-members", description = "Memberships in an organisation (tenant)"),
        (name = "sharing", description = "Workspace Sharing: a workspace is its owner's to share"),
    ),
    security(("bearer" = []), ("apiKey" = [])),
    modifiers(&Credentials),
)]
struct Description;

/// The two ways to show a credential.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let schemes = document.components.get_or_insert_with(Default::default);
        schemes.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        let header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
        schemes.add_security_scheme("apiKey", SecurityScheme::ApiKey(header));
    }
}

/// The document of all routes under `/api`.
#[must_use]
pub fn document() -> Document {
    let routes = App::new().into_utoipa_app().openapi(Description::openapi()).configure(routes::documented);
    let mut document = routes.split_for_parts().1;
    complete(&mut document);
    document
}

fn complete(document: &mut Document) {
    let components = document.components.get_or_insert_with(Default::default);
    for (name, schema) in &mut components.schemas {
        if let RefOr::T(schema) = schema {
            fields::describe_schema(name, schema);
        }
    }
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            for shared in complete_operation(&method, path, operation) {
                components.responses.insert(shared.name, shared.response.into());
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Replaces the range that stands for every refusal by the refusals themselves; gives what they refer to.
fn complete_operation(method: &Method, path: &str, operation: &mut Operation) -> Vec<refusals::Shared> {
    let open = operation.security.as_ref().is_some_and(|needed| needed.iter().all(is_nothing));
    let parameters = operation.parameters.get_or_insert_default();
    let mut takes_query = false;
    for parameter in parameters.iter_mut() {
        if let RefOr::T(parameter) = parameter {
            fields::describe_parameter(parameter);
            takes_query |= matches!(parameter.parameter_in, ParameterIn::Query);
        }
    }
    if !open {
        parameters.push(fields::tenant_header().into());
    }
    let post = *method == Method::POST;
    if post {
        parameters.push(fields::idempotency_header().into());
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body
        && body.content.values().any(may_be_left_out)
    {
        body.required = Some(Required::False);
    }
    let shape = refusals::Shape {
        family: Family::of_route(method, path),
        path,
        id: operation.operation_id.as_deref().unwrap_or_default(),
        tag: operation.tags.iter().flatten().next().map_or("", String::as_str),
        open,
        post,
        takes_body: operation.request_body.is_some(),
        takes_query,
    };
    let all = refusals::of(&shape);
    let responses = &mut operation.responses.responses;
    responses.retain(|status, _| !matches!(status.as_str(), "4XX" | "503"));
    for shared in &all {
        responses.entry(shared.status.clone()).or_insert_with(|| refusals::reference(shared));
    }
    all
}

fn may_be_left_out(content: &RefOr<Content>) -> bool {
    let RefOr::T(content) = content else { return false };
    match &content.schema {
        Some(RefOr::Ref(to)) => OPTIONAL.iter().any(|name| to.ref_location.ends_with(&format!("/{name}"))),
        _ => false,
    }
}

/// `security(())`: no credential is needed.
fn is_nothing(requirement: &utoipa::openapi::security::SecurityRequirement) -> bool {
    *requirement == utoipa::openapi::security::SecurityRequirement::default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::test::{TestRequest, call_service, init_service};
    use serde_json::Value;

    use super::*;

    /// Method, path and operation of everything in the document.
    fn all(document: &Value) -> Vec<(String, String, Value)> {
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            let item = item.as_object().unwrap();
            item.iter()
                .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
        });
        operations.collect()
    }

    fn json() -> Value {
        serde_json::to_value(document()).unwrap()
    }

    #[test]
    fn every_operation_says_what_it_is_what_it_takes_and_how_it_answers() {
        let document = json();
        let mut ids = BTreeSet::new();
        for (method, path, operation) in all(&document) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{id}");
            assert!(operation["summary"].is_string(), "{id}");
            for parameter in operation["parameters"].as_array().unwrap() {
                assert!(parameter["description"].is_string(), "{parameter} of {method} {path}");
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(status.parse::<u16>().is_ok(), "{status} of {id} is no status");
                let response = match response["$ref"].as_str() {
                    Some(name) => document.pointer(name.trim_start_matches('#')).unwrap(),
                    None => response,
                };
                assert!(!response["description"].as_str().unwrap().is_empty(), "{status} of {id}");
            }
        }
        let tags: BTreeSet<&str> =
            document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
        for (.., operation) in all(&document) {
            assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{operation}");
        }
        assert!(document.get("servers").is_none(), "whatever host serves it is the server");
    }

    #[test]
    fn refusals_are_listed_with_the_status_that_the_server_gives_them() {
        let document = json();
        let codes = |path: &str, method: &str, status: &str| -> String {
            let response = &document["paths"][path][method]["responses"][status];
            response["$ref"].as_str().unwrap_or_default().to_owned()
        };
        let accept = "/api/v1/workspace-invites/{token}/accept";
        assert!(codes(accept, "post", "409").contains("ALREADY_ACCEPTED.REVOKED.DECLINED"));
        assert!(codes(accept, "post", "410").ends_with("EXPIRED"));
        assert!(codes(accept, "post", "422").contains("EMAIL_MISMATCH"));
        let org = "/api/v1/invites/{token}/accept";
        assert!(codes(org, "post", "400").contains("invalid_token") && codes(org, "post", "410").is_empty());
        let preview = "/api/v1/invites/{token}";
        assert!(codes(preview, "get", "401").is_empty(), "a preview needs no credential");
        assert!(codes("/api/v1/workspaces", "post", "409").contains("AMBIGUOUS_ORG"));
    }

    #[test]
    fn ids_are_uuids_times_are_times_and_bodies_that_say_nothing_may_be_left_out() {
        let document = json();
        let parameters = &document["paths"]["/api/v1/workspaces/{workspace_id}"]["get"]["parameters"];
        let workspace = parameters.as_array().unwrap().iter().find(|p| p["name"] == "workspace_id").unwrap();
        assert_eq!(workspace["schema"]["format"], "uuid");
        assert!(parameters.as_array().unwrap().iter().any(|p| p["name"] == "X-MIOSA-Tenant"));
        let invite = &document["components"]["schemas"]["InviteBody"]["properties"];
        assert_eq!(invite["accepted_at"]["format"], "date-time");
        assert_eq!(invite["status"]["enum"][0], "pending");
        let around = &document["components"]["schemas"]["Data_PreviewBody"]["properties"]["data"];
        assert_eq!(around["properties"]["expires_at"]["format"], "date-time");
        let body = |path: &str| document["paths"][path]["post"]["requestBody"]["required"].clone();
        assert_eq!(body("/api/v1/invites/{token}/accept"), false);
        assert_eq!(body("/api/v1/workspaces"), true);
    }

    #[test]
    fn every_post_takes_an_idempotency_key_and_nothing_else_does() {
        let document = json();
        for (method, path, operation) in all(&document) {
            let parameters = operation["parameters"].as_array().unwrap();
            let takes = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
            assert_eq!(takes, method == "POST", "{method} {path}");
        }
    }

    #[actix_web::test]
    async fn every_operation_of_the_document_is_routed() {
        let app = init_service(App::new().configure(routes::api)).await;
        for (method, path, _) in all(&json()) {
            let filled: Vec<&str> =
                path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
            let request = TestRequest::with_uri(&filled.join("/"))
                .method(Method::from_bytes(method.as_bytes()).unwrap())
                .to_request();
            let answer = call_service(&app, request).await;
            // without its state a handler can only fail; a path or method of nobody is not found
            assert_ne!(answer.status(), 404, "{method} {path}");
        }
    }

    #[test]
    fn every_handler_of_the_api_is_routed_and_so_in_the_document() {
        let document = json();
        let ids: BTreeSet<String> = all(&document)
            .into_iter()
            .map(|(.., operation)| operation["operationId"].as_str().unwrap().to_owned())
            .collect();
        let mut handlers = BTreeSet::new();
        let folders = ["v1", "v2"].map(|folder| format!("{}/src/http/{folder}", env!("CARGO_MANIFEST_DIR")));
        for entry in folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let declared = text.split("operation_id = \"").skip(1);
            handlers.extend(declared.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
        assert_eq!(handlers, ids);
    }
}
