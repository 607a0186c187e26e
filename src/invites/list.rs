//! Reading invites: lists of one scope or of everything that the caller may see, and one by id in any state.
//! What is asked for narrows, orders and pages a list; nothing asked for means the whole pending set.

use std::{collections::BTreeMap, sync::Arc};

use entity::{InviteId, InviteStatus, WorkspaceId, invite};

pub use crate::store::invites::listing::{Filter, SortBy};

use super::{Invites, reach::reach, revoke::may_reach, scope_of};
use crate::{
    config::settings,
    domain::{MasterKeys, Permission, Refusal, Scope, cursor},
    identity::{Call, Principal},
    store::{
        self, Rows,
        invites::listing::{Listing, Part},
    },
};

/// Most rows one answer holds.
pub const MOST: u64 = 10_000;

/// What is asked of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it is narrowed by.
    pub filter: Filter,
    /// In which order.
    pub sort: SortBy,
    /// The other way round.
    pub descending: bool,
    /// Where it goes on: the `next` of the page before.
    pub cursor: Option<String>,
    /// Rows left out.
    pub skip: u64,
    /// Rows at most.
    pub limit: u64,
}

impl Default for Asked {
    /// Everything pending.
    fn default() -> Self {
        let filter = Filter { statuses: vec![InviteStatus::Pending], ..Filter::default() };
        Self { filter, sort: SortBy::Created, descending: false, cursor: None, skip: 0, limit: MOST }
    }
}

/// A page of invites.
#[derive(Clone, Debug)]
pub struct Page {
    /// In the order asked for.
    pub invites: Vec<invite::Model>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// The invites of a scope: all of them with the right to read, otherwise those the caller sent. They are shown on the
/// thread that read them: a list may be long, and writing it takes as long as reading it.
///
/// # Errors
/// 404 for strangers; 403 for members without the right who sent none of these statuses.
pub async fn list<T: Send + 'static>(
    invites: &Invites,
    call: Call,
    scope: Scope,
    asked: Asked,
    show: impl FnOnce(Page) -> T + Send + 'static,
) -> Result<T, Refusal> {
    call.principal.require_scope("invites:read")?;
    let keys = invites.keys()?;
    let mut begun = Begun::new(invites, asked, &format!("{} {scope:?}", call.tenant.id))?;
    invites
        .store
        .read(move |db| async move {
            let tenant = call.tenant.id;
            let there = match scope.workspace() {
                Some(id) => store::workspaces::exists(&db, tenant, id).await?,
                None => true,
            };
            let standing = call.standing(&db, scope.workspace()).await?;
            if !there || call.require_member(standing).is_err() {
                return Ok(Err(Refusal::NotFound));
            }
            let all = call.principal.system_admin
                || standing.may(Permission::Read, scope, &call.tenant.invites.permissions);
            begun.listing.parts = vec![match (all, call.user_id(), scope) {
                (true, _, Scope::Org) => Part::Org(tenant),
                (true, _, Scope::Workspace(id)) => Part::Workspaces(tenant, vec![id]),
                (false, Some(user), _) => Part::SentBy(tenant, user.clone(), Some(scope)),
                (false, None, _) => return Ok(Err(NOT_YOURS)),
            }];
            let (rows, total) = store::invites::listing::list(&db, &begun.listing).await?;
            if !all && total == 0 && !begun.sent_any(&db).await? {
                return Ok(Err(NOT_YOURS));
            }
            Ok(begun.page(&keys, rows, total).map(show))
        })
        .await?
}

const NOT_YOURS: Refusal = Refusal::Forbidden("only admins may list invitations here");

/// The invites of these tenants that the caller may see, whatever their scope. Whoever may see nothing gets an
/// empty page.
///
/// # Errors
/// 403 for a key without the scope.
pub async fn across(
    invites: &Invites,
    principal: Principal,
    tenants: Vec<Arc<settings::Tenant>>,
    asked: Asked,
) -> Result<Page, Refusal> {
    principal.require_scope("invites:read")?;
    let mut begun = Begun::new(invites, asked, "everywhere")?;
    let (begun, rows, total) = invites
        .store
        .read(move |db| async move {
            begun.listing.parts = reach(&db, &principal, &tenants).await?;
            let (rows, total) = store::invites::listing::list(&db, &begun.listing).await?;
            Ok((begun, rows, total))
        })
        .await?;
    begun.page(&invites.keys()?, rows, total)
}

/// A list whose cursor has been read.
struct Begun {
    listing: Listing,
    /// What the list is, for its cursors.
    identity: String,
    limit: u64,
}

impl Begun {
    fn new(invites: &Invites, asked: Asked, of: &str) -> Result<Self, Refusal> {
        let identity = format!("{of} {:?} {:?} {}", asked.filter, asked.sort, asked.descending);
        let after = match &asked.cursor {
            None => None,
            Some(text) => {
                let place = cursor::open(&invites.keys()?, &identity, text);
                Some(place.ok_or(Refusal::field("cursor", "is not a cursor of this list"))?)
            }
        };
        let limit = asked.limit.clamp(1, MOST);
        let listing = Listing {
            parts: Vec::new(),
            filter: asked.filter,
            sort: asked.sort,
            descending: asked.descending,
            after,
            skip: asked.skip,
            // one more, to see whether there is a next page
            limit: limit + 1,
            now: invites.store.clock().now(),
        };
        Ok(Self { listing, identity, limit })
    }

    /// Whether there is anything of these statuses, whatever else the list is narrowed by.
    async fn sent_any(&self, conn: &impl Rows) -> Result<bool, sea_orm::DbErr> {
        let filter = Filter { statuses: self.listing.filter.statuses.clone(), ..Filter::default() };
        let first = Listing { filter, after: None, skip: 0, limit: 1, ..self.listing.clone() };
        Ok(!store::invites::listing::list(conn, &first).await?.0.is_empty())
    }

    fn page(self, keys: &MasterKeys, mut rows: Vec<invite::Model>, total: u64) -> Result<Page, Refusal> {
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let next = match rows.last().filter(|_| more) {
            None => None,
            Some(last) => {
                let place = self.listing.place_of(last);
                Some(cursor::seal(keys, &self.identity, &place).ok_or(Refusal::Internal)?)
            }
        };
        Ok(Page { invites: rows, total, next })
    }
}

/// One invite of the scope, in any state.
///
/// # Errors
/// 404 for strangers and foreign ids, 403 for members without the right who did not send it.
pub async fn get(
    invites: &Invites,
    call: Call,
    scope: Scope,
    id: InviteId,
) -> Result<invite::Model, Refusal> {
    call.principal.require_scope("invites:read")?;
    invites
        .store
        .read(move |db| async move {
            let standing = call.standing(&db, scope.workspace()).await?;
            if let Err(refusal) = call.require_member(standing) {
                return Ok(Err(refusal));
            }
            let row = store::invites::find(&db, call.tenant.id, id).await?;
            let Some(row) = row.filter(|row| scope_of(row) == scope) else {
                return Ok(Err(Refusal::NotFound));
            };
            Ok(if may_reach(&call.into(), standing, &row, Permission::Read) {
                Ok(row)
            } else {
                Err(Refusal::Forbidden("only admins and whoever sent it may read it"))
            })
        })
        .await?
}

/// Names of these workspaces by id, for showing them beside invites. Who may know them is the caller's to judge.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database.
pub async fn workspace_names(
    invites: &Invites,
    ids: Vec<WorkspaceId>,
) -> Result<BTreeMap<WorkspaceId, String>, Refusal> {
    Ok(invites.store.read(async move |db| store::workspaces::names(&db, ids).await).await?)
}
