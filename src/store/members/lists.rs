//! Finders of several memberships at once: what a user belongs to, and who owns what.

use std::collections::HashSet;

use entity::{Role, TenantId, UserId, WorkspaceId, tenant_member, workspace, workspace_member};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Value,
    sea_query::{Expr, Query, SelectStatement},
};

use crate::{
    domain::Standing,
    store::text::{Asking, found},
};

/// Owners of the tenant, the longest-standing first.
///
/// # Errors
/// As any statement.
pub async fn tenant_owners(conn: &impl ConnectionTrait, tenant: TenantId) -> Result<Vec<UserId>, DbErr> {
    let rows = tenant_member::Entity::find()
        .filter(tenant_member::Column::TenantId.eq(tenant))
        .filter(tenant_member::Column::Role.eq(Role::Owner))
        .order_by_asc(tenant_member::Column::InsertedAt)
        .order_by_asc(tenant_member::Column::UserId)
        .limit(2)
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.user_id).collect())
}

/// Whether a workspace of the tenant has an owner of its own.
///
/// # Errors
/// As any statement.
pub async fn has_owner(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    workspace: WorkspaceId,
) -> Result<bool, DbErr> {
    let owner = workspace_member::Entity::find()
        .filter(workspace_member::Column::TenantId.eq(tenant))
        .filter(workspace_member::Column::WorkspaceId.eq(workspace))
        .filter(workspace_member::Column::Role.eq(Role::Owner))
        .one(conn)
        .await?;
    Ok(owner.is_some())
}

/// Workspaces of the tenant in which this user is the only owner.
///
/// # Errors
/// As any statement.
pub async fn solely_owned_workspaces(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    user: &UserId,
) -> Result<Vec<WorkspaceId>, DbErr> {
    let owned = workspace_member::Entity::find()
        .filter(workspace_member::Column::TenantId.eq(tenant))
        .filter(workspace_member::Column::UserId.eq(user.clone()))
        .filter(workspace_member::Column::Role.eq(Role::Owner))
        .all(conn)
        .await?;
    let ids: Vec<WorkspaceId> = owned.iter().map(|row| row.workspace_id).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let others = workspace_member::Entity::find()
        .filter(workspace_member::Column::TenantId.eq(tenant))
        .filter(workspace_member::Column::WorkspaceId.is_in(ids.iter().copied()))
        .filter(workspace_member::Column::UserId.ne(user.clone()))
        .filter(workspace_member::Column::Role.eq(Role::Owner))
        .all(conn)
        .await?;
    Ok(ids.into_iter().filter(|id| !others.iter().any(|other| other.workspace_id == *id)).collect())
}

/// Workspaces of the tenant this user belongs to, with the role there.
///
/// # Errors
/// As any statement.
pub async fn workspace_roles(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    user: &UserId,
) -> Result<Vec<(WorkspaceId, Role)>, DbErr> {
    let rows = workspace_member::Entity::find()
        .filter(workspace_member::Column::TenantId.eq(tenant))
        .filter(workspace_member::Column::UserId.eq(user.clone()))
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.workspace_id, row.role)).collect())
}

/// Tenants this user belongs to, with the role there.
///
/// # Errors
/// As any statement.
pub async fn tenants_of(conn: &impl ConnectionTrait, user: &UserId) -> Result<Vec<(TenantId, Role)>, DbErr> {
    let rows = tenant_member::Entity::find()
        .filter(tenant_member::Column::UserId.eq(user.clone()))
        .order_by_asc(tenant_member::Column::InsertedAt)
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.role)).collect())
}

/// The places of those of these people who are members of these tenants.
///
/// # Errors
/// As any statement.
pub async fn among(
    conn: &impl ConnectionTrait,
    people: &[(TenantId, UserId)],
) -> Result<HashSet<usize>, DbErr> {
    static FIND: Asking = Asking::new();
    let tuples: Vec<[Value; 2]> =
        people.iter().map(|(tenant, user)| [(*tenant).into(), user.clone().into()]).collect();
    let members =
        FIND.each(conn, &tuples, |query| query.and_where(found(role_in_tenant()).is_not_null())).await?;
    Ok(members.into_iter().map(|(place, _)| place).collect())
}

/// What people are in tenants and, where one is given, in a workspace, in the order in which they are asked for; and
/// whether that workspace is there.
///
/// # Errors
/// As any statement.
pub async fn standings(
    conn: &impl ConnectionTrait,
    asked: &[(TenantId, UserId, Option<WorkspaceId>)],
) -> Result<Vec<(Standing, bool)>, DbErr> {
    static FIND: Asking = Asking::new();
    let tuples: Vec<[Value; 3]> = asked
        .iter()
        .map(|(tenant, user, workspace)| [(*tenant).into(), user.clone().into(), (*workspace).into()])
        .collect();
    let stand = FIND.each(conn, &tuples, |query| {
        query
            .expr_as(found(role_in_tenant()), "in_tenant")
            .expr_as(found(role_in_workspace()), "in_workspace")
            .expr_as(found(workspace_there()), "workspace_id")
    });
    let mut standings = vec![(Standing::default(), false); asked.len()];
    for (place, row) in stand.await? {
        let tenant: Option<Role> = row.try_get("", "in_tenant")?;
        let workspace = row.try_get::<Option<Role>>("", "in_workspace")?.filter(|_| tenant.is_some());
        if let Some((standing, there)) = standings.get_mut(place) {
            *standing = Standing { tenant, workspace, ..Standing::default() };
            *there = row.try_get::<Option<WorkspaceId>>("", "workspace_id")?.is_some();
        }
    }
    Ok(standings)
}

/// The role of a tuple's second value in the tenant that is its first.
fn role_in_tenant() -> SelectStatement {
    Query::select()
        .column(tenant_member::Column::Role)
        .from(tenant_member::Entity)
        .and_where(Expr::col(tenant_member::Column::TenantId).equals(Asking::FIRST))
        .and_where(Expr::col(tenant_member::Column::UserId).equals(Asking::SECOND))
        .to_owned()
}

/// The role of a tuple's second value in the workspace that is its third, of the tenant that is its first.
fn role_in_workspace() -> SelectStatement {
    Query::select()
        .column(workspace_member::Column::Role)
        .from(workspace_member::Entity)
        .and_where(Expr::col(workspace_member::Column::WorkspaceId).equals(Asking::THIRD))
        .and_where(Expr::col(workspace_member::Column::UserId).equals(Asking::SECOND))
        .and_where(Expr::col(workspace_member::Column::TenantId).equals(Asking::FIRST))
        .to_owned()
}

/// The workspace that is a tuple's third value, if it is one of the tenant that is its first.
fn workspace_there() -> SelectStatement {
    Query::select()
        .column(workspace::Column::Id)
        .from(workspace::Entity)
        .and_where(Expr::col(workspace::Column::Id).equals(Asking::THIRD))
        .and_where(Expr::col(workspace::Column::TenantId).equals(Asking::FIRST))
        .to_owned()
}
