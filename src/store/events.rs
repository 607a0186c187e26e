//! The table `events`: numbered per tenant without gaps, under the tenant's lock, in the transaction of the
//! change that each tells of.

use entity::{InviteId, Millis, TenantId, WorkspaceId, event, tenant};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, Func, Query, SimpleExpr},
};

use super::text::{Inserts, Text};

/// An event about to be numbered.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened, such as `invite.created`.
    pub kind: &'static str,
    /// Invite it is about.
    pub invite_id: Option<InviteId>,
    /// Workspace it is about.
    pub workspace_id: Option<WorkspaceId>,
    /// Who did it.
    pub actor: String,
    /// Further facts; no address, no token.
    pub data: Option<serde_json::Value>,
}

/// Numbers and writes events of one tenant, whose lock is held, and counts who has joined it.
///
/// # Errors
/// As any statement; `RecordNotFound` if the tenant has no row.
pub async fn append(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    at: Millis,
    events: Vec<NewEvent>,
    joined: i64,
) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    static NUMBER: Text = Text::new();
    static INSERTS: Inserts = Inserts::new();
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let number = NUMBER.with(conn, [count.into(), joined.into(), tenant.into()], |engine| {
        let update = Query::update()
            .table(tenant::Entity)
            .value(tenant::Column::EventSeq, Expr::col(tenant::Column::EventSeq).add(count))
            .value(tenant::Column::SeatsUsed, Expr::col(tenant::Column::SeatsUsed).add(joined))
            .and_where(tenant::Column::Id.eq(tenant))
            .returning_col(tenant::Column::EventSeq)
            .to_owned();
        engine.build(&update)
    });
    let row = conn.query_one_raw(number).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound(format!("tenant {tenant}")))?;
    let last: i64 = row.try_get_by_index(0)?;
    let first = last - count + 1;
    let rows = events
        .into_iter()
        .zip(first..)
        .map(|(new, seq)| event::Model {
            tenant_id: tenant,
            seq,
            kind: new.kind.to_owned(),
            invite_id: new.invite_id,
            workspace_id: new.workspace_id,
            actor: new.actor,
            data: new.data.map(|data| data.to_string()),
            at,
        })
        .collect();
    INSERTS.add::<event::Entity>(conn, rows, None).await.map(drop)
}

/// The events of one invite, oldest first, at most ten thousand: more than anybody reads, and not more than a
/// sender could make who edits an invite again and again.
///
/// # Errors
/// As any statement.
pub async fn of_invite(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    invite: InviteId,
) -> Result<Vec<event::Model>, DbErr> {
    // spelled so that SQLite does not walk all events of the tenant, which are in order, but sorts these few
    let of_tenant = SimpleExpr::from(Func::coalesce([event::Column::TenantId; 2].map(Expr::col))).eq(tenant);
    event::Entity::find()
        .filter(of_tenant)
        .filter(event::Column::InviteId.eq(invite))
        .order_by_asc(event::Column::Seq)
        .limit(10_000)
        .all(conn)
        .await
}

/// Events of the tenant after this number, in order, at most `limit`.
///
/// # Errors
/// As any statement.
pub async fn after(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    after: i64,
    limit: u64,
) -> Result<Vec<event::Model>, DbErr> {
    event::Entity::find()
        .filter(event::Column::TenantId.eq(tenant))
        .filter(event::Column::Seq.gt(after))
        .order_by_asc(event::Column::Seq)
        .limit(limit)
        .all(conn)
        .await
}
