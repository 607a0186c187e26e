//! The OpenAPI document, generated from the handlers.

use actix_web::App;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_actix_web::AppExt;

use super::routes;

#[derive(OpenApi)]
#[openapi(
    info(title = "usher", description = "Invitations and memberships for multi-tenant applications."),
    tags(
        (name = "workspace-invites", description = "Invitations into a workspace"),
        (name = "org-invites", description = "Invitations into an organisation (tenant)"),
        (name = "tenants", description = "Organisations (tenants)"),
        (name = "white-label", description = "Looks and domain of an organisation"),
        (name = "api-keys", description = "API keys"),
        (name = "inbox", description = "What waits for the caller"),
        (name = "workspaces", description = "Workspaces"),
        (name = "workspace-members", description = "Memberships in a workspace"),
        (name = "tenant-members", description = "Memberships in an organisation (tenant)"),
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
pub fn document() -> utoipa::openapi::OpenApi {
    App::new().into_utoipa_app().openapi(Description::openapi()).configure(routes::api).split_for_parts().1
}
