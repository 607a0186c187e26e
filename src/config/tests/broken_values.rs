//! The small languages: what each key takes, what it refuses, and that no message repeats a value.

use std::time::Duration;

use super::{Scratch, check, told};
use crate::config::{
    settings::{Rate, RelayTls, Transport},
    values,
};

/// What is said about one server key with this value, in TOML.
fn said(section: &str, key: &str, value: &str) -> Vec<String> {
    told(&format!("[{section}]\n{key} = {value}"), &[], &[])
}

#[test]
fn every_key_takes_what_it_should_and_refuses_the_rest() {
    for (section, key, fine, broken) in [
        (
            "server",
            "listen",
            &["'0.0.0.0:80'", "'[::]:8080'", "'localhost:1'"][..],
            &["'8080'", "'a:b'", "':80'", "80"][..],
        ),
        ("server", "admin_listen", &["''", "'off'", "'127.0.0.1:9'"], &["'on'", "false"]),
        (
            "server",
            "base_url",
            &["'https://a.test'", "'https://a.test/'", "'http://a.test:8080'", "'http://[::1]:1'"],
            &[
                "'a.test'",
                "'ftp://a.test'",
                "'https://a.test/x'",
                "'https://u@a.test'",
                "'https://a.test?q'",
                "'https://a.test#f'",
                "'https://'",
            ],
        ),
        (
            "server",
            "trusted_proxies",
            &["['10.0.0.0/8', '::1', 'fd00::/8']", "[]"],
            &["['10.0.0.0/99']", "['proxy.test']", "'10.0.0.0/8'", "[1]"],
        ),
        ("server", "link_scheme", &["'http'", "'https'"], &["'HTTPS'", "'gopher'"]),
        ("server", "link_port", &["0", "8443"], &["-1", "65536", "'80'", "8.5"]),
        (
            "database",
            "url",
            &["'sqlite://x.db'", "'postgres://u:p@h/d'", "'postgresql://h/d'"],
            &[
                "'mysql://h/d'",
                "'sqlite://'",
                "'sqlite://x.db?mode=ro'",
                "'sqlite://:memory:'",
                "'x.db'",
                "'postgres://u:p@:x/d'",
            ],
        ),
        ("database", "max_connections", &["1"], &["0", "'10'"]),
        ("api_keys", "prefix", &["'msk_'"], &["''", "'a b'", "'12345678901234567'"]),
        ("api_keys", "header", &["'X-Key'"], &["'Authorization'", "'X Key'", "''"]),
        ("invites", "require_verified_email", &["'always'", "'never'"], &["true", "'allways'"]),
        ("invites", "resend_cooldown", &["'0s'", "'1m'"], &["'0m'", "0", "'off'"]),
        (
            "invites",
            "allowed_domains",
            &["['a.test', 'BÜCHER.example']"],
            &["['a']", "['@a.test']", "['*.a.test']", "['']"],
        ),
        ("invites", "disposable", &["'block'", "'allow'"], &["true", "'deny'", "['a.test']"]),
        ("invites", "disposable_extra", &["['a.test', 'BÜCHER.example']"], &["['*.a.test']", "'a.test'"]),
        ("invites", "disposable_except", &["['a.test']"], &["['a@a.test']"]),
        (
            "limits",
            "invites_per_api_key",
            &["'off'", "'1/1s'"],
            &["'0/1d'", "'1/0d'", "'1/d'", "'1 per day'", "0", "'-1/1d'", "'1.5/1d'"],
        ),
        ("retention", "invites", &["'90d'", "'off'"], &["'0s'", "'never'", "90", "false"]),
        ("retention", "answers", &["'1h'"], &["'off'", "'0s'"]),
        ("compat", "errors", &["'docs'"], &["'rest'"]),
        ("system", "admins", &["['user-1']"], &["['']", "'user-1'", "[\"a\\nb\"]"]),
        ("lane", "actors", &["false"], &["'false'", "0"]),
        ("lane", "max_batch", &["1"], &["0"]),
        (
            "lane",
            "idle",
            &["'10s'"],
            &["'0s'", "'s'", "'1w'", "'99999999999999999999d'", "'+1s'", "'1 s'", "'４s'"],
        ),
        ("branding", "logo_url", &[], &["'https://a.test/l.svg'"]),
        (
            "branding",
            "support_url",
            &["'https://a.test/help'"],
            &["'mailto:a@b.test'", "'https://a.test/ x'"],
        ),
    ] {
        for value in fine {
            assert_eq!(said(section, key, value), Vec::<String>::new(), "{section}.{key} = {value}");
        }
        for value in broken {
            let told = said(section, key, value);
            let start = format!("usher.toml:2: `{section}.{key}");
            assert!(told.len() == 1 && told[0].starts_with(&start), "{section}.{key} = {value}: {told:#?}");
        }
    }
}

#[test]
fn durations_and_rates_mean_what_they_say() {
    for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7200), ("7d", 604_800)] {
        assert_eq!(values::duration(text), Ok(Duration::from_secs(seconds)));
    }
    let hundred_a_day = Rate { count: 100, window: Duration::from_secs(86_400) };
    assert_eq!(values::rate("100/1d"), Ok(Some(hundred_a_day)));
    assert_eq!(values::rate("off"), Ok(None));
}

#[test]
fn a_sender_is_kept_in_the_spelling_that_mail_software_reads_back() {
    for (given, kept) in [
        ("a@b.test", "a@b.test"),
        ("Acme Corp <a@b.test>", "Acme Corp <a@b.test>"),
        ("\"Acme, Inc.\" <a@b.test>", "\"Acme, Inc.\" <a@b.test>"),
        ("Acme, Inc. <a@b.test>", "\"Acme, Inc.\" <a@b.test>"),
    ] {
        assert_eq!(values::mailbox(given).as_deref(), Ok(kept), "{given}");
    }
    let umlaut = values::mailbox("Bücher Müller <a@bücher.example>").unwrap();
    assert!(umlaut.contains("Bücher Müller") && umlaut.contains("a@xn--bcher-kva.example"), "{umlaut}");
    for bad in [
        "",
        "Acme",
        "Acme <>",
        "Acme <a@b.test> x",
        "<a@b.test",
        "A <b@c.test> <a@b.test>",
        "a@b",
        "x\ty@b.test",
    ] {
        assert!(values::mailbox(bad).is_err(), "{bad}");
    }
}

#[test]
fn clear_text_to_a_relay_stays_on_this_machine() {
    let relay = |url: &str| {
        let text = format!("[mail]\ntransport = \"smtp\"\nfrom = \"a@b.test\"\nurl = \"{url}\"");
        check(&text, &[], &[]).map(|loaded| match &loaded.settings.mail.transport {
            Transport::Smtp(relay) => relay.clone(),
            other => panic!("{other:?}"),
        })
    };
    for (url, tls, port) in [
        ("smtp://127.0.0.1:2525", RelayTls::Opportunistic, 2525),
        ("smtp://localhost", RelayTls::Opportunistic, 25),
        ("smtp://[::1]:25?tls=none", RelayTls::None, 25),
        ("smtp://127.0.0.1?tls=required", RelayTls::Required, 587),
        ("smtp://mail.test", RelayTls::Required, 587),
        ("smtp://mail.test:25?tls=required", RelayTls::Required, 25),
        ("smtps://mail.test", RelayTls::Wrapped, 465),
        ("smtps://127.0.0.1:1465?tls=required", RelayTls::Wrapped, 1465),
    ] {
        let relay = relay(url).unwrap();
        assert_eq!((relay.tls, relay.port), (tls, port), "{url}");
    }
    let relay_with_password = relay("smtp://us%40er:p%3Aw%2F@mail.test").unwrap();
    assert_eq!(relay_with_password.credentials, Some(("us@er".to_owned(), "p:w/".to_owned())));
    for (url, said) in [
        ("smtp://mail.test?tls=none", "?tls=none is for relays on loopback only"),
        ("smtp://127.0.0.1.evil.test?tls=none", "?tls=none is for relays on loopback only"),
        ("smtps://127.0.0.1?tls=none", "smtps:// cannot be without TLS"),
        ("smtp://mail.test?tls=maybe", "?tls= must be required or none"),
        ("smtp://mail.test?timeout=3", "may have ?tls= and nothing else"),
        ("smtp://user@mail.test", "must have both user and password"),
        ("smtp://u:%ff@mail.test", "has a user or password that is not percent-encoded"),
        ("http://mail.test", "is not a relay like"),
        ("smtp://", "is not a relay like"),
        ("smtp://u:CANARY@mail.test/path", "is not a relay like"),
        ("mail.test:25", "is not a relay like"),
    ] {
        let told = relay(url).unwrap_err().to_string();
        assert!(told.starts_with(&format!("usher.toml:4: `mail.url`: {said}")), "{url}: {told}");
        assert!(!told.contains("CANARY"), "{told}");
    }
}

#[test]
fn keys_of_issuers_fit_their_algorithms() {
    const ED25519: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let scratch = Scratch::new();
    let public = scratch.write("public.pem", ED25519);
    let private =
        scratch.write("private.pem", "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n");
    let with =
        |keys: &str| told(&format!("[[auth.issuers]]\nissuer = 'i'\naudience = 'a'\n{keys}"), &[], &[]);
    assert_eq!(with(&format!("public_key_file = '{public}'\nalgorithms = ['EdDSA']")), Vec::<String>::new());
    assert_eq!(with("jwks_url = 'https://a.test/jwks'"), Vec::<String>::new());
    for (keys, said) in [
        (format!("public_key_file = '{public}'"), "usher.toml:1: `auth.issuers.0.algorithms`: is missing"),
        (
            format!("public_key_file = '{public}'\nalgorithms = ['RS256']"),
            "usher.toml:5: `auth.issuers.0.algorithms.0`: does not fit",
        ),
        (
            format!("public_key_file = '{public}'\nalgorithms = ['HS256']"),
            "usher.toml:5: `auth.issuers.0.algorithms.0`: is a shared-secret",
        ),
        (
            format!("public_key_file = '{private}'\nalgorithms = ['EdDSA']"),
            "usher.toml:4: `auth.issuers.0.public_key_file`: names a private key",
        ),
        (
            "jwks_url = 'file:///etc/passwd'".to_owned(),
            "usher.toml:4: `auth.issuers.0.jwks_url`: is not an http",
        ),
        (
            "jwks_url = 'https://a.test'\nalgorithms = []".to_owned(),
            "usher.toml:5: `auth.issuers.0.algorithms`: must name",
        ),
        (
            "hs256_secret = 'a secret that has 32 bytes or more'\nalgorithms = ['HS512']".to_owned(),
            "usher.toml:5: `auth.issuers.0.algorithms.0`: does not go with",
        ),
        (
            "jwks_url = 'https://a.test'\naudience_claim = 'audience'".to_owned(),
            "usher.toml:5: `auth.issuers.0.audience_claim`: must be one of aud, azp, client_id",
        ),
        (
            "jwks_url = 'https://a.test'\nsystem_admin_claim = 'admin'".to_owned(),
            "usher.toml:5: `auth.issuers.0.system_admin_claim`: is not a claim",
        ),
    ] {
        let told = with(&keys);
        assert!(told.first().is_some_and(|first| first.starts_with(said)), "{keys}: {told:#?}");
    }
}

#[test]
fn an_origin_is_kept_as_browsers_spell_it_and_anything_else_is_refused() {
    let cors = |text: &str| {
        let tenant = format!("{}\n[cors]\n{text}", super::CLINIC);
        check("", &[&tenant], &[]).map(|loaded| loaded.settings.tenants[0].cors.clone())
    };
    let listed = cors(
        "allowed_origins = ['HTTPS://App.Acme.com:443/', 'http://localhost:5173', 'https://bücher.example', 'http://[::1]:80']",
    );
    let spelled =
        ["https://app.acme.com", "http://localhost:5173", "https://xn--bcher-kva.example", "http://[::1]"];
    assert_eq!(listed.unwrap().origins, spelled);
    assert_eq!(cors(""), Ok(crate::config::settings::Cors::default()));
    assert!(cors("allowed_origins = ['*']").unwrap().any);
    for broken in [
        "app.acme.com",
        "https://app.acme.com/x",
        "https://app.acme.com?q",
        "https://*.acme.com",
        "https://app.acme.com:*",
        "https://user@app.acme.com",
        "ftp://app.acme.com",
        "null",
        "",
        "https://",
        "https://app.acme.com, https://b.acme.com",
    ] {
        let problems = cors(&format!("allowed_origins = ['https://a.test', '{broken}']")).unwrap_err();
        let told = problems.to_string();
        assert!(told.contains("`cors.allowed_origins.1`: is not an origin like https://app."), "{told}");
    }
    for (text, said) in [
        ("allowed_origins = ['*', 'https://a.test']", "`cors.allowed_origins`: must hold `*` alone"),
        (
            "allowed_origins = ['*']\nallow_credentials = true",
            "`cors.allow_credentials`: must be false where",
        ),
        ("allow_credentials = 'yes'", "`cors.allow_credentials`: must be true or false"),
        ("alowed_origins = []", "`cors.alowed_origins`: unknown key; did you mean `allowed_origins`?"),
        ("allowed_origins = '*'", "`cors.allowed_origins`: must be a list in brackets"),
    ] {
        let told = cors(text).unwrap_err().to_string();
        assert!(told.contains(said), "{told}");
    }
}
