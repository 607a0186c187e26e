//! Issuers with keys made for the run: one of each algorithm that most issuers use.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use entity::Millis;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

const SECRET: &str = "a-secret-of-the-bench-that-is-more-than-32-bytes";

/// An issuer and its key.
pub struct Signer {
    pub algorithm: Algorithm,
    key: EncodingKey,
    /// PEM of the public key; none for a secret.
    pub public: Option<String>,
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

impl Signer {
    /// One of each, in this order everywhere.
    pub fn all() -> [Self; 3] {
        [Self::hs256(), Self::rs256(), Self::es256()]
    }

    fn hs256() -> Self {
        Self { algorithm: Algorithm::HS256, key: EncodingKey::from_secret(SECRET.as_bytes()), public: None }
    }

    fn rs256() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let key = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes()).unwrap();
        let public = pem("RSA PUBLIC KEY", pair.public_key().as_ref());
        Self { algorithm: Algorithm::RS256, key, public: Some(public) }
    }

    fn es256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        Self { algorithm: Algorithm::ES256, key, public: Some(pem("PUBLIC KEY", public.as_ref())) }
    }

    pub fn name(&self) -> String {
        format!("https://{:?}.bench.test", self.algorithm).to_ascii_lowercase()
    }

    /// Who the tokens of this issuer are for: known to the database.
    pub fn subject(&self) -> String {
        format!("person-of-{:?}", self.algorithm)
    }

    /// The `[[auth.issuers]]` of it; a public key lies in a file of this directory.
    pub fn configured(&self, home: &std::path::Path) -> String {
        let key = match &self.public {
            None => format!("hs256_secret = \"{SECRET}\""),
            Some(pem) => {
                let file = home.join(format!("{:?}.pem", self.algorithm));
                std::fs::write(&file, pem).unwrap();
                format!("public_key_file = \"{}\"", file.display())
            }
        };
        format!(
            "[[auth.issuers]]\nissuer = \"{}\"\naudience = \"usher\"\nalgorithms = [\"{:?}\"]\n{key}\n",
            self.name(),
            self.algorithm
        )
    }

    /// `Bearer` and a token for an hour.
    pub fn bearer(&self, now: Millis) -> String {
        let subject = self.subject();
        let seconds = now.0 / 1000;
        let claims = json!({
            "iss": self.name(), "aud": "usher", "sub": subject, "email": format!("{subject}@example.test"),
            "email_verified": true, "iat": seconds, "exp": seconds + 3600,
        });
        format!("Bearer {}", jsonwebtoken::encode(&Header::new(self.algorithm), &claims, &self.key).unwrap())
    }
}
