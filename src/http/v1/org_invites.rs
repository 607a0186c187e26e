//! Invites into a tenant itself.

use actix_web::{HttpResponse, delete, get, http::StatusCode, patch, post, web};

use super::{
    body::ErrorBody,
    event_body::HistoryBody,
    invite_body::{CreateInvite, Data, EditInvite, InviteBody, InviteList, ResendInvite, Resent, Revoked},
    list_query::{ListParams, ListQuery},
    workspace_invites::reply_resent,
};
use crate::{
    domain::{Refusal, Scope},
    http::{
        answer,
        error::{ApiError, Family},
        extract::{Body, Caller, id},
        once::{self, Once},
    },
    invites::{create, create::Created, edit, history, list, resend, revoke},
};

/// Invite somebody into the tenant.
///
/// **Permissions**: tenant owner or admin, or a role that the tenant's configuration lets create invites; nobody
/// grants above their own role. Safe to repeat: the pending invite comes back.
#[utoipa::path(tag = "org-invites", operation_id = "create_org_invite",
    request_body = CreateInvite,
    responses(
        (status = 201, description = "Invited", body = Data<InviteBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/tenants/{tenant_id}/invites")]
pub async fn create_org_invite(
    caller: Caller,
    path: web::Path<String>,
    body: Body<CreateInvite>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    // read before any tenant is looked at: a stranger learns nothing from what is refused first
    let new = body.0.read(Scope::Org)?;
    let (state, call) = caller.within_named(&path).await?;
    let clock = state.store.clock().clone();
    let creating = create::create(&state.invites, call, new);
    let answer = once.answer(creating, move |created| match created {
        Created::Invited(row, url) => {
            once::created(&Data { data: InviteBody::of(*row, clock.now()).with_url(url) })
        }
        Created::Added(_) => Err(Refusal::AlreadyMember),
    });
    Ok(answer.await?)
}

/// List the invites of the tenant itself: everything that is pending, unless asked otherwise.
///
/// **Permissions**: tenant owner or admin, or by configuration; others see those they sent.
#[utoipa::path(tag = "org-invites", operation_id = "list_org_invites", params(ListParams),
    responses(
        (status = 200, description = "Invites, pending ones unless asked otherwise", body = InviteList),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/tenants/{tenant_id}/invites")]
pub async fn list_org_invites(
    caller: Caller,
    path: web::Path<String>,
    asked: ListQuery,
) -> Result<HttpResponse, ApiError> {
    let (state, call) = caller.within_named(&path).await?;
    let now = state.store.clock().now();
    let show = move |page: list::Page| answer::list(page.invites.len(), &InviteList::of(page, now));
    let json = list::list(&state.invites, call, Scope::Org, asked.0, show).await??;
    Ok(answer::json_of(StatusCode::OK, json))
}

/// Get one invite of the tenant itself, in any state.
#[utoipa::path(tag = "org-invites", operation_id = "get_org_invite",
    responses(
        (status = 200, description = "The invite", body = Data<InviteBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/tenants/{tenant_id}/invites/{invite_id}")]
pub async fn get_org_invite(
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let invite = id(&path.1)?;
    let (state, call) = caller.within_named(&path.0).await?;
    let row = list::get(&state.invites, call, Scope::Org, invite).await?;
    Ok(HttpResponse::Ok().json(Data { data: InviteBody::of(row, state.store.clock().now()) }))
}

/// Revoke an invite of the tenant itself. Revoking again answers the same.
#[utoipa::path(tag = "org-invites", operation_id = "revoke_org_invite",
    responses(
        (status = 200, description = "Revoked", body = Revoked),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/tenants/{tenant_id}/invites/{invite_id}")]
pub async fn revoke_org_invite(
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let invite = id::<entity::InviteId>(&path.1)?;
    let (state, call) = caller.within_named(&path.0).await?;
    revoke::revoke(&state.invites, call, Scope::Org, invite).await?;
    Ok(HttpResponse::Ok().json(Revoked { invite_id: invite.0, revoked: true }))
}

/// Mail an invite of the tenant itself again; `rotate` gives it a new link.
#[utoipa::path(tag = "org-invites", operation_id = "resend_org_invite",
    request_body = ResendInvite,
    responses(
        (status = 200, description = "A mail is owed", body = Resent),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/tenants/{tenant_id}/invites/{invite_id}/resend")]
pub async fn resend_org_invite(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<ResendInvite>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let invite = id(&path.1)?;
    let (state, call) = caller.within_named(&path.0).await?;
    let rotate = body.0.rotate.unwrap_or(false);
    let clock = state.store.clock().clone();
    let resending = resend::resend(&state.invites, call, Scope::Org, invite, rotate);
    Ok(once.answer(resending, move |resent| reply_resent(resent, clock.now())).await?)
}

/// Change role or expiry of a pending invite of the tenant itself.
#[utoipa::path(tag = "org-invites", operation_id = "edit_org_invite",
    request_body = EditInvite,
    responses(
        (status = 200, description = "The invite as it is now", body = Data<InviteBody>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[patch("/tenants/{tenant_id}/invites/{invite_id}")]
pub async fn edit_org_invite(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<EditInvite>,
) -> Result<HttpResponse, ApiError> {
    let invite = id(&path.1)?;
    let change = body.0.read(Scope::Org)?;
    let (state, call) = caller.within_named(&path.0).await?;
    let row = edit::edit(&state.invites, call, Scope::Org, invite, change)
        .await
        .map_err(ApiError::of(Family::Editing))?;
    Ok(HttpResponse::Ok().json(Data { data: InviteBody::of(row, state.store.clock().now()) }))
}

/// Read what happened to an invite of the tenant itself: by whom, when, what became of its mails.
///
/// **Permissions**: whoever may read the invite.
#[utoipa::path(tag = "org-invites", operation_id = "list_org_invite_events",
    responses(
        (status = 200, description = "What happened, the oldest first", body = HistoryBody),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/tenants/{tenant_id}/invites/{invite_id}/events")]
pub async fn list_org_invite_events(
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let invite = id(&path.1)?;
    let (state, call) = caller.within_named(&path.0).await?;
    let history = history::of(&state.invites, call, Scope::Org, invite).await?;
    Ok(HttpResponse::Ok().json(HistoryBody::of(&history)))
}
