//! Lists of invites: what they answer when asked for nothing, filters, orders, pages, and what a page costs where
//! a tenant has a hundred thousand of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use entity::Millis;
use serde_json::{Value, json};

use crate::support::{
    CLINIC,
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines, eventually,
    invites::KINDS,
    person,
};

both_engines!(
    asked_for_nothing_a_list_is_everything_that_is_pending,
    every_filter_narrows_and_they_narrow_together,
    finished_invites_and_their_delivery_stay_readable_by_status_and_by_id,
    what_has_run_out_is_expired_without_anybody_closing_it,
    an_unknown_parameter_is_refused_with_the_nearest_known_one,
    a_bad_value_is_refused_with_its_field,
    a_list_comes_in_the_order_asked_for,
    the_total_is_the_whole_count_on_every_page,
    pages_can_be_counted_instead_of_followed,
    a_walk_sees_each_row_once_while_rows_are_inserted_and_revoked,
    a_cursor_is_good_for_its_own_list_only,
    whoever_sent_invites_may_filter_them_and_nobody_elses,
);

/// The addresses that a list answers, in its order.
async fn listed(server: &TestServer, path: &str) -> Vec<String> {
    let body = server.get(path).by(&acme_owner()).await.expect(200);
    addresses(&body)
}

fn addresses(body: &Value) -> Vec<String> {
    body["data"].as_array().unwrap().iter().map(|row| row["email"].as_str().unwrap().to_owned()).collect()
}

/// An address of a few letters.
fn at(name: &str) -> String {
    format!("{name}@example.com")
}

async fn asked_for_nothing_a_list_is_everything_that_is_pending(server: TestServer) {
    for kind in KINDS {
        for name in ["ann", "bob", "cat"] {
            server.invite(kind, &acme_owner(), &at(name), "member").await;
        }
        let gone = server.invite(kind, &acme_owner(), &at("dan"), "member").await;
        server.revoke(&gone, &acme_owner()).await.expect(200);
        let body = server.get(&kind.collection()).by(&acme_owner()).await.expect(200);
        assert_eq!(addresses(&body), ["ann", "bob", "cat"].map(at));
        assert_eq!((&body["total"], &body["next_cursor"]), (&json!(3), &Value::Null));
        let said = format!("{}?include=total&status=pending&sort=created_at", kind.collection());
        assert_eq!(listed(&server, &said).await, addresses(&body));
    }
}

async fn every_filter_narrows_and_they_narrow_together(server: TestServer) {
    let owner = acme_owner();
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    server.invite(Org, &owner, &at("ann"), "admin").await;
    server.invite(Org, &admin, &at("bob"), "member").await;
    let silent = json!({ "email": at("cat"), "role": "owner", "send_email": false, "expires_in": 3600 });
    server.invite_with(Org, &owner, silent).await;
    let collection = Org.collection();
    let soon = usher::domain::clock::rfc3339(Millis(server.now() + 2 * 3_600_000));
    let (past, future) = ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z");
    let all = ["ann", "bob", "cat"];
    for (query, expected) in [
        ("email=ANN%40example.com".to_owned(), vec!["ann"]),
        ("email=nobody%40example.com".into(), vec![]),
        ("role=admin".into(), vec!["ann"]),
        ("role=Developer,owner".into(), vec!["bob", "cat"]),
        (format!("invited_by={}", admin.user_id()), vec!["bob"]),
        ("invited_by=nobody".into(), vec![]),
        (format!("workspace_id={CLINIC}"), vec![]),
        ("delivery=none".into(), vec!["cat"]),
        (format!("expires_before={soon}"), vec!["cat"]),
        (format!("created_after={past}&created_before={future}"), all.to_vec()),
        (format!("created_after={future}"), vec![]),
        (format!("created_before={past}"), vec![]),
        (format!("role=owner,admin&invited_by={}", owner.user_id()), vec!["ann", "cat"]),
        (format!("role=member&invited_by={}", owner.user_id()), vec![]),
        ("status=revoked,declined".into(), vec![]),
        ("status=all&role=admin".into(), vec!["admin", "ann"]),
    ] {
        let body = server.get(&format!("{collection}?{query}")).by(&owner).await.expect(200);
        assert_eq!(addresses(&body), expected.iter().map(|name| at(name)).collect::<Vec<_>>(), "{query}");
        assert_eq!(body["total"], expected.len(), "{query}");
    }
    server.invite(Workspace, &owner, &at("wil"), "viewer").await;
    let there = format!("{}?workspace_id={CLINIC}&role=viewer", Workspace.collection());
    assert_eq!(listed(&server, &there).await, [at("wil")]);
}

async fn finished_invites_and_their_delivery_stay_readable_by_status_and_by_id(server: TestServer) {
    let owner = acme_owner();
    let accepted = server.invite(Org, &owner, &at("acc"), "member").await;
    server.letters_to(&at("acc"), 1).await;
    let path = format!("{}?status=accepted", Org.collection());
    assert!(listed(&server, &path).await.is_empty());
    eventually("the mail to be noted as sent", async || {
        let shown = server.show(&accepted, &owner).await.expect(200);
        (shown["data"]["delivery"] == "sent").then_some(())
    })
    .await;
    server.accept(&accepted, &person(&at("acc"))).await.expect(200);
    let silent = |name: &str| json!({ "email": at(name), "send_email": false });
    let declined = server.invite_with(Org, &owner, silent("dec")).await;
    server.decline(&declined, &person(&at("dec"))).await.expect(200);
    let revoked = server.invite_with(Org, &owner, silent("rev")).await;
    server.revoke(&revoked, &owner).await.expect(200);
    for (invited, status, delivery) in
        [(&accepted, "accepted", "sent"), (&declined, "declined", "none"), (&revoked, "revoked", "none")]
    {
        let path = format!("{}?status={status}", Org.collection());
        let body = server.get(&path).by(&owner).await.expect(200);
        assert_eq!(body["total"], 1, "{status}");
        let by_id = server.show(invited, &owner).await.expect(200);
        assert_eq!(body["data"][0], by_id["data"]);
        assert_eq!(by_id["data"]["status"], status);
        assert_eq!(by_id["data"]["delivery"], delivery);
        assert!(by_id["data"][format!("{status}_at")].is_string());
    }
    assert!(server.pending(Org, &owner).await.is_empty());
    assert_eq!(listed(&server, &format!("{}?status=all", Org.collection())).await.len(), 3);
}

async fn what_has_run_out_is_expired_without_anybody_closing_it(server: TestServer) {
    let owner = acme_owner();
    let short = json!({ "email": at("ann"), "expires_in": 300, "send_email": false });
    server.invite_with(Org, &owner, short.clone()).await;
    let (expired, pending) =
        (format!("{}?status=expired", Org.collection()), format!("{}?status=pending", Org.collection()));
    assert_eq!((listed(&server, &expired).await.len(), listed(&server, &pending).await.len()), (0, 1));
    server.advance(Duration::from_secs(300));
    assert_eq!((listed(&server, &expired).await.len(), listed(&server, &pending).await.len()), (1, 0));
    // closed by a newer one, it is still the same status
    server.invite_with(Org, &owner, short).await;
    assert_eq!((listed(&server, &expired).await.len(), listed(&server, &pending).await.len()), (1, 1));
    assert_eq!(listed(&server, &format!("{expired},pending")).await.len(), 2);
}

async fn an_unknown_parameter_is_refused_with_the_nearest_known_one(server: TestServer) {
    for kind in KINDS {
        for (query, wanted) in [
            ("statsu=pending", "`statsu`; did you mean `status`?"),
            ("Email=a%40b.test", "`Email`; did you mean `email`?"),
            ("created_affter=x", "did you mean `created_after`?"),
            ("limit=5&workspaceid=x", "did you mean `workspace_id`?"),
            ("limit%5B%5D=1", "`limit[]`; did you mean `limit`?"),
            ("colour=red", "unknown parameter `colour`"),
            ("limit=1&limit=2", "`limit` is given twice"),
        ] {
            let path = format!("{}?{query}", kind.collection());
            let body = server.get(&path).by(&acme_owner()).await.refused(400, "BAD_REQUEST");
            assert!(body["message"].as_str().unwrap().contains(wanted), "{query}: {body}");
        }
        // what went astray is not repeated
        let path = format!("{}?eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.eyJpIjoi.c2ln=1", kind.collection());
        let body = server.get(&path).by(&acme_owner()).await.refused(400, "BAD_REQUEST");
        assert!(!body.to_string().contains("eyJ"), "{body}");
    }
}

async fn a_bad_value_is_refused_with_its_field(server: TestServer) {
    for (query, field) in [
        ("status=pendign", "status"),
        ("status=", "status"),
        ("email=nobody", "email"),
        ("role=boss", "role"),
        ("workspace_id=clinic", "workspace_id"),
        ("invited_by=a%00b", "invited_by"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-01-02", "created_before"),
        ("expires_before=1", "expires_before"),
        ("delivery=lost", "delivery"),
        ("sort=colour", "sort"),
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("page_size=x", "page_size"),
        ("cursor=garbage", "cursor"),
        ("include=links", "include"),
    ] {
        for kind in KINDS {
            let path = format!("{}?{query}", kind.collection());
            let body = server.get(&path).by(&acme_owner()).await.refused(422, "VALIDATION_ERROR");
            assert!(body["errors"][field][0].is_string(), "{query}: {body}");
        }
    }
    let path = format!("{}?status=acepted", Org.collection());
    let body = server.get(&path).by(&acme_owner()).await.refused(422, "VALIDATION_ERROR");
    assert!(body.to_string().contains("did you mean `accepted`?"), "{body}");
}

async fn a_list_comes_in_the_order_asked_for(server: TestServer) {
    for (name, life) in [("cat", 7200), ("ann", 3600), ("bob", 9000)] {
        let body = json!({ "email": at(name), "expires_in": life, "send_email": false });
        server.invite_with(Org, &acme_owner(), body).await;
    }
    for (sort, expected) in [
        ("created_at", ["cat", "ann", "bob"]),
        ("-created_at", ["bob", "ann", "cat"]),
        ("expires_at", ["ann", "cat", "bob"]),
        ("-expires_at", ["bob", "cat", "ann"]),
        ("email", ["ann", "bob", "cat"]),
        ("-email", ["cat", "bob", "ann"]),
    ] {
        let whole = format!("{}?sort={sort}", Org.collection());
        assert_eq!(listed(&server, &whole).await, expected.map(at), "{sort}");
        assert_eq!(walk(&server, &format!("{whole}&limit=1")).await, expected.map(at), "{sort}, by pages");
        // over several statuses at once as well
        let any = format!("{whole}&status=all&limit=2");
        assert_eq!(walk(&server, &any).await, expected.map(at), "{sort}, any status");
    }
}

/// Follows the cursor to the end.
async fn walk(server: &TestServer, path: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut next = path.to_owned();
    loop {
        let body = server.get(&next).by(&acme_owner()).await.expect(200);
        seen.extend(addresses(&body));
        match body["next_cursor"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return seen,
        }
    }
}

async fn the_total_is_the_whole_count_on_every_page(server: TestServer) {
    for at in 0..5 {
        let body = json!({ "email": format!("p{at}@example.com"), "send_email": false });
        server.invite_with(Workspace, &acme_owner(), body).await;
    }
    for status in ["pending", "all", "pending,expired"] {
        let path = format!("{}?limit=2&status={status}", Workspace.collection());
        let mut next = path.clone();
        for left in [3, 1, 0] {
            let body = server.get(&next).by(&acme_owner()).await.expect(200);
            assert_eq!(body["total"], 5);
            assert_eq!(body["next_cursor"].is_null(), left == 0);
            next = format!("{path}&cursor={}", body["next_cursor"].as_str().unwrap_or_default());
        }
    }
}

async fn pages_can_be_counted_instead_of_followed(server: TestServer) {
    for at in 0..5 {
        let body = json!({ "email": format!("p{at}@example.com"), "send_email": false });
        server.invite_with(Org, &acme_owner(), body).await;
    }
    for (query, expected) in [
        ("page=1&per_page=2", vec!["p0", "p1"]),
        ("page=3&page_size=2", vec!["p4"]),
        ("page=4&limit=2", vec![]),
        ("offset=3", vec!["p3", "p4"]),
        ("offset=1&limit=2&status=all&sort=-created_at", vec!["p3", "p2"]),
    ] {
        let path = format!("{}?{query}", Org.collection());
        let body = server.get(&path).by(&acme_owner()).await.expect(200);
        assert_eq!(addresses(&body), expected.iter().map(|name| at(name)).collect::<Vec<_>>(), "{query}");
        assert_eq!(body["total"], 5, "{query}");
    }
}

async fn a_walk_sees_each_row_once_while_rows_are_inserted_and_revoked(server: TestServer) {
    let owner = acme_owner();
    let silent = |name: &str| json!({ "email": at(name), "send_email": false });
    let mut stay = BTreeSet::new();
    let mut go = Vec::new();
    for round in 0..12 {
        stay.insert(at(&format!("stay{round}")));
        server.invite_with(Org, &owner, silent(&format!("stay{round}"))).await;
        go.push(server.invite_with(Org, &owner, silent(&format!("go{round}"))).await);
    }
    for (sort, status) in
        [("created_at", "pending"), ("-created_at", "all"), ("email", "pending"), ("-expires_at", "pending")]
    {
        let path = format!("{}?limit=3&sort={sort}&status={status}", Org.collection());
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let (mut next, mut page) = (path.clone(), 0);
        loop {
            let body = server.get(&next).by(&owner).await.expect(200);
            for address in addresses(&body) {
                *seen.entry(address).or_default() += 1;
            }
            let Some(cursor) = body["next_cursor"].as_str() else { break };
            next = format!("{path}&cursor={cursor}");
            // in front of the place and behind it
            for name in [format!("a{page}{sort}").replace('-', ""), format!("z{page}{sort}").replace('-', "")]
            {
                server.invite_with(Org, &owner, silent(&name)).await;
            }
            if let Some(gone) = go.pop() {
                server.revoke(&gone, &owner).await.expect(200);
            }
            page += 1;
            assert!(page < 60, "the walk ends");
        }
        assert!(seen.values().all(|times| *times == 1), "{sort}: {seen:?}");
        assert!(stay.iter().all(|address| seen.contains_key(address)), "{sort}: {seen:?}");
    }
}

async fn a_cursor_is_good_for_its_own_list_only(server: TestServer) {
    for kind in KINDS {
        for name in ["ann", "bob"] {
            server.invite(kind, &acme_owner(), &at(name), "member").await;
        }
    }
    let body = server.get(&format!("{}?limit=1", Org.collection())).by(&acme_owner()).await.expect(200);
    let cursor = body["next_cursor"].as_str().unwrap();
    assert!(!cursor.contains(body["data"][0]["id"].as_str().unwrap()), "opaque");
    let edited = cursor.replace(&cursor[..2], "AA");
    for path in [
        format!("{}?cursor={cursor}", Workspace.collection()),
        format!("{}?cursor={cursor}&status=all", Org.collection()),
        format!("{}?cursor={cursor}&sort=email", Org.collection()),
        format!("{}?cursor={cursor}&sort=-created_at", Org.collection()),
        format!("{}?cursor={edited}", Org.collection()),
        format!("{}?cursor={}", Org.collection(), body["data"][0]["id"].as_str().unwrap()),
    ] {
        server.get(&path).by(&acme_owner()).await.refused(422, "VALIDATION_ERROR");
    }
    // pages may grow on the way
    let rest = format!("{}?cursor={cursor}&limit=50", Org.collection());
    assert_eq!(listed(&server, &rest).await, [at("bob")]);
}

async fn whoever_sent_invites_may_filter_them_and_nobody_elses(server: TestServer) {
    let sender = server.joined(Org, "sender@example.com", "admin").await;
    server.invite(Org, &sender, &at("ann"), "member").await;
    server.invite(Org, &acme_owner(), &at("bob"), "member").await;
    let members = format!("/api/v1/tenant/members/{}/role", sender.user_id());
    server.patch(&members, &json!({ "role": "member" })).by(&acme_owner()).await.expect(200);
    // demoted, they can no longer send it: it is revoked, and still theirs to see
    let all = format!("{}?status=all", Org.collection());
    let body = server.get(&all).by(&sender).await.expect(200);
    assert_eq!(addresses(&body), [at("ann")]);
    let none = format!("{}?status=all&email=bob%40example.com", Org.collection());
    assert_eq!(server.get(&none).by(&sender).await.expect(200)["total"], 0);
    let member = server.joined(Org, "member@example.com", "member").await;
    server.get(&all).by(&member).await.refused(403, "FORBIDDEN");
    server.get(&all).by(&person("stranger@example.com")).await.refused(404, "NOT_FOUND");
}
