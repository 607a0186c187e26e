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
        InviteMember, Joined, Names, OneInvitation, PreviewedInvitation, RevokedInvitation, Success, by_name,
        workspaces_of,
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
        once::{self, Once},
        state::State,
    },
    invites::{
        accept::Accepted,
        create::{self, Created},
        edit, history, list,
        preview::preview,
        proof::{self, Kind, Presented},
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
    let names = names(&state, workspaces_of(&page.invites)).await?;
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
    once: Once,
) -> Result<HttpResponse, ApiError> {
    // read before any tenant is looked at: a stranger learns nothing from what is refused first
    let new = body.0.read()?;
    let (state, call) = caller.within_named(&path).await?;
    let (scope, tenant) = (new.scope, call.tenant.clone());
    let names = names(&state, scope.workspace().into_iter().collect()).await?;
    let clock = state.store.clock().clone();
    let creating = create::create(&state.invites, call, new);
    let answer = once.answer(creating, move |created| match created {
        Created::Invited(row, url) => {
            let invited = OneInvitation::linked(&row, url, &names, clock.now());
            once::created(&Success::of(InviteAnswer::Invited(Box::new(invited))))
        }
        Created::Added(_) if scope.workspace().is_none() => Err(Refusal::AlreadyMember),
        Created::Added(member) => {
            let workspace = names.workspace(Some(member.workspace_id));
            let joined = Joined::of(&tenant, workspace, member.role, member.user_id.0.clone());
            once::ok(&Success::of(InviteAnswer::Added(joined)))
        }
    });
    Ok(answer.await?)
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
    Ok(ok(FoundInvitation::Shown(Box::new(PreviewedInvitation { invitation }))))
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
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let invite = id(&path)?;
    let (state, call, scope) = caller.within_invite(invite).await?;
    let rotate = body.0.rotate.unwrap_or(false);
    let names = names(&state, scope.workspace().into_iter().collect()).await?;
    let clock = state.store.clock().clone();
    let resending = resend::resend(&state.invites, call, scope, invite, rotate);
    let answer = once.answer(resending, move |(row, url)| {
        once::ok(&Success::of(OneInvitation::linked(&row, url, &names, clock.now())))
    });
    Ok(answer.await?)
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
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let state = &caller.at.state;
    let token = token.into_inner();
    // the answer is kept with the change itself, so what it names is read before
    let workspace = proof::workspace_of(&state.invites, &token).await?;
    let names = names(state, workspace.into_iter().collect()).await?;
    let UserId(user) = caller.principal.person()?.id.clone();
    let reply = move |accepted: Accepted| once::ok(&Success::of(Joined::by(&accepted, &names, user.clone())));
    links::accepted(&caller, token, Kind::Any, Family::Standard, once, reply).await
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
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let note = body::text("note", body.0.note, 500)?;
    let reply = |done| once::ok(&Success::of(DeclinedInvitation::from(done)));
    match id::<InviteId>(&path) {
        Ok(invite) => me::declined(&caller, invite, note, once, reply).await,
        Err(_) => {
            let token = path.into_inner();
            links::declined(&caller, token, Kind::Any, note, Family::Standard, once, reply).await
        }
    }
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
    let names = names(state, workspaces_of([row])).await?;
    Ok(InvitationBody::of(row, &names, state.store.clock().now()))
}

/// What places are called: every organisation, and these workspaces.
async fn names(state: &State, workspaces: Vec<WorkspaceId>) -> Result<Names, Refusal> {
    let workspaces = list::workspace_names(&state.invites, workspaces).await?;
    Ok(Names { snapshot: state.registry.current(), workspaces })
}
