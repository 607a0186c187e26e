//! Who calls, from two header values: the one place where credentials are turned into principals. No credential
//! is nobody; more than one, or one that does not hold, is refused with a reason that never repeats it.
//! Verdicts are remembered shortly: a token's for a minute under the generations of configuration and key sets,
//! a key's for 800 ms and never past a revocation made here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use entity::{ApiKeyId, Millis, TenantId, api_key, user};
use moka::{future, sync};
use sha2::{Digest, Sha256};

use super::{
    BadIssuer, Principal, PrincipalKind, Trust, UserIdentity,
    api_key::{self as key_text, KeyHash},
    bearer::{self, Verdict},
    first_sight::FirstSight,
    jwks::{KeySets, Policy},
    last_used::LastUsed,
};
use crate::{
    config::settings::Settings,
    domain::{Clock, EmailAddress, Refusal},
    store::{Store, api_keys, users},
};

/// How long a token's verdict lives.
const TOKEN_TTL: Duration = Duration::from_secs(60);
/// How long a key's verdict lives: it bounds how late other replicas learn of a revocation.
const KEY_TTL: Duration = Duration::from_millis(800);
/// Longest credential looked at, in bytes.
const MAX_CREDENTIAL: usize = 4096;

/// Turns credentials into principals. One per process.
pub struct Authenticator {
    store: Store,
    trust: ArcSwap<Trust>,
    sets: KeySets,
    tokens: sync::Cache<TokenSlot, Arc<Verdict>>,
    keys: future::Cache<KeySlot, Arc<KeyVerdict>>,
    /// part of every key verdict's slot: raising it forgets them all, those still being loaded included
    key_epoch: AtomicU64,
    last_used: LastUsed,
    first_sight: FirstSight,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct TokenSlot {
    token: [u8; 32],
    trust: u64,
    sets: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct KeySlot {
    key: KeyHash,
    trust: u64,
    epoch: u64,
}

struct KeyVerdict {
    id: ApiKeyId,
    expires_at: Option<Millis>,
    principal: Principal,
}

/// What was presented, by its shape.
#[derive(Debug, PartialEq, Eq)]
enum Credential<'a> {
    Key(&'a str),
    Token(&'a str),
}

impl Authenticator {
    /// An authenticator for these settings.
    ///
    /// # Errors
    /// [`BadIssuer`].
    pub fn new(store: Store, settings: &Settings) -> Result<Self, BadIssuer> {
        Self::with_policy(store, settings, Policy::default())
    }

    /// [`Authenticator::new`] with other times for fetching key sets.
    ///
    /// # Errors
    /// [`BadIssuer`].
    pub fn with_policy(store: Store, settings: &Settings, policy: Policy) -> Result<Self, BadIssuer> {
        Ok(Self {
            trust: ArcSwap::from_pointee(Trust::compile(settings)?),
            sets: KeySets::new(store.runtime().clone(), policy),
            tokens: sync::Cache::builder().max_capacity(10_000).time_to_live(TOKEN_TTL).build(),
            keys: future::Cache::builder().max_capacity(10_000).time_to_live(KEY_TTL).build(),
            key_epoch: AtomicU64::new(0),
            last_used: LastUsed::new(),
            first_sight: FirstSight::default(),
            store,
        })
    }

    /// Puts newly compiled issuers in force ([`Trust::compile`] first, so that a reload stays all or nothing).
    /// Key sets still in use are kept.
    pub fn replace(&self, trust: Trust) {
        self.sets.retain(&trust.key_set_urls());
        self.trust.store(Arc::new(trust));
    }

    /// Forgets what is known of API keys: to be called after the commit that revoked, edited or rotated one, and
    /// before that is answered.
    pub fn keys_changed(&self) {
        self.key_epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// What is known of users' rows and of owners granted.
    #[must_use]
    pub fn first_sight(&self) -> &FirstSight {
        &self.first_sight
    }

    /// Who calls: nobody without a credential. `site` is the tenant that the host belongs to, if it is one's own:
    /// a credential confined to another tenant finds nothing there.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] with the reason; [`Refusal::NotFound`] on another tenant's host;
    /// [`Refusal::Unavailable`] without the database or an issuer's keys.
    pub async fn authenticate(
        &self,
        authorization: Option<&str>,
        api_key_header: Option<&str>,
        site: Option<TenantId>,
    ) -> Result<Option<Principal>, Refusal> {
        let trust = self.trust.load_full();
        let Some(credential) = presented(authorization, api_key_header, trust.key_prefix())? else {
            return Ok(None);
        };
        let principal = match credential {
            Credential::Key(key) => self.by_key(key, &trust).await?,
            Credential::Token(token) => self.by_token(token, &trust).await?,
        };
        if let Some(tenant) = site {
            agree_confined(&principal, tenant)?;
        }
        Ok(Some(principal))
    }

    async fn by_token(&self, token: &str, trust: &Trust) -> Result<Principal, Refusal> {
        let now = Clock::wall();
        let slot = TokenSlot {
            token: Sha256::digest(token.as_bytes()).into(),
            trust: trust.generation(),
            // read before the keys are, so that a verdict of replaced keys is never found again
            sets: self.sets.generation(),
        };
        let verdict = match self.tokens.get(&slot) {
            Some(known) if known.lives_at(now) => known,
            Some(_) => return Err(Refusal::Unauthenticated("the token has expired")),
            None => {
                let verdict = Arc::new(bearer::verify(token, trust, &self.sets, now).await?);
                self.tokens.insert(slot, Arc::clone(&verdict));
                verdict
            }
        };
        if let Some(user) = &verdict.principal.user {
            self.first_sight.require_own(&self.store, user).await?;
        }
        Ok(verdict.principal.clone())
    }

    async fn by_key(&self, key: &str, trust: &Trust) -> Result<Principal, Refusal> {
        const UNKNOWN: Refusal = Refusal::Unauthenticated("the API key is unknown, expired or revoked");
        let hash = key_text::parse(key, trust.key_prefix())
            .ok_or(Refusal::Unauthenticated("the API key is mistyped or cut"))?;
        let now = Clock::wall();
        let slot =
            KeySlot { key: hash, trust: trust.generation(), epoch: self.key_epoch.load(Ordering::Acquire) };
        let load = async {
            let found = self.store.look_up(async move |db| {
                let Some(row) = api_keys::find_live(&db, &hash.0, now).await? else { return Ok(None) };
                let user = match &row.user_id {
                    Some(id) => users::find(&db, id).await?,
                    None => None,
                };
                Ok(Some((row, user)))
            });
            let (row, user) = found.await?.ok_or(UNKNOWN)?;
            if let Some(user) = &user {
                self.first_sight.remember(user.clone());
            }
            let (id, expires_at) = (row.id, row.expires_at);
            Ok(Arc::new(KeyVerdict { id, expires_at, principal: of_key(row, user, trust)? }))
        };
        let verdict =
            self.keys.try_get_with(slot, load).await.map_err(|refusal: Arc<Refusal>| (*refusal).clone())?;
        if verdict.expires_at.is_some_and(|end| end <= now) {
            return Err(UNKNOWN);
        }
        self.last_used.note(&self.store, verdict.id);
        Ok(verdict.principal.clone())
    }
}

/// The principal of a key's row. A user key acts as its person, with the address and verification of the day it
/// was made.
fn of_key(row: api_key::Model, user: Option<user::Model>, trust: &Trust) -> Result<Principal, Refusal> {
    let issuer = match row.issuer.as_deref() {
        None => None,
        Some(name) => Some(
            trust
                .issuer(name)
                .ok_or(Refusal::Unauthenticated("the API key's issuer is not trusted here any more"))?,
        ),
    };
    // the row says what held when the key was made; an issuer that became a tenant's since then confines too
    let confined_to = row.confined_to.or(issuer.and_then(|issuer| issuer.settings.tenant));
    let scopes: Vec<String> = row.scopes.split_whitespace().map(str::to_owned).collect();
    let mut principal = Principal {
        kind: PrincipalKind::UserKey(row.id),
        user: None,
        confined_to,
        pinned_to: row.tenant_id,
        scopes: (!scopes.is_empty()).then_some(scopes),
        system_admin: false,
    };
    match (row.role, user) {
        (Some(role), None) => principal.kind = PrincipalKind::ServiceKey(row.id, role),
        (None, Some(user)) => {
            let free = principal.confined_to.is_none() && principal.pinned_to.is_none();
            principal.system_admin = free && trust.lists_admin(&user.issuer, &user.id);
            principal.user = Some(UserIdentity {
                id: user.id,
                issuer: user.issuer,
                subject: user.subject,
                email: row.email.as_deref().and_then(|text| EmailAddress::parse(text).ok()),
                email_state: row.email_state,
                name: user.name,
            });
        }
        _ => return Err(Refusal::Unauthenticated("the API key's user is not known")),
    }
    Ok(principal)
}

/// Refuses unless a credential may manage this tenant at all: what a key is pinned to, and what a credential is
/// confined to, must be it. A tenant that is not the caller's does not exist for them.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn agree(principal: &Principal, tenant: TenantId) -> Result<(), Refusal> {
    agree_confined(principal, tenant)?;
    principal.pinned_to.is_none_or(|only| only == tenant).then_some(()).ok_or(Refusal::NotFound)
}

/// [`agree`] for token and `/me` routes, where a key acts as its person across tenants and only confinement
/// counts.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn agree_confined(principal: &Principal, tenant: TenantId) -> Result<(), Refusal> {
    principal.confined_to.is_none_or(|only| only == tenant).then_some(()).ok_or(Refusal::NotFound)
}

/// The one value of a header that must not be repeated.
///
/// # Errors
/// [`Refusal::Unauthenticated`] if it is repeated or not plain text.
pub fn single_header<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a str>, Refusal> {
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::Unauthenticated("a credential header is repeated"));
    }
    std::str::from_utf8(first)
        .map(Some)
        .map_err(|_| Refusal::Unauthenticated("the credential has characters that none has"))
}

/// Reads the two headers: at most one credential, in the right place and of a credential's alphabet.
fn presented<'a>(
    authorization: Option<&'a str>,
    api_key_header: Option<&'a str>,
    key_prefix: &str,
) -> Result<Option<Credential<'a>>, Refusal> {
    let credential = match (authorization, api_key_header) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(Refusal::Unauthenticated("two credentials were sent; send one")),
        (Some(value), None) => bearer_value(value)?,
        (None, Some(value)) => value,
    };
    if credential.len() > MAX_CREDENTIAL {
        return Err(Refusal::Unauthenticated("the credential is longer than 4096 bytes"));
    }
    if credential.is_empty()
        || !credential.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b))
    {
        return Err(Refusal::Unauthenticated("the credential has characters that none has"));
    }
    if key_text::is_key(credential, key_prefix) {
        return Ok(Some(Credential::Key(credential)));
    }
    if api_key_header.is_some() {
        return Err(Refusal::Unauthenticated("the API key header holds no API key"));
    }
    Ok(Some(Credential::Token(credential)))
}

/// What follows `Bearer` and spaces.
fn bearer_value(value: &str) -> Result<&str, Refusal> {
    let (scheme, credential) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Unauthenticated("Authorization must be Bearer with a token or an API key"));
    }
    Ok(credential.trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_credential_in_its_place_and_nothing_else_is_read() {
        let read = |authorization, key| presented(authorization, key, "msk_");
        assert_eq!(read(None, None), Ok(None));
        assert_eq!(read(Some("Bearer a.b.c"), None), Ok(Some(Credential::Token("a.b.c"))));
        assert_eq!(read(Some("bEARER  a.b.c "), None), Ok(Some(Credential::Token("a.b.c"))));
        assert_eq!(read(Some("Bearer msk_x"), None), Ok(Some(Credential::Key("msk_x"))));
        assert_eq!(read(None, Some("msk_x")), Ok(Some(Credential::Key("msk_x"))));
        let long = format!("Bearer {}", "a".repeat(4097));
        for (authorization, key) in [
            (Some("Bearer msk_x"), Some("msk_x")),
            (Some(""), None),
            (Some("Bearer"), None),
            (Some("Bearer "), None),
            (Some("Basic YTpi"), None),
            (Some("a.b.c"), None),
            (Some("Bearer Bearer a.b.c"), None),
            (Some("Bearer a.b.c, Bearer a.b.c"), None),
            (Some("Bearer a.b.c\tx"), None),
            (Some("Bearer a.b.ç"), None),
            (Some(long.as_str()), None),
            (None, Some("a.b.c")),
            (None, Some("Bearer msk_x")),
            (None, Some("")),
        ] {
            let refused = read(authorization, key);
            assert!(
                matches!(refused, Err(Refusal::Unauthenticated(_))),
                "{authorization:?} {key:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_repeated_or_unreadable_header_is_refused() {
        let two: [&[u8]; 2] = [b"Bearer a", b"Bearer a"];
        assert_eq!(single_header(two.into_iter().take(0)), Ok(None));
        assert_eq!(single_header(two.into_iter().take(1)), Ok(Some("Bearer a")));
        assert!(single_header(two.into_iter()).is_err());
        assert!(single_header([&b"\xff"[..]].into_iter()).is_err());
    }
}
