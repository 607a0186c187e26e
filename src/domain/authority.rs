//! Who may do what with invites, and up to which role: the one function for the role ceiling is
//! [`Standing::ceiling`], called on every path that sets or changes a role.

use entity::{Role, TenantId, WorkspaceId};
use serde::Deserialize;

use crate::domain::Refusal;

/// What an invite (or a membership) is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The tenant itself.
    Org,
    /// One workspace of the tenant.
    Workspace(WorkspaceId),
}

impl Scope {
    /// The scope of a row with this workspace column.
    #[must_use]
    pub fn of(workspace: Option<WorkspaceId>) -> Self {
        workspace.map_or(Self::Org, Self::Workspace)
    }

    /// The workspace, if it is one.
    #[must_use]
    pub fn workspace(self) -> Option<WorkspaceId> {
        match self {
            Self::Org => None,
            Self::Workspace(id) => Some(id),
        }
    }

    /// `org` or `workspace`: on the wire, and part of what a link key is derived from.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Workspace(_) => "workspace",
        }
    }
}

/// A right over invites that the configuration may give to a tenant role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Permission {
    /// Create, re-invite, resend and edit.
    #[serde(rename = "invites:create")]
    Create,
    /// List and read.
    #[serde(rename = "invites:read")]
    Read,
    /// Revoke.
    #[serde(rename = "invites:revoke")]
    Revoke,
}

/// The per-tenant map: what a tenant role may do beyond the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Role and right pairs.
    pub granted: Vec<(Role, Permission)>,
}

impl Permissions {
    /// Whether a tenant role holds a right by configuration.
    #[must_use]
    pub fn grant(&self, role: Role, right: Permission) -> bool {
        self.granted.contains(&(role, right))
    }
}

/// Who manages a workspace, which is a matter of how it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// Its owners and admins, those of the tenant, and whom the tenant's configuration lets.
    #[default]
    Admins,
    /// Its owner alone: Workspace Sharing.
    Owner {
        /// It has no owner, so that the tenant's owners count as such.
        ownerless: bool,
    },
}

/// What somebody is within one tenant, and in the workspace at hand if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Role in the tenant; `None` means not a member.
    pub tenant: Option<Role>,
    /// Own role in the workspace at hand.
    pub workspace: Option<Role>,
    /// Who manages the workspace at hand.
    pub rule: Rule,
}

impl Standing {
    /// The role that counts in this scope: in a workspace, tenant owners and admins count as such there.
    #[must_use]
    pub fn effective(self, scope: Scope) -> Option<Role> {
        match scope {
            Scope::Org => self.tenant,
            Scope::Workspace(_) => self.workspace.max(self.tenant.filter(|role| *role >= Role::Admin)),
        }
    }

    /// The highest role this standing may grant in the scope. Nobody grants above their own rank, and only an
    /// owner grants owner.
    #[must_use]
    pub fn ceiling(self, scope: Scope) -> Option<Role> {
        self.effective(scope)
    }

    /// Whether this standing manages the scope: admins and owners do, under [`Rule::Owner`] only an owner.
    #[must_use]
    pub fn manages(self, scope: Scope) -> bool {
        match self.rule {
            Rule::Admins => self.effective(scope).is_some_and(|role| role >= Role::Admin),
            Rule::Owner { ownerless } => {
                self.workspace == Some(Role::Owner) || (ownerless && self.tenant == Some(Role::Owner))
            }
        }
    }

    /// Whether this standing holds a right in the scope: who manages it does; other roles where the tenant's
    /// configuration says so, in workspaces only where they belong, and never under [`Rule::Owner`].
    #[must_use]
    pub fn may(self, right: Permission, scope: Scope, permissions: &Permissions) -> bool {
        if self.manages(scope) {
            return true;
        }
        if self.rule != Rule::Admins {
            return false;
        }
        let belongs = match scope {
            Scope::Org => true,
            Scope::Workspace(_) => self.workspace.is_some(),
        };
        belongs && self.tenant.is_some_and(|role| permissions.grant(role, right))
    }

    /// Whether this standing could send an invite with this role now.
    #[must_use]
    pub fn may_send(self, role: Role, scope: Scope, permissions: &Permissions) -> bool {
        self.may(Permission::Create, scope, permissions) && self.ceiling(scope) >= Some(role)
    }

    /// Refuses unless an invite with this role could be sent: 404 for strangers, 403 for members without the
    /// right or below the role.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] or [`Refusal::Forbidden`].
    pub fn require_send(self, role: Role, scope: Scope, permissions: &Permissions) -> Result<(), Refusal> {
        if self.tenant.is_none() {
            return Err(Refusal::NotFound);
        }
        if !self.may(Permission::Create, scope, permissions) {
            return Err(Refusal::Forbidden(match self.rule {
                Rule::Admins => "only owners and admins may invite here",
                Rule::Owner { .. } => "only the owner shares a workspace",
            }));
        }
        if self.ceiling(scope) < Some(role) {
            return Err(Refusal::Forbidden("nobody may grant a role above their own"));
        }
        Ok(())
    }
}

/// What a credential may do at all, before any standing: the tenant it belongs to, by key or issuer.
#[must_use]
pub fn agrees(confined_to: Option<TenantId>, tenant: TenantId) -> bool {
    confined_to.is_none_or(|only| only == tenant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(tenant: Option<Role>, workspace: Option<Role>) -> Standing {
        Standing { tenant, workspace, rule: Rule::Admins }
    }

    #[test]
    fn a_workspace_is_shared_by_its_owner_alone() {
        let map = Permissions { granted: vec![(Role::Member, Permission::Create)] };
        let here = Scope::Workspace(WorkspaceId::new());
        for (tenant, workspace, ownerless, may) in [
            (Some(Role::Member), Some(Role::Owner), false, true),
            (Some(Role::Member), Some(Role::Admin), false, false),
            (Some(Role::Member), Some(Role::Viewer), false, false),
            (Some(Role::Owner), Some(Role::Admin), false, false),
            (Some(Role::Owner), None, false, false),
            (Some(Role::Owner), None, true, true),
            (Some(Role::Owner), Some(Role::Viewer), true, true),
            (Some(Role::Admin), None, true, false),
        ] {
            let who = Standing { rule: Rule::Owner { ownerless }, ..standing(tenant, workspace) };
            assert_eq!(who.may_send(Role::Viewer, here, &map), may, "{who:?}");
            assert_eq!(who.manages(here), may, "{who:?}");
        }
    }

    #[test]
    fn nobody_grants_above_their_own_rank_in_either_scope() {
        let none = Permissions::default();
        let here = Scope::Workspace(WorkspaceId::new());
        for (tenant, workspace, scope, role, may) in [
            (Some(Role::Owner), None, Scope::Org, Role::Owner, true),
            (Some(Role::Admin), None, Scope::Org, Role::Owner, false),
            (Some(Role::Admin), None, Scope::Org, Role::Admin, true),
            (Some(Role::Member), None, Scope::Org, Role::Member, false),
            (None, None, Scope::Org, Role::Member, false),
            (Some(Role::Member), Some(Role::Owner), here, Role::Owner, true),
            (Some(Role::Member), Some(Role::Admin), here, Role::Owner, false),
            (Some(Role::Member), Some(Role::Member), here, Role::Viewer, false),
            (Some(Role::Member), None, here, Role::Viewer, false),
            (Some(Role::Admin), Some(Role::Viewer), here, Role::Admin, true),
            (Some(Role::Admin), Some(Role::Viewer), here, Role::Owner, false),
            (Some(Role::Owner), None, here, Role::Owner, true),
        ] {
            let who = standing(tenant, workspace);
            assert_eq!(who.may_send(role, scope, &none), may, "{who:?} granting {role} in {scope:?}");
        }
    }

    #[test]
    fn a_configured_permission_holds_where_its_holder_belongs_and_under_the_ceiling() {
        let map = Permissions { granted: vec![(Role::Member, Permission::Create)] };
        let here = Scope::Workspace(WorkspaceId::new());
        assert!(standing(Some(Role::Member), None).may_send(Role::Member, Scope::Org, &map));
        assert!(!standing(Some(Role::Member), None).may_send(Role::Admin, Scope::Org, &map));
        assert!(standing(Some(Role::Member), Some(Role::Viewer)).may_send(Role::Viewer, here, &map));
        assert!(!standing(Some(Role::Member), Some(Role::Viewer)).may_send(Role::Member, here, &map));
        assert!(!standing(Some(Role::Member), None).may_send(Role::Viewer, here, &map));
    }
}
