//! Answering a workspace invite by its id and the address it went to, as Workspace Sharing asks for it: an
//! acceptance or refusal by id, for whom it is meant; anybody else is told that it is not theirs. Unlike a link,
//! which may be followed twice, an answer given is final: a second one is refused.

use entity::{InviteId, TenantId};

use super::{
    Invites,
    accept::AcceptInvite,
    decline::DeclineInvite,
    inbox::own,
    proof::{Answered, Kind, address_of},
};
use crate::{
    actors::{Command, Decision, Planned, Work},
    domain::{EmailAddress, Refusal, authority::agrees},
    identity::{Call, Principal},
    store,
};

/// What the addressee says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Yes.
    Accepted,
    /// No, for good.
    Rejected,
}

/// Answers the invite; `address` must be both the caller's and the one invited.
///
/// # Errors
/// 404 where no such workspace invite is served; `EMAIL_MISMATCH` for anybody but the addressee; `DECLINED` for
/// what was rejected before; otherwise as accepting and declining by id.
pub fn respond<'a>(
    invites: &'a Invites,
    principal: &'a Principal,
    within: Option<TenantId>,
    id: InviteId,
    address: &'a EmailAddress,
    response: Response,
) -> Planned<'a, impl Command<Output = ()>> {
    invites.lanes.plan(async move {
        let person = principal.person()?;
        let row = invites.store.look_up(async move |db| store::invites::find_for_link(&db, id).await).await?;
        let row = row.filter(|row| agrees(principal.confined_to, row.tenant_id)).ok_or(Refusal::NotFound)?;
        invites.served(&row, Kind::Workspace, within).map_err(|_| Refusal::NotFound)?;
        if row.email_norm != address_of(person) || row.email_norm != address.norm() {
            return Err(Refusal::EmailMismatch);
        }
        let (person, tenant) = own(invites, principal, within, id).await?;
        let (answered, previews) = (Answered { id, version: None }, invites.previews.clone());
        let (of, kind) = (tenant.id, principal.kind);
        Ok((
            of,
            match response {
                Response::Accepted => {
                    Respond::Accept(AcceptInvite { tenant, person, kind, answered, previews })
                }
                Response::Rejected => {
                    Respond::Reject(DeclineInvite { tenant, person, answered, note: None, previews })
                }
            },
        ))
    })
}

enum Respond {
    Accept(AcceptInvite),
    Reject(DeclineInvite),
}

impl Command for Respond {
    type Output = ();

    /// Whoever answers an invitation need not belong to the tenant.
    fn told_to(&self) -> Option<&Call> {
        None
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<()> {
        match self {
            Self::Accept(accept) => drop(accept.decide(work).await?),
            Self::Reject(decline) if decline.decide(work).await?.again => {
                return Err(Refusal::Declined.into());
            }
            Self::Reject(_) => {}
        }
        Ok(())
    }
}
