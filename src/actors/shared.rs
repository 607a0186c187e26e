//! What the commands of one batch share. What they are going to look at alike is read once for all of them; what they
//! only add is gathered and written together. Nothing here decides: a fact that is not known is asked of the database,
//! after what was gathered has been written, and whatever a command changes besides makes everything known forgotten.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use entity::{InviteId, TenantId, UserId, WorkspaceId, invite, tenant_member, workspace_member};
use sea_orm::DbErr;

use crate::{
    domain::{Scope, Standing},
    store::{Conn, invites, members, tenants, users},
};

/// What a command is going to look at, so that a batch can read it for many at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// Whether an address can be invited: nobody holds it, and no invite of the scope is pending for it. And where who
    /// invites stands, if it is a person.
    Invite(Scope, String, Option<UserId>),
    /// An invite, and whether somebody is a stranger to the tenant.
    Answer(InviteId, UserId),
}

/// What is known, and what is gathered.
#[derive(Default)]
pub(super) struct Shared {
    standings: HashMap<(TenantId, UserId, Option<WorkspaceId>), Standing>,
    workspaces: HashSet<(TenantId, WorkspaceId)>,
    free: HashSet<(TenantId, Scope, String)>,
    found: HashMap<(TenantId, InviteId), invite::Model>,
    strangers: HashSet<(TenantId, UserId)>,
    new: New,
}

/// Rows to be written together.
#[derive(Default)]
struct New {
    invites: Vec<invite::Model>,
    tenant_members: Vec<tenant_member::Model>,
    workspace_members: Vec<workspace_member::Model>,
    joined: BTreeMap<TenantId, i64>,
}

impl Shared {
    /// Reads what the commands of a batch are going to look at.
    pub(super) async fn read(conn: &Conn, asked: &[(TenantId, Option<Ahead>)]) -> Result<Self, DbErr> {
        let mut shared = Self::default();
        let (mut addresses, mut places, mut people) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut answers: BTreeMap<TenantId, Vec<InviteId>> = BTreeMap::new();
        for (tenant, ahead) in asked {
            match ahead {
                Some(Ahead::Invite(scope, norm, sender)) => {
                    addresses.push((*tenant, *scope, norm.clone()));
                    places.extend(sender.clone().map(|sender| (*tenant, sender, scope.workspace())));
                }
                Some(Ahead::Answer(id, user)) => {
                    answers.entry(*tenant).or_default().push(*id);
                    people.push((*tenant, user.clone()));
                }
                None => {}
            }
        }
        let places: Vec<_> = places.into_iter().collect();
        for ((tenant, user, workspace), (standing, there)) in
            places.iter().zip(members::standings(conn, &places).await?)
        {
            shared.standings.insert((*tenant, user.clone(), *workspace), standing);
            shared.workspaces.extend(workspace.filter(|_| there).map(|id| (*tenant, id)));
        }
        let norms: BTreeSet<_> = addresses.iter().map(|(_, _, norm)| norm.clone()).collect();
        let norms: Vec<_> = norms.into_iter().collect();
        let held: HashSet<String> = users::held(conn, &norms).await?.into_iter().collect();
        let pending = invites::pending_among(conn, &addresses).await?;
        let free = addresses.into_iter().enumerate();
        let free = free.filter(|(place, (_, _, norm))| !held.contains(norm) && !pending.contains(place));
        shared.free.extend(free.map(|(_, address)| address));
        for (tenant, ids) in answers {
            let rows = invites::find_all(conn, tenant, &ids).await?;
            shared.found.extend(rows.into_iter().map(|row| ((tenant, row.id), row)));
        }
        let members = members::among(conn, &people).await?;
        let strangers = people.into_iter().enumerate().filter(|(place, _)| !members.contains(place));
        shared.strangers.extend(strangers.map(|(_, person)| person));
        Ok(shared)
    }

    /// Forgets all that is known: somebody changed what it may rest on.
    pub(super) fn forget(&mut self) {
        *self = Self { new: std::mem::take(&mut self.new), ..Self::default() };
    }

    /// Writes what is gathered, so that statements see it.
    pub(super) async fn settle(&mut self, conn: &Conn) -> Result<(), DbErr> {
        self.write(conn).await?;
        for (tenant, joined) in std::mem::take(&mut self.new.joined) {
            tenants::count_seats(conn, tenant, joined).await?;
        }
        Ok(())
    }

    /// The same, but for who joined, who are counted together with what is told of them.
    pub(super) async fn write(&mut self, conn: &Conn) -> Result<(), DbErr> {
        let New { invites, tenant_members, workspace_members, .. } = &mut self.new;
        invites::insert(conn, std::mem::take(invites)).await?;
        members::join(conn, std::mem::take(tenant_members), std::mem::take(workspace_members)).await
    }

    pub(super) fn count_joined(&mut self, tenant: TenantId) {
        *self.new.joined.entry(tenant).or_default() += 1;
    }

    /// How many have joined a tenant and are not counted yet.
    pub(super) fn take_joined(&mut self, tenant: TenantId) -> i64 {
        self.new.joined.remove(&tenant).unwrap_or(0)
    }

    pub(super) async fn standing(
        &mut self,
        conn: &Conn,
        tenant: TenantId,
        user: &UserId,
        workspace: Option<WorkspaceId>,
    ) -> Result<Standing, DbErr> {
        let key = (tenant, user.clone(), workspace);
        if let Some(known) = self.standings.get(&key) {
            return Ok(*known);
        }
        self.settle(conn).await?;
        let standing = members::standing(conn, tenant, user, workspace).await?;
        self.standings.insert(key, standing);
        Ok(standing)
    }

    pub(super) async fn has_workspace(
        &mut self,
        conn: &Conn,
        tenant: TenantId,
        id: WorkspaceId,
    ) -> Result<bool, DbErr> {
        let known = self.workspaces.contains(&(tenant, id));
        if known || !crate::store::workspaces::exists(conn, tenant, id).await? {
            return Ok(known);
        }
        self.workspaces.insert((tenant, id));
        Ok(true)
    }

    /// Takes the fact that an address can be invited: whoever asks next asks the database.
    pub(super) fn take_free(&mut self, tenant: TenantId, scope: Scope, norm: &str) -> bool {
        self.free.remove(&(tenant, scope, norm.to_owned()))
    }

    /// Takes the row of an invite.
    pub(super) fn take_found(&mut self, tenant: TenantId, id: InviteId) -> Option<invite::Model> {
        self.found.remove(&(tenant, id))
    }

    /// Takes the fact that somebody is a stranger to a tenant.
    pub(super) fn take_stranger(&mut self, tenant: TenantId, user: &UserId) -> bool {
        self.strangers.remove(&(tenant, user.clone()))
    }

    pub(super) fn add_invite(&mut self, row: invite::Model) {
        self.new.invites.push(row);
    }

    pub(super) fn add_member(&mut self, row: tenant_member::Model, within: Option<workspace_member::Model>) {
        let (tenant, user) = (row.tenant_id, row.user_id.clone());
        // they stand where they did not
        self.standings.retain(|(of, who, _), _| (*of, who) != (tenant, &user));
        self.count_joined(tenant);
        self.new.tenant_members.push(row);
        self.new.workspace_members.extend(within);
    }
}
