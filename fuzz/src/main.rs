//! What reads other people's text, under made-up input. One program for all targets, which is linked once;
//! `USHER_FUZZ_TARGET` names the one that is meant. Each target is a file that says what must hold besides not
//! panicking. `fuzz/run` builds and runs it.

#![no_main]

mod config;
mod cursor;
mod email;
mod forwarded;
mod host;
mod mail;
mod token;

use std::sync::LazyLock;

use usher::domain::{MasterKey, MasterKeys};

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| match std::env::var("USHER_FUZZ_TARGET").as_deref() {
    Ok("cursor") => cursor::run,
    Ok("config") => config::run,
    Ok("email") => email::run,
    Ok("forwarded") => forwarded::run,
    Ok("host") => host::run,
    Ok("mail") => mail::run,
    Ok("token") => token::run,
    _ => panic!("USHER_FUZZ_TARGET names no target"),
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));

/// Two master keys, the first of which signs.
fn keys() -> MasterKeys {
    let all = [("k1", 1), ("k2", 2)].map(|(id, byte)| MasterKey::new(id, [byte; 32]).unwrap());
    MasterKeys::new("k1", all.to_vec()).unwrap()
}

/// Changes a text by pairs of place and byte; `None` if what comes out is the same, or no text.
fn edited(text: &str, edits: &[u8]) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    for edit in edits.chunks_exact(2) {
        let at = usize::from(edit[0]) % (bytes.len() + 1);
        if at == bytes.len() { bytes.push(edit[1]) } else { bytes[at] = edit[1] }
    }
    String::from_utf8(bytes).ok().filter(|changed| changed != text)
}
