//! Backup and restore: a copy made while the server writes is whole, and a database brought back from an older
//! dump gives no life to what ended after it.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{
    Engine, Invited,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines, globex_owner,
    invites::{KINDS, token_of},
    person,
    postgres::tool,
    skip,
};

both_engines!(
    nothing_that_ended_after_the_dump_comes_back => Setup::new().process().smtp(),
    links_are_renewed_where_the_operator_wants_them => Setup::new().process().smtp(),
    keys_are_named_and_revoked_where_asked => Setup::new().process().smtp(),
    finishing_is_for_every_tenant_with_rows => Setup::new().process().smtp(),
    a_backup_is_made_while_serving_or_left_to_its_tool,
);

/// The rows of a server at one moment, to be brought back.
enum Dump {
    File(std::path::PathBuf),
    Custom(std::path::PathBuf),
}

/// Makes a dump of a serving database as the manual says; `None` where the tools are not installed.
async fn dump(server: &TestServer) -> Option<Dump> {
    match server.engine {
        Engine::Sqlite => {
            let file = server.dir().join("backup.db");
            server.cli(&["backup", file.to_str().unwrap()]).await.data();
            Some(Dump::File(file))
        }
        Engine::Postgres => {
            let (pg_dump, file) = (tool("pg_dump"), server.dir().join("backup.dump"));
            if pg_dump.is_none() || tool("pg_restore").is_none() {
                skip("restoring PostgreSQL", "no pg_dump or pg_restore");
                return None;
            }
            run(&pg_dump?, &["--format=custom", "--dbname", &server.database_url()], &["--file"], &file);
            Some(Dump::Custom(file))
        }
    }
}

/// Brings a dump back, the server being stopped.
fn restore(server: &TestServer, dump: &Dump) {
    match dump {
        Dump::File(backup) => {
            let file = server.data_dir().join("usher.db");
            for gone in ["usher.db", "usher.db-wal", "usher.db-shm"] {
                let _ = std::fs::remove_file(file.with_file_name(gone));
            }
            std::fs::copy(backup, &file).unwrap();
        }
        Dump::Custom(file) => {
            let flags =
                ["--clean", "--if-exists", "--single-transaction", "--dbname", &server.database_url()];
            run(&tool("pg_restore").unwrap(), &flags, &[], file);
        }
    }
}

fn run(tool: &Path, flags: &[&str], before_file: &[&str], file: &Path) {
    let output = Command::new(tool).args(flags).args(before_file).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn nothing_that_ended_after_the_dump_comes_back(mut server: TestServer) {
    let owner = acme_owner();
    let people: Vec<_> = ["revoked", "accepted", "declined", "rotated", "left"]
        .iter()
        .flat_map(|fate| KINDS.map(|kind| (*fate, kind, person(&format!("{fate}-{kind:?}@example.com")))))
        .collect();
    let mut invites: Vec<Invited> = Vec::new();
    for (_, kind, who) in &people {
        invites.push(server.invite(*kind, &owner, who.email(), "member").await);
    }
    let early = server.joined(Org, "early@example.com", "member").await;
    server.letters_to(people.last().unwrap().2.email(), 1).await;
    let Some(dump) = dump(&server).await else { return };

    for ((fate, _, who), invited) in people.iter().zip(&invites) {
        match *fate {
            "revoked" => drop(server.revoke(invited, &owner).await.expect(200)),
            "accepted" => drop(server.accept(invited, who).await.expect(200)),
            "declined" => drop(server.decline(invited, who).await.expect(200)),
            "rotated" => drop(server.resend(invited, &owner, &json!({ "rotate": true })).await.expect(200)),
            _ => {}
        }
    }
    server.stop();
    restore(&server, &dump);
    let done = server.cli(&["restore-finish", "--json"]).await.json();
    assert_eq!(done["invites_revoked"], people.len());
    assert_eq!(done["mails_queued"], 0);
    let mails_before = server.letters().len();
    let again = server.cli(&["restore-finish", "--json"]).await.json();
    assert_eq!(again["invites_revoked"], 0, "repeating it finds nothing more");

    server.serve();
    for ((fate, kind, who), invited) in people.iter().zip(&invites) {
        let told = server.accept(invited, who).await;
        told.refused_as(kind.revoked());
        let inbox = server.get("/api/v1/me/invites").by(who).await.expect(200);
        assert_eq!(inbox["data"].as_array().unwrap().len(), 0, "{fate} {kind:?}: {inbox}");
    }
    // what was there before the dump is there, and life goes on
    let members = server.cli(&["member", "list", "--tenant", "acme"]).await.data();
    assert!(members.contains(&early.user_id()), "{members}");
    let fresh = server.invite(Workspace, &owner, people[0].2.email(), "member").await;
    server.accept(&fresh, &people[0].2).await.expect(200);
    server.invite(Org, &owner, "late@example.com", "member").await;
    server.letters_to("late@example.com", 1).await;
    let mailed = server.letters().len() - mails_before;
    assert!(mailed <= 2, "only the new ones were mailed: {mailed}");
    let rows = server.inspect().await;
    rows.assert_sound().await;
    rows.assert_told().await;
    rows.assert_nobody_missing().await;
}

async fn links_are_renewed_where_the_operator_wants_them(mut server: TestServer) {
    let owner = acme_owner();
    let bob = person("bob@example.com");
    let invited = server.invite(Workspace, &owner, bob.email(), "member").await;
    server.letters_to(bob.email(), 1).await;
    let Some(dump) = dump(&server).await else { return };
    let rotated = server.resend(&invited, &owner, &json!({ "rotate": true })).await.expect(200);
    let rotated = token_of(rotated["data"]["invite_url"].as_str().unwrap());
    server.letters_to(bob.email(), 2).await;
    server.stop();

    restore(&server, &dump);
    let done = server.cli(&["restore-finish", "--pending", "rotate", "--json"]).await.json();
    assert_eq!((&done["links_rotated"], &done["mails_queued"]), (&json!(1), &json!(0)));
    server.serve();
    for token in [&invited.token, &rotated] {
        let old = Invited { token: token.clone(), ..invited.clone() };
        server.accept(&old, &bob).await.refused_as(Workspace.unknown());
        server.preview(&old).await.refused(404, Workspace.invalid_token());
    }
    server.stop();

    let done = server.cli(&["restore-finish", "--pending", "mail", "--json"]).await.json();
    assert_eq!((&done["links_rotated"], &done["mails_queued"]), (&json!(1), &json!(1)));
    server.serve();
    let letters = server.letters_to(bob.email(), 3).await;
    let mailed = Invited { token: token_of(&letters[2].link), ..invited.clone() };
    assert!(mailed.token != invited.token && mailed.token != rotated);
    server.accept(&mailed, &bob).await.expect(200);
    let rows = server.inspect().await;
    rows.assert_sound().await;
    rows.assert_told().await;
}

async fn keys_are_named_and_revoked_where_asked(mut server: TestServer) {
    let tenant =
        ["api-key", "create", "--service", "--role", "admin", "--tenant", "acme", "--name", "backend"];
    let service = server.cli(&tenant).await.data();
    let personal = server.cli(&["api-key", "create", "--email", "bob@example.com"]).await.data();
    server.get("/api/v1/me/invites").bearer(&personal).await.expect(200);
    server.stop();

    let told = server.cli(&["restore-finish", "--since", "2000-01-01T00:00:00Z", "--json"]).await;
    assert_eq!(told.json()["keys_live"], 2);
    assert!(told.stderr.contains("backend") && told.stderr.contains("--revoke-keys"), "{}", told.stderr);
    assert!(told.stderr.contains("later than 2000-01-01T00:00:00Z"), "{}", told.stderr);
    assert!(!told.stderr.contains(&service) && !told.stderr.contains(&personal));
    let done = server.cli(&["restore-finish", "--revoke-keys", "--json"]).await.json();
    assert_eq!((&done["keys_revoked"], &done["keys_live"]), (&json!(2), &json!(0)));
    server.serve();
    for key in [&service, &personal] {
        assert_eq!(server.get("/api/v1/me/invites").bearer(key).await.status, 401);
    }
    server.inspect().await.assert_sound().await;
}

async fn finishing_is_for_every_tenant_with_rows(mut server: TestServer) {
    let invited = server.invite_to_globex(Workspace, "bob@example.com").await;
    server.letters_to("bob@example.com", 1).await;
    server.stop();
    let whole = server.setup.clone();
    server.setup = whole.clone().without_tenant("globex");
    server.configure();
    // an answer kept for a repeat of its request; its bytes do not matter
    let kept = "INSERT INTO idempotency_records (id, request_hash, status, salt, kid, sealed, inserted_at, \
                expires_at) SELECT salt, salt, 201, salt, 'k1', salt, 0, 9000000000000 FROM invites";
    server.inspect().await.execute(kept).await;
    let done = server.cli(&["restore-finish"]).await.data();
    assert!(done.contains("invites revoked    1"), "{done}");
    assert!(done.contains("answers forgotten  1"), "{done}");
    server.setup = whole;
    server.configure();
    server.serve();
    let path = format!("{}/{}", Workspace.globex_collection(), invited.id);
    let shown = server.get(&path).by(&globex_owner()).await.expect(200);
    assert_eq!(shown["data"]["status"], "revoked");
}

async fn a_backup_is_made_while_serving_or_left_to_its_tool(server: TestServer) {
    let file = server.dir().join("usher's.db");
    let name = file.to_str().unwrap();
    if server.engine == Engine::Postgres {
        let told = server.cli(&["backup", name]).await;
        told.failed(1, &["pg_dump --format=custom --file=", r"usher'\''s.db", "PGPASSWORD"]);
        assert!(!file.exists());
        return;
    }
    // written to all the time
    let writing = async {
        for at in 0..40 {
            server.invite(Org, &acme_owner(), &format!("bob{at}@example.com"), "member").await;
        }
    };
    let asked = ["backup", name];
    let ((), copied) = tokio::join!(writing, server.cli(&asked));
    assert_eq!(copied.data(), "", "data only: {copied:?}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    server.cli(&["backup", name]).await.failed(1, &["exists already"]);
    server.cli(&["backup", "/nowhere/usher.db"]).await.failed(1, &["cannot write /nowhere/usher.db"]);
    let left: Vec<_> = std::fs::read_dir(server.dir()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".part")), "{left:?}");

    let mut other = TestServer::prepared(Engine::Sqlite, Setup::new());
    std::fs::create_dir_all(other.data_dir()).unwrap();
    std::fs::copy(&file, other.data_dir().join("usher.db")).unwrap();
    other.serve();
    let copied: Vec<Value> = other.pending(Org, &acme_owner()).await;
    assert!(copied.len() <= 40);
    other.inspect().await.assert_sound().await;
    let empty = TestServer::prepared(Engine::Sqlite, Setup::new());
    empty.cli(&["backup", name]).await.failed(1, &["exists already"]);
    empty.cli(&["backup", &format!("{name}.2")]).await.failed(4, &["no database"]);
}
