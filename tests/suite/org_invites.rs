//! Invites into an organisation: the family's own bodies and codes where they differ from workspace invites.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    ACME, GLOBEX,
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines, globex_person,
    invites::KINDS,
    person,
};

both_engines!(
    a_create_answers_with_the_link,
    an_organisation_can_be_named_by_its_slug,
    there_is_no_viewer_of_an_organisation,
    who_belongs_already_is_not_invited_again,
    an_invite_into_a_workspace_does_not_stand_in_the_way,
    a_repeated_create_is_the_same_invite_refreshed,
    the_list_and_the_single_read_carry_both_names_of_every_field,
    the_last_page_has_no_next_one,
    the_reason_for_an_invalid_token_is_in_the_details,
    another_address_is_a_mismatch,
    a_tenants_own_issuer_can_accept_there,
    a_stranger_sees_no_organisation,
    what_is_missing_has_its_own_code,
);

async fn a_create_answers_with_the_link(server: TestServer) {
    let body = json!({ "email": "alice@example.com", "role": "admin" });
    let answer = server.post(&Org.collection(), &body).by(&acme_owner()).await.expect(201);
    let data = &answer["data"];
    assert_eq!(data["email"], "alice@example.com");
    assert_eq!(data["role"], "admin");
    assert_eq!(data["id"], data["invite_id"]);
    assert!(data["expires_at"].as_str().unwrap().ends_with('Z'));
    let url = data["invite_url"].as_str().unwrap();
    assert!(url.starts_with("https://app.acme.test/invites/eyJ"), "{url}");
}

async fn an_organisation_can_be_named_by_its_slug(server: TestServer) {
    let body = json!({ "email": "alice@example.com" });
    let answer = server.post(&Org.collection_in("acme"), &body).by(&acme_owner()).await.expect(201);
    assert_eq!(answer["data"]["tenant_id"], ACME);
    let pending = server.pending(Org, &acme_owner()).await;
    assert_eq!(pending[0]["id"], answer["data"]["id"]);
}

async fn there_is_no_viewer_of_an_organisation(server: TestServer) {
    let body = json!({ "email": "alice@example.com", "role": "viewer" });
    let refused =
        server.post(&Org.collection(), &body).by(&acme_owner()).await.refused(422, "VALIDATION_ERROR");
    assert!(refused["errors"]["role"][0].is_string(), "{refused}");
}

async fn who_belongs_already_is_not_invited_again(server: TestServer) {
    server.joined(Org, "alice@example.com", "member").await;
    let body = json!({ "email": "ALICE@example.com" });
    server.post(&Org.collection(), &body).by(&acme_owner()).await.refused(409, "ALREADY_MEMBER");
    let body = json!({ "email": acme_owner().email() });
    server.post(&Org.collection(), &body).by(&acme_owner()).await.refused(409, "ALREADY_MEMBER");
}

async fn an_invite_into_a_workspace_does_not_stand_in_the_way(server: TestServer) {
    let owner = acme_owner();
    let workspace = server.invite(Workspace, &owner, "alice@example.com", "viewer").await;
    let org = server.invite(Org, &owner, "alice@example.com", "member").await;
    assert_ne!(workspace.id, org.id);
    assert_eq!(server.pending(Org, &owner).await.len(), 1);
    assert_eq!(server.pending(Workspace, &owner).await.len(), 1);
    // an id of the other kind is no id here
    server.delete(&Org.item(&workspace.id)).by(&owner).await.refused(404, "NOT_FOUND");
    server.get(&Workspace.item(&org.id)).by(&owner).await.refused(404, "NOT_FOUND");
}

async fn a_repeated_create_is_the_same_invite_refreshed(server: TestServer) {
    let owner = acme_owner();
    let first = server.invite(Org, &owner, "alice@example.com", "member").await;
    server.letters_to("alice@example.com", 1).await;
    server.advance(Duration::from_secs(10));
    let second = server.invite(Org, &owner, "alice@example.com", "admin").await;
    assert_eq!(second.id, first.id);
    assert_eq!(second.url, first.url);
    assert_eq!(second.data["role"], "admin");
    assert_ne!(second.data["expires_at"], first.data["expires_at"], "refreshed");
    server.invite(Org, &owner, "later@example.com", "member").await;
    server.letters_to("later@example.com", 1).await;
    assert_eq!(server.letters_to("alice@example.com", 1).await.len(), 1, "one mail within the cooldown");
}

async fn the_list_and_the_single_read_carry_both_names_of_every_field(server: TestServer) {
    let owner = acme_owner();
    let invited = server.invite(Org, &owner, "alice@example.com", "member").await;
    let answer = server.get(&Org.collection()).by(&owner).await;
    let body = answer.expect(200);
    assert_eq!(body["total"], 1);
    let one = server.show(&invited, &owner).await.expect(200)["data"].clone();
    for item in [&body["data"][0], &one] {
        assert_eq!(item["id"], invited.id);
        assert_eq!(item["invite_id"], invited.id);
        assert_eq!(item["tenant_id"], ACME);
        assert_eq!(item["email"], "alice@example.com");
        assert_eq!(item["role"], "member");
        assert_eq!(item["invited_by"], owner.user_id());
        assert_eq!(item["accepted_at"], Value::Null);
        assert_eq!(item["created_at"], item["inserted_at"]);
        assert_eq!(item["status"], "pending");
        assert!(item["delivery"].is_string());
        assert!(item.get("invite_url").is_none());
    }
    assert!(!answer.text().contains("eyJ"));
}

async fn the_last_page_has_no_next_one(server: TestServer) {
    for kind in KINDS {
        for number in 0..4 {
            server.invite(kind, &acme_owner(), &format!("n{number}@example.com"), "member").await;
        }
        let path = kind.collection();
        let page =
            async |query: &str| server.get(&format!("{path}?{query}")).by(&acme_owner()).await.expect(200);
        for whole in ["", "limit=4", "limit=5"] {
            let all = page(whole).await;
            assert_eq!((all["data"].as_array().unwrap().len(), &all["total"]), (4, &json!(4)), "{whole}");
            assert_eq!(all.get("next_cursor"), Some(&Value::Null), "{whole}");
        }
        let first = page("limit=2").await;
        let last = page(&format!("limit=2&cursor={}", first["next_cursor"].as_str().unwrap())).await;
        assert_eq!((last["data"].as_array().unwrap().len(), &last["total"]), (2, &json!(4)));
        assert_eq!(last.get("next_cursor"), Some(&Value::Null), "a full last page is the last one");
    }
}

async fn the_reason_for_an_invalid_token_is_in_the_details(server: TestServer) {
    let alice = person("alice@example.com");
    let body = json!({ "email": alice.email(), "expires_in": 300 });
    let expired = server.invite_with(Org, &acme_owner(), body).await;
    server.advance(Duration::from_secs(300));
    let late = server.accept(&expired, &alice).await.refused(400, "invalid_token");
    assert_eq!(late["error"]["details"]["reason"], "expired");
    let path = format!("{}/accept", Org.token("eyJhbGciOiJIUzI1NiJ9.e30.x"));
    let never = server.post(&path, &json!({})).by(&alice).await.refused(400, "invalid_token");
    assert_eq!(never["error"]["details"]["reason"], "not_found");
}

async fn another_address_is_a_mismatch(server: TestServer) {
    let invited = server.invite(Org, &acme_owner(), "alice@example.com", "member").await;
    server.accept(&invited, &person("mallory@example.com")).await.refused(422, "EMAIL_MISMATCH");
    server.accept(&invited, &person("alice@example.com")).await.expect(200);
}

async fn a_tenants_own_issuer_can_accept_there(server: TestServer) {
    let greta = globex_person("greta@example.com");
    let invited = server.invite_to_globex(Org, greta.email()).await;
    assert!(invited.url.starts_with("https://people.globex.test/invites/eyJ"), "{}", invited.url);
    let body = server.accept(&invited, &greta).await.expect(200);
    assert_eq!(body["tenant_id"], GLOBEX);
    let members = "SELECT user_id AS t FROM tenant_members WHERE user_id LIKE '%greta%'";
    assert_eq!(server.inspect().await.texts(members).await, [greta.user_id()]);
}

async fn a_stranger_sees_no_organisation(server: TestServer) {
    let stranger = person("stranger@example.com");
    let never = Org.collection_in("01900000-0000-7000-8000-00000000ffff");
    for body in [json!({ "email": "a@example.com" }), json!({})] {
        let real = server.post(&Org.collection(), &body).by(&stranger).await;
        let absent = server.post(&never, &body).by(&stranger).await;
        assert!([404, 422].contains(&real.status), "{}", real.text());
        assert_eq!(real.anonymous(), absent.anonymous(), "{body}");
    }
    let (real, absent) =
        (server.get(&Org.collection()).by(&stranger).await, server.get(&never).by(&stranger).await);
    assert_eq!(real.anonymous(), absent.anonymous());
    assert_eq!(real.status, 404);
}

async fn what_is_missing_has_its_own_code(server: TestServer) {
    let owner = acme_owner();
    server.post(&Org.collection(), &json!({})).by(&owner).await.refused(422, "MISSING_EMAIL");
    let null_role = json!({ "email": "a@example.com", "role": null });
    server.post(&Org.collection(), &null_role).by(&owner).await.refused(422, "MISSING_ROLE");
    server
        .post(&Org.collection(), &json!({ "email": "nobody" }))
        .by(&owner)
        .await
        .refused(422, "VALIDATION_ERROR");
    server.get(&Org.collection()).await.refused(401, "invalid_token");
}
