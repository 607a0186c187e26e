//! How API keys look: the common prefix, `u_`, 32 characters of base32 (160 random bits), and six of checksum,
//! URL-safe throughout. A mistyped or made-up key is told by its checksum, without asking the database. Only
//! the SHA-256 of the whole key is ever stored: with so much randomness a slow hash would add nothing.

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::domain::{Refusal, random};

/// What follows the common prefix; no other kind is minted.
const KIND: &str = "u_";
const SECRET: usize = 32;
const CHECKSUM: usize = 6;
/// Characters of a key that may be shown again.
const SHOWN: usize = 12;
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// SHA-256 of a whole key: what its row is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// A key just made. Its text exists nowhere else.
#[derive(Debug)]
pub struct MintedKey {
    /// The whole key, shown once.
    pub plaintext: SecretString,
    /// Its first 12 characters, for telling keys apart.
    pub prefix: String,
    /// What is stored.
    pub hash: KeyHash,
}

/// Makes a key with this common prefix (`msk_`).
///
/// # Errors
/// [`Refusal::Internal`] without randomness.
pub fn mint(common_prefix: &str) -> Result<MintedKey, Refusal> {
    let secret: [u8; 20] = random::bytes()?;
    let mut key = format!("{common_prefix}{KIND}");
    push_base32(&mut key, &secret);
    let sum = checksum(&key);
    key.push_str(&sum);
    let hash = hash(&key);
    Ok(MintedKey { prefix: key.chars().take(SHOWN).collect(), plaintext: SecretString::from(key), hash })
}

/// Whether a credential is an API key and not a token: by its prefix alone.
#[must_use]
pub fn is_key(credential: &str, common_prefix: &str) -> bool {
    credential.starts_with(common_prefix)
}

/// The hash of a well-formed key; `None` for anything mistyped, cut or made up.
#[must_use]
pub fn parse(credential: &str, common_prefix: &str) -> Option<KeyHash> {
    let rest = credential.strip_prefix(common_prefix)?.strip_prefix(KIND)?;
    if rest.len() != SECRET + CHECKSUM {
        return None;
    }
    let (secret, sum) = rest.split_at_checked(SECRET)?;
    let whole = credential.get(..credential.len() - CHECKSUM)?;
    (secret.bytes().all(|b| BASE32.contains(&b)) && checksum(whole) == sum).then(|| hash(credential))
}

fn hash(key: &str) -> KeyHash {
    KeyHash(Sha256::digest(key.as_bytes()).into())
}

/// Six digits of base 62 from the SHA-256 of what precedes them.
fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut number = digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut digits = String::with_capacity(CHECKSUM);
    for _ in 0..CHECKSUM {
        digits.extend(BASE62.get((number % 62) as usize).map(|digit| char::from(*digit)));
        number /= 62;
    }
    digits
}

/// Five bits a character; 20 bytes need no padding.
fn push_base32(text: &mut String, bytes: &[u8]) {
    let (mut bits, mut held) = (0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.extend(BASE32.get((bits >> held & 31) as usize).map(|digit| char::from(*digit)));
        }
    }
}
