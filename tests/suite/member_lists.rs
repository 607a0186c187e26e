//! Lists of members: the whole set without asking, pages on request, and a count that is that of all of them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{
    ACME, CLINIC,
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines,
};

both_engines!(
    a_list_without_asking_is_everybody_and_has_no_next_page,
    pages_have_everybody_once_and_the_last_one_says_so,
    a_page_goes_on_behind_somebody_who_has_left,
    beyond_ten_thousand_members_there_is_a_next_page_and_the_count_is_that_of_all,
    what_is_no_cursor_is_refused,
);

/// The lists that show the members of acme, and of its clinic.
fn lists() -> [(String, &'static str); 4] {
    [
        (format!("/api/v1/tenants/{ACME}/members"), "org"),
        ("/api/v1/tenants/acme/members".into(), "org"),
        ("/api/v1/tenant/members".into(), "org"),
        (format!("/api/v1/workspaces/{CLINIC}/members"), "workspace"),
    ]
}

async fn page(server: &TestServer, path: &str, query: &str) -> Value {
    server.get(&format!("{path}?{query}")).by(&acme_owner()).await.expect(200)
}

fn ids(page: &Value) -> Vec<String> {
    let rows = page["data"].as_array().unwrap();
    rows.iter().map(|row| row["user_id"].as_str().unwrap().to_owned()).collect()
}

/// Every page of so many, one after the other.
async fn pages(server: &TestServer, path: &str, limit: usize) -> Vec<Value> {
    let mut pages = vec![page(server, path, &format!("limit={limit}")).await];
    while let Some(cursor) = pages[pages.len() - 1]["next_cursor"].as_str() {
        let next = page(server, path, &format!("limit={limit}&cursor={cursor}")).await;
        pages.push(next);
    }
    pages
}

/// Members that nobody invited, several of them joined in the same millisecond.
async fn insert_members(server: &TestServer, count: usize) {
    let rows = server.inspect().await;
    let (acme, clinic) = (rows.id(ACME), rows.id(CLINIC));
    let numbers =
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT");
    for sql in [
        format!(
            "INSERT INTO tenant_members (tenant_id, user_id, role, inserted_at, updated_at) \
             {numbers} {acme}, 'many-' || i, 'member', 1000 + i / 7, 1000 FROM n"
        ),
        format!(
            "INSERT INTO workspace_members (tenant_id, workspace_id, user_id, role, inserted_at, updated_at) \
             {numbers} {acme}, {clinic}, 'many-' || i, 'member', 1000 + i / 7, 1000 FROM n"
        ),
        format!("UPDATE tenants SET seats_used = seats_used + {count} WHERE id = {acme}"),
    ] {
        rows.execute(&sql).await;
    }
    rows.assert_sound().await;
}

async fn a_list_without_asking_is_everybody_and_has_no_next_page(server: TestServer) {
    server.joined(Workspace, "bob@example.com", "member").await;
    server.joined(Org, "ann@example.com", "member").await;
    for (path, scope) in lists() {
        let all = page(&server, &path, "").await;
        // the owner is no member of the clinic by name
        let count = if scope == "org" { 3 } else { 1 };
        assert_eq!((ids(&all).len(), &all["total"]), (count, &count.into()), "{path}: {all}");
        assert!(
            all.as_object().unwrap().contains_key("next_cursor") && all["next_cursor"].is_null(),
            "{all}"
        );
        if scope == "org" {
            assert_eq!(all["data"], all["members"]);
        }
    }
}

async fn pages_have_everybody_once_and_the_last_one_says_so(server: TestServer) {
    server.get(&Org.collection()).by(&acme_owner()).await.expect(200);
    insert_members(&server, 23).await;
    for (path, scope) in lists() {
        let count = if scope == "org" { 24 } else { 23 };
        let everybody = ids(&page(&server, &path, "").await);
        assert_eq!(everybody.len(), count);
        for limit in [1, 5, count - 1, count, count + 1, 10_000] {
            let pages = pages(&server, &path, limit).await;
            assert_eq!(pages.len(), count.div_ceil(limit), "{path} by {limit}");
            for page in &pages {
                assert_eq!(page["total"], count);
                assert!(ids(page).len() <= limit);
            }
            let shown: Vec<_> = pages.iter().flat_map(ids).collect();
            assert_eq!(shown, everybody, "{path} by {limit}");
        }
        assert_eq!(ids(&page(&server, &path, "limit=0").await).len(), 1, "at least one");
    }
}

async fn a_page_goes_on_behind_somebody_who_has_left(server: TestServer) {
    server.get(&Org.collection()).by(&acme_owner()).await.expect(200);
    insert_members(&server, 6).await;
    let path = format!("/api/v1/tenants/{ACME}/members");
    let first = page(&server, &path, "limit=3").await;
    let last = ids(&first).pop().unwrap();
    server.delete(&format!("{path}/{last}")).by(&acme_owner()).await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = page(&server, &path, &format!("limit=10&cursor={cursor}")).await;
    assert_eq!((ids(&rest).len(), &rest["total"]), (4, &6.into()), "{rest}");
    assert!(rest["next_cursor"].is_null());
}

async fn beyond_ten_thousand_members_there_is_a_next_page_and_the_count_is_that_of_all(server: TestServer) {
    server.get(&Org.collection()).by(&acme_owner()).await.expect(200);
    insert_members(&server, 10_003).await;
    let [own, .., clinic] = lists();
    for (path, count, query) in [(own.0, 10_004, ""), (clinic.0, 10_003, "limit=60000")] {
        let first = page(&server, &path, query).await;
        assert_eq!((ids(&first).len(), &first["total"]), (10_000, &count.into()), "{path}");
        let cursor = first["next_cursor"].as_str().unwrap();
        let last = page(&server, &path, &format!("cursor={cursor}")).await;
        assert_eq!((&last["total"], &last["next_cursor"]), (&count.into(), &Value::Null));
        let everybody: BTreeSet<_> = ids(&first).into_iter().chain(ids(&last)).collect();
        assert_eq!(everybody.len(), count);
    }
    let listed = server.cli(&["member", "list", "--tenant", "acme", "--json"]).await.json();
    assert_eq!(ids(&listed).len(), 10_004, "the operator sees everybody");
}

async fn what_is_no_cursor_is_refused(server: TestServer) {
    for (path, _) in lists() {
        for bad in ["nonsense", "!", "AAAA", "01900000-0000-7000-8000-00000000acde"] {
            let answer = server.get(&format!("{path}?cursor={bad}")).by(&acme_owner()).await;
            answer.refused(422, "VALIDATION_ERROR");
        }
        page(&server, &path, "cursor=").await;
    }
}
