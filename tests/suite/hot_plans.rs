//! How the engines carry out what every request, mail and sweep asks of a database that has been in use for long: by
//! looking up, never by walking a table or all that a tenant has. Whatever a function of the store asks is judged, not a
//! copy of its text; the lists of invites have a file of their own (`list_plans`).
//!
//! `USHER_PLAN_ROWS` is how many invites there are; `USHER_MEASURE_PLANS=1` prints every plan, how long each statement
//! took, and what an invite takes on the disk.

use entity::{Millis, OutboxState, TenantId, UserId};
use sea_orm::DbErr;
use usher::{
    domain::Scope,
    store::{
        api_keys, deliveries, events, idempotency, invites, limits, members, outbox, tenants, users,
        workspaces,
    },
};
use uuid::Uuid;

use crate::support::{
    Engine, TestServer, both_engines,
    database::Inspector,
    explaining::{Explained, Explaining},
    long_served::{LongServed, TABLES, key_of},
    rounds,
};

both_engines!(what_is_asked_often_is_looked_up_among_very_many_rows);

/// What PostgreSQL may expect a statement to cost at most, in its own measure: a few hundred rows found by an index.
/// Walking the large tenant of a million invites would cost twenty times as much.
const MOST: f64 = 2_500.0;

/// From how many invites on PostgreSQL is left to choose between an index and all of a table.
const LARGE: u64 = 200_000;

async fn what_is_asked_often_is_looked_up_among_very_many_rows(mut server: TestServer) {
    let now = server.now();
    // nobody mails or forgets meanwhile
    server.stop();
    let rows = server.inspect().await;
    let count = u64::try_from(rounds("USHER_PLAN_ROWS", 10_000)).unwrap();
    let seeded = LongServed::seed(&rows, count, now).await;
    let measure = std::env::var_os("USHER_MEASURE_PLANS").is_some();
    if measure {
        tell_sizes(&rows, count).await;
    }
    if server.engine == Engine::Postgres && count < LARGE {
        // a small table is rather read whole, whatever indexes it has
        rows.execute("SET enable_seqscan = off").await;
    }
    let db = Explaining::new(rows.connection());
    let mut wrong = Vec::new();
    let mut judge = |what: &str, done: Result<(), DbErr>| {
        done.unwrap_or_else(|error| panic!("{what}: {error}"));
        let asked = db.take();
        assert!(!asked.is_empty(), "{what} asks nothing");
        for statement in asked {
            if measure {
                let (engine, plan) = (server.engine, statement.plan.join(" | "));
                println!("{engine:?}\t{what}\t{:.2} ms\t{plan}", statement.millis);
            }
            if let Some(why) = fault(server.engine, &statement) {
                wrong.push(format!("{what}: {why}\n{}\n{}", statement.sql, statement.plan.join("\n")));
            }
        }
    };
    macro_rules! ask {
        ($($what:literal: $asked:expr;)+) => { $( judge($what, $asked.await.map(drop)); )+ };
    }

    // of the large tenant: one pending in a workspace, one pending in none, one accepted; and of a small one
    let (pending, org, accepted, foreign) = (count / 80 * 40, count / 80 * 40 + 2, count / 80 * 40 + 20, 41);
    let (acme, workspace) = (LongServed::tenant(pending), LongServed::workspace(pending).unwrap());
    let (small, address) = (LongServed::tenant(foreign), LongServed::address(pending));
    let (person, sender) = (LongServed::person(accepted), UserId("sender-7".into()));
    let id = seeded.invite(pending);
    let many: Vec<_> = (1..=64).map(|n| seeded.invite(n * 40)).collect();
    let addresses: Vec<_> = (1..=64).map(|n| LongServed::address(n * 40)).collect();
    let people: Vec<_> = (1..=64).map(LongServed::person).collect();
    let among =
        |scope| -> Vec<_> { addresses.iter().map(|address| (acme, scope, address.clone())).collect() };
    let happened = events::NewEvent {
        kind: "invite.created",
        invite_id: None,
        workspace_id: None,
        actor: "system".into(),
        data: None,
    };
    let now = Millis(now);
    ask! {
        "an invite": invites::find(&db, acme, id);
        "the invite of a link": invites::find_for_link(&db, id);
        "a preview": invites::find_for_preview(&db, id);
        "the pending invite of an address in a workspace":
            invites::pending_for(&db, acme, Scope::Workspace(workspace), &address);
        "the pending invite of an address in a tenant":
            invites::pending_for(&db, acme, Scope::Org, &LongServed::address(org));
        "which of many addresses have something pending in a workspace":
            invites::pending_among(&db, &among(Scope::Workspace(workspace)));
        "which of many addresses have something pending in a tenant":
            invites::pending_among(&db, &among(Scope::Org));
        "many invites": invites::find_all(&db, acme, &many);
        "the pending invites to an address": invites::pending_to(&db, acme, &address);
        "the inbox": invites::inbox(&db, &address, &[acme, small], now, 100);
        "what somebody sent": invites::pending_sent_by(&db, small, &sender, None, 100);
        "revoking one": invites::revoke(&db, acme, seeded.invite(org), None, now);
        "revoking many": revoke_many(&db, &seeded, acme, now);
        "closing one that ran out": invites::close_expired(&db, acme, id, now);
        "invites to be forgotten": invites::ended(&db, &[acme, small], Millis(now.0 - 59 * 86_400_000), 50);
        "forgetting invites": invites::forget(&db, acme, &[seeded.invite(accepted)], now, 200);
    }

    let told = |tenants: &[TenantId]| -> Vec<_> {
        tenants.iter().map(|tenant| events::Told::of(*tenant, now, vec![happened.clone()])).collect()
    };
    let members_of: Vec<_> = people.iter().map(|person| (acme, person.clone())).collect();
    let standing: Vec<_> = people.iter().map(|person| (acme, person.clone(), Some(workspace))).collect();
    ask! {
        "where somebody stands": members::standing(&db, acme, &person, Some(workspace));
        "members who hold an address": members::with_email(&db, acme, &LongServed::address(accepted));
        "a member of a tenant": members::tenant_member(&db, acme, &person);
        "a member of a workspace": members::workspace_member(&db, acme, workspace, &person);
        "somebody's workspaces": members::workspace_roles(&db, acme, &person);
        "somebody's tenants": members::tenants_of(&db, &person);
        "what somebody alone owns": members::solely_owned_workspaces(&db, acme, &person);
        "seats": tenants::seats_used(&db, acme);
        "counting a seat": tenants::count_seats(&db, acme, 1);
        "numbering events": events::append(&db, told(&[acme]));
        "numbering events of several tenants": events::append(&db, told(&[acme, small]));
        "which of many people are members": members::among(&db, &members_of);
        "where many people stand": members::standings(&db, &standing);
        "a person": users::find(&db, &person);
        "which of many addresses are held": users::held(&db, &addresses);
        "several persons": users::find_all(&db, (1..64).map(LongServed::person));
        "persons of an address": users::with_email(&db, &address);
        "whose a user id is": users::known(&db, &person, "https://auth.example.test", &person.0);
        "a workspace": workspaces::find(&db, acme, workspace);
        "whether a workspace is there": workspaces::exists(&db, acme, workspace);
        "the tenant of a workspace": workspaces::tenant_of(&db, workspace);
        "names of workspaces": workspaces::names(&db, vec![workspace]);
    }

    let lease = outbox::Lease { token: Uuid::now_v7(), now, until: Millis(now.0 + 60_000) };
    let held = outbox::Held { id: seeded.mail(101), token: seeded.mail(101).0 };
    let (leased, ended) = (101, [OutboxState::Sent, OutboxState::Cancelled]);
    let settled = deliveries::Settled {
        lease: held,
        invite: seeded.invite(leased),
        workspace: LongServed::workspace(leased),
        number: 1,
        attempts: 1,
        verdict: deliveries::Verdict::Sent,
        class: None,
    };
    ask! {
        "tenants whose mails wait": outbox::waiting(&db, None);
        "claiming mails": outbox::claim(&db, acme, 32, lease);
        "keeping a lease": outbox::renew(&db, &[held], lease.until);
        "a mail that the relay took": outbox::note_taken(&db, held);
        "settling a mail": deliveries::settle(&db, LongServed::tenant(leased), now, &[settled]);
        "whether a lease ran out": outbox::any_abandoned(&db, now);
        "taking abandoned mails back": outbox::reclaim(&db, now);
        "cancelling the mails of an invite": outbox::cancel_for_invite(&db, acme, id, None);
        "cancelling the mails of many": cancel_many(&db, &seeded, acme);
        "mails to be forgotten": outbox::ended(&db, Millis(now.0 - 59 * 86_400_000), &ended, 200);
        "forgetting mails": outbox::forget(&db, (10..74).map(|n| seeded.mail(n)).collect(), &ended);
        "the feed": events::after(&db, acme, i64::try_from(count).unwrap(), 100);
        "the history of an invite": events::of_invite(&db, acme, id);
    }

    let counters = ["person-10", "person-20"].map(|subject| limits::Counter {
        kind: "recipient",
        subject: subject.into(),
        window: 86_400_000,
    });
    let counters: Vec<_> = counters.iter().collect();
    let record = key_of(7);
    ask! {
        "limits": limits::used(&db, acme, &counters, now);
        "counting towards limits": limits::count(&db, acme, &counters, now);
        "a kept answer": idempotency::find(&db, &record);
        "kept answers past their end": idempotency::outdated(&db, now, 200);
        "forgetting kept answers": idempotency::prune(&db, vec![record.clone()], now);
        "an API key by its text": api_keys::find_live(&db, &record, now);
        "an API key": api_keys::find(&db, seeded.key(7));
        "the role of a service key": api_keys::service_role(&db, acme, seeded.key(8));
        "keys that were used": api_keys::touch(&db, &[seeded.key(7), seeded.key(8)], now);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

async fn revoke_many(
    db: &Explaining<'_>,
    seeded: &LongServed,
    tenant: TenantId,
    now: Millis,
) -> Result<(), DbErr> {
    let ids: Vec<_> = (1..=64).map(|n| seeded.invite(n * 40)).collect();
    invites::revoke_all(db, tenant, &ids, None, now).await
}

async fn cancel_many(db: &Explaining<'_>, seeded: &LongServed, tenant: TenantId) -> Result<(), DbErr> {
    let ids: Vec<_> = (1..=64).map(|n| seeded.invite(n * 40)).collect();
    outbox::cancel_for_invites(db, tenant, &ids).await
}

/// What is wrong with how a statement is carried out.
fn fault(engine: Engine, asked: &Explained) -> Option<String> {
    let of_table = |step: &str, begin: &str| {
        let name = step.split_once(begin).map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default());
        // `o` is what the walk over the queue calls the outbox
        name.filter(|name| TABLES.contains(name) || *name == "o").is_some()
    };
    for step in asked.plan.iter().map(|step| step.trim()) {
        let whole = match engine {
            Engine::Sqlite => step.starts_with("SCAN ") && of_table(step, "SCAN "),
            Engine::Postgres => of_table(step, "Seq Scan on "),
        };
        // one tenant may have most of a table; the first of its queue is the first of its part of that index
        let all_of_tenant =
            ["(tenant_id=?)", "(tenant_id=? AND status=?)", "(tenant_id=? AND workspace_id=? AND status=?)"]
                .iter()
                .any(|end| step.ends_with(end));
        let tenants = step.starts_with("SEARCH") && all_of_tenant && !step.contains("outbox_queued");
        if whole || tenants {
            return Some(format!("walks: {step}"));
        }
    }
    let cost = asked
        .plan
        .first()
        .and_then(|step| step.split_once(".."))
        .and_then(|(_, rest)| rest.split_whitespace().next().and_then(|cost| cost.parse::<f64>().ok()));
    cost.filter(|cost| *cost > MOST).map(|cost| format!("is expected to cost {cost}"))
}

/// Bytes an invite, of every table and index.
async fn tell_sizes(rows: &Inspector, count: u64) {
    let sql = match rows.engine {
        Engine::Sqlite => {
            "SELECT name || '|' || sum(pgsize) AS t FROM dbstat GROUP BY name ORDER BY sum(pgsize) DESC"
        }
        Engine::Postgres => {
            "SELECT c.relname || '|' || pg_relation_size(c.oid) AS t FROM pg_class c JOIN pg_namespace n ON n.oid = \
             c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'i') ORDER BY pg_relation_size(c.oid) DESC"
        }
    };
    for line in rows.texts(sql).await {
        let (name, bytes) = line.rsplit_once('|').unwrap();
        let bytes: f64 = bytes.parse().unwrap();
        println!("{:?}\tbytes\t{name}\t{:.1}", rows.engine, bytes / count as f64);
    }
}
