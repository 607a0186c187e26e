//! What became of a mail, in one transaction: its row of the `outbox`, the `delivery` of its invite, and the
//! event that tells of it. Fenced, so that a sender whose lease was taken over changes nothing; and a mail
//! never writes over the state of a newer mail of the same invite.

use entity::{Delivery, InviteId, Millis, OutboxId, OutboxState, TenantId, WorkspaceId, invite, outbox};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Value, sea_query::Expr,
};

use super::{
    Rows,
    events::{self, NewEvent, Told},
    outbox::{Held, ending, ending_values, number},
    text::Text,
};

/// What becomes of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The relay took it.
    Sent,
    /// Again later.
    Retry {
        /// So many milliseconds from now.
        after: i64,
        /// Whether the attempt counts; it does not when the relay could not be used at all.
        counts: bool,
    },
    /// The relay refused it for good.
    Bounced,
    /// Given up.
    Failed,
    /// No longer wanted.
    Cancelled,
}

/// A verdict on one claimed mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The lease that entitles to it.
    pub lease: Held,
    /// Its invite.
    pub invite: InviteId,
    /// Workspace of the invite, for the event.
    pub workspace: Option<WorkspaceId>,
    /// Which mail of the invite it is.
    pub number: i32,
    /// Attempts begun, this one included.
    pub attempts: i32,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Class of the failure, if it is one.
    pub class: Option<&'static str>,
}

/// Settles mails of one tenant, whose lock is held; gives how many leases were still held.
///
/// # Errors
/// As any statement; nothing is settled then.
pub async fn settle(
    conn: &impl Rows,
    tenant: TenantId,
    now: Millis,
    mails: &[Settled],
) -> Result<usize, DbErr> {
    let mut told = Vec::new();
    let mut count = 0;
    for mail in mails {
        if !end_lease(conn, now, mail).await? {
            continue;
        }
        count += 1;
        let stands = delivery_of(mail.verdict);
        let anew = turns_to(conn, tenant, mail.invite, mail.number, stands).await?;
        set_delivery(conn, tenant, mail.invite, mail.number, stands, mail.class).await?;
        told.extend(event_of(mail, anew));
    }
    events::append(conn, vec![Told::of(tenant, now, told)]).await?;
    Ok(count)
}

async fn end_lease(conn: &impl ConnectionTrait, now: Millis, mail: &Settled) -> Result<bool, DbErr> {
    if mail.verdict == Verdict::Sent && mail.class.is_none() {
        static SENT: Text = Text::new();
        let (at, nothing) = (Some(now), Value::String(None));
        let values = ending_values(mail.lease, OutboxState::Sent, [at.into(), nothing]);
        let sent = SENT.with(conn, values, |engine| ended_as(now, mail).build(engine));
        return Ok(conn.execute_raw(sent).await?.rows_affected() == 1);
    }
    Ok(ended_as(now, mail).exec(conn).await?.rows_affected == 1)
}

fn ended_as(now: Millis, mail: &Settled) -> sea_orm::UpdateMany<outbox::Entity> {
    let update = match mail.verdict {
        Verdict::Sent => {
            ending(mail.lease, OutboxState::Sent).col_expr(outbox::Column::SentAt, Expr::value(Some(now)))
        }
        Verdict::Retry { after, counts } => {
            let burnt = i32::from(!counts);
            ending(mail.lease, OutboxState::Queued)
                .col_expr(outbox::Column::NextAt, Expr::value(now.plus(after)))
                .col_expr(outbox::Column::Attempts, Expr::col(outbox::Column::Attempts).sub(burnt))
        }
        Verdict::Bounced | Verdict::Failed => ending(mail.lease, OutboxState::Dead),
        Verdict::Cancelled => ending(mail.lease, OutboxState::Cancelled),
    };
    update.col_expr(outbox::Column::LastError, Expr::value(mail.class.map(str::to_owned)))
}

fn delivery_of(verdict: Verdict) -> Delivery {
    match verdict {
        Verdict::Sent => Delivery::Sent,
        Verdict::Retry { .. } => Delivery::Retrying,
        Verdict::Bounced => Delivery::Bounced,
        Verdict::Failed => Delivery::Failed,
        Verdict::Cancelled => Delivery::Cancelled,
    }
}

/// The event of a verdict. A mail that is tried again and again, or that ends with its invite, tells of it once,
/// when its invite begins to show it.
fn event_of(mail: &Settled, anew: bool) -> Option<NewEvent> {
    let kind = match mail.verdict {
        Verdict::Sent => "mail.sent",
        Verdict::Bounced => "mail.bounced",
        Verdict::Failed => "mail.failed",
        Verdict::Retry { .. } if anew => "mail.retrying",
        Verdict::Cancelled if anew => "mail.cancelled",
        Verdict::Retry { .. } | Verdict::Cancelled => return None,
    };
    Some(NewEvent {
        kind,
        invite_id: Some(mail.invite),
        workspace_id: mail.workspace,
        actor: "system".to_owned(),
        data: Some(serde_json::json!({
            "mail": mail.lease.id, "attempts": mail.attempts, "reason": mail.class,
        })),
    })
}

/// Whether the invite does not show yet that this mail, its latest, stands so. Asked only where it makes a
/// difference to what is told.
async fn turns_to(
    conn: &impl Rows,
    tenant: TenantId,
    invite: InviteId,
    number: i32,
    delivery: Delivery,
) -> Result<bool, DbErr> {
    if !matches!(delivery, Delivery::Retrying | Delivery::Cancelled) {
        return Ok(true);
    }
    let row = super::invites::find(conn, tenant, invite).await?;
    Ok(row.is_some_and(|row| row.mails == number && row.delivery != delivery))
}

/// Shows on the invite where a mail of it stands, if no newer mail of it has been queued since.
///
/// # Errors
/// As any statement.
pub async fn set_delivery(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    invite: InviteId,
    number: i32,
    delivery: Delivery,
    detail: Option<&str>,
) -> Result<(), DbErr> {
    static SET: Text = Text::new();
    let detail = detail.map(str::to_owned);
    let values = [delivery.into(), detail.clone().into(), invite.into(), tenant.into(), number.into()];
    let set = SET.with(conn, values, |engine| {
        invite::Entity::update_many()
            .col_expr(invite::Column::Delivery, Expr::value(delivery))
            .col_expr(invite::Column::DeliveryDetail, Expr::value(detail))
            .filter(invite::Column::Id.eq(invite))
            .filter(invite::Column::TenantId.eq(tenant))
            .filter(invite::Column::Mails.eq(number))
            .build(engine)
    });
    conn.execute_raw(set).await.map(drop)
}

/// Shows that the mail of an invite that has ended will not leave.
pub(super) async fn cancel(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    invite: InviteId,
) -> Result<(), DbErr> {
    invite::Entity::update_many()
        .col_expr(invite::Column::Delivery, Expr::value(Delivery::Cancelled))
        .filter(invite::Column::Id.eq(invite))
        .filter(invite::Column::TenantId.eq(tenant))
        .filter(invite::Column::Delivery.is_in([Delivery::Queued, Delivery::Retrying]))
        .exec(conn)
        .await?;
    Ok(())
}

/// A new link key for a pending invite, because the master key of its old one is gone.
#[derive(Clone, Debug)]
pub struct Rekeyed {
    /// Version it had; the new one is the next.
    pub version: i32,
    /// Master key from now on.
    pub kid: String,
    /// Salt from now on.
    pub salt: Vec<u8>,
}

/// Gives a pending invite a new link and the claimed mail that link's version, under the tenant's lock.
/// `None` if the invite or the lease changed meanwhile; the caller must then roll back.
///
/// # Errors
/// As any statement.
pub async fn rekey(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    invite: InviteId,
    lease: Held,
    key: Rekeyed,
    now: Millis,
) -> Result<Option<invite::Model>, DbErr> {
    let next = key.version.saturating_add(1);
    let rows = invite::Entity::update_many()
        .col_expr(invite::Column::Version, Expr::value(next))
        .col_expr(invite::Column::Kid, Expr::value(key.kid))
        .col_expr(invite::Column::Salt, Expr::value(key.salt))
        .col_expr(invite::Column::UpdatedAt, Expr::value(now))
        .filter(invite::Column::Id.eq(invite))
        .filter(invite::Column::TenantId.eq(tenant))
        .filter(super::invites::pending())
        .filter(invite::Column::Version.eq(key.version))
        .exec_with_returning(conn)
        .await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mail = outbox::Entity::update_many()
        .col_expr(outbox::Column::Version, Expr::value(next))
        .filter(outbox::Column::Id.eq(lease.id))
        .filter(outbox::Column::State.eq(OutboxState::Leased))
        .filter(outbox::Column::LeaseToken.eq(lease.token))
        .exec(conn)
        .await?;
    if mail.rows_affected != 1 {
        return Ok(None);
    }
    let rotated = NewEvent {
        kind: "invite.link_rotated",
        invite_id: Some(invite),
        workspace_id: row.workspace_id,
        actor: "system".to_owned(),
        data: Some(serde_json::json!({ "version": next, "reason": "key_gone" })),
    };
    events::append(conn, vec![Told::of(tenant, now, vec![rotated])]).await?;
    Ok(Some(row))
}

/// Mails of a tenant or of all, newest first.
///
/// # Errors
/// As any statement.
pub async fn list(
    conn: &impl ConnectionTrait,
    tenant: Option<TenantId>,
    state: Option<OutboxState>,
    limit: u64,
) -> Result<Vec<outbox::Model>, DbErr> {
    let mut query = outbox::Entity::find();
    if let Some(tenant) = tenant {
        query = query.filter(outbox::Column::TenantId.eq(tenant));
    }
    if let Some(state) = state {
        query = query.filter(outbox::Column::State.eq(state));
    }
    query.order_by_desc(outbox::Column::Id).limit(limit).all(conn).await
}

/// Queues given-up mails of a tenant again, one or all (at most a thousand at a time), under its lock; gives
/// how many.
///
/// # Errors
/// As any statement.
pub async fn retry_dead(
    conn: &impl ConnectionTrait,
    tenant: TenantId,
    which: Option<OutboxId>,
    now: Millis,
) -> Result<usize, DbErr> {
    let mut dead = outbox::Entity::find()
        .filter(outbox::Column::TenantId.eq(tenant))
        .filter(outbox::Column::State.eq(OutboxState::Dead));
    if let Some(id) = which {
        dead = dead.filter(outbox::Column::Id.eq(id));
    }
    let rows = dead.order_by_asc(outbox::Column::Id).limit(1000).all(conn).await?;
    for row in &rows {
        outbox::Entity::update_many()
            .col_expr(outbox::Column::State, Expr::value(OutboxState::Queued))
            .col_expr(outbox::Column::Attempts, Expr::value(0))
            .col_expr(outbox::Column::NextAt, Expr::value(now))
            .filter(outbox::Column::Id.eq(row.id))
            .filter(outbox::Column::State.eq(OutboxState::Dead))
            .exec(conn)
            .await?;
        set_delivery(conn, tenant, row.invite_id, number(row), Delivery::Queued, None).await?;
    }
    Ok(rows.len())
}
