//! How often invites may be made and mailed: per inviter (or their API keys), recipient and tenant, all counted
//! within one tenant under its lock, so that one tenant can neither block nor detect another's invites. And to which mail
//! domains they may go.

use entity::Millis;
use sha2::{Digest, Sha256};

use crate::{
    actors::Work,
    config::settings::Rate,
    domain::{EmailAddress, Refusal, clock::millis_of, disposable::is_disposable},
    identity::{Authority, PrincipalKind},
    store::{StoreError, limits, limits::Counter},
};

/// The counters that one invite or mail moves.
pub(super) struct Counters {
    counters: Vec<(Counter, Rate, &'static str)>,
}

impl Counters {
    /// Those in force for this caller and addressee; the operator has none of their own.
    pub(super) fn of(by: &Authority, email_norm: &str) -> Self {
        let limits = &by.tenant().limits;
        let own = match (by.kind(), by.user_id()) {
            // all keys of one person count together: making another one makes no room
            (Some(PrincipalKind::UserKey(_)), Some(user)) => limits
                .invites_per_api_key
                .map(|rate| ("api_key", user.0.clone(), rate, "invitations by your API keys")),
            (Some(PrincipalKind::UserKey(id) | PrincipalKind::ServiceKey(id, _)), _) => limits
                .invites_per_api_key
                .map(|rate| ("api_key", id.to_string(), rate, "invitations by this API key")),
            (Some(PrincipalKind::Person), Some(user)) => {
                limits.invites_per_inviter.map(|rate| ("inviter", user.0.clone(), rate, "invitations by you"))
            }
            (Some(PrincipalKind::Person), None) | (None, _) => None,
        };
        let to = limits.invites_per_recipient.map(|rate| {
            // the table must not become a list of addresses
            let hash = Sha256::digest(email_norm.as_bytes());
            let subject = hash.iter().take(16).map(|b| format!("{b:02x}")).collect();
            ("recipient", subject, rate, "invitations to this address")
        });
        let all = limits
            .invites_per_tenant
            .map(|rate| ("tenant", String::new(), rate, "invitations in this organisation"));
        let counters = [own, to, all].into_iter().flatten().map(|(kind, subject, rate, what)| {
            let window = millis_of(rate.window).max(1);
            (Counter { kind, subject, window }, rate, what)
        });
        Self { counters: counters.collect() }
    }

    /// Refuses when one of them is at its limit.
    pub(super) async fn require_room(
        &self,
        work: &mut Work<'_>,
        now: Millis,
    ) -> Result<(), crate::actors::Stop> {
        let used = limits::used(work.conn(), work.tenant(), &self.all(), now).await?;
        for ((counter, rate, what), used) in self.counters.iter().zip(used) {
            if used >= i64::from(rate.count) {
                let rest = counter.window - now.0.rem_euclid(counter.window);
                let retry_after = u64::try_from(rest / 1000).unwrap_or(0) + 1;
                return Err(Refusal::RateLimited { retry_after, what }.into());
            }
        }
        Ok(())
    }

    /// Counts one invite or mail.
    pub(super) async fn count(&self, work: &Work<'_>, now: Millis) -> Result<(), StoreError> {
        Ok(limits::count(work.conn(), work.tenant(), &self.all(), now).await?)
    }

    fn all(&self) -> Vec<&Counter> {
        self.counters.iter().map(|(counter, ..)| counter).collect()
    }
}

/// Refuses addresses that the tenant does not invite: domains are matched at label boundaries. What is blocked
/// stays so; what is allowed by name is no throw-away domain here, whatever the list says.
///
/// # Errors
/// [`Refusal::Validation`].
pub fn require_allowed(
    tenant: &crate::config::settings::Tenant,
    email: &EmailAddress,
) -> Result<(), Refusal> {
    let within = |domain: &String| {
        let rest = email.domain().strip_suffix(domain.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let rules = &tenant.invites;
    if rules.blocked_domains.iter().any(within) {
        return Err(Refusal::field("email", "is of a domain that may not be invited here"));
    }
    if !rules.allowed_domains.is_empty() {
        let allowed = rules.allowed_domains.iter().any(within);
        let refused = Refusal::field("email", "is not of a domain that may be invited here");
        return if allowed { Ok(()) } else { Err(refused) };
    }
    let disposable = || {
        !rules.disposable_except.iter().any(within)
            && (rules.disposable_extra.iter().any(within) || is_disposable(email.domain()))
    };
    if rules.block_disposable && disposable() {
        return Err(Refusal::field("email", "is of a throw-away mail domain, which may not be invited here"));
    }
    Ok(())
}
