//! A call as the use cases see it: who calls, in which tenant, on which of its hosts.

use std::sync::Arc;

use crate::{
    config::settings,
    domain::{Host, Refusal, Standing, authority::Rule},
    identity::{Principal, PrincipalKind},
    store::{Rows, members, users::Sighting},
};
use entity::{Role, UserId, WorkspaceId};
use sea_orm::DbErr;

/// An authenticated call within a tenant.
#[derive(Clone, Debug)]
pub struct Call {
    /// The tenant, as configured when the call came in.
    pub tenant: Arc<settings::Tenant>,
    /// Who calls.
    pub principal: Principal,
    /// The tenant's own host it came in on; `None` on a platform host.
    pub site_host: Option<Host>,
    /// What a command must write of the caller's row, if it does not say it already.
    pub sighting: Option<Sighting>,
    /// Asked through Workspace Sharing: a workspace is its owner's to share ([`Rule::Owner`]), and nobody is put
    /// into it without having been asked.
    pub sharing: bool,
}

impl Call {
    /// What the caller is in the tenant and, if one is given, in the workspace.
    ///
    /// # Errors
    /// As any statement.
    pub async fn standing(
        &self,
        conn: &impl Rows,
        workspace: Option<WorkspaceId>,
    ) -> Result<Standing, DbErr> {
        let mut standing = self.roles(conn, workspace).await?;
        if let (true, Some(workspace)) = (self.sharing, workspace) {
            // looked up only where it matters
            let may_stand_in =
                standing.tenant == Some(Role::Owner) && standing.workspace != Some(Role::Owner);
            let ownerless = may_stand_in && !members::has_owner(conn, self.tenant.id, workspace).await?;
            standing.rule = Rule::Owner { ownerless };
        }
        Ok(standing)
    }

    async fn roles(&self, conn: &impl Rows, workspace: Option<WorkspaceId>) -> Result<Standing, DbErr> {
        match (&self.principal.user, self.principal.kind) {
            (_, PrincipalKind::ServiceKey(_, role)) => Ok(Standing {
                tenant: Some(role).filter(|_| self.principal.pinned_to == Some(self.tenant.id)),
                ..Standing::default()
            }),
            (Some(user), _) => members::standing(conn, self.tenant.id, &user.id, workspace).await,
            (None, _) => Ok(Standing::default()),
        }
    }

    /// The person's id, if there is one.
    #[must_use]
    pub fn user_id(&self) -> Option<&UserId> {
        self.principal.user.as_ref().map(|user| &user.id)
    }

    /// Refuses strangers as if nothing were there.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn require_member(&self, standing: Standing) -> Result<(), Refusal> {
        if standing.tenant.is_some() || self.principal.system_admin { Ok(()) } else { Err(Refusal::NotFound) }
    }
}
