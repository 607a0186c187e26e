//! What the holder of a link can do: look at it, accept, decline.

use actix_web::{HttpResponse, get, http::StatusCode, post, web};
use entity::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    body::{self, Empty, ErrorBody},
    invite_body::{Data, PreviewBody},
};
use crate::{
    actors::Reply,
    config::settings::{self, Compat},
    domain::Refusal,
    http::{
        answer,
        error::{ApiError, Family},
        extract::{Body, Caller, Visitor},
        once::{self, Once},
        state::State,
    },
    invites::{
        accept::{self, Accepted},
        decline::{self, Declined},
        preview,
        proof::{Kind, Presented},
    },
};

/// Body of a decline.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct DeclineInvite {
    /// What the inviter shall know, at most 500 characters.
    #[serde(default)]
    pub note: Option<String>,
}

/// Answer to accepting a workspace invite.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkspaceAccepted {
    /// Always true.
    pub accepted: bool,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Its tenant.
    pub tenant_id: Uuid,
    /// The role held now.
    pub role: &'static str,
}

/// Answer to accepting an org invite.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrgAccepted {
    /// Always true.
    pub accepted: bool,
    /// The tenant.
    pub tenant_id: Uuid,
    /// The role held now.
    pub role: &'static str,
    /// The tenant, in the shape that clients decode.
    pub tenant: TenantBody,
}

/// Answer to accepting an invite of either kind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum AnyAccepted {
    /// Into an organisation.
    Org(OrgAccepted),
    /// Into a workspace.
    Workspace(WorkspaceAccepted),
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantBody {
    /// Its id.
    pub id: Uuid,
    /// Its display name.
    pub name: String,
    /// Its short name.
    pub slug: String,
    /// Always null: usher bills nobody.
    pub owner_user_id: Option<String>,
    /// Always null.
    pub plan_id: Option<String>,
    /// Always null.
    pub plan_name: Option<String>,
    /// Always empty.
    pub settings: Map<String, Value>,
    /// Always null.
    pub inserted_at: Option<String>,
    /// Always null.
    pub updated_at: Option<String>,
}

impl TenantBody {
    fn of(tenant: &settings::Tenant) -> Self {
        Self {
            id: tenant.id.0,
            name: tenant.name.clone(),
            slug: tenant.slug.clone(),
            owner_user_id: None,
            plan_id: None,
            plan_name: None,
            settings: Map::new(),
            inserted_at: None,
            updated_at: None,
        }
    }
}

/// Answer to declining.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeclinedBody {
    /// Always true.
    pub declined: bool,
    /// The invite.
    pub invite_id: Uuid,
    /// The tenant.
    pub tenant_id: Uuid,
    /// The workspace, for workspace invites.
    pub workspace_id: Option<Uuid>,
}

impl From<Declined> for DeclinedBody {
    fn from(declined: Declined) -> Self {
        Self {
            declined: true,
            invite_id: declined.invite_id.0,
            tenant_id: declined.tenant.id.0,
            workspace_id: declined.workspace_id.map(|id| id.0),
        }
    }
}

/// Look at a workspace invitation. Public; a credential, good or bad, does not matter.
#[utoipa::path(tag = "workspace-invites", operation_id = "preview_workspace_invite", security(()),
    responses(
        (status = 200, description = "What the link shows", body = Data<PreviewBody>),
        (status = "4XX", description = "No such link here", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/workspace-invites/{token}")]
pub async fn preview_workspace_invite(
    visitor: Visitor,
    token: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    show(&visitor, token.into_inner(), Kind::Workspace, Family::Standard).await
}

/// Look at an organisation's invitation. Public; a credential, good or bad, does not matter.
#[utoipa::path(tag = "org-invites", operation_id = "preview_org_invite", security(()),
    responses(
        (status = 200, description = "What the link shows", body = Data<PreviewBody>),
        (status = "4XX", description = "No such link here", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/invites/{token}")]
pub async fn preview_org_invite(
    visitor: Visitor,
    token: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    show(&visitor, token.into_inner(), Kind::Org, Family::OrgPreview).await
}

async fn show(
    visitor: &Visitor,
    token: String,
    kind: Kind,
    family: Family,
) -> Result<HttpResponse, ApiError> {
    let link = Presented { token, kind, within: visitor.site_tenant() };
    let seen = preview::look(&visitor.state.invites, &link).await;
    let seen = seen.map_err(|refusal| ApiError::of(family)(visitor.counted(refusal)))?;
    visitor.visit.is_for(&seen.tenant);
    let body = seen.written(|preview| answer::bytes(&Data { data: PreviewBody::of(preview) }))?;
    Ok(answer::json_of(StatusCode::OK, body))
}

/// Accept a workspace invitation: makes the tenant and workspace memberships, both or neither, exactly once.
///
/// **Permissions**: the addressee, by the address of the credential.
#[utoipa::path(tag = "workspace-invites", operation_id = "accept_workspace_invite",
    request_body = Empty,
    responses(
        (status = 200, description = "Accepted", body = WorkspaceAccepted),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspace-invites/{token}/accept")]
pub async fn accept_workspace_invite(
    caller: Caller,
    token: web::Path<String>,
    _body: Body<Empty>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let family = workspace_family(&caller.at.state);
    let reply = |accepted| reply_accepted(&accepted);
    accepted(&caller, token.into_inner(), Kind::Workspace, family, once, reply).await
}

/// An acceptance on the wire, by what it was for.
pub(super) fn reply_accepted(accepted: &Accepted) -> Result<Reply, Refusal> {
    let (tenant_id, role) = (accepted.tenant.id.0, accepted.role.as_str());
    once::ok(&match accepted.workspace_id {
        Some(workspace) => AnyAccepted::Workspace(WorkspaceAccepted {
            accepted: true,
            workspace_id: workspace.0,
            tenant_id,
            role,
        }),
        None => AnyAccepted::Org(OrgAccepted {
            accepted: true,
            tenant_id,
            role,
            tenant: TenantBody::of(&accepted.tenant),
        }),
    })
}

/// Accept an organisation's invitation: makes the tenant membership, exactly once.
///
/// **Permissions**: the addressee, by the address of the credential.
#[utoipa::path(tag = "org-invites", operation_id = "accept_org_invite",
    request_body = Empty,
    responses(
        (status = 200, description = "Accepted", body = OrgAccepted),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/invites/{token}/accept")]
pub async fn accept_org_invite(
    caller: Caller,
    token: web::Path<String>,
    _body: Body<Empty>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let reply = |accepted| reply_accepted(&accepted);
    accepted(&caller, token.into_inner(), Kind::Org, Family::OrgLink, once, reply).await
}

/// Accepts by the token of a link of this kind.
pub(super) async fn accepted(
    caller: &Caller,
    token: String,
    kind: Kind,
    family: Family,
    once: Once,
    render: impl Fn(Accepted) -> Result<Reply, Refusal> + Send + Sync + 'static,
) -> Result<HttpResponse, ApiError> {
    let refuse = |refusal| ApiError::of(family)(caller.at.counted(caller.at.noted(refusal)));
    let within = only_tenant(caller).map_err(refuse)?;
    let link = Presented { token, kind, within };
    let accepting = accept::accept(&caller.at.state.invites, &caller.principal, &link);
    let answer = once.answer(accepting, render).await.map_err(refuse)?;
    if let Some(user) = &caller.principal.user {
        caller.at.state.auth.first_sight().forget(&user.id);
    }
    Ok(answer)
}

/// Decline a workspace invitation, for good.
///
/// **Permissions**: the addressee, by the address of the credential.
#[utoipa::path(tag = "workspace-invites", operation_id = "decline_workspace_invite",
    request_body = DeclineInvite,
    responses(
        (status = 200, description = "Declined", body = DeclinedBody),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspace-invites/{token}/decline")]
pub async fn decline_workspace_invite(
    caller: Caller,
    token: web::Path<String>,
    body: Body<DeclineInvite>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let family = workspace_family(&caller.at.state);
    let note = body::text("note", body.0.note, 500)?;
    declined(&caller, token.into_inner(), Kind::Workspace, note, family, once, reply_declined).await
}

/// Decline an organisation's invitation, for good.
///
/// **Permissions**: the addressee, by the address of the credential.
#[utoipa::path(tag = "org-invites", operation_id = "decline_org_invite",
    request_body = DeclineInvite,
    responses(
        (status = 200, description = "Declined", body = DeclinedBody),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/invites/{token}/decline")]
pub async fn decline_org_invite(
    caller: Caller,
    token: web::Path<String>,
    body: Body<DeclineInvite>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let note = body::text("note", body.0.note, 500)?;
    declined(&caller, token.into_inner(), Kind::Org, note, Family::OrgLink, once, reply_declined).await
}

/// A refusal by the addressee on the wire.
pub(super) fn reply_declined(declined: Declined) -> Result<Reply, Refusal> {
    once::ok(&DeclinedBody::from(declined))
}

/// Declines by the token of a link of this kind.
pub(super) async fn declined(
    caller: &Caller,
    token: String,
    kind: Kind,
    note: Option<String>,
    family: Family,
    once: Once,
    render: impl Fn(Declined) -> Result<Reply, Refusal> + Send + Sync + 'static,
) -> Result<HttpResponse, ApiError> {
    let refuse = |refusal| ApiError::of(family)(caller.at.counted(caller.at.noted(refusal)));
    let within = only_tenant(caller).map_err(refuse)?;
    let link = Presented { token, kind, within };
    let declining = decline::decline(&caller.at.state.invites, &caller.principal, &link, note);
    once.answer(declining, render).await.map_err(refuse)
}

/// The tenant that host and header allow; where they contradict each other, the link is as good as unknown.
fn only_tenant(caller: &Caller) -> Result<Option<TenantId>, Refusal> {
    match caller.at.only_tenant() {
        Ok(tenant) => Ok(tenant.map(|tenant| tenant.id)),
        Err(_) => Err(Refusal::InvalidToken),
    }
}

fn workspace_family(state: &State) -> Family {
    match state.settings().compat {
        Compat::Sdk => Family::Standard,
        Compat::Docs => Family::DocsLink,
    }
}
