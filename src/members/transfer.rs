//! Handing a tenant over: the named member becomes owner, the caller an admin, in one transaction.

use std::sync::Arc;

use entity::{Role, UserId};
use serde_json::json;

use super::{Members, list, list::Member, revoke_unsendable::RevokeUnsendable};
use crate::{
    actors::{Command, Decision, Planned, Work},
    config::settings,
    domain::{Refusal, Scope},
    identity::Call,
    store::{self, events::NewEvent},
};

/// Makes a member owner in the caller's place; gives them as they are then.
///
/// # Errors
/// 404 for strangers, 403 for anybody but an owner, 422 `NOT_TENANT_MEMBER`.
pub fn transfer(members: &Members, call: Call, to: UserId) -> Planned<'_, impl Command<Output = Member>> {
    members.lanes.plan(async move {
        call.principal.require_scope("members:write")?;
        let tenant = call.tenant.clone();
        Ok((tenant.id, Transfer { members: members.clone(), tenant, call, to }))
    })
}

struct Transfer {
    members: Members,
    tenant: Arc<settings::Tenant>,
    call: Call,
    to: UserId,
}

impl Command for Transfer {
    type Output = Member;

    fn told_to(&self) -> Option<&Call> {
        Some(&self.call)
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<Member> {
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
            return self.owner(work).await;
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
        self.owner(work).await
    }
}

impl Transfer {
    async fn owner(&self, work: &Work<'_>) -> Decision<Member> {
        let owner = list::member(&self.members, work.conn(), work.tenant(), Scope::Org, &self.to).await?;
        Ok(owner.ok_or(Refusal::NotTenantMember)?)
    }
}
