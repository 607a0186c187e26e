//! A bearer token verified: the issuer is chosen by the exact text of `iss`, its key decides the algorithm, and
//! nothing of the claims is believed before the signature holds. Claims are then judged strictly and mapped
//! onto a principal as the issuer's record says. Tokens live on the wall clock; the test clock never ages them.

use std::time::Duration;

use entity::{AddressState, Millis, UserId};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    Principal, PrincipalKind, Trust, UserIdentity,
    claims::{self, Object},
    jwks::KeySets,
    keys::{MAX_KID, VerifyingKey},
    trust::{IssuerKeySource, TrustedIssuer},
};
use crate::{
    config::settings::{Issuer, IssuerKeys},
    domain::{Clock, EmailAddress, Refusal},
};

/// Longest token looked at, in bytes.
const MAX_TOKEN: usize = 4096;
/// Longest subject, in characters.
const MAX_SUBJECT: usize = 255;
/// How far the clocks of issuers may be off, in seconds.
const LEEWAY: u64 = 30;
/// What `typ` may say of a token that shows who calls; others (logout and security-event tokens, our own
/// links) are signed by the same issuers for other ends.
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// A genuine token: who it speaks for, and until when.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) principal: Principal,
    expires: u64,
}

impl Verdict {
    /// Whether the token still lives, leeway included.
    pub(super) fn lives_at(&self, now: Millis) -> bool {
        self.expires.saturating_add(LEEWAY) >= seconds(now)
    }
}

/// Verifies a token.
///
/// # Errors
/// [`Refusal::Unauthenticated`] with the reason; [`Refusal::Unavailable`] while the issuer's keys cannot be had.
pub(super) async fn verify(
    token: &str,
    trust: &Trust,
    sets: &KeySets,
    now: Millis,
) -> Result<Verdict, Refusal> {
    let parts =
        split(token).ok_or(Refusal::Unauthenticated("the credential is neither a token nor an API key"))?;
    let header = read_header(parts.header)?;
    let iss =
        claims::issuer_of(parts.payload).ok_or(Refusal::Unauthenticated("the token names no issuer"))?;
    let issuer =
        trust.issuer(&iss).ok_or(Refusal::Unauthenticated("the token's issuer is not trusted here"))?;
    if !issuer.settings.algorithms.contains(&header.alg) {
        return Err(Refusal::Unauthenticated("the token's algorithm is not the issuer's"));
    }
    check_signature(&parts, &header, issuer, sets).await?;
    let claims = claims::object(parts.payload)
        .ok_or(Refusal::Unauthenticated("the token's claims cannot be read, or one is repeated"))?;
    judge(&claims, issuer, trust, now)
}

/// The three parts, undecoded, and what the signature covers.
struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signed: &'a str,
    signature: &'a str,
}

fn split(token: &str) -> Option<Parts<'_>> {
    if token.len() > MAX_TOKEN {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    (!payload.contains('.')).then_some(Parts { header, payload, signed, signature })
}

struct TokenHeader {
    alg: Algorithm,
    kid: Option<String>,
}

fn read_header(part: &str) -> Result<TokenHeader, Refusal> {
    let header = claims::object(part).ok_or(Refusal::Unauthenticated("the token's header cannot be read"))?;
    // extensions that must be understood, and none is
    if header.contains_key("crit") {
        return Err(Refusal::Unauthenticated("the token's header has critical extensions"));
    }
    let typ = header.get("typ").map(|typ| typ.as_str().unwrap_or_default().to_ascii_lowercase());
    if typ.is_some_and(|typ| !TYPES.contains(&typ.as_str())) {
        return Err(Refusal::Unauthenticated("the token is of a type that does not show who calls"));
    }
    let alg = header.get("alg").and_then(Value::as_str).and_then(|name| name.parse().ok());
    let alg = alg.ok_or(Refusal::Unauthenticated("the token's algorithm is not supported"))?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= MAX_KID => Some(kid.clone()),
        Some(_) => return Err(Refusal::Unauthenticated("the token's key id cannot be read")),
    };
    Ok(TokenHeader { alg, kid })
}

async fn check_signature(
    parts: &Parts<'_>,
    header: &TokenHeader,
    issuer: &TrustedIssuer,
    sets: &KeySets,
) -> Result<(), Refusal> {
    let holds = |key: &VerifyingKey| key.verifies(header.alg, parts.signed, parts.signature);
    let genuine = match &issuer.keys {
        IssuerKeySource::Fixed(key) => holds(key),
        IssuerKeySource::Url(url) => {
            let keys = sets.candidates(url, header.kid.as_deref(), header.alg).await.map_err(|_| {
                Refusal::Unavailable {
                    retry_after: 5,
                    what: "The keys of the token's issuer cannot be fetched.",
                }
            })?;
            if keys.is_empty() {
                return Err(Refusal::Unauthenticated("the token's key is not among the issuer's"));
            }
            keys.iter().any(holds)
        }
    };
    genuine.then_some(()).ok_or(Refusal::Unauthenticated("the token's signature is not the issuer's"))
}

/// What a genuine token says, if it may be believed here and now.
fn judge(claims: &Object, issuer: &TrustedIssuer, trust: &Trust, now: Millis) -> Result<Verdict, Refusal> {
    let refused = |why| Err(Refusal::Unauthenticated(why));
    let issuer = &issuer.settings;
    if claims.get("iss").and_then(Value::as_str) != Some(&issuer.issuer) {
        return refused("the token names no issuer");
    }
    let Some(Ok(expires)) = time(claims, "exp") else {
        return refused("the token has no expiry that can be read");
    };
    let (Ok(not_before), Ok(_)) = (time(claims, "nbf").transpose(), time(claims, "iat").transpose()) else {
        return refused("the token's times cannot be read");
    };
    if !names_audience(claims, issuer) {
        return refused("the token is not meant for this server");
    }
    let Some(subject) = claims.get("sub").and_then(Value::as_str).filter(|sub| is_subject(sub)) else {
        return refused("the token names no subject that can be used");
    };
    if not_before.is_some_and(|from| from > seconds(now).saturating_add(LEEWAY)) {
        return refused("the token is not valid yet");
    }
    let verdict = Verdict { principal: principal(claims, issuer, subject, trust), expires };
    if verdict.lives_at(now) { Ok(verdict) } else { refused("the token has expired") }
}

/// A time claim: whole seconds since 1970 and nothing else.
fn time(claims: &Object, name: &str) -> Option<Result<u64, ()>> {
    claims.get(name).map(|value| value.as_u64().ok_or(()))
}

fn names_audience(claims: &Object, issuer: &Issuer) -> bool {
    match claims.get(&issuer.audience_claim) {
        Some(Value::String(audience)) => *audience == issuer.audience,
        Some(Value::Array(all)) => {
            all.iter().all(Value::is_string) && all.iter().any(|one| one.as_str() == Some(&issuer.audience))
        }
        _ => false,
    }
}

/// Whether a text can be a subject: it becomes part of an id that is shown, logged and stored.
fn is_subject(sub: &str) -> bool {
    !sub.is_empty() && sub.chars().count() <= MAX_SUBJECT && !sub.chars().any(char::is_control)
}

fn principal(claims: &Object, issuer: &Issuer, subject: &str, trust: &Trust) -> Principal {
    let id = UserId(format!("{}{subject}", issuer.subject_prefix));
    let claimed_admin = issuer.system_admin_claim.as_ref().is_some_and(|(name, value)| {
        claims::find(claims, name).is_some_and(|claim| claims::says(claim, value))
    });
    let system_admin = issuer.tenant.is_none() && (claimed_admin || trust.lists_admin(&issuer.issuer, &id));
    let user = UserIdentity {
        id,
        issuer: issuer.issuer.clone(),
        subject: subject.to_owned(),
        email: claims::find(claims, &issuer.email_claim)
            .and_then(Value::as_str)
            .and_then(|text| EmailAddress::parse(text).ok()),
        email_state: address_state(claims, issuer),
        name: claims::find(claims, &issuer.name_claim).and_then(claims::display_name),
    };
    Principal {
        kind: PrincipalKind::Person,
        user: Some(user),
        confined_to: issuer.tenant,
        pinned_to: None,
        scopes: None,
        system_admin,
    }
}

/// Presence is told apart from value: a claim that is there and is anything but `true`, `null` included, says
/// that the address is not verified, whatever the issuer is trusted with.
fn address_state(claims: &Object, issuer: &Issuer) -> AddressState {
    match claims::find(claims, &issuer.email_verified_claim) {
        Some(Value::Bool(true)) => AddressState::Verified,
        Some(_) => AddressState::Unverified,
        None if issuer.trust_email => AddressState::Verified,
        None => AddressState::Absent,
    }
}

fn seconds(at: Millis) -> u64 {
    u64::try_from(at.0 / 1000).unwrap_or(0)
}

/// Why no token can be minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// Only whoever holds the signing key can mint.
    #[error("tokens can only be minted for an issuer with hs256_secret")]
    NoSecret,
    /// The subject cannot be used.
    #[error("a subject has 1 to 255 characters and no control characters")]
    BadSubject,
    /// The library refused; never seen.
    #[error("the token cannot be signed")]
    Signing,
}

/// Mints a token that this server accepts for `ttl` from now: for `token mint` and the dev mode. `verified` is
/// left out of the claims when `None`.
///
/// # Errors
/// [`MintError`].
pub fn mint_hs256(
    issuer: &Issuer,
    sub: &str,
    email: Option<&str>,
    verified: Option<bool>,
    ttl: Duration,
) -> Result<String, MintError> {
    let IssuerKeys::Hs256(secret) = &issuer.keys else { return Err(MintError::NoSecret) };
    if !is_subject(sub) {
        return Err(MintError::BadSubject);
    }
    let now = seconds(Clock::wall());
    let mut claims = Object::new();
    // the whole name of a claim is looked for first, so dots need no descending here
    if let Some(email) = email {
        claims.insert(issuer.email_claim.clone(), json!(email));
    }
    if let Some(verified) = verified {
        claims.insert(issuer.email_verified_claim.clone(), json!(verified));
    }
    claims.insert(issuer.audience_claim.clone(), json!(issuer.audience));
    claims.insert("iss".into(), json!(issuer.issuer));
    claims.insert("sub".into(), json!(sub));
    claims.insert("iat".into(), json!(now));
    claims.insert("exp".into(), json!(now.saturating_add(ttl.as_secs())));
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(|_| MintError::Signing)
}
