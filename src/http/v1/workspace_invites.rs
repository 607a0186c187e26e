//! Invites into a workspace.

use actix_web::{HttpResponse, delete, get, http::StatusCode, patch, post, web};
use entity::{Millis, invite};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    body::ErrorBody,
    event_body::HistoryBody,
    invite_body::{
        CreateInvite, Data, EditInvite, InviteBody, InviteList, MemberRecord, ResendInvite, Resent, Revoked,
    },
    list_query::{ListParams, ListQuery},
};
use crate::{
    actors::Reply,
    domain::{Refusal, Scope},
    http::{
        answer,
        error::{ApiError, Family},
        extract::{Body, Caller, id},
        once::{self, Once},
    },
    invites::{create, create::Created, edit, history, list, resend, revoke},
};

/// Invited, or added: told apart by `type`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum CreateAnswer {
    /// 201.
    Invited {
        /// Always `invited`.
        r#type: &'static str,
        /// The invite, with its link.
        data: Box<InviteBody>,
    },
    /// 200.
    Added {
        /// Always `added`.
        r#type: &'static str,
        /// The membership.
        data: MemberRecord,
    },
}

/// Invite somebody into a workspace, or add them at once if they belong to the tenant.
///
/// **Permissions**: workspace owner or admin, tenant owner or admin, or a role that the tenant's configuration
/// lets create invites; nobody grants above their own role. Safe to repeat: the pending invite comes back.
#[utoipa::path(tag = "workspace-invites", operation_id = "create_workspace_invite",
    request_body = CreateInvite,
    responses(
        (status = 201, description = "Invited", body = CreateAnswer),
        (status = 200, description = "Added: already a member of the tenant", body = CreateAnswer),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspaces/{workspace_id}/invites")]
pub async fn create_workspace_invite(
    caller: Caller,
    path: web::Path<String>,
    body: Body<CreateInvite>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let workspace = id(&path)?;
    let scope = Scope::Workspace(workspace);
    // read before any tenant is looked at: a stranger learns nothing from what is refused first
    let new = body.0.read(scope)?;
    let (state, call) = caller.within_workspace(workspace).await?;
    let clock = state.store.clock().clone();
    let creating = create::create(&state.invites, call, new);
    Ok(once.answer(creating, move |created| reply(created, clock.now())).await?)
}

/// Invited or added, on the wire.
pub(super) fn reply(created: Created, now: Millis) -> Result<Reply, Refusal> {
    match created {
        Created::Invited(row, url) => once::created(&CreateAnswer::Invited {
            r#type: "invited",
            data: Box::new(InviteBody::of(*row, now).with_url(url)),
        }),
        Created::Added(member) => {
            once::ok(&CreateAnswer::Added { r#type: "added", data: MemberRecord::of(&member) })
        }
    }
}

/// List the invites of a workspace: everything that is pending, unless asked otherwise.
///
/// **Permissions**: as creating; others see those they sent.
#[utoipa::path(tag = "workspace-invites", operation_id = "list_workspace_invites", params(ListParams),
    responses(
        (status = 200, description = "Invites, pending ones unless asked otherwise", body = InviteList),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/workspaces/{workspace_id}/invites")]
pub async fn list_workspace_invites(
    caller: Caller,
    path: web::Path<String>,
    asked: ListQuery,
) -> Result<HttpResponse, ApiError> {
    let workspace = id(&path)?;
    let scope = Scope::Workspace(workspace);
    let (state, call) = caller.within_workspace(workspace).await?;
    let now = state.store.clock().now();
    let show = move |page: list::Page| answer::list(page.invites.len(), &InviteList::of(page, now));
    let json = list::list(&state.invites, call, scope, asked.0, show).await??;
    Ok(answer::json_of(StatusCode::OK, json))
}

/// Get one invite of a workspace, in any state.
#[utoipa::path(tag = "workspace-invites", operation_id = "get_workspace_invite",
    responses(
        (status = 200, description = "The invite", body = Data<InviteBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/workspaces/{workspace_id}/invites/{invite_id}")]
pub async fn get_workspace_invite(
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (workspace, invite) = (id(&path.0)?, id(&path.1)?);
    let scope = Scope::Workspace(workspace);
    let (state, call) = caller.within_workspace(workspace).await?;
    let row = list::get(&state.invites, call, scope, invite).await?;
    Ok(HttpResponse::Ok().json(Data { data: InviteBody::of(row, state.store.clock().now()) }))
}

/// Revoke an invite of a workspace. Revoking again answers the same.
#[utoipa::path(tag = "workspace-invites", operation_id = "revoke_workspace_invite",
    responses(
        (status = 200, description = "Revoked", body = Revoked),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/workspaces/{workspace_id}/invites/{invite_id}")]
pub async fn revoke_workspace_invite(
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (workspace, invite) = (id(&path.0)?, id::<entity::InviteId>(&path.1)?);
    let scope = Scope::Workspace(workspace);
    let (state, call) = caller.within_workspace(workspace).await?;
    revoke::revoke(&state.invites, call, scope, invite).await?;
    Ok(HttpResponse::Ok().json(Revoked { invite_id: invite.0, revoked: true }))
}

/// Mail an invite of a workspace again; `rotate` gives it a new link.
#[utoipa::path(tag = "workspace-invites", operation_id = "resend_workspace_invite",
    request_body = ResendInvite,
    responses(
        (status = 200, description = "A mail is owed", body = Resent),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspaces/{workspace_id}/invites/{invite_id}/resend")]
pub async fn resend_workspace_invite(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<ResendInvite>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let (workspace, invite) = (id(&path.0)?, id(&path.1)?);
    let scope = Scope::Workspace(workspace);
    let (state, call) = caller.within_workspace(workspace).await?;
    let rotate = body.0.rotate.unwrap_or(false);
    let clock = state.store.clock().clone();
    let resending = resend::resend(&state.invites, call, scope, invite, rotate);
    Ok(once.answer(resending, move |resent| reply_resent(resent, clock.now())).await?)
}

/// Resent, on the wire.
pub(super) fn reply_resent(
    (row, invite_url): (invite::Model, String),
    now: Millis,
) -> Result<Reply, Refusal> {
    let data = InviteBody::of(row, now).with_url(invite_url.clone());
    once::ok(&Resent { data, invite_url })
}

/// Change role or expiry of a pending invite of a workspace.
#[utoipa::path(tag = "workspace-invites", operation_id = "edit_workspace_invite",
    request_body = EditInvite,
    responses(
        (status = 200, description = "The invite as it is now", body = Data<InviteBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[patch("/workspaces/{workspace_id}/invites/{invite_id}")]
pub async fn edit_workspace_invite(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<EditInvite>,
) -> Result<HttpResponse, ApiError> {
    let (workspace, invite) = (id(&path.0)?, id(&path.1)?);
    let scope = Scope::Workspace(workspace);
    let change = body.0.read(scope)?;
    let (state, call) = caller.within_workspace(workspace).await?;
    let row = edit::edit(&state.invites, call, scope, invite, change)
        .await
        .map_err(ApiError::of(Family::Editing))?;
    Ok(HttpResponse::Ok().json(Data { data: InviteBody::of(row, state.store.clock().now()) }))
}

/// Read what happened to an invite of a workspace: by whom, when, what became of its mails.
///
/// **Permissions**: whoever may read the invite.
#[utoipa::path(tag = "workspace-invites", operation_id = "list_workspace_invite_events",
    responses(
        (status = 200, description = "What happened, the oldest first", body = HistoryBody),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/workspaces/{workspace_id}/invites/{invite_id}/events")]
pub async fn list_workspace_invite_events(
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (workspace, invite) = (id(&path.0)?, id(&path.1)?);
    let (state, call) = caller.within_workspace(workspace).await?;
    let history = history::of(&state.invites, call, Scope::Workspace(workspace), invite).await?;
    Ok(HttpResponse::Ok().json(HistoryBody::of(&history)))
}
