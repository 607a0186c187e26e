//! Forgetting what is over in batches: none takes more than it may, several servers share them, and what is over is
//! found by an index. `USHER_MEASURE_RETENTION=100000` puts so many ended invites in and prints how long a batch holds
//! the lock.

use entity::{InviteId, Millis, OutboxState};
use usher::store;

use crate::support::{
    ACME, Engine, TestServer, both_engines,
    database::Inspector,
    eventually,
    forgetting::{acme, kept},
    rounds,
};

both_engines!(
    a_batch_takes_no_more_than_it_may_and_the_rest_follows => kept("off", "off").server("retention.mails", "off"),
    several_who_forget_at_once_share_the_work => kept("30d", "off"),
    what_is_to_be_forgotten_is_found_by_an_index => kept("30d", "off"),
    a_batch_of_many_is_measured => kept("off", "off").server("retention.mails", "off"),
);

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
        let gone = server.forget_some(ids[..5].to_vec(), by, 10).await;
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
    let ids = seed(&server, &rows, 20_000, 1).await;
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
    // and is forgotten by id: rows of a tenant of whatever size are not walked
    let some = &ids[..25];
    let forgetting = store::invites::forget_statements(rows.backend(), acme(), some, by, 200);
    for (statement, first) in forgetting.iter().zip(["invites", "outbox", "invites"]) {
        let plan = rows.plan(statement).await.0.join("\n");
        let walks = ["SCAN invites", "SCAN outbox", "Seq Scan", "tenant_id=?", "Index Cond: (tenant_id"];
        assert!(!walks.iter().any(|walk| plan.contains(walk)), "{first}: {}\n{plan}", statement.sql);
    }
}

async fn a_batch_of_many_is_measured(server: TestServer) {
    let count = rounds("USHER_MEASURE_RETENTION", 0);
    if count == 0 {
        return;
    }
    let rows = server.inspect().await;
    let ids = seed(&server, &rows, count, 1).await;
    let by = server.now() - 90 * 86_400_000;
    if server.engine == Engine::Postgres {
        rows.execute("VACUUM ANALYZE invites").await;
        rows.execute("VACUUM ANALYZE outbox").await;
    }
    for size in [25, 50, 100, 200] {
        let mut times = Vec::new();
        // another stretch of them for each size
        let begin = ids.len() * (size / 25 - 1) / 8;
        for few in ids[begin..].chunks(size).take(40) {
            let began = std::time::Instant::now();
            server.forget_some(few.to_vec(), by, 1000).await;
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
