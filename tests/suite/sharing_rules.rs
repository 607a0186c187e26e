//! Who may share a workspace, and where: Workspace Sharing is stricter than the first API, a workspace is its
//! owner's to share. Its answers are those of the published contract whatever goes wrong.

use reqwest::Method;
use serde_json::{Value, json};

use super::sharing::{clinic, doctor, invitation, respond, share, user};
use crate::support::{
    ACME_HOST, CLINIC, GLOBEX_HOST,
    Kind::{Org, Workspace},
    PLANT, Person, Setup, TestServer, acme_owner, both_engines,
    client::Answer,
    globex_owner, person, rounds, with_and_without_actors,
};

both_engines!(
    a_workspace_is_shared_by_its_owner_alone,
    a_configured_permission_to_invite_does_not_share => Setup::new()
        .acme("invites.permissions.member", vec!["invites:create", "invites:read"]),
    in_a_workspace_without_an_owner_tenant_owners_count_as_its_owner,
    whoever_sent_an_invitation_changes_and_resends_it,
    others_see_the_invitations_they_sent_and_without_any_none,
    a_system_admin_sees_but_does_not_share,
    anyone_may_leave,
    an_invitation_is_answered_by_its_addressee_only,
    what_belongs_to_another_tenant_is_not_there,
    an_id_that_cannot_be_is_not_there,
    an_invitation_into_the_organisation_is_none_of_a_workspace,
    the_api_key_header_is_the_configured_one => Setup::new().server("api_keys.header", "X-JSMON-KEY"),
    every_status_is_one_of_the_published_document,
);

with_and_without_actors!(an_answer_against_a_revocation_has_one_winner);

/// Calls of the owner's operations on the nurse and a waiting invitation, none of which changes anything that
/// the next one needs.
async fn owners_calls(server: &TestServer, by: &Person, nurse: &Person, waiting: &str) -> Vec<Answer> {
    let date = json!({ "expirationDate": "2000-01-01T00:00:00Z" });
    let body = json!({ "invitedEmail": nurse.email() });
    let same = json!({ "permissions": "read" });
    vec![
        server.post(&clinic("invite"), &body).by(by).await,
        server.post(&invitation(waiting, "/expiration"), &date).by(by).await,
        server.post(&invitation(waiting, "/resend"), &json!({})).by(by).await,
        server.post(&user(nurse, "/permissions"), &same).by(by).await,
        server.post(&user(&person("nobody@example.com"), "/remove"), &json!({})).by(by).await,
    ]
}

/// How [`owners_calls`] are answered to an owner: has access, past, cooling down, the same, is not there.
const AS_OWNER: [u16; 5] = [400, 400, 429, 200, 404];

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

async fn a_workspace_is_shared_by_its_owner_alone(server: TestServer) {
    let doctor = doctor(&server).await;
    let nurse = server.joined(Workspace, "nurse@example.com", "viewer").await;
    let waiting = share(&server, &doctor, "waiting@example.com", "read").await;
    assert_eq!(statuses(&owners_calls(&server, &doctor, &nurse, &waiting).await), AS_OWNER);
    let others = [
        acme_owner(),
        server.joined(Org, "boss@example.com", "admin").await,
        server.joined(Org, "colleague@example.com", "member").await,
        server.joined(Workspace, "admin@example.com", "admin").await,
        server.joined(Workspace, "member@example.com", "member").await,
        nurse.clone(),
    ];
    for other in &others {
        for answer in owners_calls(&server, other, &nurse, &waiting).await {
            assert_eq!(answer.refused(403, "FORBIDDEN")["error"]["code"], "FORBIDDEN", "{}", other.email());
        }
    }
    let stranger = owners_calls(&server, &person("stranger@example.com"), &nurse, &waiting).await;
    assert_eq!(statuses(&stranger), [404; 5]);
    let nobody = server.post(&clinic("invite"), &json!({ "invitedEmail": "x@example.com" })).await;
    nobody.refused(401, "invalid_token");
}

async fn a_configured_permission_to_invite_does_not_share(server: TestServer) {
    doctor(&server).await;
    let member = server.joined(Workspace, "member@example.com", "member").await;
    server.invite(Workspace, &member, "bob@example.com", "member").await;
    let body = json!({ "invitedEmail": "carl@example.com" });
    server.post(&clinic("invite"), &body).by(&member).await.refused(403, "FORBIDDEN");
}

async fn in_a_workspace_without_an_owner_tenant_owners_count_as_its_owner(server: TestServer) {
    let nurse = server.joined(Workspace, "nurse@example.com", "viewer").await;
    let waiting = share(&server, &acme_owner(), "waiting@example.com", "admin").await;
    assert_eq!(statuses(&owners_calls(&server, &acme_owner(), &nurse, &waiting).await), AS_OWNER);
    let boss = server.joined(Org, "boss@example.com", "admin").await;
    assert_eq!(statuses(&owners_calls(&server, &boss, &nurse, &waiting).await), [403; 5]);
    doctor(&server).await;
    let body = json!({ "invitedEmail": "late@example.com" });
    server.post(&clinic("invite"), &body).by(&acme_owner()).await.refused(403, "FORBIDDEN");
}

async fn whoever_sent_an_invitation_changes_and_resends_it(server: TestServer) {
    let doctor = doctor(&server).await;
    let admin = server.joined(Workspace, "admin@example.com", "admin").await;
    let sent = server.invite(Workspace, &admin, "bob@example.com", "member").await;
    server.letters_to("bob@example.com", 1).await;
    for by in [&admin, &doctor] {
        server.advance(std::time::Duration::from_secs(61));
        let date = usher::domain::clock::rfc3339_millis(entity::Millis(server.now() + 3_600_000));
        let body = json!({ "expirationDate": date });
        server.post(&invitation(&sent.id, "/expiration"), &body).by(by).await.expect(200);
        server.post(&invitation(&sent.id, "/resend"), &json!({})).by(by).await.expect(200);
    }
    let other = server.joined(Workspace, "other@example.com", "admin").await;
    server.post(&invitation(&sent.id, "/resend"), &json!({})).by(&other).await.refused(403, "FORBIDDEN");
}

async fn others_see_the_invitations_they_sent_and_without_any_none(server: TestServer) {
    let doctor = doctor(&server).await;
    let admin = server.joined(Workspace, "admin@example.com", "admin").await;
    let own = server.invite(Workspace, &admin, "bob@example.com", "member").await;
    share(&server, &doctor, "carl@example.com", "read").await;
    let list = server.get(&clinic("invitations")).by(&doctor).await.expect(200);
    assert_eq!(list["total"], 2);
    let list = server.get(&clinic("invitations")).by(&admin).await.expect(200);
    assert_eq!(list["total"], 1);
    assert_eq!(list["invitations"][0]["invitationId"], own.id);
    server.get(&clinic("invitations")).by(&acme_owner()).await.refused(403, "FORBIDDEN");
    let member = server.joined(Org, "member@example.com", "member").await;
    server.get(&clinic("invitations")).by(&member).await.refused(403, "FORBIDDEN");
    server.get(&clinic("invitations")).by(&person("x@example.com")).await.refused(404, "NOT_FOUND");
}

async fn a_system_admin_sees_but_does_not_share(server: TestServer) {
    let doctor = doctor(&server).await;
    let id = share(&server, &doctor, "bob@example.com", "read").await;
    let root = person("root@example.com").with("role", "system_admin");
    assert_eq!(server.get(&clinic("invitations")).by(&root).await.expect(200)["total"], 1);
    assert_eq!(server.get(&clinic("sharedUsers")).by(&root).await.expect(200)["total"], 1);
    for path in [clinic("invite"), invitation(&id, "/resend"), user(&doctor, "/remove")] {
        let answer = server.post(&path, &json!({ "invitedEmail": "x@example.com" })).by(&root).await;
        assert!([403, 404].contains(&answer.status), "{path}: {}", answer.text());
    }
}

async fn anyone_may_leave(server: TestServer) {
    doctor(&server).await;
    let nurse = server.joined(Workspace, "nurse@example.com", "viewer").await;
    server.post(&user(&nurse, "/remove"), &json!({})).by(&nurse).await.expect(200);
    server.get(&clinic("sharedUsers")).by(&nurse).await.refused(403, "FORBIDDEN");
}

async fn an_invitation_is_answered_by_its_addressee_only(server: TestServer) {
    let (doctor, bob, eve) = (doctor(&server).await, person("bob@example.com"), person("eve@example.com"));
    let id = share(&server, &doctor, bob.email(), "write").await;
    let answer = |user_email: &str| json!({ "status": "accepted", "userEmail": user_email });
    for (who, claimed) in
        [(&eve, bob.email()), (&eve, eve.email()), (&bob, eve.email()), (&doctor, "x@x.test")]
    {
        for host in ["localhost", ACME_HOST] {
            let call = server.post(&invitation(&id, ""), &answer(claimed)).by(who).on(host);
            call.await.refused(403, "EMAIL_MISMATCH");
        }
    }
    for claim in [bob.clone().with("email_verified", false), bob.clone().without("email_verified")] {
        let refused = server.post(&invitation(&id, ""), &answer(bob.email())).by(&claim).await;
        refused.refused(403, "EMAIL_NOT_VERIFIED");
    }
    let elsewhere = server.post(&invitation(&id, ""), &answer(bob.email())).by(&bob);
    elsewhere.on(GLOBEX_HOST).await.refused(404, "NOT_FOUND");
    let service = ["api-key", "create", "--service", "--role", "owner", "--tenant", "acme"];
    let key = server.cli(&service).await.data();
    let nobody = server.post(&invitation(&id, ""), &answer(bob.email())).bearer(&key).await;
    nobody.refused(403, "FORBIDDEN");
    let any_case = answer("BOB@Example.com");
    server.post(&invitation(&id, ""), &any_case).by(&bob).on(ACME_HOST).await.expect(200);
}

async fn what_belongs_to_another_tenant_is_not_there(server: TestServer) {
    let (owner, globex) = (acme_owner(), globex_owner());
    server.get("/api/v1/workspaces").by(&globex).await.expect(200);
    let id = share(&server, &owner, "bob@example.com", "read").await;
    let never = "01900000-0000-7000-8000-00000000ffff";
    let date = json!({ "expirationDate": "2000-01-01T00:00:00Z" });
    let (email, permissions) = (json!({ "invitedEmail": "x@example.com" }), json!({ "permissions": "read" }));
    let respond = json!({ "status": "accepted", "userEmail": globex.email() });
    let of = |workspace: &str, rest: &str| format!("/api/v2/workspaces/{workspace}/{rest}");
    for (method, path, body) in [
        (Method::POST, (of(CLINIC, "invite"), of(never, "invite")), &email),
        (Method::GET, (of(CLINIC, "sharedUsers"), of(never, "sharedUsers")), &Value::Null),
        (Method::GET, (of(CLINIC, "invitations"), of(never, "invitations")), &Value::Null),
        (Method::POST, (of(CLINIC, "sharedUsers/u/remove"), of(never, "sharedUsers/u/remove")), &Value::Null),
        (
            Method::POST,
            (of(CLINIC, "sharedUsers/u/permissions"), of(never, "sharedUsers/u/permissions")),
            &permissions,
        ),
        (Method::POST, (invitation(&id, ""), invitation(never, "")), &respond),
        (Method::POST, (invitation(&id, "/expiration"), invitation(never, "/expiration")), &date),
        (Method::POST, (invitation(&id, "/resend"), invitation(never, "/resend")), &Value::Null),
    ] {
        for host in ["localhost", GLOBEX_HOST] {
            let call = |path: &str| server.call(method.clone(), path).by(&globex).on(host).json(body);
            let (foreign, absent) = (call(&path.0).await, call(&path.1).await);
            foreign.refused(404, "NOT_FOUND");
            assert_eq!(foreign.anonymous(), absent.anonymous(), "{method} {}", path.0);
        }
    }
    let other_host = server.get(&of(PLANT, "sharedUsers")).by(&globex).on(ACME_HOST).await;
    other_host.refused(404, "NOT_FOUND");
    let named = server.get(&clinic("sharedUsers")).by(&owner).header("x-miosa-tenant", "globex").await;
    named.refused(404, "NOT_FOUND");
}

async fn an_id_that_cannot_be_is_not_there(server: TestServer) {
    let owner = acme_owner();
    let body = json!({ "invitedEmail": "x@example.com" });
    server.post("/api/v2/workspaces/none/invite", &body).by(&owner).await.refused(404, "NOT_FOUND");
    server.get("/api/v2/workspaces/none/sharedUsers").by(&owner).await.refused(404, "NOT_FOUND");
    server.post(&invitation("none", "/resend"), &json!({})).by(&owner).await.refused(404, "NOT_FOUND");
    let body = json!({ "status": "accepted", "userEmail": owner.email() });
    server.post(&invitation("none", ""), &body).by(&owner).await.refused(404, "NOT_FOUND");
}

async fn an_invitation_into_the_organisation_is_none_of_a_workspace(server: TestServer) {
    let bob = person("bob@example.com");
    let org = server.invite(Org, &acme_owner(), bob.email(), "member").await;
    respond(&server, &org.id, &bob, "accepted").await.refused(404, "NOT_FOUND");
    let resend = server.post(&invitation(&org.id, "/resend"), &json!({})).by(&acme_owner()).await;
    resend.refused(404, "NOT_FOUND");
}

async fn the_api_key_header_is_the_configured_one(server: TestServer) {
    server.get("/api/v1/workspaces").by(&acme_owner()).await.expect(200);
    let make = ["api-key", "create", "--tenant", "acme", "--email", "owner@acme.test"];
    let key = server.cli(&make).await.data();
    let list = || server.get(&clinic("sharedUsers"));
    list().header("x-jsmon-key", &key).await.expect(200);
    list().bearer(&key).await.expect(200);
    list().header("x-api-key", &key).await.refused(401, "invalid_token");
    let scoped = [&make[..], &["--scopes", "members:read"]].concat();
    let scoped = server.cli(&scoped).await.data();
    list().header("x-jsmon-key", &scoped).await.expect(200);
    let body = json!({ "invitedEmail": "x@example.com" });
    let invite = server.post(&clinic("invite"), &body).header("x-jsmon-key", &scoped).await;
    invite.refused(403, "insufficient_scope");
}

async fn every_status_is_one_of_the_published_document(server: TestServer) {
    let text = include_str!("../sharing-openapi.json");
    let published: Value = serde_json::from_str(text).unwrap();
    let (owner, nowhere) = (acme_owner(), "01900000-0000-7000-8000-00000000ffff");
    let id = share(&server, &owner, "bob@example.com", "read").await;
    let mut asked = 0;
    for (path, item) in published["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let known = operation["responses"].as_object().unwrap();
            let method: Method = method.to_uppercase().parse().unwrap();
            for ids in [[CLINIC, id.as_str()], [nowhere, nowhere], ["x", "x"]] {
                let filled = path.replace("{workspaceId}", ids[0]).replace("{invitationId}", ids[1]);
                let filled = filled.replace("{userId}", "u-nobody");
                let call = || server.call(method.clone(), &filled).by(&owner);
                for answer in [
                    server.call(method.clone(), &filled).await,
                    call().await,
                    call().header("x-miosa-tenant", "globex").await,
                    call().header("x-miosa-tenant", "acme").header("x-miosa-tenant", "acme").await,
                    call().by(&owner).await,
                    call().body("application/json", "{}").await,
                    call().body("application/json", "[1]").await,
                    call().body("application/json", r#"{"permissions": [], "status": 1}"#).await,
                    call().body("text/plain", "x").await,
                ] {
                    let status = answer.status.to_string();
                    let common = [405, 413, 421, 429, 503].contains(&answer.status);
                    assert!(known.contains_key(&status) || common, "{method} {filled}: {}", answer.text());
                    assert!(
                        answer.json()["message"].is_string() || answer.status == 200,
                        "{}",
                        answer.text()
                    );
                    asked += 1;
                }
            }
        }
    }
    assert_eq!(asked, 8 * 3 * 9);
}

async fn an_answer_against_a_revocation_has_one_winner(server: TestServer) {
    let doctor = doctor(&server).await;
    let (mut answered, mut revoked) = (0, 0);
    for round in 0..rounds("USHER_RACE_ROUNDS", 20) {
        let bob = person(&format!("bob{round}@example.com"));
        let id = share(&server, &doctor, bob.email(), "write").await;
        let status = if round % 2 == 0 { "accepted" } else { "rejected" };
        let answering = respond(&server, &id, &bob, status).patiently();
        let revoking = server.delete(&Workspace.item(&id)).by(&doctor).patiently();
        let (answer, revoke) = tokio::join!(answering, revoking);
        match (answer.status, revoke.status) {
            (200, 409) => answered += 1,
            (400, 200) => {
                answer.refused(400, "REVOKED");
                revoked += 1;
            }
            _ => panic!("{} and {}", answer.text(), revoke.text()),
        }
    }
    println!("answered {answered}, revoked {revoked}");
    let rows = server.inspect().await;
    rows.assert_sound().await;
    rows.assert_nobody_missing().await;
}
