//! The official Python SDK, unmodified from PyPI, against a running server. Needs a Python with `miosa`
//! installed: `USHER_SDK_PYTHON`, or `.venv/bin/python` (`python3 -m venv .venv && .venv/bin/pip install
//! miosa==2.19.2`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use crate::support::{
    ACME, CLINIC, Credential, GLOBEX, PLANT, Setup, TestServer, acme_owner, both_engines, person, skip,
};

both_engines!(the_sdk_lives_through_the_whole_life_of_an_invite => Setup::new()
    .server("invites.min_ttl", "1s")
    .process());

/// A Python that has the SDK.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("USHER_SDK_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"));
    let found = Command::new(&python).args(["-c", "import miosa"]).output();
    found.is_ok_and(|output| output.status.success()).then_some(python)
}

async fn the_sdk_lives_through_the_whole_life_of_an_invite(server: TestServer) {
    let Some(python) = python() else {
        skip("the Python SDK", "no Python with miosa in USHER_SDK_PYTHON or .venv");
        return;
    };
    let owner = acme_owner();
    server.get(&format!("/api/v1/tenants/{ACME}/invites")).by(&owner).await.expect(200);
    let mut people = serde_json::Map::new();
    for combination in ["sync-jwt", "sync-key", "async-jwt", "async-key"] {
        let mut group = Vec::new();
        for at in 0..7 {
            let who = person(&format!("{combination}-{at}@example.com"));
            let key = match combination.ends_with("key") {
                true => server.cli(&["api-key", "create", "--email", who.email()]).await.data(),
                false => String::new(),
            };
            group.push(json!({ "email": who.email(), "jwt": who.bearer(), "key": key }));
        }
        people.insert(combination.into(), group.into());
    }
    let owner_key = ["api-key", "create", "--tenant", "acme", "--email", owner.email()];
    let world = json!({
        "base_url": format!("http://{}", server.addr()),
        "tenant": ACME, "workspace": CLINIC, "foreign_tenant": GLOBEX, "foreign_workspace": PLANT,
        "owner": { "jwt": owner.bearer(), "key": server.cli(&owner_key).await.data() },
        "people": people,
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/lifecycle.py");
    let run =
        move || Command::new(python).arg("-B").arg(script).env("USHER_SDK_WORLD", world.to_string()).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("all passed"), "{out}\n{err}");
}
