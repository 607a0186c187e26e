//! The tables `tenant_members` and `workspace_members`: who stands where, under the tenant's lock.

mod listing;
mod lists;

use entity::{InviteId, Millis, Role, TenantId, UserId, WorkspaceId, tenant_member, user, workspace_member};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
    sea_query::{Expr, IntoCondition, OnConflict, Query, SelectStatement},
};

pub use self::{
    listing::{ListMembers, Member, list},
    lists::{
        among, has_owner, solely_owned_workspaces, standings, tenant_owners, tenants_of, workspace_roles,
    },
};
use super::{
    Rows,
    text::{Inserts, Text},
};
use crate::domain::Standing;

/// Holders of one address that are looked at.
const MOST_HOLDERS: u64 = 100;

/// Where a membership came from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Who let them in.
    pub added_by: Option<&'a UserId>,
    /// By which invite.
    pub invite: Option<InviteId>,
    /// When.
    pub at: Millis,
}

impl Origin<'_> {
    /// The membership of a tenant that came from here.
    #[must_use]
    pub fn in_tenant(self, tenant: TenantId, user: &UserId, role: Role) -> tenant_member::Model {
        tenant_member::Model {
            tenant_id: tenant,
            user_id: user.clone(),
            role,
            added_by: self.added_by.cloned(),
            invite_id: self.invite,
            inserted_at: self.at,
            updated_at: self.at,
        }
    }

    /// The membership of a workspace that came from here.
    #[must_use]
    pub fn in_workspace(
        self,
        tenant: TenantId,
        workspace: WorkspaceId,
        user: &UserId,
        role: Role,
    ) -> workspace_member::Model {
        workspace_member::Model {
            workspace_id: workspace,
            user_id: user.clone(),
            tenant_id: tenant,
            role,
            added_by: self.added_by.cloned(),
            invite_id: self.invite,
            inserted_at: self.at,
            updated_at: self.at,
        }
    }
}

/// What a user is in the tenant and, if one is given, in the workspace: one statement.
///
/// # Errors
/// As any statement.
pub async fn standing(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    user: &UserId,
    workspace: Option<WorkspaceId>,
) -> Result<Standing, DbErr> {
    static IN_TENANT: Text = Text::new();
    static IN_WORKSPACE: Text = Text::new();
    let build = |engine: DbBackend| engine.build(&finding_standing(tenant, user, workspace));
    let found = match workspace {
        None => IN_TENANT.with(conn, [tenant.into(), user.clone().into()], build),
        Some(id) => IN_WORKSPACE.with(conn, [id.into(), tenant.into(), user.clone().into()], build),
    };
    let Some(row) = conn.query_one_raw(found).await? else { return Ok(Standing::default()) };
    let workspace_role: Option<Role> = match workspace {
        Some(_) => row.try_get("", "in_workspace")?,
        None => None,
    };
    Ok(Standing {
        tenant: Some(row.try_get("", "in_tenant")?),
        workspace: workspace_role,
        ..Standing::default()
    })
}

fn finding_standing(tenant: TenantId, user: &UserId, workspace: Option<WorkspaceId>) -> SelectStatement {
    let mut query = Query::select();
    query
        .expr_as(Expr::col((tenant_member::Entity, tenant_member::Column::Role)), "in_tenant")
        .from(tenant_member::Entity)
        .and_where(Expr::col((tenant_member::Entity, tenant_member::Column::TenantId)).eq(tenant))
        .and_where(Expr::col((tenant_member::Entity, tenant_member::Column::UserId)).eq(user.clone()));
    if let Some(workspace) = workspace {
        let role = Expr::col((workspace_member::Entity, workspace_member::Column::Role));
        query.expr_as(role, "in_workspace").left_join(
            workspace_member::Entity,
            Expr::col((workspace_member::Entity, workspace_member::Column::UserId))
                .equals((tenant_member::Entity, tenant_member::Column::UserId))
                .and(
                    Expr::col((workspace_member::Entity, workspace_member::Column::TenantId))
                        .equals((tenant_member::Entity, tenant_member::Column::TenantId)),
                )
                .and(
                    Expr::col((workspace_member::Entity, workspace_member::Column::WorkspaceId))
                        .eq(workspace),
                )
                .into_condition(),
        );
    }
    query
}

/// The members of the tenant who hold this address, the longest-standing first; at most a hundred.
///
/// # Errors
/// As any statement.
pub async fn with_email(
    conn: &impl Rows,
    tenant: TenantId,
    email_norm: &str,
) -> Result<Vec<tenant_member::Model>, DbErr> {
    static FIND: Text = Text::new();
    let found = FIND.with(conn, [tenant.into(), email_norm.into(), MOST_HOLDERS.into()], |engine| {
        finding_with_email(tenant, email_norm).build(engine)
    });
    conn.rows::<tenant_member::Entity>(found).await
}

/// The statement of [`with_email`]. Who holds the address is asked first: of a join, SQLite walks all members of the
/// tenant instead.
pub(super) fn finding_with_email(tenant: TenantId, email_norm: &str) -> Select<tenant_member::Entity> {
    let holders = Query::select()
        .column(user::Column::Id)
        .from(user::Entity)
        .and_where(user::Column::EmailNorm.eq(email_norm))
        .to_owned();
    tenant_member::Entity::find()
        .filter(tenant_member::Column::TenantId.eq(tenant))
        .filter(tenant_member::Column::UserId.in_subquery(holders))
        .order_by_asc(tenant_member::Column::InsertedAt)
        .order_by_asc(tenant_member::Column::UserId)
        .limit(MOST_HOLDERS)
}

/// One membership of the tenant.
///
/// # Errors
/// As any statement.
pub async fn tenant_member(
    conn: &impl Rows,
    tenant: TenantId,
    user: &UserId,
) -> Result<Option<tenant_member::Model>, DbErr> {
    static FIND: Text = Text::new();
    let found = FIND.with(conn, [tenant.into(), user.clone().into()], |engine| {
        tenant_member::Entity::find_by_id((tenant, user.clone())).build(engine)
    });
    conn.row::<tenant_member::Entity>(found).await
}

/// One membership of a workspace of the tenant.
///
/// # Errors
/// As any statement.
pub async fn workspace_member(
    conn: &impl Rows,
    tenant: TenantId,
    workspace: WorkspaceId,
    user: &UserId,
) -> Result<Option<workspace_member::Model>, DbErr> {
    static FIND: Text = Text::new();
    let found = FIND.with(conn, [workspace.into(), user.clone().into(), tenant.into()], |engine| {
        workspace_member::Entity::find_by_id((workspace, user.clone()))
            .filter(workspace_member::Column::TenantId.eq(tenant))
            .build(engine)
    });
    conn.row::<workspace_member::Entity>(found).await
}

/// Writes the first memberships of people who have none: of their tenants, then of workspaces there.
///
/// # Errors
/// As any statement; who is a member already violates a constraint.
pub async fn join(
    conn: &impl ConnectionTrait,
    tenants: Vec<tenant_member::Model>,
    workspaces: Vec<workspace_member::Model>,
) -> Result<(), DbErr> {
    static INTO_TENANTS: Inserts = Inserts::new();
    static INTO_WORKSPACES: Inserts = Inserts::new();
    INTO_TENANTS.add::<tenant_member::Entity>(conn, tenants, None).await?;
    INTO_WORKSPACES.add::<workspace_member::Entity>(conn, workspaces, None).await?;
    Ok(())
}

/// Makes somebody a tenant member unless they are one; tells whether they were made one.
///
/// # Errors
/// As any statement.
pub async fn join_tenant(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    user: &UserId,
    role: Role,
    origin: Origin<'_>,
) -> Result<bool, DbErr> {
    static INSERTS: Inserts = Inserts::new();
    let row = origin.in_tenant(tenant, user, role);
    let ignore = OnConflict::new().do_nothing().to_owned();
    Ok(INSERTS.add::<tenant_member::Entity>(conn, vec![row], Some(&ignore)).await? > 0)
}

/// Makes a tenant member a workspace member unless they are one; tells whether they were made one.
///
/// # Errors
/// As any statement; somebody who is no tenant member violates the foreign key.
pub async fn join_workspace(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    workspace: WorkspaceId,
    user: &UserId,
    role: Role,
    origin: Origin<'_>,
) -> Result<bool, DbErr> {
    static INSERTS: Inserts = Inserts::new();
    let row = origin.in_workspace(tenant, workspace, user, role);
    let ignore = OnConflict::new().do_nothing().to_owned();
    Ok(INSERTS.add::<workspace_member::Entity>(conn, vec![row], Some(&ignore)).await? > 0)
}

/// Roles below this one: what a raise may replace.
fn below(role: Role) -> Vec<Role> {
    [Role::Viewer, Role::Member, Role::Admin, Role::Owner].into_iter().filter(|lower| *lower < role).collect()
}

/// Raises a tenant role to at least this one, never lowers it.
///
/// # Errors
/// As any statement.
pub async fn raise_tenant_role(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    user: &UserId,
    role: Role,
    at: Millis,
) -> Result<(), DbErr> {
    tenant_member::Entity::update_many()
        .col_expr(tenant_member::Column::Role, Expr::value(role))
        .col_expr(tenant_member::Column::UpdatedAt, Expr::value(at))
        .filter(tenant_member::Column::TenantId.eq(tenant))
        .filter(tenant_member::Column::UserId.eq(user.clone()))
        .filter(tenant_member::Column::Role.is_in(below(role)))
        .exec(conn)
        .await?;
    Ok(())
}

/// Raises a workspace role to at least this one, never lowers it.
///
/// # Errors
/// As any statement.
pub async fn raise_workspace_role(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    workspace: WorkspaceId,
    user: &UserId,
    role: Role,
    at: Millis,
) -> Result<(), DbErr> {
    workspace_member::Entity::update_many()
        .col_expr(workspace_member::Column::Role, Expr::value(role))
        .col_expr(workspace_member::Column::UpdatedAt, Expr::value(at))
        .filter(workspace_member::Column::TenantId.eq(tenant))
        .filter(workspace_member::Column::WorkspaceId.eq(workspace))
        .filter(workspace_member::Column::UserId.eq(user.clone()))
        .filter(workspace_member::Column::Role.is_in(below(role)))
        .exec(conn)
        .await?;
    Ok(())
}

/// Sets a tenant role.
///
/// # Errors
/// As any statement.
pub async fn set_tenant_role(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    user: &UserId,
    role: Role,
    at: Millis,
) -> Result<bool, DbErr> {
    let done = tenant_member::Entity::update_many()
        .col_expr(tenant_member::Column::Role, Expr::value(role))
        .col_expr(tenant_member::Column::UpdatedAt, Expr::value(at))
        .filter(tenant_member::Column::TenantId.eq(tenant))
        .filter(tenant_member::Column::UserId.eq(user.clone()))
        .exec(conn)
        .await?;
    Ok(done.rows_affected > 0)
}

/// Sets a workspace role.
///
/// # Errors
/// As any statement.
pub async fn set_workspace_role(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    workspace: WorkspaceId,
    user: &UserId,
    role: Role,
    at: Millis,
) -> Result<bool, DbErr> {
    let done = workspace_member::Entity::update_many()
        .col_expr(workspace_member::Column::Role, Expr::value(role))
        .col_expr(workspace_member::Column::UpdatedAt, Expr::value(at))
        .filter(workspace_member::Column::TenantId.eq(tenant))
        .filter(workspace_member::Column::WorkspaceId.eq(workspace))
        .filter(workspace_member::Column::UserId.eq(user.clone()))
        .exec(conn)
        .await?;
    Ok(done.rows_affected > 0)
}

/// Ends a tenant membership; its workspace memberships go with it by foreign key.
///
/// # Errors
/// As any statement.
pub async fn leave_tenant(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    user: &UserId,
) -> Result<bool, DbErr> {
    let done = tenant_member::Entity::delete_many()
        .filter(tenant_member::Column::TenantId.eq(tenant))
        .filter(tenant_member::Column::UserId.eq(user.clone()))
        .exec(conn)
        .await?;
    Ok(done.rows_affected > 0)
}

/// Ends a workspace membership.
///
/// # Errors
/// As any statement.
pub async fn leave_workspace(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    workspace: WorkspaceId,
    user: &UserId,
) -> Result<bool, DbErr> {
    let done = workspace_member::Entity::delete_many()
        .filter(workspace_member::Column::TenantId.eq(tenant))
        .filter(workspace_member::Column::WorkspaceId.eq(workspace))
        .filter(workspace_member::Column::UserId.eq(user.clone()))
        .exec(conn)
        .await?;
    Ok(done.rows_affected > 0)
}
