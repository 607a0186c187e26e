//! The issuers in force, compiled from the settings: looked up by the exact text of `iss`, each with its keys at
//! hand or the address of its key set. Made anew at every reload, all or nothing; its generation is part of the
//! key of every cached verdict, so a reload forgets them all.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use entity::UserId;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use secrecy::ExposeSecret;

use super::keys::VerifyingKey;
use crate::config::settings::{Issuer, IssuerKeys, Settings};

static GENERATION: AtomicU64 = AtomicU64::new(1);

/// Every issuer that may speak, for the server or for one tenant.
pub struct Trust {
    issuers: HashMap<String, Arc<TrustedIssuer>>,
    admins: HashSet<UserId>,
    key_prefix: String,
    generation: u64,
}

/// One issuer with its keys.
pub(super) struct TrustedIssuer {
    pub(super) settings: Issuer,
    pub(super) keys: IssuerKeySource,
}

/// Where the keys of an issuer are.
pub(super) enum IssuerKeySource {
    /// In the configuration.
    Fixed(VerifyingKey),
    /// At this address.
    Url(String),
}

/// An issuer that cannot be used as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("issuer {issuer}: {why}")]
pub struct BadIssuer {
    /// Its name.
    pub issuer: String,
    /// What is wrong, for the operator.
    pub why: &'static str,
}

impl Trust {
    /// Compiles the issuers of the server and of all tenants.
    ///
    /// # Errors
    /// [`BadIssuer`] for a key that cannot be read, and for one name configured twice.
    pub fn compile(settings: &Settings) -> Result<Self, BadIssuer> {
        let mut issuers = HashMap::new();
        let of_tenants = settings.tenants.iter().flat_map(|tenant| &tenant.issuers);
        for issuer in settings.issuers.iter().chain(of_tenants) {
            let bad = |why| BadIssuer { issuer: issuer.issuer.clone(), why };
            let keys = match &issuer.keys {
                IssuerKeys::Hs256(secret) => {
                    IssuerKeySource::Fixed(VerifyingKey::of_secret(secret.expose_secret().as_bytes()))
                }
                IssuerKeys::PublicKeyPem(pem) => {
                    IssuerKeySource::Fixed(VerifyingKey::of_pem(pem).map_err(bad)?)
                }
                IssuerKeys::JwksUrl(url) => IssuerKeySource::Url(url.clone()),
            };
            let fits = |alg: &Algorithm| match &keys {
                IssuerKeySource::Fixed(key) => key.allows(*alg),
                // symmetric keys are never taken from a URL
                IssuerKeySource::Url(_) => alg.family() != AlgorithmFamily::Hmac,
            };
            if !issuer.algorithms.iter().any(fits) {
                return Err(bad("none of its algorithms fits its keys"));
            }
            let compiled = Arc::new(TrustedIssuer { settings: issuer.clone(), keys });
            if issuers.insert(issuer.issuer.clone(), compiled).is_some() {
                return Err(bad("is configured twice"));
            }
        }
        Ok(Self {
            issuers,
            admins: settings.admins.iter().cloned().collect(),
            key_prefix: settings.api_keys.prefix.clone(),
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// The issuer of exactly this name.
    pub(super) fn issuer(&self, iss: &str) -> Option<&Arc<TrustedIssuer>> {
        self.issuers.get(iss)
    }

    /// Whether a user of this issuer is listed as a system admin. Only server-level issuers can reach that.
    pub(super) fn lists_admin(&self, issuer: &str, user: &UserId) -> bool {
        self.issuer(issuer).is_some_and(|issuer| issuer.settings.tenant.is_none())
            && self.admins.contains(user)
    }

    /// Addresses of the key sets in use.
    pub(super) fn key_set_urls(&self) -> HashSet<&str> {
        self.issuers
            .values()
            .filter_map(|issuer| match &issuer.keys {
                IssuerKeySource::Url(url) => Some(url.as_str()),
                IssuerKeySource::Fixed(_) => None,
            })
            .collect()
    }

    /// What every API key begins with.
    pub(super) fn key_prefix(&self) -> &str {
        &self.key_prefix
    }

    /// Differs between any two compilations.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }
}
