//! Changing role or expiry of a pending invite. A new expiry revives one past its end, with a new link.

use entity::{InviteId, Role, invite};
use serde_json::json;

use super::{
    Invites,
    resend::{require_ceiling, require_open, save},
    revoke::reachable,
    rules::{Life, renew_link, take_over_if_needed},
};
use crate::{
    actors::{Command, Decision, Planned, Work},
    domain::{MasterKeys, Permission, Refusal, Scope},
    identity::{Authority, Call},
    store::{self, events::NewEvent},
};

/// What is to change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The role.
    pub role: Option<Role>,
    /// How long it shall live from now.
    pub life: Life,
}

/// Changes an invite and answers it.
///
/// # Errors
/// See the table of [`super`].
pub fn edit(
    invites: &Invites,
    by: impl Into<Authority>,
    scope: Scope,
    id: InviteId,
    change: Change,
) -> Planned<'_, impl Command<Output = invite::Model>> {
    let by = by.into();
    invites.lanes.plan(async move {
        by.require_scope("invites:write")?;
        let tenant = by.tenant().id;
        let command = EditInvite { keys: invites.keys()?, invites: invites.clone(), by, scope, id, change };
        Ok((tenant, command))
    })
}

struct EditInvite {
    invites: Invites,
    keys: MasterKeys,
    by: Authority,
    scope: Scope,
    id: InviteId,
    change: Change,
}

impl Command for EditInvite {
    type Output = invite::Model;

    fn told_to(&self) -> Option<&Call> {
        self.by.call()
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<invite::Model> {
        let standing = self.by.standing(work.conn(), self.scope.workspace()).await?;
        let mut row = reachable(work, &self.by, standing, self.scope, self.id, Permission::Create).await?;
        require_open(&row)?;
        require_ceiling(standing, &row)?;
        let now = work.now().await?;
        let past_end = now >= row.expires_at;
        if past_end && !self.change.life.is_given() {
            return Err(Refusal::Expired.into());
        }
        if let Some(role) = self.change.role {
            row.role = role;
            require_ceiling(standing, &row)?;
        }
        if self.change.life.is_given() {
            row.expires_at = self.change.life.end(&self.by.tenant().invites, now)?;
        }
        row.updated_at = now;
        take_over_if_needed(work, &self.by, &mut row).await?;
        if past_end {
            renew_link(&mut row, &self.keys)?;
            store::outbox::cancel_for_invite(work.conn(), work.tenant(), row.id, Some(row.version)).await?;
        }
        save(work, &self.invites, &row).await?;
        work.event(NewEvent {
            kind: "invite.edited",
            invite_id: Some(row.id),
            workspace_id: row.workspace_id,
            actor: self.by.actor(),
            data: Some(json!({ "role": row.role, "expires_at": row.expires_at, "renewed": past_end })),
        });
        Ok(row)
    }
}
