//! Members of a workspace.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use entity::{UserId, WorkspaceId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    body::{self, ErrorBody},
    invite_body::Data,
    member_body::{AddMember, MemberPaging, SetRole, WorkspaceMember, user_id},
    workspace_invites::{CreateAnswer, reply},
};
use crate::{
    domain::{Refusal, Scope},
    http::{
        error::ApiError,
        extract::{Body, Caller, id},
        once::{self, Once},
    },
    invites::{create, create::NewInvite, rules::Life},
    members::{add, list, list::Member, remove, set_role},
};

/// Members of a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkspaceMembers {
    /// In order of joining.
    pub data: Vec<WorkspaceMember>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
}

/// A removal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    /// Always true.
    pub deleted: bool,
}

/// List the members of a workspace.
///
/// **Permissions**: its members, tenant owners and admins.
#[utoipa::path(tag = "workspace-members", operation_id = "list_workspace_members", params(MemberPaging),
    responses(
        (status = 200, description = "Members", body = WorkspaceMembers),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/workspaces/{workspace_id}/members")]
pub async fn list_workspace_members(
    caller: Caller,
    path: web::Path<String>,
    paging: web::Query<MemberPaging>,
) -> Result<HttpResponse, ApiError> {
    let workspace: WorkspaceId = id(&path)?;
    let (after, limit) = paging.read()?;
    let (state, call) = caller.within_workspace(workspace).await?;
    let page = list::read(&state.members, call, Scope::Workspace(workspace), after, limit).await?;
    Ok(HttpResponse::Ok().json(WorkspaceMembers {
        data: page.members.iter().map(|member| WorkspaceMember::of(workspace.0, member)).collect(),
        total: page.total,
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// Add a tenant member to a workspace by `user_id`, or invite by `email` (then the answer is that of an
/// invitation).
///
/// **Permissions**: workspace owner or admin, tenant owner or admin; nobody grants above their own role.
#[utoipa::path(tag = "workspace-members", operation_id = "add_workspace_member",
    request_body = AddMember,
    responses(
        (status = 201, description = "Added, or invited", body = Data<WorkspaceMember>),
        (status = 200, description = "Added by address: already a member of the tenant", body = CreateAnswer),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/workspaces/{workspace_id}/members")]
pub async fn add_workspace_member(
    caller: Caller,
    path: web::Path<String>,
    body: Body<AddMember>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let workspace: WorkspaceId = id(&path)?;
    let scope = Scope::Workspace(workspace);
    if body.0.user_id.is_none() && body.0.email.is_some() {
        let new = NewInvite {
            scope,
            email: body::email(body.0.email.as_deref())?,
            role: body::role_or_member(body.0.role.as_ref(), crate::domain::role::workspace_role)?,
            life: Life::default(),
            send_email: true,
            locale: None,
            message: None,
        };
        let (state, call) = caller.within_workspace(workspace).await?;
        let clock = state.store.clock().clone();
        let creating = create::create(&state.invites, call, new);
        return Ok(once.answer(creating, move |created| reply(created, clock.now())).await?);
    }
    let (user, role) = body.0.read(scope)?;
    let (state, call) = caller.within_workspace(workspace).await?;
    let added_by = call.user_id().cloned();
    let adding = add::add(&state.members, call, scope, user.clone(), role);
    let answer = once.answer(adding, move |joined_at| {
        let (user_id, added_by) = (user.clone(), added_by.clone());
        let member = Member { user_id, role, joined_at, added_by, user: None };
        once::created(&Data { data: WorkspaceMember::of(workspace.0, &member) })
    });
    Ok(answer.await?)
}

/// Change the role of a workspace member.
///
/// **Permissions**: workspace owner or admin, tenant owner or admin; nobody changes or grants above their own
/// role.
#[utoipa::path(tag = "workspace-members", operation_id = "set_workspace_member_role",
    request_body = SetRole,
    responses(
        (status = 200, description = "The member as it is now", body = Data<WorkspaceMember>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[patch("/workspaces/{workspace_id}/members/{user_id}")]
pub async fn set_workspace_member_role(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<SetRole>,
) -> Result<HttpResponse, ApiError> {
    changed(caller, &path.0, &path.1, &body.0).await
}

/// Change the role of a workspace member: the same under another path.
#[utoipa::path(tag = "workspace-members", operation_id = "set_workspace_member_role_alias",
    request_body = SetRole,
    responses(
        (status = 200, description = "The member as it is now", body = Data<WorkspaceMember>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[patch("/workspaces/{workspace_id}/members/{user_id}/role")]
pub async fn set_workspace_member_role_alias(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<SetRole>,
) -> Result<HttpResponse, ApiError> {
    changed(caller, &path.0, &path.1, &body.0).await
}

async fn changed(
    caller: Caller,
    workspace: &str,
    user: &str,
    body: &SetRole,
) -> Result<HttpResponse, ApiError> {
    let workspace: WorkspaceId = id(workspace)?;
    let scope = Scope::Workspace(workspace);
    let (user, role) = (target(user)?, body.read(scope)?);
    let (state, call) = caller.within_workspace(workspace).await?;
    let tenant = call.tenant.clone();
    set_role::set_role(&state.members, call, scope, user.clone(), role).await?;
    let member = list::one(&state.members, tenant.id, scope, user).await?;
    Ok(HttpResponse::Ok().json(Data { data: WorkspaceMember::of(workspace.0, &member) }))
}

/// Remove a member from a workspace, or leave it.
///
/// **Permissions**: workspace owner or admin, tenant owner or admin, not above their own role; anyone may leave.
#[utoipa::path(tag = "workspace-members", operation_id = "remove_workspace_member",
    responses(
        (status = 200, description = "Removed", body = Deleted),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/workspaces/{workspace_id}/members/{user_id}")]
pub async fn remove_workspace_member(
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let workspace: WorkspaceId = id(&path.0)?;
    let (state, call) = caller.within_workspace(workspace).await?;
    remove::remove(&state.members, call, Scope::Workspace(workspace), target(&path.1)?).await?;
    Ok(HttpResponse::Ok().json(Deleted { deleted: true }))
}

/// A user id in a path: one that cannot be is nobody's.
pub(super) fn target(text: &str) -> Result<UserId, Refusal> {
    user_id("user_id", text).map_err(|_| Refusal::NotFound)
}
