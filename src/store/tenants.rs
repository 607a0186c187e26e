//! The table `tenants`: rows follow the configuration, counters follow the members.

use entity::{Millis, TenantId, tenant};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
    sea_query::{Expr, OnConflict},
};

use super::{Rows, text::Text};

/// Makes or renames the row of a configured tenant.
///
/// # Errors
/// As any statement; a slug taken by another id violates its constraint.
pub async fn sync(
    conn: &impl ConnectionTrait,
    id: TenantId,
    slug: &str,
    name: &str,
    now: Millis,
) -> Result<(), DbErr> {
    // a slug follows the configuration: whoever held it before keeps their rows under another
    let former = Expr::value(format!("{slug}~{}", uuid::Uuid::now_v7()));
    tenant::Entity::update_many()
        .col_expr(tenant::Column::Slug, former)
        .filter(tenant::Column::Slug.eq(slug))
        .filter(tenant::Column::Id.ne(id))
        .exec(conn)
        .await?;
    let row = tenant::ActiveModel {
        id: Set(id),
        slug: Set(slug.to_owned()),
        name: Set(name.to_owned()),
        seats_used: Set(0),
        event_seq: Set(0),
        inserted_at: Set(now),
        updated_at: Set(now),
    };
    let conflict = OnConflict::column(tenant::Column::Id)
        .update_columns([tenant::Column::Slug, tenant::Column::Name, tenant::Column::UpdatedAt])
        .to_owned();
    tenant::Entity::insert(row).on_conflict(conflict).exec_without_returning(conn).await?;
    Ok(())
}

/// The rows of these ids.
///
/// # Errors
/// As any statement.
pub async fn find_all(conn: &impl ConnectionTrait, ids: &[TenantId]) -> Result<Vec<tenant::Model>, DbErr> {
    tenant::Entity::find().filter(tenant::Column::Id.is_in(ids.iter().copied())).all(conn).await
}

/// The rows of these ids, and those that have one of these slugs.
///
/// # Errors
/// As any statement.
pub async fn find_all_or_slugs(
    conn: &impl ConnectionTrait,
    ids: &[TenantId],
    slugs: &[String],
) -> Result<Vec<tenant::Model>, DbErr> {
    let wanted = Condition::any()
        .add(tenant::Column::Id.is_in(ids.iter().copied()))
        .add(tenant::Column::Slug.is_in(slugs.iter().cloned()));
    tenant::Entity::find().filter(wanted).all(conn).await
}

/// Every tenant that has rows, configured or not.
///
/// # Errors
/// As any statement.
pub async fn ids(conn: &impl ConnectionTrait) -> Result<Vec<TenantId>, DbErr> {
    let rows: Vec<uuid::Uuid> = tenant::Entity::find()
        .select_only()
        .column(tenant::Column::Id)
        .order_by_asc(tenant::Column::Id)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(TenantId).collect())
}

/// Seats taken: tenant members, owners included.
///
/// # Errors
/// As any statement; a missing row counts as none.
pub async fn seats_used(conn: &impl Rows, tenant: TenantId) -> Result<i64, DbErr> {
    static FIND: Text = Text::new();
    let found = FIND.with(conn, [tenant.into()], |engine| tenant::Entity::find_by_id(tenant).build(engine));
    Ok(conn.row::<tenant::Entity>(found).await?.map_or(0, |row| row.seats_used))
}

/// Counts members in (or out, with a negative number), under the tenant's lock.
///
/// # Errors
/// As any statement.
pub async fn count_seats(conn: &impl ConnectionTrait, tenant: TenantId, by: i64) -> Result<(), DbErr> {
    static COUNT: Text = Text::new();
    let count = COUNT.with(conn, [by.into(), tenant.into()], |engine| {
        tenant::Entity::update_many()
            .col_expr(tenant::Column::SeatsUsed, Expr::col(tenant::Column::SeatsUsed).add(by))
            .filter(tenant::Column::Id.eq(tenant))
            .build(engine)
    });
    conn.execute_raw(count).await.map(drop)
}
