//! On whose authority something is done within a tenant: a caller's, judged by standing and rank, or the
//! operator's on the command line, who may do everything but break an invariant.

use std::sync::Arc;

use entity::{ApiKeyId, Role, UserId, WorkspaceId};
use sea_orm::DbErr;

use super::{Call, PrincipalKind};
use crate::{
    config::settings,
    domain::{Host, Refusal, Standing},
    store::{Rows, users::Sighting},
};

/// Who does it, in which tenant.
#[derive(Clone, Debug)]
pub enum Authority {
    /// The operator, in this tenant: stands like an owner and is nobody.
    Operator(Arc<settings::Tenant>),
    /// A caller of the API.
    Caller(Box<Call>),
}

impl From<Call> for Authority {
    fn from(call: Call) -> Self {
        Self::Caller(Box::new(call))
    }
}

impl Authority {
    /// The tenant, as configured when this began.
    #[must_use]
    pub fn tenant(&self) -> &Arc<settings::Tenant> {
        match self {
            Self::Operator(tenant) => tenant,
            Self::Caller(call) => &call.tenant,
        }
    }

    /// The call, if it is not the operator's doing.
    #[must_use]
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Operator(_) => None,
            Self::Caller(call) => Some(call),
        }
    }

    /// The tenant's own host a call came in on.
    #[must_use]
    pub fn site_host(&self) -> Option<&Host> {
        match self {
            Self::Operator(_) => None,
            Self::Caller(call) => call.site_host.as_ref(),
        }
    }

    /// What they are in the tenant and, if one is given, in the workspace.
    ///
    /// # Errors
    /// As any statement.
    pub async fn standing(
        &self,
        conn: &impl Rows,
        workspace: Option<WorkspaceId>,
    ) -> Result<Standing, DbErr> {
        match self {
            Self::Operator(_) => Ok(Standing { tenant: Some(Role::Owner), ..Standing::default() }),
            Self::Caller(call) => call.standing(conn, workspace).await,
        }
    }

    /// The member whose roles alone say what they are ([`Authority::standing`]).
    #[must_use]
    pub fn by_membership(&self) -> Option<&UserId> {
        match (self, self.kind()) {
            (Self::Caller(call), Some(PrincipalKind::Person | PrincipalKind::UserKey(_)))
                if !call.sharing =>
            {
                call.user_id()
            }
            _ => None,
        }
    }

    /// Refuses an API key that lacks a scope.
    ///
    /// # Errors
    /// [`Refusal::InsufficientScope`].
    pub fn require_scope(&self, scope: &'static str) -> Result<(), Refusal> {
        match self {
            Self::Operator(_) => Ok(()),
            Self::Caller(call) => call.principal.require_scope(scope),
        }
    }

    /// Whether it is asked through Workspace Sharing.
    #[must_use]
    pub fn is_sharing(&self) -> bool {
        matches!(self, Self::Caller(call) if call.sharing)
    }

    /// Refuses strangers as if nothing were there.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn require_member(&self, standing: Standing) -> Result<(), Refusal> {
        match self {
            Self::Operator(_) => Ok(()),
            Self::Caller(call) => call.require_member(standing),
        }
    }

    /// The person's id, if it is a person.
    #[must_use]
    pub fn user_id(&self) -> Option<&UserId> {
        match self {
            Self::Operator(_) => None,
            Self::Caller(call) => call.user_id(),
        }
    }

    /// The service key, if it is one.
    #[must_use]
    pub fn service_key(&self) -> Option<ApiKeyId> {
        match self.kind() {
            Some(PrincipalKind::ServiceKey(id, _)) => Some(id),
            Some(PrincipalKind::Person | PrincipalKind::UserKey(_)) | None => None,
        }
    }

    /// Kind of a caller's credential.
    #[must_use]
    pub fn kind(&self) -> Option<PrincipalKind> {
        match self {
            Self::Operator(_) => None,
            Self::Caller(call) => Some(call.principal.kind),
        }
    }

    /// Whether the caller administers the whole server.
    #[must_use]
    pub fn is_system_admin(&self) -> bool {
        matches!(self, Self::Caller(call) if call.principal.system_admin)
    }

    /// What a command must write of a caller's row, if it does not say it already.
    #[must_use]
    pub fn sighting(&self) -> Option<&Sighting> {
        match self {
            Self::Operator(_) => None,
            Self::Caller(call) => call.sighting.as_ref(),
        }
    }

    /// Actor of an event: `operator`, the user id, or `key:<id>`.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Self::Operator(_) => "operator".to_owned(),
            Self::Caller(call) => call.principal.actor(),
        }
    }
}
