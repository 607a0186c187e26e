//! What is forgotten when: invites that ended, mails that left, answers kept and counters are there until their time
//! and gone after it; nothing pending is ever touched; and no batch is longer than it may be.
//!
//! `USHER_MEASURE_RETENTION=100000` puts so many ended invites in and prints how long a batch holds the lock.

use std::{collections::BTreeMap, time::Duration};

use entity::{InviteId, Millis, OutboxState, TenantId};
use serde_json::json;
use usher::{janitor, store};

use crate::support::{
    ACME, ACME_HOST, Engine, Invited,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines,
    database::Inspector,
    eventually, globex_owner,
    invites::KINDS,
    person, rounds,
};

both_engines!(
    an_invite_is_forgotten_so_long_after_it_ended_however_it_did => kept("30d", "off"),
    what_is_forgotten_answers_as_what_never_was => kept("30d", "off"),
    each_tenant_keeps_for_its_own_time => kept("30d", "1d"),
    mails_are_forgotten_by_what_became_of_them => kept("off", "off").server("retention.failed_mails", "60d"),
    answers_and_counters_are_forgotten_after_their_times => kept("30d", "30d")
        .server("retention.answers", "2h")
        .server("limits.invites_per_tenant", "1000/1d"),
    an_invite_that_lives_again_or_is_being_mailed_stays => kept("30d", "off"),
    a_batch_takes_no_more_than_it_may_and_the_rest_follows => kept("off", "off").server("retention.mails", "off"),
    several_who_forget_at_once_share_the_work => kept("30d", "off"),
    what_is_to_be_forgotten_is_found_by_an_index => kept("30d", "off"),
    a_reload_and_the_clock_are_noticed_without_being_asked => kept("off", "off"),
    a_batch_of_many_is_measured => kept("30d", "off"),
);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The usual configuration, with times for the ended invites of acme and globex.
fn kept(acme: &str, globex: &str) -> Setup {
    Setup::new().server("retention.invites", acme).tenant("globex", "retention.invites", globex)
}

impl TestServer {
    /// Has everything forgotten that is outdated now, as the server does by itself; tells how many rows that was.
    async fn forget(&self) -> u64 {
        let source =
            usher::config::Source { config_dir: self.config_dir(), ..usher::config::Source::default() };
        let settings = usher::config::load(&source).unwrap().settings;
        let store = self.store();
        let work = store.clone();
        store.runtime().spawn(async move { janitor::sweep(&work, &settings).await }).await.unwrap().unwrap()
    }

    async fn is_there(&self, invited: &Invited) -> bool {
        self.show(invited, &acme_owner()).await.status == 200
    }
}

fn acme() -> TenantId {
    ACME.parse().unwrap()
}

fn id(invited: &Invited) -> InviteId {
    invited.id.parse().unwrap()
}

/// Forgets within one transaction, as one batch does; tells how many rows are gone.
async fn forget_some(server: &TestServer, ids: Vec<InviteId>, by: i64, most: u64) -> u64 {
    let store = server.store();
    let work = store.clone();
    let batch = async move {
        let tx = work.tenant_write(acme()).await.unwrap();
        let rows = store::invites::forget(tx.conn(), acme(), &ids, Millis(by), most).await.unwrap();
        tx.commit().await.unwrap();
        rows
    };
    store.runtime().spawn(batch).await.unwrap()
}

/// One invite for each way to end, all ended now but the one that runs out, and one that does not end at all.
async fn ended(server: &TestServer, kind: crate::support::Kind) -> BTreeMap<&'static str, Invited> {
    let mut made = BTreeMap::new();
    for how in ["accepted", "declined", "revoked", "runs out", "superseded", "pending"] {
        let who = person(&format!("{kind:?}-{}@example.com", how.replace(' ', "-")).to_lowercase());
        let expires_in = if how == "pending" { 80 * 86_400 } else { 3600 };
        let body = json!({ "email": who.email(), "role": "member", "expires_in": expires_in });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        server.letters_to(who.email(), 1).await;
        match how {
            "accepted" => drop(server.accept(&invited, &who).await.expect(200)),
            "declined" => drop(server.decline(&invited, &who).await.expect(200)),
            "revoked" => drop(server.revoke(&invited, &acme_owner()).await.expect(200)),
            _ => {}
        }
        made.insert(how, invited);
    }
    made
}

async fn an_invite_is_forgotten_so_long_after_it_ended_however_it_did(server: TestServer) {
    let rows = server.inspect().await;
    let mut all = Vec::new();
    for kind in KINDS {
        all.push(ended(&server, kind).await);
    }
    // two days later one that ran out is closed by a newer one: that is its end, and the newer one runs out
    server.advance(2 * DAY);
    for made in &all {
        let old = &made["superseded"];
        let body = json!({ "email": old.data["email"], "role": "member", "expires_in": 3600 });
        assert_ne!(server.invite_with(old.kind, &acme_owner(), body).await.id, old.id);
        server.letters_to(old.data["email"].as_str().unwrap(), 2).await;
    }
    for (advanced, gone) in [
        (28 * DAY - Duration::from_secs(60), vec![]),
        (Duration::from_secs(120), vec!["accepted", "declined", "revoked"]),
        (Duration::from_secs(3600), vec!["accepted", "declined", "revoked", "runs out"]),
        (2 * DAY, vec!["accepted", "declined", "revoked", "runs out", "superseded"]),
    ] {
        server.advance(advanced);
        server.forget().await;
        for made in &all {
            for (how, invited) in made {
                eventually(&format!("{how} after {advanced:?}"), async || {
                    (server.is_there(invited).await != gone.contains(how)).then_some(())
                })
                .await;
            }
        }
        rows.assert_sound().await;
    }
    eventually("none to be left but the two that are pending", async || {
        (rows.count("SELECT count(*) AS n FROM invites").await == 2).then_some(())
    })
    .await;
    let orphans = "SELECT count(*) AS n FROM outbox WHERE invite_id NOT IN (SELECT id FROM invites)";
    assert_eq!(rows.count(orphans).await, 0);
    for made in &all {
        let who = person(made["pending"].data["email"].as_str().unwrap());
        server.accept(&made["pending"], &who).await.expect(200);
    }
}

async fn what_is_forgotten_answers_as_what_never_was(server: TestServer) {
    let owner = acme_owner();
    for kind in KINDS {
        let made = ended(&server, kind).await;
        let told = server.get("/api/v1/events?limit=1000").by(&owner).on(ACME_HOST).await.expect(200);
        server.advance(31 * DAY);
        server.forget().await;
        for (how, invited) in &made {
            if *how == "pending" {
                continue;
            }
            eventually("it to be gone", async || (!server.is_there(invited).await).then_some(())).await;
            let who = person(invited.data["email"].as_str().unwrap());
            server.accept(invited, &who).await.refused_as(kind.unknown());
            server.decline(invited, &who).await.refused_as(kind.unknown());
            eventually("no preview", async || {
                let preview = server.preview(invited).await;
                (preview.status == 404 && preview.json()["code"] == kind.invalid_token()).then_some(())
            })
            .await;
            server.revoke(invited, &owner).await.refused(404, "NOT_FOUND");
            server.resend(invited, &owner, &json!({})).await.refused(404, "NOT_FOUND");
            let history = format!("{}/events", kind.item(&invited.id));
            server.get(&history).by(&owner).await.refused(404, "NOT_FOUND");
        }
        // the feed goes on telling of them, from the first number on
        let still = server.get("/api/v1/events?limit=1000").by(&owner).on(ACME_HOST).await.expect(200);
        let before = told["data"].as_array().unwrap().len();
        assert_eq!(still["data"].as_array().unwrap()[..before], *told["data"].as_array().unwrap());
        // whoever came in by one is still there, and whoever did not is invited as if for the first time
        let members = server.get("/api/v1/tenant/members").by(&owner).on(ACME_HOST).await.expect(200);
        let email = made["accepted"].data["email"].as_str().unwrap();
        assert!(members.to_string().contains(email), "{members}");
        for how in ["declined", "revoked", "runs out"] {
            let who = person(made[how].data["email"].as_str().unwrap());
            let again = server.invite(kind, &owner, who.email(), "member").await;
            server.accept(&again, &who).await.expect(200);
        }
    }
    server.inspect().await.assert_sound().await;
}

async fn each_tenant_keeps_for_its_own_time(server: TestServer) {
    let ours = server.invite(Org, &acme_owner(), "ann@example.com", "member").await;
    let theirs = server.invite_to_globex(Org, "ann@example.com").await;
    let their_item = format!("{}/{}", Org.globex_collection(), theirs.id);
    server.revoke(&ours, &acme_owner()).await.expect(200);
    server.delete(&their_item).by(&globex_owner()).await.expect(200);
    server.advance(2 * DAY);
    server.forget().await;
    eventually("globex to forget", async || {
        (server.get(&their_item).by(&globex_owner()).await.status == 404).then_some(())
    })
    .await;
    assert!(server.is_there(&ours).await);
    server.advance(29 * DAY);
    server.forget().await;
    eventually("acme to forget", async || (!server.is_there(&ours).await).then_some(())).await;
}

async fn mails_are_forgotten_by_what_became_of_them(server: TestServer) {
    let rows = server.inspect().await;
    let mut made = Vec::new();
    for name in ["sent", "dead", "cancelled", "queued"] {
        made.push(server.invite(Org, &acme_owner(), &format!("{name}@example.com"), "member").await);
        server.letters_to(&format!("{name}@example.com"), 1).await;
    }
    let all_sent = "SELECT count(*) AS n FROM outbox WHERE state = 'sent'";
    eventually("all to be settled", async || (rows.count(all_sent).await == 4).then_some(())).await;
    for (name, invited) in ["dead", "cancelled", "queued"].iter().zip(&made[1..]) {
        // one that waits does so for a relay that is never there
        let sql = format!(
            "UPDATE outbox SET state = '{name}', sent_at = NULL, next_at = {far} WHERE invite_id = {id}",
            far = server.now() + 400 * 86_400_000,
            id = rows.id(&invited.id),
        );
        assert_eq!(rows.execute(&sql).await, 1);
    }
    let left = async || {
        let mut left = rows.texts("SELECT state AS t FROM outbox").await;
        left.sort();
        left.join(" ")
    };
    for (days, expected) in [
        (29, "cancelled dead queued sent"),
        (2, "dead queued"),
        (28, "dead queued"),
        (2, "queued"),
        (100, "queued"),
    ] {
        server.advance(days * DAY);
        server.forget().await;
        eventually(expected, async || (left().await == expected).then_some(())).await;
    }
    assert_eq!(server.show(&made[0], &acme_owner()).await.expect(200)["data"]["delivery"], "sent");
}

async fn answers_and_counters_are_forgotten_after_their_times(server: TestServer) {
    let rows = server.inspect().await;
    let create = || {
        let body = json!({ "email": "ann@example.com", "send_email": false });
        server.post(&Org.collection(), &body).by(&acme_owner()).header("Idempotency-Key", "once")
    };
    let answers = "SELECT count(*) AS n FROM idempotency_records";
    let counters = "SELECT count(*) AS n FROM limit_counters";
    let first = create().await.expect(201);
    server.advance(Duration::from_secs(2 * 3600 - 60));
    server.forget().await;
    let again = create().await;
    assert_eq!((again.header("idempotency-replayed"), again.json()), ("true", first));
    assert_eq!((rows.count(answers).await, rows.count(counters).await), (1, 1));
    server.advance(Duration::from_secs(120));
    server.forget().await;
    eventually("no answer", async || (rows.count(answers).await == 0).then_some(())).await;
    assert_eq!(rows.count(counters).await, 1, "what was counted counts for its window and the next");
    server.advance(3 * DAY);
    server.forget().await;
    eventually("no counter", async || (rows.count(counters).await == 0).then_some(())).await;
}

async fn an_invite_that_lives_again_or_is_being_mailed_stays(server: TestServer) {
    let rows = server.inspect().await;
    let body = |email: &str| json!({ "email": email, "role": "member", "expires_in": 3600 });
    let revived = server.invite_with(Org, &acme_owner(), body("ann@example.com")).await;
    let mailed = server.invite_with(Workspace, &acme_owner(), body("bob@example.com")).await;
    server.letters_to("ann@example.com", 1).await;
    server.letters_to("bob@example.com", 1).await;
    let settled = "SELECT count(*) AS n FROM outbox WHERE state = 'sent'";
    eventually("both to be settled", async || (rows.count(settled).await == 2).then_some(())).await;
    let by = server.now() + 2 * 3_600_000;
    server.advance(Duration::from_secs(2 * 3600));
    // found as ended, and alive before its turn came
    server.resend(&revived, &acme_owner(), &json!({})).await.expect(200);
    assert_eq!(forget_some(&server, vec![id(&revived)], server.now(), 10).await, 0);
    let lease = format!(
        "UPDATE outbox SET state = 'leased', sent_at = NULL, lease_until = {until}, lease_token = id \
         WHERE invite_id = {id}",
        until = server.now() + 400 * 86_400_000,
        id = rows.id(&mailed.id),
    );
    assert_eq!(rows.execute(&lease).await, 1);
    assert_eq!(forget_some(&server, vec![id(&mailed)], by, 10).await, 0);
    assert!(server.is_there(&revived).await && server.is_there(&mailed).await);
    let settle = format!(
        "UPDATE outbox SET state = 'cancelled', lease_until = NULL, lease_token = NULL WHERE invite_id = {}",
        rows.id(&mailed.id)
    );
    rows.execute(&settle).await;
    assert_eq!(forget_some(&server, vec![id(&mailed)], by, 10).await, 2, "the invite and its mail");
    assert_eq!(forget_some(&server, vec![id(&revived)], by, 10).await, 0, "not by then");
}

/// So many invites of acme that ended a hundred days ago, each with so many mails, all made then as their ids say.
async fn seed(server: &TestServer, rows: &Inspector, invites: usize, mails: usize) -> Vec<InviteId> {
    let then = server.now() - 100 * 86_400_000;
    let (numbers, id, salt) = match server.engine {
        Engine::Sqlite => (
            format!("WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {invites})"),
            format!("unhex('{then:012x}' || hex(randomblob(10)))"),
            "zeroblob(32)",
        ),
        Engine::Postgres => (
            format!("WITH g(n) AS (SELECT generate_series(1, {invites}))"),
            format!("('{then:012x}' || right(replace(gen_random_uuid()::text, '-', ''), 20))::uuid"),
            "decode(repeat('00', 32), 'hex')",
        ),
    };
    let sql = format!(
        "{numbers} INSERT INTO invites (id, tenant_id, email, email_norm, role, status, version, salt, kid, \
         inviter, delivery, mails, expires_at, revoked_at, inserted_at, updated_at) SELECT {id}, {acme}, \
         'p' || n || '@example.com', 'p' || n || '@example.com', 'member', CASE WHEN n % 2 = 0 THEN 'revoked' \
         ELSE 'pending' END, 1, {salt}, 'k1', 'u-' || (n % 100), 'sent', {mails}, {then} + n, \
         CASE WHEN n % 2 = 0 THEN {then} + n END, {then} - n, {then} + n FROM g",
        acme = rows.id(ACME),
    );
    assert_eq!(rows.execute(&sql).await, u64::try_from(invites).unwrap());
    for number in 1..=mails {
        let sql = format!(
            "INSERT INTO outbox (id, tenant_id, invite_id, version, dedupe_key, state, attempts, next_at, \
             inserted_at, sent_at) SELECT {id}, tenant_id, id, 1, {key} || ':{number}', 'sent', 1, {then}, \
             {then}, {then} FROM invites WHERE updated_at <= {then} + {invites}",
            key = rows.hex("id"),
        );
        rows.execute(&sql).await;
    }
    let ids = format!("SELECT {} AS t FROM invites ORDER BY inserted_at DESC", rows.hex("id"));
    rows.texts(&ids).await.iter().map(|hex| hex.parse().unwrap()).collect()
}

async fn a_batch_takes_no_more_than_it_may_and_the_rest_follows(mut server: TestServer) {
    let rows = server.inspect().await;
    let count = async |table: &str| rows.count(&format!("SELECT count(*) AS n FROM {table}")).await;
    let ids = seed(&server, &rows, 30, 7).await;
    let by = server.now() - 90 * 86_400_000;
    // five invites with thirty-five mails, ten mails a batch: an invite goes when its last mail has
    for mails in [200, 190, 180, 175] {
        let before = count("outbox").await + count("invites").await;
        let gone = forget_some(&server, ids[..5].to_vec(), by, 10).await;
        assert_eq!(count("outbox").await, mails);
        let without = "SELECT count(*) AS n FROM invites i WHERE i.mails > 0 AND NOT EXISTS \
                       (SELECT 1 FROM outbox o WHERE o.invite_id = i.id)";
        assert_eq!(rows.count(without).await, 0, "an invite stays without its mails");
        let orphans = "SELECT count(*) AS n FROM outbox WHERE invite_id NOT IN (SELECT id FROM invites)";
        assert_eq!(rows.count(orphans).await, 0);
        assert_eq!(before - count("outbox").await - count("invites").await, i64::try_from(gone).unwrap());
        assert!(gone <= 15, "{gone} rows in one batch of ten mails and five invites");
    }
    assert_eq!(count("invites").await, 25);
    let states = [OutboxState::Sent];
    let db = server.store().read(async move |db| store::outbox::ended(&db, Millis(by), &states, 10).await);
    assert_eq!(db.await.unwrap().len(), 10);
    let tenants = [acme()];
    let found =
        server.store().read(async move |db| store::invites::ended(&db, &tenants, Millis(by), 10).await);
    assert_eq!(found.await.unwrap().len(), 20, "ten that ended and ten that ran out");
    server.setup = kept("30d", "off");
    server.configure();
    server.forget().await;
    eventually("the rest", async || (count("invites").await == 0).then_some(())).await;
    assert_eq!(count("outbox").await, 0);
}

async fn several_who_forget_at_once_share_the_work(server: TestServer) {
    let rows = server.inspect().await;
    let others = match server.engine {
        Engine::Sqlite => vec![],
        Engine::Postgres => vec![server.replica(), server.replica()],
    };
    seed(&server, &rows, 600, 1).await;
    let (first, second, third) = match others.as_slice() {
        [second, third] => (&server, second, third),
        _ => (&server, &server, &server),
    };
    // none of them fails, and the janitors of the servers themselves are at it as well
    tokio::join!(first.forget(), second.forget(), third.forget());
    for table in ["invites", "outbox"] {
        let left = format!("SELECT count(*) AS n FROM {table}");
        eventually("nothing to be left", async || (rows.count(&left).await == 0).then_some(())).await;
    }
}

async fn what_is_to_be_forgotten_is_found_by_an_index(server: TestServer) {
    let rows = server.inspect().await;
    seed(&server, &rows, 20_000, 1).await;
    // all but a few are of today
    for (table, column) in [("invites", "updated_at"), ("invites", "expires_at"), ("outbox", "sent_at")] {
        let keep = format!("UPDATE {table} SET {column} = {column} + 8640000000 WHERE {column} % 100 <> 0");
        rows.execute(&keep).await;
    }
    if server.engine == Engine::Postgres {
        rows.execute("VACUUM ANALYZE invites").await;
        rows.execute("VACUUM ANALYZE outbox").await;
    }
    let (by, tenants) = (Millis(server.now() - 90 * 86_400_000), vec![acme(); 8]);
    let mut statements = store::invites::ended_statements(rows.backend(), &tenants, by, 50);
    let states = [OutboxState::Sent, OutboxState::Cancelled];
    statements.push(store::outbox::ended_statement(rows.backend(), by, &states, 200));
    for (statement, index) in statements.iter().zip(["invites_ended", "invites_by_end", "outbox"]) {
        let plan = rows.plan(statement).await.0.join("\n");
        let scans = ["SCAN invites", "SCAN outbox", "Seq Scan"].iter().any(|scan| plan.contains(scan));
        assert!(plan.contains(index) && !scans, "{}\n{plan}", statement.sql);
    }
}

async fn a_reload_and_the_clock_are_noticed_without_being_asked(mut server: TestServer) {
    let invited = server.invite(Org, &acme_owner(), "ann@example.com", "member").await;
    server.revoke(&invited, &acme_owner()).await.expect(200);
    server.advance(40 * DAY);
    server.setup = kept("30d", "off");
    server.configure();
    eventually("the reload to count", async || (!server.is_there(&invited).await).then_some(())).await;
    let invited = server.invite(Org, &acme_owner(), "ann@example.com", "member").await;
    server.revoke(&invited, &acme_owner()).await.expect(200);
    server.advance(31 * DAY);
    eventually("the clock to count", async || (!server.is_there(&invited).await).then_some(())).await;
}

async fn a_batch_of_many_is_measured(server: TestServer) {
    let count = rounds("USHER_MEASURE_RETENTION", 0);
    if count == 0 {
        return;
    }
    let rows = server.inspect().await;
    let ids = seed(&server, &rows, count, 1).await;
    let by = server.now() - 90 * 86_400_000;
    for size in [25, 50, 100, 200] {
        let mut times = Vec::new();
        // another stretch of them for each size
        let begin = ids.len() * (size / 25 - 1) / 8;
        for few in ids[begin..].chunks(size).take(40) {
            let began = std::time::Instant::now();
            forget_some(&server, few.to_vec(), by, 1000).await;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        let (middle, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "{:?}: {size} of {count} invites and their mails: p50 {middle:.1} ms, most {most:.1} ms",
            server.engine
        );
    }
}
