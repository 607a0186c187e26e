//! Where a request came in: the host it was meant for and the address it came from. Forwarded headers count
//! only when the connection comes from a trusted proxy, and then from the right: what a proxy added stands at
//! the end, what a client made up stands before it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::domain::Host;

/// Every value of the headers that matter, in the order received; a value that is no visible ASCII is given as
/// an empty text.
#[derive(Clone, Debug, Default)]
pub struct Headers<'a> {
    /// `Host`.
    pub host: Vec<&'a str>,
    /// Authority of the request target, if that was absolute (`GET http://…`).
    pub target: Option<&'a str>,
    /// `X-Forwarded-Host`.
    pub forwarded_host: Vec<&'a str>,
    /// `X-Forwarded-For`.
    pub forwarded_for: Vec<&'a str>,
    /// `Forwarded`.
    pub forwarded: Vec<&'a str>,
}

/// What a request's connection and headers come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The host it was meant for; `None` if that is missing, given twice, malformed or contradictory.
    pub host: Option<Host>,
    /// The address of the client: the nearest hop that is no trusted proxy.
    pub client: IpAddr,
}

impl Arrival {
    /// Reads headers by whom the connection comes from.
    #[must_use]
    pub fn of(peer: IpAddr, headers: &Headers<'_>, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        let direct = direct_host(headers);
        if !is_trusted(peer, trusted) {
            return Self { host: direct, client: peer };
        }
        // the request itself has to be well-formed, whatever a proxy says about it
        let host = direct.and_then(|direct| forwarded_host(headers, direct, trusted));
        Self { host, client: client(peer, headers, trusted) }
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The one `Host` header, which an absolute target must repeat.
fn direct_host(headers: &Headers<'_>) -> Option<Host> {
    let [only] = headers.host.as_slice() else { return None };
    let host = Host::parse(only)?;
    match headers.target.map(Host::parse) {
        None => Some(host),
        Some(target) => target.filter(|target| *target == host),
    }
}

/// What the nearest proxy says it was asked for. The last entry of `X-Forwarded-Host` is its own, since proxies
/// append or replace. Two headers that disagree mean that a client got one of them through.
fn forwarded_host(headers: &Headers<'_>, direct: Host, trusted: &[IpNet]) -> Option<Host> {
    let last = headers.forwarded_host.iter().flat_map(|value| value.split(',')).next_back();
    let by_name = last.map(|entry| Host::parse(entry.trim()));
    let by_element = standard_host(headers, trusted);
    match (by_name, by_element) {
        (None, None) => Some(direct),
        (Some(host), None) | (None, Some(host)) => host,
        (Some(one), Some(other)) => one.filter(|one| other.as_ref() == Some(one)),
    }
}

/// The host in `Forwarded`: of the element that the outermost trusted proxy added, or the nearest one inside
/// of it that names a host.
fn standard_host(headers: &Headers<'_>, trusted: &[IpNet]) -> Option<Option<Host>> {
    let mut found = None;
    for element in standard_elements(&headers.forwarded).rev() {
        let Some(element) = element else { return Some(None) };
        if let Some(host) = element.host {
            found = Some(Host::parse(&host));
        }
        let hop = element.by_whom.and_then(|node| node_address(&node));
        if !hop.is_some_and(|hop| is_trusted(hop, trusted)) {
            break;
        }
    }
    found
}

/// The nearest hop that is no trusted proxy. The walk stops where an entry cannot be read: what stands before
/// it proves nothing.
fn client(peer: IpAddr, headers: &Headers<'_>, trusted: &[IpNet]) -> IpAddr {
    let hops: Vec<Option<IpAddr>> = if headers.forwarded_for.is_empty() {
        standard_elements(&headers.forwarded)
            .map(|element| element.and_then(|element| node_address(&element.by_whom?)))
            .collect()
    } else {
        headers
            .forwarded_for
            .iter()
            .flat_map(|value| value.split(','))
            .map(|hop| node_address(hop.trim()))
            .collect()
    };
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Some(hop) = hop else { break };
        client = hop;
        if !is_trusted(hop, trusted) {
            break;
        }
    }
    client
}

/// One element of `Forwarded`.
#[derive(Default)]
struct Element {
    by_whom: Option<String>,
    host: Option<String>,
}

/// The elements of all `Forwarded` headers, left to right; `None` for one that cannot be read.
fn standard_elements<'a>(values: &'a [&str]) -> impl DoubleEndedIterator<Item = Option<Element>> + 'a {
    values.iter().flat_map(|value| split_outside_quotes(value, ',')).map(standard_element)
}

fn standard_element(text: &str) -> Option<Element> {
    let mut element = Element::default();
    for pair in split_outside_quotes(text, ';') {
        // whichever parameter it is: a quote left open has swallowed the elements behind it, the proxy's own too
        let (name, value) = pair.trim().split_once('=').filter(|(name, _)| name.bytes().all(is_token))?;
        let value = match value.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"').filter(|inner| !inner.contains(['"', '\\']))?,
            None => Some(value).filter(|bare| !bare.contains('"'))?,
        };
        let slot = match name.to_ascii_lowercase().as_str() {
            "for" => &mut element.by_whom,
            "host" => &mut element.host,
            _ => continue,
        };
        // a parameter given twice could be read either way
        if slot.replace(value.to_owned()).is_some() {
            return None;
        }
    }
    Some(element)
}

/// A character of a parameter's name (RFC 9110).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
    .collect()
}

/// An address, with or without port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn node_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>()
        .or_else(|_| text.parse::<std::net::SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|address| address.to_canonical())
}
