//! Reading `[[auth.issuers]]`, of the server or of one tenant. What two issuers may not share is checked here:
//! their name, and prefixes by which their subjects could meet in one user id.

use std::str::FromStr;

use entity::TenantId;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use secrecy::SecretString;

use crate::config::{
    reader::{Context, Section, Spot, Unique},
    relay::is_loopback,
    secrets::{Confidential, shared_secret, text_of_file, text_or_file},
    settings::{Issuer, IssuerKeys},
    values,
};

const ALGORITHMS: [&str; 12] = [
    "HS256", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS384",
    "HS512",
];

/// Whose issuers these are.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    Server,
    /// A tenant; without id if that is wrong, which is told elsewhere.
    Tenant(Option<TenantId>),
}

/// The issuers of an `[auth]` section.
pub(super) fn issuers(auth: Section<'_>, owner: Owner) -> Vec<Issuer> {
    let sections = auth.sections("issuers").into_iter();
    let issuers = sections.filter_map(|section| issuer(section, owner)).collect();
    auth.finish();
    issuers
}

fn issuer(section: Section<'_>, owner: Owner) -> Option<Issuer> {
    let cx = section.cx;
    let name = section.need("issuer", values::line);
    if let Some(name) = &name {
        cx.claim(Unique::Issuer, name, "an issuer", &section.spot("issuer"));
    }
    let audience = section.need("audience", values::line);
    let audience_claim = section.need("audience_claim", |text| {
        values::one_of(text, &[("aud", "aud"), ("azp", "azp"), ("client_id", "client_id")])
    });
    let keys = keys(&section);
    let algorithms = algorithms(&section, keys.as_ref());
    let trust_email = section.flag("trust_email");
    let subject_prefix = subject_prefix(&section, owner);
    let system_admin_claim = system_admin_claim(&section, owner);
    let [email_claim, email_verified_claim, name_claim] =
        ["email_claim", "email_verified_claim", "name_claim"].map(|key| section.need(key, values::line));
    section.finish();
    Some(Issuer {
        issuer: name?,
        audience: audience?,
        audience_claim: audience_claim?.to_owned(),
        algorithms: algorithms?,
        keys: keys?,
        trust_email: trust_email?,
        subject_prefix: subject_prefix?,
        system_admin_claim,
        email_claim: email_claim?,
        email_verified_claim: email_verified_claim?,
        name_claim: name_claim?,
        tenant: match owner {
            Owner::Server => None,
            Owner::Tenant(id) => Some(id?),
        },
    })
}

fn keys(section: &Section<'_>) -> Option<IssuerKeys> {
    const ONE: &str =
        "needs exactly one of `hs256_secret`, `hs256_secret_file`, `jwks_url`, `public_key_file`";
    let cx = section.cx;
    let named = ["hs256_secret", "hs256_secret_file", "jwks_url", "public_key_file"]
        .into_iter()
        .filter(|key| section.node(key).is_some())
        .collect::<Vec<_>>();
    let [only] = named.as_slice() else {
        // which key is at fault is not for us to say
        section.spot.problem(cx, ONE);
        return None;
    };
    match *only {
        "jwks_url" => section.maybe("jwks_url", |text| jwks_url(cx, text, &section.spot("jwks_url"))),
        "public_key_file" => {
            let (pem, spot) = text_of_file(section, "public_key_file", Confidential::No)?;
            if pem.contains("PRIVATE KEY") {
                spot.problem(cx, "names a private key; usher wants the public one");
                return None;
            }
            Some(IssuerKeys::PublicKeyPem(pem))
        }
        _ => {
            let (text, spot) = text_or_file(section, "hs256_secret", "hs256_secret_file")?;
            Some(IssuerKeys::Hs256(SecretString::from(shared_secret(cx, text, &spot)?)))
        }
    }
}

fn jwks_url(cx: &Context, text: &str, spot: &Spot) -> Result<IssuerKeys, String> {
    let url = values::web_url(text)?;
    if url.scheme() == "http"
        && !url.host_str().is_some_and(|host| is_loopback(host.trim_matches(['[', ']'])))
    {
        cx.warn(spot, "is not https: whoever sits between can put their own keys in");
    }
    Ok(IssuerKeys::JwksUrl(text.to_owned()))
}

/// The algorithms asked for, or the usual one; each has to fit the kind of key.
fn algorithms(section: &Section<'_>, keys: Option<&IssuerKeys>) -> Option<Vec<Algorithm>> {
    let listed = section.list("algorithms", |text| {
        Algorithm::from_str(text).map_err(|_| {
            let near = crate::domain::nearest::did_you_mean(text, ALGORITHMS.into_iter());
            format!("is not an algorithm like HS256, RS256, ES256, EdDSA{near}")
        })
    });
    let keys = keys?;
    if section.node("algorithms").is_none() {
        return match keys {
            IssuerKeys::Hs256(_) => Some(vec![Algorithm::HS256]),
            IssuerKeys::JwksUrl(_) => Some(vec![Algorithm::RS256]),
            IssuerKeys::PublicKeyPem(_) => {
                section.problem("algorithms", "is missing: name the algorithm of the public key");
                None
            }
        };
    }
    if listed.is_empty() {
        section.problem("algorithms", "must name at least one algorithm");
        return None;
    }
    let fitting = listed.into_iter().filter_map(|(algorithm, spot)| {
        match misfit(algorithm, keys) {
            Some(what) => spot.problem(section.cx, what),
            None => return Some(algorithm),
        }
        None
    });
    Some(fitting.collect())
}

fn misfit(algorithm: Algorithm, keys: &IssuerKeys) -> Option<&'static str> {
    let family = algorithm.family();
    match keys {
        IssuerKeys::Hs256(_) => (algorithm != Algorithm::HS256)
            .then_some("does not go with `hs256_secret`, which is for HS256 only"),
        IssuerKeys::JwksUrl(_) => (family == AlgorithmFamily::Hmac)
            .then_some("is a shared-secret algorithm, for which a key set must not be used"),
        IssuerKeys::PublicKeyPem(pem) => {
            let read = match family {
                AlgorithmFamily::Hmac => {
                    return Some("is a shared-secret algorithm; a public key is no secret");
                }
                AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem.as_bytes()),
                AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem.as_bytes()),
                AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem.as_bytes()),
            };
            read.is_err().then_some("does not fit: `public_key_file` is no PEM public key of that kind")
        }
    }
}

fn subject_prefix(section: &Section<'_>, owner: Owner) -> Option<String> {
    let cx = section.cx;
    let prefix = section.need("subject_prefix", |text| {
        if text.is_empty() { Ok(String::new()) } else { values::line(text) }
    })?;
    let spot = section.spot("subject_prefix");
    if prefix.is_empty() {
        if matches!(owner, Owner::Tenant(_)) {
            spot.problem(cx, "must not be empty for a tenant's issuer, or its subjects could be anybody");
        }
        return Some(prefix);
    }
    let meets = cx
        .first_taken(Unique::SubjectPrefix, |other| other.starts_with(&prefix) || prefix.starts_with(other));
    match meets {
        Some(first) => spot.problem(
            cx,
            format!(
                "equals or begins {} ({}), or the other way round, so two people could get one user id",
                first.as_what, first.origin
            ),
        ),
        None => cx.claim(Unique::SubjectPrefix, &prefix, "the subject_prefix of another issuer", &spot),
    }
    Some(prefix)
}

fn system_admin_claim(section: &Section<'_>, owner: Owner) -> Option<(String, String)> {
    let claim = section.maybe("system_admin_claim", |text| {
        text.split_once('=')
            .filter(|(claim, value)| !claim.trim().is_empty() && !value.trim().is_empty())
            .map(|(claim, value)| (claim.trim().to_owned(), value.trim().to_owned()))
            .ok_or_else(|| "is not a claim and its value like role=system_admin".to_owned())
    })?;
    if matches!(owner, Owner::Tenant(_)) {
        section.problem(
            "system_admin_claim",
            "is for issuers in usher.toml only: a tenant makes no system admins",
        );
    }
    Some(claim)
}
