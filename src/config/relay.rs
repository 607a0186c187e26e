//! Reading the URL of a mail relay. Clear text only ever goes to loopback: without `?tls=` STARTTLS is
//! required of any other host, and `?tls=none` is refused for it.

use std::{net::IpAddr, path::PathBuf};

use reqwest::Url;

use crate::config::settings::{Relay, RelayTls};

const EXPECTED: &str = "is not a relay like smtp://user:password@mail.example.com:587 (or smtps://, with ?tls=required or ?tls=none)";

/// `smtp://[user:password@]host[:port][?tls=required|none]` or `smtps://…`.
///
/// # Errors
/// What would be right; never the URL, which may hold a password.
pub(super) fn relay(text: &str, ca_file: Option<PathBuf>) -> Result<Relay, String> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| {
            matches!(url.scheme(), "smtp" | "smtps")
                && matches!(url.path(), "" | "/")
                && url.fragment().is_none()
                && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        })
        .ok_or(EXPECTED)?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(EXPECTED)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let loopback = is_loopback(&host);
    let tls = match (url.scheme(), asked_tls(&url)?.as_deref()) {
        ("smtps", None | Some("required")) => RelayTls::Wrapped,
        ("smtps", Some("none")) => return Err("smtps:// cannot be without TLS".to_owned()),
        (_, Some("required")) => RelayTls::Required,
        (_, Some("none")) if loopback => RelayTls::None,
        (_, Some("none")) => return Err("?tls=none is for relays on loopback only".to_owned()),
        (_, None) if loopback => RelayTls::Opportunistic,
        (_, None) => RelayTls::Required,
        (_, Some(_)) => return Err("?tls= must be required or none".to_owned()),
    };
    let port = url.port().unwrap_or(match tls {
        RelayTls::Wrapped => 465,
        RelayTls::Required => 587,
        RelayTls::Opportunistic | RelayTls::None => 25,
    });
    let credentials = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) if !user.is_empty() => Some((decoded(user)?, decoded(password)?)),
        _ => return Err("must have both user and password, or neither".to_owned()),
    };
    Ok(Relay { host, port, tls, credentials, ca_file })
}

/// The value of `?tls=`; nothing else may be asked for.
fn asked_tls(url: &Url) -> Result<Option<String>, String> {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    match pairs.as_slice() {
        [] => Ok(None),
        [(key, value)] if key == "tls" => Ok(Some(value.clone())),
        _ => Err("may have ?tls= and nothing else after the host".to_owned()),
    }
}

/// Whether a name or address cannot leave this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Percent-decoding of user and password.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || "has a user or password that is not percent-encoded UTF-8".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}
