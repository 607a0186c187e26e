//! Calls that nobody thought of: schemathesis, unmodified from PyPI, makes them up from an OpenAPI document and
//! checks every answer against it: no undocumented status, no body of another shape, nothing malformed accepted,
//! no 5xx. Once from our own document, once from the published contract of Workspace Sharing
//! (`tests/sharing-openapi.json`). What is checked stands in `tests/openapi/schemathesis.toml`.
//!
//! Needs a Python with `schemathesis` installed: `USHER_SDK_PYTHON`, or `.venv/bin/python` (`python3 -m venv .venv
//! && .venv/bin/pip install schemathesis==4.32.5`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{
    ACME, CLINIC, Credential, Invited,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines, globex_owner, skip,
};

both_engines!(
    made_up_calls_of_our_document_get_documented_answers,
    // that somebody asks too often is common to all routes, and beyond that document
    made_up_calls_of_the_published_sharing_document_get_documented_answers => Setup::new()
        .server("invites.resend_cooldown", "0s"),
);

/// A Python that has schemathesis.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("USHER_SDK_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"));
    let found = Command::new(&python).args(["-c", "import schemathesis"]).output();
    found.is_ok_and(|output| output.status.success()).then_some(python)
}

async fn made_up_calls_of_our_document_get_documented_answers(server: TestServer) {
    let path = server.dir().join("openapi.json");
    std::fs::write(&path, server.get("/openapi.json").await.body).unwrap();
    fuzz(server, path).await;
}

async fn made_up_calls_of_the_published_sharing_document_get_documented_answers(server: TestServer) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sharing-openapi.json");
    fuzz(server, path).await;
}

/// Runs schemathesis with acme's owner as the caller, in a world of invites sent and received.
async fn fuzz(server: TestServer, document: PathBuf) {
    let Some(python) = python() else {
        skip("schemathesis", "no Python with it in USHER_SDK_PYTHON or .venv");
        return;
    };
    let world = world(&server).await;
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi");
    let mut command = Command::new(python);
    command
        .args(["-B", "-m", "schemathesis.cli", "--config-file"])
        .arg(files.join("schemathesis.toml"))
        .arg("run")
        .arg(document)
        .args(["--url", &format!("http://{}", server.addr())])
        .env("SCHEMATHESIS_HOOKS", files.join("hooks.py"))
        .env("USHER_FUZZ_BEARER", acme_owner().bearer())
        .env("USHER_FUZZ_WORLD", world.to_string())
        .env("NO_COLOR", "1")
        // whatever it remembers goes with the test
        .current_dir(server.dir());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    server.inspect().await.assert_sound().await;
}

/// What exists: workspaces, members, invites that the caller sent, and some addressed to them by another tenant.
async fn world(server: &TestServer) -> Value {
    let (owner, globex) = (acme_owner(), globex_owner());
    server.get("/api/v1/workspaces").by(&owner).await.expect(200);
    let nurse = server.joined(Workspace, "nurse@example.com", "member").await;
    let clerk = server.joined(Org, "clerk@example.com", "member").await;
    let (mut sent, mut addressed, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..8 {
        let email = format!("sent{at}@example.com");
        sent.push(server.invite(Workspace, &owner, &email, "viewer").await.id);
        sent.push(server.invite(Org, &owner, &email, "member").await.id);
        let body = json!({ "name": format!("Hall {at}") });
        let hall = server.post("/api/v1/workspaces", &body).by(&globex).await.expect(201);
        let collection = Workspace.collection_in(hall["id"].as_str().unwrap());
        let body = json!({ "email": owner.email(), "role": "member" });
        let invited = server.post(&collection, &body).by(&globex).await.expect(201);
        let invited = Invited::read(Workspace, &invited);
        addressed.push(invited.id);
        tokens.push(invited.token);
    }
    let users = [nurse.user_id(), clerk.user_id(), owner.user_id()];
    json!({
        "address": owner.email(),
        "addressed": addressed,
        "path": {
            "workspace_id": [CLINIC], "workspaceId": [CLINIC], "tenant_id": ["acme", ACME],
            "user_id": users, "userId": users, "member_id": users,
            "invite_id": sent, "invitationId": sent, "token": tokens,
        },
    })
}
