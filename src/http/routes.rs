//! Which routes there are: the API, the document and its page, the landing pages, the health check.

use actix_web::{HttpResponse, get, web};
use utoipa_actix_web::{scope, service_config::ServiceConfig};

use super::{pages, v1, v2::sharing};

/// Everything that the document shows.
pub fn api(config: &mut ServiceConfig) {
    config.service(
        scope("/api/v1")
            // asked for most, and routes are tried in this order
            .service(v1::links::preview_workspace_invite)
            .service(v1::links::preview_org_invite)
            .service(v1::workspace_invites::create_workspace_invite)
            .service(v1::workspace_invites::list_workspace_invites)
            .service(v1::workspace_invites::get_workspace_invite)
            .service(v1::workspace_invites::edit_workspace_invite)
            .service(v1::workspace_invites::revoke_workspace_invite)
            .service(v1::workspace_invites::resend_workspace_invite)
            .service(v1::org_invites::create_org_invite)
            .service(v1::org_invites::list_org_invites)
            .service(v1::org_invites::get_org_invite)
            .service(v1::org_invites::edit_org_invite)
            .service(v1::org_invites::revoke_org_invite)
            .service(v1::org_invites::resend_org_invite)
            .service(v1::links::accept_workspace_invite)
            .service(v1::links::decline_workspace_invite)
            .service(v1::links::accept_org_invite)
            .service(v1::links::decline_org_invite)
            .service(v1::workspace_invites::list_workspace_invite_events)
            .service(v1::org_invites::list_org_invite_events)
            .service(v1::invitations::list_invitation_events)
            .service(v1::events::list_events)
            .service(v1::invitations::list_invitations)
            .service(v1::invitations::invite_member)
            .service(v1::invitations::get_invitation)
            .service(v1::invitations::revoke_invitation)
            .service(v1::invitations::edit_invitation)
            .service(v1::invitations::resend_invitation)
            .service(v1::invitations::accept_invitation)
            .service(v1::invitations::decline_invitation)
            .service(v1::workspaces::create_workspace)
            .service(v1::workspaces::list_workspaces)
            .service(v1::workspaces::get_workspace)
            .service(v1::workspace_members::list_workspace_members)
            .service(v1::workspace_members::add_workspace_member)
            .service(v1::workspace_members::set_workspace_member_role)
            .service(v1::workspace_members::set_workspace_member_role_alias)
            .service(v1::workspace_members::remove_workspace_member)
            .service(v1::tenant_members::list_tenant_members)
            .service(v1::tenant_members::add_tenant_member)
            .service(v1::tenant_members::set_tenant_member_role)
            .service(v1::tenant_members::remove_tenant_member)
            .service(v1::tenant_members::list_own_tenant_members)
            .service(v1::tenant_members::add_own_tenant_member)
            .service(v1::tenant_members::set_own_tenant_member_role)
            .service(v1::tenant_members::remove_own_tenant_member)
            .service(v1::tenant_members::transfer_ownership)
            .service(v1::tenants::list_tenants)
            .service(v1::tenants::get_current_tenant)
            .service(v1::tenants::switch_tenant)
            .service(v1::tenants::update_tenant)
            .service(v1::tenants::get_tenant_plan)
            .service(v1::tenants::get_branding)
            .service(v1::tenants::put_branding)
            .service(v1::tenants::delete_branding)
            .service(v1::tenants::get_preview_domain)
            .service(v1::tenants::put_preview_domain)
            .service(v1::tenants::delete_preview_domain)
            .service(v1::tenants::verify_preview_domain)
            .service(v1::tenants::get_preview_domain_verification)
            .service(v1::workspaces::edit_workspace)
            .service(v1::workspaces::delete_workspace)
            .service(v1::api_keys::create_api_key)
            .service(v1::api_keys::create_scoped_api_key)
            .service(v1::api_keys::list_api_keys)
            .service(v1::api_keys::get_api_key)
            .service(v1::api_keys::edit_api_key)
            .service(v1::api_keys::rotate_api_key)
            .service(v1::api_keys::delete_api_key)
            .service(v1::api_keys::list_api_key_events)
            .service(v1::me::list_my_invites)
            .service(v1::me::list_my_invitations)
            .service(v1::me::accept_my_invite)
            .service(v1::me::accept_my_invitation)
            .service(v1::me::decline_my_invite)
            .service(v1::me::decline_my_invitation),
    );
    config.service(
        scope("/api/v2")
            .service(sharing::share_workspace)
            .service(sharing::respond_to_invitation)
            .service(sharing::edit_invitation_expiration)
            .service(sharing::resend_invitation)
            .service(sharing::list_shared_users)
            .service(sharing::list_pending_invitations)
            .service(sharing::list_pending_invitations_alias)
            .service(sharing::set_permissions)
            .service(sharing::set_permissions_put)
            .service(sharing::set_permissions_patch)
            .service(sharing::remove_shared_user)
            .service(sharing::remove_shared_user_delete),
    );
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

/// The document's bytes, made once.
#[derive(Clone)]
pub struct DocumentJson(pub web::Bytes);

#[get("/openapi.json")]
async fn document(json: web::Data<DocumentJson>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(json.0.clone())
}
