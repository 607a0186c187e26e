//! The layers: which one wins, what environment variables can say, where a value is told to come from, and that
//! showing it shows no secret.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::{ACME, CLINIC, SERVER, Scratch, check, told};
use crate::config::{
    Documents, Loaded, Source, compose,
    explain::without_password,
    load,
    settings::{IssuerKeys, Retention, Tenant, Transport},
};

/// Value and origin of a key as `config show` has them.
fn shown(loaded: &Loaded, key: &str) -> (String, String) {
    let found = loaded.show().iter().find(|shown| shown.key == key);
    found.map(|shown| (shown.value.clone(), shown.from.clone())).unwrap_or_default()
}

fn pair(value: &str, from: &str) -> (String, String) {
    (value.to_owned(), from.to_owned())
}

#[test]
fn defaults_yield_to_the_file_the_file_to_the_environment_and_that_to_flags() {
    let text = "[server]\nlisten = '127.0.0.1:2'\nlink_port = 7\n";
    let documents = Documents { server: ("usher.toml".to_owned(), text.to_owned()), tenants: Vec::new() };
    let mut source = Source::default();
    let at = |source: &Source| shown(&compose(source, &documents).unwrap(), "server.listen");
    assert_eq!(at(&source), pair("\"127.0.0.1:2\"", "usher.toml:2"));
    source.env.push(("USHER__SERVER__LISTEN".to_owned(), "[::1]:3".to_owned()));
    assert_eq!(at(&source), pair("\"[::1]:3\"", "USHER__SERVER__LISTEN"));
    source.listen = Some("127.0.0.1:4".to_owned());
    assert_eq!(at(&source), pair("\"127.0.0.1:4\"", "--listen"));
    let loaded = compose(&source, &documents).unwrap();
    assert_eq!(shown(&loaded, "server.link_port"), pair("7", "usher.toml:3"));
    assert_eq!(shown(&loaded, "invites.ttl"), pair("\"7d\"", "default"));
    source.listen = Some("4".to_owned());
    assert!(
        compose(&source, &documents)
            .unwrap_err()
            .to_string()
            .starts_with("--listen: `server.listen`: is not")
    );
}

#[test]
fn a_variable_is_text_for_a_text_key_and_toml_for_any_other() {
    let env = [
        ("USHER__SERVER__LINK_PORT", "8443"),
        ("USHER__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
        ("USHER__SERVER__TRUSTED_PROXIES__1", "::1"),
        ("USHER__SERVER__LISTEN", "[::1]:9"),
        ("USHER__LANE__ACTORS", "false"),
        ("USHER__MAIL__FROM", "\"Acme, Inc.\" <a@b.test>"),
        ("USHER__INVITES", "{ ttl = \"1d\", seats = 9 }"),
        ("USHER__AUTH__ISSUERS__0__AUDIENCE", "123"),
        ("USHER__AUTH__ISSUERS__0__HS256_SECRET", "[\"a secret that only looks like a list\"]"),
        ("USHER__invites__permissions__member", "[\"invites:read\"]"),
        ("USHER_LOG", "not configuration"),
        ("USHER__TENANTS__ACME__NAME", "true"),
    ];
    let loaded = check(SERVER, &[ACME], &env).unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.server.link_port, 8443);
    assert_eq!(settings.server.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    assert_eq!(settings.server.listen, "[::1]:9");
    assert!(!settings.lane.actors);
    assert_eq!(settings.mail.from, "\"Acme, Inc.\" <a@b.test>");
    assert_eq!(settings.issuers[0].audience, "123");
    let IssuerKeys::Hs256(secret) = &settings.issuers[0].keys else { panic!() };
    assert_eq!(secret.expose_secret(), "[\"a secret that only looks like a list\"]");
    let acme = &settings.tenants[0];
    assert_eq!(acme.name, "true");
    assert_eq!((acme.invites.seats, acme.invites.ttl.as_secs()), (Some(9), 86_400));
    assert_eq!(acme.invites.permissions.granted.len(), 1);
    assert_eq!(
        shown(&loaded, "auth.issuers.0.hs256_secret"),
        pair("***", "USHER__AUTH__ISSUERS__0__HS256_SECRET")
    );
}

#[test]
fn variables_that_fit_nowhere_are_refused_by_their_names() {
    for (name, text, said) in [
        (
            "USHER__SERVER__LISTNE",
            "x",
            "USHER__SERVER__LISTNE: `server.listne`: unknown key; did you mean `listen`?",
        ),
        (
            "USHER__SERVER__LINK_PORT",
            "CANARY",
            "USHER__SERVER__LINK_PORT: `server.link_port`: must be a whole number",
        ),
        ("USHER__SYSTEM__ADMINS", "CANARY", "USHER__SYSTEM__ADMINS: `system.admins`: must be a list"),
        ("USHER__SYSTEM__ADMINS", "[]\nCANARY = 1", "USHER__SYSTEM__ADMINS: `system.admins`: must be a list"),
        ("USHER__SYSTEM__ADMINS__1", "x", "USHER__SYSTEM__ADMINS__1: `system.admins.1`: has 0 elements"),
        (
            "USHER__SYSTEM__ADMINS__FIRST",
            "x",
            "USHER__SYSTEM__ADMINS__FIRST: `system.admins.first`: is a list",
        ),
        (
            "USHER__SERVER__LISTEN__PORT",
            "1",
            "USHER__SERVER__LISTEN__PORT: `server.listen.port`: is a single value",
        ),
        ("USHER__TENANTS__NOBODY__NAME", "x", "USHER__TENANTS__NOBODY__NAME: there is no such tenant file"),
        ("USHER__TENANTS__ACME__SLUG", "A b", "USHER__TENANTS__ACME__SLUG: `slug`: must be 1 to 63"),
    ] {
        let told = told(SERVER, &[ACME], &[(name, text)]);
        assert!(
            told.len() == 1 && told[0].starts_with(said) && !told[0].contains("CANARY"),
            "{name}: {told:#?}"
        );
    }
}

#[test]
fn a_list_can_be_made_of_variables_alone() {
    let scratch = Scratch::new();
    let k1 = scratch.write("k1", "c29tZSAzMiBieXRlcyB0aGF0IGFyZSBzZWNyZXQhISE=\n");
    let k2 = scratch.write("k2", "b3RoZXIgMzIgYnl0ZXMgdGhhdCBhcmUgc2VjcmV0ISE\r\n");
    let env = [
        ("USHER__TOKENS__KEYS__1__SECRET_FILE", k2.as_str()),
        ("USHER__TOKENS__KEYS__1__ID", "k2"),
        ("USHER__TOKENS__KEYS__0__SECRET_FILE", k1.as_str()),
        ("USHER__TOKENS__KEYS__0__ID", "k1"),
        ("USHER__TOKENS__ACTIVE_KEY", "k2"),
    ];
    let keys = check("", &[], &env).unwrap().settings.tokens.clone().unwrap();
    assert_eq!(keys.active().id(), "k2");
    assert!(keys.get("k1").is_some());
}

#[test]
fn a_later_layer_may_name_a_secret_in_another_way_and_one_layer_may_not_name_it_twice() {
    let scratch = Scratch::new();
    let secret = scratch.write("secret", "a secret in a file, long enough to count\n\n");
    let loaded = check(SERVER, &[], &[("USHER__AUTH__ISSUERS__0__HS256_SECRET_FILE", &secret)]).unwrap();
    let IssuerKeys::Hs256(read) = &loaded.settings.issuers[0].keys else { panic!() };
    assert_eq!(
        read.expose_secret(),
        "a secret in a file, long enough to count\n",
        "one newline is dropped, not two"
    );
    assert_eq!(shown(&loaded, "auth.issuers.0.hs256_secret"), pair("", ""));
    let url = scratch.write("url", "postgres://u:p@h/d");
    let loaded = check("", &[], &[("USHER__DATABASE__URL_FILE", &url)]).unwrap();
    assert_eq!(loaded.settings.database.url.expose_secret(), "postgres://u:p@h/d");
    let both = format!("{SERVER}[database]\nurl = 'sqlite://x.db'\nurl_file = '{url}'");
    assert!(
        told(&both, &[], &[])[0]
            .starts_with("usher.toml:16: `database.url_file`: give only one of `url` and")
    );
}

#[test]
fn a_secret_file_that_everybody_can_read_is_worth_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let file = scratch.write("secret", "a secret in a file, long enough to count");
    let warnings = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        check(SERVER, &[], &[("USHER__AUTH__ISSUERS__0__HS256_SECRET_FILE", &file)]).unwrap().warnings
    };
    assert_eq!(warnings(0o640), Vec::<String>::new());
    let told = warnings(0o644);
    assert!(told[0].contains("can be read by everybody on this machine"), "{told:?}");
}

#[test]
fn the_data_directory_moves_the_defaults_and_nothing_that_the_operator_placed() {
    let of = |text: &str, env: &[(&str, &str)]| {
        let source = Source {
            data_dir: Some(PathBuf::from("/srv/a b?")),
            env: env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
            ..Source::default()
        };
        let server = ("usher.toml".to_owned(), text.to_owned());
        let loaded = compose(&source, &Documents { server, tenants: Vec::new() }).unwrap();
        let Transport::File(dir) = loaded.settings.mail.transport.clone() else { panic!() };
        (loaded.settings.database.url.expose_secret().to_owned(), dir.display().to_string())
    };
    let moved = ("sqlite:///srv/a b%3F/usher.db".to_owned(), "/srv/a b?/mail".to_owned());
    assert_eq!(of("", &[]), moved);
    assert_eq!(of("[database]\nurl = 'sqlite://data/usher.db'", &[]), moved, "the default, spelled out");
    let placed = "[database]\nurl = 'sqlite://other.db'\n[mail]\ndir = 'outbox'";
    assert_eq!(of(placed, &[]), ("sqlite://other.db".to_owned(), "outbox".to_owned()));
    let asked = [("USHER__DATABASE__URL", "sqlite://data/usher.db")];
    assert_eq!(of("", &asked).0, "sqlite://data/usher.db");
}

#[test]
fn a_tenant_inherits_key_by_key() {
    let server = format!(
        "{SERVER}max_ttl = '60d'\n[mail]\nfrom = 'a@b.test'\nreply_to = 'r@b.test'\n[links]\nsign_in_url = 'https://b.test/in'"
    );
    let acme = format!(
        "{ACME}[mail]\nfrom = 'Acme <i@acme.test>'\n[invites]\nttl = '14d'\n[limits]\ninvites_per_tenant = '9/1d'\n[retention]\ninvites = '30d'"
    );
    let loaded = check(&server, &[&acme, CLINIC], &[]).unwrap();
    let [acme, clinic] = loaded.settings.tenants.as_slice() else { panic!() };
    assert_eq!(
        (acme.mail.from.as_str(), acme.mail.reply_to.as_deref()),
        ("Acme <i@acme.test>", Some("r@b.test"))
    );
    assert_eq!(clinic.mail.from, "a@b.test");
    let days = |duration: std::time::Duration| duration.as_secs() / 86_400;
    assert_eq!((days(acme.invites.ttl), days(acme.invites.max_ttl), days(clinic.invites.ttl)), (14, 60, 3));
    assert_eq!(acme.limits.invites_per_tenant.map(|rate| rate.count), Some(9));
    assert_eq!(clinic.limits, loaded.settings.limits);
    let (servers, kept) = (loaded.settings.retention, |tenant: &Tenant| tenant.retention.invites.map(days));
    assert_eq!((kept(acme), kept(clinic)), (Some(30), Some(90)));
    assert_eq!(acme.retention, Retention { invites: acme.retention.invites, ..servers });
    assert_eq!(clinic.links.sign_in_url.as_deref(), Some("https://b.test/in"));
    assert_eq!(shown(&loaded, "tenants.acme.invites.ttl"), pair("\"14d\"", "acme.toml:8"));
    let own_relay = format!("{ACME}[mail]\nurl = 'smtp://r.test'");
    let warnings = check(&server, &[&own_relay], &[]).unwrap().warnings;
    assert_eq!(warnings, ["acme.toml:6: `mail.url`: is not used, since `mail.transport` is not smtp"]);
}

#[test]
fn nothing_shown_or_debugged_holds_a_secret() {
    let server = format!(
        "{SERVER}[database]\nurl = 'postgres://u:CANARY@h/d?sslmode=x'\n[mail]\ntransport = 'smtp'\nfrom = 'a@b.test'\nurl = 'smtp://u:CANARY@r.test'"
    );
    let env = [(
        "USHER__TOKENS",
        "{ active_key = 'k9', keys = [{ id = 'k9', secret = 'Q0FOQVJZIHRoYXQgaGFzIHRoaXJ0eS10d28gYnl0ZXM=' }] }",
    )];
    let loaded = check(&server, &[ACME], &env).unwrap();
    assert_eq!(shown(&loaded, "tokens.keys.0.secret"), pair("***", "USHER__TOKENS"));
    assert_eq!(shown(&loaded, "auth.issuers.0.hs256_secret"), pair("***", "usher.toml:11"));
    assert_eq!(shown(&loaded, "mail.url").0, "\"smtp://u:***@r.test\"");
    assert_eq!(shown(&loaded, "database.url").0, "\"postgres://u:***@h/d?sslmode=x\"");
    let text = format!("{:?}{loaded:?}", loaded.show());
    assert!(!text.contains("CANARY") && !text.contains("Q0FOQVJZ"), "{text}");
    for (url, masked) in [
        ("postgres://u:CANARY@x?y/z@h/d", "postgres://u:***@h/d"),
        ("postgres://h/d?user=u&password=CANARY", "postgres://h/d?***"),
        ("postgres://u@h/d", "postgres://u@h/d"),
        ("sqlite://data/usher.db", "sqlite://data/usher.db"),
        ("CANARY", "***"),
    ] {
        assert_eq!(without_password(url), masked);
    }
}

#[test]
fn a_directory_is_read_in_the_order_of_names() {
    let scratch = Scratch::new();
    scratch.write("usher.toml", SERVER);
    scratch.write("tenants/b.toml", ACME);
    scratch.write("tenants/a.toml", CLINIC);
    scratch.write("tenants/c.toml.bak", "not read");
    let loaded = load(&scratch.source()).unwrap();
    let slugs: Vec<&str> = loaded.settings.tenants.iter().map(|tenant| tenant.slug.as_str()).collect();
    assert_eq!(slugs, ["clinic", "acme"]);
}
