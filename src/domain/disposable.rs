//! Throw-away mail domains: a dated list that is compiled in, and how a domain is found in it. The list says
//! itself where it comes from; `tools/refresh-disposable-domains` writes it anew.

use std::sync::LazyLock;

/// The file: remarks, then one domain a line, sorted.
const FILE: &str = include_str!("disposable_domains.txt");

static DOMAINS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| FILE.lines().filter(|line| !line.starts_with('#')).collect());

/// Whether a domain, folded as addresses are, is listed or lies below one that is.
#[must_use]
pub fn is_disposable(domain: &str) -> bool {
    itself_and_above(domain).any(|domain| DOMAINS.binary_search(&domain).is_ok())
}

/// `a.b.test`, `b.test`, `test`.
fn itself_and_above(domain: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, above)| above))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EmailAddress;

    #[test]
    fn the_list_is_dated_licensed_sorted_and_written_as_domains_are_compared() {
        for field in ["# Source:  ", "# Version: ", "# Date:    20", "# Licence: MIT", "# Copyright"] {
            assert!(FILE.lines().any(|line| line.starts_with(field)), "{field}");
        }
        assert!((5_000..50_000).contains(&DOMAINS.len()), "{}", DOMAINS.len());
        assert!(DOMAINS.windows(2).all(|pair| pair[0] < pair[1]), "sorted, none twice");
        for domain in DOMAINS.iter() {
            let address = EmailAddress::parse(&format!("a@{domain}"));
            assert_eq!(address.unwrap().domain(), *domain);
        }
    }

    #[test]
    fn a_domain_is_matched_whole_or_from_a_dot_on() {
        for listed in ["mailinator.com", "sub.mailinator.com", "a.b.c.mailinator.com", "yopmail.com"] {
            assert!(is_disposable(listed), "{listed}");
        }
        for other in [
            "mymailinator.com",
            "mailinator.com.example.org",
            "mailinator.co",
            "mailinator",
            "com",
            "",
            ".",
            "gmail.com",
            "example.com",
            "# Source",
        ] {
            assert!(!is_disposable(other), "{other}");
        }
        let address = |text: &str| EmailAddress::parse(text).unwrap();
        assert!(is_disposable(address("a@MAILINATOR.com").domain()));
        assert!(is_disposable(address("a@ｍailinator.com").domain()), "IDNA maps full-width letters");
        assert!(!is_disposable(address("a@mailinatör.com").domain()));
    }
}
