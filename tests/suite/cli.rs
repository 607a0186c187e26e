//! The command line: nouns then verbs, data on standard output and nothing else there, and an exit code that
//! says what kind of trouble it was.

use serde_json::Value;

use crate::support::{
    ACME, CLINIC, Engine,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines,
    cli::{places, usher, usher_with},
    invites::token_of,
    person,
    setup::Scratch,
};

both_engines!(
    usage_errors_are_2,
    configuration_errors_are_3_and_all_told_at_once,
    an_unreachable_database_or_port_is_4,
    the_configuration_is_checked_and_shown,
    a_token_is_minted_alone,
    an_invite_is_made_linked_shown_and_revoked,
    members_are_listed_and_changed,
    keys_are_made_listed_and_revoked,
    tenants_and_mails_are_listed,
    the_document_is_printed_without_a_configuration,
    the_doctor_tells_what_is_wrong,
    a_server_without_key_or_issuer_does_not_start,
    published_secrets_are_for_loopback_only,
    several_migrate_at_once,
);

/// A configuration without a server.
fn prepared(server: &TestServer, change: impl FnOnce(Setup) -> Setup) -> TestServer {
    TestServer::prepared(server.engine, change(Setup::new()))
}

async fn usage_errors_are_2(server: TestServer) {
    for arguments in [
        vec![],
        vec!["fly"],
        vec!["invite"],
        vec!["invite", "create"],
        vec!["invite", "link"],
        vec!["migrate", "sideways"],
        vec!["serve", "--port", "x"],
        vec!["token", "mint", "--tenant", "acme"],
        vec!["api-key", "create", "--service", "--tenant", "acme"],
    ] {
        let output = usher(server.dir(), &arguments, &[]).await;
        assert_eq!(output.code, Some(2), "{arguments:?}: {output:#?}");
        assert_eq!(output.stdout, "");
        assert!(!output.stderr.is_empty());
    }
    let help = usher(server.dir(), &["--help"], &[]).await.data();
    for noun in [
        "serve",
        "dev",
        "config",
        "migrate",
        "token",
        "api-key",
        "tenant",
        "member",
        "invite",
        "mail",
        "backup",
        "restore-finish",
        "openapi",
        "doctor",
    ] {
        assert!(help.contains(noun), "{noun} in {help}");
    }
    assert!(usher(server.dir(), &["--version"], &[]).await.data().contains(env!("CARGO_PKG_VERSION")));
}

async fn configuration_errors_are_3_and_all_told_at_once(server: TestServer) {
    let bad = prepared(&server, |setup| {
        setup
            .server("server.listne", "127.0.0.1:1")
            .server("invites.ttl", "14 days")
            .acme("nmae", "Acme")
            .acme("domains", vec!["app.acme.test", "people.globex.test"])
    });
    for arguments in [vec!["config", "check"], vec!["serve"], vec!["migrate", "up"], vec!["tenant", "list"]] {
        let output = bad.cli(&arguments).await;
        output.failed(
            3,
            &["listne", "listen", "invites.ttl", "nmae", "people.globex.test", "usher.toml", "acme.toml"],
        );
        assert!(!output.stderr.contains("MDEyMzQ1"), "a secret is never shown: {}", output.stderr);
    }
    let weak = prepared(&server, |setup| setup.issuer("hs256_secret", "short"));
    let output = weak.cli(&["config", "check"]).await;
    output.failed(3, &["hs256_secret"]);
    assert!(!output.stderr.contains("\"short\""), "{}", output.stderr);
    let nowhere = usher(server.dir(), &["config", "check", "--config", "no/such/dir"], &[]).await;
    nowhere.failed(3, &["no/such/dir"]);
    let twice = prepared(&server, |setup| setup.issuer("issuer", "https://login.globex.test"));
    twice.cli(&["config", "check"]).await.failed(3, &["login.globex.test"]);
}

async fn an_unreachable_database_or_port_is_4(server: TestServer) {
    let taken = server.addr().to_string();
    let output = server.cli(&["serve", "--listen", &taken]).await;
    output.failed(4, &[&taken]);
    let environment = [("USHER__DATABASE__URL", "postgres://nobody:very-secret@127.0.0.1:1/none")];
    for arguments in [vec!["serve"], vec!["migrate", "up"], vec!["member", "list", "--tenant", "acme"]] {
        let places = places(&server.config_dir(), &server.data_dir());
        let output = usher_with(server.dir(), &arguments, &places, &environment).await;
        output.failed(4, &[]);
        assert!(!output.stderr.contains("very-secret"), "{}", output.stderr);
    }
}

async fn the_configuration_is_checked_and_shown(server: TestServer) {
    let checked = server.cli(&["config", "check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:#?}");
    let environment = [("USHER__INVITES__TTL", "3d"), ("USHER__LIMITS__INVITES_PER_TENANT", "7/1h")];
    let places = places(&server.config_dir(), &server.data_dir());
    let shown = usher_with(server.dir(), &["config", "show"], &places, &environment).await.data();
    let line = |key: &str| {
        shown.lines().find(|line| line.contains(key)).unwrap_or_else(|| panic!("{key} in {shown}"))
    };
    assert!(
        line("invites.ttl").contains("3d") && line("invites.ttl").contains("USHER__INVITES__TTL"),
        "{shown}"
    );
    assert!(line("server.base_url").contains("usher.toml"), "{shown}");
    for secret in ["MDEyMzQ1Njc4OWFi", "a-test-secret", "globex-keeps-its-own"] {
        assert!(!shown.contains(secret), "{secret} is masked");
    }
    let unknown =
        usher_with(server.dir(), &["config", "check"], &places, &[("USHER__SERVER__LISTNE", "x")]).await;
    unknown.failed(3, &["USHER__SERVER__LISTNE", "listen"]);
    // a secret in a file, one trailing newline dropped
    let file = server.dir().join("secret");
    std::fs::write(&file, "a-test-secret-that-is-at-least-32-bytes-long\n").unwrap();
    let by_file = prepared(&server, |setup| {
        setup.issuer("hs256_secret_file", file.to_str().unwrap()).issuer_without("hs256_secret")
    });
    let mint = ["token", "mint", "--sub", "u-file", "--email", "owner@acme.test"];
    let jwt = by_file.cli(&mint).await.data();
    server.get(&Org.collection()).bearer(&jwt).await.expect(200);
}

async fn a_token_is_minted_alone(server: TestServer) {
    let jwt = server.cli(&["token", "mint", "--sub", "u-cli", "--email", "owner@acme.test"]).await.data();
    assert_eq!(jwt.split('.').count(), 3, "{jwt}");
    server.get(&Org.collection()).bearer(&jwt).await.expect(200);
    let own = server
        .cli(&["token", "mint", "--sub", "u-g", "--email", "owner@globex.test", "--tenant", "globex"])
        .await;
    server.get(&Org.globex_collection()).bearer(&own.data()).await.expect(200);
    assert_eq!(server.get(&Org.collection()).bearer(&own.data()).await.status, 404, "of globex's own issuer");
}

async fn an_invite_is_made_linked_shown_and_revoked(server: TestServer) {
    let made = server.cli(&[
        "invite",
        "create",
        "--tenant",
        "acme",
        "--workspace",
        CLINIC,
        "--email",
        "bob@example.com",
    ]);
    let url = made.await.data();
    assert!(url.starts_with("https://app.acme.test/workspace-invites/eyJ") && !url.contains('\n'), "{url}");
    let listed = server.cli(&["invite", "list", "--tenant", "acme", "--json"]).await.json();
    let rows = listed.as_array().or_else(|| listed["data"].as_array()).unwrap();
    assert_eq!(rows.len(), 1);
    assert!(!listed.to_string().contains("eyJ"));
    let id = rows[0]["id"].as_str().unwrap();
    assert_eq!(server.cli(&["invite", "link", id]).await.data(), url, "derived again, byte for byte");
    let shown = server.cli(&["invite", "show", id, "--json"]).await.json();
    assert!(
        shown.to_string().contains("bob@example.com") && shown.to_string().contains("pending"),
        "{shown}"
    );
    server.letters_to("bob@example.com", 1).await;

    server.advance(std::time::Duration::ZERO);
    let path = Workspace.token(&token_of(&url));
    server.get(&path).await.expect(200);
    server.cli(&["invite", "revoke", id]).await.data();
    crate::support::eventually("the preview to be gone within its bound", async || {
        (server.get(&path).await.status == 404).then_some(())
    })
    .await;
    let accept = format!("{path}/accept");
    let late = server.post(&accept, &Value::Object(Default::default())).by(&person("bob@example.com")).await;
    late.refused(409, "REVOKED");
    let resent = server.cli(&["invite", "resend", id]).await;
    resent.failed(1, &["REVOKED"]);
    server.cli(&["invite", "link", "01900000-0000-7000-8000-00000000ffff"]).await.failed(1, &[]);
    let above = server
        .cli(&["invite", "create", "--tenant", "acme", "--email", "x@example.com", "--role", "viewer"])
        .await;
    assert_ne!(above.code, Some(0), "an organisation has no viewer: {above:#?}");
}

async fn members_are_listed_and_changed(server: TestServer) {
    let bob = server.joined(Workspace, "bob@example.com", "viewer").await;
    for tenant in ["acme", ACME] {
        let listed = server.cli(&["member", "list", "--tenant", tenant, "--json"]).await.json().to_string();
        assert!(listed.contains(&bob.user_id()) && listed.contains(&acme_owner().user_id()), "{listed}");
    }
    server
        .cli(&["member", "set-role", &bob.user_id(), "admin", "--tenant", "acme", "--workspace", CLINIC])
        .await
        .data();
    let listed =
        server.cli(&["member", "list", "--tenant", "acme", "--workspace", CLINIC, "--json"]).await.json();
    assert!(listed.to_string().contains("admin"), "{listed}");
    server.invite(Workspace, &bob, "carl@example.com", "admin").await;
    server.cli(&["member", "remove", &bob.user_id(), "--tenant", "acme"]).await.data();
    server.cli(&["member", "remove", &bob.user_id(), "--tenant", "acme"]).await.failed(1, &[]);
    server.cli(&["member", "set-role", "nobody", "admin", "--tenant", "acme"]).await.failed(1, &[]);
    server.cli(&["member", "list", "--tenant", "nowhere"]).await.failed(1, &["nowhere"]);
    server
        .cli(&["member", "set-role", &bob.user_id(), "emperor", "--tenant", "acme"])
        .await
        .failed(2, &["emperor"]);
}

async fn keys_are_made_listed_and_revoked(server: TestServer) {
    let made = server
        .cli(&["api-key", "create", "--tenant", "acme", "--service", "--role", "admin", "--name", "ci"])
        .await;
    let key = made.data();
    assert!(key.starts_with("msk_u_") && !key.contains(char::is_whitespace), "{key}");
    let listed = server.cli(&["api-key", "list", "--json"]).await;
    assert!(listed.json().to_string().contains("ci") && !listed.stdout.contains(&key));
    assert!(server.inspect().await.dump().await.len() > 100);
    let secret = &key["msk_u_".len() + 8..];
    assert!(!server.inspect().await.dump().await.contains(secret), "only its hash is stored");
    let late = "2020-01-01T00:00:00Z";
    let old = server
        .cli(&["api-key", "create", "--tenant", "acme", "--email", "a@acme.test", "--expires-at", late])
        .await;
    assert_ne!(old.code, Some(0), "already over: {old:#?}");
}

async fn tenants_and_mails_are_listed(server: TestServer) {
    let tenants = server.cli(&["tenant", "list", "--json"]).await.json().to_string();
    for word in ["acme", "Acme Corp", ACME, "app.acme.test", "globex"] {
        assert!(tenants.contains(word), "{word} in {tenants}");
    }
    let plain = server.cli(&["tenant", "list"]).await.data();
    assert!(plain.contains("acme") && plain.contains("globex"), "{plain}");
    server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    server.letters_to("bob@example.com", 1).await;
    let mails = server.cli(&["mail", "list", "--json"]).await;
    assert!(!mails.stdout.contains("eyJ"), "{}", mails.stdout);
    mails.json();
}

async fn the_document_is_printed_without_a_configuration(server: TestServer) {
    let scratch = Scratch::new();
    let printed = usher(scratch.path(), &["openapi"], &[]).await.json();
    assert_eq!(printed, server.get("/openapi.json").await.expect(200));
    assert!(std::fs::read_dir(scratch.path()).unwrap().next().is_none(), "and leaves nothing behind");
}

async fn the_doctor_tells_what_is_wrong(server: TestServer) {
    let fine = server.cli(&["doctor"]).await;
    assert_eq!(fine.code, Some(0), "{fine:#?}");
    let places = places(&server.config_dir(), &server.data_dir());
    let unreachable = [("USHER__DATABASE__URL", "postgres://nobody@127.0.0.1:1/none")];
    let ill = usher_with(server.dir(), &["doctor"], &places, &unreachable).await;
    assert_ne!(ill.code, Some(0), "{ill:#?}");
    assert!((ill.stdout + &ill.stderr).to_lowercase().contains("database"));
}

async fn a_server_without_key_or_issuer_does_not_start(server: TestServer) {
    let none = Vec::<toml::Table>::new();
    let keyless = prepared(&server, |setup| setup.server("tokens.keys", none.clone()));
    keyless.cli(&["serve"]).await.failed(3, &["tokens"]);
    let trusting = prepared(&server, |setup| {
        setup.server("auth.issuers", none.clone()).tenant("globex", "auth.issuers", none)
    });
    trusting.cli(&["serve"]).await.failed(3, &["issuer"]);
    let bare = Scratch::new();
    usher(bare.path(), &["serve"], &[]).await.failed(3, &["config"]);
}

async fn published_secrets_are_for_loopback_only(server: TestServer) {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        server.cli(&["serve", "--listen", listen]).await.failed(3, &["secret"]);
    }
    let warned = server.cli(&["config", "check"]).await;
    assert_eq!(warned.code, Some(0));
    assert!((warned.stdout + &warned.stderr).contains("published"), "it warns");
}

async fn several_migrate_at_once(server: TestServer) {
    let fresh = TestServer::prepared_without_schema(server.engine, Setup::new());
    let (one, two, three) = tokio::join!(
        fresh.cli(&["migrate", "up"]),
        fresh.cli(&["migrate", "up"]),
        fresh.cli(&["migrate", "up"])
    );
    for output in [one, two, three] {
        output.data();
    }
    let status = fresh.cli(&["migrate", "status", "--json"]).await.json();
    assert!(!status.to_string().contains("false"), "all applied: {status}");
    if server.engine == Engine::Sqlite {
        assert!(fresh.data_dir().join("usher.db").is_file(), "the file and its folder are made");
    }
}
