//! Hosts. One host has one canonical text, which is read as itself with and without port, dot and capitals; and that
//! text holds nothing that could be more than a host where it is put into a link.

use usher::domain::Host;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(host) = Host::parse(text) {
        canonical(&host);
        assert_eq!(Host::parse(&text.to_ascii_uppercase()), Some(host), "capitals make another host");
    }
    if let Some(host) = Host::name(text) {
        canonical(&host);
        assert_eq!(Host::parse(text).as_ref(), Some(&host), "a name that is no authority");
        assert_eq!(Host::name(host.as_str()).as_ref(), Some(&host));
        for same in [format!("{host}."), format!("{host}:443"), host.as_str().to_ascii_uppercase()] {
            assert_eq!(Host::parse(&same).as_ref(), Some(&host), "{same}");
        }
    }
}

fn canonical(host: &Host) {
    let text = host.as_str();
    let literal = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let of_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let of_literal = |b: u8| b.is_ascii_hexdigit() || b == b':' || b == b'.';
    match literal {
        None => assert!(text.len() <= 253 && text.bytes().all(of_name) && !text.ends_with('.'), "{text:?}"),
        Some(inner) => assert!(inner.bytes().all(of_literal), "{text:?}"),
    }
    assert_eq!(Host::parse(text).as_ref(), Some(host), "the canonical text is read as another host");
}
