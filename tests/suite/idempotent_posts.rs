//! `Idempotency-Key` on every POST there is: each operation of the document, done once and told again.

use entity::Millis;
use serde_json::{Value, json};
use usher::domain::clock::rfc3339_millis;

use super::{
    idempotency::{KEY, assert_again, keyed},
    sharing,
};
use crate::support::{
    ACME, CLINIC, Credential, Invited,
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines,
    invites::KINDS,
    person,
};

both_engines!(every_post_of_the_document_is_answered_once);

/// Every POST with what it takes, in an order in which each can be done.
async fn posts(server: &TestServer) -> Vec<(&'static str, String, Value, String)> {
    let owner = acme_owner();
    let (carol, dave) = (person("carol@example.com"), person("dave@example.com"));
    server.joined(Org, "erin@example.com", "member").await;
    let by = owner.bearer();
    let mut all = Vec::new();
    let mut add = |template: &'static str, path: String, body: Value, by: &str| {
        all.push((template, path, body, by.to_owned()));
    };
    for kind in KINDS {
        let to = async |email: &str| server.invite(kind, &owner, email, "member").await;
        let (mine, other) = (to(carol.email()).await, to(dave.email()).await);
        let bodies = (json!({}), json!({ "note": "no" }));
        let token = |one: &Invited, verb: &str| format!("{}/{verb}", kind.token(&one.token));
        match kind {
            Org => {
                add("/invites/{token}/accept", token(&mine, "accept"), bodies.0, &carol.bearer());
                add("/invites/{token}/decline", token(&other, "decline"), bodies.1, &dave.bearer());
            }
            Workspace => {
                let frank = person("frank@example.com");
                let link = to(frank.email()).await;
                let path = "/workspace-invites/{token}/accept";
                add(path, token(&link, "accept"), json!({}), &frank.bearer());
                let gina = person("gina@example.com");
                let link = to(gina.email()).await;
                let path = "/workspace-invites/{token}/decline";
                add(path, token(&link, "decline"), json!({}), &gina.bearer());
            }
        }
    }
    let me = [
        ("/me/invites/{invite_id}/accept", "/me/invites", "accept"),
        ("/me/invitations/{invite_id}/accept", "/me/invitations", "accept"),
        ("/me/invites/{invite_id}/decline", "/me/invites", "decline"),
        ("/me/invitations/{invite_id}/decline", "/me/invitations", "decline"),
    ];
    for (at, (template, path, verb)) in me.into_iter().enumerate() {
        let who = person(&format!("me{at}@example.com"));
        let invited = server.invite(Org, &owner, who.email(), "member").await;
        add(template, format!("/api/v1{path}/{}/{verb}", invited.id), json!({}), &who.bearer());
    }
    let (nina, omar) = (person("nina@example.com"), person("omar@example.com"));
    let invited = server.invite(Workspace, &owner, nina.email(), "member").await;
    let accept = format!("/api/v1/invitations/{}/accept", invited.token);
    add("/invitations/{invitation}/accept", accept, json!({}), &nina.bearer());
    let invited = server.invite(Workspace, &owner, omar.email(), "member").await;
    let decline = format!("/api/v1/invitations/{}/decline", invited.token);
    add("/invitations/{invitation}/decline", decline, json!({}), &omar.bearer());
    let invited = server.invite(Org, &owner, "pia@example.com", "member").await;
    let resend = format!("/api/v1/invitations/{}/resend", invited.id);
    add("/invitations/{invitation}/resend", resend, json!({ "rotate": true }), &by);
    let member = json!({ "email": "quin@example.com", "workspace_id": CLINIC });
    let path = format!("/api/v1/organizations/{ACME}/members/invite");
    add("/organizations/{tenant_id}/members/invite", path, member, &by);
    let pending = server.invite(Org, &owner, "hal@example.com", "member").await;
    let there = server.invite(Workspace, &owner, "ian@example.com", "member").await;
    let rotate = json!({ "rotate": true });
    let resend = |one: &Invited| format!("{}/resend", one.kind.item(&one.id));
    add("/tenants/{tenant_id}/invites/{invite_id}/resend", resend(&pending), rotate.clone(), &by);
    add("/workspaces/{workspace_id}/invites/{invite_id}/resend", resend(&there), rotate, &by);
    let email = json!({ "email": "jane@example.com" });
    add("/tenants/{tenant_id}/invites", Org.collection(), email.clone(), &by);
    add("/workspaces/{workspace_id}/invites", Workspace.collection(), email, &by);
    let erin = json!({ "user_id": "u-erin-at-example.com", "role": "member" });
    add("/workspaces/{workspace_id}/members", format!("/api/v1/workspaces/{CLINIC}/members"), erin, &by);
    let other = |id: &str| json!({ "user_id": id, "role": "member" });
    add("/tenants/{tenant_id}/members", format!("/api/v1/tenants/{ACME}/members"), other("u-kim"), &by);
    add("/tenant/members", "/api/v1/tenant/members".into(), other("u-lee"), &by);
    add("/workspaces", "/api/v1/workspaces".into(), json!({ "name": "Night Shift" }), &by);
    let switch = format!("/api/v1/platform/tenants/{ACME}/switch");
    add("/platform/tenants/{tenant_id}/switch", switch, json!({}), &by);
    let verify = "/tenant/preview-domain/verify";
    add(verify, format!("/api/v1{verify}"), json!({}), &by);
    add("/api-keys", "/api/v1/api-keys".into(), json!({ "name": "ci" }), &by);
    let scoped = json!({ "external_user_id": "m", "scopes": ["invites:read"] });
    add("/api-keys/scoped", "/api/v1/api-keys/scoped".into(), scoped, &by);
    let key = server.post("/api/v1/api-keys", &json!({ "name": "old" })).by(&owner).await.expect(201);
    let rotate = format!("/api/v1/api-keys/{}/rotate", key["id"].as_str().unwrap());
    add("/api-keys/{key_id}/rotate", rotate, json!({}), &by);
    sharing_posts(server, &mut add).await;
    let to = json!({ "new_owner_user_id": "u-erin-at-example.com" });
    add("/tenant/transfer-ownership", "/api/v1/tenant/transfer-ownership".into(), to, &by);
    all
}

/// Those of Workspace Sharing; erin has joined the clinic by then.
async fn sharing_posts(server: &TestServer, add: &mut impl FnMut(&'static str, String, Value, &str)) {
    let (owner, rosa) = (acme_owner(), person("rosa@example.com"));
    let by = owner.bearer();
    let body = json!({ "invitedEmail": "sam@example.com" });
    add("/api/v2/workspaces/{workspaceId}/invite", sharing::clinic("invite"), body, &by);
    let asked = server.invite(Workspace, &owner, rosa.email(), "member").await;
    let quiet = json!({ "email": "tess@example.com", "send_email": false });
    let quiet = server.invite_with(Workspace, &owner, quiet).await;
    let respond = "/api/v2/workspaceInvitations/{invitationId}";
    let body = json!({ "status": "accepted", "userEmail": rosa.email() });
    add(respond, sharing::invitation(&asked.id, ""), body, &rosa.bearer());
    let body = json!({ "expirationDate": rfc3339_millis(Millis(server.now() + 3_600_000)) });
    let template = "/api/v2/workspaceInvitations/{invitationId}/expiration";
    add(template, sharing::invitation(&quiet.id, "/expiration"), body, &by);
    let template = "/api/v2/workspaceInvitations/{invitationId}/resend";
    add(template, sharing::invitation(&quiet.id, "/resend"), json!({}), &by);
    let erin = |rest: &str| sharing::clinic(&format!("sharedUsers/u-erin-at-example.com/{rest}"));
    let template = "/api/v2/workspaces/{workspaceId}/sharedUsers/{userId}/permissions";
    add(template, erin("permissions"), json!({ "permissions": "read" }), &by);
    let template = "/api/v2/workspaces/{workspaceId}/sharedUsers/{userId}/remove";
    add(template, erin("remove"), json!({}), &by);
}

async fn every_post_of_the_document_is_answered_once(server: TestServer) {
    let posts = posts(&server).await;
    let document = server.get("/openapi.json").await.expect(200);
    for (path, item) in document["paths"].as_object().unwrap() {
        let known = posts.iter().any(|(template, ..)| path.trim_start_matches("/api/v1") == *template);
        assert!(item.get("post").is_none() || known, "POST {path} needs a line in `posts`");
    }
    let rows = server.inspect().await;
    // those of mails come in their own time
    let events = "SELECT count(*) AS n FROM events WHERE kind NOT LIKE 'mail.%'";
    for (template, path, body, by) in posts {
        let post = || keyed(server.post(&path, &body).bearer(&by), KEY);
        let first = post().await;
        assert!((200..300).contains(&first.status), "{template}: {}", first.text());
        let before = rows.count(events).await;
        assert_again(&first, &post().await);
        assert_eq!(rows.count(events).await, before, "{template}");
    }
    rows.assert_sound().await;
}
