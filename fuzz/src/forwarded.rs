//! The chain of forwarded headers. From a stranger they count for nothing; from a trusted proxy what the proxy itself
//! added counts, and nothing that stands before it moves the host or the client.

use std::net::IpAddr;

use ipnet::IpNet;
use usher::{
    domain::Host,
    tenancy::{Arrival, Headers},
};

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const CLIENT: &str = "203.0.113.9";
const ASKED: &str = "app.acme.test";

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let (host, target) = (lines.next().unwrap_or_default(), lines.next().filter(|line| !line.is_empty()));
    let mut headers = Headers { host: vec![host], target, ..Headers::default() };
    for line in lines {
        match line.split_at_checked(1) {
            Some(("h", value)) => headers.forwarded_host.push(value),
            Some(("f", value)) => headers.forwarded_for.push(value),
            Some(("s", value)) => headers.forwarded.push(value),
            Some(("H", value)) => headers.host.push(value),
            _ => {}
        }
    }
    let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    let bare = Headers { host: headers.host.clone(), target, ..Headers::default() };
    let stranger = CLIENT.parse().unwrap();
    let direct = Arrival::of(stranger, &headers, &trusted);
    assert_eq!(direct, Arrival::of(stranger, &bare, &trusted), "a stranger's headers count");
    assert_eq!(direct.client, stranger);
    assert_eq!(direct, Arrival::of(stranger, &headers, &[]));

    let arrival = Arrival::of(PROXY, &headers, &trusted);
    assert!(direct.host.is_some() || arrival.host.is_none(), "a proxy makes a malformed request good");

    // the same, with what a proxy in front of us appends
    let asked = Host::parse(ASKED);
    let expected = direct.host.and(asked.clone());
    let appended = |values: &[&str], own: &str| match values {
        [] => own.to_owned(),
        made_up => format!("{}, {own}", made_up.join(", ")),
    };
    let (by_name, by_hop) =
        (appended(&headers.forwarded_host, ASKED), appended(&headers.forwarded_for, CLIENT));
    let plain = Headers { forwarded_host: vec![&by_name], forwarded_for: vec![&by_hop], ..bare.clone() };
    assert_eq!(Arrival::of(PROXY, &plain, &trusted), Arrival { host: expected.clone(), client: stranger });

    for own in [format!("for={CLIENT};host={ASKED}"), format!("for=\"{CLIENT}\";host=\"{ASKED}\"")] {
        let by_element = appended(&headers.forwarded, &own);
        let standard = Headers { forwarded: vec![&by_element], ..bare.clone() };
        let arrival = Arrival::of(PROXY, &standard, &trusted);
        // a quote left open swallows what was appended: then nothing is believed
        assert!(arrival.host.is_none() || arrival.host == expected, "{arrival:?} of {by_element:?}");
        assert!(arrival.client == stranger || arrival.client == PROXY, "{arrival:?} of {by_element:?}");
    }
}
