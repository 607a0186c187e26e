//! What may be checked and shown but not served.

use super::{ACME, SERVER, check};
use crate::config::settings::listens_beyond_loopback;

fn refused(server: &str, tenants: &[&str], listening_on: &str, live_api_key: bool) -> Vec<String> {
    let loaded = check(server, tenants, &[]).unwrap();
    match loaded.require_servable(listening_on, live_api_key) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.problems().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_defaults_alone_cannot_be_served() {
    let told = refused("", &[], "127.0.0.1:8080", false);
    let [no_key, no_issuer] = told.as_slice() else { panic!("{told:?}") };
    assert!(
        no_key.starts_with("usher.toml: `tokens.keys`: no key to sign links with; add `[[tokens.keys]]`")
    );
    assert!(no_issuer.starts_with("usher.toml: `auth.issuers`: nobody could call"));
    assert_eq!(refused("", &[], "127.0.0.1:8080", true).len(), 1, "a live API key stands in for an issuer");
    assert_eq!(refused(SERVER, &[], "0.0.0.0:8080", false), Vec::<String>::new());
}

#[test]
fn an_issuer_of_a_tenant_is_an_issuer() {
    let (tokens, _) = SERVER.split_once("[[auth.issuers]]").unwrap();
    let acme = format!("{ACME}[[auth.issuers]]\nissuer = 'i'\naudience = 'a'\njwks_url = 'https://a.test'");
    assert_eq!(refused(tokens, &[&acme], "0.0.0.0:8080", false), Vec::<String>::new());
}

#[test]
fn published_secrets_are_for_loopback() {
    let published = SERVER
        .replace(
            "c29tZSAzMiBieXRlcyB0aGF0IGFyZSBzZWNyZXQhISE=",
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
        )
        .replace("CANARY-secret-CANARY-secret-CANARY-secret", "a-test-secret-that-is-at-least-32-bytes-long");
    assert_eq!(refused(&published, &[], "127.0.0.1:8080", false), Vec::<String>::new());
    let told = refused(&published, &[], "0.0.0.0:8080", false);
    assert!(
        told[0].starts_with("usher.toml:7: `tokens.keys.0.secret`: is the published secret of the example")
    );
    assert!(told[1].starts_with("usher.toml:11: `auth.issuers.0.hs256_secret`: is the published secret"));
}

#[test]
fn only_loopback_addresses_are_loopback() {
    for (listen, beyond) in [
        ("127.0.0.1:1", false),
        ("127.9.9.9:1", false),
        ("localhost:1", false),
        ("[::1]:1", false),
        ("[::ffff:127.0.0.1]:1", false),
        ("0.0.0.0:1", true),
        ("[::]:1", true),
        ("10.0.0.1:1", true),
        ("127.0.0.1.example.test:1", true),
    ] {
        assert_eq!(listens_beyond_loopback(listen), beyond, "{listen}");
    }
}
