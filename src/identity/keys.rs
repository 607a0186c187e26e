//! Keys that verify signatures. Each is bound to the algorithms that its own kind allows; what a token's header
//! asks for is only compared with that, never followed. One JWK, one PEM or one shared secret becomes one key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Longest key id looked at, in bytes.
pub(super) const MAX_KID: usize = 256;

/// One key and what it may verify.
#[derive(Clone)]
pub(super) struct VerifyingKey {
    kid: Option<String>,
    algorithms: &'static [Algorithm],
    /// the only algorithm, where the key's own record names one
    only: Option<Algorithm>,
    key: DecodingKey,
}

const HMAC: &[Algorithm] = &[Algorithm::HS256];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const ED25519: &[Algorithm] = &[Algorithm::EdDSA];

/// A JWK as far as it matters here. Everything is optional: a set may hold keys of kinds not known.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl VerifyingKey {
    /// A shared secret: HS256 and nothing else.
    pub(super) fn of_secret(secret: &[u8]) -> Self {
        Self { kid: None, algorithms: HMAC, only: None, key: DecodingKey::from_secret(secret) }
    }

    /// A public key in PEM.
    ///
    /// # Errors
    /// Says what is wrong with it, for the operator.
    pub(super) fn of_pem(pem: &str) -> Result<Self, &'static str> {
        if pem.contains("PRIVATE KEY") {
            return Err("its key file holds a private key; give the public one");
        }
        let bytes = pem.as_bytes();
        let tagged = |algorithms, key| Self { kid: None, algorithms, only: None, key };
        if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
            // an uncompressed point tells its curve by its length
            return match key.try_get_as_bytes().map(<[u8]>::len) {
                Ok(65) => Ok(tagged(P256, key)),
                Ok(97) => Ok(tagged(P384, key)),
                _ => Err("its key is on no supported curve (P-256 or P-384)"),
            };
        }
        if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
            return Ok(tagged(ED25519, key));
        }
        let key = DecodingKey::from_rsa_pem(bytes)
            .map_err(|_| "its key file holds no RSA, EC or Ed25519 public key in PEM")?;
        // modulus and exponent in DER: a key of 2048 bits never needs less, and verification refuses the rest
        if key.try_get_as_bytes().map_or(0, <[u8]>::len) < 256 {
            return Err("its RSA key is shorter than 2048 bits");
        }
        Ok(tagged(RSA, key))
    }

    /// A key of a fetched set; `None` for what must not verify anything: symmetric keys (everybody can read
    /// them), keys for encryption, RSA below 2048 bits, unknown kinds and curves, malformed parts.
    pub(super) fn of_jwk(jwk: &Value) -> Option<Self> {
        let jwk = Jwk::deserialize(jwk).ok()?;
        let verifies = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !verifies || jwk.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return None;
        }
        let (algorithms, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => (RSA, rsa(jwk.n.as_deref()?, jwk.e.as_deref()?)?),
            ("EC", Some("P-256")) => (P256, point(jwk.x.as_deref()?, jwk.y.as_deref()?, 32)?),
            ("EC", Some("P-384")) => (P384, point(jwk.x.as_deref()?, jwk.y.as_deref()?, 48)?),
            ("OKP", Some("Ed25519")) => {
                let x = URL_SAFE_NO_PAD.decode(jwk.x.as_deref()?).ok().filter(|x| x.len() == 32)?;
                (ED25519, DecodingKey::from_ed_der(&x))
            }
            _ => return None,
        };
        let only = match jwk.alg.as_deref() {
            // the newer name of the same thing
            Some("Ed25519") => Some(Algorithm::EdDSA),
            Some(name) => Some(name.parse().ok()?),
            None => None,
        };
        (only.is_none_or(|alg| algorithms.contains(&alg))).then_some(Self {
            kid: jwk.kid,
            algorithms,
            only,
            key,
        })
    }

    /// Whether this key may verify this algorithm at all.
    pub(super) fn allows(&self, alg: Algorithm) -> bool {
        self.algorithms.contains(&alg) && self.only.is_none_or(|only| only == alg)
    }

    /// Whether a token that names this key (or none) means this one.
    pub(super) fn is_named(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.kid.as_deref() == Some(kid))
    }

    /// Whether the signature is this key's, by an algorithm that it allows.
    pub(super) fn verifies(&self, alg: Algorithm, signed: &str, signature: &str) -> bool {
        self.allows(alg)
            && jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.key, alg).unwrap_or(false)
    }
}

/// An RSA key of 2048 to 8192 bits.
fn rsa(n: &str, e: &str) -> Option<DecodingKey> {
    let modulus = URL_SAFE_NO_PAD.decode(n).ok()?;
    let exponent = URL_SAFE_NO_PAD.decode(e).ok()?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus = modulus.get(zeros..)?;
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    (2048..=8192).contains(&bits).then(|| DecodingKey::from_rsa_raw_components(modulus, &exponent))
}

/// A point of a curve whose coordinates have so many bytes.
fn point(x: &str, y: &str, size: usize) -> Option<DecodingKey> {
    let sized = |part: &str| URL_SAFE_NO_PAD.decode(part).is_ok_and(|bytes| bytes.len() == size);
    (sized(x) && sized(y)).then(|| DecodingKey::from_ec_components(x, y).ok()).flatten()
}
