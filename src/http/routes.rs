//! Which routes there are: the API, the document and its page, the landing pages, the health check.

use std::sync::LazyLock;

use actix_web::{HttpResponse, get, http::StatusCode, web};
use utoipa_actix_web::{scope, service_config::ServiceConfig};

use super::{answer, error::ApiError, openapi, pages, v1, v2::sharing};
use crate::domain::Refusal;

/// The one table of routes, for both who read it. The application has no use for a document of its own, of which it would
/// make one for each of its threads.
macro_rules! routes {
    ($($below:literal => [$($handler:path),* $(,)?]),* $(,)?) => {
        /// Everything that the document shows.
        pub fn documented(config: &mut ServiceConfig) {
            $(config.service(scope($below)$(.service($handler))*);)*
        }

        /// The same to be served.
        pub fn api(config: &mut web::ServiceConfig) {
            $(config.service(web::scope($below)$(.service($handler))*);)*
        }
    };
}

routes! {
    "/api/v1" => [
        // asked for most, and routes are tried in this order
        v1::links::preview_workspace_invite,
        v1::links::preview_org_invite,
        v1::workspace_invites::create_workspace_invite,
        v1::workspace_invites::list_workspace_invites,
        v1::workspace_invites::get_workspace_invite,
        v1::workspace_invites::edit_workspace_invite,
        v1::workspace_invites::revoke_workspace_invite,
        v1::workspace_invites::resend_workspace_invite,
        v1::org_invites::create_org_invite,
        v1::org_invites::list_org_invites,
        v1::org_invites::get_org_invite,
        v1::org_invites::edit_org_invite,
        v1::org_invites::revoke_org_invite,
        v1::org_invites::resend_org_invite,
        v1::links::accept_workspace_invite,
        v1::links::decline_workspace_invite,
        v1::links::accept_org_invite,
        v1::links::decline_org_invite,
        v1::workspace_invites::list_workspace_invite_events,
        v1::org_invites::list_org_invite_events,
        v1::invitations::list_invitation_events,
        v1::events::list_events,
        v1::invitations::list_invitations,
        v1::invitations::invite_member,
        v1::invitations::get_invitation,
        v1::invitations::revoke_invitation,
        v1::invitations::edit_invitation,
        v1::invitations::resend_invitation,
        v1::invitations::accept_invitation,
        v1::invitations::decline_invitation,
        v1::workspaces::create_workspace,
        v1::workspaces::list_workspaces,
        v1::workspaces::get_workspace,
        v1::workspace_members::list_workspace_members,
        v1::workspace_members::add_workspace_member,
        v1::workspace_members::set_workspace_member_role,
        v1::workspace_members::set_workspace_member_role_alias,
        v1::workspace_members::remove_workspace_member,
        v1::tenant_members::list_tenant_members,
        v1::tenant_members::add_tenant_member,
        v1::tenant_members::set_tenant_member_role,
        v1::tenant_members::remove_tenant_member,
        v1::tenant_members::list_own_tenant_members,
        v1::tenant_members::add_own_tenant_member,
        v1::tenant_members::set_own_tenant_member_role,
        v1::tenant_members::remove_own_tenant_member,
        v1::tenant_members::transfer_ownership,
        v1::tenants::list_tenants,
        v1::tenants::get_current_tenant,
        v1::tenants::switch_tenant,
        v1::tenants::update_tenant,
        v1::tenants::get_tenant_plan,
        v1::tenants::get_branding,
        v1::tenants::put_branding,
        v1::tenants::delete_branding,
        v1::tenants::get_preview_domain,
        v1::tenants::put_preview_domain,
        v1::tenants::delete_preview_domain,
        v1::tenants::verify_preview_domain,
        v1::tenants::get_preview_domain_verification,
        v1::workspaces::edit_workspace,
        v1::workspaces::delete_workspace,
        v1::api_keys::create_api_key,
        v1::api_keys::create_scoped_api_key,
        v1::api_keys::list_api_keys,
        v1::api_keys::get_api_key,
        v1::api_keys::edit_api_key,
        v1::api_keys::rotate_api_key,
        v1::api_keys::delete_api_key,
        v1::api_keys::list_api_key_events,
        v1::me::list_my_invites,
        v1::me::list_my_invitations,
        v1::me::accept_my_invite,
        v1::me::accept_my_invitation,
        v1::me::decline_my_invite,
        v1::me::decline_my_invitation,
    ],
    "/api/v2" => [
        sharing::share_workspace,
        sharing::respond_to_invitation,
        sharing::edit_invitation_expiration,
        sharing::resend_invitation,
        sharing::list_shared_users,
        sharing::list_pending_invitations,
        sharing::list_pending_invitations_alias,
        sharing::set_permissions,
        sharing::set_permissions_put,
        sharing::set_permissions_patch,
        sharing::remove_shared_user,
        sharing::remove_shared_user_delete,
    ],
}

/// What the document does not show, with its methods: see [`super::edge::methods`].
pub const UNDOCUMENTED: [(&str, &str); 8] = [
    ("/healthz", "GET"),
    ("/openapi.json", "GET"),
    ("/docs", "GET"),
    ("/docs/{file}", "GET"),
    ("/usher/logo", "GET"),
    ("/", "GET"),
    ("/invites/{token}", "GET"),
    ("/workspace-invites/{token}", "GET"),
];

/// The rest.
pub fn pages(config: &mut web::ServiceConfig) {
    config.service(healthz).service(document).configure(pages::routes);
}

/// Alive: says nothing about the database.
#[get("/healthz")]
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(r#"{"status":"ok"}"#)
}

/// The document's bytes, made when they are first asked for; `None` if it cannot be written as JSON.
pub struct DocumentJson(LazyLock<Option<web::Bytes>>);

impl Default for DocumentJson {
    fn default() -> Self {
        Self(LazyLock::new(|| openapi::document().to_json().ok().map(web::Bytes::from)))
    }
}

#[get("/openapi.json")]
async fn document(json: web::Data<DocumentJson>) -> Result<HttpResponse, ApiError> {
    let json = json.0.clone().ok_or(Refusal::Internal)?;
    Ok(answer::json_of(StatusCode::OK, json))
}
