//! Members of a tenant, on the two surfaces that clients use: `/tenants/{id}/members` and `/tenant/members`.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use entity::{Role, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    body::{self, ErrorBody},
    invite_body::InviteBody,
    member_body::{AddMember, BareAndData, MemberPaging, OrgMember, SetRole, user_id},
    workspace_members::target,
};
use crate::{
    domain::{Refusal, Scope},
    http::{
        error::ApiError,
        extract::{Body, Caller},
        once::{self, Once},
        state::State,
    },
    identity::Call,
    invites::{create, create::Created, create::NewInvite, rules::Life},
    members::{add, list, list::Member, remove, set_role, transfer},
};

/// Members of a tenant, under both names that clients read.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantMembers {
    /// In order of joining.
    pub data: Vec<OrgMember>,
    /// The same.
    pub members: Vec<OrgMember>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
}

/// A removal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Removed {
    /// The tenant.
    pub tenant_id: Uuid,
    /// Whom.
    pub user_id: String,
    /// Always true.
    pub removed: bool,
}

/// Body of a transfer.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TransferOwnership {
    /// A member of the tenant.
    #[serde(default)]
    #[schema(required = true, value_type = String)]
    pub new_owner_user_id: Option<String>,
}

/// List the members of a tenant.
///
/// **Permissions**: its members.
#[utoipa::path(tag = "tenant-members", operation_id = "list_tenant_members", params(MemberPaging),
    responses(
        (status = 200, description = "Members", body = TenantMembers),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/tenants/{tenant_id}/members")]
pub async fn list_tenant_members(
    caller: Caller,
    path: web::Path<String>,
    paging: web::Query<MemberPaging>,
) -> Result<HttpResponse, ApiError> {
    let (state, call) = caller.within_named(&path).await?;
    listed(&state, call, &paging).await
}

/// List the members of the caller's tenant.
///
/// **Permissions**: its members.
#[utoipa::path(tag = "tenant-members", operation_id = "list_own_tenant_members", params(MemberPaging),
    responses(
        (status = 200, description = "Members", body = TenantMembers),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[get("/tenant/members")]
pub async fn list_own_tenant_members(
    caller: Caller,
    paging: web::Query<MemberPaging>,
) -> Result<HttpResponse, ApiError> {
    let (state, call) = caller.within_own().await?;
    listed(&state, call, &paging).await
}

async fn listed(state: &State, call: Call, paging: &MemberPaging) -> Result<HttpResponse, ApiError> {
    let tenant = call.tenant.id;
    let (after, limit) = paging.read()?;
    let page = list::read(&state.members, call, Scope::Org, after, limit).await?;
    let data: Vec<_> = page.members.iter().map(|member| OrgMember::of(tenant.0, member)).collect();
    Ok(HttpResponse::Ok().json(TenantMembers {
        members: data.clone(),
        data,
        total: page.total,
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// Add a member to a tenant by user id.
///
/// **Permissions**: tenant owner or admin; nobody grants above their own role.
#[utoipa::path(tag = "tenant-members", operation_id = "add_tenant_member",
    request_body = AddMember,
    responses(
        (status = 201, description = "The member, or the invitation", body = AddedOrInvited),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/tenants/{tenant_id}/members")]
pub async fn add_tenant_member(
    caller: Caller,
    path: web::Path<String>,
    body: Body<AddMember>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let addition = Addition::read(&body.0)?;
    let (state, call) = caller.within_named(&path).await?;
    added(&state, call, addition, once).await
}

/// Invite somebody into the caller's tenant by `email`, or add a member by `user_id`.
///
/// **Permissions**: tenant owner or admin; nobody grants above their own role.
#[utoipa::path(tag = "tenant-members", operation_id = "add_own_tenant_member",
    request_body = AddMember,
    responses(
        (status = 201, description = "The member, or the invitation", body = AddedOrInvited),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/tenant/members")]
pub async fn add_own_tenant_member(
    caller: Caller,
    body: Body<AddMember>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let addition = Addition::read(&body.0)?;
    let (state, call) = caller.within_own().await?;
    added(&state, call, addition, once).await
}

/// What an addition answers.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum AddedOrInvited {
    /// A member, where a `user_id` was given.
    Member(Box<BareAndData<OrgMember>>),
    /// An invitation, where an `email` was.
    Invitation(Box<BareAndData<InviteBody>>),
}

/// What an addition asks for.
enum Addition {
    Invite(Box<NewInvite>),
    Member(UserId, Role),
}

impl Addition {
    fn read(body: &AddMember) -> Result<Self, Refusal> {
        if body.user_id.is_some() || body.email.is_none() {
            return body.read(Scope::Org).map(|(user, role)| Self::Member(user, role));
        }
        Ok(Self::Invite(Box::new(NewInvite {
            scope: Scope::Org,
            email: body::email(body.email.as_deref())?,
            role: body::role_or_member(body.role.as_ref(), crate::domain::role::tenant_role)?,
            life: Life::default(),
            send_email: true,
            locale: None,
            message: None,
        })))
    }
}

async fn added(state: &State, call: Call, addition: Addition, once: Once) -> Result<HttpResponse, ApiError> {
    match addition {
        Addition::Invite(new) => {
            let clock = state.store.clock().clone();
            let creating = create::create(&state.invites, call, *new);
            let answer = once.answer(creating, move |created| match created {
                Created::Invited(row, url) => {
                    let invite = InviteBody::of(*row, clock.now()).with_url(url);
                    once::created(&AddedOrInvited::Invitation(Box::new(invite.into())))
                }
                Created::Added(_) => Err(Refusal::AlreadyMember),
            });
            Ok(answer.await?)
        }
        Addition::Member(user, role) => {
            let (tenant, added_by) = (call.tenant.id, call.user_id().cloned());
            let adding = add::add(&state.members, call, Scope::Org, user.clone(), role);
            let answer = once.answer(adding, move |joined_at| {
                let (user_id, added_by) = (user.clone(), added_by.clone());
                let member = Member { user_id, role, joined_at, added_by, user: None };
                let member = OrgMember::of(tenant.0, &member);
                once::created(&AddedOrInvited::Member(Box::new(member.into())))
            });
            Ok(answer.await?)
        }
    }
}

/// Change the role of a member of the caller's tenant.
///
/// **Permissions**: tenant owner or admin; nobody changes or grants above their own role.
#[utoipa::path(tag = "tenant-members", operation_id = "set_own_tenant_member_role",
    request_body = SetRole,
    responses(
        (status = 200, description = "The member as it is now", body = BareAndData<OrgMember>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[patch("/tenant/members/{member_id}/role")]
pub async fn set_own_tenant_member_role(
    caller: Caller,
    path: web::Path<String>,
    body: Body<SetRole>,
) -> Result<HttpResponse, ApiError> {
    let (user, role) = (target(&path)?, body.0.read(Scope::Org)?);
    let (state, call) = caller.within_own().await?;
    changed(&state, call, user, role).await
}

/// Change the role of a member of a tenant.
///
/// **Permissions**: tenant owner or admin; nobody changes or grants above their own role.
#[utoipa::path(tag = "tenant-members", operation_id = "set_tenant_member_role",
    request_body = SetRole,
    responses(
        (status = 200, description = "The member as it is now", body = BareAndData<OrgMember>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[patch("/tenants/{tenant_id}/members/{user_id}/role")]
pub async fn set_tenant_member_role(
    caller: Caller,
    path: web::Path<(String, String)>,
    body: Body<SetRole>,
) -> Result<HttpResponse, ApiError> {
    let (user, role) = (target(&path.1)?, body.0.read(Scope::Org)?);
    let (state, call) = caller.within_named(&path.0).await?;
    changed(&state, call, user, role).await
}

async fn changed(state: &State, call: Call, user: UserId, role: Role) -> Result<HttpResponse, ApiError> {
    let tenant = call.tenant.clone();
    set_role::set_role(&state.members, call, Scope::Org, user.clone(), role).await?;
    let member = list::one(&state.members, tenant.id, Scope::Org, user).await?;
    Ok(HttpResponse::Ok().json(BareAndData::from(OrgMember::of(tenant.id.0, &member))))
}

/// Remove a member from a tenant, or leave it; workspaces go along.
///
/// **Permissions**: tenant owner or admin, not above their own role; anyone may leave, the last owner excepted.
#[utoipa::path(tag = "tenant-members", operation_id = "remove_tenant_member",
    responses(
        (status = 200, description = "Removed", body = Removed),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/tenants/{tenant_id}/members/{user_id}")]
pub async fn remove_tenant_member(
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (state, call) = caller.within_named(&path.0).await?;
    removed(&state, call, &path.1).await
}

/// Remove a member from the caller's tenant, or leave it; workspaces go along.
///
/// **Permissions**: tenant owner or admin, not above their own role; anyone may leave, the last owner excepted.
#[utoipa::path(tag = "tenant-members", operation_id = "remove_own_tenant_member",
    responses(
        (status = 200, description = "Removed", body = Removed),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[delete("/tenant/members/{member_id}")]
pub async fn remove_own_tenant_member(
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (state, call) = caller.within_own().await?;
    removed(&state, call, &path).await
}

async fn removed(state: &State, call: Call, user: &str) -> Result<HttpResponse, ApiError> {
    let (tenant, user) = (call.tenant.clone(), target(user)?);
    remove::remove(&state.members, call, Scope::Org, user.clone()).await?;
    Ok(HttpResponse::Ok().json(Removed { tenant_id: tenant.id.0, user_id: user.0, removed: true }))
}

/// Hand the caller's tenant over to another member; the caller becomes an admin.
///
/// **Permissions**: tenant owner.
#[utoipa::path(tag = "tenant-members", operation_id = "transfer_ownership",
    request_body = TransferOwnership,
    responses(
        (status = 200, description = "The new owner", body = BareAndData<OrgMember>),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 503, description = "Not now", body = ErrorBody)))]
#[post("/tenant/transfer-ownership")]
pub async fn transfer_ownership(
    caller: Caller,
    body: Body<TransferOwnership>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let to = body.0.new_owner_user_id.as_deref().filter(|id| !id.is_empty()).ok_or(Refusal::MissingUserId)?;
    let to = user_id("new_owner_user_id", to)?;
    let (state, call) = caller.within_own().await?;
    let tenant = call.tenant.id;
    let transferring = transfer::transfer(&state.members, call, to);
    let answer = once
        .answer(transferring, move |member| once::ok(&BareAndData::from(OrgMember::of(tenant.0, &member))));
    Ok(answer.await?)
}
