//! The family `/api/v1/invitations`: what its clients rely on, one test a behaviour. The rules behind it are those
//! of the other families and are tested there.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    ACME, ACME_HOST, CLINIC, GLOBEX, GLOBEX_HOST, Invited,
    Kind::{Org, Workspace},
    Person, Setup, TestServer, acme_owner, both_engines, globex_owner,
    invites::{KINDS, token_of},
    person,
};

both_engines!(
    a_list_has_its_envelope_and_places_and_roles_by_id_and_name,
    a_system_admin_sees_and_revokes_every_invitation,
    an_organisations_admin_sees_and_revokes_those_of_their_organisations,
    a_workspace_admin_sees_and_revokes_those_of_their_workspace,
    whose_role_may_read_sees_where_it_holds => permitted(),
    everybody_sees_and_revokes_those_they_sent,
    whoever_may_see_nothing_gets_an_empty_list,
    a_configured_owner_sees_everything_at_first_sight,
    a_tenants_own_host_shows_that_tenant_only,
    the_list_takes_filters_and_pages_across_organisations,
    an_accepted_invitation_cannot_be_revoked,
    creating_is_the_same_invite_as_in_the_other_families,
    a_member_is_added_to_a_workspace_at_once,
    roles_are_taken_by_id_or_name_in_any_case,
    resending_and_editing_go_by_id,
    one_by_id_needs_a_credential_that_may_see_it,
    a_slash_at_the_end_means_nothing,
    every_error_says_success_false,
);

pub(super) const LIST: &str = "/api/v1/invitations";

fn permitted() -> Setup {
    Setup::new().acme("invites.permissions.member", vec!["invites:read"])
}

pub(super) fn item(id: &str) -> String {
    format!("{LIST}/{id}")
}

fn system_admin() -> Person {
    person("root@example.com").with("role", "system_admin")
}

/// The addresses that somebody sees, in order.
async fn seen(server: &TestServer, by: &Person) -> Vec<String> {
    seen_on(server, by, "localhost").await
}

async fn seen_on(server: &TestServer, by: &Person, host: &str) -> Vec<String> {
    let body = server.get(LIST).by(by).on(host).await.expect(200);
    assert_eq!(body["success"], true);
    let rows = body["data"]["invitations"].as_array().unwrap();
    assert_eq!(body["data"]["total"], rows.len());
    rows.iter().map(|row| row["email"].as_str().unwrap().to_owned()).collect()
}

/// One invite into acme, one into its clinic, one into globex, by their owners.
pub(super) async fn three(server: &TestServer) -> [Invited; 3] {
    [
        server.invite(Org, &acme_owner(), "org@example.com", "member").await,
        server.invite(Workspace, &acme_owner(), "clinic@example.com", "viewer").await,
        server.invite_to_globex(Org, "globex@example.com").await,
    ]
}

pub(super) fn in_workspace(role: &str) -> Value {
    json!({ "user_id": "", "role": role })
}

/// A member of acme with this role in the clinic.
async fn of_clinic(server: &TestServer, email: &str, role: &str) -> Person {
    let who = server.joined(Org, email, "member").await;
    let mut body = in_workspace(role);
    body["user_id"] = who.user_id().into();
    let members = format!("/api/v1/workspaces/{CLINIC}/members");
    server.post(&members, &body).by(&acme_owner()).await.expect(201);
    who
}

async fn a_list_has_its_envelope_and_places_and_roles_by_id_and_name(server: TestServer) {
    let [org, clinic, _] = three(&server).await;
    let answer = server.get(LIST).by(&acme_owner()).await;
    let body = answer.expect(200);
    assert_eq!(body["success"], true);
    let (first, second) = (&body["data"]["invitations"][0], &body["data"]["invitations"][1]);
    assert_eq!((&first["id"], &second["id"]), (&json!(org.id), &json!(clinic.id)));
    assert_eq!(first["organization"], json!({ "id": ACME, "name": "Acme Corp" }));
    assert_eq!(first["workspace"], Value::Null);
    assert_eq!(first["role"], json!({ "id": "member", "name": "Developer" }));
    assert_eq!(second["workspace"], json!({ "id": CLINIC, "name": "Dr. Smith Clinic" }));
    assert_eq!(second["role"], json!({ "id": "viewer", "name": "Viewer" }));
    for row in [first, second] {
        assert_eq!(row["status"], "pending");
        assert_eq!(row["invited_by"], acme_owner().user_id());
        assert!(row["expires_at"].as_str().unwrap().ends_with('Z') && row["delivery"].is_string());
    }
    assert_eq!((&body["data"]["total"], &body["data"]["next_cursor"]), (&json!(2), &Value::Null));
    assert!(!answer.text().contains("eyJ"), "no link in a list");
}

async fn a_system_admin_sees_and_revokes_every_invitation(server: TestServer) {
    let all = three(&server).await;
    let root = system_admin();
    assert_eq!(seen(&server, &root).await, ["org@example.com", "clinic@example.com", "globex@example.com"]);
    for invited in &all {
        let body = server.delete(&item(&invited.id)).by(&root).await.expect(200);
        assert_eq!(body["data"], json!({ "id": invited.id, "status": "revoked" }));
        // seeing and revoking is all: they belong to no organisation
        let path = format!("{}/resend", item(&invited.id));
        server.post(&path, &json!({})).by(&root).await.refused(403, "FORBIDDEN");
    }
    assert!(seen(&server, &root).await.is_empty());
}

async fn an_organisations_admin_sees_and_revokes_those_of_their_organisations(server: TestServer) {
    let [org, clinic, globex] = three(&server).await;
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    assert_eq!(seen(&server, &admin).await, ["org@example.com", "clinic@example.com"]);
    // of two organisations, both
    let invited = json!({ "email": admin.email(), "role": "admin" });
    let answer = server.post(&Org.globex_collection(), &invited).by(&globex_owner()).await;
    server.accept(&Invited::read(Org, &answer.expect(201)), &admin).await.expect(200);
    assert_eq!(seen(&server, &admin).await, ["org@example.com", "clinic@example.com", "globex@example.com"]);
    for invited in [&org, &clinic, &globex] {
        server.delete(&item(&invited.id)).by(&admin).await.expect(200);
        server.delete(&item(&invited.id)).by(&admin).await.expect(200);
    }
    server.delete(&item(&org.id)).by(&globex_owner()).await.refused(404, "NOT_FOUND");
}

async fn a_workspace_admin_sees_and_revokes_those_of_their_workspace(server: TestServer) {
    let [org, clinic, globex] = three(&server).await;
    let admin = of_clinic(&server, "admin@example.com", "admin").await;
    assert_eq!(seen(&server, &admin).await, ["clinic@example.com"]);
    server.delete(&item(&org.id)).by(&admin).await.refused(403, "FORBIDDEN");
    server.delete(&item(&globex.id)).by(&admin).await.refused(404, "NOT_FOUND");
    server.delete(&item(&clinic.id)).by(&admin).await.expect(200);
    let plain = of_clinic(&server, "plain@example.com", "member").await;
    assert!(seen(&server, &plain).await.is_empty());
}

async fn whose_role_may_read_sees_where_it_holds(server: TestServer) {
    let [org, clinic, _] = three(&server).await;
    let member = server.joined(Org, "member@example.com", "member").await;
    assert_eq!(seen(&server, &member).await, ["org@example.com"], "the organisation's, and no workspace's");
    server.delete(&item(&org.id)).by(&member).await.refused(403, "FORBIDDEN");
    let there = of_clinic(&server, "there@example.com", "viewer").await;
    assert_eq!(seen(&server, &there).await, ["org@example.com", "clinic@example.com"]);
    server.get(&item(&clinic.id)).by(&there).await.expect(200);
    server.get(&item(&clinic.id)).by(&member).await.refused(403, "FORBIDDEN");
}

async fn everybody_sees_and_revokes_those_they_sent(server: TestServer) {
    three(&server).await;
    let sender = of_clinic(&server, "sender@example.com", "admin").await;
    let own = server.invite(Workspace, &sender, "own@example.com", "member").await;
    let other = server.invite(Workspace, &acme_owner(), "other@example.com", "member").await;
    // still of the workspace, and still able to send this one as a viewer would not be
    let path = format!("/api/v1/workspaces/{CLINIC}/members/{}", sender.user_id());
    assert_eq!(seen(&server, &sender).await.len(), 3);
    server.patch(&path, &json!({ "role": "viewer" })).by(&acme_owner()).await.expect(200);
    // what they could no longer send is revoked with the demotion, and remains theirs to see
    let all = format!("{LIST}?status=all");
    let body = server.get(&all).by(&sender).await.expect(200);
    assert_eq!(body["data"]["total"], 1);
    assert_eq!(body["data"]["invitations"][0]["id"], own.id);
    assert_eq!(body["data"]["invitations"][0]["status"], "revoked");
    server.delete(&item(&own.id)).by(&sender).await.expect(200);
    server.delete(&item(&other.id)).by(&sender).await.refused(403, "FORBIDDEN");
}

async fn whoever_may_see_nothing_gets_an_empty_list(server: TestServer) {
    let [org, ..] = three(&server).await;
    let member = server.joined(Org, "member@example.com", "member").await;
    for (who, status, code) in
        [(person("stranger@example.com"), 404, "NOT_FOUND"), (member, 403, "FORBIDDEN")]
    {
        assert!(seen(&server, &who).await.is_empty());
        server.get(&item(&org.id)).by(&who).await.refused(status, code);
        server.delete(&item(&org.id)).by(&who).await.refused(status, code);
    }
    server.get(LIST).await.refused(401, "invalid_token");
}

async fn a_configured_owner_sees_everything_at_first_sight(server: TestServer) {
    let rows = server.inspect().await;
    assert!(seen(&server, &acme_owner()).await.is_empty());
    let owners = "SELECT count(*) AS n FROM tenant_members WHERE role = 'owner'";
    assert_eq!(rows.count(owners).await, 1, "they became one by asking");
}

async fn a_tenants_own_host_shows_that_tenant_only(server: TestServer) {
    let [org, _, globex] = three(&server).await;
    let root = system_admin();
    assert_eq!(seen_on(&server, &root, ACME_HOST).await, ["org@example.com", "clinic@example.com"]);
    assert_eq!(seen_on(&server, &root, GLOBEX_HOST).await, ["globex@example.com"]);
    let named = server.get(LIST).by(&root).header("x-miosa-tenant", "globex").await.expect(200);
    assert_eq!(named["data"]["total"], 1);
    let contrary = server.get(LIST).by(&root).on(ACME_HOST).header("x-miosa-tenant", "globex").await;
    contrary.refused(404, "NOT_FOUND");
    server.delete(&item(&globex.id)).by(&root).on(ACME_HOST).await.refused(404, "NOT_FOUND");
    server.get(&item(&globex.token)).on(ACME_HOST).await.refused(404, "INVALID_TOKEN");
    server.get(&item(&org.token)).on(ACME_HOST).await.expect(200);
    assert_eq!(seen_on(&server, &globex_owner(), GLOBEX_HOST).await, ["globex@example.com"]);
}

async fn the_list_takes_filters_and_pages_across_organisations(server: TestServer) {
    three(&server).await;
    let root = system_admin();
    for (query, total) in [
        ("role=viewer", 1),
        ("role=Developer", 2),
        ("email=globex%40example.com", 1),
        (&format!("workspace_id={CLINIC}"), 1),
        ("status=accepted", 0),
        ("status=all&sort=-created_at", 3),
    ] {
        let body = server.get(&format!("{LIST}?{query}")).by(&root).await.expect(200);
        assert_eq!(body["data"]["total"], total, "{query}");
    }
    let (mut path, mut walked) = (format!("{LIST}?limit=1"), Vec::new());
    loop {
        let body = server.get(&path).by(&root).await.expect(200);
        assert_eq!(body["data"]["total"], 3);
        walked.push(body["data"]["invitations"][0]["email"].as_str().unwrap().to_owned());
        let Some(cursor) = body["data"]["next_cursor"].as_str() else { break };
        path = format!("{LIST}?limit=1&cursor={cursor}");
    }
    assert_eq!(walked, ["org@example.com", "clinic@example.com", "globex@example.com"]);
    let slip = server.get(&format!("{LIST}?statsu=all")).by(&root).await.refused(400, "BAD_REQUEST");
    assert!(slip["message"].as_str().unwrap().contains("did you mean `status`?"));
    assert_eq!(slip["success"], false);
}

async fn an_accepted_invitation_cannot_be_revoked(server: TestServer) {
    let invited = server.invite(Org, &acme_owner(), "alice@example.com", "member").await;
    let alice = person("alice@example.com");
    server.post(&format!("{}/accept", item(&invited.token)), &json!({})).by(&alice).await.expect(200);
    server.delete(&item(&invited.id)).by(&acme_owner()).await.refused(409, "ALREADY_ACCEPTED");
}

async fn creating_is_the_same_invite_as_in_the_other_families(server: TestServer) {
    for (org, workspace, kind) in [(ACME, None, Org), ("acme", Some(CLINIC), Workspace)] {
        let path = format!("/api/v1/organizations/{org}/members/invite");
        let mut body = json!({ "email": "alice@example.com", "role": "Developer" });
        if let Some(id) = workspace {
            body["workspace_id"] = id.into();
        }
        let made = server.post(&path, &body).by(&acme_owner()).await.expect(201);
        let invitation = &made["data"]["invitation"];
        assert_eq!(made["success"], true);
        let url = invitation["invite_url"].as_str().unwrap();
        assert_eq!(made["data"]["invite_url"], url);
        server.get(&kind.token(&token_of(url))).await.expect(200);
        assert_eq!(server.pending(kind, &acme_owner()).await[0]["id"], invitation["id"]);
        let again = server.post(&path, &body).by(&acme_owner()).await.expect(201);
        assert_eq!(again["data"]["invitation"]["id"], invitation["id"], "safe to repeat");
        body["email"] = Value::Null;
        server.post(&path, &body).by(&acme_owner()).await.refused(422, "MISSING_EMAIL");
        body["email"] = "bob@example.com".into();
        server.post(&path, &body).by(&person("stranger@example.com")).await.refused(404, "NOT_FOUND");
    }
    let elsewhere = json!({ "email": "a@example.com", "workspace_id": CLINIC });
    let globex = format!("/api/v1/organizations/{GLOBEX}/members/invite");
    server.post(&globex, &elsewhere).by(&globex_owner()).await.refused(404, "NOT_FOUND");
}

async fn a_member_is_added_to_a_workspace_at_once(server: TestServer) {
    let bob = server.joined(Org, "bob@example.com", "member").await;
    let path = format!("/api/v1/organizations/{ACME}/members/invite");
    let mut body = json!({ "email": bob.email(), "workspace_id": CLINIC, "role": "viewer" });
    let added = server.post(&path, &body).by(&acme_owner()).await.expect(200);
    assert_eq!(added["data"]["membership"]["user_id"], bob.user_id());
    assert_eq!(added["data"]["membership"]["role"]["name"], "Viewer");
    assert_eq!(added["data"]["membership"]["workspace"]["name"], "Dr. Smith Clinic");
    body["workspace_id"] = Value::Null;
    body["role"] = "member".into();
    server.post(&path, &body).by(&acme_owner()).await.refused(409, "ALREADY_MEMBER");
}

async fn roles_are_taken_by_id_or_name_in_any_case(server: TestServer) {
    let path = format!("/api/v1/organizations/{ACME}/members/invite");
    for (at, (role, id, name)) in [
        ("ADMIN", "admin", "Admin"),
        ("developer", "member", "Developer"),
        ("Member", "member", "Developer"),
        ("viewer", "viewer", "Viewer"),
        ("Owner", "owner", "Owner"),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({ "email": format!("r{at}@example.com"), "role": role, "workspace_id": CLINIC });
        let made = server.post(&path, &body).by(&acme_owner()).await.expect(201);
        assert_eq!(made["data"]["invitation"]["role"], json!({ "id": id, "name": name }), "{role}");
    }
    for (role, workspace) in [("boss", Some(CLINIC)), ("Viewer", None)] {
        let body = json!({ "email": "x@example.com", "role": role, "workspace_id": workspace });
        server.post(&path, &body).by(&acme_owner()).await.refused(422, "VALIDATION_ERROR");
    }
}

async fn resending_and_editing_go_by_id(server: TestServer) {
    let owner = acme_owner();
    for kind in KINDS {
        let silent = json!({ "email": "alice@example.com", "send_email": false });
        let invited = server.invite_with(kind, &owner, silent).await;
        let edit = json!({ "role": "Admin", "expires_in": 3600 });
        let edited = server.patch(&item(&invited.id), &edit).by(&owner).await.expect(200);
        assert_eq!(edited["data"]["invitation"]["role"]["id"], "admin");
        let resend = format!("{}/resend", item(&invited.id));
        let resent = server.post(&resend, &json!({})).by(&owner).await.expect(200);
        assert_eq!(resent["data"]["invitation"]["invite_url"], invited.url);
        server.post(&resend, &json!({})).by(&owner).await.refused(429, "rate_limit_exceeded");
        server.post(&resend, &json!({})).by(&person("stranger@example.com")).await.refused(404, "NOT_FOUND");
        server.advance(Duration::from_secs(3600));
        server
            .patch(&item(&invited.id), &json!({ "role": "member" }))
            .by(&owner)
            .await
            .refused(409, "EXPIRED");
    }
}

async fn one_by_id_needs_a_credential_that_may_see_it(server: TestServer) {
    let [org, ..] = three(&server).await;
    let body = server.get(&item(&org.id)).by(&acme_owner()).await.expect(200);
    assert_eq!(body["data"]["invitation"]["id"], org.id);
    assert_eq!(body["data"]["invitation"]["organization"]["id"], ACME);
    assert!(body["data"]["invitation"].get("invite_url").is_none());
    server.get(&item(&org.id)).await.refused(404, "INVALID_TOKEN");
    server.get(&item(&org.id)).bearer("bad.credential.here").await.refused(401, "invalid_token");
    server.delete(&item(&org.id)).by(&acme_owner()).await.expect(200);
    let body = server.get(&item(&org.id)).by(&acme_owner()).await.expect(200);
    assert_eq!(body["data"]["invitation"]["status"], "revoked", "in any state");
}

async fn a_slash_at_the_end_means_nothing(server: TestServer) {
    let invited = server.invite(Org, &acme_owner(), "alice@example.com", "member").await;
    let owner = acme_owner();
    for path in [LIST.to_owned(), format!("{LIST}?limit=1"), item(&invited.id), item(&invited.token)] {
        let (before, query) = path.split_once('?').unwrap_or((&path, ""));
        let slashed = format!("{before}/?{query}");
        let plain = server.get(&path).by(&owner).await;
        assert_eq!(
            plain.expect(200)["data"]["total"],
            server.get(&slashed).by(&owner).await.expect(200)["data"]["total"]
        );
    }
    let wrong = server.call(Method::PUT, &format!("{LIST}/")).by(&owner).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, HEAD"));
    let path = format!("/api/v1/organizations/{ACME}/members/invite/");
    server.post(&path, &json!({ "email": "bob@example.com" })).by(&owner).await.expect(201);
    server
        .post(&format!("{}/accept/", item(&invited.token)), &json!({}))
        .by(&person("alice@example.com"))
        .await
        .expect(200);
    server.delete(&format!("{}/", item(&invited.id))).by(&owner).await.refused(409, "ALREADY_ACCEPTED");
}

async fn every_error_says_success_false(server: TestServer) {
    let owner = acme_owner();
    let never = "01900000-0000-7000-8000-00000000ffff";
    let create = format!("/api/v1/organizations/{ACME}/members/invite");
    for answer in [
        server.get(LIST).await,
        server.get(&format!("{LIST}?limit=x")).by(&owner).await,
        server.get(&item("x")).await,
        server.delete(&item(never)).by(&owner).await,
        server.delete(&item("x")).by(&owner).await,
        server.call(Method::PUT, LIST).by(&owner).await,
        server.get(&format!("{}/no/such/route", item("x"))).by(&owner).await,
        server.get(LIST).by(&owner).on("evil.test").await,
        server.post(&create, &json!({})).by(&owner).await,
        server.call(Method::POST, &create).by(&owner).body("text/plain", "x").await,
        server.call(Method::POST, &create).by(&owner).body("application/json", "[").await,
    ] {
        assert!(answer.status >= 400);
        let body = answer.json();
        assert_eq!(body["success"], false, "{body}");
        assert!(body["error"]["code"].is_string() && body["code"] == body["error"]["code"], "{body}");
    }
    let other = server.get(&Org.collection()).await.refused(401, "invalid_token");
    assert!(other.get("success").is_none(), "only in this family");
}
