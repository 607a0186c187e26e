//! What an operator lives with: health, readiness and metrics, a stop that loses nothing, migrations that can
//! go back and forth, several processes at one database, and a configuration that changes whole or not at all.

use std::time::Duration;

use entity::TenantId;
use serde_json::json;
use usher::{
    actors::Lanes,
    config::Source,
    domain::Refusal,
    tenants::{
        Tenants,
        sync::{sync, sync_at_start},
    },
};

use crate::support::{
    ACME, ACME_HOST, Engine,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines, eventually, globex_owner,
    invites::KINDS,
    person,
    setup::Scratch,
};

both_engines!(
    health_is_told_to_everybody_and_detail_to_the_operator,
    metrics_name_no_tenant_and_no_address,
    a_domain_is_allowed_exactly_when_it_is_a_tenants,
    a_stop_finishes_what_has_begun_and_exits_0 => Setup::new().smtp().process(),
    everything_is_there_after_a_restart => Setup::new().process(),
    migrations_go_up_and_down_and_up_with_rows_in_the_tables,
    three_processes_start_at_once_on_an_empty_database => Setup::new().process(),
    a_reload_takes_effect_within_a_second_and_drops_no_request,
    a_broken_reload_changes_nothing,
    a_hangup_signal_reloads => Setup::new().process(),
    a_start_that_finds_everything_in_line_writes_nothing => Setup::new().process(),
    a_start_comes_back_for_rows_that_somebody_else_holds,
    threads_that_answer_go_before_those_that_write_and_mail => Setup::new().smtp().process(),
);

async fn health_is_told_to_everybody_and_detail_to_the_operator(server: TestServer) {
    for host in ["localhost", ACME_HOST, "whatever.test", "10.0.0.7"] {
        assert_eq!(server.get("/healthz").on(host).await.status, 200, "{host}");
        assert_eq!(server.admin("/healthz").on(host).await.status, 200, "{host}");
    }
    let ready = server.admin("/readyz").await.expect(200);
    assert!(ready.is_object() && !ready.to_string().contains("postgres://"), "{ready}");
}

async fn metrics_name_no_tenant_and_no_address(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    server.preview(&invited).on(ACME_HOST).await.expect(200);
    server.accept(&invited, &person("bob@example.com")).await.expect(200);
    let answer = server.admin("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/plain"), "{:?}", answer.headers);
    let text = answer.text();
    let names: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|l| l.split(['{', ' ']).next().unwrap())
        .collect();
    assert!(names.iter().any(|name| name.starts_with("usher_")), "{text}");
    assert!(names.iter().all(|name| name.starts_with("usher_")), "{names:?}");
    for secret in ["acme", "globex", "example.com", &invited.token, &invited.id, "Clinic"] {
        assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{secret} in the metrics");
    }
}

async fn a_domain_is_allowed_exactly_when_it_is_a_tenants(server: TestServer) {
    for (domain, status) in [
        ("app.acme.test", 200),
        ("APP.acme.test", 200),
        ("join.acme.test", 200),
        ("people.globex.test", 200),
        ("acme.test", 404),
        ("evil.test", 404),
        ("x.app.acme.test", 404),
        ("", 404),
        ("..%2f", 404),
    ] {
        let answer = server.admin(&format!("/domain-allowed?domain={domain}")).await;
        assert_eq!(answer.status, status, "{domain}: {}", answer.text());
    }
    assert_eq!(server.admin("/api/v1/workspaces").await.status, 404, "the API is not here");
}

async fn a_stop_finishes_what_has_begun_and_exits_0(mut server: TestServer) {
    let mut answered = Vec::new();
    let owner = acme_owner();
    let calls: Vec<_> = (0..40)
        .map(|at| {
            let body = json!({ "email": format!("bob{at}@example.com") });
            tokio::spawn(server.post(&Workspace.collection(), &body).by(&owner).send())
        })
        .collect();
    // the first answer is here: the others are on their way
    let mut calls = calls.into_iter();
    let mut ended = vec![calls.next().unwrap().await.unwrap()];
    let code = server.terminate();
    assert_eq!(code, Some(0), "{}", server.log());
    for call in calls {
        ended.push(call.await.unwrap());
    }
    for answer in ended {
        match answer {
            Ok(answer) if answer.status == 201 => answered.push(answer.json()),
            Ok(answer) => answer.come_back(),
            Err(_) => {} // never admitted: the connection was refused or closed before an answer
        }
    }
    server.serve();
    for body in &answered {
        let path = Workspace.item(body["data"]["id"].as_str().unwrap());
        server.get(&path).by(&owner).await.expect(200);
        let email = body["data"]["email"].as_str().unwrap();
        assert_eq!(server.letters_to(email, 1).await.len(), 1, "one mail to {email}");
    }
    assert_eq!(server.terminate(), Some(0));
}

async fn everything_is_there_after_a_restart(mut server: TestServer) {
    let owner = acme_owner();
    let made = server.post("/api/v1/workspaces", &json!({ "name": "New" })).by(&owner).await.expect(201);
    let invited = server.invite(Workspace, &owner, "bob@example.com", "member").await;
    assert_eq!(server.terminate(), Some(0));
    server.serve();
    server.get(&format!("/api/v1/workspaces/{}", made["id"].as_str().unwrap())).by(&owner).await.expect(200);
    let listed = server.get("/api/v1/workspaces").by(&owner).on(ACME_HOST).await.expect(200);
    assert_eq!(listed["meta"]["total"], 2, "the configured one was not made twice");
    server.accept(&invited, &person("bob@example.com")).await.expect(200);
}

async fn migrations_go_up_and_down_and_up_with_rows_in_the_tables(mut server: TestServer) {
    server.joined(Workspace, "bob@example.com", "member").await;
    server.invite(Org, &acme_owner(), "carl@example.com", "member").await;
    server.stop();
    let status = server.cli(&["migrate", "status", "--json"]).await.json();
    assert!(status.to_string().contains("m2026"), "{status}");
    let rows = server.inspect().await;
    let tables = match server.engine {
        Engine::Sqlite => "SELECT count(*) AS n FROM sqlite_master WHERE name IN ('tenants', 'invites')",
        Engine::Postgres => "SELECT count(*) AS n FROM pg_tables WHERE tablename IN ('tenants', 'invites')",
    };
    server.cli(&["migrate", "down"]).await.data();
    assert!(
        rows.count(tables).await < 2 || server.cli(&["migrate", "status", "--json"]).await.json() != status
    );
    for _ in 0..10 {
        // one step each, or all at once
        if rows.count(tables).await == 0 {
            break;
        }
        server.cli(&["migrate", "down"]).await.data();
    }
    assert_eq!(rows.count(tables).await, 0);
    server.cli(&["migrate", "up"]).await.data();
    server.cli(&["migrate", "up"]).await.data();
    assert_eq!(rows.count("SELECT count(*) AS n FROM invites").await, 0);
    server.serve();
    server.joined(Workspace, "bob@example.com", "member").await;
}

async fn three_processes_start_at_once_on_an_empty_database(server: TestServer) {
    if server.engine == Engine::Sqlite {
        return; // one process serves a file; several migrate it at once in `cli`
    }
    let fresh = TestServer::prepared_without_schema(server.engine, Setup::new().process());
    let servers: Vec<TestServer> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..3).map(|_| scope.spawn(|| fresh.replica())).collect();
        starting.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let owner = acme_owner();
    for (at, one) in servers.iter().enumerate() {
        let invited = one.invite(Workspace, &owner, &format!("bob{at}@example.com"), "member").await;
        servers[(at + 1) % 3].accept(&invited, &person(&format!("bob{at}@example.com"))).await.expect(200);
    }
    let rows = servers[0].inspect().await;
    rows.assert_sound().await;
    assert_eq!(rows.count("SELECT count(*) AS n FROM workspaces").await, 2, "configured ones are made once");
}

async fn a_reload_takes_effect_within_a_second_and_drops_no_request(mut server: TestServer) {
    let owner = acme_owner();
    server.setup = server
        .setup
        .clone()
        .acme("name", "Acme Renamed")
        .acme("domains", vec!["app.acme.test", "join.acme.test", "new.acme.test"]);
    server.configure();
    let since = std::time::Instant::now();
    loop {
        // while requests go on
        for kind in KINDS {
            server.get(&kind.collection()).by(&owner).await.expect(200);
        }
        if server.get("/api/v1/workspaces").by(&owner).on("new.acme.test").await.status == 200 {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "it is not taken");
    }
    let invited = server.invite(Workspace, &owner, "bob@example.com", "member").await;
    assert_eq!(server.preview(&invited).await.expect(200)["data"]["tenant_name"], "Acme Renamed");
}

async fn a_broken_reload_changes_nothing(server: TestServer) {
    let owner = acme_owner();
    let acme = server.config_dir().join("tenants").join("acme.toml");
    let good = std::fs::read_to_string(&acme).unwrap();
    for (what, broken) in [
        ("no TOML", "this is no TOML [".to_owned()),
        ("an unknown key", format!("nmae = \"x\"\n{good}")),
        ("another tenant's domain", good.replace("join.acme.test", "people.globex.test")),
        ("half a file", good[..good.len() / 2].to_owned()),
        ("nothing", String::new()),
    ] {
        std::fs::write(&acme, broken).unwrap();
        // another file changes too, well-formed, and must not be taken either
        let later =
            server.setup.clone().tenant("globex", "domains", vec!["people.globex.test", "late.globex.test"]);
        let globex = toml_of(&later, "globex");
        std::fs::write(server.config_dir().join("tenants").join("globex.toml"), globex).unwrap();
        let until = std::time::Instant::now() + Duration::from_millis(1500);
        while std::time::Instant::now() < until {
            server.get(&Org.collection()).by(&owner).on(ACME_HOST).await.expect(200);
            let late = server.get(&Org.globex_collection()).by(&globex_owner()).on("late.globex.test").await;
            assert_eq!(late.status, 421, "{what}");
        }
    }
    std::fs::write(&acme, good).unwrap();
    eventually("the mended files to be taken", async || {
        let late = server.get(&Org.globex_collection()).by(&globex_owner()).on("late.globex.test").await;
        (late.status == 200).then_some(())
    })
    .await;
}

/// A tenant's file as a setup would write it.
fn toml_of(setup: &Setup, slug: &str) -> String {
    let scratch = crate::support::setup::Scratch::new();
    setup.write(scratch.path(), "sqlite://unused");
    std::fs::read_to_string(scratch.path().join("tenants").join(format!("{slug}.toml"))).unwrap()
}

async fn a_hangup_signal_reloads(mut server: TestServer) {
    let owner = acme_owner();
    server.get(&Org.collection()).by(&owner).await.expect(200);
    server.setup = server.setup.clone().acme("domains", vec!["app.acme.test", "hup.acme.test"]);
    server.configure();
    server.signal("HUP");
    eventually("the new domain", async || {
        (server.get(&Org.collection()).by(&owner).on("hup.acme.test").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(server.terminate(), Some(0), "a hangup is no end");
}

async fn a_start_that_finds_everything_in_line_writes_nothing(mut server: TestServer) {
    server.stop();
    let rows = server.inspect().await;
    let all = "SELECT slug || ' ' || name || ' ' || updated_at AS t FROM tenants ORDER BY id";
    let before = rows.texts(all).await;
    assert_eq!(before.len(), 2);
    server.serve();
    assert!(!server.admin("/metrics").await.text().contains("usher_batch_commands"), "a command was run");
    assert_eq!(rows.texts(all).await, before);
    // what differs is still brought in line, alone
    server.stop();
    server.setup = server.setup.clone().acme("name", "Acme & Sons");
    server.serve();
    let after = rows.texts(all).await;
    let changed: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(matches!(changed[..], [row] if row.starts_with("acme Acme & Sons ")), "{after:?}");
}

async fn a_start_comes_back_for_rows_that_somebody_else_holds(server: TestServer) {
    let elsewhere = Scratch::new();
    server.setup.clone().acme("name", "Acme Renamed").write(elsewhere.path(), &server.database_url());
    let source = Source { config_dir: elsewhere.path().to_owned(), ..Source::default() };
    let settings = usher::config::load(&source).unwrap().settings.clone();
    let store = server.store().clone();
    let held = store.tenant_write(TenantId(ACME.parse().unwrap())).await.unwrap();
    let (tell, told) = tokio::sync::oneshot::channel();
    let starting = tokio::task::spawn_blocking(move || {
        actix::System::new().block_on(async {
            let lanes = Lanes::new(store.clone(), settings.lane, 5, actix::Arbiter::new().handle());
            let tenants = Tenants::new(store, lanes);
            // behind it in the lane goes one that does not come back: what that is told, both were told
            let hasty = async { tell.send(sync(&tenants, &settings.tenants).await) };
            futures_util::future::join(sync_at_start(&tenants, &settings.tenants), hasty).await.0
        })
    });
    let refused = told.await.unwrap();
    assert!(matches!(refused, Err(Refusal::Unavailable { .. })), "{refused:?}");
    held.rollback().await;
    assert_eq!(starting.await.unwrap(), Ok(()));
    let named = "SELECT count(*) AS n FROM tenants WHERE name = 'Acme Renamed'";
    assert_eq!(server.inspect().await.count(named).await, 1);
}

/// Where processors are short: what is refused must be refused in time. A thread is as nice as the one that started it.
async fn threads_that_answer_go_before_those_that_write_and_mail(server: TestServer) {
    for at in 0..10 {
        server.invite(Workspace, &acme_owner(), &format!("bob{at}@example.com"), "member").await;
    }
    eventually("the mails", async || (server.letters().len() == 10).then_some(())).await;
    for kind in KINDS {
        server.get(&kind.collection()).by(&acme_owner()).await.expect(200);
    }
    let threads = threads(server.pid());
    let base = threads.iter().find(|(name, _)| name == "usher").map(|(_, nice)| *nice);
    let Some(base) = base else {
        return; // no system that tells
    };
    for (name, nice) in &threads {
        let gives_way = ["usher-mail", "usher-writer"].contains(&name.as_str());
        assert_eq!(*nice, if gives_way { (base + 5).min(19) } else { base }, "{threads:?}");
    }
    assert!(threads.iter().any(|(name, _)| name == "usher-mail"), "{threads:?}");
}

/// Names and niceness of a process's threads, of those that run our work.
fn threads(pid: u32) -> Vec<(String, i32)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return vec![] };
    let of = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (head, rest) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        // the nineteenth field
        Some((name, rest.split_whitespace().nth(16)?.parse().ok()?))
    };
    let all = tasks.flatten().filter_map(of);
    // the acceptor of the HTTP server has a name with a space and a life of its own
    all.filter(|(name, _): &(String, i32)| name.starts_with("usher") || name.starts_with("actix-rt"))
        .collect()
}
