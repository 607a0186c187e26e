//! E-mail identity: one function decides what an address is and when two are the same. ASCII-only folding of
//! both parts, the domain as an A-label; no plus- or dot-folding, since those are different mailboxes. The
//! folded form is stored and compared bytewise; no database function ever folds an address.

use std::fmt;

/// A valid address and its folded form.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress {
    text: String,
    norm: String,
}

impl EmailAddress {
    /// Reads an address: spaces around it are dropped, the local part is a dot-atom of at most 64 ASCII
    /// characters, the domain has a dot and passes strict IDNA; the whole has at most 254.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(input: &str) -> Result<Self, &'static str> {
        let input = input.trim_matches(' ');
        if input.len() > 320 {
            return Err("is longer than 254 characters");
        }
        let (local, domain) = input.rsplit_once('@').ok_or("must look like name@example.com")?;
        if local.is_empty() || local.len() > 64 {
            return Err("must have 1 to 64 characters before the @");
        }
        if !local.split('.').all(is_atom) {
            return Err("has characters before the @ that are not supported");
        }
        let domain = domain_a_label(domain).ok_or("has no valid domain after the @")?;
        let norm = format!("{}@{domain}", local.to_ascii_lowercase());
        if norm.len() > 254 {
            return Err("is longer than 254 characters");
        }
        Ok(Self { text: format!("{local}@{domain}"), norm })
    }

    /// As given, with the domain as an A-label: what is shown, stored and mailed to.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As compared.
    #[must_use]
    pub fn norm(&self) -> &str {
        &self.norm
    }

    /// The folded domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.norm.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// For pages and logs: first character and domain, as in `a•••@example.com`.
    #[must_use]
    pub fn masked(&self) -> String {
        mask(&self.text)
    }
}

/// [`EmailAddress::masked`] for an address already stored.
#[must_use]
pub fn mask(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    format!("{}•••@{domain}", local.chars().next().unwrap_or('•'))
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress({})", self.masked())
    }
}

/// `true` for a non-empty run of the characters that RFC 5322 allows in an atom.
fn is_atom(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
        // an encoded word would be decoded by mail software into another address
        && !part.starts_with("=?")
}

/// The domain of an address: strict IDNA to A-labels, at least one dot, no literal, no trailing dot.
fn domain_a_label(domain: &str) -> Option<String> {
    if domain.ends_with('.')
        || domain.len() > 253 * 4
        || domain.bytes().any(|b| b.is_ascii_control() || b == b' ')
    {
        return None;
    }
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    let labels_ok = ascii.split('.').all(|label| {
        !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    });
    // a purely numeric last label is an address literal in disguise
    let top = ascii.rsplit('.').next()?;
    (labels_ok && ascii.contains('.') && ascii.len() <= 253 && !top.bytes().all(|b| b.is_ascii_digit()))
        .then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm(text: &str) -> Option<String> {
        EmailAddress::parse(text).ok().map(|a| a.norm().to_owned())
    }

    #[test]
    fn case_and_outer_spaces_do_not_matter() {
        assert_eq!(norm(" Alice@Example.COM "), Some("alice@example.com".into()));
    }

    #[test]
    fn look_alikes_are_refused_or_different_never_equal() {
        for other in [
            "\u{212a}elvin@x.test",
            "m\u{131}ke@x.test",
            "\u{17f}am@x.test",
            "\u{fb01}n@x.test",
            "kelvin＠x.test",
        ] {
            assert_eq!(norm(other), None, "{other}");
        }
        assert_ne!(norm("a+1@x.test"), norm("a@x.test"));
        assert_ne!(norm("a.b@x.test"), norm("ab@x.test"));
    }

    #[test]
    fn domains_are_compared_as_a_labels() {
        assert_eq!(norm("a@bücher.example"), norm("a@xn--bcher-kva.example"));
        assert_eq!(
            norm("a@ＥＸＡＭＰＬＥ.com"),
            norm("a@example.com"),
            "IDNA maps full-width letters of a domain"
        );
    }

    #[test]
    fn what_mail_software_reads_in_two_ways_is_refused() {
        for bad in [
            "",
            "a",
            "@x.test",
            "a@",
            "a@b",
            "a@x.test.",
            "a b@x.test",
            "\"a b\"@x.test",
            "a@[127.0.0.1]",
            "a@1.2.3.4",
            "a(c)@x.test",
            "a@x.test,b@y.test",
            "a@x.test;b@y.test",
            "<a@x.test>b@y.test",
            "=?utf-8?q?x=40y=3e?=@b.com",
            "a..b@x.test",
            ".a@x.test",
            "a.@x.test",
            "a@x..test",
            "a\0@x.test",
            "a\r\n@x.test",
            "a@x.test\r\nBcc: b@y.test",
            "a@-x.test",
            "a@xn--example-.org",
            "a@a_b.test",
            "a@@x.test",
            "m\u{131}ke@b.com",
            "a@ex\u{200b}ample.com\u{0}",
        ] {
            assert_eq!(norm(bad), None, "{bad:?}");
        }
        assert_eq!(norm(&format!("{}@x.test", "a".repeat(65))), None);
        assert!(norm(&format!("{}@x.test", "a".repeat(64))).is_some());
    }

    #[test]
    fn debug_never_shows_the_whole_address() {
        let address = EmailAddress::parse("alice@example.com").unwrap();
        assert_eq!(format!("{address:?}"), "EmailAddress(a•••@example.com)");
    }
}
