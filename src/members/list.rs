//! Reading memberships.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::{Millis, TenantId, UserId};
use sea_orm::DbErr;

pub use crate::store::members::Member;

use super::Members;
use crate::{
    domain::{Refusal, Scope},
    identity::Call,
    store::{self, Rows, members::ListMembers},
};

/// Where a list of members goes on: behind the last one shown, who may be gone by then. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Millis, UserId);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{} {}", self.0.0, self.1)))
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| ())?;
        let (at, user) = text.split_once(' ').ok_or(())?;
        Ok(Self(Millis(at.parse().map_err(|_| ())?), UserId(user.to_owned())))
    }
}

/// A page of members.
#[derive(Clone, Debug)]
pub struct Page {
    /// In order of joining.
    pub members: Vec<Member>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins.
    pub next: Option<Cursor>,
}

/// One member, as they are now.
///
/// # Errors
/// [`Refusal::NotFound`] for somebody who is none.
pub async fn one(members: &Members, tenant: TenantId, scope: Scope, user: UserId) -> Result<Member, Refusal> {
    let known_to = members.clone();
    let found = members.store.read(async move |db| member(&known_to, &db, tenant, scope, &user).await);
    found.await?.ok_or(Refusal::NotFound)
}

/// One member, if they are one.
pub(super) async fn member(
    members: &Members,
    conn: &impl Rows,
    tenant: TenantId,
    scope: Scope,
    user: &UserId,
) -> Result<Option<Member>, DbErr> {
    let known = members.visible(tenant, store::users::find(conn, user).await?);
    Ok(match scope {
        Scope::Org => store::members::tenant_member(conn, tenant, user).await?.map(|row| Member {
            user_id: row.user_id,
            role: row.role,
            joined_at: row.inserted_at,
            added_by: row.added_by,
            user: known,
        }),
        Scope::Workspace(id) => {
            store::members::workspace_member(conn, tenant, id, user).await?.map(|row| Member {
                user_id: row.user_id,
                role: row.role,
                joined_at: row.inserted_at,
                added_by: row.added_by,
                user: known,
            })
        }
    })
}

/// Rows of one answer at most.
pub const MOST: u64 = 10_000;

/// The members that a caller may see: those of a tenant or workspace they belong to.
///
/// # Errors
/// 404 for strangers, 403 for tenant members without access to the workspace.
pub async fn read(
    members: &Members,
    call: Call,
    scope: Scope,
    after: Option<Cursor>,
    limit: u64,
) -> Result<Page, Refusal> {
    call.principal.require_scope("members:read")?;
    let tenant = call.tenant.id;
    let allowed = members.store.read(async move |db| {
        let standing = call.standing(&db, scope.workspace()).await?;
        let there = match scope.workspace() {
            Some(id) => store::workspaces::exists(&db, call.tenant.id, id).await?,
            None => true,
        };
        Ok(match call.require_member(standing) {
            Ok(()) if !there => Err(Refusal::NotFound),
            Ok(()) if standing.effective(scope).is_none() && !call.principal.system_admin => {
                Err(Refusal::Forbidden("you have no access to this workspace"))
            }
            member => member,
        })
    });
    allowed.await??;
    page(members, tenant, scope, after, limit).await
}

/// All members of a tenant or a workspace, in order of joining. Who may ask is the caller's to judge.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database.
pub async fn list(members: &Members, tenant: TenantId, scope: Scope) -> Result<Vec<Member>, Refusal> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = page(members, tenant, scope, after, MOST).await?;
        all.extend(page.members);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

async fn page(
    members: &Members,
    tenant: TenantId,
    scope: Scope,
    after: Option<Cursor>,
    limit: u64,
) -> Result<Page, Refusal> {
    let limit = limit.clamp(1, MOST);
    // one more than is shown tells whether there is a next page
    let wanted = ListMembers { scope, after: after.map(|Cursor(at, user)| (at, user)), limit: limit + 1 };
    let (mut rows, total) =
        members.store.read(async move |db| Ok(store::members::list(&db, tenant, &wanted).await?)).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    for row in &mut rows {
        row.user = members.visible(tenant, row.user.take());
    }
    let next = rows.last().filter(|_| more).map(|row| Cursor(row.joined_at, row.user_id.clone()));
    Ok(Page { members: rows, total, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        for user in ["u-1", "acme:ü b c", ""] {
            let cursor = Cursor(Millis(1_700_000_000_123), UserId(user.to_owned()));
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        let encoded = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
        for bad in ["x".into(), "!".into(), encoded(b"12"), encoded(b"x u-1"), encoded(b"\xff\xff \xff")] {
            assert_eq!(bad.parse::<Cursor>(), Err(()), "{bad}");
        }
    }
}
