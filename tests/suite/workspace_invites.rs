//! Making, listing and reading workspace invites: the bodies that every client of this family decodes, who is
//! invited and who is added at once, and what a create refuses.

use std::time::Duration;

use serde_json::{Value, json};
use usher::domain::clock::parse_rfc3339;

use crate::support::{
    ACME, CLINIC,
    Kind::{Org, Workspace},
    PLANT, TestServer, acme_owner, both_engines, person,
};

both_engines!(
    a_stranger_is_invited_with_a_link_on_the_tenants_own_domain,
    the_role_is_member_unless_said_otherwise,
    a_member_of_the_tenant_is_added_at_once_and_gets_no_mail,
    adding_somebody_twice_changes_nothing,
    being_added_closes_the_pending_invite,
    a_repeated_create_is_the_same_invite_refreshed,
    an_address_is_the_same_in_any_case,
    the_list_holds_what_is_pending_and_never_a_link,
    an_invite_can_be_read_in_any_state,
    whatever_the_body_claims_to_be_is_not_stored,
    what_cannot_be_taken_is_refused_with_its_field,
    how_long_an_invite_lives_can_be_said_within_bounds,
    a_workspace_of_another_tenant_is_not_there,
);

async fn a_stranger_is_invited_with_a_link_on_the_tenants_own_domain(server: TestServer) {
    let before = server.now();
    let body = json!({ "email": "Alice@Example.com", "role": "viewer" });
    let answer = server.post(&Workspace.collection(), &body).by(&acme_owner()).await.expect(201);
    assert_eq!(answer["type"], "invited");
    let data = &answer["data"];
    assert!(data["email"].as_str().unwrap().eq_ignore_ascii_case("alice@example.com"), "{data}");
    assert_eq!(data["role"], "viewer");
    assert_eq!(data["workspace_id"], CLINIC);
    assert_eq!(data["tenant_id"], ACME);
    assert_eq!(data["invited_by"], acme_owner().user_id());
    assert_eq!(data["accepted_at"], Value::Null);
    assert_eq!(data["status"], "pending");
    assert_eq!(data["delivery"], "queued");
    assert_eq!(data["id"], data["invite_id"]);
    assert_eq!(data["inserted_at"], data["created_at"]);
    let url = data["invite_url"].as_str().unwrap();
    assert!(url.starts_with("https://app.acme.test/workspace-invites/eyJ"), "{url}");

    let expires = parse_rfc3339(data["expires_at"].as_str().unwrap()).unwrap().0;
    let days_14 = 14 * 24 * 3600 * 1000;
    assert!(expires > before + days_14 - 2000 && expires <= server.now() + days_14, "acme's own ttl");
    let text = data["expires_at"].as_str().unwrap();
    assert!(text.len() == 20 && text.ends_with('Z'), "whole seconds in UTC: {text}");
}

async fn the_role_is_member_unless_said_otherwise(server: TestServer) {
    let invited = server.invite_with(Workspace, &acme_owner(), json!({ "email": "bob@example.com" })).await;
    assert_eq!(invited.data["role"], "member");
    for role in [json!(null), json!("")] {
        let body = json!({ "email": "carl@example.com", "role": role });
        server.post(&Workspace.collection(), &body).by(&acme_owner()).await.refused(422, "MISSING_ROLE");
    }
}

async fn a_member_of_the_tenant_is_added_at_once_and_gets_no_mail(server: TestServer) {
    let bob = server.joined(Org, "bob@example.com", "member").await;
    server.invite(Org, &acme_owner(), "before@example.com", "member").await;
    server.letters_to("before@example.com", 1).await;
    let mails = server.letters_to("bob@example.com", 0).await.len(); // none if it had not left when bob accepted
    let body = json!({ "email": "BOB@example.com", "role": "admin" });
    let answer = server.post(&Workspace.collection(), &body).by(&acme_owner()).await.expect(200);
    assert_eq!(answer["type"], "added");
    let record = &answer["data"];
    assert_eq!(record["user_id"], bob.user_id());
    assert_eq!(record["workspace_id"], CLINIC);
    assert_eq!(record["role"], "admin");
    assert_eq!(record["added_by"], acme_owner().user_id());
    assert!(record["joined_at"].is_string());
    assert!(server.pending(Workspace, &acme_owner()).await.is_empty());

    // whoever mails next mails after the one that must not exist
    server.invite(Workspace, &acme_owner(), "later@example.com", "member").await;
    server.letters_to("later@example.com", 1).await;
    assert_eq!(server.letters_to("bob@example.com", mails).await.len(), mails);
}

async fn adding_somebody_twice_changes_nothing(server: TestServer) {
    server.joined(Workspace, "bob@example.com", "admin").await;
    for role in ["viewer", "owner"] {
        let body = json!({ "email": "bob@example.com", "role": role });
        let answer = server.post(&Workspace.collection(), &body).by(&acme_owner()).await.expect(200);
        assert_eq!(answer["type"], "added");
        assert_eq!(answer["data"]["role"], "admin", "the record as it was");
    }
}

async fn being_added_closes_the_pending_invite(server: TestServer) {
    let owner = acme_owner();
    let waiting = server.invite(Workspace, &owner, "bob@example.com", "viewer").await;
    let bob = server.joined(Org, "bob@example.com", "member").await;
    let body = json!({ "email": "bob@example.com", "role": "member" });
    let answer = server.post(&Workspace.collection(), &body).by(&owner).await.expect(200);
    assert_eq!(answer["type"], "added");
    assert_eq!(server.show(&waiting, &owner).await.expect(200)["data"]["status"], "revoked");
    server.accept(&waiting, &bob).await.refused(409, "REVOKED");
}

async fn a_repeated_create_is_the_same_invite_refreshed(server: TestServer) {
    let owner = acme_owner();
    let first = server.invite(Workspace, &owner, "bob@example.com", "viewer").await;
    server.letters_to("bob@example.com", 1).await;
    server.advance(Duration::from_secs(30));
    let body = json!({ "email": "bob@example.com", "role": "admin", "expires_in": 3600 });
    let second = server.invite_with(Workspace, &owner, body).await;
    assert_eq!(second.id, first.id);
    assert_eq!(second.url, first.url, "the link already mailed stays good");
    assert_eq!(second.data["role"], "admin");
    assert_ne!(second.data["expires_at"], first.data["expires_at"]);
    assert_eq!(server.pending(Workspace, &owner).await.len(), 1);

    server.advance(Duration::from_secs(31));
    server.invite(Workspace, &owner, "bob@example.com", "admin").await;
    let mails = server.letters_to("bob@example.com", 2).await;
    assert_eq!(mails.len(), 2, "one when made, none within the cooldown, one after it");
    assert_eq!(mails[0].link, mails[1].link);
}

async fn an_address_is_the_same_in_any_case(server: TestServer) {
    let first = server.invite(Workspace, &acme_owner(), "Alice@Example.COM", "member").await;
    let second = server.invite(Workspace, &acme_owner(), "alice@example.com", "member").await;
    assert_eq!(first.id, second.id);
    server.accept(&first, &person("ALICE@example.com")).await.expect(200);
}

async fn the_list_holds_what_is_pending_and_never_a_link(server: TestServer) {
    let owner = acme_owner();
    for name in ["accepted", "declined", "revoked"] {
        let invited = server.invite(Workspace, &owner, &format!("{name}@example.com"), "member").await;
        let who = person(&format!("{name}@example.com"));
        match name {
            "accepted" => server.accept(&invited, &who).await.expect(200),
            "declined" => server.decline(&invited, &who).await.expect(200),
            _ => server.revoke(&invited, &owner).await.expect(200),
        };
    }
    let short = json!({ "email": "expired@example.com", "expires_in": 300 });
    server.invite_with(Workspace, &owner, short).await;
    server.advance(Duration::from_secs(301));
    let pending = server.invite(Workspace, &owner, "pending@example.com", "member").await;

    let answer = server.get(&Workspace.collection()).by(&owner).await;
    let body = answer.expect(200);
    assert_eq!(body["total"], 1);
    let items = body["data"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{body}");
    let item = &items[0];
    assert_eq!(item["id"], pending.id);
    assert_eq!(item["invite_id"], pending.id);
    assert_eq!(item["status"], "pending");
    assert!(item["delivery"].is_string());
    for key in ["workspace_id", "tenant_id", "email", "role", "invited_by", "expires_at", "inserted_at"] {
        assert!(item[key].is_string(), "{key} in {item}");
    }
    assert_eq!(item["created_at"], item["inserted_at"]);
    assert!(item.get("invite_url").is_none());
    assert!(!answer.text().contains("eyJ"), "a list never holds a token");
}

async fn an_invite_can_be_read_in_any_state(server: TestServer) {
    let owner = acme_owner();
    let invited = server.invite(Workspace, &owner, "bob@example.com", "member").await;
    let answer = server.show(&invited, &owner).await;
    assert_eq!(answer.expect(200)["data"]["status"], "pending");
    assert!(!answer.text().contains("eyJ"));
    server.accept(&invited, &person("bob@example.com")).await.expect(200);
    let data = server.show(&invited, &owner).await.expect(200)["data"].clone();
    assert_eq!(data["status"], "accepted");
    assert!(data["accepted_at"].is_string());

    let late = json!({ "email": "late@example.com", "expires_in": 300 });
    let late = server.invite_with(Workspace, &owner, late).await;
    server.advance(Duration::from_secs(300));
    assert_eq!(server.show(&late, &owner).await.expect(200)["data"]["status"], "expired");
}

async fn whatever_the_body_claims_to_be_is_not_stored(server: TestServer) {
    let body = json!({
        "email": "bob@example.com", "status": "accepted", "accepted_at": "2020-01-01T00:00:00Z",
        "invited_by": "u-somebody", "id": PLANT, "tenant_id": PLANT, "workspace_id": PLANT, "version": 9,
        "created_at": "2020-01-01T00:00:00Z", "delivery": "sent", "surprise": { "deep": [1] },
    });
    let invited = server.invite_with(Workspace, &acme_owner(), body).await;
    let data = server.show(&invited, &acme_owner()).await.expect(200)["data"].clone();
    assert_ne!(data["id"], PLANT);
    assert_eq!(data["status"], "pending");
    assert_eq!(data["accepted_at"], Value::Null);
    assert_eq!(data["invited_by"], acme_owner().user_id());
    assert_eq!(data["tenant_id"], ACME);
    assert_eq!(data["workspace_id"], CLINIC);
    assert!(!data["created_at"].as_str().unwrap().starts_with("2020"));
}

async fn what_cannot_be_taken_is_refused_with_its_field(server: TestServer) {
    let owner = acme_owner();
    let missing = server.post(&Workspace.collection(), &json!({ "role": "member" })).by(&owner).await;
    missing.refused(422, "MISSING_EMAIL");
    let too_long = "x".repeat(501);
    for (field, body) in [
        ("email", json!({ "email": "no address" })),
        ("email", json!({ "email": "a@b" })),
        ("email", json!({ "email": "\"a b\"@example.com" })),
        ("email", json!({ "email": "a@[127.0.0.1]" })),
        ("email", json!({ "email": "a@example.com,b@example.com" })),
        ("email", json!({ "email": "a@example.com\r\nBcc: b@example.com" })),
        ("email", json!({ "email": "a\u{0}@example.com" })),
        ("email", json!({ "email": format!("{}@example.com", "a".repeat(65)) })),
        ("role", json!({ "email": "a@example.com", "role": "emperor" })),
        ("role", json!({ "email": "a@example.com", "role": "OWNER " })),
        ("message", json!({ "email": "a@example.com", "message": "see https://evil.test" })),
        ("message", json!({ "email": "a@example.com", "message": too_long })),
        ("expires_in", json!({ "email": "a@example.com", "expires_in": 10 })),
        ("expires_in", json!({ "email": "a@example.com", "expires_in": -10 })),
        ("expires_in", json!({ "email": "a@example.com", "expires_in": 100_000_000 })),
    ] {
        let refused =
            server.post(&Workspace.collection(), &body).by(&owner).await.refused(422, "VALIDATION_ERROR");
        assert!(refused["errors"][field][0].is_string(), "{body} names {field}: {refused}");
        assert!(!refused["error"]["details"]["errors"].is_null(), "{refused}");
    }
    assert!(server.pending(Workspace, &owner).await.is_empty());
}

async fn how_long_an_invite_lives_can_be_said_within_bounds(server: TestServer) {
    let body = json!({ "email": "bob@example.com", "expires_in": 300 });
    let invited = server.invite_with(Workspace, &acme_owner(), body).await;
    let expires = parse_rfc3339(invited.data["expires_at"].as_str().unwrap()).unwrap().0;
    assert!(expires > server.now() + 290_000 && expires <= server.now() + 300_000);
    for outside in [299, 90 * 24 * 3600 + 1] {
        let body = json!({ "email": "carl@example.com", "expires_in": outside });
        server.post(&Workspace.collection(), &body).by(&acme_owner()).await.refused(422, "VALIDATION_ERROR");
    }
    let longest = json!({ "email": "carl@example.com", "expires_in": 90 * 24 * 3600 });
    server.invite_with(Workspace, &acme_owner(), longest).await;
}

async fn a_workspace_of_another_tenant_is_not_there(server: TestServer) {
    let body = json!({ "email": "bob@example.com" });
    let never_was = "01900000-0000-7000-8000-00000000ffff";
    let foreign = server.post(&Workspace.collection_in(PLANT), &body).by(&acme_owner()).await;
    let absent = server.post(&Workspace.collection_in(never_was), &body).by(&acme_owner()).await;
    assert_eq!(foreign.status, 404);
    assert_eq!(foreign.anonymous(), absent.anonymous());
    let no_id = server.post(&Workspace.collection_in("not-a-uuid"), &body).by(&acme_owner()).await;
    no_id.refused(400, "INVALID_ID");
}
