//! What waits for the caller: the inbox, and answering by id. Each route has an alias, since clients use both
//! names.

use actix_web::{HttpResponse, get, post, web};
use entity::InviteId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    body::{self, Empty, ErrorBody},
    links::{AnyAccepted, DeclineInvite, DeclinedBody, reply_accepted, reply_declined},
};
use crate::{
    actors::Reply,
    domain::{Refusal, clock::rfc3339},
    http::{
        error::ApiError,
        extract::{Body, Caller, id},
        once::Once,
    },
    invites::{
        decline::Declined,
        inbox::{self, Waiting},
        scope_of,
    },
};

/// A pending invite as its addressee sees it. Never its link.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingInvite {
    /// Its id.
    pub id: Uuid,
    /// The same, as some clients name it.
    pub invite_id: Uuid,
    /// `org` or `workspace`.
    pub scope: &'static str,
    /// The tenant.
    pub tenant_id: Uuid,
    /// Its display name.
    pub tenant_name: String,
    /// The workspace.
    pub workspace_id: Option<Uuid>,
    /// Its display name.
    pub workspace_name: Option<String>,
    /// The invited address: the caller's.
    pub email: String,
    /// Role to be given.
    pub role: &'static str,
    /// Always `pending`.
    pub status: &'static str,
    /// Where its latest mail stands.
    pub delivery: &'static str,
    /// End of life.
    pub expires_at: String,
    /// When made.
    pub inserted_at: String,
    /// The same.
    pub created_at: String,
}

impl WaitingInvite {
    fn of(waiting: &Waiting) -> Self {
        let row = &waiting.invite;
        Self {
            id: row.id.0,
            invite_id: row.id.0,
            scope: scope_of(row).as_str(),
            tenant_id: row.tenant_id.0,
            tenant_name: waiting.tenant_name.clone(),
            workspace_id: row.workspace_id.map(|id| id.0),
            workspace_name: waiting.workspace_name.clone(),
            email: row.email.clone(),
            role: row.role.as_str(),
            status: row.status.as_str(),
            delivery: row.delivery.as_str(),
            expires_at: rfc3339(row.expires_at),
            inserted_at: rfc3339(row.inserted_at),
            created_at: rfc3339(row.inserted_at),
        }
    }
}

/// The inbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct Inbox {
    /// In order of making.
    pub data: Vec<WaitingInvite>,
    /// How many there are.
    pub total: usize,
}

/// List the invites that wait for the caller, across tenants; on a tenant's own host, that tenant's.
///
/// **Permissions**: anybody with a verified address.
#[utoipa::path(tag = "inbox", operation_id = "list_my_invites",
    responses(
        (status = 200, description = "Pending invites", body = Inbox),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/me/invites")]
pub async fn list_my_invites(caller: Caller) -> Result<HttpResponse, ApiError> {
    listed(&caller).await
}

/// List the invites that wait for the caller: the same under another name.
#[utoipa::path(tag = "inbox", operation_id = "list_my_invitations",
    responses(
        (status = 200, description = "Pending invites", body = Inbox),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/me/invitations")]
pub async fn list_my_invitations(caller: Caller) -> Result<HttpResponse, ApiError> {
    listed(&caller).await
}

async fn listed(caller: &Caller) -> Result<HttpResponse, ApiError> {
    let within = caller.at.narrowed_to()?;
    let waiting = inbox::inbox(&caller.at.state.invites, &caller.principal, within).await?;
    let data: Vec<_> = waiting.iter().map(WaitingInvite::of).collect();
    Ok(HttpResponse::Ok().json(Inbox { total: data.len(), data }))
}

/// Accept an invite by id.
///
/// **Permissions**: the addressee, by a verified address.
#[utoipa::path(tag = "inbox", operation_id = "accept_my_invite", request_body = Empty,
    responses(
        (status = 200, description = "Accepted", body = AnyAccepted),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/me/invites/{invite_id}/accept")]
pub async fn accept_my_invite(
    caller: Caller,
    path: web::Path<String>,
    _body: Body<Empty>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    accepted(&caller, &path, once).await
}

/// Accept an invite by id: the same under another name.
#[utoipa::path(tag = "inbox", operation_id = "accept_my_invitation", request_body = Empty,
    responses(
        (status = 200, description = "Accepted", body = AnyAccepted),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/me/invitations/{invite_id}/accept")]
pub async fn accept_my_invitation(
    caller: Caller,
    path: web::Path<String>,
    _body: Body<Empty>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    accepted(&caller, &path, once).await
}

async fn accepted(caller: &Caller, path: &str, once: Once) -> Result<HttpResponse, ApiError> {
    let id: InviteId = id(path)?;
    let within = only_tenant(caller)?;
    let accepting = inbox::accept(&caller.at.state.invites, &caller.principal, within, id);
    let answer = once.answer(accepting, |accepted| reply_accepted(&accepted)).await;
    let answer = answer.map_err(|refusal| caller.at.noted(refusal))?;
    if let Some(user) = &caller.principal.user {
        caller.at.state.auth.first_sight().forget(&user.id);
    }
    Ok(answer)
}

/// Decline an invite by id, for good.
///
/// **Permissions**: the addressee, by a verified address.
#[utoipa::path(tag = "inbox", operation_id = "decline_my_invite", request_body = DeclineInvite,
    responses(
        (status = 200, description = "Declined", body = DeclinedBody),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/me/invites/{invite_id}/decline")]
pub async fn decline_my_invite(
    caller: Caller,
    path: web::Path<String>,
    body: Body<DeclineInvite>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let note = body::text("note", body.0.note, 500)?;
    declined(&caller, id(&path)?, note, once, reply_declined).await
}

/// Decline an invite by id: the same under another name.
#[utoipa::path(tag = "inbox", operation_id = "decline_my_invitation", request_body = DeclineInvite,
    responses(
        (status = 200, description = "Declined", body = DeclinedBody),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/me/invitations/{invite_id}/decline")]
pub async fn decline_my_invitation(
    caller: Caller,
    path: web::Path<String>,
    body: Body<DeclineInvite>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let note = body::text("note", body.0.note, 500)?;
    declined(&caller, id(&path)?, note, once, reply_declined).await
}

/// Declines by id.
pub(super) async fn declined(
    caller: &Caller,
    id: InviteId,
    note: Option<String>,
    once: Once,
    render: impl Fn(Declined) -> Result<Reply, Refusal> + Send + Sync + 'static,
) -> Result<HttpResponse, ApiError> {
    let within = only_tenant(caller)?;
    let declining = inbox::decline(&caller.at.state.invites, &caller.principal, within, id, note);
    let answer = once.answer(declining, render).await;
    Ok(answer.map_err(|refusal| caller.at.noted(refusal))?)
}

/// The tenant that host and header allow.
fn only_tenant(caller: &Caller) -> Result<Option<entity::TenantId>, Refusal> {
    Ok(caller.at.only_tenant()?.map(|tenant| tenant.id))
}
