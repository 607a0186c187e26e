//! The token of an invite link: a compact JWS that is derived, never stored. Its key comes from a master key
//! of the configuration and 32 random bytes of the row, so neither a database leak nor a key leak alone forges
//! a link, and the same link can be derived again for a resend. The payload names a row and a version and
//! nothing else: the row is the authority, the token proves the mailbox.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::{InviteId, TenantId};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::Scope;

/// Longest token looked at; ours have about 163 characters.
const MAX_LENGTH: usize = 256;

/// What a link key is derived for, besides what the token itself says.
#[derive(Clone, Copy)]
pub struct LinkRow<'a> {
    /// Tenant of the row.
    pub tenant: TenantId,
    /// Scope of the row.
    pub scope: Scope,
    /// Salt of the row.
    pub salt: &'a [u8],
    /// Master key the row was made with.
    pub kid: &'a str,
}

/// What a token says: one row, one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkClaims {
    /// The invite.
    #[serde(rename = "i")]
    pub id: InviteId,
    /// The version of its link.
    #[serde(rename = "v")]
    pub version: i32,
}

/// One master key: 32 secret bytes under an id.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    secret: [u8; 32],
    /// base64url of the header that this key's tokens carry, byte for byte
    header: String,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

impl MasterKey {
    /// A key; `None` if the id is not 1 to 16 of `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn new(id: &str, secret: [u8; 32]) -> Option<Self> {
        let fine = !id.is_empty()
            && id.len() <= 16
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{id}","typ":"inv"}}"#));
        fine.then(|| Self { id: id.to_owned(), secret, header })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A key for sealing, derived with a salt and further input; never the link keys' label.
    ///
    /// # Errors
    /// Never for 32 bytes; the length is fixed.
    #[must_use]
    pub fn derive(&self, salt: &[u8], info: &[&[u8]]) -> Option<[u8; 32]> {
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(Some(salt), &self.secret).expand_multi_info(info, &mut key).ok()?;
        Some(key)
    }
}

/// The master keys in force and which of them signs new links.
#[derive(Clone, Debug)]
pub struct MasterKeys {
    active: MasterKey,
    all: Arc<BTreeMap<String, MasterKey>>,
}

impl MasterKeys {
    /// All keys and the id of the active one; `None` if that id is not among them.
    #[must_use]
    pub fn new(active: &str, keys: Vec<MasterKey>) -> Option<Self> {
        let all: BTreeMap<String, MasterKey> = keys.into_iter().map(|key| (key.id.clone(), key)).collect();
        let active = all.get(active)?.clone();
        Some(Self { active, all: Arc::new(all) })
    }

    /// The key that signs new links.
    #[must_use]
    pub fn active(&self) -> &MasterKey {
        &self.active
    }

    /// The key of this id, if it is still live.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&MasterKey> {
        self.all.get(kid)
    }

    /// All live keys.
    pub fn all(&self) -> impl Iterator<Item = &MasterKey> {
        self.all.values()
    }

    /// The token of a row and version; `None` if the row's key is gone.
    #[must_use]
    pub fn mint(&self, row: LinkRow<'_>, claims: LinkClaims) -> Option<LinkToken> {
        let key = self.get(row.kid)?;
        let signed = signed_text(key, claims)?;
        let signature = URL_SAFE_NO_PAD.encode(sign(key, row, claims, &signed)?);
        Some(LinkToken { text: format!("{signed}.{signature}"), claims, kid: row.kid.to_owned() })
    }

    /// What the genuine token of a row and version is known by; `None` if the row's key is gone.
    #[must_use]
    pub fn genuine(&self, row: LinkRow<'_>, claims: LinkClaims) -> Option<Genuine> {
        let key = self.get(row.kid)?;
        let signature = sign(key, row, claims, &signed_text(key, claims)?)?;
        Some(Genuine { claims, kid: row.kid.to_owned(), signature })
    }

    /// Reads a token without trusting it: length, three canonical parts, a header equal to one we emit. What
    /// remains to be shown is the signature, for which the row is needed.
    #[must_use]
    pub fn parse(&self, text: &str) -> Option<LinkToken> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, body) = signed.split_once('.')?;
        let key = self.all.values().find(|key| key.header == header)?;
        let mut json = [0; MAX_LENGTH];
        let length = URL_SAFE_NO_PAD.decode_slice(body, &mut json).ok()?;
        let json = json.get(..length)?;
        let claims: LinkClaims = serde_json::from_slice(json).ok()?;
        // one spelling only: other JSON for the same claims is not ours, and base64 has but one for the same bytes
        (is_written_so(claims, json) && signature.len() == 43).then(|| LinkToken {
            text: text.to_owned(),
            claims,
            kid: key.id.clone(),
        })
    }

    /// Whether the token is genuine for this row: constant-time comparison of the whole signature.
    #[must_use]
    pub fn verify(&self, token: &LinkToken, row: LinkRow<'_>) -> bool {
        let Some(key) = self.get(row.kid).filter(|key| key.id == token.kid) else { return false };
        let Some((signed, _)) = token.text.rsplit_once('.') else { return false };
        sign(key, row, token.claims, signed).is_some_and(|expected| token.is_signed(&expected))
    }

    /// Does the work of [`MasterKeys::verify`] for a row that does not exist, so that timing tells nothing.
    pub fn verify_nothing(&self, token: &LinkToken) {
        let row = LinkRow {
            tenant: TenantId(uuid::Uuid::nil()),
            scope: Scope::Org,
            salt: &[0; 32],
            kid: &token.kid,
        };
        let _ = self.verify(token, row);
    }
}

/// A parsed or minted token. `Debug` shows only a fingerprint.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken {
    text: String,
    claims: LinkClaims,
    kid: String,
}

impl LinkToken {
    /// The text that stands in the link.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it says.
    #[must_use]
    pub fn claims(&self) -> LinkClaims {
        self.claims
    }

    /// Compares the whole signature in constant time.
    fn is_signed(&self, expected: &[u8; 32]) -> bool {
        let mut given = [0; 32];
        let signature = self.text.rsplit_once('.').map_or("", |(_, signature)| signature);
        // 43 characters, as parsed: nothing else decodes to as many bytes
        let whole = URL_SAFE_NO_PAD.decode_slice(signature, &mut given).is_ok_and(|length| length == 32);
        whole & bool::from(expected.ct_eq(&given))
    }

    /// First eight hex digits of its SHA-256: all that a log may show.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.text)
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkToken({})", self.fingerprint())
    }
}

/// What the genuine token of one row and version is known by: worth as much as the token, so it is kept in memory alone.
pub struct Genuine {
    claims: LinkClaims,
    kid: String,
    signature: [u8; 32],
}

impl Genuine {
    /// Whether this is that token.
    #[must_use]
    pub fn is(&self, token: &LinkToken) -> bool {
        self.claims == token.claims && self.kid == token.kid && token.is_signed(&self.signature)
    }
}

impl fmt::Debug for Genuine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Genuine({:?}, {})", self.claims, self.kid)
    }
}

/// First eight hex digits of the SHA-256 of a secret text.
#[must_use]
pub fn fingerprint(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().take(4).map(|b| format!("{b:02x}")).collect()
}

fn signed_text(key: &MasterKey, claims: LinkClaims) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).ok()?);
    Some(format!("{}.{payload}", key.header))
}

/// Whether these bytes are the claims as we write them.
fn is_written_so(claims: LinkClaims, json: &[u8]) -> bool {
    let mut ours = [0; MAX_LENGTH];
    let mut rest = ours.as_mut_slice();
    let written = serde_json::to_writer(&mut rest, &claims).is_ok();
    let length = MAX_LENGTH - rest.len();
    written && ours.get(..length) == Some(json)
}

fn sign(key: &MasterKey, row: LinkRow<'_>, claims: LinkClaims, signed: &str) -> Option<[u8; 32]> {
    let version = claims.version.to_be_bytes();
    let info: [&[u8]; 8] = [
        b"usher/invite/v1\0",
        row.tenant.0.as_bytes(),
        b"\0",
        row.scope.as_str().as_bytes(),
        b"\0",
        claims.id.0.as_bytes(),
        b"\0",
        &version,
    ];
    let link_key = key.derive(row.salt, &info)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&link_key).ok()?;
    mac.update(signed.as_bytes());
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::WorkspaceId;

    fn keys() -> MasterKeys {
        MasterKeys::new(
            "k1",
            vec![MasterKey::new("k1", [7; 32]).unwrap(), MasterKey::new("k0", [8; 32]).unwrap()],
        )
        .unwrap()
    }

    fn row(tenant: TenantId, salt: &[u8]) -> LinkRow<'_> {
        LinkRow { tenant, scope: Scope::Org, salt, kid: "k1" }
    }

    #[test]
    fn a_link_is_derived_again_byte_for_byte_and_verifies_only_with_row_and_key() {
        let (keys, tenant, salt) = (keys(), TenantId::new(), [3; 32]);
        let claims = LinkClaims { id: InviteId::new(), version: 1 };
        let token = keys.mint(row(tenant, &salt), claims).unwrap();
        assert!(token.as_str().starts_with("eyJ"));
        assert_eq!(token, keys.mint(row(tenant, &salt), claims).unwrap());
        let parsed = keys.parse(token.as_str()).unwrap();
        assert_eq!(parsed.claims(), claims);
        assert!(keys.verify(&parsed, row(tenant, &salt)));

        assert!(!keys.verify(&parsed, row(TenantId::new(), &salt)), "another tenant");
        assert!(!keys.verify(&parsed, row(tenant, &[4; 32])), "another salt: the key alone forges nothing");
        let other_scope = LinkRow { scope: Scope::Workspace(WorkspaceId::new()), ..row(tenant, &salt) };
        assert!(!keys.verify(&parsed, other_scope), "another scope");
        let other_key = LinkRow { kid: "k0", ..row(tenant, &salt) };
        assert!(!keys.verify(&parsed, other_key), "another master key");
        let stolen = MasterKeys::new("k1", vec![MasterKey::new("k1", [9; 32]).unwrap()]).unwrap();
        assert!(!stolen.verify(&parsed, row(tenant, &salt)), "the row alone forges nothing");
    }

    #[test]
    fn every_one_character_change_of_a_token_is_refused() {
        let (keys, tenant, salt) = (keys(), TenantId::new(), [3; 32]);
        let text =
            keys.mint(row(tenant, &salt), LinkClaims { id: InviteId::new(), version: 1 }).unwrap().text;
        for at in 0..text.len() {
            for with in ["A", "b", "9", "_", "-", ".", "=", "+"] {
                if &text[at..=at] == with {
                    continue;
                }
                let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
                let genuine =
                    keys.parse(&changed).is_some_and(|token| keys.verify(&token, row(tenant, &salt)));
                assert!(!genuine, "changed at {at}");
            }
            assert!(keys.parse(&text[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn only_the_header_we_emit_is_read() {
        let (keys, tenant, salt) = (keys(), TenantId::new(), [3; 32]);
        let text =
            keys.mint(row(tenant, &salt), LinkClaims { id: InviteId::new(), version: 1 }).unwrap().text;
        let rest = text.split_once('.').unwrap().1;
        for header in [
            r#"{"alg":"none","kid":"k1","typ":"inv"}"#,
            r#"{"alg":"HS256","kid":"k1","typ":"JWT"}"#,
            r#"{"alg":"HS256","kid":"k9","typ":"inv"}"#,
            r#"{"alg":"HS256","kid":"k1","typ":"inv","jku":"https://evil.test"}"#,
            r#"{ "alg":"HS256","kid":"k1","typ":"inv"}"#,
        ] {
            assert!(keys.parse(&format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))).is_none(), "{header}");
        }
    }

    #[test]
    fn a_genuine_token_is_known_again_and_nothing_else_is() {
        let (keys, tenant, salt) = (keys(), TenantId::new(), [3; 32]);
        let claims = LinkClaims { id: InviteId::new(), version: 2 };
        let genuine = keys.genuine(row(tenant, &salt), claims).unwrap();
        let minted = |row, claims| keys.mint(row, claims).unwrap();
        assert!(genuine.is(&keys.parse(&minted(row(tenant, &salt), claims).text).unwrap()));
        for other in [
            minted(row(tenant, &[4; 32]), claims),
            minted(row(TenantId::new(), &salt), claims),
            minted(LinkRow { kid: "k0", ..row(tenant, &salt) }, claims),
            minted(row(tenant, &salt), LinkClaims { version: 3, ..claims }),
            minted(row(tenant, &salt), LinkClaims { id: InviteId::new(), ..claims }),
        ] {
            assert!(!genuine.is(&keys.parse(&other.text).unwrap()), "{other:?}");
        }
        assert!(keys.genuine(LinkRow { kid: "k9", ..row(tenant, &salt) }, claims).is_none());
    }

    #[test]
    fn debug_shows_a_fingerprint_and_no_secret() {
        let (keys, tenant, salt) = (keys(), TenantId::new(), [3; 32]);
        let token = keys.mint(row(tenant, &salt), LinkClaims { id: InviteId::new(), version: 1 }).unwrap();
        let shown = format!("{token:?} {keys:?}");
        assert!(!shown.contains("eyJ") && !shown.contains('7'.to_string().repeat(3).as_str()), "{shown}");
    }
}
