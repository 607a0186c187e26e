//! Where a list goes on: the key and id of the last row shown, opaque and signed, so that nobody can ask a list
//! to begin where it never ended, and bound to the list it came from, so that it is of no use in another.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::InviteId;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::domain::{MasterKey, MasterKeys};

/// Longest cursor looked at; an address of 254 bytes fits.
const MAX_LENGTH: usize = 1024;
/// Bytes of the signature.
const SIGNATURE: usize = 16;

/// What a list is ordered by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// A time or another number.
    Number(i64),
    /// A text.
    Text(String),
}

/// The last row shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// What it is ordered by.
    #[serde(rename = "k")]
    pub key: Key,
    /// Its id, where several have the same key.
    #[serde(rename = "i")]
    pub id: InviteId,
}

/// The cursor for this place in the list that `list` describes.
#[must_use]
pub fn seal(keys: &MasterKeys, list: &str, place: &Place) -> Option<String> {
    let payload = serde_json::to_vec(place).ok()?;
    let signature = sign(keys.active(), list, &payload)?;
    Some(URL_SAFE_NO_PAD.encode([payload, signature].concat()))
}

/// The place a cursor names; `None` if it is not one of this list.
#[must_use]
pub fn open(keys: &MasterKeys, list: &str, text: &str) -> Option<Place> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (payload, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE)?)?;
    let genuine = keys
        .all()
        .filter_map(|key| sign(key, list, payload))
        .any(|expected| expected.ct_eq(signature).into());
    if genuine { serde_json::from_slice(payload).ok() } else { None }
}

fn sign(key: &MasterKey, list: &str, payload: &[u8]) -> Option<Vec<u8>> {
    let secret = key.derive(b"usher list cursor", &[b"usher cursor v1"])?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).ok()?;
    mac.update(&u64::try_from(list.len()).ok()?.to_be_bytes());
    mac.update(list.as_bytes());
    mac.update(payload);
    Some(mac.finalize().into_bytes().iter().take(SIGNATURE).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(active: &str) -> MasterKeys {
        let all = vec![MasterKey::new("k1", [1; 32]).unwrap(), MasterKey::new("k2", [2; 32]).unwrap()];
        MasterKeys::new(active, all).unwrap()
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_only_and_outlives_a_rotation() {
        for key in [Key::Number(-5), Key::Text("ä@example.com".into())] {
            let place = Place { key, id: InviteId::new() };
            let text = seal(&keys("k1"), "list", &place).unwrap();
            assert_eq!(open(&keys("k2"), "list", &text), Some(place));
            assert_eq!(open(&keys("k1"), "another list", &text), None);
            let gone = MasterKeys::new("k2", vec![MasterKey::new("k2", [2; 32]).unwrap()]).unwrap();
            assert_eq!(open(&gone, "list", &text), None);
        }
    }

    #[test]
    fn no_edited_cursor_is_taken() {
        let place = Place { key: Key::Number(7), id: InviteId::new() };
        let text = seal(&keys("k1"), "list", &place).unwrap();
        for at in 0..text.len() {
            let mut edited = text.clone().into_bytes();
            edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
            let edited = String::from_utf8(edited).unwrap();
            assert!(edited == text || open(&keys("k1"), "list", &edited).is_none(), "{at}");
        }
        for bad in ["", "A", "AAAA", &"A".repeat(2000), &format!("{text}A"), "garbage", "%ff"] {
            assert_eq!(open(&keys("k1"), "list", bad), None, "{bad}");
        }
    }
}
