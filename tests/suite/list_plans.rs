//! What a page of a list and its count cost where a tenant has a hundred thousand invites (half of `USHER_PLAN_ROWS`,
//! where that is set): how the engines carry them out. `USHER_MEASURE_LISTS=1` prints how long each takes. And that a
//! count is exact where a row may be seen by more than one right.

use std::collections::BTreeSet;

use entity::{Delivery, InviteStatus, Millis, Role, UserId};
use usher::store::invites::listing::{Filter, Listing, Part, SortBy, list};

use crate::support::{
    ACME, CLINIC, Engine, GLOBEX, Kind::Org, PLANT, TestServer, acme_owner, both_engines,
    database::Inspector, rounds,
};

both_engines!(
    a_page_and_every_filter_walk_an_index_among_a_hundred_thousand,
    what_two_parts_hold_is_listed_and_counted_once
);

/// So many invites of a tenant: most of them pending or accepted, a few of everything.
async fn seed(server: &TestServer, rows: &Inspector, tenant: &str, workspace: &str, count: u64) {
    let (numbers, id, salt) = match server.engine {
        Engine::Sqlite => (
            format!("WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {count})"),
            "randomblob(16)",
            "zeroblob(32)",
        ),
        Engine::Postgres => (
            format!("WITH g(n) AS (SELECT generate_series(1::bigint, {count}))"),
            "gen_random_uuid()",
            "decode(repeat('00', 32), 'hex')",
        ),
    };
    if server.engine == Engine::Sqlite {
        rows.execute("PRAGMA cache_size = -1000000").await;
    }
    let now = server.now();
    let sql = format!(
        "{numbers} INSERT INTO invites (id, tenant_id, workspace_id, email, email_norm, role, status, version, \
         salt, kid, inviter, delivery, mails, expires_at, accepted_by, accepted_at, revoked_at, inserted_at, \
         updated_at) SELECT {id}, {acme}, CASE WHEN n % 4 = 0 THEN {clinic} END, 'p' || n || '@example.com', \
         'p' || n || '@example.com', CASE WHEN n % 1000 = 0 THEN 'owner' WHEN n % 50 = 0 THEN 'admin' ELSE \
         'member' END, CASE WHEN n % 10 < 6 THEN 'pending' WHEN n % 10 < 9 THEN 'accepted' ELSE 'revoked' END, 1, \
         {salt}, 'k1', 'u-' || (n % 101), CASE WHEN n % 500 = 0 THEN 'bounced' ELSE 'sent' END, 1, {now} + 3600000 + n * 10000, \
         CASE WHEN n % 10 BETWEEN 6 AND 8 THEN 'someone' END, CASE WHEN n % 10 BETWEEN 6 AND 8 THEN {now} END, \
         CASE WHEN n % 10 = 9 THEN {now} END, {now} - 100000 + n, {now} FROM g",
        acme = rows.id(tenant),
        clinic = rows.id(workspace),
    );
    assert_eq!(rows.execute(&sql).await, count);
    // statistics as autovacuum keeps them; SQLite has none, as in service
    if server.engine == Engine::Postgres {
        rows.execute("VACUUM ANALYZE invites").await;
    }
}

/// First pages by name: as asked for, and by each filter.
fn first_pages(now: i64) -> Vec<(&'static str, Listing)> {
    let tenant = entity::TenantId(ACME.parse().unwrap());
    let workspace = entity::WorkspaceId(CLINIC.parse().unwrap());
    let pending = Filter { statuses: vec![InviteStatus::Pending], ..Filter::default() };
    let page = |filter: Filter| Listing {
        parts: vec![Part::Tenants(vec![tenant])],
        filter,
        sort: SortBy::Created,
        descending: false,
        after: None,
        skip: 0,
        limit: 51,
        now: Millis(now),
    };
    let with = |change: fn(&mut Filter)| {
        let mut filter = pending.clone();
        change(&mut filter);
        page(filter)
    };
    let org = Listing { parts: vec![Part::Org(tenant)], ..page(pending.clone()) };
    let theirs = Part::SentBy(tenant, UserId("u-7".into()), None);
    let in_clinic = Part::Workspaces(tenant, vec![workspace]);
    let late = Filter { created_after: Some(Millis(now - 60_000)), ..pending.clone() };
    let early = Filter { created_before: Some(Millis(now - 60_000)), ..pending.clone() };
    let ending = Filter { expires_before: Some(Millis(now + 4_500_000)), ..pending.clone() };
    let clinic = Filter { workspace: Some(workspace), ..pending.clone() };
    vec![
        ("pending", page(pending.clone())),
        ("of the tenant itself", org),
        ("of a workspace", Listing { parts: vec![in_clinic.clone()], ..page(pending.clone()) }),
        ("what somebody sent", Listing { parts: vec![theirs.clone()], ..page(pending.clone()) }),
        (
            "a workspace and what they sent",
            Listing { parts: vec![in_clinic, theirs], ..page(pending.clone()) },
        ),
        ("any status", page(Filter::default())),
        ("accepted", with(|filter| filter.statuses = vec![InviteStatus::Accepted])),
        ("declined", with(|filter| filter.statuses = vec![InviteStatus::Declined])),
        ("expired", with(|filter| filter.statuses = vec![InviteStatus::Expired])),
        ("email", with(|filter| filter.email_norm = Some("p50001@example.com".into()))),
        ("role", with(|filter| filter.roles = vec![Role::Owner])),
        ("workspace_id", page(clinic)),
        ("invited_by", with(|filter| filter.inviter = Some(UserId("u-7".into())))),
        ("delivery", with(|filter| filter.deliveries = vec![Delivery::Bounced])),
        ("delivery of none", with(|filter| filter.deliveries = vec![Delivery::Failed])),
        ("created_after", page(late)),
        ("created_before", page(early)),
        ("expires_before", page(ending)),
        ("latest first", Listing { descending: true, ..page(pending.clone()) }),
        ("by end", Listing { sort: SortBy::Expires, ..page(pending.clone()) }),
        ("by address", Listing { sort: SortBy::Email, ..page(pending) }),
    ]
}

async fn a_page_and_every_filter_walk_an_index_among_a_hundred_thousand(server: TestServer) {
    let rows = server.inspect().await;
    let count = u64::try_from(rounds("USHER_PLAN_ROWS", 200_000) / 2).unwrap();
    seed(&server, &rows, ACME, CLINIC, count).await;
    seed(&server, &rows, GLOBEX, PLANT, count).await;
    let measure = std::env::var_os("USHER_MEASURE_LISTS").is_some();
    for (name, listing) in first_pages(server.now()) {
        for (statement, what) in listing.statements(rows.backend()).iter().zip(["page", "count"]) {
            let (plan, _) = rows.plan(statement).await;
            let text = plan.join("\n");
            let scans = text.contains("SCAN invites") || text.contains("Seq Scan on invites");
            let indexed = text.to_uppercase().contains("INDEX");
            assert!(indexed && !scans, "{what} {name}: {text}");
            if measure {
                let mut times = Vec::new();
                for _ in 0..15 {
                    times.push(rows.plan(statement).await.1);
                }
                times.sort_by(f64::total_cmp);
                let (engine, least, middle) = (server.engine, times[0], times[7]);
                println!("{engine:?} {what} {name}: least {least:.1} ms, p50 {middle:.1} ms");
            }
        }
    }
    // over the wire, the first page and its total are what was put in
    let body = server.get(&format!("{}?limit=50", Org.collection())).by(&acme_owner()).await.expect(200);
    assert_eq!(body["data"].as_array().unwrap().len(), 50);
    assert_eq!(body["total"], count / 20 * 9);
}

/// A caller may see something by more than one right: a workspace, and what they sent into it and elsewhere.
async fn what_two_parts_hold_is_listed_and_counted_once(server: TestServer) {
    let rows = server.inspect().await;
    seed(&server, &rows, ACME, CLINIC, 1000).await;
    seed(&server, &rows, GLOBEX, PLANT, 1000).await;
    let [acme, globex] = [ACME, GLOBEX].map(|id| entity::TenantId(id.parse().unwrap()));
    let [clinic, plant] = [CLINIC, PLANT].map(|id| entity::WorkspaceId(id.parse().unwrap()));
    let me = UserId("u-7".into());
    let rights = [
        Part::Org(acme),
        Part::Workspaces(acme, vec![clinic, entity::WorkspaceId(uuid::Uuid::now_v7())]),
        Part::SentBy(acme, me.clone(), None),
        Part::SentBy(globex, me, None),
        Part::Workspaces(globex, vec![plant]),
        Part::Tenants(vec![acme]),
    ];
    // by then a third of what is pending has run out
    let now = Millis(server.now() + 7_000_000);
    for held in 1..1_usize << rights.len() {
        let parts: Vec<Part> = rights
            .iter()
            .enumerate()
            .filter(|(at, _)| held & (1 << at) != 0)
            .map(|(_, part)| part.clone())
            .collect();
        for statuses in
            [vec![], vec![InviteStatus::Pending], vec![InviteStatus::Expired, InviteStatus::Revoked]]
        {
            let all = Listing {
                parts: parts.clone(),
                filter: Filter { statuses, ..Filter::default() },
                sort: SortBy::Created,
                descending: false,
                after: None,
                skip: 0,
                limit: 10_000,
                now,
            };
            let (found, _) = list(rows.connection(), &all).await.unwrap();
            let different: BTreeSet<_> = found.iter().map(|row| row.id).collect();
            let (_, counted) = list(rows.connection(), &Listing { limit: 1, ..all.clone() }).await.unwrap();
            let told = format!("{:?} {parts:?}", all.filter.statuses);
            assert_eq!((found.len(), counted), (different.len(), different.len() as u64), "{told}");
            assert!(counted > 0, "{told}");
        }
    }
}
