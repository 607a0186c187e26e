//! The family `/api/v1/invitations`: every invitation that the caller may see, of whatever organisation and
//! workspace, managed by id; looked at and answered by the token of its link. An id is no token, nor a token an
//! id: which of the two a path holds is told by its form.

use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, web};
use entity::{InviteId, UserId, WorkspaceId, invite};

use super::{
    body::{self, Empty, ErrorBody},
    event_body::{HistoryBody, InvitationEvents},
    invitation_body::{
        DeclinedInvitation, FoundInvitation, InvitationBody, InvitationList, InvitationPreview, InviteAnswer,
        InviteMember, Joined, Names, OneInvitation, Place, PreviewedInvitation, RevokedInvitation, Success,
        by_name, workspaces_of,
    },
    invite_body::{EditInvite, ResendInvite},
    links::{self, DeclineInvite},
    list_query::{ListParams, ListQuery},
    me,
};
use crate::{
    domain::Refusal,
    http::{
        error::{ApiError, Family},
        extract::{Body, Caller, Visitor, id},
        state::State,
    },
    invites::{
        create::{self, Created},
        edit, history, list,
        preview::preview,
        proof::{Kind, Presented},
        resend, revoke,
    },
};

/// List the invitations that the caller may see: everything that is pending, unless asked otherwise.
///
/// **Permissions**: system admins see all; owners and admins of an organisation or a workspace its own; members
/// whose role may read invites where that holds; everybody those they sent. Who may see nothing gets an empty list.
#[utoipa::path(tag = "invitations", operation_id = "list_invitations", params(ListParams),
    responses(
        (status = 200, description = "Invitations, pending ones unless asked otherwise",
            body = Success<InvitationList>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/invitations")]
pub async fn list_invitations(caller: Caller, asked: ListQuery) -> Result<HttpResponse, ApiError> {
    let (state, principal, tenants) = caller.everywhere().await?;
    let page = list::across(&state.invites, principal, tenants, asked.0).await?;
    let snapshot = state.registry.current();
    let workspaces = list::workspace_names(&state.invites, workspaces_of(&page.invites)).await?;
    let names = Names { snapshot: &snapshot, workspaces };
    Ok(ok(InvitationList::of(&page, &names, state.store.clock().now())))
}

/// Invite somebody into an organisation, or into a workspace of it.
///
/// **Permissions**: owners and admins there, or a role that the tenant's configuration lets create invites; nobody
/// grants above their own role. Safe to repeat: the pending invitation comes back. A member of the organisation is
/// added to the workspace at once.
#[utoipa::path(tag = "invitations", operation_id = "invite_member", request_body = InviteMember,
    responses(
        (status = 201, description = "Invited", body = Success<InviteAnswer>),
        (status = 200, description = "Added: already a member of the organisation", body = Success<InviteAnswer>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/organizations/{tenant_id}/members/invite")]
pub async fn invite_member(
    caller: Caller,
    path: web::Path<String>,
    body: Body<InviteMember>,
) -> Result<HttpResponse, ApiError> {
    // read before any tenant is looked at: a stranger learns nothing from what is refused first
    let new = body.0.read()?;
    let (scope, organisation) = (new.scope, caller.within_named(&path).await?);
    let (state, call) = organisation;
    let tenant = call.tenant.clone();
    match create::create(&state.invites, call, new).await? {
        Created::Invited(row, url) => {
            let mut invitation = shown(&state, &row).await?;
            invitation.invite_url = Some(url.clone());
            let data = InviteAnswer::Invited(Box::new(OneInvitation { invitation, invite_url: Some(url) }));
            Ok(HttpResponse::Created().json(Success::of(data)))
        }
        Created::Added(_) if scope.workspace().is_none() => Err(Refusal::AlreadyMember.into()),
        Created::Added(member) => {
            let workspace = place(&state, member.workspace_id).await?;
            let joined = Joined::of(&tenant, Some(workspace), member.role, member.user_id.0.clone());
            Ok(ok(InviteAnswer::Added(joined)))
        }
    }
}

/// Look at an invitation: by the token of its link, public, as long as it can be accepted; by its id, in any
/// state, with a credential that may see it.
#[utoipa::path(tag = "invitations", operation_id = "get_invitation",
    security((), ("bearer" = []), ("apiKey" = [])),
    responses(
        (status = 200, description = "The invitation, or what its link shows", body = Success<FoundInvitation>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/invitations/{invitation}")]
pub async fn get_invitation(
    req: HttpRequest,
    visitor: Visitor,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    if let Ok(invite) = id::<InviteId>(&path)
        && let Some(caller) = Caller::if_any(&req).await?
    {
        let (state, call, scope) = caller.within_invite(invite).await?;
        let row = list::get(&state.invites, call, scope, invite).await?;
        let found = OneInvitation { invitation: shown(&state, &row).await?, invite_url: None };
        return Ok(ok(FoundInvitation::Known(Box::new(found))));
    }
    let link = Presented { token: path.into_inner(), kind: Kind::Any, within: visitor.site_tenant() };
    let seen = preview(&visitor.state.invites, &link).await.and_then(|found| InvitationPreview::of(&found));
    let invitation = seen.map_err(|refusal| visitor.counted(refusal))?;
    Ok(ok(FoundInvitation::Shown(PreviewedInvitation { invitation })))
}

/// Revoke an invitation by id. Revoking again answers the same.
///
/// **Permissions**: as listing, with the right to revoke instead of the right to read.
#[utoipa::path(tag = "invitations", operation_id = "revoke_invitation",
    responses(
        (status = 200, description = "Revoked", body = Success<RevokedInvitation>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/invitations/{invitation}")]
pub async fn revoke_invitation(caller: Caller, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let invite: InviteId = id(&path)?;
    let (state, call, scope) = caller.within_invite(invite).await?;
    revoke::revoke(&state.invites, call, scope, invite).await?;
    Ok(ok(RevokedInvitation { id: invite.0, status: "revoked" }))
}

/// Change role or expiry of a pending invitation by id.
#[utoipa::path(tag = "invitations", operation_id = "edit_invitation", request_body = EditInvite,
    responses(
        (status = 200, description = "The invitation as it is now", body = Success<OneInvitation>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[patch("/invitations/{invitation}")]
pub async fn edit_invitation(
    caller: Caller,
    path: web::Path<String>,
    body: Body<EditInvite>,
) -> Result<HttpResponse, ApiError> {
    let invite = id(&path)?;
    let (state, call, scope) = caller.within_invite(invite).await?;
    let asked = EditInvite { role: by_name(body.0.role), ..body.0 };
    let change = asked.read(scope)?;
    let row = edit::edit(&state.invites, call, scope, invite, change)
        .await
        .map_err(ApiError::of(Family::Editing))?;
    Ok(ok(OneInvitation { invitation: shown(&state, &row).await?, invite_url: None }))
}

/// Mail an invitation again, by id; `rotate` gives it a new link.
#[utoipa::path(tag = "invitations", operation_id = "resend_invitation", request_body = ResendInvite,
    responses(
        (status = 200, description = "A mail is owed", body = Success<OneInvitation>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/invitations/{invitation}/resend")]
pub async fn resend_invitation(
    caller: Caller,
    path: web::Path<String>,
    body: Body<ResendInvite>,
) -> Result<HttpResponse, ApiError> {
    let invite = id(&path)?;
    let (state, call, scope) = caller.within_invite(invite).await?;
    let rotate = body.0.rotate.unwrap_or(false);
    let (row, url) = resend::resend(&state.invites, call, scope, invite, rotate).await?;
    let mut invitation = shown(&state, &row).await?;
    invitation.invite_url = Some(url.clone());
    Ok(ok(OneInvitation { invitation, invite_url: Some(url) }))
}

/// Accept an invitation by the token of its link: makes the memberships, all or none, exactly once.
///
/// **Permissions**: the addressee, by the address of the credential.
#[utoipa::path(tag = "invitations", operation_id = "accept_invitation", request_body = Empty,
    responses(
        (status = 200, description = "Accepted", body = Success<Joined>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/invitations/{invitation}/accept")]
pub async fn accept_invitation(
    caller: Caller,
    token: web::Path<String>,
    _body: Body<Empty>,
) -> Result<HttpResponse, ApiError> {
    let accepted = links::accepted(&caller, token.into_inner(), Kind::Any, Family::Standard).await?;
    let state = &caller.at.state;
    let snapshot = state.registry.current();
    let ids = accepted.workspace_id.into_iter().collect();
    let names = Names { snapshot: &snapshot, workspaces: list::workspace_names(&state.invites, ids).await? };
    let UserId(user) = caller.principal.person()?.id.clone();
    Ok(ok(Joined::by(&accepted, &names, user)))
}

/// Decline an invitation, for good: by the token of its link, or by id as in the inbox.
///
/// **Permissions**: the addressee, by the address of the credential; by id, a verified one.
#[utoipa::path(tag = "invitations", operation_id = "decline_invitation", request_body = DeclineInvite,
    responses(
        (status = 200, description = "Declined", body = Success<DeclinedInvitation>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/invitations/{invitation}/decline")]
pub async fn decline_invitation(
    caller: Caller,
    path: web::Path<String>,
    body: Body<DeclineInvite>,
) -> Result<HttpResponse, ApiError> {
    let note = body::text("note", body.0.note, 500)?;
    let done = match id::<InviteId>(&path) {
        Ok(invite) => me::declined(&caller, invite, note).await?,
        Err(_) => {
            let token = path.into_inner();
            links::declined(&caller, token, Kind::Any, note, Family::Standard).await?
        }
    };
    Ok(ok(DeclinedInvitation::from(done)))
}

/// Read what happened to an invitation, by id: by whom, when, what became of its mails.
///
/// **Permissions**: whoever may read the invitation.
#[utoipa::path(tag = "invitations", operation_id = "list_invitation_events",
    responses(
        (status = 200, description = "What happened, the oldest first", body = Success<InvitationEvents>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/invitations/{invitation}/events")]
pub async fn list_invitation_events(
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let invite = id(&path)?;
    let (state, call, scope) = caller.within_invite(invite).await?;
    let history = history::of(&state.invites, call, scope, invite).await?;
    Ok(ok(InvitationEvents::from(HistoryBody::of(&history))))
}

fn ok<T: serde::Serialize>(data: T) -> HttpResponse {
    HttpResponse::Ok().json(Success::of(data))
}

/// A row as this family shows it.
async fn shown(state: &State, row: &invite::Model) -> Result<InvitationBody, Refusal> {
    let snapshot = state.registry.current();
    let workspaces = list::workspace_names(&state.invites, workspaces_of([row])).await?;
    let names = Names { snapshot: &snapshot, workspaces };
    Ok(InvitationBody::of(row, &names, state.store.clock().now()))
}

async fn place(state: &State, id: WorkspaceId) -> Result<Place, Refusal> {
    let mut names = list::workspace_names(&state.invites, vec![id]).await?;
    Ok(Place { id: id.0, name: names.remove(&id).unwrap_or_default() })
}
