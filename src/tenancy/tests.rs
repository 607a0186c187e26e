//! Hosts, forwarded headers and the choice of links, as matrices.

use std::{net::IpAddr, sync::Arc};

use entity::{TenantId, WorkspaceId};
use ipnet::IpNet;

use crate::{
    config::{Documents, Loaded, Settings, Source, compose},
    domain::{Host, Scope},
    tenancy::{Arrival, Headers, Registry, Site, Snapshot, links},
};

const SERVER: &str = "[server]\nbase_url = 'https://usher.test'\nplatform_hosts = ['localhost', '[::1]']\n";
const ACME: &str = "id = '01900000-0000-7000-8000-00000000acde'\nslug = 'acme'\nname = 'Acme'\ndomains = ['app.acme.test', 'join.acme.test']\nretired_domains = ['old.acme.test']\n[[auth.issuers]]\nissuer = 'https://login.acme.test'\naudience = 'usher'\njwks_url = 'https://login.acme.test/jwks'";
const BARE: &str = "id = '01900000-0000-7000-8000-00000000ba4e'\nslug = 'bare'\nname = 'Bare'\n";

fn loaded(server: &str, tenants: &[&str]) -> Loaded {
    let text = |text: &str| ("t.toml".to_owned(), text.to_owned());
    let tenants = tenants.iter().map(|tenant| text(tenant)).collect();
    compose(&Source::default(), &Documents { server: text(server), tenants }).unwrap()
}

fn settings(server: &str, tenants: &[&str]) -> Arc<Settings> {
    loaded(server, tenants).settings
}

fn snapshot(server: &str) -> Arc<Snapshot> {
    Registry::new(settings(server, &[ACME, BARE])).current()
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

#[test]
fn a_host_serves_exactly_what_is_configured_for_it() {
    let snapshot = snapshot(SERVER);
    let serves = |name: &str| match snapshot.site(&host(name)) {
        None => "nothing".to_owned(),
        Some(Site::Platform) => "platform".to_owned(),
        Some(Site::Tenant(tenant)) => tenant.slug.clone(),
        Some(Site::Retired(tenant)) => format!("retired {}", tenant.slug),
    };
    for (name, what) in [
        ("app.acme.test", "acme"),
        ("APP.ACME.TEST.:443", "acme"),
        ("join.acme.test", "acme"),
        ("old.acme.test", "retired acme"),
        ("localhost:8080", "platform"),
        ("[0:0::1]:8080", "platform"),
        ("usher.test", "platform"),
        ("acme.test", "nothing"),
        ("x.app.acme.test", "nothing"),
        ("app.acme.test.evil.test", "nothing"),
        ("127.0.0.1", "nothing"),
    ] {
        assert_eq!(serves(name), what, "{name}");
    }
}

#[test]
fn tenants_are_found_by_id_and_slug_and_issuers_by_name() {
    let snapshot = snapshot(SERVER);
    let acme = snapshot.tenant_named("acme").unwrap();
    assert_eq!(snapshot.tenant_named("01900000-0000-7000-8000-00000000ACDE").unwrap().id, acme.id);
    assert!(snapshot.tenant(TenantId::new()).is_none() && snapshot.tenant_named("Acme").is_none());
    assert_eq!(snapshot.issuers().count(), 1);
    assert_eq!(snapshot.issuer("https://login.acme.test").unwrap().tenant, Some(acme.id));
    assert!(snapshot.issuer("https://login.acme.test/").is_none());
}

#[test]
fn a_replaced_configuration_is_a_new_generation_and_leaves_old_snapshots_alone() {
    let registry = Registry::new(settings(SERVER, &[ACME]));
    let before = registry.current();
    registry.replace(settings(SERVER, &[BARE]));
    let after = registry.current();
    assert_eq!((before.generation, after.generation), (1, 2));
    assert!(before.site(&host("app.acme.test")).is_some() && after.site(&host("app.acme.test")).is_none());
    assert!(before.tenant_named("bare").is_none() && after.tenant_named("bare").is_some());
}

#[test]
fn the_link_host_is_chosen_among_the_tenants_own_domains() {
    let snapshot = snapshot(SERVER);
    let acme = snapshot.tenant_named("acme").unwrap();
    let bare = snapshot.tenant_named("bare").unwrap();
    for (tenant, asked, chosen) in [
        (acme, None, Some("app.acme.test")),
        (acme, Some("app.acme.test"), Some("app.acme.test")),
        (acme, Some("join.acme.test"), Some("join.acme.test")),
        (acme, Some("old.acme.test"), Some("app.acme.test")),
        (acme, Some("usher.test"), Some("app.acme.test")),
        (acme, Some("evil.test"), Some("app.acme.test")),
        (bare, None, None),
        (bare, Some("app.acme.test"), None),
        (bare, Some("usher.test"), None),
    ] {
        let asked = asked.map(host);
        let chosen_now = links::link_host_for(tenant, asked.as_ref());
        assert_eq!(chosen_now.as_ref().map(Host::as_str), chosen, "{} asked on {asked:?}", tenant.slug);
    }
}

#[test]
fn a_kept_host_is_repeated_while_it_is_configured_and_then_the_primary_one_takes_over() {
    let snapshot = snapshot(SERVER);
    let acme = snapshot.tenant_named("acme").unwrap();
    let bare = snapshot.tenant_named("bare").unwrap();
    for (tenant, kept, origin) in [
        (acme, Some("join.acme.test"), "https://join.acme.test"),
        (acme, Some("app.acme.test"), "https://app.acme.test"),
        (acme, Some("old.acme.test"), "https://app.acme.test"),
        (acme, Some("evil.test"), "https://app.acme.test"),
        (acme, None, "https://usher.test"),
        (bare, Some("app.acme.test"), "https://usher.test"),
        (bare, None, "https://usher.test"),
    ] {
        assert_eq!(links::origin(&snapshot, tenant, kept), origin, "{} {kept:?}", tenant.slug);
    }
    assert_eq!(links::primary_origin(&snapshot, acme), "https://app.acme.test");
    assert_eq!(links::landing_path(Scope::Org, "t"), "/invites/t");
    assert_eq!(links::landing_path(Scope::Workspace(WorkspaceId::new()), "t"), "/workspace-invites/t");
}

#[test]
fn scheme_and_port_of_links_come_from_the_configuration() {
    for (scheme, port, origin) in [
        ("https", 0, "https://app.acme.test"),
        ("https", 443, "https://app.acme.test"),
        ("https", 8443, "https://app.acme.test:8443"),
        ("http", 80, "http://app.acme.test"),
        ("http", 8080, "http://app.acme.test:8080"),
    ] {
        let server = format!("{SERVER}link_scheme = '{scheme}'\nlink_port = {port}");
        let snapshot = snapshot(&server);
        let acme = snapshot.tenant_named("acme").unwrap();
        assert_eq!(links::primary_origin(&snapshot, acme), origin);
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn proxies() -> Vec<IpNet> {
    vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]
}

/// Host and client of a request from this peer.
fn arrival(peer: &str, headers: &Headers<'_>) -> (Option<String>, String) {
    let arrival = Arrival::of(address(peer), headers, &proxies());
    (arrival.host.map(|host| host.to_string()), arrival.client.to_string())
}

#[test]
fn without_a_trusted_proxy_the_host_header_alone_counts() {
    let forged = Headers {
        host: vec!["app.acme.test"],
        forwarded_host: vec!["evil.test"],
        forwarded_for: vec!["1.1.1.1"],
        forwarded: vec!["for=1.1.1.1;host=evil.test"],
        target: None,
    };
    assert_eq!(arrival("192.0.2.9", &forged), (Some("app.acme.test".into()), "192.0.2.9".into()));
    for (hosts, target, host) in [
        (vec!["App.Acme.Test:80"], None, Some("app.acme.test")),
        (vec![], None, None),
        (vec![""], None, None),
        (vec!["a.test", "a.test"], None, None),
        (vec!["a.test, b.test"], None, None),
        (vec!["user@a.test"], None, None),
        (vec!["a.test/x"], None, None),
        (vec!["a.test"], Some("a.test:80"), Some("a.test")),
        (vec!["a.test"], Some("evil.test"), None),
        (vec![], Some("a.test"), None),
    ] {
        let headers = Headers { host: hosts.clone(), target, ..Headers::default() };
        assert_eq!(arrival("192.0.2.9", &headers).0.as_deref(), host, "{hosts:?} {target:?}");
    }
}

#[test]
fn behind_a_trusted_proxy_the_last_forwarded_host_counts_and_contradictions_are_no_host() {
    for (by_name, standard, host) in [
        (vec![], vec![], Some("inner.test")),
        (vec!["good.test"], vec![], Some("good.test")),
        (vec!["evil.test, good.test"], vec![], Some("good.test")),
        (vec!["evil.test", "good.test"], vec![], Some("good.test")),
        (vec!["good.test, "], vec![], None),
        (vec![""], vec![], None),
        (vec!["evil test"], vec![], None),
        (vec![], vec!["for=192.0.2.1;host=good.test"], Some("good.test")),
        (vec![], vec!["host=evil.test, for=192.0.2.1;host=good.test"], Some("good.test")),
        (vec![], vec!["For=\"192.0.2.1:99\";Host=\"good.test:443\";proto=https"], Some("good.test")),
        (vec![], vec!["host=evil.test", "for=192.0.2.1"], Some("inner.test")),
        (vec![], vec!["for=192.0.2.1;host=good.test, for=10.0.0.7;host=mid.test"], Some("good.test")),
        (vec![], vec!["for=192.0.2.1, for=10.0.0.7;host=mid.test"], Some("mid.test")),
        (vec![], vec!["host=a.test;host=b.test"], None),
        (vec![], vec!["host=\"a.test"], None),
        (vec![], vec!["nonsense"], None),
        (vec![], vec!["host=evil.test;x=\"", "for=192.0.2.1;host=good.test"], Some("good.test")),
        (vec![], vec!["for=1.1.1.1;host=evil.test;x=\", for=192.0.2.1;host=good.test"], None),
        (vec![], vec!["for=1.1.1.1;host=evil.test;x=y\", for=192.0.2.1;host=good.test"], None),
        (vec!["good.test"], vec!["for=192.0.2.1;host=good.test"], Some("good.test")),
        (vec!["good.test"], vec!["for=192.0.2.1;host=evil.test"], None),
    ] {
        let headers = Headers {
            host: vec!["inner.test"],
            forwarded_host: by_name.clone(),
            forwarded: standard.clone(),
            ..Headers::default()
        };
        assert_eq!(arrival("10.0.0.1", &headers).0.as_deref(), host, "{by_name:?} {standard:?}");
    }
    let no_host = Headers { forwarded_host: vec!["good.test"], ..Headers::default() };
    assert_eq!(arrival("10.0.0.1", &no_host).0, None, "a request without Host is malformed whoever sends it");
}

#[test]
fn the_client_is_the_nearest_hop_that_is_no_trusted_proxy() {
    for (peer, by_name, standard, client) in [
        ("192.0.2.9", vec!["1.1.1.1"], vec![], "192.0.2.9"),
        ("10.0.0.1", vec![], vec![], "10.0.0.1"),
        ("::ffff:10.0.0.1", vec!["192.0.2.1"], vec![], "192.0.2.1"),
        ("10.0.0.1", vec!["1.1.1.1, 192.0.2.1"], vec![], "192.0.2.1"),
        ("10.0.0.1", vec!["1.1.1.1", "192.0.2.1"], vec![], "192.0.2.1"),
        ("10.0.0.1", vec!["1.1.1.1, 192.0.2.1, 10.0.0.2"], vec![], "192.0.2.1"),
        ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], vec![], "10.0.0.3"),
        ("10.0.0.1", vec!["192.0.2.1, nonsense, 10.0.0.2"], vec![], "10.0.0.2"),
        ("10.0.0.1", vec!["192.0.2.1, "], vec![], "10.0.0.1"),
        ("10.0.0.1", vec!["192.0.2.1:4711"], vec![], "192.0.2.1"),
        ("fd00::1", vec!["[2001:db8::1]:4711"], vec![], "2001:db8::1"),
        ("10.0.0.1", vec!["::ffff:192.0.2.1"], vec![], "192.0.2.1"),
        ("10.0.0.1", vec![], vec!["for=1.1.1.1, for=\"[2001:db8::1]:80\""], "2001:db8::1"),
        ("10.0.0.1", vec![], vec!["for=192.0.2.1, for=10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", vec![], vec!["for=unknown"], "10.0.0.1"),
        ("10.0.0.1", vec![], vec!["for=1.1.1.1;x=\", for=192.0.2.1"], "10.0.0.1"),
        ("10.0.0.1", vec![], vec!["for=1.1.1.1;x=y\"z, for=192.0.2.1"], "10.0.0.1"),
        ("10.0.0.1", vec![], vec!["for=1.1.1.1, for=10.0.0.3;x\";y, for=192.0.2.1;host=a.test"], "10.0.0.1"),
        ("10.0.0.1", vec![], vec!["for=1.1.1.1;x=\"y, z\", for=192.0.2.1;by=\"10.0.0.1\""], "192.0.2.1"),
        ("10.0.0.1", vec!["192.0.2.1"], vec!["for=1.1.1.1"], "192.0.2.1"),
    ] {
        let headers = Headers {
            host: vec!["a.test"],
            forwarded_for: by_name.clone(),
            forwarded: standard.clone(),
            ..Headers::default()
        };
        assert_eq!(arrival(peer, &headers).1, client, "{peer} {by_name:?} {standard:?}");
    }
}
