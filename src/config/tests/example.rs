//! The example in `config/`: it is fine as it stands, and names every key there is, as do the defaults for the
//! keys that have one.

use std::collections::BTreeSet;

use crate::config::{
    Documents, Source, compose, decode,
    reader::Context,
    tenants,
    tree::{self, Node, Value},
};

const SERVER: &str = include_str!("../../../config/usher.toml");
const ACME: &str = include_str!("../../../config/tenants/acme.toml");

/// The example with its commented-out keys in force: a comment that starts with `# key =` or `# [section]`.
fn uncommented(text: &str) -> String {
    let key = |line: &str| {
        line.starts_with('[')
            || line.split_once(" = ").is_some_and(|(key, _)| {
                key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            })
    };
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if key(rest) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn keys(node: &Node, under: &str, into: &mut BTreeSet<String>) {
    let join = |key: &str| if under.is_empty() { key.to_owned() } else { format!("{under}.{key}") };
    match &node.value {
        Value::Table(table) => {
            into.insert(under.to_owned());
            table.iter().for_each(|(key, node)| keys(node, &join(key), into));
        }
        Value::List(elements) if elements.iter().any(|node| matches!(node.value, Value::Table(_))) => {
            into.insert(under.to_owned());
            elements.iter().for_each(|node| keys(node, &format!("{under}[]"), into));
        }
        _ => {
            into.insert(under.to_owned());
        }
    }
    into.remove("");
}

fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    keys(
        &tree::parse("example", text).map_err(|(line, what)| format!("{line}: {what}")).unwrap(),
        "",
        &mut names,
    );
    names
}

/// Every key that decoding asks for.
fn known() -> (BTreeSet<String>, BTreeSet<String>) {
    let cx = Context::default();
    let server = tree::parse("server", "[[tokens.keys]]\n[[auth.issuers]]").unwrap_or_else(|_| panic!());
    let tenant = tree::parse("tenant", "[[workspaces]]\n[[auth.issuers]]").unwrap_or_else(|_| panic!());
    decode::server(&cx, &server);
    let of_server = cx.known.take();
    tenants::tenant(&cx, &server, &tenant);
    let of_tenant = cx.known.take().into_iter().map(|key| key.replacen("tenant.", "", 1)).collect();
    // elements have no key of their own
    (of_server, of_tenant)
}

#[test]
fn the_example_is_fine_and_only_its_published_secrets_are_worth_a_warning() {
    let documents = Documents {
        server: ("config/usher.toml".to_owned(), SERVER.to_owned()),
        tenants: vec![("config/tenants/acme.toml".to_owned(), ACME.to_owned())],
    };
    let loaded = compose(&Source::default(), &documents).unwrap();
    let [one, two] = loaded.warnings.as_slice() else { panic!("{:?}", loaded.warnings) };
    assert!(one.contains("`tokens.keys.0.secret`: is the published secret"), "{one}");
    assert!(two.contains("`auth.issuers.0.hs256_secret`: is the published secret"), "{two}");
    assert!(loaded.require_servable("127.0.0.1:8080", false).is_ok());
    assert_eq!(loaded.require_servable("0.0.0.0:8080", false).unwrap_err().problems().len(), 2);
}

#[test]
fn the_example_names_every_key_and_no_other() {
    let (server, tenant) = known();
    let written = named(&uncommented(SERVER));
    // what the example tells in a remark rather than a line of its own
    let told_aside = [
        "auth.issuers[].hs256_secret_file",
        "database.url_file",
        "mail.url_file",
        "tokens.keys[].secret_file",
    ];
    for aside in told_aside {
        assert!(SERVER.contains(aside.rsplit('.').next().unwrap()), "{aside}");
    }
    let missing: Vec<_> =
        server.iter().filter(|key| !written.contains(*key) && !told_aside.contains(&key.as_str())).collect();
    assert!(missing.is_empty(), "not in config/usher.toml: {missing:?}");
    let unknown: Vec<_> = written.difference(&server).filter(|key| !key.ends_with("[]")).collect();
    assert!(unknown.is_empty(), "not known: {unknown:?}");

    let written = named(&uncommented(ACME));
    let unknown: Vec<_> = written.difference(&tenant).filter(|key| !key.ends_with("[]")).collect();
    assert!(unknown.is_empty(), "not known: {unknown:?}");
    let own = tenant.iter().filter(|key| !server.contains(*key));
    let missing: Vec<_> = own.filter(|key| !written.contains(*key)).collect();
    assert!(missing.is_empty(), "not in config/tenants/acme.toml: {missing:?}");
}

#[test]
fn defaults_and_example_agree_and_no_secret_issuer_or_admin_claim_has_a_default() {
    let defaults = named(include_str!("../defaults.toml"));
    let written = named(SERVER);
    let missing: Vec<_> = defaults.difference(&written).collect();
    assert!(missing.is_empty(), "defaults that config/usher.toml does not name: {missing:?}");
    for never in ["tokens", "auth"] {
        assert!(!defaults.iter().any(|key| key.starts_with(never)), "{never}");
    }
    let plain = |text: &str| {
        let documents = Documents { server: ("x".to_owned(), text.to_owned()), tenants: Vec::new() };
        let loaded = compose(&Source::default(), &documents).unwrap();
        let values = loaded.show().iter().filter(|shown| defaults.contains(&shown.key));
        values.map(|shown| (shown.key.clone(), shown.value.clone())).collect::<Vec<_>>()
    };
    assert_eq!(plain(""), plain(SERVER), "the example spells out the defaults");
}
