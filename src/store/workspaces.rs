//! The table `workspaces`.

use std::collections::BTreeMap;

use entity::{Millis, TenantId, UserId, WorkspaceId, workspace, workspace_member};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, OnConflict},
};

use super::{Rows, text::Text};

/// The workspace of this id within the tenant.
///
/// # Errors
/// As any statement.
pub async fn find(
    conn: &impl Rows,
    tenant: TenantId,
    id: WorkspaceId,
) -> Result<Option<workspace::Model>, DbErr> {
    static FIND: Text = Text::new();
    let found = FIND.with(conn, [id.into(), tenant.into()], |engine| {
        workspace::Entity::find_by_id(id).filter(workspace::Column::TenantId.eq(tenant)).build(engine)
    });
    conn.row::<workspace::Entity>(found).await
}

/// Whether there is a workspace of this id within the tenant.
///
/// # Errors
/// As any statement.
pub async fn exists(conn: &impl ConnectionTrait, tenant: TenantId, id: WorkspaceId) -> Result<bool, DbErr> {
    static FIND: Text = Text::new();
    let found = FIND.with(conn, [id.into(), tenant.into()], |engine| {
        workspace::Entity::find_by_id(id)
            .filter(workspace::Column::TenantId.eq(tenant))
            .select_only()
            .column(workspace::Column::Id)
            .build(engine)
    });
    Ok(conn.query_one_raw(found).await?.is_some())
}

/// The tenant that a workspace belongs to: the one look-up without a tenant, for routes that name only the
/// workspace. Whoever asks compares the answer with what the caller may see.
///
/// # Errors
/// As any statement.
pub async fn tenant_of(conn: &impl ConnectionTrait, id: WorkspaceId) -> Result<Option<TenantId>, DbErr> {
    Ok(workspace::Entity::find_by_id(id).one(conn).await?.map(|row| row.tenant_id))
}

/// The workspace that carries the caller's own id.
///
/// # Errors
/// As any statement.
pub async fn find_external(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    external_id: &str,
) -> Result<Option<workspace::Model>, DbErr> {
    workspace::Entity::find()
        .filter(workspace::Column::TenantId.eq(tenant))
        .filter(workspace::Column::ExternalWorkspaceId.eq(external_id))
        .one(conn)
        .await
}

/// A workspace of exactly this name.
///
/// # Errors
/// As any statement.
pub async fn find_named(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    name: &str,
) -> Result<Option<workspace::Model>, DbErr> {
    workspace::Entity::find()
        .filter(workspace::Column::TenantId.eq(tenant))
        .filter(workspace::Column::Name.eq(name))
        .one(conn)
        .await
}

/// Writes a new workspace.
///
/// # Errors
/// As any statement.
pub async fn insert(conn: &impl ConnectionTrait, row: workspace::Model) -> Result<(), DbErr> {
    let row: workspace::ActiveModel = row.into();
    workspace::Entity::insert(row.reset_all()).exec_without_returning(conn).await?;
    Ok(())
}

/// Makes sure that a configured workspace exists; its name is only the first one. Tells
/// whether it was made now.
///
/// # Errors
/// As any statement; an id taken in another tenant is ignored by the conflict and found by the caller.
pub async fn sync(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    id: WorkspaceId,
    name: &str,
    slug: Option<&str>,
    now: Millis,
) -> Result<bool, DbErr> {
    let row = workspace::ActiveModel {
        id: Set(id),
        tenant_id: Set(tenant),
        name: Set(name.to_owned()),
        slug: Set(slug.map(str::to_owned)),
        description: Set(None),
        metadata: Set(None),
        external_workspace_id: Set(None),
        external_user_id: Set(None),
        configured: Set(true),
        created_by: Set(None),
        inserted_at: Set(now),
        updated_at: Set(now),
    };
    let ignore = OnConflict::new().do_nothing().to_owned();
    let made = workspace::Entity::insert(row).on_conflict(ignore).exec_without_returning(conn).await?;
    Ok(made > 0)
}

/// Configured workspaces of these tenants, each with its tenant.
///
/// # Errors
/// As any statement.
pub async fn configured(
    conn: &impl ConnectionTrait,
    tenants: &[TenantId],
) -> Result<Vec<(WorkspaceId, TenantId)>, DbErr> {
    let rows: Vec<Configured> = workspace::Entity::find()
        .select_only()
        .columns([workspace::Column::Id, workspace::Column::TenantId])
        .filter(workspace::Column::TenantId.is_in(tenants.iter().copied()))
        .filter(workspace::Column::Configured.eq(true))
        .into_model()
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.tenant_id)).collect())
}

#[derive(FromQueryResult)]
struct Configured {
    id: WorkspaceId,
    tenant_id: TenantId,
}

/// Which workspaces a list shows.
#[derive(Clone, Debug)]
pub enum Visible {
    /// All of the tenant.
    All,
    /// Those this user belongs to.
    MemberOf(UserId),
}

/// A page of the tenant's workspaces by time of making, and how many there are.
///
/// # Errors
/// As any statement.
pub async fn list(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    visible: &Visible,
    offset: u64,
    limit: u64,
) -> Result<(Vec<workspace::Model>, u64), DbErr> {
    let mut query = workspace::Entity::find().filter(workspace::Column::TenantId.eq(tenant));
    if let Visible::MemberOf(user) = visible {
        let own = sea_orm::sea_query::Query::select()
            .column(workspace_member::Column::WorkspaceId)
            .from(workspace_member::Entity)
            .and_where(workspace_member::Column::TenantId.eq(tenant))
            .and_where(workspace_member::Column::UserId.eq(user.clone()))
            .to_owned();
        query = query.filter(workspace::Column::Id.in_subquery(own));
    }
    let total = query.clone().count(conn).await?;
    let rows = query
        .order_by_asc(workspace::Column::InsertedAt)
        .order_by_asc(workspace::Column::Id)
        .offset(offset)
        .limit(limit)
        .all(conn)
        .await?;
    Ok((rows, total))
}

/// Writes what may change of a workspace.
///
/// # Errors
/// As any statement.
pub async fn rewrite(conn: &impl ConnectionTrait, row: workspace::Model) -> Result<(), DbErr> {
    workspace::Entity::update_many()
        .col_expr(workspace::Column::Name, Expr::value(row.name))
        .col_expr(workspace::Column::Description, Expr::value(row.description))
        .col_expr(workspace::Column::Metadata, Expr::value(row.metadata))
        .col_expr(workspace::Column::UpdatedAt, Expr::value(row.updated_at))
        .filter(workspace::Column::Id.eq(row.id))
        .filter(workspace::Column::TenantId.eq(row.tenant_id))
        .exec(conn)
        .await?;
    Ok(())
}

/// Deletes a workspace; memberships and invites go with it by foreign key.
///
/// # Errors
/// As any statement.
pub async fn delete(conn: &impl ConnectionTrait, tenant: TenantId, id: WorkspaceId) -> Result<(), DbErr> {
    workspace::Entity::delete_many()
        .filter(workspace::Column::Id.eq(id))
        .filter(workspace::Column::TenantId.eq(tenant))
        .exec(conn)
        .await?;
    Ok(())
}

/// Names of workspaces by id, of whatever tenant: for rows that the caller may see already.
///
/// # Errors
/// As any statement.
pub async fn names(
    conn: &impl ConnectionTrait,
    mut ids: Vec<WorkspaceId>,
) -> Result<BTreeMap<WorkspaceId, String>, DbErr> {
    ids.sort_unstable();
    ids.dedup();
    let mut names = BTreeMap::new();
    for chunk in super::constant_chunks(ids) {
        let rows = workspace::Entity::find().filter(workspace::Column::Id.is_in(chunk)).all(conn).await?;
        names.extend(rows.into_iter().map(|row| (row.id, row.name)));
    }
    Ok(names)
}
