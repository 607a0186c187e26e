//! What a removal or demotion takes along: the pending invites that their sender could no longer send, and on
//! removal those addressed to them. Up to a thousand in the same transaction, judged in memory and revoked as a
//! set; the rest follows in the same lane, while the inviter's authority is looked at again at every acceptance.

use std::{collections::HashMap, sync::Arc};

use entity::{InviteId, Role, UserId, WorkspaceId, invite};
use serde_json::json;

use super::Members;
use crate::{
    actors::{Command, Decision, Work},
    config::settings,
    domain::{Scope, Standing},
    identity::Call,
    store::{self, StoreError, events::NewEvent},
};

/// Invites looked at in one go at most.
const MOST: u64 = 1000;

/// What a sender could no longer send, as they stand after the change.
pub(super) struct RevokeUnsendable {
    /// For what follows.
    pub(super) members: Members,
    /// The tenant.
    pub(super) tenant: Arc<settings::Tenant>,
    /// Whose invites.
    pub(super) sender: UserId,
    /// Who changed what they are.
    pub(super) actor: String,
    /// Invites up to this one have been looked at.
    pub(super) after: Option<InviteId>,
}

impl Command for RevokeUnsendable {
    type Output = ();

    /// Follows by itself; there is no answer.
    fn told_to(&self) -> Option<&Call> {
        None
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<()> {
        self.revoke_some(work).await?;
        Ok(())
    }
}

impl RevokeUnsendable {
    /// Looks at the next thousand, revokes what has to go, and has the rest follow after the commit.
    pub(super) async fn revoke_some(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let (conn, tenant) = (work.conn(), self.tenant.id);
        let sent = store::invites::pending_sent_by(conn, tenant, &self.sender, self.after, MOST).await?;
        let Some(last) = sent.last().map(|row| row.id) else { return Ok(()) };
        let more = u64::try_from(sent.len()).unwrap_or(0) == MOST;
        let in_tenant = store::members::standing(conn, tenant, &self.sender, None).await?.tenant;
        let in_workspaces: HashMap<WorkspaceId, Role> =
            store::members::workspace_roles(conn, tenant, &self.sender).await?.into_iter().collect();
        let sendable = |row: &invite::Model| {
            let workspace = row.workspace_id.and_then(|id| in_workspaces.get(&id).copied());
            let standing = Standing { tenant: in_tenant, workspace, ..Standing::default() };
            standing.may_send(row.role, Scope::of(row.workspace_id), &self.tenant.invites.permissions)
        };
        let dead: Vec<invite::Model> = sent.into_iter().filter(|row| !sendable(row)).collect();
        let revoked = revoke(work, dead, &self.actor, "sender").await?;
        self.members.forget_after(work, revoked);
        if more {
            let rest = Self {
                members: self.members.clone(),
                tenant: self.tenant.clone(),
                sender: self.sender.clone(),
                actor: self.actor.clone(),
                after: Some(last),
            };
            let (members, runtime) = (self.members.clone(), self.members.store.runtime().clone());
            work.after_commit(move || {
                runtime.spawn(async move {
                    let tenant = rest.tenant.id;
                    if let Err(refusal) = members.lanes.run(tenant, rest).await {
                        tracing::warn!(%refusal, "not all invites of a removed or demoted sender were revoked");
                    }
                });
            });
        }
        Ok(())
    }
}

/// Revokes what is addressed to this person. Answers the ids.
pub(super) async fn revoke_addressed(
    members: &Members,
    work: &mut Work<'_>,
    tenant: &settings::Tenant,
    addressee: &UserId,
    actor: &str,
) -> Result<Vec<InviteId>, StoreError> {
    if members.is_foreign(tenant.id, addressee) {
        return Ok(vec![]);
    }
    let address = match work.address_in_batch(addressee) {
        Some(address) => Some(address.to_owned()),
        None => store::users::find(work.conn(), addressee).await?.and_then(|user| user.email_norm),
    };
    let Some(address) = address else { return Ok(vec![]) };
    let rows = store::invites::pending_to(work.conn(), tenant.id, &address).await?;
    revoke(work, rows, actor, "addressee").await
}

async fn revoke(
    work: &mut Work<'_>,
    rows: Vec<invite::Model>,
    actor: &str,
    whose: &str,
) -> Result<Vec<InviteId>, StoreError> {
    let ids: Vec<InviteId> = rows.iter().map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    let now = work.now().await?;
    store::invites::revoke_all(work.conn(), work.tenant(), &ids, None, now).await?;
    store::outbox::cancel_for_invites(work.conn(), work.tenant(), &ids).await?;
    for row in rows {
        work.event(NewEvent {
            kind: "invite.revoked",
            invite_id: Some(row.id),
            workspace_id: row.workspace_id,
            actor: actor.to_owned(),
            data: Some(json!({ "because": format!("{whose} removed or demoted") })),
        });
    }
    Ok(ids)
}
