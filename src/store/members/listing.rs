//! The members of a tenant or a workspace, page by page, with what is known of them.

use std::collections::HashMap;

use entity::{Millis, Role, TenantId, UserId, tenant_member, user, workspace_member};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Select,
};

use crate::domain::Scope;

/// A member and what is known of them.
#[derive(Clone, Debug)]
pub struct Member {
    /// Wire id.
    pub user_id: UserId,
    /// Role in the scope.
    pub role: Role,
    /// Since when.
    pub joined_at: Millis,
    /// Who let them in.
    pub added_by: Option<UserId>,
    /// Address and name, if known.
    pub user: Option<user::Model>,
}

/// Which members a list shows.
#[derive(Clone, Debug)]
pub struct ListMembers {
    /// Where.
    pub scope: Scope,
    /// Those who joined after this one did (by user id, where two joined at once).
    pub after: Option<(Millis, UserId)>,
    /// At most so many.
    pub limit: u64,
}

/// Members by time of joining, and how many there are in all.
///
/// # Errors
/// As any statement.
pub async fn list(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    list: &ListMembers,
) -> Result<(Vec<Member>, u64), DbErr> {
    match list.scope {
        Scope::Org => {
            use tenant_member::Column;
            let all = tenant_member::Entity::find().filter(Column::TenantId.eq(tenant));
            let shown = [Column::UserId, Column::Role, Column::InsertedAt, Column::AddedBy];
            page(conn, all, shown, list).await
        }
        Scope::Workspace(id) => {
            use workspace_member::Column;
            let all = workspace_member::Entity::find()
                .filter(Column::TenantId.eq(tenant))
                .filter(Column::WorkspaceId.eq(id));
            let shown = [Column::UserId, Column::Role, Column::InsertedAt, Column::AddedBy];
            page(conn, all, shown, list).await
        }
    }
}

/// A page of these memberships; the columns are user, role, time of joining and who let them in.
async fn page<E>(
    conn: &impl ConnectionTrait,
    all: Select<E>,
    shown: [E::Column; 4],
    list: &ListMembers,
) -> Result<(Vec<Member>, u64), DbErr>
where
    E: EntityTrait<Model: Sync>,
{
    let [user, role, joined_at, added_by] = shown;
    let mut query = all.clone();
    if let Some((at, id)) = &list.after {
        let at_once = Condition::all().add(joined_at.eq(*at)).add(user.gt(id.clone()));
        query = query.filter(Condition::any().add(joined_at.gt(*at)).add(at_once));
    }
    let rows: Vec<Row> = query
        .select_only()
        .column_as(user, "user_id")
        .column_as(role, "role")
        .column_as(joined_at, "joined_at")
        .column_as(added_by, "added_by")
        .order_by_asc(joined_at)
        .order_by_asc(user)
        .limit(list.limit)
        .into_model()
        .all(conn)
        .await?;
    let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let complete = list.after.is_none() && count < list.limit;
    let total = if complete { count } else { all.count(conn).await? };
    let users = super::super::users::find_all(conn, rows.iter().map(|row| row.user_id.clone())).await?;
    let mut users: HashMap<UserId, user::Model> =
        users.into_iter().map(|user| (user.id.clone(), user)).collect();
    let member = |row: Row| {
        let Row { user_id, role, joined_at, added_by } = row;
        let user = users.remove(&user_id);
        Member { user_id, role, joined_at, added_by, user }
    };
    Ok((rows.into_iter().map(member).collect(), total))
}

#[derive(FromQueryResult)]
struct Row {
    user_id: UserId,
    role: Role,
    joined_at: Millis,
    added_by: Option<UserId>,
}
