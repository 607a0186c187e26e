//! What several operations share: the inviter of record, the life an invite may have, a mail owed, a link
//! made new.

use entity::{Delivery, Millis, OutboxId, OutboxState, invite, outbox};

use super::scope_of;
use crate::{
    actors::Work,
    config::settings,
    domain::{MasterKeys, Refusal, Standing, clock::millis_of, random},
    identity::Authority,
    store::{StoreError, api_keys},
};

/// Whether the inviter of record could send this invite, as it now is, at this moment. The operator always can.
pub(super) async fn inviter_may_send(
    work: &mut Work<'_>,
    tenant: &settings::Tenant,
    row: &invite::Model,
) -> Result<bool, StoreError> {
    let standing = match (&row.inviter, row.inviter_key) {
        (None, None) => return Ok(true),
        (Some(user), _) => work.standing(user, row.workspace_id).await?,
        (None, Some(key)) => {
            let tenant = api_keys::service_role(work.conn(), tenant.id, key).await?;
            Standing { tenant, ..Standing::default() }
        }
    };
    Ok(standing.may_send(row.role, scope_of(row), &tenant.invites.permissions))
}

/// Makes them the inviter of record; the operator leaves none.
pub(super) fn set_inviter(row: &mut invite::Model, by: &Authority) {
    row.inviter = by.user_id().cloned();
    row.inviter_key = by.service_key();
}

/// Makes them the inviter of record where the recorded one could not send the invite as it now is.
pub(super) async fn take_over_if_needed(
    work: &mut Work<'_>,
    by: &Authority,
    row: &mut invite::Model,
) -> Result<(), StoreError> {
    if !inviter_may_send(work, by.tenant(), row).await? {
        set_inviter(row, by);
    }
    Ok(())
}

/// How long an invite shall live: a length from now, an end, or the tenant's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Seconds from now.
    pub expires_in: Option<i64>,
    /// The end.
    pub expires_at: Option<Millis>,
}

impl Life {
    /// Whether anything was asked for.
    #[must_use]
    pub fn is_given(self) -> bool {
        self.expires_in.is_some() || self.expires_at.is_some()
    }

    /// The end of life, within the tenant's bounds.
    ///
    /// # Errors
    /// [`Refusal::Validation`] naming the bounds, or that both were given.
    pub fn end(self, rules: &settings::Invites, now: Millis) -> Result<Millis, Refusal> {
        let (field, length) = match (self.expires_in, self.expires_at) {
            (Some(_), Some(_)) => {
                return Err(Refusal::field("expires_at", "cannot be given together with expires_in"));
            }
            (Some(seconds), None) => ("expires_in", seconds.saturating_mul(1000)),
            (None, Some(at)) => ("expires_at", at.0.saturating_sub(now.0)),
            (None, None) => ("expires_in", millis_of(rules.ttl)),
        };
        let (min, max) = (millis_of(rules.min_ttl), millis_of(rules.max_ttl));
        if length < min || length > max {
            let bounds = format!("must lie between {} and {} seconds from now", min / 1000, max / 1000);
            return Err(Refusal::field(field, bounds));
        }
        Ok(self.expires_at.unwrap_or_else(|| now.plus(length)))
    }
}

/// Milliseconds until the next mail of this invite may be queued; 0 when it may. Never more than the whole pause,
/// though a clock that was set back may put the last mail into the future.
pub(super) fn cooldown_left(row: &invite::Model, rules: &settings::Invites, now: Millis) -> i64 {
    let cooldown = millis_of(rules.resend_cooldown);
    row.mailed_at.map_or(0, |at| at.plus(cooldown).0.saturating_sub(now.0).clamp(0, cooldown))
}

/// Owes a mail for the row as it now is. The row's own columns follow; who calls this writes the row.
pub(super) fn owe_mail(work: &mut Work<'_>, row: &mut invite::Model, now: Millis) {
    row.mails += 1;
    row.mailed_at = Some(now);
    row.delivery = Delivery::Queued;
    row.delivery_detail = None;
    work.mail(outbox::Model {
        id: OutboxId::new(),
        tenant_id: row.tenant_id,
        invite_id: row.id,
        version: row.version,
        dedupe_key: format!("{}:{}", row.id, row.mails),
        state: OutboxState::Queued,
        attempts: 0,
        next_at: now,
        lease_until: None,
        lease_token: None,
        last_error: None,
        inserted_at: now,
        sent_at: None,
    });
}

/// Gives the row a link that no earlier one equals: next version, fresh salt, active key.
pub(super) fn renew_link(row: &mut invite::Model, keys: &MasterKeys) -> Result<(), Refusal> {
    row.version += 1;
    row.salt = random::bytes::<32>()?.to_vec();
    row.kid = keys.active().id().to_owned();
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::time::Duration;

    pub(in crate::invites) fn rules() -> settings::Invites {
        settings::Invites {
            ttl: Duration::from_secs(600),
            min_ttl: Duration::from_secs(300),
            max_ttl: Duration::from_secs(900),
            resend_cooldown: Duration::from_secs(60),
            require_verified_email: settings::VerifiedEmail::WithoutToken,
            seats: None,
            permissions: crate::domain::Permissions::default(),
            allowed_domains: vec![],
            blocked_domains: vec![],
            block_disposable: false,
            disposable_extra: vec![],
            disposable_except: vec![],
        }
    }

    #[test]
    fn a_life_outside_the_bounds_is_refused_and_the_bounds_are_named() {
        let now = Millis(1_000_000);
        let life = |seconds| Life { expires_in: Some(seconds), expires_at: None }.end(&rules(), now);
        assert_eq!(life(300), Ok(Millis(1_300_000)));
        assert_eq!(life(900), Ok(Millis(1_900_000)));
        for bad in [299, 901, 0, -1, i64::MAX, i64::MIN] {
            let refusal = life(bad).unwrap_err();
            assert!(refusal.message().contains("between 300 and 900 seconds"), "{bad}: {refusal}");
        }
        assert_eq!(Life::default().end(&rules(), now), Ok(Millis(1_600_000)));
        let both = Life { expires_in: Some(300), expires_at: Some(Millis(1_400_000)) };
        assert!(both.end(&rules(), now).is_err());
    }
}
