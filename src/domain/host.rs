//! Canonical host names: what the `Host` header, a configured domain and a forwarded host all become before
//! they are compared. Exact match only; nothing is ever matched by suffix or pattern.

use std::{fmt, net::Ipv6Addr};

/// A host without port, in lower case, A-label, no trailing dot; IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(String);

impl Host {
    /// Reads the authority of a `Host` header: `name`, `name:port` or `[v6]:port`. User info, paths and
    /// anything else that is no plain authority give `None`.
    #[must_use]
    pub fn parse(authority: &str) -> Option<Self> {
        if authority.is_empty() || authority.len() > 320 {
            return None;
        }
        if let Some(rest) = authority.strip_prefix('[') {
            let (literal, port) = rest.split_once(']')?;
            let address: Ipv6Addr = literal.parse().ok()?;
            return (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
                .then(|| Self(format!("[{address}]")));
        }
        let name = match authority.split_once(':') {
            Some((name, port)) if is_port(port) => name,
            Some(_) => return None,
            None => authority,
        };
        Self::name(name)
    }

    /// Reads a bare host name, as a configuration file gives it.
    #[must_use]
    pub fn name(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        let refused = |b: u8| b.is_ascii_control() || b" /\\@:?#[]%,;\"'<>".contains(&b);
        if name.is_empty() || (!plain && name.bytes().any(refused)) {
            return None;
        }
        let lower = name.to_ascii_lowercase();
        let ascii =
            if plain && !lower.contains("xn--") { lower } else { idna::domain_to_ascii_strict(name).ok()? };
        let fine = ascii.len() <= 253
            && ascii.split('.').all(|label| {
                !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
            });
        fine.then_some(Self(ascii))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 5
        && text.bytes().all(|b| b.is_ascii_digit())
        && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Host::parse(text).map(|h| h.as_str().to_owned())
    }

    #[test]
    fn one_host_has_one_spelling() {
        for same in
            ["app.acme.test", "APP.Acme.Test", "app.acme.test.", "app.acme.test:8080", "App.Acme.Test.:443"]
        {
            assert_eq!(canonical(same).as_deref(), Some("app.acme.test"), "{same}");
        }
        assert_eq!(canonical("bücher.example"), canonical("XN--bcher-kva.example"));
        assert_eq!(canonical("[::1]:8080").as_deref(), Some("[::1]"));
        assert_eq!(canonical("[0:0::1]").as_deref(), Some("[::1]"));
    }

    #[test]
    fn what_is_no_plain_authority_is_no_host() {
        for bad in [
            "",
            ".",
            "a.test/evil",
            "a.test@evil.test",
            "user:pw@a.test",
            "a.test:80:80",
            "a.test:",
            "a.test:99999",
            "a.test:+80",
            "a b.test",
            "a..test",
            "-a.test",
            "a.test\\evil",
            "a%2etest",
            "[::1",
            "[::1]x",
            "[1.2.3.4]",
            "a.test,b.test",
            "a_b.test",
            "xn--a-.test",
            "XN--080.test",
            "Xn--a-.test",
            "a.test:http",
        ] {
            assert_eq!(canonical(bad), None, "{bad:?}");
        }
    }
}
