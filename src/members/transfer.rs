//! Handing a tenant over: the named member becomes owner, the caller an admin, in one transaction.

use std::sync::Arc;

use entity::{Role, UserId};
use serde_json::json;

use super::{Members, revoke_unsendable::RevokeUnsendable};
use crate::{
    actors::{Command, Decision, Work},
    config::settings,
    domain::Refusal,
    identity::Call,
    store::{self, events::NewEvent},
};

/// Makes a member owner in the caller's place.
///
/// # Errors
/// 404 for strangers, 403 for anybody but an owner, 422 `NOT_TENANT_MEMBER`.
pub async fn transfer(members: &Members, call: Call, to: UserId) -> Result<(), Refusal> {
    call.principal.require_scope("members:write")?;
    let tenant = call.tenant.clone();
    members.lanes.run(tenant.id, Transfer { members: members.clone(), tenant, call, to }).await
}

struct Transfer {
    members: Members,
    tenant: Arc<settings::Tenant>,
    call: Call,
    to: UserId,
}

impl Command for Transfer {
    type Output = ();

    async fn decide(&self, work: &mut Work<'_>) -> Decision<()> {
        let (conn, tenant) = (work.conn(), work.tenant());
        let standing = self.call.standing(conn, None).await?;
        if standing.tenant.is_none() {
            return Err(Refusal::NotFound.into());
        }
        if standing.tenant != Some(Role::Owner) {
            return Err(Refusal::Forbidden("only an owner hands ownership over").into());
        }
        let from = self.call.principal.person()?.id.clone();
        if store::members::tenant_member(conn, tenant, &self.to).await?.is_none() {
            return Err(Refusal::NotTenantMember.into());
        }
        if from == self.to {
            return Ok(());
        }
        let now = work.now().await?;
        store::members::set_tenant_role(conn, tenant, &self.to, Role::Owner, now).await?;
        store::members::set_tenant_role(conn, tenant, &from, Role::Admin, now).await?;
        work.event(NewEvent {
            kind: "tenant.ownership_transferred",
            invite_id: None,
            workspace_id: None,
            actor: from.0.clone(),
            data: Some(json!({ "from": from, "to": self.to })),
        });
        let unsendable = RevokeUnsendable {
            members: self.members.clone(),
            tenant: self.tenant.clone(),
            actor: from.0.clone(),
            sender: from,
            after: None,
        };
        unsendable.revoke_some(work).await?;
        Ok(())
    }
}
