//! Workspace Sharing, operation by operation, as its published contract has it. Who may do what, and where, is in
//! `sharing_rules`.

use std::time::Duration;

use serde_json::{Value, json};
use usher::domain::clock::{parse_rfc3339, rfc3339_millis};

use crate::support::{
    CLINIC,
    Kind::{Org, Workspace},
    Person, Setup, TestServer, acme_owner, both_engines,
    client::Call,
    person,
};

both_engines!(
    an_invitation_answers_message_id_and_address,
    permissions_become_roles_and_read_is_the_default,
    bad_input_to_an_invitation_is_400_and_names_the_field,
    who_has_access_already_is_not_invited_again,
    a_disposable_address_or_one_that_may_not_be_invited_is_400 => Setup::new()
        .acme("invites.disposable", "block")
        .acme("invites.blocked_domains", vec!["rival.test"]),
    somebody_of_the_tenant_is_asked_and_not_added,
    inviting_again_is_the_same_invitation,
    the_addressee_accepts_and_has_access,
    a_rejected_invitation_is_final,
    what_is_expired_or_processed_is_400_to_its_addressee,
    an_answer_without_a_known_status_or_address_is_400,
    the_expiration_is_changed_to_the_millisecond,
    a_bad_or_past_date_or_one_beyond_the_bounds_is_400,
    resending_mails_the_same_link_again,
    resending_what_is_processed_is_400,
    the_shared_users_are_who_has_joined,
    permissions_are_changed_by_each_of_three_methods,
    a_removed_user_has_no_access_and_is_removed_once,
    the_pending_list_holds_what_waits_and_never_a_link,
    both_apis_see_the_same_invites_and_members,
);

/// A path of the clinic.
pub fn clinic(rest: &str) -> String {
    format!("/api/v2/workspaces/{CLINIC}/{rest}")
}

/// A path of an invitation.
pub fn invitation(id: &str, rest: &str) -> String {
    format!("/api/v2/workspaceInvitations/{id}{rest}")
}

/// A path of somebody who has joined the clinic.
pub fn user(who: &Person, rest: &str) -> String {
    clinic(&format!("sharedUsers/{}{rest}", who.user_id()))
}

/// Somebody who owns the clinic.
pub async fn doctor(server: &TestServer) -> Person {
    server.joined(Workspace, "doctor@example.com", "owner").await
}

/// Invites into the clinic; must succeed. Gives the invitation's id.
pub async fn share(server: &TestServer, by: &Person, email: &str, permissions: &str) -> String {
    let body = json!({ "invitedEmail": email, "permissions": permissions });
    let answer = server.post(&clinic("invite"), &body).by(by).await.expect(200);
    answer["invitationId"].as_str().unwrap().to_owned()
}

/// An answer to an invitation.
pub fn respond(server: &TestServer, id: &str, by: &Person, status: &str) -> Call {
    let body = json!({ "status": status, "userEmail": by.email() });
    server.post(&invitation(id, ""), &body).by(by)
}

/// What the invitation is by the first API.
async fn seen(server: &TestServer, id: &str) -> Value {
    server.get(&Workspace.item(id)).by(&acme_owner()).await.expect(200)["data"].clone()
}

async fn an_invitation_answers_message_id_and_address(server: TestServer) {
    let doctor = doctor(&server).await;
    let body = json!({ "invitedEmail": "Bob@Example.com", "permissions": "write" });
    let answer = server.post(&clinic("invite"), &body).by(&doctor).await.expect(200);
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["invitationId", "invitedEmail", "message"]);
    assert_eq!(answer["invitedEmail"], "Bob@example.com");
    let mail = server.letters_to("Bob@example.com", 1).await;
    assert!(mail[0].link.contains("/workspace-invites/"), "{}", mail[0].link);
}

async fn permissions_become_roles_and_read_is_the_default(server: TestServer) {
    let doctor = doctor(&server).await;
    for (permissions, role) in [("read", "viewer"), ("write", "member"), ("admin", "admin")] {
        let id = share(&server, &doctor, &format!("{permissions}@example.com"), permissions).await;
        assert_eq!(seen(&server, &id).await["role"], role);
    }
    let plain = json!({ "invitedEmail": "plain@example.com" });
    let answer = server.post(&clinic("invite"), &plain).by(&doctor).await.expect(200);
    assert_eq!(seen(&server, answer["invitationId"].as_str().unwrap()).await["role"], "viewer");
}

async fn bad_input_to_an_invitation_is_400_and_names_the_field(server: TestServer) {
    let doctor = doctor(&server).await;
    for (field, body) in [
        ("invitedEmail", json!({})),
        ("invitedEmail", json!({ "invitedEmail": "" })),
        ("invitedEmail", json!({ "invitedEmail": "no address" })),
        ("permissions", json!({ "invitedEmail": "bob@example.com", "permissions": "owner" })),
        ("permissions", json!({ "invitedEmail": "bob@example.com", "permissions": "" })),
        ("permissions", json!({ "invitedEmail": "bob@example.com", "permissions": null })),
        ("body", json!({ "invitedEmail": 5 })),
    ] {
        let answer = server.post(&clinic("invite"), &body).by(&doctor).await;
        let refused = answer.refused(400, "VALIDATION_ERROR");
        assert!(refused["errors"][field][0].is_string(), "{body} names {field}: {refused}");
    }
    for (content_type, body) in
        [("application/json", "{"), ("application/json", "[]"), ("text/plain", "invitedEmail")]
    {
        let call = server.call(reqwest::Method::POST, &clinic("invite")).by(&doctor);
        assert_eq!(call.body(content_type, body).await.status, 400, "{content_type} {body}");
    }
}

async fn who_has_access_already_is_not_invited_again(server: TestServer) {
    let doctor = doctor(&server).await;
    server.joined(Workspace, "nurse@example.com", "viewer").await;
    server.joined(Org, "boss@example.com", "admin").await;
    for email in ["nurse@example.com", "boss@example.com", doctor.email()] {
        let body = json!({ "invitedEmail": email, "permissions": "admin" });
        server.post(&clinic("invite"), &body).by(&doctor).await.refused(400, "ALREADY_MEMBER");
    }
}

async fn a_disposable_address_or_one_that_may_not_be_invited_is_400(server: TestServer) {
    for email in ["bob@mailinator.com", "bob@mail.rival.test"] {
        let body = json!({ "invitedEmail": email });
        let refused = server.post(&clinic("invite"), &body).by(&acme_owner()).await;
        let refused = refused.refused(400, "VALIDATION_ERROR");
        assert!(refused["errors"]["invitedEmail"][0].is_string(), "{refused}");
    }
}

async fn somebody_of_the_tenant_is_asked_and_not_added(server: TestServer) {
    let doctor = doctor(&server).await;
    let bob = server.joined(Org, "bob@example.com", "member").await;
    let id = share(&server, &doctor, bob.email(), "write").await;
    assert_eq!(seen(&server, &id).await["status"], "pending");
    server.get(&clinic("sharedUsers")).by(&bob).await.refused(403, "FORBIDDEN");
    respond(&server, &id, &bob, "accepted").await.expect(200);
    server.get(&clinic("sharedUsers")).by(&bob).await.expect(200);
}

async fn inviting_again_is_the_same_invitation(server: TestServer) {
    let doctor = doctor(&server).await;
    let first = share(&server, &doctor, "bob@example.com", "read").await;
    let second = share(&server, &doctor, "BOB@example.com", "admin").await;
    assert_eq!(first, second);
    assert_eq!(seen(&server, &first).await["role"], "admin");
    assert_eq!(server.letters_to("bob@example.com", 1).await.len(), 1, "one mail within the cooldown");
}

async fn the_addressee_accepts_and_has_access(server: TestServer) {
    let (doctor, bob) = (doctor(&server).await, person("bob@example.com"));
    let id = share(&server, &doctor, bob.email(), "write").await;
    let answer = respond(&server, &id, &bob, "accepted").await.expect(200);
    assert!(answer["message"].is_string());
    assert_eq!(seen(&server, &id).await["status"], "accepted");
    let users = server.get(&clinic("sharedUsers")).by(&bob).await.expect(200);
    let found = users["sharedUsers"].as_array().unwrap().iter().find(|u| u["userId"] == bob.user_id());
    assert_eq!(found.unwrap()["permissions"], "write", "{users}");
    let again = respond(&server, &id, &bob, "accepted").await.refused(400, "ALREADY_ACCEPTED");
    assert_eq!(again["error"]["details"]["accepted_by_you"], true);
    respond(&server, &id, &bob, "rejected").await.refused(400, "ALREADY_ACCEPTED");
}

async fn a_rejected_invitation_is_final(server: TestServer) {
    let (doctor, bob) = (doctor(&server).await, person("bob@example.com"));
    for status in ["rejected", "declined"] {
        let id = share(&server, &doctor, bob.email(), "read").await;
        respond(&server, &id, &bob, status).await.expect(200);
        assert_eq!(seen(&server, &id).await["status"], "declined");
        for later in ["accepted", "rejected", "declined"] {
            respond(&server, &id, &bob, later).await.refused(400, "DECLINED");
        }
    }
}

async fn what_is_expired_or_processed_is_400_to_its_addressee(server: TestServer) {
    let (doctor, bob) = (doctor(&server).await, person("bob@example.com"));
    let revoked = share(&server, &doctor, bob.email(), "read").await;
    server.delete(&Workspace.item(&revoked)).by(&doctor).await.expect(200);
    let late = share(&server, &doctor, bob.email(), "read").await;
    server.advance(Duration::from_secs(14 * 24 * 3600));
    for status in ["accepted", "rejected"] {
        respond(&server, &revoked, &bob, status).await.refused(400, "REVOKED");
        respond(&server, &late, &bob, status).await.refused(400, "EXPIRED");
    }
}

async fn an_answer_without_a_known_status_or_address_is_400(server: TestServer) {
    let (doctor, bob) = (doctor(&server).await, person("bob@example.com"));
    let id = share(&server, &doctor, bob.email(), "read").await;
    for body in [
        json!({}),
        json!({ "status": "accepted" }),
        json!({ "userEmail": bob.email() }),
        json!({ "status": "pending", "userEmail": bob.email() }),
        json!({ "status": "Accepted", "userEmail": bob.email() }),
        json!({ "status": "accepted", "userEmail": "no address" }),
    ] {
        let answer = server.post(&invitation(&id, ""), &body).by(&bob).await;
        answer.refused(400, "VALIDATION_ERROR");
    }
    assert_eq!(seen(&server, &id).await["status"], "pending");
}

async fn the_expiration_is_changed_to_the_millisecond(server: TestServer) {
    let (doctor, bob) = (doctor(&server).await, person("bob@example.com"));
    let id = share(&server, &doctor, bob.email(), "read").await;
    let wanted = rfc3339_millis(entity::Millis(server.now() + 3_600_123));
    let body = json!({ "expirationDate": wanted });
    let answer = server.post(&invitation(&id, "/expiration"), &body).by(&doctor).await.expect(200);
    assert!(answer["message"].is_string());
    let list = server.get(&clinic("invitations")).by(&doctor).await.expect(200);
    assert_eq!(list["invitations"][0]["expirationDate"], wanted);
    server.advance(Duration::from_secs(3602));
    respond(&server, &id, &bob, "accepted").await.refused(400, "EXPIRED");
    // a new date revives it
    let body = json!({ "expirationDate": rfc3339_millis(entity::Millis(server.now() + 3_600_000)) });
    server.post(&invitation(&id, "/expiration"), &body).by(&doctor).await.expect(200);
    respond(&server, &id, &bob, "accepted").await.expect(200);
    server.post(&invitation(&id, "/expiration"), &body).by(&doctor).await.refused(400, "ALREADY_ACCEPTED");
}

async fn a_bad_or_past_date_or_one_beyond_the_bounds_is_400(server: TestServer) {
    let doctor = doctor(&server).await;
    let id = share(&server, &doctor, "bob@example.com", "read").await;
    let ahead = |seconds: i64| json!(rfc3339_millis(entity::Millis(server.now() + seconds * 1000)));
    for date in [
        Value::Null,
        json!("tomorrow"),
        json!("2026-13-01T00:00:00Z"),
        json!("2099-01-01"),
        json!("2099-01-01T00:00:00"),
        ahead(-60),
        ahead(200),
        ahead(91 * 24 * 3600),
    ] {
        let body = json!({ "expirationDate": date });
        let answer = server.post(&invitation(&id, "/expiration"), &body).by(&doctor).await;
        let refused = answer.refused(400, "VALIDATION_ERROR");
        assert!(refused["errors"]["expirationDate"][0].is_string(), "{body}: {refused}");
    }
    let none = server.post(&invitation(&id, "/expiration"), &json!({})).by(&doctor).await;
    none.refused(400, "VALIDATION_ERROR");
}

async fn resending_mails_the_same_link_again(server: TestServer) {
    let doctor = doctor(&server).await;
    let id = share(&server, &doctor, "bob@example.com", "read").await;
    let first = server.letters_to("bob@example.com", 1).await[0].link.clone();
    let resend = || server.call(reqwest::Method::POST, &invitation(&id, "/resend")).by(&doctor);
    let soon = resend().await;
    soon.refused(429, "rate_limit_exceeded");
    assert!(soon.header("retry-after").parse::<u64>().is_ok());
    server.advance(Duration::from_secs(61));
    // whatever a body says, there is none to be read
    let answer = resend().body("text/plain", "rotate please").await.expect(200);
    assert!(answer["message"].is_string());
    assert_eq!(server.letters_to("bob@example.com", 2).await[1].link, first);
}

async fn resending_what_is_processed_is_400(server: TestServer) {
    let (doctor, bob) = (doctor(&server).await, person("bob@example.com"));
    for (how, code) in [("rejected", "DECLINED"), ("revoked", "REVOKED"), ("accepted", "ALREADY_ACCEPTED")] {
        let id = share(&server, &doctor, bob.email(), "read").await;
        match how {
            "revoked" => server.delete(&Workspace.item(&id)).by(&doctor).await.expect(200),
            status => respond(&server, &id, &bob, status).await.expect(200),
        };
        server.post(&invitation(&id, "/resend"), &json!({})).by(&doctor).await.refused(400, code);
    }
}

async fn the_shared_users_are_who_has_joined(server: TestServer) {
    let doctor = doctor(&server).await;
    let nurse = server.joined(Workspace, "nurse@example.com", "viewer").await;
    share(&server, &doctor, "later@example.com", "write").await;
    let list = server.get(&clinic("sharedUsers?unknown=ignored")).by(&nurse).await.expect(200);
    assert_eq!(list["total"], 2);
    let users = list["sharedUsers"].as_array().unwrap();
    for (at, who, permissions, owner) in [(0, &doctor, "admin", true), (1, &nurse, "read", false)] {
        let user = &users[at];
        assert_eq!(user["userId"], who.user_id());
        assert_eq!(user["email"], who.email());
        assert_eq!(user["name"], who.name());
        assert_eq!(user["permissions"], permissions);
        assert_eq!(user["isOwner"], owner);
        let since = user["sharedAt"].as_str().unwrap();
        assert_eq!(since.len(), "2026-01-02T03:04:05.678Z".len(), "{since}");
        assert!(parse_rfc3339(since).is_some());
    }
}

async fn permissions_are_changed_by_each_of_three_methods(server: TestServer) {
    let doctor = doctor(&server).await;
    let nurse = server.joined(Workspace, "nurse@example.com", "viewer").await;
    for (method, rest, permissions, role) in [
        (reqwest::Method::POST, "/permissions", "write", "member"),
        (reqwest::Method::PUT, "", "admin", "admin"),
        (reqwest::Method::PATCH, "", "read", "viewer"),
    ] {
        let call = server.call(method, &user(&nurse, rest)).by(&doctor);
        let answer = call.json(&json!({ "permissions": permissions })).await.expect(200);
        assert!(answer["message"].is_string());
        let members = server.get(&format!("/api/v1/workspaces/{CLINIC}/members")).by(&doctor).await;
        let members = members.expect(200);
        assert_eq!(members["data"][1]["role"], role, "{members}");
    }
    for body in [json!({}), json!({ "permissions": "owner" }), json!({ "permissions": null })] {
        let answer = server.post(&user(&nurse, "/permissions"), &body).by(&doctor).await;
        answer.refused(400, "VALIDATION_ERROR");
    }
    let body = json!({ "permissions": "read" });
    let nobody = person("nobody@example.com");
    server.post(&user(&nobody, "/permissions"), &body).by(&doctor).await.refused(404, "NOT_FOUND");
    server.post(&user(&doctor, "/permissions"), &body).by(&doctor).await.refused(403, "LAST_OWNER");
}

async fn a_removed_user_has_no_access_and_is_removed_once(server: TestServer) {
    let doctor = doctor(&server).await;
    for (name, how) in [("nurse", reqwest::Method::POST), ("clerk", reqwest::Method::DELETE)] {
        let who = server.joined(Workspace, &format!("{name}@example.com"), "member").await;
        let path = user(&who, if how == reqwest::Method::POST { "/remove" } else { "" });
        let remove = || server.call(how.clone(), &path).by(&doctor);
        assert!(remove().await.expect(200)["message"].is_string());
        server.get(&clinic("sharedUsers")).by(&who).await.refused(403, "FORBIDDEN");
        remove().await.refused(404, "NOT_FOUND");
    }
    let last = server.post(&user(&doctor, "/remove"), &json!({})).by(&doctor).await;
    last.refused(403, "LAST_OWNER");
}

async fn the_pending_list_holds_what_waits_and_never_a_link(server: TestServer) {
    let doctor = doctor(&server).await;
    let id = share(&server, &doctor, "bob@example.com", "admin").await;
    let over = share(&server, &doctor, "over@example.com", "read").await;
    server.delete(&Workspace.item(&over)).by(&doctor).await.expect(200);
    for name in ["invitations", "pendingInvitations"] {
        let answer = server.get(&clinic(name)).by(&doctor).await;
        let list = answer.expect(200);
        assert_eq!(list["total"], 1, "{list}");
        let found = &list["invitations"][0];
        assert_eq!(found["invitationId"], id);
        assert_eq!(found["workspaceId"], CLINIC);
        assert_eq!(found["invitedEmail"], "bob@example.com");
        assert_eq!(found["permissions"], "admin");
        assert_eq!(found["status"], "pending");
        assert_eq!(found["invitedBy"], doctor.user_id());
        for time in ["expirationDate", "createdAt"] {
            assert_eq!(found[time].as_str().unwrap().len(), "2026-01-02T03:04:05.678Z".len(), "{found}");
        }
        assert!(!answer.text().contains("eyJ"), "a list never holds a token");
    }
}

async fn both_apis_see_the_same_invites_and_members(server: TestServer) {
    let (doctor, bob, eve) = (doctor(&server).await, person("bob@example.com"), person("eve@example.com"));
    let shared = share(&server, &doctor, bob.email(), "write").await;
    let invited = server.invite(Workspace, &acme_owner(), eve.email(), "viewer").await;
    let pending = server.get(&clinic("invitations")).by(&doctor).await.expect(200);
    let ids: Vec<&Value> =
        pending["invitations"].as_array().unwrap().iter().map(|one| &one["invitationId"]).collect();
    assert_eq!(ids, [&json!(shared), &json!(invited.id)]);
    let first: Vec<Value> =
        server.pending(Workspace, &doctor).await.iter().map(|row| row["id"].clone()).collect();
    assert_eq!(first, [json!(shared), json!(invited.id)]);
    // either is answered through the other
    let link = server.letters_to(bob.email(), 1).await[0].link.clone();
    let token = crate::support::invites::token_of(&link);
    server.post(&format!("{}/accept", Workspace.token(&token)), &json!({})).by(&bob).await.expect(200);
    respond(&server, &invited.id, &eve, "accepted").await.expect(200);
    let users = server.get(&clinic("sharedUsers")).by(&eve).await.expect(200);
    let members = server.get(&format!("/api/v1/workspaces/{CLINIC}/members")).by(&eve).await.expect(200);
    let ids = |list: &Value, key: &str| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|one| one[key].clone()).collect()
    };
    assert_eq!(ids(&users["sharedUsers"], "userId"), ids(&members["data"], "user_id"));
    assert_eq!(users["total"], 3);
}
