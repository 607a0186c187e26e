//! Answering a workspace invite by its id and the address it went to, as Workspace Sharing asks for it: an
//! acceptance or refusal by id, for whom it is meant; anybody else is told that it is not theirs. Unlike a link,
//! which may be followed twice, an answer given is final: a second one is refused.

use entity::{InviteId, TenantId};

use super::{
    Invites,
    inbox::{accept, decline},
    proof::{Kind, address_of},
};
use crate::{
    domain::{EmailAddress, Refusal, authority::agrees},
    identity::Principal,
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
pub async fn respond(
    invites: &Invites,
    principal: &Principal,
    within: Option<TenantId>,
    id: InviteId,
    address: &EmailAddress,
    response: Response,
) -> Result<(), Refusal> {
    let person = principal.person()?;
    let row = invites.store.read(async move |db| store::invites::find_for_link(&db, id).await).await?;
    let row = row.filter(|row| agrees(principal.confined_to, row.tenant_id)).ok_or(Refusal::NotFound)?;
    invites.served(&row, Kind::Workspace, within).map_err(|_| Refusal::NotFound)?;
    if row.email_norm != address_of(person) || row.email_norm != address.norm() {
        return Err(Refusal::EmailMismatch);
    }
    match response {
        Response::Accepted => drop(accept(invites, principal, within, id).await?),
        Response::Rejected if decline(invites, principal, within, id, None).await?.again => {
            return Err(Refusal::Declined);
        }
        Response::Rejected => {}
    }
    Ok(())
}
