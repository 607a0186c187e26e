//! What the token of a link does in the family `/api/v1/invitations`: the public look, accepting, declining, and that
//! it is never taken for an id.

use std::time::Duration;

use serde_json::{Value, json};

use super::invitations::{item, three};
use crate::support::{
    ACME, CLINIC,
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines,
    invites::KINDS,
    person,
};

both_engines!(
    the_public_look_names_organisation_workspace_role_and_expiry_without_ids,
    the_public_look_ends_with_the_invitation,
    accepting_makes_the_memberships_and_grants_the_role,
    accepting_demands_the_invited_address,
    a_token_is_accepted_once,
    declining_takes_a_token_or_an_id,
    an_id_is_no_token_and_a_token_is_no_id,
    a_revoked_invitations_token_is_invalid,
);

async fn a_revoked_invitations_token_is_invalid(server: TestServer) {
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "alice@example.com", "member").await;
        server.get(&item(&invited.token)).await.expect(200);
        let body = server.delete(&item(&invited.id)).by(&acme_owner()).await.expect(200);
        assert_eq!(body, json!({ "success": true, "data": { "id": invited.id, "status": "revoked" } }));
        server.get(&item(&invited.token)).await.refused(404, "INVALID_TOKEN");
        let accept = format!("{}/accept", item(&invited.token));
        let alice = person("alice@example.com");
        server.post(&accept, &json!({})).by(&alice).await.refused(409, "REVOKED");
    }
}

async fn the_public_look_names_organisation_workspace_role_and_expiry_without_ids(server: TestServer) {
    let [org, clinic, _] = three(&server).await;
    let body = server.get(&item(&clinic.token)).await.expect(200);
    let shown = &body["data"]["invitation"];
    assert_eq!(body["success"], true);
    assert_eq!(shown["organization"], json!({ "name": "Acme Corp" }));
    assert_eq!(shown["workspace"], json!({ "name": "Dr. Smith Clinic" }));
    assert_eq!(shown["role"], json!({ "id": "viewer", "name": "Viewer" }));
    assert_eq!(shown["expires_at"], clinic.data["expires_at"]);
    let text = body.to_string();
    for secret in [ACME, CLINIC, &clinic.id, acme_owner().email()] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let body = server.get(&item(&org.token)).bearer("bad.credential.here").await.expect(200);
    assert_eq!(body["data"]["invitation"]["workspace"], Value::Null);
}

async fn the_public_look_ends_with_the_invitation(server: TestServer) {
    let accepted = server.invite(Workspace, &acme_owner(), "alice@example.com", "member").await;
    server.accept(&accepted, &person("alice@example.com")).await.expect(200);
    server.get(&item(&accepted.token)).await.refused(409, "ALREADY_ACCEPTED");
    let declined = server.invite(Org, &acme_owner(), "bob@example.com", "member").await;
    server.decline(&declined, &person("bob@example.com")).await.expect(200);
    server.get(&item(&declined.token)).await.refused(404, "INVALID_TOKEN");
    let short = json!({ "email": "cat@example.com", "expires_in": 300 });
    let expired = server.invite_with(Org, &acme_owner(), short).await;
    server.advance(Duration::from_secs(300));
    server.get(&item(&expired.token)).await.refused(410, "EXPIRED");
    let accept = format!("{}/accept", item(&expired.token));
    server.post(&accept, &json!({})).by(&person("cat@example.com")).await.refused(410, "EXPIRED");
    server.get(&item("never.was.one")).await.refused(404, "INVALID_TOKEN");
}

async fn accepting_makes_the_memberships_and_grants_the_role(server: TestServer) {
    let alice = person("alice@example.com");
    let invited = server.invite(Workspace, &acme_owner(), alice.email(), "admin").await;
    let body =
        server.post(&format!("{}/accept", item(&invited.token)), &json!({})).by(&alice).await.expect(200);
    assert_eq!(
        body["data"]["membership"],
        json!({
            "organization": { "id": ACME, "name": "Acme Corp" },
            "workspace": { "id": CLINIC, "name": "Dr. Smith Clinic" },
            "role": { "id": "admin", "name": "Admin" },
            "user_id": alice.user_id(),
        })
    );
    let rows = server.inspect().await;
    let members =
        |table: &str| format!("SELECT role AS t FROM {table} WHERE user_id = '{}'", alice.user_id());
    assert_eq!(rows.texts(&members("tenant_members")).await, ["member"]);
    assert_eq!(rows.texts(&members("workspace_members")).await, ["admin"]);
    let bob = person("bob@example.com");
    let org = server.invite(Org, &acme_owner(), bob.email(), "admin").await;
    let body = server.post(&format!("{}/accept", item(&org.token)), &json!({})).by(&bob).await.expect(200);
    assert_eq!(body["data"]["membership"]["workspace"], Value::Null);
}

async fn accepting_demands_the_invited_address(server: TestServer) {
    let invited = server.invite(Org, &acme_owner(), "alice@example.com", "member").await;
    let accept = format!("{}/accept", item(&invited.token));
    let mallory = person("mallory@example.com");
    server.post(&accept, &json!({})).by(&mallory).await.refused(422, "EMAIL_MISMATCH");
    server.post(&accept, &json!({})).await.refused(401, "invalid_token");
    server.post(&accept, &json!({})).by(&person("alice@example.com")).await.expect(200);
}

async fn a_token_is_accepted_once(server: TestServer) {
    let alice = person("alice@example.com");
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), alice.email(), "member").await;
        let accept = format!("{}/accept", item(&invited.token));
        let answer = server.post(&accept, &json!({})).by(&alice).await;
        if answer.status != 200 {
            continue;
        }
        let again = server.post(&accept, &json!({})).by(&alice).await.refused(409, "ALREADY_ACCEPTED");
        assert_eq!(again["error"]["details"]["accepted_by_you"], true);
        return;
    }
    panic!("nothing was accepted");
}

async fn declining_takes_a_token_or_an_id(server: TestServer) {
    let alice = person("alice@example.com");
    let first = server.invite(Org, &acme_owner(), alice.email(), "member").await;
    let by_token = format!("{}/decline", item(&first.token));
    let body = server.post(&by_token, &json!({ "note": "no" })).by(&alice).await.expect(200);
    assert_eq!((&body["data"]["id"], &body["data"]["status"]), (&json!(first.id), &json!("declined")));
    assert_eq!(server.post(&by_token, &json!({})).by(&alice).await.expect(200), body);
    let second = server.invite(Workspace, &acme_owner(), alice.email(), "member").await;
    let by_id = format!("{}/decline", item(&second.id));
    server.post(&by_id, &json!({})).by(&person("mallory@example.com")).await.refused(404, "NOT_FOUND");
    let unclaimed = alice.clone().without("email_verified");
    server.post(&by_id, &json!({})).by(&unclaimed).await.refused(403, "EMAIL_NOT_VERIFIED");
    let body = server.post(&by_id, &json!({})).by(&alice).await.expect(200);
    assert_eq!(body["data"]["declined"], true);
}

async fn an_id_is_no_token_and_a_token_is_no_id(server: TestServer) {
    let alice = person("alice@example.com");
    let invited = server.invite(Org, &acme_owner(), alice.email(), "member").await;
    server.get(&item(&invited.id)).await.refused(404, "INVALID_TOKEN");
    let accept = format!("{}/accept", item(&invited.id));
    server.post(&accept, &json!({})).by(&alice).await.refused(404, "INVALID_TOKEN");
    server.delete(&item(&invited.token)).by(&acme_owner()).await.refused(400, "INVALID_ID");
    server
        .patch(&item(&invited.token), &json!({ "role": "admin" }))
        .by(&acme_owner())
        .await
        .refused(400, "INVALID_ID");
    let resend = format!("{}/resend", item(&invited.token));
    server.post(&resend, &json!({})).by(&acme_owner()).await.refused(400, "INVALID_ID");
    assert_eq!(server.pending(Org, &acme_owner()).await.len(), 1, "nothing has happened to it");
}
