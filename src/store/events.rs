//! The table `events`: numbered per tenant without gaps, under the tenant's lock, in the transaction of the
//! change that each tells of.

use std::collections::HashMap;

use entity::{InviteId, Millis, TenantId, WorkspaceId, event, tenant};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Value,
    sea_query::{Expr, Func, IntoIden, Query, SimpleExpr, TableRef, ValueTuple},
};

use super::{
    constant_chunks,
    text::{Inserts, Sizes},
};

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

/// What is told of one tenant, whose lock is held.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The tenant.
    pub tenant: TenantId,
    /// When it happened.
    pub at: Millis,
    /// What happened, in order.
    pub events: Vec<NewEvent>,
    /// How many have joined the tenant by it, and are counted with it if anything is told.
    pub joined: i64,
}

impl Told {
    /// Of what nobody has joined by.
    #[must_use]
    pub fn of(tenant: TenantId, at: Millis, events: Vec<NewEvent>) -> Self {
        Self { tenant, at, events, joined: 0 }
    }
}

/// Numbers and writes events of tenants, each of which is named once.
///
/// # Errors
/// As any statement; `RecordNotFound` if a tenant has no row.
pub async fn append(conn: &impl ConnectionTrait, mut told: Vec<Told>) -> Result<(), DbErr> {
    static INSERTS: Inserts = Inserts::new();
    told.retain(|of| !of.events.is_empty());
    let mut last_of = HashMap::with_capacity(told.len());
    for chunk in constant_chunks(told.iter().collect()) {
        number(conn, &chunk, &mut last_of).await?;
    }
    let mut rows = Vec::new();
    for Told { tenant, at, events, .. } in told {
        let last = last_of.get(&tenant).ok_or_else(|| DbErr::RecordNotFound(format!("tenant {tenant}")))?;
        let first = last - count_of(&events) + 1;
        rows.extend(events.into_iter().zip(first..).map(|(new, seq)| event::Model {
            tenant_id: tenant,
            seq,
            kind: new.kind.to_owned(),
            invite_id: new.invite_id,
            workspace_id: new.workspace_id,
            actor: new.actor,
            data: new.data.map(|data| data.to_string()),
            at,
        }));
    }
    INSERTS.add::<event::Entity>(conn, rows, None).await.map(drop)
}

/// Takes the numbers of these tenants' events, and learns the last of each.
async fn number(
    conn: &impl ConnectionTrait,
    told: &[&Told],
    last_of: &mut HashMap<TenantId, i64>,
) -> Result<(), DbErr> {
    static NUMBER: Sizes = Sizes::new();
    const TOLD: &str = "told";
    let tuples = || told.iter().map(|of| [of.tenant.into(), count_of(&of.events).into(), of.joined.into()]);
    let number = NUMBER.of(told.len())?.with(conn, tuples().flatten(), |engine| {
        let of = |column: &'static str| Expr::col((TOLD, column));
        let values = tuples().map(|tuple: [Value; 3]| ValueTuple::Many(tuple.into())).collect();
        let update = Query::update()
            .table(tenant::Entity)
            .value(
                tenant::Column::EventSeq,
                Expr::col((tenant::Entity, tenant::Column::EventSeq)).add(of("column2")),
            )
            .value(
                tenant::Column::SeatsUsed,
                Expr::col((tenant::Entity, tenant::Column::SeatsUsed)).add(of("column3")),
            )
            .from(TableRef::ValuesList(values, TOLD.into_iden()))
            .and_where(Expr::col((tenant::Entity, tenant::Column::Id)).eq(of("column1")))
            .returning(Query::returning().columns([tenant::Column::Id, tenant::Column::EventSeq]))
            .to_owned();
        engine.build(&update)
    });
    for row in conn.query_all_raw(number).await? {
        last_of.insert(row.try_get("", "id")?, row.try_get("", "event_seq")?);
    }
    Ok(())
}

fn count_of(events: &[NewEvent]) -> i64 {
    i64::try_from(events.len()).unwrap_or(i64::MAX)
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
