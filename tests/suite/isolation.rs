//! What one tenant suffers or does is no other's trouble: a queue of fifty thousand mails, a relay that hangs, mails
//! that cannot be written, a flood of calls. And tenants that fall quiet leave nothing running behind.
//!
//! `USHER_TENANTS=10000 cargo test --test suite isolation:: -- --nocapture` touches so many tenants; with `--nocapture`
//! the figures show.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;

use crate::support::{
    ACME, ACME_HOST, CLINIC, Engine, GLOBEX_HOST,
    Kind::{Org, Workspace},
    PLATFORM, Setup, TestServer, acme_owner, both_engines, eventually, globex_owner, rounds,
    smtp_sink::{Ending, Failing, SmtpSink},
    within,
};

both_engines!(
    fifty_thousand_mails_of_one_tenant_delay_no_other => Setup::new().smtp(),
    a_relay_that_hangs_delays_its_own_tenant_alone => Setup::new().smtp().server("mail.timeout", "20s"),
    mails_that_hang_at_a_shared_relay_leave_others_a_way => Setup::new().smtp().server("mail.timeout", "20s"),
    mails_that_cannot_be_written_hold_up_nobody => Setup::new().smtp(),
    a_flood_is_turned_back_and_others_pass => Setup::new().server("lane.queue_per_tenant", 4),
    a_flood_is_turned_back_before_anybody_is_asked_who_calls => Setup::new().server("lane.queue_per_tenant", 4),
    a_server_that_has_fallen_behind_turns_changes_back_before_anybody_is_asked_who_calls =>
        Setup::new().crowded(),
    what_is_refused_for_want_of_room_fills_no_log =>
        Setup::new().logging("info").server("lane.queue_per_tenant", 1),
    tenants_that_fall_quiet_leave_no_actor_behind => many_tenants(),
);

/// What a mail of one tenant may be late because of another.
const LATE: Duration = Duration::from_secs(5);

/// Invites into globex so often, one after another, each once the mail before has left; tells how long the slowest
/// took.
async fn globex_is_mailed(server: &TestServer, times: usize, from: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for at in from..from + times {
        let email = format!("carol{at}@example.com");
        let since = Instant::now();
        server.invite_to_globex(Org, &email).await;
        server.letters_to(&email, 1).await;
        slowest = slowest.max(since.elapsed());
    }
    slowest
}

/// Invites so many into acme's clinic.
async fn acme_invites(server: &TestServer, name: &str, count: usize) {
    for at in 0..count {
        server.invite(Workspace, &acme_owner(), &format!("{name}{at}@example.com"), "member").await;
    }
}

async fn fifty_thousand_mails_of_one_tenant_delay_no_other(server: TestServer) {
    let alone = globex_is_mailed(&server, 3, 0).await;
    owe_fifty_thousand(&server).await;
    eventually("the queue to be worked at", async || (server.letters().len() > 50).then_some(())).await;
    let (before, since) = (server.letters().len(), Instant::now());
    let slowest = globex_is_mailed(&server, 10, 3).await;
    let (left, took, engine) = (server.letters().len() - before, since.elapsed(), server.engine);
    println!("{engine:?}: {alone:?} alone, {slowest:?} behind 50,000 mails of another tenant");
    println!("{engine:?}: meanwhile {left} mails left in {took:?}");
    assert!(slowest < LATE, "{slowest:?}");
    let left = server.inspect().await.count("SELECT count(*) AS n FROM outbox WHERE state = 'queued'").await;
    assert!(left > 10_000, "the queue was gone too soon to be in the way: {left}");
}

/// Gives acme fifty thousand pending invites, each with its mail queued.
async fn owe_fifty_thousand(server: &TestServer) {
    let rows = server.inspect().await;
    let (numbers, id, salt) = match server.engine {
        Engine::Sqlite => (
            "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 50000)",
            "randomblob(16)",
            "zeroblob(32)",
        ),
        Engine::Postgres => (
            "WITH g(n) AS (SELECT generate_series(1, 50000))",
            "gen_random_uuid()",
            "decode(repeat('00', 32), 'hex')",
        ),
    };
    let (acme, now) = (rows.id(ACME), server.now());
    let invites = format!(
        "{numbers} INSERT INTO invites (id, tenant_id, email, email_norm, role, status, version, salt, kid, \
         delivery, mails, expires_at, inserted_at, updated_at) SELECT {id}, {acme}, 'p' || n || '@example.com', \
         'p' || n || '@example.com', 'member', 'pending', 1, {salt}, 'k1', 'queued', 1, {now} + 86400000, {now}, \
         {now} FROM g"
    );
    let mails = format!(
        "INSERT INTO outbox (id, tenant_id, invite_id, version, dedupe_key, state, attempts, next_at, inserted_at) \
         SELECT {id}, tenant_id, id, 1, email || ':1', 'queued', 0, {now}, {now} FROM invites \
         WHERE tenant_id = {acme} AND delivery = 'queued'"
    );
    for sql in [invites, mails] {
        assert_eq!(rows.execute(&sql).await, 50_000);
    }
}

async fn a_relay_that_hangs_delays_its_own_tenant_alone(mut server: TestServer) {
    // from now on acme has a relay of its own
    let acmes = SmtpSink::start();
    acmes.fail(Failing::Silent);
    server.stop();
    server.setup = server.setup.clone().acme("mail.url", acmes.url());
    server.configure();
    server.serve();
    acme_invites(&server, "bob", 20).await;
    eventually("acme's mails to hang", async || (acmes.connections() > 1).then_some(())).await;
    let slowest = globex_is_mailed(&server, 10, 0).await;
    println!("{:?}: {slowest:?} beside a relay that hangs", server.engine);
    assert!(slowest < LATE, "{slowest:?}");
    // and acme can do everything but mail
    let invited = server.invite(Workspace, &acme_owner(), "dan@example.com", "member").await;
    server.preview(&invited).await.expect(200);
    server.revoke(&invited, &acme_owner()).await.expect(200);
}

async fn mails_that_hang_at_a_shared_relay_leave_others_a_way(server: TestServer) {
    let sink = server.setup.sink.as_ref().unwrap();
    sink.end("bob", Ending::NoAnswer);
    acme_invites(&server, "bob", 20).await;
    eventually("acme's mails to hang", async || (server.letters().len() > 6).then_some(())).await;
    let slowest = globex_is_mailed(&server, 10, 0).await;
    println!("{:?}: {slowest:?} beside mails that hang at the same relay", server.engine);
    assert!(slowest < LATE, "{slowest:?}");
    let hanging = server.letters().iter().filter(|letter| letter.to.starts_with("bob")).count();
    assert_eq!(hanging, 7, "all slots but one");
}

async fn mails_that_cannot_be_written_hold_up_nobody(server: TestServer) {
    // no call can put this there; a mail that would name it is given up
    let rows = server.inspect().await;
    let clinic = rows.id(CLINIC);
    let poison = format!("UPDATE workspaces SET name = 'Ward\r\nBcc: spy@evil.test' WHERE id = {clinic}");
    assert_eq!(rows.execute(&poison).await, 1);
    acme_invites(&server, "bad", 30).await;
    server.invite(Org, &acme_owner(), "good@example.com", "member").await;
    server.letters_to("good@example.com", 1).await;
    globex_is_mailed(&server, 1, 0).await;
    eventually("all of them to be given up", async || {
        let given_up = "SELECT count(*) AS n FROM invites WHERE delivery = 'failed'";
        (rows.count(given_up).await == 30).then_some(())
    })
    .await;
    assert_eq!(server.letters().len(), 2, "none of them left");
    rows.assert_told().await;
}

/// Calls of acme's, many at a time, until the others are done; tells how many of them were turned back.
async fn beside_a_flood(server: &TestServer, others: impl AsyncFnOnce(&AtomicUsize)) {
    let (over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let flood = join_all((0..64).map(|caller| {
        let (over, refused) = (&over, &refused);
        async move {
            let mut at = 0;
            while !over.load(Ordering::Relaxed) {
                let body = json!({ "email": format!("f{caller}x{at}@example.com"), "send_email": false });
                let answer = server.post(&Org.collection(), &body).by(&acme_owner()).await;
                if answer.status != 201 {
                    answer.come_back();
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                at += 1;
            }
        }
    }));
    let others = async {
        others(&refused).await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(flood, others);
    println!("{:?}: {} calls of the flood were turned back", server.engine, refused.into_inner());
}

async fn a_flood_is_turned_back_and_others_pass(server: TestServer) {
    beside_a_flood(&server, async |refused| {
        for at in 0..30 {
            let body = json!({ "email": format!("carol{at}@example.com"), "role": "member" });
            server.post(&Org.globex_collection(), &body).by(&globex_owner()).await.expect(201);
        }
        eventually("the flood to be turned back", async || {
            (refused.load(Ordering::Relaxed) > 0).then_some(())
        })
        .await;
    })
    .await;
    server.invite(Org, &acme_owner(), "after@example.com", "member").await;
    server.inspect().await.assert_sound().await;
}

/// A refusal must cost little, so the tenant's own host does not ask first who calls. Elsewhere a stranger learns nothing.
async fn a_flood_is_turned_back_before_anybody_is_asked_who_calls(server: TestServer) {
    let body = json!({ "email": "dan@example.com" });
    let anonymous = |host: &'static str| server.post(&Org.collection(), &body).on(host);
    anonymous(ACME_HOST).await.expect(401);
    beside_a_flood(&server, async |_| {
        eventually("no room", async || {
            anonymous(PLATFORM).await.expect(401);
            server.post(&Org.collection(), &body).by(&globex_owner()).await.expect(404);
            anonymous(GLOBEX_HOST).await.expect(401);
            server.get(&Org.collection()).on(ACME_HOST).await.expect(401);
            let answer = anonymous(ACME_HOST).await;
            (answer.status != 401).then(|| answer.come_back())
        })
        .await;
    })
    .await;
    anonymous(ACME_HOST).await.expect(401);
}

async fn a_server_that_has_fallen_behind_turns_changes_back_before_anybody_is_asked_who_calls(
    server: TestServer,
) {
    let body = json!({ "email": "dan@example.com" });
    for host in [PLATFORM, ACME_HOST] {
        let change = || server.post(&Org.collection(), &body).on(host);
        change().await.come_back();
        change().by(&acme_owner()).await.come_back();
        // what changes nothing is answered
        server.get(&Org.collection()).on(host).await.expect(401);
        server.get(&Org.collection()).on(host).by(&acme_owner()).await.expect(200);
    }
    assert!(server.admin("/metrics").await.text().contains("usher_requests_crowded_out_total"));
}

async fn what_is_refused_for_want_of_room_fills_no_log(server: TestServer) {
    beside_a_flood(&server, async |refused| {
        eventually("a refusal", async || (refused.load(Ordering::Relaxed) > 0).then_some(())).await;
    })
    .await;
    server.get("/api/v1/nothing").await.expect(404);
    eventually("the last line", async || server.log().contains("\"status\":404").then_some(())).await;
    assert!(server.log().contains("\"status\":201") && !server.log().contains("\"status\":503"));
    assert!(server.admin("/metrics").await.text().contains("usher_lane_refused_total"));
}

/// How many tenants there are besides the two of every test.
fn tenants() -> usize {
    rounds("USHER_TENANTS", 150)
}

fn tenant_id(at: usize) -> String {
    format!("01900000-0000-7000-8001-{at:012x}")
}

/// As many as [`tenants`] says, owned by acme's owner; a quiet one frees its actor after two seconds.
fn many_tenants() -> Setup {
    let setup = Setup::new().process().server("lane.idle", "2s");
    (0..tenants()).fold(setup, |setup, at| {
        let id = tenant_id(at);
        let owner = "owners = [\"owner@acme.test\"]";
        let file = format!(
            "id = \"{id}\"\nslug = \"t{at}\"\nname = \"T {at}\"\ndomains = [\"t{at}.test\"]\n{owner}"
        );
        setup.add_tenant(&format!("t{at}"), &file)
    })
}

async fn tenants_that_fall_quiet_leave_no_actor_behind(server: TestServer) {
    let before = memory(&server);
    let mut most = 0;
    for first in (0..tenants()).step_by(100) {
        let touched = stream::iter(first..tenants().min(first + 100)).map(|at| touch(&server, at));
        touched.buffer_unordered(16).collect::<Vec<()>>().await;
        most = most.max(actors(&server).await);
    }
    assert!(most > 0, "an actor works for whoever writes");
    within(Duration::from_secs(60), "all actors to be gone", async || {
        (actors(&server).await == 0).then_some(())
    })
    .await;
    let (count, engine) = (tenants(), server.engine);
    println!(
        "{engine:?}: {count} tenants, {most} actors at most; {before} KiB before, {} after",
        memory(&server)
    );
    // and each is there again when it is wanted
    touch(&server, 0).await;
    assert_eq!(actors(&server).await, 1);
}

/// A write and a read that is cached.
async fn touch(server: &TestServer, at: usize) {
    let email = format!("bob{}@example.com", uuid::Uuid::now_v7().simple());
    let body = json!({ "email": email, "send_email": false });
    let made = server.post(&Org.collection_in(&tenant_id(at)), &body).by(&acme_owner()).patiently().await;
    let invited = crate::support::Invited::read(Org, &made.expect(201));
    server.preview(&invited).patiently().await.expect(200);
}

/// Tenant actors alive.
async fn actors(server: &TestServer) -> usize {
    let metrics = server.admin("/metrics").await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("usher_tenant_actors "));
    line.unwrap_or("0").parse().unwrap()
}

/// Resident memory of the server's process, in KiB; 0 where the system does not tell.
fn memory(server: &TestServer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
