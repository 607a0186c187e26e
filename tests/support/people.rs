//! Who calls: people with the JWT that their issuer would give them, claim by claim, and API keys.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};
use usher::domain::Clock;

use super::setup::{GLOBEX_ISSUER, ISSUER};

/// What can be presented as a bearer token.
pub trait Credential {
    /// The text after `Bearer `.
    fn bearer(&self) -> String;
}

impl Credential for str {
    fn bearer(&self) -> String {
        self.to_owned()
    }
}

impl Credential for String {
    fn bearer(&self) -> String {
        self.clone()
    }
}

/// Somebody with a JWT of one of the configured issuers.
#[derive(Clone, Debug)]
pub struct Person {
    claims: Map<String, Value>,
    secret: &'static str,
    algorithm: Algorithm,
}

/// Somebody of the server's issuer with this verified address; the subject follows from the address.
pub fn person(email: &str) -> Person {
    Person::of(ISSUER, email)
}

/// Somebody of globex's own issuer.
pub fn globex_person(email: &str) -> Person {
    Person::of(GLOBEX_ISSUER, email)
}

/// The configured owner of acme.
pub fn acme_owner() -> Person {
    person("owner@acme.test")
}

/// The configured owner of globex, of globex's own issuer.
pub fn globex_owner() -> Person {
    globex_person("owner@globex.test")
}

impl Person {
    /// Somebody of an issuer and its secret.
    pub fn of((issuer, secret): (&str, &'static str), email: &str) -> Self {
        let local = email.split('@').next().unwrap_or_default();
        let claims = json!({
            "iss": issuer,
            "aud": "usher",
            "sub": format!("u-{}", email.replace('@', "-at-")),
            "exp": Clock::wall().0 / 1000 + 3600,
            "email": email,
            "email_verified": true,
            "name": format!("Name of {local}"),
        });
        Self { claims: claims.as_object().unwrap().clone(), secret, algorithm: Algorithm::HS256 }
    }

    /// With a claim of any JSON value.
    pub fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(claim.to_owned(), value.into());
        self
    }

    /// Without a claim.
    pub fn without(mut self, claim: &str) -> Self {
        self.claims.remove(claim);
        self
    }

    /// Signed with another secret than the issuer's.
    pub fn signed_with(mut self, secret: &'static str) -> Self {
        self.secret = secret;
        self
    }

    /// Signed with another HMAC than HS256.
    pub fn signed_as(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The address.
    pub fn email(&self) -> &str {
        self.claims.get("email").and_then(Value::as_str).unwrap_or_default()
    }

    /// The id on the wire.
    pub fn user_id(&self) -> String {
        let sub = self.claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        let prefix = if self.claims.get("iss") == Some(&GLOBEX_ISSUER.0.into()) { "globex:" } else { "" };
        format!("{prefix}{sub}")
    }

    /// The display name.
    pub fn name(&self) -> &str {
        self.claims.get("name").and_then(Value::as_str).unwrap_or_default()
    }
}

impl Credential for Person {
    fn bearer(&self) -> String {
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        jsonwebtoken::encode(&Header::new(self.algorithm), &self.claims, &key).unwrap()
    }
}
