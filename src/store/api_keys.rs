//! The table `api_keys`. A key is found by the hash of its text only; the text itself is never here.

use entity::{ApiKeyId, Millis, Role, TenantId, api_key};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Condition, Expr, SimpleExpr},
};

/// Rows that a list answers at most.
const MAX_LISTED: u64 = 10_000;

/// What may be changed of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Given name.
    pub name: String,
    /// Scopes, space-separated; empty means all that its user may.
    pub scopes: String,
    /// End of life, if any.
    pub expires_at: Option<Millis>,
}

/// Adds a key.
///
/// # Errors
/// As any statement.
pub async fn insert(conn: &impl ConnectionTrait, row: api_key::Model) -> Result<(), DbErr> {
    api_key::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(conn).await?;
    Ok(())
}

/// The key of this hash, if it is neither revoked nor past its end at `now`.
///
/// # Errors
/// As any statement.
pub async fn find_live(
    conn: &impl ConnectionTrait,
    hash: &[u8],
    now: Millis,
) -> Result<Option<api_key::Model>, DbErr> {
    api_key::Entity::find().filter(api_key::Column::Hash.eq(hash.to_vec())).filter(live(now)).one(conn).await
}

/// The key of this id, whatever became of it: its use case judges whose it is.
///
/// # Errors
/// As any statement.
pub async fn find(conn: &impl ConnectionTrait, id: ApiKeyId) -> Result<Option<api_key::Model>, DbErr> {
    api_key::Entity::find_by_id(id).one(conn).await
}

/// Whether any key lives at `now`.
///
/// # Errors
/// As any statement.
pub async fn any_live(conn: &impl ConnectionTrait, now: Millis) -> Result<bool, DbErr> {
    Ok(api_key::Entity::find().filter(live(now)).limit(1).one(conn).await?.is_some())
}

/// The keys that manage a tenant, revoked ones left out, oldest first.
///
/// # Errors
/// As any statement.
pub async fn of_tenant(conn: &impl ConnectionTrait, tenant: TenantId) -> Result<Vec<api_key::Model>, DbErr> {
    listed(conn, api_key::Column::TenantId.eq(tenant)).await
}

/// Every key that is not revoked, oldest first: the operator's list.
///
/// # Errors
/// As any statement.
pub async fn all(conn: &impl ConnectionTrait) -> Result<Vec<api_key::Model>, DbErr> {
    listed(conn, Condition::all()).await
}

/// Revokes a key; `false` if there is none or it was revoked before. Verdicts on it must be dropped after the
/// commit.
///
/// # Errors
/// As any statement.
pub async fn revoke(conn: &impl ConnectionTrait, id: ApiKeyId, now: Millis) -> Result<bool, DbErr> {
    change(conn, id, [(api_key::Column::RevokedAt, Expr::value(now))]).await
}

/// Changes a key; `false` if there is none or it is revoked.
///
/// # Errors
/// As any statement.
pub async fn edit(conn: &impl ConnectionTrait, id: ApiKeyId, to: Edit) -> Result<bool, DbErr> {
    let changes = [
        (api_key::Column::Name, Expr::value(to.name)),
        (api_key::Column::Scopes, Expr::value(to.scopes)),
        (api_key::Column::ExpiresAt, Expr::value(to.expires_at)),
    ];
    change(conn, id, changes).await
}

/// Gives a key another text; `false` if there is none or it is revoked.
///
/// # Errors
/// As any statement.
pub async fn rotate(
    conn: &impl ConnectionTrait,
    id: ApiKeyId,
    hash: &[u8],
    prefix: &str,
) -> Result<bool, DbErr> {
    let changes =
        [(api_key::Column::Hash, Expr::value(hash.to_vec())), (api_key::Column::Prefix, Expr::value(prefix))];
    change(conn, id, changes).await
}

/// Notes that these keys were used, unless a later use is noted already.
///
/// # Errors
/// As any statement.
pub async fn touch(conn: &impl ConnectionTrait, ids: &[ApiKeyId], at: Millis) -> Result<(), DbErr> {
    for some in ids.chunks(100) {
        api_key::Entity::update_many()
            .col_expr(api_key::Column::LastUsedAt, Expr::value(at))
            .filter(api_key::Column::Id.is_in(some.iter().copied()))
            .filter(api_key::Column::LastUsedAt.is_null().or(api_key::Column::LastUsedAt.lt(at)))
            .filter(api_key::Column::RevokedAt.is_null())
            .exec(conn)
            .await?;
    }
    Ok(())
}

fn live(now: Millis) -> Condition {
    Condition::all()
        .add(api_key::Column::RevokedAt.is_null())
        .add(api_key::Column::ExpiresAt.is_null().or(api_key::Column::ExpiresAt.gt(now)))
}

async fn listed(
    conn: &impl ConnectionTrait,
    which: impl sea_orm::sea_query::IntoCondition,
) -> Result<Vec<api_key::Model>, DbErr> {
    api_key::Entity::find()
        .filter(which)
        .filter(api_key::Column::RevokedAt.is_null())
        .order_by_asc(api_key::Column::InsertedAt)
        .order_by_asc(api_key::Column::Id)
        .limit(MAX_LISTED)
        .all(conn)
        .await
}

async fn change(
    conn: &impl ConnectionTrait,
    id: ApiKeyId,
    changes: impl IntoIterator<Item = (api_key::Column, SimpleExpr)>,
) -> Result<bool, DbErr> {
    let mut update = api_key::Entity::update_many()
        .filter(api_key::Column::Id.eq(id))
        .filter(api_key::Column::RevokedAt.is_null());
    for (column, value) in changes {
        update = update.col_expr(column, value);
    }
    Ok(update.exec(conn).await?.rows_affected == 1)
}
/// The role of a service key that has not been revoked: what an invite it sent still rests on. Expiry and
/// rotation of the key take nothing back.
///
/// # Errors
/// As any statement.
pub async fn service_role(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    id: ApiKeyId,
) -> Result<Option<Role>, DbErr> {
    let row = api_key::Entity::find_by_id(id)
        .filter(api_key::Column::TenantId.eq(tenant))
        .filter(api_key::Column::RevokedAt.is_null())
        .one(conn)
        .await?;
    Ok(row.and_then(|row| row.role))
}
