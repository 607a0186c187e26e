//! Secrets, given in place or as a file. A file is read once, relative to the working directory, and loses one
//! trailing newline; a world-readable one is worth a warning. The published secrets of the example
//! configuration are known here, so that no server reachable by others can run with them.

use std::{os::unix::fs::PermissionsExt, path::Path};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::config::{
    problem::Problem,
    reader::{Context, Section, Spot},
};

/// Secrets that stand in the example configuration.
const PUBLISHED: [&[u8]; 2] =
    [b"0123456789abcdef0123456789abcdef", b"a-test-secret-that-is-at-least-32-bytes-long"];

/// Longest file that may hold a secret or a key, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// The text of a key, or of the file that its `_file` twin names; not both.
pub(super) fn text_or_file(
    section: &Section<'_>,
    key: &'static str,
    file_key: &'static str,
) -> Option<(String, Spot)> {
    let inline = section.maybe(key, |text| Ok(text.to_owned()));
    let from_file = text_of_file(section, file_key, Confidential::Yes);
    match (inline, from_file) {
        (Some(_), Some(_)) => {
            section.problem(file_key, format!("give only one of `{key}` and `{file_key}`"));
            None
        }
        (Some(text), None) => Some((text, section.spot(key))),
        (None, found) => found,
    }
}

/// Whether others on this machine may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Confidential {
    Yes,
    No,
}

/// The text of the file that a key names, without one trailing newline.
pub(super) fn text_of_file(
    section: &Section<'_>,
    key: &'static str,
    confidential: Confidential,
) -> Option<(String, Spot)> {
    let path = section.maybe(key, file_path)?;
    let spot = section.spot(key);
    let text =
        read(section.cx, &path, confidential, &spot).map_err(|what| spot.problem(section.cx, what)).ok()?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    Some((text.to_owned(), spot))
}

/// A path, as any text that is not empty.
pub(super) fn file_path(text: &str) -> Result<std::path::PathBuf, String> {
    if text.is_empty() || text.contains('\0') { Err("is not a path".to_owned()) } else { Ok(text.into()) }
}

fn read(cx: &Context, path: &Path, confidential: Confidential, spot: &Spot) -> Result<String, String> {
    cx.reads(path);
    let cannot = |error: std::io::Error| format!("cannot read {}: {}", path.display(), error.kind());
    let about = std::fs::metadata(path).map_err(cannot)?;
    if !about.is_file() || about.len() > LONGEST_FILE {
        return Err(format!("{} is no file of at most 64 KiB", path.display()));
    }
    if confidential == Confidential::Yes && about.permissions().mode() & 0o004 != 0 {
        cx.warn(
            spot,
            format_args!("{} can be read by everybody on this machine; chmod 600 it", path.display()),
        );
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    String::from_utf8(bytes).map_err(|_| format!("{} is not text", path.display()))
}

/// A master key: exactly 32 bytes in base64 of either alphabet, padded or not.
pub(super) fn master_secret(cx: &Context, text: &str, spot: &Spot) -> Option<[u8; 32]> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard = text.replace('-', "+").replace('_', "/");
    let bytes = GeneralPurpose::new(&alphabet::STANDARD, config).decode(standard).ok();
    let Some(secret) = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) else {
        spot.problem(cx, "must be 32 bytes in base64, as `openssl rand -base64 32` prints them");
        return None;
    };
    not_trivial(cx, &secret, spot)?;
    Some(secret)
}

/// A shared secret of an issuer: at least 32 bytes of text.
pub(super) fn shared_secret(cx: &Context, text: String, spot: &Spot) -> Option<String> {
    if text.len() < 32 {
        spot.problem(cx, "must have at least 32 bytes; shorter secrets can be guessed");
        return None;
    }
    not_trivial(cx, text.as_bytes(), spot)?;
    Some(text)
}

fn not_trivial(cx: &Context, secret: &[u8], spot: &Spot) -> Option<()> {
    if secret.windows(2).all(|pair| pair.first() == pair.last()) {
        spot.problem(cx, "is one byte repeated; use `openssl rand -base64 32`");
        return None;
    }
    if PUBLISHED.contains(&secret) {
        let what = "is the published secret of the example; a server that listens beyond loopback refuses it";
        cx.warn(spot, what);
        let place = spot.origin.to_string();
        cx.published.borrow_mut().push(Problem { place, key: Some(spot.key.clone()), what: what.to_owned() });
    }
    Some(())
}
