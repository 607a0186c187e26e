//! The inviter's authority at the moment of acceptance: what was sent by somebody who could not send it any
//! more is refused or revoked, can be re-issued by another admin, and an operator's invite is always good.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{
    Invited,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines, eventually,
    invites::{KINDS, token_of},
    person,
};

both_engines!(
    removing_a_member_revokes_what_they_could_no_longer_send,
    demoting_a_member_revokes_only_what_is_above_them_now,
    authority_is_checked_again_in_the_acceptance_itself,
    another_admin_re_issues_what_lost_its_inviter,
    a_permission_taken_away_by_configuration_counts_at_once => Setup::new()
        .acme("invites.permissions.member", vec!["invites:create", "invites:read"]),
    removing_somebody_revokes_what_was_sent_to_them_too,
    more_invites_than_one_statement_takes_are_revoked_with_their_inviter,
    the_last_owner_stays,
    an_operators_invite_is_always_authorised,
);

async fn removing_a_member_revokes_what_they_could_no_longer_send(server: TestServer) {
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let mut sent = Vec::new();
    for kind in KINDS {
        sent.push(server.invite(kind, &admin, &format!("bob-{kind:?}@example.com"), "member").await);
    }
    let kept = server.invite(Org, &acme_owner(), "kept@example.com", "member").await;
    server.cli(&["member", "remove", &admin.user_id(), "--tenant", "acme"]).await.data();
    for invited in &sent {
        let bob = person(invited.data["email"].as_str().unwrap());
        server.accept(invited, &bob).await.refused_as(invited.kind.revoked());
        let data = server.show(invited, &acme_owner()).await.expect(200)["data"].clone();
        assert_eq!(data["status"], "revoked");
    }
    server.accept(&kept, &person("kept@example.com")).await.expect(200);
    server.inspect().await.assert_sound().await;
}

async fn demoting_a_member_revokes_only_what_is_above_them_now(server: TestServer) {
    let second = server.joined(Org, "second@example.com", "owner").await;
    for kind in KINDS {
        let high = server.invite(kind, &second, &format!("high-{kind:?}@example.com"), "owner").await;
        let low = server.invite(kind, &second, &format!("low-{kind:?}@example.com"), "admin").await;
        server.cli(&["member", "set-role", &second.user_id(), "admin", "--tenant", "acme"]).await.data();
        let who = person(high.data["email"].as_str().unwrap());
        server.accept(&high, &who).await.refused_as(kind.revoked());
        server.accept(&low, &person(low.data["email"].as_str().unwrap())).await.expect(200);
        server.cli(&["member", "set-role", &second.user_id(), "owner", "--tenant", "acme"]).await.data();
    }
}

async fn authority_is_checked_again_in_the_acceptance_itself(server: TestServer) {
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let rows = server.inspect().await;
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &admin, bob.email(), "admin").await;
        // behind the server's back, so that nothing is revoked along
        let role = |role: &str| {
            format!("UPDATE tenant_members SET role = '{role}' WHERE user_id = '{}'", admin.user_id())
        };
        assert_eq!(rows.execute(&role("member")).await, 1);
        server.accept(&invited, &bob).await.refused(409, "INVITER_NOT_AUTHORIZED");
        let data = server.show(&invited, &acme_owner()).await.expect(200)["data"].clone();
        assert_eq!(data["status"], "pending", "it waits for another admin");
        assert_eq!(rows.execute(&role("admin")).await, 1);
        server.accept(&invited, &bob).await.expect(200);
    }
}

async fn another_admin_re_issues_what_lost_its_inviter(server: TestServer) {
    let rows = server.inspect().await;
    for kind in KINDS {
        for how in ["resend", "edit", "create"] {
            let admin = server.joined(Org, &format!("admin-{kind:?}-{how}@example.com"), "admin").await;
            let bob = person(&format!("bob-{kind:?}-{how}@example.com"));
            let mut invited = server.invite(kind, &admin, bob.email(), "member").await;
            let gone =
                format!("UPDATE tenant_members SET role = 'member' WHERE user_id = '{}'", admin.user_id());
            rows.execute(&gone).await;
            server.accept(&invited, &bob).await.refused(409, "INVITER_NOT_AUTHORIZED");
            match how {
                "resend" => {
                    server.advance(Duration::from_secs(61));
                    let body = server.resend(&invited, &acme_owner(), &json!({})).await.expect(200);
                    invited.token = token_of(body["invite_url"].as_str().unwrap());
                }
                "edit" => {
                    server.edit(&invited, &acme_owner(), &json!({ "expires_in": 3600 })).await.expect(200);
                }
                _ => {
                    let again = server.invite(kind, &acme_owner(), bob.email(), "member").await;
                    assert_eq!(again.id, invited.id);
                }
            }
            let data = server.show(&invited, &acme_owner()).await.expect(200)["data"].clone();
            assert_eq!(data["invited_by"], acme_owner().user_id(), "{how}: the inviter of record");
            server.accept(&invited, &bob).await.expect(200);
        }
    }
}

async fn a_permission_taken_away_by_configuration_counts_at_once(mut server: TestServer) {
    let member = server.joined(Org, "member@example.com", "member").await;
    let bob = person("bob@example.com");
    let invited = server.invite(Org, &member, bob.email(), "member").await;
    server.setup = server.setup.clone().acme("invites.permissions.member", vec!["invites:read"]);
    server.configure();
    eventually("the permission to be gone", async || {
        let body = json!({ "email": "carl@example.com" });
        (server.post(&Org.collection(), &body).by(&member).await.status == 403).then_some(())
    })
    .await;
    server.accept(&invited, &bob).await.refused(409, "INVITER_NOT_AUTHORIZED");
}

async fn removing_somebody_revokes_what_was_sent_to_them_too(server: TestServer) {
    let second = server.post("/api/v1/workspaces", &json!({ "name": "Second" })).by(&acme_owner()).await;
    let second = Workspace.collection_in(second.expect(201)["id"].as_str().unwrap());
    let bob = person("bob@example.com");
    let one = server.invite(Workspace, &acme_owner(), bob.email(), "member").await;
    let two = server.post(&second, &json!({ "email": bob.email() })).by(&acme_owner()).await.expect(201);
    server.accept(&one, &bob).await.expect(200);
    server.cli(&["member", "remove", &bob.user_id(), "--tenant", "acme"]).await.data();
    let token = token_of(two["data"]["invite_url"].as_str().unwrap());
    let path = format!("{}/accept", Workspace.token(&token));
    server.post(&path, &json!({})).by(&bob).await.refused(409, "REVOKED");
    let rows = server.inspect().await;
    assert_eq!(
        rows.count("SELECT count(*) AS n FROM workspace_members WHERE user_id LIKE 'u-bob%'").await,
        0
    );
    rows.assert_sound().await;
}

/// A removal revokes a thousand at once; the rest follows by itself, and none of it can be accepted meanwhile.
async fn more_invites_than_one_statement_takes_are_revoked_with_their_inviter(server: TestServer) {
    const SENT: usize = 1100;
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let mut last = None;
    for some in (0..SENT).collect::<Vec<_>>().chunks(50) {
        let made = join_all(some.iter().map(|at| {
            let body = json!({ "email": format!("bob{at}@example.com"), "send_email": false });
            server.post(&Org.collection(), &body).by(&admin).patiently()
        }));
        last = made.await.pop();
    }
    let last = Invited::read(Org, &last.unwrap().expect(201));
    let kept = server.invite(Org, &acme_owner(), "kept@example.com", "member").await;
    let path = format!("/api/v1/tenant/members/{}", admin.user_id());
    server.delete(&path).by(&acme_owner()).await.expect(200);
    let refused = server.accept(&last, &person(last.data["email"].as_str().unwrap())).await;
    let code = refused.json()["code"].as_str().unwrap_or_default().to_owned();
    assert!(["REVOKED", "INVITER_NOT_AUTHORIZED"].contains(&code.as_str()), "{}", refused.text());
    let rows = server.inspect().await;
    let pending = "SELECT count(*) AS n FROM invites WHERE status = 'pending'";
    eventually("all of them to be revoked", async || (rows.count(pending).await == 1).then_some(())).await;
    let revoked = "SELECT count(*) AS n FROM invites WHERE status = 'revoked'";
    assert_eq!(rows.count(revoked).await, i64::try_from(SENT).unwrap());
    let told = "SELECT count(*) AS n FROM events WHERE kind = 'invite.revoked'";
    assert_eq!(rows.count(told).await, i64::try_from(SENT).unwrap(), "one event each");
    server.accept(&kept, &person("kept@example.com")).await.expect(200);
    rows.assert_sound().await;
}

async fn the_last_owner_stays(server: TestServer) {
    let owner = acme_owner();
    server.get(&Org.collection()).by(&owner).await.expect(200);
    let id = owner.user_id();
    for arguments in [
        vec!["member", "remove", &id, "--tenant", "acme"],
        vec!["member", "set-role", &id, "admin", "--tenant", "acme"],
    ] {
        server.cli(&arguments).await.failed(1, &["last owner"]);
    }
    server.get(&Org.collection()).by(&owner).await.expect(200);
    let second = server.joined(Org, "second@example.com", "owner").await;
    server.cli(&["member", "set-role", &id, "member", "--tenant", "acme"]).await.data();
    server.get(&Org.collection()).by(&second).await.expect(200);
    server.inspect().await.assert_sound().await;
}

async fn an_operators_invite_is_always_authorised(server: TestServer) {
    let bob = person("bob@example.com");
    let arguments = ["invite", "create", "--tenant", "acme", "--email", "bob@example.com", "--role", "owner"];
    let url = server.cli(&arguments).await.data();
    assert!(url.starts_with("https://app.acme.test/invites/eyJ"), "the link alone: {url}");
    let path = format!("{}/accept", Org.token(&token_of(&url)));
    server.post(&path, &json!({})).by(&bob).await.expect(200);
    server.get(&Org.collection()).by(&bob).await.expect(200);
}
