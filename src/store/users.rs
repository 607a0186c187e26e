//! The table `users`. A row belongs for good to the issuer and subject that first reached its id.

use entity::{Millis, UserId, user};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, IntoActiveModel, Iterable,
    ModelTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, InsertStatement, OnConflict},
};

use super::{
    Rows,
    text::{Sizes, Text},
};
use crate::domain::EmailAddress;

/// What is written of a user: made from a credential, or from a link that proved the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Wire id.
    pub id: UserId,
    /// Issuer string.
    pub issuer: String,
    /// Subject at that issuer.
    pub subject: String,
    /// A verified or proven address; `None` leaves what is there.
    pub email: Option<EmailAddress>,
    /// Display name; `None` leaves what is there.
    pub name: Option<String>,
}

/// Whose a wire id is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nobody's yet.
    New,
    /// This issuer's and subject's.
    Same(user::Model),
    /// Somebody else's; or this issuer's subject is known under another id.
    Taken,
}

/// The user of this id.
///
/// # Errors
/// As any statement.
pub async fn find(conn: &impl Rows, id: &UserId) -> Result<Option<user::Model>, DbErr> {
    static FIND: Text = Text::new();
    let found =
        FIND.with(conn, [id.clone().into()], |engine| user::Entity::find_by_id(id.clone()).build(engine));
    conn.row::<user::Entity>(found).await
}

/// The users of these ids, in no order.
///
/// # Errors
/// As any statement.
pub async fn find_all(
    conn: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = UserId>,
) -> Result<Vec<user::Model>, DbErr> {
    let ids: Vec<UserId> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    user::Entity::find().filter(user::Column::Id.is_in(ids)).all(conn).await
}

/// The users with this verified address, the longest known first; at most a hundred.
///
/// # Errors
/// As any statement.
pub async fn with_email(conn: &impl ConnectionTrait, email_norm: &str) -> Result<Vec<user::Model>, DbErr> {
    user::Entity::find()
        .filter(user::Column::EmailNorm.eq(email_norm))
        .order_by_asc(user::Column::InsertedAt)
        .order_by_asc(user::Column::Id)
        .limit(100)
        .all(conn)
        .await
}

/// Those of these addresses that somebody holds, in no order.
///
/// # Errors
/// As any statement.
pub async fn held(conn: &impl ConnectionTrait, emails: &[String]) -> Result<Vec<String>, DbErr> {
    static FIND: Sizes = Sizes::new();
    let mut held = Vec::new();
    for chunk in super::filled_chunks(emails) {
        let values = chunk.iter().map(|email| email.as_str().into());
        let found = FIND.of(chunk.len())?.with(conn, values, |engine| {
            user::Entity::find()
                .select_only()
                .column(user::Column::EmailNorm)
                .filter(user::Column::EmailNorm.is_in(chunk.iter().map(String::as_str)))
                .build(engine)
        });
        for row in conn.query_all_raw(found).await? {
            held.push(row.try_get_by_index(0)?);
        }
    }
    Ok(held)
}

/// Whether an id is this issuer's and subject's.
///
/// # Errors
/// As any statement.
pub async fn known(conn: &impl Rows, id: &UserId, issuer: &str, subject: &str) -> Result<Known, DbErr> {
    static FIND: Text = Text::new();
    let found = FIND.with(conn, [id.clone().into(), issuer.into(), subject.into()], |engine| {
        let identity = user::Column::Issuer.eq(issuer).and(user::Column::Subject.eq(subject));
        user::Entity::find().filter(user::Column::Id.eq(id.clone()).or(identity)).build(engine)
    });
    let mut rows = conn.rows::<user::Entity>(found).await?.into_iter();
    Ok(match (rows.next(), rows.next()) {
        (None, _) => Known::New,
        (Some(row), None) if row.id == *id && row.issuer == issuer && row.subject == subject => {
            Known::Same(row)
        }
        _ => Known::Taken,
    })
}

/// Makes or updates users, in the order of their ids (an update waits for another transaction's, so these come
/// last in a transaction and sorted). A row is only touched by the issuer and subject it belongs to; the ids
/// that belong to others come back, and then the transaction must not be committed.
///
/// # Errors
/// As any statement; a subject known under another id violates a constraint (see [`known`]).
pub async fn upsert(
    conn: &impl ConnectionTrait,
    seen: Vec<Sighting>,
    now: Millis,
) -> Result<Vec<UserId>, DbErr> {
    let mut refused = Vec::new();
    let mut rows: Vec<Sighting> = Vec::with_capacity(seen.len());
    for one in sorted(seen) {
        match rows.last_mut() {
            // one statement may not touch a row twice
            Some(last) if last.id == one.id && last.issuer == one.issuer && last.subject == one.subject => {
                last.email = one.email.or(last.email.take());
                last.name = one.name.or(last.name.take());
            }
            Some(last) if last.id == one.id => refused.push(one.id),
            _ => rows.push(one),
        }
    }
    for chunk in super::constant_chunks(rows) {
        refused.extend(upsert_sorted(conn, chunk, now).await?);
    }
    Ok(refused)
}

fn sorted(mut seen: Vec<Sighting>) -> Vec<Sighting> {
    seen.sort_by(|a, b| a.id.cmp(&b.id));
    seen
}

async fn upsert_sorted(
    conn: &impl ConnectionTrait,
    rows: Vec<Sighting>,
    now: Millis,
) -> Result<Vec<UserId>, DbErr> {
    static UPSERTS: Sizes = Sizes::new();
    let mut ids: Vec<UserId> = rows.iter().map(|row| row.id.clone()).collect();
    let rows: Vec<user::Model> = rows.into_iter().map(|row| seen_at(row, now)).collect();
    let values = rows.iter().flat_map(|row| user::Column::iter().map(|column| row.get(column)));
    let upsert = UPSERTS.of(rows.len())?.with(conn, values, |engine| engine.build(&upserting(&rows)));
    for written in conn.query_all_raw(upsert).await? {
        let written: String = written.try_get_by_index(0)?;
        ids.retain(|id| id.0 != written);
    }
    Ok(ids)
}

fn seen_at(row: Sighting, now: Millis) -> user::Model {
    let (email, email_norm) = row.email.map(|e| (e.as_str().to_owned(), e.norm().to_owned())).unzip();
    let Sighting { id, issuer, subject, name, .. } = row;
    user::Model { id, issuer, subject, email, email_norm, name, inserted_at: now, updated_at: now }
}

fn upserting(rows: &[user::Model]) -> InsertStatement {
    use user::Column::{Email, EmailNorm, Id, Name, UpdatedAt};
    let keep = |column: &str| Expr::cust(format!("COALESCE(excluded.{column}, users.{column})"));
    let known = OnConflict::column(Id)
        .values([
            (Email, keep("email")),
            (EmailNorm, keep("email_norm")),
            (Name, keep("name")),
            (UpdatedAt, Expr::cust("excluded.updated_at")),
        ])
        .action_and_where(Expr::cust("users.issuer = excluded.issuer AND users.subject = excluded.subject"))
        .to_owned();
    let rows = rows.iter().map(|row| row.clone().into_active_model().reset_all());
    let mut insert = user::Entity::insert_many(rows).on_conflict(known).into_query();
    insert.returning_col(Id);
    insert
}
