//! Invites that ended long ago: found by an index, outside of any transaction, and forgotten with their mails a few
//! at a time. What is forgotten has ended for everybody: a pending row only once it is past its end for as long.

use entity::{InviteId, Millis, OutboxState, TenantId, invite, outbox};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, DeleteMany, EntityTrait, ExprTrait,
    FromQueryResult, QueryFilter, QuerySelect, QueryTrait, Select, Statement,
    sea_query::{Expr, Query},
};

/// Spelled out, because the partial index `invites_ended` serves no other spelling.
const ENDED: &str = "status <> 'pending'";

/// Invites of these tenants that ended, or ran out, by then; at most `most` that ended and as many that ran out, in
/// no order.
///
/// # Errors
/// As any statement.
pub async fn ended(
    conn: &impl ConnectionTrait,
    tenants: &[TenantId],
    by: Millis,
    most: u64,
) -> Result<Vec<(TenantId, InviteId)>, DbErr> {
    let mut found = Vec::new();
    for query in queries(tenants, by, most) {
        let ended: Vec<Ended> = query.into_model().all(conn).await?;
        found.extend(ended.into_iter().map(|row| (row.tenant_id, row.id)));
    }
    Ok(found)
}

#[derive(FromQueryResult)]
struct Ended {
    tenant_id: TenantId,
    id: InviteId,
}

/// The statements of [`ended`], for asking an engine how it carries them out.
#[must_use]
pub fn ended_statements(engine: DbBackend, tenants: &[TenantId], by: Millis, most: u64) -> Vec<Statement> {
    queries(tenants, by, most).into_iter().map(|query| query.build(engine)).collect()
}

fn queries(tenants: &[TenantId], by: Millis, most: u64) -> [Select<invite::Entity>; 2] {
    [ended_by(by), ran_out_by(by)].map(|long_ago| {
        invite::Entity::find()
            .select_only()
            .columns([invite::Column::TenantId, invite::Column::Id])
            .filter(invite::Column::TenantId.is_in(tenants.iter().copied()))
            .filter(long_ago)
            .limit(most)
    })
}

/// The last change of a row that has ended is its end.
fn ended_by(by: Millis) -> Condition {
    Condition::all().add(Expr::cust(ENDED)).add(invite::Column::UpdatedAt.lte(by))
}

fn ran_out_by(by: Millis) -> Condition {
    Condition::all().add(super::pending()).add(invite::Column::ExpiresAt.lte(by))
}

/// Forgets those of these invites that ended by then, under the tenant's lock; tells how many rows are gone. Their
/// mails go first, at most `most`, and an invite stays as long as it has one: the rest of an invite mailed very
/// often follows later, and so does one whose mail is being dealt with.
///
/// # Errors
/// As any statement.
pub async fn forget(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    ids: &[InviteId],
    by: Millis,
    most: u64,
) -> Result<u64, DbErr> {
    let over = over(tenant, ids, by);
    let theirs: Vec<InviteId> = finding(over.clone()).into_tuple().all(conn).await?;
    let mails = forgetting_mails(&theirs, most).exec(conn).await?;
    let invites = forgetting(over).exec(conn).await?;
    Ok(mails.rows_affected + invites.rows_affected)
}

/// The statements of [`forget`], for asking an engine how it carries them out.
#[must_use]
pub fn forget_statements(
    engine: DbBackend,
    tenant: TenantId,
    ids: &[InviteId],
    by: Millis,
    most: u64,
) -> [Statement; 3] {
    let over = over(tenant, ids, by);
    [
        finding(over.clone()).build(engine),
        forgetting_mails(ids, most).build(engine),
        forgetting(over).build(engine),
    ]
}

/// Those of these that ended by then.
fn over(tenant: TenantId, ids: &[InviteId], by: Millis) -> Condition {
    super::of_ids(tenant, ids).add(Condition::any().add(ended_by(by)).add(ran_out_by(by)))
}

fn finding(over: Condition) -> Select<invite::Entity> {
    invite::Entity::find().select_only().column(invite::Column::Id).filter(over)
}

fn forgetting_mails(of: &[InviteId], most: u64) -> DeleteMany<outbox::Entity> {
    let not_under_way = outbox::Column::State.ne(OutboxState::Leased);
    let some = outbox::Entity::find()
        .select_only()
        .column(outbox::Column::Id)
        .filter(outbox::Column::InviteId.is_in(of.iter().copied()))
        .filter(not_under_way.clone())
        .limit(most);
    outbox::Entity::delete_many()
        .filter(outbox::Column::Id.in_subquery(some.into_query()))
        // claiming mails takes no tenant's lock
        .filter(not_under_way)
}

fn forgetting(over: Condition) -> DeleteMany<invite::Entity> {
    let any_left = Query::select()
        .expr(Expr::value(1))
        .from(outbox::Entity)
        .and_where(
            Expr::col((outbox::Entity, outbox::Column::InviteId))
                .equals((invite::Entity, invite::Column::Id)),
        )
        .to_owned();
    invite::Entity::delete_many().filter(over).filter(Expr::exists(any_left).not())
}
