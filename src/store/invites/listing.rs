//! The one statement of every list of invites: what may be seen, narrowed by filters, in one order, from one
//! place on. What may be seen is a union of branches (a tenant, a workspace, what somebody sent), each with one
//! status: so every branch walks one index in the order of the list and stops at the limit, and the few rows
//! that are left are put together. What filters leave out is looked at on the way, in the index where it has the column.

use entity::{Delivery, InviteStatus, Millis, Role, TenantId, UserId, WorkspaceId, invite};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, ExprTrait, Order, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select, Statement,
    sea_query::{Asterisk, Expr, Query, SelectStatement, SimpleExpr, UnionType},
};

use crate::{
    domain::cursor::{Key, Place},
    store::Rows,
};

/// Up to so many tenants or workspaces are branches of their own; more are one, and sorted.
const BRANCHES: usize = 8;
/// Up to so many parts and statuses are branches of their own. SQLite takes 500 in one statement.
const MOST_BRANCHES: usize = 64;

/// Part of what may be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of these tenants.
    Tenants(Vec<TenantId>),
    /// Those into the tenant itself.
    Org(TenantId),
    /// Those into these workspaces of the tenant.
    Workspaces(TenantId, Vec<WorkspaceId>),
    /// Those this person sent in the tenant; in one scope of it, if one is given.
    SentBy(TenantId, UserId, Option<crate::domain::Scope>),
}

/// What a list is narrowed by; empty lists narrow nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one of these statuses as seen now; empty means any.
    pub statuses: Vec<InviteStatus>,
    /// To this address, as compared.
    pub email_norm: Option<String>,
    /// Of one of these roles.
    pub roles: Vec<Role>,
    /// Into this workspace.
    pub workspace: Option<WorkspaceId>,
    /// By this inviter of record.
    pub inviter: Option<UserId>,
    /// Whose latest mail stands so.
    pub deliveries: Vec<Delivery>,
    /// Made later than this.
    pub created_after: Option<Millis>,
    /// Made earlier than this.
    pub created_before: Option<Millis>,
    /// Ending earlier than this.
    pub expires_before: Option<Millis>,
}

/// What a list is ordered by; the id decides among equals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// Time of making.
    #[default]
    Created,
    /// End of life.
    Expires,
    /// Address.
    Email,
}

/// A list asked for.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What may be seen.
    pub parts: Vec<Part>,
    /// What is wanted of it.
    pub filter: Filter,
    /// In which order.
    pub sort: SortBy,
    /// The other way round.
    pub descending: bool,
    /// Rows after this place.
    pub after: Option<Place>,
    /// So many of them left out.
    pub skip: u64,
    /// At most so many.
    pub limit: u64,
    /// Statuses are as seen at this time.
    pub now: Millis,
}

/// The rows of a list, and how many there are in all.
///
/// # Errors
/// As any statement.
pub async fn list(conn: &impl Rows, listing: &Listing) -> Result<(Vec<invite::Model>, u64), DbErr> {
    let engine = conn.get_database_backend();
    let Some(page) = listing.page(engine) else { return Ok((Vec::new(), 0)) };
    let rows = conn.rows::<invite::Entity>(page.build(engine)).await?;
    let found = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let complete = listing.after.is_none() && listing.skip == 0 && found < listing.limit;
    Ok((rows, if complete { found } else { listing.count(conn, engine).await? }))
}

impl Listing {
    /// The rows of the page; `None` where nothing may be seen.
    fn page(&self, engine: DbBackend) -> Option<Select<invite::Entity>> {
        let states = self.states(engine == DbBackend::Sqlite && self.sort != SortBy::Expires);
        let mut branches = self.branches(&states, false);
        if let (1, Some(only)) = (branches.len(), branches.pop()) {
            let query = self.ordered(invite::Entity::find().filter(only).filter(self.beyond()));
            return Some(query.offset(self.skip).limit(self.limit));
        }
        let first_ones = self.branches(&states, false).into_iter().map(|branch| {
            let query = self.ordered(ids(branch).filter(self.beyond()));
            // SQLite takes no parentheses around a branch, and without them ORDER BY is the union's
            Query::select()
                .column(invite::Column::Id)
                .from_subquery(query.limit(self.skip.saturating_add(self.limit)).into_query(), "b")
                .to_owned()
        });
        let union = united(first_ones)?;
        let query = self.ordered(invite::Entity::find().filter(invite::Column::Id.in_subquery(union)));
        Some(query.offset(self.skip).limit(self.limit))
    }

    /// How many rows the list has, all its pages together: a number for each branch, to be added up.
    fn counting(&self, engine: DbBackend) -> Option<SelectStatement> {
        // SQLite walks any index of the tenant; PostgreSQL would read all rows for want of a status
        let any = self.filter.statuses.is_empty() && engine == DbBackend::Sqlite;
        let states = if any { vec![Condition::all()] } else { self.states(self.hides_end(engine)) };
        united(self.branches(&states, true).into_iter().map(|branch| {
            let count = Expr::col(Asterisk).count();
            Query::select().expr(count).from(invite::Entity).cond_where(branch).to_owned()
        }))
    }

    /// Whether the count is better off without the index of ends: that is all it needs if nothing is narrowed.
    fn hides_end(&self, engine: DbBackend) -> bool {
        let whole = self.parts.iter().all(|part| matches!(part, Part::Tenants(_)));
        let narrowed = Filter { statuses: Vec::new(), ..self.filter.clone() } != Filter::default();
        engine == DbBackend::Sqlite && (narrowed || !whole)
    }

    async fn count(&self, conn: &impl ConnectionTrait, engine: DbBackend) -> Result<u64, DbErr> {
        let Some(counting) = self.counting(engine) else { return Ok(0) };
        let rows = conn.query_all(&counting).await?;
        let counts: Vec<i64> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
        Ok(u64::try_from(counts.iter().sum::<i64>()).unwrap_or(0))
    }

    /// One for each part and status, if they are to be `apart` without the rows of another part; of too many, a single
    /// one with them all.
    fn branches(&self, states: &[Condition], apart: bool) -> Vec<Condition> {
        let parts: Vec<Part> = self.parts.iter().flat_map(Part::split).collect();
        if parts.len().saturating_mul(states.len()) > MOST_BRANCHES {
            let any_part = self.parts.iter().map(Part::condition).fold(Condition::any(), Condition::add);
            let any_state = states.iter().cloned().fold(Condition::any(), Condition::add);
            return vec![Condition::all().add(any_part).add(any_state).add(self.narrow())];
        }
        parts
            .iter()
            .filter_map(|part| {
                let rest = if apart { self.besides(part)? } else { Condition::all() };
                Some(part.condition().add(rest).add(self.narrow()))
            })
            .flat_map(|narrowed| states.iter().map(move |state| narrowed.clone().add(state.clone())))
            .collect()
    }

    /// What a part has besides the others: who sees a workspace sees what they sent into it a second time. `None` if
    /// another part has all of it.
    fn besides(&self, part: &Part) -> Option<Condition> {
        use invite::Column::WorkspaceId;

        let (tenant, anywhere) = match part {
            Part::Tenants(_) => return Some(Condition::all()),
            Part::Org(tenant) | Part::Workspaces(tenant, _) => (tenant, false),
            Part::SentBy(tenant, ..) => (tenant, true),
        };
        self.parts.iter().try_fold(Condition::all(), |rest, other| match other {
            Part::Tenants(whole) if whole.contains(tenant) => None,
            Part::Org(there) if anywhere && there == tenant => Some(rest.add(WorkspaceId.is_not_null())),
            Part::Workspaces(there, ids) if anywhere && there == tenant => {
                let into_others = WorkspaceId.is_not_in(ids.iter().copied());
                Some(rest.add(Condition::any().add(WorkspaceId.is_null()).add(into_others)))
            }
            _ => Some(rest),
        })
    }

    /// The statuses wanted, each as a condition on what is stored.
    /// `hide_end` keeps SQLite from walking the index of ends, which has no statistics against it, and sorting
    /// or looking up what it finds.
    fn states(&self, hide_end: bool) -> Vec<Condition> {
        use InviteStatus::{Accepted, Declined, Expired, Pending, Revoked};

        let end = Expr::col(invite::Column::ExpiresAt);
        let end = if hide_end { Expr::cust_with_expr("+?", end) } else { end };

        let stored = |status: InviteStatus| Condition::all().add(invite::Column::Status.eq(status));
        let wanted = |status| self.filter.statuses.is_empty() || self.filter.statuses.contains(&status);
        let mut states = Vec::new();
        match (wanted(Pending), wanted(Expired)) {
            (true, true) => states.extend([stored(Pending), stored(Expired)]),
            (true, false) => {
                states.push(stored(Pending).add(end.gt(self.now)));
            }
            (false, true) => {
                states.push(stored(Expired));
                states.push(stored(Pending).add(end.lte(self.now)));
            }
            (false, false) => {}
        }
        states.extend([Accepted, Declined, Revoked].into_iter().filter(|status| wanted(*status)).map(stored));
        states
    }

    fn narrow(&self) -> Condition {
        use invite::Column::{Delivery, EmailNorm, ExpiresAt, InsertedAt, Inviter, Role, WorkspaceId};

        let filter = &self.filter;
        Condition::all()
            .add_option(filter.email_norm.as_ref().map(|email| EmailNorm.eq(email.clone())))
            .add_option(filter.workspace.map(|id| WorkspaceId.eq(id)))
            .add_option(filter.inviter.as_ref().map(|user| Inviter.eq(user.clone())))
            .add_option(any_of(Role, &filter.roles))
            .add_option(any_of(Delivery, &filter.deliveries))
            .add_option(filter.created_after.map(|at| InsertedAt.gt(at)))
            .add_option(filter.created_before.map(|at| InsertedAt.lt(at)))
            .add_option(filter.expires_before.map(|at| ExpiresAt.lt(at)))
    }

    fn key(&self) -> invite::Column {
        match self.sort {
            SortBy::Created => invite::Column::InsertedAt,
            SortBy::Expires => invite::Column::ExpiresAt,
            SortBy::Email => invite::Column::EmailNorm,
        }
    }

    fn ordered(&self, query: Select<invite::Entity>) -> Select<invite::Entity> {
        let order = if self.descending { Order::Desc } else { Order::Asc };
        // of one address there are few: found by it and sorted, not met on the way through all in order
        let few = self.filter.email_norm.is_some() && self.sort != SortBy::Email;
        let key = if few { Expr::col(self.key()).add(0) } else { Expr::col(self.key()) };
        query.order_by(key, order.clone()).order_by(invite::Column::Id, order)
    }

    /// Only rows beyond the place.
    fn beyond(&self) -> Condition {
        let Some(after) = &self.after else { return Condition::all() };
        let key: SimpleExpr = match &after.key {
            Key::Number(number) => Expr::value(*number),
            Key::Text(text) => Expr::value(text.clone()),
        };
        let row = Expr::tuple([Expr::col(self.key()), Expr::col(invite::Column::Id)]);
        let place = Expr::tuple([key, Expr::value(after.id)]);
        Condition::all().add(if self.descending { row.lt(place) } else { row.gt(place) })
    }

    /// The statements of the page and of the count, for asking an engine how it carries them out.
    #[must_use]
    pub fn statements(&self, engine: DbBackend) -> Vec<Statement> {
        let page = self.page(engine).map(|page| page.build(engine));
        let counting = self.counting(engine).map(|counting| engine.build(&counting));
        page.into_iter().chain(counting).collect()
    }

    /// The place of a row in this order.
    #[must_use]
    pub fn place_of(&self, row: &invite::Model) -> Place {
        let key = match self.sort {
            SortBy::Created => Key::Number(row.inserted_at.0),
            SortBy::Expires => Key::Number(row.expires_at.0),
            SortBy::Email => Key::Text(row.email_norm.clone()),
        };
        Place { key, id: row.id }
    }
}

/// One value is an equality, which an index can be walked by; several are looked at on the way.
fn any_of<T: Copy + Into<sea_orm::Value>>(column: invite::Column, values: &[T]) -> Option<SimpleExpr> {
    match values {
        [] => None,
        [only] => Some(column.eq(*only)),
        several => Some(column.is_in(several.iter().copied())),
    }
}

fn united(branches: impl IntoIterator<Item = SelectStatement>) -> Option<SelectStatement> {
    let mut branches = branches.into_iter();
    let first = branches.next()?;
    Some(branches.fold(first, |mut union, branch| union.union(UnionType::All, branch).to_owned()))
}

fn ids(branch: Condition) -> Select<invite::Entity> {
    invite::Entity::find().select_only().column(invite::Column::Id).filter(branch)
}

impl Part {
    /// Parts that an index can walk in order, if they are few.
    fn split(&self) -> Vec<Self> {
        match self {
            Self::Tenants(ids) if ids.len() <= BRANCHES => {
                ids.iter().map(|id| Self::Tenants(vec![*id])).collect()
            }
            Self::Workspaces(tenant, ids) if ids.len() <= BRANCHES => {
                ids.iter().map(|id| Self::Workspaces(*tenant, vec![*id])).collect()
            }
            other => vec![other.clone()],
        }
    }

    fn condition(&self) -> Condition {
        use invite::Column::{Inviter, TenantId, WorkspaceId};

        match self {
            Self::Tenants(ids) => match ids.as_slice() {
                [only] => Condition::all().add(TenantId.eq(*only)),
                ids => Condition::all().add(TenantId.is_in(ids.iter().copied())),
            },
            Self::Org(tenant) => super::in_scope(*tenant, crate::domain::Scope::Org),
            Self::Workspaces(tenant, ids) => {
                let there = match ids.as_slice() {
                    [only] => WorkspaceId.eq(*only),
                    ids => WorkspaceId.is_in(ids.iter().copied()),
                };
                Condition::all().add(TenantId.eq(*tenant)).add(there)
            }
            Self::SentBy(tenant, user, scope) => {
                let there = match scope {
                    Some(scope) => super::in_scope(*tenant, *scope),
                    None => Condition::all().add(TenantId.eq(*tenant)),
                };
                there.add(Inviter.eq(user.clone()))
            }
        }
    }
}
