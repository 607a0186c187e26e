//! `Idempotency-Key`: what makes two requests the same one, under which id their answer is kept, and how it is
//! sealed. An answer may hold a link or a new API key, so it is encrypted under a key that needs both a master
//! key of the configuration and the header's own text, of which only a hash is ever stored.

use std::fmt;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use entity::TenantId;
use sha2::{Digest, Sha256};

use super::{MasterKey, MasterKeys, Refusal, random};

/// Longest key in characters.
const MAX_LENGTH: usize = 255;

/// The value of the header: a secret, because an answer can be had again with it. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads a header's value.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`] unless it is 1 to 255 visible ASCII characters.
    pub fn parse(value: &[u8]) -> Result<Self, Refusal> {
        let text = str::from_utf8(value).ok().filter(|text| {
            (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        });
        let text = text.ok_or_else(|| {
            Refusal::BadRequest("Idempotency-Key must be 1 to 255 visible ASCII characters".into())
        })?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey")
    }
}

/// A request that may come again: the same key, from the same caller, for the same thing. `Debug` shows nothing of
/// it.
#[derive(Clone)]
pub struct Repeatable {
    /// The header.
    pub key: IdempotencyKey,
    /// Whose credential.
    pub caller: String,
    /// HTTP method.
    pub method: String,
    /// Path with its ids. It may hold a link's token, and is only ever hashed.
    pub path: String,
    /// SHA-256 of the body as it came.
    pub body: [u8; 32],
    /// How long its answer is kept, in milliseconds.
    pub kept: i64,
}

impl fmt::Debug for Repeatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Repeatable")
    }
}

impl Repeatable {
    /// What its answer is kept under in this tenant: a hash, from which neither key nor token can be had.
    #[must_use]
    pub fn record_id(&self, tenant: TenantId) -> [u8; 32] {
        let mut id = Sha256::new_with_prefix(b"usher/idempotency/v1");
        let key = Sha256::digest(self.key.0.as_bytes());
        let parts = [tenant.0.as_bytes().as_slice(), self.caller.as_bytes(), self.method.as_bytes()];
        for part in parts.into_iter().chain([self.path.as_bytes(), key.as_slice()]) {
            // each with its length, so that no two lists of parts read alike
            id.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            id.update(part);
        }
        id.finalize().into()
    }

    /// Seals the body of its answer, bound to the record and the status.
    ///
    /// # Errors
    /// [`Refusal::Internal`] without randomness.
    pub fn seal(
        &self,
        keys: &MasterKeys,
        record: &[u8],
        status: i32,
        body: Vec<u8>,
    ) -> Result<Sealed, Refusal> {
        let (master, salt, mut text) = (keys.active(), random::bytes::<32>()?, body);
        let sealing = self.sealing_key(master, &salt).ok_or(Refusal::Internal)?;
        sealing
            .seal_in_place_append_tag(only_nonce(), bound_to(record, status), &mut text)
            .map_err(|_| Refusal::Internal)?;
        Ok(Sealed { kid: master.id().to_owned(), salt: salt.to_vec(), text })
    }

    /// Opens the body of an answer; `None` if the master key is gone or another one, or anything was altered.
    #[must_use]
    pub fn open(&self, keys: &MasterKeys, record: &[u8], status: i32, sealed: Sealed) -> Option<Vec<u8>> {
        let sealing = self.sealing_key(keys.get(&sealed.kid)?, &sealed.salt)?;
        let mut text = sealed.text;
        let length = sealing.open_in_place(only_nonce(), bound_to(record, status), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    fn sealing_key(&self, master: &MasterKey, salt: &[u8]) -> Option<LessSafeKey> {
        let key = master.derive(salt, &[b"usher/idempotency/v1\0", self.key.0.as_bytes()])?;
        Some(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).ok()?))
    }
}

/// An answer's body as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Master key it was sealed under.
    pub kid: String,
    /// Salt of its own sealing key.
    pub salt: Vec<u8>,
    /// Ciphertext with its tag.
    pub text: Vec<u8>,
}

/// Every record has a key of its own, by its salt, so each is used with one nonce.
fn only_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// What a sealed body is bound to, besides its key.
fn bound_to(record: &[u8], status: i32) -> Aad<Vec<u8>> {
    Aad::from([record, &status.to_be_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(active: &str) -> MasterKeys {
        let all = vec![MasterKey::new("k1", [7; 32]).unwrap(), MasterKey::new("k0", [8; 32]).unwrap()];
        MasterKeys::new(active, all).unwrap()
    }

    fn request(key: &str) -> Repeatable {
        Repeatable {
            key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
            caller: "person alice".into(),
            method: "POST".into(),
            path: "/api/v1/tenants/acme/invites".into(),
            body: [1; 32],
            kept: 60_000,
        }
    }

    #[test]
    fn a_key_is_1_to_255_visible_characters() {
        for fine in ["a", "9f2c-17d0", "\"quoted\"", "~!", &"x".repeat(255)] {
            assert!(IdempotencyKey::parse(fine.as_bytes()).is_ok(), "{fine}");
        }
        for bad in ["", " ", "a b", "a\tb", "ä", "a\u{7f}", &"x".repeat(256)] {
            assert!(matches!(IdempotencyKey::parse(bad.as_bytes()), Err(Refusal::BadRequest(_))), "{bad:?}");
        }
        assert!(IdempotencyKey::parse(&[0xff]).is_err());
    }

    #[test]
    fn a_record_belongs_to_one_tenant_caller_method_path_and_key() {
        let tenant = TenantId::new();
        let (one, id) = (request("a-key"), request("a-key").record_id(tenant));
        assert_eq!(id, Repeatable { body: [2; 32], ..one.clone() }.record_id(tenant), "the body is compared");
        for other in [
            request("another").record_id(tenant),
            one.record_id(TenantId::new()),
            Repeatable { caller: "person bob".into(), ..one.clone() }.record_id(tenant),
            Repeatable { method: "PUT".into(), ..one.clone() }.record_id(tenant),
            Repeatable { path: format!("{}/x", one.path), ..one.clone() }.record_id(tenant),
            // the same letters, divided otherwise
            Repeatable { caller: "person alic".into(), method: "ePOST".into(), ..one.clone() }
                .record_id(tenant),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn a_sealed_answer_opens_for_its_own_record_status_and_keys_only() {
        let (keys, tenant, body) = (keys("k1"), TenantId::new(), b"{\"key\":\"msk_u_x\"}".to_vec());
        let request = request("a-key");
        let record = request.record_id(tenant);
        let sealed = request.seal(&keys, &record, 201, body.clone()).unwrap();
        assert_eq!(sealed.kid, "k1");
        assert!(!sealed.text.windows(5).any(|part| part == b"msk_u"), "nothing is in clear");
        let again = request.seal(&keys, &record, 201, body.clone()).unwrap();
        assert_ne!(sealed.text, again.text, "every record has a salt of its own");

        let open =
            |keys, record: &[u8], status, sealed: &Sealed| request.open(keys, record, status, sealed.clone());
        assert_eq!(open(&keys, &record, 201, &sealed), Some(body.clone()));
        assert_eq!(open(&keys, &record, 200, &sealed), None, "another status");
        assert_eq!(open(&keys, &request.record_id(TenantId::new()), 201, &sealed), None, "another record");
        let other = super::tests::request("another");
        assert_eq!(other.open(&keys, &record, 201, sealed.clone()), None, "another Idempotency-Key");
        let other_salt = Sealed { salt: vec![0; 32], ..sealed.clone() };
        assert_eq!(open(&keys, &record, 201, &other_salt), None, "another salt");
        let other_kid = Sealed { kid: "k0".into(), ..sealed.clone() };
        assert_eq!(open(&keys, &record, 201, &other_kid), None, "another master key");
        let gone = MasterKeys::new("k2", vec![MasterKey::new("k2", [7; 32]).unwrap()]).unwrap();
        assert_eq!(open(&gone, &record, 201, &sealed), None, "its master key is gone");
        let stolen = MasterKeys::new("k1", vec![MasterKey::new("k1", [9; 32]).unwrap()]).unwrap();
        assert_eq!(open(&stolen, &record, 201, &sealed), None, "another secret under the same id");
        for at in 0..sealed.text.len() {
            let mut altered = sealed.clone();
            altered.text[at] ^= 1;
            assert_eq!(open(&keys, &record, 201, &altered), None, "altered at {at}");
        }
    }

    #[test]
    fn debug_shows_no_key_and_no_token_of_the_path() {
        let request = request("a-secret-key");
        assert_eq!(format!("{request:?} {:?}", request.key), "Repeatable IdempotencyKey");
    }
}
