//! From the text of a link to its row: the only way to get an invite from a token. The token must be genuine
//! for a row of the kind that the route serves, of a tenant that is served where it was asked. Whether its
//! version and the invite's state still hold is decided elsewhere, in the deciding statement.

use std::sync::Arc;

use entity::{InviteId, TenantId, WorkspaceId, invite};

use super::{Invites, link_row};
use crate::{
    config::settings,
    domain::{LinkToken, MasterKeys, Refusal, invite::state_refusal},
    identity::UserIdentity,
    store::{self, StoreError, tx::Tx},
    tenancy::Snapshot,
};

/// Which kind of link a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/invites/…`.
    Org,
    /// `/workspace-invites/…`.
    Workspace,
    /// Either.
    Any,
}

impl Kind {
    pub(super) fn is_of(self, row: &invite::Model) -> bool {
        match self {
            Self::Org => row.workspace_id.is_none(),
            Self::Workspace => row.workspace_id.is_some(),
            Self::Any => true,
        }
    }
}

/// A link presented: by whom it may be used is another question.
#[derive(Clone)]
pub struct Presented {
    /// The text in the link.
    pub token: String,
    /// What the route takes.
    pub kind: Kind,
    /// The only tenant served where it was asked (host, header, key); `None` on a platform host without one.
    pub within: Option<TenantId>,
}

/// The workspace that a token's invite is for, whether or not the token is genuine: for naming it to whoever
/// then turns out to be let in.
///
/// # Errors
/// [`Refusal::Unavailable`] without the database.
pub async fn workspace_of(invites: &Invites, token: &str) -> Result<Option<WorkspaceId>, Refusal> {
    let Some(id) = invites.keys()?.parse(token).map(|token| token.claims().id) else { return Ok(None) };
    let row = invites.store.look_up(async move |db| store::invites::find_for_link(&db, id).await).await?;
    Ok(row.and_then(|row| row.workspace_id))
}

/// Which row a person answers, and how they proved that they may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// The invite.
    pub(super) id: InviteId,
    /// Version of the presented link; `None` when answered by id.
    pub(super) version: Option<i32>,
}

impl Invites {
    /// The row of a genuine link and its tenant as configured now.
    pub(super) async fn prove(
        &self,
        link: &Presented,
    ) -> Result<(invite::Model, LinkToken, Arc<settings::Tenant>), Refusal> {
        let keys = self.keys()?;
        let token = keys.parse(&link.token).ok_or(Refusal::InvalidToken)?;
        let id = token.claims().id;
        let row =
            self.store.look_up(move |db| async move { store::invites::find_for_link(&db, id).await }).await?;
        genuine(&keys, &token, row.as_ref())?;
        let row = row.ok_or(Refusal::InvalidToken)?;
        let tenant = self.served(&row, link.kind, link.within)?;
        Ok((row, token, tenant))
    }

    /// The tenant of a row, if the row is of the right kind and its tenant is served where it was asked.
    pub(super) fn served(
        &self,
        row: &invite::Model,
        kind: Kind,
        within: Option<TenantId>,
    ) -> Result<Arc<settings::Tenant>, Refusal> {
        Self::served_by(&self.registry.current(), row, kind, within)
    }

    /// [`Invites::served`] by this configuration.
    pub(super) fn served_by(
        snapshot: &Snapshot,
        row: &invite::Model,
        kind: Kind,
        within: Option<TenantId>,
    ) -> Result<Arc<settings::Tenant>, Refusal> {
        let here = kind.is_of(row) && within.is_none_or(|only| only == row.tenant_id);
        let tenant = snapshot.tenant(row.tenant_id).cloned();
        tenant.filter(|_| here).ok_or(Refusal::InvalidToken)
    }
}

/// The row, if the token is genuine for it; as slow when there is no row.
pub(super) fn genuine<'a>(
    keys: &MasterKeys,
    token: &LinkToken,
    row: Option<&'a invite::Model>,
) -> Result<&'a invite::Model, Refusal> {
    let Some(row) = row else {
        keys.verify_nothing(token);
        return Err(Refusal::InvalidToken);
    };
    if keys.verify(token, link_row(row)) { Ok(row) } else { Err(Refusal::InvalidToken) }
}

/// Refuses an address that is not good enough for answering an invite. With a link, an absent claim passes:
/// the link is the proof of the mailbox.
pub(super) fn require_verified(
    rules: &settings::Invites,
    person: &UserIdentity,
    with_link: bool,
) -> Result<(), Refusal> {
    use entity::AddressState::{Absent, Unverified, Verified};
    use settings::VerifiedEmail::{Always, Never, WithoutToken};

    let passes = match (person.email_state, rules.require_verified_email) {
        (Verified, _) | (Absent, Never) => true,
        (Unverified, _) | (Absent, Always) => false,
        (Absent, WithoutToken) => with_link,
    };
    if passes { Ok(()) } else { Err(Refusal::EmailNotVerified) }
}

/// Why the guards of a deciding statement refuse this row, in order: version, state, address.
pub(super) async fn reason(
    tx: &Tx,
    row: &invite::Model,
    answered: Answered,
    person: &UserIdentity,
) -> Result<Option<Refusal>, StoreError> {
    if answered.version.is_some_and(|version| version != row.version) {
        return Ok(Some(Refusal::InvalidToken));
    }
    if let Some(refusal) = state_refusal(row, tx.now().await?, Some(&person.id)) {
        return Ok(Some(refusal));
    }
    Ok((row.email_norm != address_of(person)).then_some(Refusal::EmailMismatch))
}

/// The person's address as compared; an empty text, which no row holds, if the credential names none.
pub(super) fn address_of(person: &UserIdentity) -> &str {
    person.email.as_ref().map_or("", |email| email.norm())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EmailAddress;
    use entity::{AddressState, UserId};
    use settings::VerifiedEmail;

    #[test]
    fn an_absent_claim_passes_with_a_link_only_and_an_explicit_one_must_be_true() {
        for (state, rule, with_link, passes) in [
            (AddressState::Verified, VerifiedEmail::Always, false, true),
            (AddressState::Unverified, VerifiedEmail::Never, true, false),
            (AddressState::Unverified, VerifiedEmail::WithoutToken, true, false),
            (AddressState::Absent, VerifiedEmail::WithoutToken, true, true),
            (AddressState::Absent, VerifiedEmail::WithoutToken, false, false),
            (AddressState::Absent, VerifiedEmail::Always, true, false),
            (AddressState::Absent, VerifiedEmail::Never, false, true),
        ] {
            let person = UserIdentity {
                id: UserId("u".into()),
                issuer: "i".into(),
                subject: "u".into(),
                email: EmailAddress::parse("a@x.test").ok(),
                email_state: state,
                name: None,
            };
            let rules =
                settings::Invites { require_verified_email: rule, ..super::super::rules::tests::rules() };
            assert_eq!(
                require_verified(&rules, &person, with_link).is_ok(),
                passes,
                "{state:?} {rule:?} {with_link}"
            );
        }
    }
}
