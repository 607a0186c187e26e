//! Workspace Sharing: eight operations and the aliases that clients may expect beside them, each a translation
//! onto the use case that version 1 calls too.

use actix_web::{HttpResponse, ResponseError, delete, get, http::StatusCode, patch, post, put, web};
use entity::InviteId;

use super::sharing_body::{
    Done, PendingInvitations, RespondToInvitation, SetExpiration, SetPermissions, ShareWorkspace, Shared,
    SharedUsers, target,
};
use crate::{
    actors::{Command, Planned},
    domain::{FieldError, Refusal, Scope},
    http::{
        error::{ApiError, Family},
        extract::{self, Body, Caller},
        once::{self, Once},
        state::State,
        v1::body::ErrorBody,
    },
    identity::Call,
    invites::{
        create::{self, Created, NewInvite},
        edit::{self, Change},
        list as invitations, resend,
        respond::{Response, respond},
        rules::Life,
    },
    members::{list, remove, set_role},
};

/// A refusal in the words of this API.
#[derive(Debug)]
pub struct Refused(ApiError);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(ApiError::of(Family::Sharing)(match refusal {
            Refusal::Validation(fields) => Refusal::Validation(fields.into_iter().map(named).collect()),
            other => other,
        }))
    }
}

/// A refusal on a route that knows no 400.
fn plain(refusal: Refusal) -> Refused {
    Refused(ApiError::of(Family::SharingPlain)(refusal))
}

/// A field as this API names it.
fn named(error: FieldError) -> FieldError {
    let field = match error.field {
        "email" => "invitedEmail",
        "expires_at" | "expires_in" => "expirationDate",
        "role" => "permissions",
        same => same,
    };
    FieldError { field, ..error }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        self.0.error_response()
    }
}

const PERMITTED: &str = "The permissions are changed.";
const REMOVED: &str = "They have no access any more.";

/// What every route answers.
type Answer = Result<HttpResponse, Refused>;

fn done(message: &'static str) -> Answer {
    Ok(HttpResponse::Ok().json(Done { message }))
}

/// The same of a POST.
async fn done_once<C: Command>(once: Once, planned: Planned<'_, C>, message: &'static str) -> Answer {
    Ok(once.answer(planned, move |_| once::ok(&Done { message })).await?)
}

/// The call under the rule of this API.
fn sharing(call: Call) -> Call {
    Call { sharing: true, ..call }
}

/// The workspace of a path; an id that cannot be is nobody's.
async fn workspace(caller: Caller, id: &str) -> Result<(web::Data<State>, Call, Scope), Refusal> {
    let id = extract::id(id).map_err(|_| Refusal::NotFound)?;
    let (state, call) = caller.within_workspace(id).await?;
    Ok((state, sharing(call), Scope::Workspace(id)))
}

/// The workspace invite of a path.
async fn invitation(caller: Caller, id: &str) -> Result<(web::Data<State>, Call, Scope, InviteId), Refusal> {
    let id = extract::id(id).map_err(|_| Refusal::NotFound)?;
    let (state, call, scope) = caller.within_invite(id).await?;
    let Scope::Workspace(_) = scope else { return Err(Refusal::NotFound) };
    Ok((state, sharing(call), scope, id))
}

/// Invite somebody into a workspace, tenant members included. Inviting again gives the same invitation.
///
/// **Permissions**: the workspace's owner; a tenant owner where it has none.
#[utoipa::path(tag = "sharing", operation_id = "share_workspace", request_body = ShareWorkspace,
    responses(
        (status = 200, description = "Invited", body = Shared),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspaces/{workspaceId}/invite")]
pub async fn share_workspace(
    caller: Caller,
    path: web::Path<String>,
    body: Body<ShareWorkspace>,
    once: Once,
) -> Answer {
    let (email, role) = body.0.read()?;
    let (state, call, scope) = workspace(caller, &path).await?;
    let life = Life::default();
    let new = NewInvite { scope, email, role, life, send_email: true, locale: None, message: None };
    let answer = once.answer(create::create(&state.invites, call, new), |created| match created {
        Created::Invited(row, _) => once::ok(&Shared {
            message: "The invitation is on its way.",
            invitation_id: row.id.0,
            invited_email: row.email,
        }),
        Created::Added(_) => Err(Refusal::AlreadyMember),
    });
    Ok(answer.await?)
}

/// Accept or reject an invitation, for good.
///
/// **Permissions**: the addressee, by a verified address that `userEmail` repeats.
#[utoipa::path(tag = "sharing", operation_id = "respond_to_invitation", request_body = RespondToInvitation,
    responses(
        (status = 200, description = "Accepted or rejected", body = Done),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspaceInvitations/{invitationId}")]
pub async fn respond_to_invitation(
    caller: Caller,
    path: web::Path<String>,
    body: Body<RespondToInvitation>,
    once: Once,
) -> Answer {
    let (response, address) = body.0.read()?;
    let id: InviteId = extract::id(&path).map_err(|_| Refusal::NotFound)?;
    let within = caller.at.only_tenant()?.map(|tenant| tenant.id);
    let message = match response {
        Response::Accepted => "The invitation is accepted.",
        Response::Rejected => "The invitation is rejected.",
    };
    let responding = respond(&caller.at.state.invites, &caller.principal, within, id, &address, response);
    let answer = done_once(once, responding, message).await?;
    if let Some(user) = &caller.principal.user {
        caller.at.state.auth.first_sight().forget(&user.id);
    }
    Ok(answer)
}

/// Change when an invitation expires. One past its end lives again, with a new link.
///
/// **Permissions**: whoever sent it, and the workspace's owner.
#[utoipa::path(tag = "sharing", operation_id = "edit_invitation_expiration", request_body = SetExpiration,
    responses(
        (status = 200, description = "Changed", body = Done),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspaceInvitations/{invitationId}/expiration")]
pub async fn edit_invitation_expiration(
    caller: Caller,
    path: web::Path<String>,
    body: Body<SetExpiration>,
    once: Once,
) -> Answer {
    let change = Change { role: None, life: body.0.read()? };
    let (state, call, scope, id) = invitation(caller, &path).await?;
    let editing = edit::edit(&state.invites, call, scope, id, change);
    done_once(once, editing, "The expiration is changed.").await
}

/// Mail an invitation again, with the same link. One past its end lives again, with a new link.
///
/// **Permissions**: whoever sent it, and the workspace's owner.
#[utoipa::path(tag = "sharing", operation_id = "resend_shared_invitation",
    responses(
        (status = 200, description = "A mail is owed", body = Done),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspaceInvitations/{invitationId}/resend")]
pub async fn resend_invitation(caller: Caller, path: web::Path<String>, once: Once) -> Answer {
    let (state, call, scope, id) = invitation(caller, &path).await?;
    let resending = resend::resend(&state.invites, call, scope, id, false);
    done_once(once, resending, "The invitation is on its way again.").await
}

/// List who has joined a workspace.
///
/// **Permissions**: its members, tenant owners and admins.
#[utoipa::path(tag = "sharing", operation_id = "list_shared_users",
    responses(
        (status = 200, description = "Members", body = SharedUsers),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/workspaces/{workspaceId}/sharedUsers")]
pub async fn list_shared_users(caller: Caller, path: web::Path<String>) -> Answer {
    let (state, call, scope) = workspace(caller, &path).await?;
    let page = list::read(&state.members, call, scope, None, list::MOST).await?;
    Ok(HttpResponse::Ok().json(SharedUsers::of(page)))
}

/// List the invitations of a workspace that wait for their answer.
///
/// **Permissions**: the workspace's owner; others see those they sent.
#[utoipa::path(tag = "sharing", operation_id = "list_pending_invitations",
    responses(
        (status = 200, description = "Pending invitations", body = PendingInvitations),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/workspaces/{workspaceId}/invitations")]
pub async fn list_pending_invitations(caller: Caller, path: web::Path<String>) -> Answer {
    pending(caller, &path).await
}

/// List the invitations of a workspace that wait for their answer: the same under another name.
#[utoipa::path(tag = "sharing", operation_id = "list_pending_invitations_alias",
    responses(
        (status = 200, description = "Pending invitations", body = PendingInvitations),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/workspaces/{workspaceId}/pendingInvitations")]
pub async fn list_pending_invitations_alias(caller: Caller, path: web::Path<String>) -> Answer {
    pending(caller, &path).await
}

async fn pending(caller: Caller, id: &str) -> Answer {
    let (state, call, scope) = workspace(caller, id).await?;
    let asked = invitations::Asked::default();
    let show = |page: invitations::Page| PendingInvitations::of(&page);
    Ok(HttpResponse::Ok().json(invitations::list(&state.invites, call, scope, asked, show).await?))
}

/// Change what somebody who has joined may do.
///
/// **Permissions**: the workspace's owner; a tenant owner where it has none.
#[utoipa::path(tag = "sharing", operation_id = "set_permissions", request_body = SetPermissions,
    responses(
        (status = 200, description = "Changed", body = Done),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspaces/{workspaceId}/sharedUsers/{userId}/permissions")]
pub async fn set_permissions(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<SetPermissions>,
    once: Once,
) -> Answer {
    let (role, user) = (body.0.read()?, target(&path.1)?);
    let (state, call, scope) = workspace(caller, &path.0).await?;
    done_once(once, set_role::set_role(&state.members, call, scope, user, role), PERMITTED).await
}

/// Change what somebody who has joined may do: the same by PUT.
#[utoipa::path(tag = "sharing", operation_id = "set_permissions_put", request_body = SetPermissions,
    responses(
        (status = 200, description = "Changed", body = Done),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[put("/workspaces/{workspaceId}/sharedUsers/{userId}")]
pub async fn set_permissions_put(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<SetPermissions>,
) -> Answer {
    permit(caller, &path, &body.0).await
}

/// Change what somebody who has joined may do: the same by PATCH.
#[utoipa::path(tag = "sharing", operation_id = "set_permissions_patch", request_body = SetPermissions,
    responses(
        (status = 200, description = "Changed", body = Done),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[patch("/workspaces/{workspaceId}/sharedUsers/{userId}")]
pub async fn set_permissions_patch(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<SetPermissions>,
) -> Answer {
    permit(caller, &path, &body.0).await
}

async fn permit(caller: Caller, path: &(String, String), body: &SetPermissions) -> Answer {
    let (role, user) = (body.read()?, target(&path.1)?);
    let (state, call, scope) = workspace(caller, &path.0).await?;
    set_role::set_role(&state.members, call, scope, user, role).await?;
    done(PERMITTED)
}

/// Remove somebody from a workspace, or leave it.
///
/// **Permissions**: the workspace's owner; a tenant owner where it has none; anyone may leave.
#[utoipa::path(tag = "sharing", operation_id = "remove_shared_user",
    responses(
        (status = 200, description = "Removed", body = Done),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspaces/{workspaceId}/sharedUsers/{userId}/remove")]
pub async fn remove_shared_user(caller: Caller, path: web::Path<(String, String)>, once: Once) -> Answer {
    let user = target(&path.1)?;
    let (state, call, scope) = workspace(caller, &path.0).await?;
    let removing = remove::remove(&state.members, call, scope, user);
    once.answer(removing, |()| once::ok(&Done { message: REMOVED })).await.map_err(plain)
}

/// Remove somebody from a workspace, or leave it: the same by DELETE.
#[utoipa::path(tag = "sharing", operation_id = "remove_shared_user_delete",
    responses(
        (status = 200, description = "Removed", body = Done),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/workspaces/{workspaceId}/sharedUsers/{userId}")]
pub async fn remove_shared_user_delete(caller: Caller, path: web::Path<(String, String)>) -> Answer {
    let user = target(&path.1)?;
    let (state, call, scope) = workspace(caller, &path.0).await?;
    remove::remove(&state.members, call, scope, user).await?;
    done(REMOVED)
}
