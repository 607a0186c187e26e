//! Declining: final, by the addressee, under the same guards as accepting.

use std::sync::Arc;

use entity::{InviteId, InviteStatus, WorkspaceId, invite};

use super::{
    Invites,
    preview::Previews,
    proof::{Answered, Presented, address_of, reason, require_verified},
};
use crate::{
    actors::{Command, Decision, Planned, Stop, Work},
    config::settings,
    domain::Refusal,
    identity::{Call, Principal, UserIdentity},
    store::{self, events::NewEvent, invites::Acceptance},
};

/// What was declined.
#[derive(Clone, Debug)]
pub struct Declined {
    /// The tenant.
    pub tenant: Arc<settings::Tenant>,
    /// The workspace, for workspace invites.
    pub workspace_id: Option<WorkspaceId>,
    /// The invite.
    pub invite_id: InviteId,
    /// It had been declined before.
    pub again: bool,
}

/// Declines by link. Declining again changes nothing and answers the same.
///
/// # Errors
/// See the table of [`super`].
pub fn decline<'a>(
    invites: &'a Invites,
    principal: &'a Principal,
    link: &'a Presented,
    note: Option<String>,
) -> Planned<'a, impl Command<Output = Declined>> {
    invites.lanes.plan(async move {
        let person = principal.person()?.clone();
        let (row, token, tenant) = invites.prove(link).await?;
        if !crate::domain::authority::agrees(principal.confined_to, tenant.id) {
            return Err(Refusal::InvalidToken);
        }
        let answered = Answered { id: row.id, version: Some(token.claims().version) };
        let previews = invites.previews.clone();
        Ok((tenant.id, DeclineInvite { tenant, person, answered, note, previews }))
    })
}

pub(super) struct DeclineInvite {
    pub(super) tenant: Arc<settings::Tenant>,
    pub(super) person: UserIdentity,
    pub(super) answered: Answered,
    pub(super) note: Option<String>,
    pub(super) previews: Previews,
}

impl Command for DeclineInvite {
    type Output = Declined;

    /// Whoever answers an invitation need not belong to the tenant.
    fn told_to(&self) -> Option<&Call> {
        None
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<Declined> {
        let (tenant, id) = (work.tenant(), self.answered.id);
        if let Err(later) =
            require_verified(&self.tenant.invites, &self.person, self.answered.version.is_some())
        {
            let row = store::invites::find(work.conn(), tenant, id).await?.ok_or(Refusal::InvalidToken)?;
            return Err(reason(work.tx(), &row, self.answered, &self.person).await?.unwrap_or(later).into());
        }
        let acceptance = Acceptance {
            id,
            version: self.answered.version,
            email_norm: address_of(&self.person),
            user: &self.person.id,
        };
        let done = store::invites::decline(work.tx(), tenant, acceptance, self.note.as_deref()).await?;
        let Some(row) = done else {
            let row = store::invites::find(work.conn(), tenant, id).await?.ok_or(Refusal::InvalidToken)?;
            let same_link = self.answered.version.is_none_or(|version| version == row.version);
            let own = row.email_norm == address_of(&self.person);
            if row.status == InviteStatus::Declined && own && same_link {
                return Ok(self.declined(&row, true));
            }
            return Err(reason(work.tx(), &row, self.answered, &self.person)
                .await?
                .map_or(Stop::Again, Stop::Refused));
        };
        let at = row.declined_at.unwrap_or(row.updated_at);
        if at >= row.expires_at {
            return Err(Stop::Again);
        }
        work.decided_at(at);
        store::outbox::cancel_for_invite(work.conn(), tenant, row.id, None).await?;
        work.event(NewEvent {
            kind: "invite.declined",
            invite_id: Some(row.id),
            workspace_id: row.workspace_id,
            actor: self.person.id.0.clone(),
            data: None,
        });
        let previews = self.previews.clone();
        work.after_commit(move || previews.invalidate(id));
        Ok(self.declined(&row, false))
    }
}

impl DeclineInvite {
    fn declined(&self, row: &invite::Model, again: bool) -> Declined {
        let (tenant, workspace_id) = (self.tenant.clone(), row.workspace_id);
        Declined { tenant, workspace_id, invite_id: row.id, again }
    }
}
