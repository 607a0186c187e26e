//! The table `users`. A row belongs for good to the issuer and subject that first reached its id.

use entity::{Millis, UserId, user};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict, Query},
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
pub async fn find(conn: &impl ConnectionTrait, id: &UserId) -> Result<Option<user::Model>, DbErr> {
    user::Entity::find_by_id(id.clone()).one(conn).await
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

/// Whether an id is this issuer's and subject's.
///
/// # Errors
/// As any statement.
pub async fn known(
    conn: &impl ConnectionTrait,
    id: &UserId,
    issuer: &str,
    subject: &str,
) -> Result<Known, DbErr> {
    let identity = user::Column::Issuer.eq(issuer).and(user::Column::Subject.eq(subject));
    let rows = user::Entity::find().filter(user::Column::Id.eq(id.clone()).or(identity)).all(conn).await?;
    let mut rows = rows.into_iter();
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
    use user::Column::{Email, EmailNorm, Id, InsertedAt, Issuer, Name, Subject, UpdatedAt};
    let mut ids: Vec<UserId> = rows.iter().map(|row| row.id.clone()).collect();
    let mut insert = Query::insert();
    insert
        .into_table(user::Entity)
        .columns([Id, Issuer, Subject, Email, EmailNorm, Name, InsertedAt, UpdatedAt]);
    for row in rows {
        let (email, norm) = row.email.map(|e| (e.as_str().to_owned(), e.norm().to_owned())).unzip();
        let values: [Expr; 8] = [
            Expr::value(row.id),
            Expr::value(row.issuer),
            Expr::value(row.subject),
            Expr::value(email),
            Expr::value(norm),
            Expr::value(row.name),
            Expr::value(now),
            Expr::value(now),
        ];
        insert.values(values).map_err(|error| DbErr::Custom(error.to_string()))?;
    }
    let keep = |column: &str| Expr::cust(format!("COALESCE(excluded.{column}, users.{column})"));
    insert
        .on_conflict(
            OnConflict::column(Id)
                .values([
                    (Email, keep("email")),
                    (EmailNorm, keep("email_norm")),
                    (Name, keep("name")),
                    (UpdatedAt, Expr::cust("excluded.updated_at")),
                ])
                .action_and_where(Expr::cust(
                    "users.issuer = excluded.issuer AND users.subject = excluded.subject",
                ))
                .to_owned(),
        )
        .returning_col(Id);
    for written in conn.query_all(&insert).await? {
        let written: String = written.try_get_by_index(0)?;
        ids.retain(|id| id.0 != written);
    }
    Ok(ids)
}
