//! The official Python SDK, unmodified from PyPI, against a running server: one test for each script in
//! `tests/sdk`. Needs a Python with `miosa` installed: `USHER_SDK_PYTHON`, or `.venv/bin/python` (`python3 -m venv
//! .venv && .venv/bin/pip install miosa==2.19.2`).

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Map, Value, json};

use crate::support::{
    ACME, CLINIC, Credential, Engine, GLOBEX, PLANT, Setup, TestServer, acme_owner, both_engines, eventually,
    invites::token_of, person, skip,
};

both_engines!(
    the_sdk_lives_through_the_whole_life_of_an_invite => Setup::new().server("invites.min_ttl", "1s").process(),
    the_sdk_manages_members_on_every_surface => Setup::new().process(),
    the_sdk_reads_tenants_and_manages_workspaces => Setup::new().process(),
    the_sdk_makes_and_changes_api_keys => Setup::new().process(),
    the_sdk_repeats_what_it_may => Setup::new()
        .server("limits.invites_per_recipient", "1/2s")
        .server("limits.requests_per_ip", "5/2s")
        .process(),
    the_sdk_waits_for_a_busy_server => Setup::new().process(),
);

async fn the_sdk_lives_through_the_whole_life_of_an_invite(server: TestServer) {
    passes("lifecycle.py", &server).await;
}

async fn the_sdk_manages_members_on_every_surface(server: TestServer) {
    passes("members.py", &server).await;
}

async fn the_sdk_reads_tenants_and_manages_workspaces(server: TestServer) {
    passes("organizations.py", &server).await;
}

async fn the_sdk_makes_and_changes_api_keys(server: TestServer) {
    passes("api_keys.py", &server).await;
}

async fn the_sdk_repeats_what_it_may(server: TestServer) {
    passes("retries.py", &server).await;
}

/// Holds what every write needs whenever the script asks for it, until the script has seen a refusal.
async fn the_sdk_waits_for_a_busy_server(server: TestServer) {
    let holding = async {
        let rows = server.inspect().await;
        for who in ["sync-jwt", "async-key"] {
            let signal = |name: &str| server.dir().join(format!("{name}-{who}"));
            while !signal("hold").exists() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            for statement in match server.engine {
                Engine::Sqlite => vec!["BEGIN IMMEDIATE"],
                Engine::Postgres => vec!["BEGIN", "UPDATE tenants SET id = id"],
            } {
                rows.execute(statement).await;
            }
            std::fs::write(signal("held"), "").unwrap();
            eventually("a refusal", async || signal("release").exists().then_some(())).await;
            rows.execute("ROLLBACK").await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = holding => {}
        () = passes("busy.py", &server) => {}
    }
}

const COMBINATIONS: [&str; 4] = ["sync-jwt", "sync-key", "async-jwt", "async-key"];

/// Runs a script, which must succeed with both clients and both credentials.
async fn passes(script: &'static str, server: &TestServer) {
    let Some(python) = python() else {
        skip("the Python SDK", "no Python with miosa in USHER_SDK_PYTHON or .venv");
        return;
    };
    let world = world(server).await.to_string();
    let output = tokio::task::spawn_blocking(move || run(&python, script, &world)).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("all passed"), "{out}\n{err}");
}

fn run(python: &Path, script: &str, world: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(script);
    Command::new(python).arg("-B").arg(script).env("USHER_SDK_WORLD", world).output().unwrap()
}

/// A Python that has the SDK.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("USHER_SDK_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"));
    let found = Command::new(&python).args(["-c", "import miosa"]).output();
    found.is_ok_and(|output| output.status.success()).then_some(python)
}

/// What a script is told: where the server is, whom it knows, and what they may present.
async fn world(server: &TestServer) -> Value {
    let owner = acme_owner();
    server.get(&format!("/api/v1/tenants/{ACME}/invites")).by(&owner).await.expect(200);
    let mut people = Map::new();
    for combination in COMBINATIONS {
        let mut group = Vec::new();
        for at in 0..7 {
            let who = person(&format!("{combination}-{at}@example.com"));
            let key = match combination.ends_with("key") {
                true => server.cli(&["api-key", "create", "--email", who.email()]).await.data(),
                false => String::new(),
            };
            let mut one = json!({
                "email": who.email(), "user_id": who.user_id(), "jwt": who.bearer(), "key": key,
            });
            if at == 0 {
                let invite = ["invite", "create", "--tenant", "globex", "--email", who.email()];
                one["globex_token"] = token_of(&server.cli(&invite).await.data()).into();
            }
            group.push(one);
        }
        people.insert(combination.into(), group.into());
    }
    let owner_key = ["api-key", "create", "--tenant", "acme", "--email", owner.email()];
    json!({
        "base_url": format!("http://{}", server.addr()),
        "signals": server.dir(),
        "tenant": ACME, "workspace": CLINIC, "foreign_tenant": GLOBEX, "foreign_workspace": PLANT,
        "owner": { "jwt": owner.bearer(), "key": server.cli(&owner_key).await.data() },
        "people": people,
    })
}
