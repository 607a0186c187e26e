//! Broken files: what is refused across files and keys, and the first thing that is said about it.

use super::{ACME, CLINIC, SERVER, Scratch, check, told};
use crate::config::load;

/// Replaces a line or phrase of a fine file; the phrase has to be there.
fn with(text: &str, what: &str, by: &str) -> String {
    assert!(text.contains(what), "{what}");
    text.replacen(what, by, 1)
}

#[test]
fn the_files_that_the_broken_ones_are_made_of_are_fine() {
    assert_eq!(told(SERVER, &[ACME, CLINIC], &[]), Vec::<String>::new());
    assert_eq!(told("", &[], &[]), Vec::<String>::new());
}

#[test]
fn every_broken_server_file_is_refused_with_its_place_its_key_and_what_to_do() {
    for (what, by, said) in [
        ("[server]", "[servre]", "usher.toml:1: `servre`: unknown key; did you mean `server`?"),
        (
            "platform_hosts",
            "platform_host",
            "usher.toml:2: `server.platform_host`: unknown key; did you mean `platform_hosts`?",
        ),
        ("[server]", "[server", "usher.toml:1: not TOML: "),
        ("audience = \"usher\"", "audience = \"usher", "usher.toml:10: not TOML: "),
        ("audience = \"usher\"", "issuer = \"twice\"", "usher.toml:10: not TOML: duplicate key"),
        ("audience = \"usher\"\n", "", "usher.toml:8: `auth.issuers.0.audience`: is missing"),
        ("issuer = \"https://auth.example.test\"\n", "", "usher.toml:8: `auth.issuers.0.issuer`: is missing"),
        (
            "hs256_secret = ",
            "# hs256_secret = ",
            "usher.toml:8: `auth.issuers.0`: needs exactly one of `hs256_secret`, ",
        ),
        (
            "hs256_secret = ",
            "jwks_url = \"https://auth.example.test/jwks\"\nhs256_secret = ",
            "usher.toml:8: `auth.issuers.0`: needs exactly one of ",
        ),
        (
            "CANARY-secret-CANARY-secret-CANARY-secret",
            "CANARY",
            "usher.toml:11: `auth.issuers.0.hs256_secret`: must have at least 32 bytes",
        ),
        (
            "CANARY-secret-CANARY-secret-CANARY-secret",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "usher.toml:11: `auth.issuers.0.hs256_secret`: is one byte repeated",
        ),
        (
            "c29tZSAzMiBieXRlcyB0aGF0",
            "c29tZSAz",
            "usher.toml:7: `tokens.keys.0.secret`: must be 32 bytes in base64",
        ),
        (
            "secret = \"c29t",
            "secret_file = \"/nowhere/CANARY",
            "usher.toml:7: `tokens.keys.0.secret_file`: cannot read /nowhere/",
        ),
        ("secret = \"c29t", "# secret = \"", "usher.toml:5: `tokens.keys.0.secret`: is missing; give it or"),
        ("id = \"k1\"", "id = \"a b\"", "usher.toml:6: `tokens.keys.0.id`: must be 1 to 16 letters"),
        (
            "active_key = \"k1\"",
            "active_key = \"k2\"",
            "usher.toml:4: `tokens.active_key`: is not the id of one of",
        ),
        (
            "[[tokens.keys]]",
            "[[tokens.keys]]\nid = \"k1\"\nsecret = \"b3RoZXIgMzIgYnl0ZXMgdGhhdCBhcmUgc2VjcmV0ISE=\"\n[[tokens.keys]]",
            "usher.toml:9: `tokens.keys.1.id`: is already the id of another key",
        ),
        (
            "[invites]",
            "[[auth.issuers]]\nissuer = \"https://auth.example.test\"\naudience = \"b\"\njwks_url = \"https://a.test\"\n[invites]",
            "usher.toml:13: `auth.issuers.1.issuer`: `https://auth.example.test` is already an issuer (usher.toml:9)",
        ),
        (
            "[invites]",
            "subject_prefix = \"a\"\n[[auth.issuers]]\nissuer = \"b\"\naudience = \"b\"\njwks_url = \"https://a.test\"\nsubject_prefix = \"ab\"\n[invites]",
            "usher.toml:17: `auth.issuers.1.subject_prefix`: equals or begins the subject_prefix of another issuer (usher.toml:12)",
        ),
        (
            "[invites]",
            "[auth.issuer]\n[invites]",
            "usher.toml:12: `auth.issuer`: unknown key; did you mean `issuers`?",
        ),
        (
            "ttl = \"3d\"",
            "ttl = \"3 days\"",
            "usher.toml:13: `invites.ttl`: is not a duration like 90s, 5m, 2h, 7d",
        ),
        (
            "ttl = \"3d\"",
            "ttl = \"91d\"",
            "usher.toml:13: `invites.ttl`: must lie between `min_ttl` and `max_ttl`",
        ),
        (
            "ttl = \"3d\"",
            "min_ttl = \"91d\"",
            "usher.toml:13: `invites.min_ttl`: must not be longer than `max_ttl`",
        ),
        ("ttl = \"3d\"", "ttl = 3", "usher.toml:13: `invites.ttl`: must be text in quotes"),
        (
            "\"usher.example.test\"",
            "\"*.example.test\"",
            "usher.toml:2: `server.platform_hosts.1`: is not a host name",
        ),
        (
            "\"usher.example.test\"",
            "\"localhost\"",
            "usher.toml:2: `server.platform_hosts.1`: `localhost` is already a platform host (usher.toml:2)",
        ),
    ] {
        let told = told(&with(SERVER, what, by), &[ACME, CLINIC], &[]);
        assert!(told.first().is_some_and(|first| first.starts_with(said)), "{what} → {by}: {told:#?}");
        assert!(!told.iter().any(|line| line.contains("CANARY-") || line.contains("c29t")), "{told:#?}");
    }
}

#[test]
fn every_broken_tenant_file_is_refused_and_both_files_are_named() {
    for (what, by, said) in [
        ("id = ", "# id = ", "clinic.toml: `id`: is missing"),
        ("id = \"0190", "id = \"019", "clinic.toml:1: `id`: is not a UUID like "),
        (
            "00000000c11c",
            "00000000acde",
            "clinic.toml:1: `id`: `01900000-0000-7000-8000-00000000acde` is already the id of a tenant (acme.toml:1)",
        ),
        (
            "\"clinic\"",
            "\"acme\"",
            "clinic.toml:2: `slug`: `acme` is already the slug of a tenant (acme.toml:2)",
        ),
        ("\"clinic\"", "\"Clinic!\"", "clinic.toml:2: `slug`: must be 1 to 63 lower-case letters"),
        ("\"Clinic\"", "\"Clinic\\r\\nBcc: x\"", "clinic.toml:3: `name`: must not contain line breaks"),
        ("\"Clinic\"", "\" \"", "clinic.toml:3: `name`: must not be empty"),
        (
            "\"clinic.test\"",
            "\"APP.acme.test.\"",
            "clinic.toml:4: `domains.0`: `app.acme.test` is already a domain of a tenant (acme.toml:4)",
        ),
        (
            "\"clinic.test\"",
            "\"clinic.test\", \"usher.example.test\"",
            "clinic.toml:4: `domains.1`: `usher.example.test` is already a platform host (usher.toml:2)",
        ),
        ("\"clinic.test\"", "\"https://clinic.test\"", "clinic.toml:4: `domains.0`: is not a host name"),
        ("\"clinic.test\"", "\"clinic.test:8080\"", "clinic.toml:4: `domains.0`: is not a host name"),
        (
            "domains = ",
            "retired_domains = [\"join.acme.test\"]\ndomains = ",
            "clinic.toml:4: `retired_domains.0`: `join.acme.test` is already a domain of a tenant (acme.toml:4)",
        ),
        (
            "domains = ",
            "retired_domains = [\"clinic.test\"]\ndomains = ",
            "clinic.toml:4: `retired_domains.0`: `clinic.test` is already a domain of a tenant (clinic.toml:5)",
        ),
        ("domains = ", "domain = ", "clinic.toml:4: `domain`: unknown key; did you mean `domains`?"),
        (
            "domains = [\"clinic.test\"]",
            "domains = \"clinic.test\"",
            "clinic.toml:4: `domains`: must be a list",
        ),
        (
            "\"clinic.test\"]",
            "\"clinic.test\"]\nowners = [\"nobody\"]",
            "clinic.toml:5: `owners.0`: must look like",
        ),
    ] {
        let told = told(SERVER, &[ACME, &with(CLINIC, what, by)], &[]);
        assert!(told.first().is_some_and(|first| first.starts_with(said)), "{what} → {by}: {told:#?}");
    }
}

#[test]
fn every_broken_section_of_a_tenant_is_refused() {
    let issuer = "[[auth.issuers]]\nissuer = \"i\"\naudience = \"a\"\njwks_url = \"https://a.test\"\n";
    let with_issuer = |more: &str| format!("{issuer}{more}");
    for (more, said) in [
        ("[mail]\nfrom = \"Clinic\"", "clinic.toml:6: `mail.from`: is not a sender like"),
        (
            "[mail]\nfrom = \"Clinic\\nX: y <a@clinic.test>\"",
            "clinic.toml:6: `mail.from`: must not contain line",
        ),
        ("[mail]\nreply_to = \"a@b.test\\u0000\"", "clinic.toml:6: `mail.reply_to`: must not contain line"),
        ("[mail]\nfrom = \"a@b.test, c@d.test\"", "clinic.toml:6: `mail.from`: is not a sender like"),
        (
            "[mail]\ntransport = \"smpt\"",
            "clinic.toml:6: `mail.transport`: must be one of file, smtp, memory; did you mean `smtp`?",
        ),
        (
            "[mail]\ntransport = \"smtp\"\nfrom = \"a@b.test\"",
            "clinic.toml:5: `mail.url`: is missing: transport `smtp` needs",
        ),
        (
            "[mail]\ntransport = \"smtp\"\nurl = \"smtp://r.test\"",
            "clinic.toml: `mail.from`: is missing: transport `smtp` needs",
        ),
        ("mail = 1", "clinic.toml:5: `mail`: must be a section"),
        (
            "[branding]\nlogo_url = \"https://acme.test/l.svg\"",
            "clinic.toml:6: `branding.logo_url`: must lie on one of",
        ),
        (
            "[branding]\nlogo_url = \"https://app.acme.test/l.svg\"",
            "clinic.toml:6: `branding.logo_url`: must lie on",
        ),
        (
            "[branding]\nlogo_url = \"https://clinic.test@evil.test/\"",
            "clinic.toml:6: `branding.logo_url`: must lie on",
        ),
        (
            "[branding]\nlogo_file = \"/nowhere.svg\"",
            "clinic.toml:6: `branding.logo_file`: cannot read /nowhere.svg",
        ),
        (
            "[branding]\nprimary_color = \"green\"",
            "clinic.toml:6: `branding.primary_color`: is not a color like",
        ),
        (
            "[links]\nsign_in_url = \"javascript:alert(1)\"",
            "clinic.toml:6: `links.sign_in_url`: is not an http or",
        ),
        (
            "[links]\nafter_accept_url = \"/welcome\"",
            "clinic.toml:6: `links.after_accept_url`: is not an http or",
        ),
        ("[invites]\nseats = 0", "clinic.toml:6: `invites.seats`: must be a whole number from 1 to"),
        ("[invites]\nttl = \"1m\"", "clinic.toml:6: `invites.ttl`: must lie between"),
        (
            "[invites.permissions]\nviewer = [\"invites:read\"]",
            "clinic.toml:6: `invites.permissions.viewer`: unknown key",
        ),
        (
            "[invites.permissions]\nmember = [\"invites:revok\"]",
            "clinic.toml:6: `invites.permissions.member.0`: must be one of invites:create, invites:read, invites:revoke; did you mean `invites:revoke`?",
        ),
        (
            "[invites.permissions]\nmember = [\"members:write\"]",
            "clinic.toml:6: `invites.permissions.member.0`: must be",
        ),
        (
            "[limits]\nrequests_per_ip = \"off\"",
            "clinic.toml:6: `limits.requests_per_ip`: belongs to usher.toml",
        ),
        (
            "[retention]\nmails = \"1d\"",
            "clinic.toml:6: `retention.mails`: belongs to usher.toml: it is the same for all tenants",
        ),
        ("[retention]\ninvites = \"0s\"", "clinic.toml:6: `retention.invites`: is not a duration like"),
        (
            "[limits]\ninvites_per_tenant = \"0/1d\"",
            "clinic.toml:6: `limits.invites_per_tenant`: is not a rate like",
        ),
        (
            "[[workspaces]]\nid = \"01900000-0000-7000-8000-0000000000a1\"",
            "clinic.toml:5: `workspaces.0.name`: is missing",
        ),
        ("[server]\nlisten = \"0.0.0.0:1\"", "clinic.toml:5: `server`: unknown key"),
        (
            with_issuer("system_admin_claim = \"role=x\"").as_str(),
            "clinic.toml:9: `auth.issuers.0.system_admin_claim`: is for issuers in usher.toml only",
        ),
        (
            with_issuer("subject_prefix = \"\"").as_str(),
            "clinic.toml:9: `auth.issuers.0.subject_prefix`: must not be empty",
        ),
        (
            with_issuer("algorithms = [\"HS256\"]").as_str(),
            "clinic.toml:9: `auth.issuers.0.algorithms.0`: is a shared-secret",
        ),
        (
            with_issuer("algorithms = [\"none\"]").as_str(),
            "clinic.toml:9: `auth.issuers.0.algorithms.0`: is not an algorithm",
        ),
        (
            with_issuer(issuer).as_str(),
            "clinic.toml:10: `auth.issuers.1.issuer`: `i` is already an issuer (clinic.toml:6)",
        ),
        (
            "[[auth.issuers]]\nissuer = \"https://auth.example.test\"",
            "clinic.toml:6: `auth.issuers.0.issuer`: `https://auth.example.test` is already an issuer (usher.toml:9)",
        ),
        ("locale = \"english please\"", "clinic.toml:5: `locale`: is not a language like"),
    ] {
        let told = told(SERVER, &[ACME, &format!("{CLINIC}{more}")], &[]);
        assert!(told.first().is_some_and(|first| first.starts_with(said)), "{more}: {told:#?}");
    }
}

#[test]
fn two_issuers_of_one_tenant_need_prefixes_that_tell_them_apart() {
    let issuer = |name: &str| {
        format!("[[auth.issuers]]\nissuer = \"{name}\"\naudience = \"a\"\njwks_url = \"https://a.test\"\n")
    };
    let text = format!("{CLINIC}{}{}", issuer("one"), issuer("two"));
    let said =
        "clinic.toml: `auth.issuers.1.subject_prefix`: equals or begins the subject_prefix of another issuer";
    assert!(told(SERVER, &[ACME, &text], &[])[0].starts_with(said));
    let fine = format!("{text}subject_prefix = \"clinic-two:\"");
    let loaded = check(SERVER, &[ACME, &fine], &[]).unwrap();
    let prefixes: Vec<&str> =
        loaded.settings.all_issuers().map(|issuer| issuer.subject_prefix.as_str()).collect();
    assert_eq!(prefixes, ["", "clinic:", "clinic-two:"]);
}

#[test]
fn everything_wrong_is_told_at_once_and_a_broken_file_hides_nothing_in_the_others() {
    let server = with(&with(SERVER, "ttl = \"3d\"", "tll = \"3d\""), "audience =", "audiense =");
    let acme = with(ACME, "\"Acme Corp\"", "\"\"");
    let told_all = told(&server, &[&acme, "slug = \"clinic"], &[("USHER__DATABASE__MAXCONNECTIONS", "3")]);
    for said in [
        "usher.toml:13: `invites.tll`: unknown key; did you mean `ttl`?",
        "usher.toml:10: `auth.issuers.0.audiense`: unknown key; did you mean `audience`?",
        "usher.toml:8: `auth.issuers.0.audience`: is missing",
        "acme.toml:3: `name`: must not be empty",
        "clinic.toml:1: not TOML: ",
        "USHER__DATABASE__MAXCONNECTIONS: `database.maxconnections`: unknown key; did you mean `max_connections`?",
    ] {
        assert!(told_all.iter().any(|line| line.starts_with(said)), "{said}\n{told_all:#?}");
    }
    assert_eq!(told_all.len(), 6, "{told_all:#?}");
    let told_half = told("[tokens]\nactive_key = \"k1\n", &[&acme], &[]);
    assert_eq!(told_half.len(), 2, "a half-read server file makes no problems of its own: {told_half:#?}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let scratch = Scratch::new();
    let dir = scratch.path().display().to_string();
    let missing = load(&scratch.source()).unwrap_err().to_string();
    assert!(missing.starts_with(&format!("{dir}/usher.toml: no such file")), "{missing}");
    scratch.write("usher.toml", SERVER);
    std::fs::write(scratch.path().join("tenants/a.toml"), [0xff, 0xfe]).unwrap();
    std::fs::create_dir(scratch.path().join("tenants/b.toml")).unwrap();
    scratch.write("tenants/.c.toml.swp", "not read");
    let told = load(&scratch.source()).unwrap_err().to_string();
    assert!(told.starts_with(&format!(
        "{dir}/tenants/a.toml: is not text in UTF-8\n{dir}/tenants/b.toml: cannot read"
    )));
    let mut source = scratch.source();
    source.config_dir = "/nowhere/config".into();
    let told = load(&source).unwrap_err().to_string();
    assert!(told.starts_with("/nowhere/config: no such directory; make it with `usher.toml`"), "{told}");
}
