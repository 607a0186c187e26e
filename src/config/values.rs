//! The small languages of configuration values: durations, rates, hosts, origins, addresses. Each reader says
//! what would have been right and never repeats what it was given.

use std::time::Duration;

use lettre::message::Mailbox;
use reqwest::Url;

use crate::{
    config::settings::Rate,
    domain::{EmailAddress, Host, nearest::did_you_mean},
};

/// `90s`, `5m`, `2h` or `7d`; more than nothing, at most ten years.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = || {
        let unit = match text.chars().next_back()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        let count = text.get(..text.len() - 1)?;
        let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = count.parse::<u64>().ok().filter(|_| digits)?.checked_mul(unit)?;
        (1..=3650 * 86_400).contains(&seconds).then_some(seconds)
    };
    seconds().map(Duration::from_secs).ok_or_else(|| "is not a duration like 90s, 5m, 2h, 7d".to_owned())
}

/// A duration, or `0s` for none.
pub(super) fn duration_or_none(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { duration(text) }
}

/// A duration, or `off` for one without end.
pub(super) fn duration_or_forever(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    duration(text).map(Some).map_err(|wrong| format!("{wrong}, or off"))
}

/// `100/1d`, or `off` for none.
pub(super) fn rate(text: &str) -> Result<Option<Rate>, String> {
    if text == "off" {
        return Ok(None);
    }
    let parts = || {
        let (count, window) = text.split_once('/')?;
        let count = count.parse().ok().filter(|count| *count > 0)?;
        Some(Rate { count, window: duration(window).ok()? })
    };
    parts().map(Some).ok_or_else(|| "is not a rate like 100/1d, or off".to_owned())
}

/// Any text that is not empty and has no control characters.
pub(super) fn line(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("must not contain line breaks or other control characters".to_owned());
    }
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(text.to_owned())
}

/// A name that people read: one line of at most 200 characters.
pub(super) fn name(text: &str) -> Result<String, String> {
    let text = line(text)?;
    if text.chars().count() > 200 {
        return Err("must have at most 200 characters".to_owned());
    }
    Ok(text.trim().to_owned())
}

/// `address:port` to listen on; a name or an IP address, IPv6 in brackets.
pub(super) fn listen(text: &str) -> Result<String, String> {
    let fine = text.rsplit_once(':').is_some_and(|(host, port)| {
        !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok()
            && Host::parse(text).is_some()
            && !host.is_empty()
    });
    if fine { Ok(text.to_owned()) } else { Err("is not an address and port like 127.0.0.1:8080".to_owned()) }
}

/// A bare host name or IP address.
pub(super) fn host(text: &str) -> Result<Host, String> {
    Host::name(text)
        .or_else(|| Host::parse(text).filter(|_| text.starts_with('[') && text.ends_with(']')))
        .ok_or_else(|| "is not a host name (no scheme, port, path or wildcard)".to_owned())
}

/// Scheme, host and port, nothing else: `https://invite.example.com`. Comes back without trailing slash,
/// together with its host.
pub(super) fn origin(text: &str) -> Result<(String, Host), String> {
    let parts = || {
        let url = web_url(text).ok()?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let host = host(url.host_str()?).ok()?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        bare.then(|| (format!("{}://{host}{port}", url.scheme()), host))
    };
    parts().ok_or_else(|| "is not an origin like https://invite.example.com (no path)".to_owned())
}

/// An absolute `http` or `https` URL, as written.
pub(super) fn web_page(text: &str) -> Result<String, String> {
    // `{return_to}` stands for an encoded URL; braces alone are no reason to refuse
    web_url(&text.replace("{return_to}", "x")).map(|_| text.to_owned())
}

/// The same, taken apart.
pub(super) fn web_url(text: &str) -> Result<Url, String> {
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\');
    Url::parse(text)
        .ok()
        .filter(|url| plain && matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| "is not an http or https URL".to_owned())
}

/// An e-mail address.
pub(super) fn address(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::parse(text).map_err(str::to_owned)
}

/// A mail domain as addresses are compared.
pub(super) fn mail_domain(text: &str) -> Result<String, String> {
    EmailAddress::parse(&format!("a@{text}"))
        .map(|address| address.domain().to_owned())
        .map_err(|_| "is not a mail domain like example.com".to_owned())
}

/// `Name <address>` or an address, in the one spelling that mail software reads back as the same.
pub(super) fn mailbox(text: &str) -> Result<String, String> {
    let wrong = || "is not a sender like `Acme Corp <invites@acme.example>`".to_owned();
    let text = line(text)?;
    let text = text.trim();
    let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address),
        None => ("", text),
    };
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    if name.contains(['<', '>', '"', '\\']) || name.len() > 200 {
        return Err(wrong());
    }
    let address = EmailAddress::parse(address).map_err(|_| wrong())?;
    let address = address.as_str().parse().map_err(|_| wrong())?;
    let mailbox = Mailbox::new((!name.is_empty()).then(|| name.to_owned()), address);
    let spelled = mailbox.to_string();
    // a name that mail software would cut or misread is refused here, not at the first mail
    (spelled.parse::<Mailbox>().ok().as_ref() == Some(&mailbox)).then_some(spelled).ok_or_else(wrong)
}

/// `#rrggbb`.
pub(super) fn color(text: &str) -> Result<String, String> {
    let fine = text
        .strip_prefix('#')
        .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    if fine { Ok(text.to_ascii_lowercase()) } else { Err("is not a color like #0a7d5a".to_owned()) }
}

/// A language tag such as `en` or `pt-BR`.
pub(super) fn locale(text: &str) -> Result<String, String> {
    let mut parts = text.split('-');
    let alphabetic = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let fine = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && alphabetic(part))
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if fine { Ok(text.to_owned()) } else { Err("is not a language like en or pt-BR".to_owned()) }
}

/// A short name that stands in paths: lower-case letters, digits and inner hyphens, not shaped like an id.
pub(super) fn slug(text: &str) -> Result<String, String> {
    let fine = (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && uuid::Uuid::parse_str(text).is_err();
    if fine {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 63 lower-case letters, digits or inner hyphens, and no UUID".to_owned())
    }
}

/// A UUID in its usual hyphenated spelling.
pub(super) fn uuid(text: &str) -> Result<uuid::Uuid, String> {
    uuid::Uuid::parse_str(text)
        .ok()
        .filter(|id| text.len() == 36 && !id.is_nil())
        .ok_or_else(|| "is not a UUID like 01900000-0000-7000-8000-000000000001".to_owned())
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("must be one of {}{}", names.join(", "), did_you_mean(text, names.iter().copied()))
    })
}
