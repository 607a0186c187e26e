//! Finders of several memberships at once: what a user belongs to, and who owns what.

use entity::{Role, TenantId, UserId, WorkspaceId, tenant_member, workspace_member};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, Query},
};

use crate::store::{
    filled_chunks,
    text::{ASKED, Sizes, asking_each},
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

/// Those of these people who are members of the tenant, in no order.
///
/// # Errors
/// As any statement.
pub async fn among(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    users: &[UserId],
) -> Result<Vec<UserId>, DbErr> {
    static FIND: Sizes = Sizes::new();
    let mut members = Vec::new();
    for chunk in filled_chunks(users) {
        let values = chunk.iter().map(|user| user.clone().into()).chain([tenant.into()]);
        let found = FIND.of(chunk.len())?.with(conn, values, |engine| {
            let one = Query::select()
                .column(tenant_member::Column::UserId)
                .from(tenant_member::Entity)
                .and_where(Expr::col(tenant_member::Column::TenantId).eq(tenant))
                .and_where(Expr::col(tenant_member::Column::UserId).equals(ASKED))
                .to_owned();
            engine.build(&asking_each(chunk.iter().cloned(), one))
        });
        for row in conn.query_all_raw(found).await? {
            members.push(row.try_get_by_index::<String>(0).map(UserId)?);
        }
    }
    Ok(members)
}
