//! Which invites somebody may see, across tenants and scopes, as parts of one statement: the same rights that
//! decide for one row, asked of everything at once.

use std::sync::Arc;

use entity::{Role, TenantId, UserId, WorkspaceId};
use sea_orm::DbErr;

use crate::{
    config::settings,
    domain::{Permission, Scope, Standing},
    identity::{Principal, PrincipalKind},
    store::{self, Rows, invites::listing::Part},
};

/// Everything of these tenants that the caller may see: as system admin all; as somebody who reads a tenant or
/// a workspace, theirs; and what they sent where they belong.
pub(super) async fn reach(
    conn: &impl Rows,
    principal: &Principal,
    tenants: &[Arc<settings::Tenant>],
) -> Result<Vec<Part>, DbErr> {
    let mut whole = Vec::new();
    let mut parts = Vec::new();
    if principal.system_admin {
        whole.extend(tenants.iter().map(|tenant| tenant.id));
    } else if let PrincipalKind::ServiceKey(_, role) = principal.kind {
        for tenant in tenants.iter().filter(|tenant| principal.pinned_to == Some(tenant.id)) {
            let held = Held { role, workspaces: Vec::new(), user: None };
            held.within(tenant, &mut whole, &mut parts);
        }
    } else if let Some(person) = &principal.user {
        let user = &person.id;
        for (id, role) in store::members::tenants_of(conn, user).await? {
            let Some(tenant) = tenants.iter().find(|tenant| tenant.id == id) else { continue };
            let workspaces = match role {
                Role::Owner | Role::Admin => Vec::new(),
                Role::Member | Role::Viewer => store::members::workspace_roles(conn, id, user).await?,
            };
            Held { role, workspaces, user: Some(user) }.within(tenant, &mut whole, &mut parts);
        }
    }
    if !whole.is_empty() {
        parts.push(Part::Tenants(whole));
    }
    Ok(parts)
}

/// What somebody is in one tenant.
struct Held<'a> {
    role: Role,
    workspaces: Vec<(WorkspaceId, Role)>,
    user: Option<&'a UserId>,
}

impl Held<'_> {
    fn within(self, tenant: &settings::Tenant, whole: &mut Vec<TenantId>, parts: &mut Vec<Part>) {
        if self.role >= Role::Admin {
            whole.push(tenant.id);
            return;
        }
        let may_read = |workspace: Option<(WorkspaceId, Role)>| {
            let scope = Scope::of(workspace.map(|(id, _)| id));
            let workspace = workspace.map(|(_, role)| role);
            let standing = Standing { tenant: Some(self.role), workspace, ..Standing::default() };
            standing.may(Permission::Read, scope, &tenant.invites.permissions)
        };
        if may_read(None) {
            parts.push(Part::Org(tenant.id));
        }
        let readable: Vec<WorkspaceId> =
            self.workspaces.iter().filter(|held| may_read(Some(**held))).map(|(id, _)| *id).collect();
        if !readable.is_empty() {
            parts.push(Part::Workspaces(tenant.id, readable));
        }
        parts.extend(self.user.map(|user| Part::SentBy(tenant.id, user.clone(), None)));
    }
}
