//! Replicas are replaced one by one, so for a while an older binary serves on the schema of a newer one. Shown by
//! expanding the schema under a running server, in every way that `migration/README.md` allows a release; and by
//! comparing the schemas of the real databases before and after each migration.
//!
//! `USHER_BINARY=/path/to/an/older/usher cargo test --test suite rolling_upgrade::` runs that one on the schema of
//! this tree.

use serde_json::json;

use crate::support::{
    ACME_HOST, CLINIC, Engine,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines,
    database::Inspector,
    eventually,
    invites::KINDS,
    person,
    schema::{Schema, not_expanding},
};

both_engines!(
    // so few connections that each has prepared everything before the schema changes
    a_server_goes_on_while_a_newer_one_expands_the_schema => Setup::new()
        .smtp()
        .server("database.max_connections", 1),
    an_older_binary_serves_on_the_schema_of_this_tree => Setup::new().smtp().process(),
    every_migration_only_adds,
    what_is_no_expansion_is_found_out,
);

/// What deliberately takes something away, as the contracting step of a later release: migration and complaint.
const CONTRACTIONS: [(&str, &str); 0] = [];

/// One of everything that a release may add to the schema it finds, with the columns of every table that is there.
async fn expand(rows: &Inspector) {
    for table in rows.tables().await {
        for column in ["later_text text", "later_number bigint NOT NULL DEFAULT 7"] {
            rows.execute(&format!("ALTER TABLE {table} ADD COLUMN {column}")).await;
        }
    }
    let key = if rows.engine == Engine::Sqlite { "uuid_text" } else { "uuid" };
    for sql in [
        format!(
            "CREATE TABLE later_things (id {key} PRIMARY KEY, invite_id {key} NOT NULL REFERENCES invites (id) \
             ON DELETE CASCADE, what text NOT NULL)"
        ),
        "CREATE INDEX later_index ON invites (tenant_id, later_number, id)".to_owned(),
        "CREATE INDEX later_partial ON outbox (later_text) WHERE later_text IS NOT NULL".to_owned(),
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_of_a_newer_binary', 1)"
            .to_owned(),
    ] {
        rows.execute(&sql).await;
    }
}

/// Everything that becomes of invites, members, keys and mails, by names of this round.
async fn live(server: &TestServer, round: &str) {
    let owner = acme_owner();
    for kind in KINDS {
        let who = |name: &str| person(&format!("{name}-{round}-{kind:?}@example.com").to_lowercase());
        let (ann, bob, cat) = (who("ann"), who("bob"), who("cat"));
        let first = server.invite(kind, &owner, ann.email(), "member").await;
        server.letters_to(ann.email(), 1).await;
        server.preview(&first).await.expect(200);
        let rotated = server.resend(&first, &owner, &json!({ "rotate": true })).await.expect(200);
        assert_ne!(rotated["data"]["invite_url"], first.url.as_str(), "{rotated}");
        server.letters_to(ann.email(), 2).await;
        server.edit(&first, &owner, &json!({ "role": "admin" })).await.expect(200);
        let url = rotated["data"]["invite_url"].as_str().unwrap().to_owned();
        let token = crate::support::invites::token_of(&url);
        let anew = crate::support::Invited { url, token, ..first.clone() };
        server.accept(&anew, &ann).await.expect(200);
        let second = server.invite(kind, &owner, bob.email(), "member").await;
        server.decline(&second, &bob).await.expect(200);
        let third = server.invite(kind, &owner, cat.email(), "member").await;
        let body = json!({ "email": cat.email(), "role": "member" });
        let again = server.post(&kind.collection(), &body).by(&owner).await.expect(201);
        assert_eq!(again["data"]["id"], third.id.as_str());
        server.revoke(&third, &owner).await.expect(200);
        let history = server.get(&format!("{}/events", kind.item(&third.id))).by(&owner).await.expect(200);
        // a mail under way at that moment may be told of after it
        let told = history["data"].as_array().unwrap();
        assert!(told.iter().any(|line| line["event"] == "invite.revoked"), "{history}");
        let listed = server.get(&format!("{}?status=all&limit=2", kind.collection())).by(&owner).await;
        assert!(listed.expect(200)["next_cursor"].is_string());
    }
    let dan = person(&format!("dan-{round}@example.com"));
    let body = json!({ "email": dan.email(), "send_email": false });
    let keyed = || server.post(&Org.collection(), &body).by(&owner).header("Idempotency-Key", round);
    let (made, told) = (keyed().await.expect(201), keyed().await);
    assert_eq!((told.header("idempotency-replayed"), told.json()), ("true", made));
    let inbox = server.get("/api/v1/me/invites").by(&dan).await.expect(200);
    assert_eq!(inbox["total"], 1, "{inbox}");
    let name = json!({ "name": format!("Ward {round}") });
    let ward = server.post("/api/v1/workspaces", &name).by(&owner).on(ACME_HOST).await.expect(201);
    let collection = Workspace.collection_in(ward["id"].as_str().unwrap());
    let added = json!({ "email": format!("ann-{round}-org@example.com"), "role": "viewer" });
    server.post(&collection, &added).by(&owner).await.expect(200);
    let key =
        server.post("/api/v1/api-keys", &json!({ "name": round, "scopes": [] })).by(&owner).await.expect(201);
    server.get("/api/v1/workspaces").bearer(key["key"].as_str().unwrap()).on(ACME_HOST).await.expect(200);
    let share = json!({ "email": format!("eve-{round}@example.com"), "permissions": ["read"] });
    server.post(&format!("/api/v2/workspaces/{CLINIC}/invite"), &share).by(&owner).await;
    let ann = person(&format!("ann-{round}-workspace@example.com"));
    server.delete(&format!("/api/v1/tenant/members/{}", ann.user_id())).by(&owner).on(ACME_HOST).await;
    let feed = server.get("/api/v1/events?limit=1000").by(&owner).on(ACME_HOST).await.expect(200);
    assert!(feed["data"].as_array().unwrap().len() > 20);
}

async fn everything_has_left_and_holds(rows: &Inspector) {
    let owed = "SELECT count(*) AS n FROM outbox WHERE state IN ('queued', 'leased')";
    eventually("all mails to leave", async || (rows.count(owed).await == 0).then_some(())).await;
    rows.assert_sound().await;
    rows.assert_told().await;
}

async fn a_server_goes_on_while_a_newer_one_expands_the_schema(mut server: TestServer) {
    let rows = server.inspect().await;
    // what it has prepared by now was prepared for the schema as it was
    live(&server, "before").await;
    everything_has_left_and_holds(&rows).await;
    expand(&rows).await;
    live(&server, "meanwhile").await;
    everything_has_left_and_holds(&rows).await;
    server.stop();
    server.serve();
    live(&server, "after").await;
    everything_has_left_and_holds(&rows).await;
    let strange = "SELECT count(*) AS n FROM invites WHERE later_number <> 7 OR later_text IS NOT NULL";
    assert_eq!(rows.count(strange).await, 0);
    let status = server.cli(&["migrate", "status", "--json"]).await.json();
    assert!(
        status.to_string().contains(r#""name":"m29990101_000001_of_a_newer_binary","state":"unknown""#),
        "{status}"
    );
    server.cli(&["migrate", "up"]).await.data();
    server.cli(&["migrate", "down"]).await.failed(1, &["m29990101"]);
    server.cli(&["invite", "list", "--tenant", "acme", "--json"]).await.json();
    server.cli(&["doctor"]).await;
}

async fn an_older_binary_serves_on_the_schema_of_this_tree(mut server: TestServer) {
    if server.engine == Engine::Sqlite {
        // an older one has made its own by now, and this one takes it further
        server.stop();
        server.inspect().await.migrate(None).await;
        server.serve();
    }
    live(&server, "once").await;
    everything_has_left_and_holds(&server.inspect().await).await;
    server.cli(&["invite", "list", "--tenant", "acme", "--json"]).await.json();
}

/// A database without any table.
async fn blank(engine: Engine) -> (TestServer, Inspector) {
    let server = TestServer::prepared_without_schema(engine, Setup::new());
    if engine == Engine::Sqlite {
        std::fs::create_dir_all(server.data_dir()).unwrap();
        std::fs::File::create(server.data_dir().join("usher.db")).unwrap();
    }
    let rows = server.inspect().await;
    (server, rows)
}

async fn every_migration_only_adds(server: TestServer) {
    let (_fresh, rows) = blank(server.engine).await;
    let names: Vec<String> = rows.migrations();
    let mut before = Schema::default();
    for name in &names {
        rows.migrate(Some(1)).await;
        let after = rows.schema().await;
        assert_ne!(before, after, "{name} changes nothing that is compared");
        let complaints: Vec<String> = not_expanding(&before, &after)
            .into_iter()
            .filter(|complaint| !CONTRACTIONS.contains(&(name.as_str(), complaint.as_str())))
            .collect();
        assert!(complaints.is_empty(), "{name} is no expansion (see migration/README.md): {complaints:#?}");
        before = after;
    }
    assert!(before.contains_key("invites") && names.len() >= 5);
}

async fn what_is_no_expansion_is_found_out(server: TestServer) {
    let (_fresh, rows) = blank(server.engine).await;
    rows.migrate(None).await;
    let steps = [
        ("ALTER TABLE invites ADD COLUMN later_text text", None),
        ("ALTER TABLE invites ADD COLUMN later_number bigint NOT NULL DEFAULT 7", None),
        ("CREATE TABLE later_things (id bigint PRIMARY KEY, what text NOT NULL CHECK (what <> ''))", None),
        ("CREATE INDEX later_index ON invites (later_number)", None),
        ("ALTER TABLE invites RENAME COLUMN note TO remark", Some("invites.note is gone")),
        ("ALTER TABLE users DROP COLUMN name", Some("users.name is gone")),
        ("DROP TABLE owners_granted", Some("owners_granted is gone")),
        ("CREATE UNIQUE INDEX later_unique ON invites (later_text)", Some("invites has a new rule")),
        ("DROP INDEX invites_one_pending_org", Some("invites has lost a rule")),
        (
            "ALTER TABLE invites ADD COLUMN later_end bigint CHECK (later_end > 0)",
            Some("invites has a new rule"),
        ),
    ];
    let only_here = [
        ("ALTER TABLE invites ADD COLUMN later_must text NOT NULL", "invites.later_must must be given"),
        ("ALTER TABLE invites ALTER COLUMN mails TYPE bigint", "invites.mails is of another type"),
        ("ALTER TABLE invites ALTER COLUMN locale SET NOT NULL", "invites.locale must be given"),
        ("ALTER TABLE tenants ALTER COLUMN seats_used DROP DEFAULT", "tenants.seats_used must be given"),
        ("ALTER TABLE outbox DROP CONSTRAINT outbox_invite", "outbox has lost a rule"),
    ];
    let only_here = only_here.map(|(sql, complaint)| (sql, Some(complaint)));
    let more: &[_] = if server.engine == Engine::Postgres { &only_here } else { &[] };
    for (sql, complaint) in steps.iter().chain(more) {
        let before = rows.schema().await;
        rows.execute(sql).await;
        let told = not_expanding(&before, &rows.schema().await);
        match complaint {
            None => assert!(told.is_empty(), "{sql}: {told:?}"),
            Some(complaint) => {
                assert!(told.len() == 1 && told[0].starts_with(complaint), "{sql}: {told:?}");
            }
        }
    }
}
