//! Accepting, declining and revoking, of both kinds: what is answered, what exists afterwards, and what a
//! repeated or late call is told. The two kinds differ in bodies and in a few statuses, never in rules.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    ACME, CLINIC, Kind, Setup, TestServer, acme_owner, both_engines, invites::KINDS, person,
};

both_engines!(
    accepting_into_a_workspace_makes_both_memberships,
    accepting_into_an_organisation_makes_one_membership,
    a_repeated_acceptance_tells_the_same_person_that_it_worked,
    a_second_account_with_the_same_address_comes_too_late,
    the_state_is_told_before_the_address,
    a_higher_invite_raises_a_role_and_a_lower_one_leaves_it,
    declining_is_final_and_repeatable,
    a_declined_invite_keeps_the_note,
    revoking_is_repeatable_and_stops_at_what_is_finished,
    revoking_past_the_end_of_life_still_revokes,
    no_route_of_a_link_works_once_it_is_revoked,
    tokens_that_never_were_have_one_answer,
    the_documented_profile_answers_400 => Setup::new().server("compat.errors", "docs"),
);

async fn accepting_into_a_workspace_makes_both_memberships(server: TestServer) {
    let bob = person("bob@example.com");
    let invited = server.invite(Kind::Workspace, &acme_owner(), bob.email(), "viewer").await;
    let body = server.accept(&invited, &bob).await.expect(200);
    assert_eq!(body["accepted"], true);
    assert_eq!(body["workspace_id"], CLINIC);
    assert_eq!(body["tenant_id"], ACME);
    assert_eq!(body["role"], "viewer");

    let rows = server.inspect().await;
    let (member, org) = ("SELECT role AS t FROM workspace_members", "SELECT role AS t FROM tenant_members");
    let own = format!("WHERE user_id = '{}'", bob.user_id());
    assert_eq!(rows.texts(&format!("{member} {own}")).await, ["viewer"]);
    assert_eq!(rows.texts(&format!("{org} {own}")).await, ["member"], "a newcomer is a member of the tenant");
    rows.assert_sound().await;
}

async fn accepting_into_an_organisation_makes_one_membership(server: TestServer) {
    let bob = person("bob@example.com");
    let invited = server.invite(Kind::Org, &acme_owner(), bob.email(), "admin").await;
    let body = server.accept(&invited, &bob).await.expect(200);
    assert_eq!(body["accepted"], true);
    assert_eq!(body["tenant_id"], ACME);
    let tenant = &body["tenant"];
    assert_eq!(tenant["id"], ACME);
    assert_eq!(tenant["name"], "Acme Corp");
    assert_eq!(tenant["slug"], "acme");

    let rows = server.inspect().await;
    let own = format!("WHERE user_id = '{}'", bob.user_id());
    assert_eq!(rows.texts(&format!("SELECT role AS t FROM tenant_members {own}")).await, ["admin"]);
    assert_eq!(rows.count(&format!("SELECT count(*) AS n FROM workspace_members {own}")).await, 0);
    rows.assert_sound().await;
}

async fn a_repeated_acceptance_tells_the_same_person_that_it_worked(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        server.accept(&invited, &bob).await.expect(200);
        let again = server.accept(&invited, &bob).await.refused(409, "ALREADY_ACCEPTED");
        let details = &again["error"]["details"];
        assert_eq!(details["accepted_by_you"], true, "{again}");
        assert_eq!(details["tenant_id"], ACME);
        assert_eq!(details["role"], "member");
        if kind == Kind::Workspace {
            assert_eq!(details["workspace_id"], CLINIC);
        }
    }
}

async fn a_second_account_with_the_same_address_comes_too_late(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        server.accept(&invited, &bob).await.expect(200);
        let twin = bob.clone().with("sub", "u-the-twin");
        let late = server.accept(&invited, &twin).await.refused(409, "ALREADY_ACCEPTED");
        assert_ne!(late["error"]["details"]["accepted_by_you"], true, "{late}");
        let rows = server.inspect().await;
        let twins = "SELECT count(*) AS n FROM tenant_members WHERE user_id = 'u-the-twin'";
        assert_eq!(rows.count(twins).await, 0);
    }
}

async fn the_state_is_told_before_the_address(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        server.accept(&invited, &bob).await.expect(200);
        server.accept(&invited, &person("other@example.com")).await.refused(409, "ALREADY_ACCEPTED");

        let revoked = server.invite(kind, &acme_owner(), "carl@example.com", "member").await;
        server.revoke(&revoked, &acme_owner()).await.expect(200);
        server.accept(&revoked, &person("other@example.com")).await.refused_as(kind.revoked());
    }
}

async fn a_higher_invite_raises_a_role_and_a_lower_one_leaves_it(server: TestServer) {
    let owner = acme_owner();
    let bob = server.joined(Kind::Workspace, "bob@example.com", "admin").await;
    let rows = server.inspect().await;
    let role = format!("SELECT role AS t FROM tenant_members WHERE user_id = '{}'", bob.user_id());
    assert_eq!(rows.texts(&role).await, ["member"]);
    // both made before he belongs to the organisation in that role, accepted afterwards
    let carl = person("carl@example.com");
    let high = server.invite(Kind::Org, &owner, carl.email(), "admin").await;
    let low = server.invite(Kind::Workspace, &owner, carl.email(), "viewer").await;
    server.accept(&high, &carl).await.expect(200);
    server.accept(&low, &carl).await.expect(200);
    let role = format!("SELECT role AS t FROM tenant_members WHERE user_id = '{}'", carl.user_id());
    assert_eq!(
        rows.texts(&role).await,
        ["admin"],
        "a workspace invite carries `member`, which lowers nobody"
    );

    let dora = person("dora@example.com");
    let low = server.invite(Kind::Workspace, &owner, dora.email(), "viewer").await;
    let high = server.invite(Kind::Org, &owner, dora.email(), "admin").await;
    server.accept(&low, &dora).await.expect(200);
    server.accept(&high, &dora).await.expect(200);
    let role = format!("SELECT role AS t FROM tenant_members WHERE user_id = '{}'", dora.user_id());
    assert_eq!(rows.texts(&role).await, ["admin"], "raised");
}

async fn declining_is_final_and_repeatable(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        let other = server.decline(&invited, &person("other@example.com")).await;
        other.refused(422, "EMAIL_MISMATCH");
        for _ in 0..2 {
            let body = server.decline(&invited, &bob).await.expect(200);
            assert_eq!(body["declined"], true);
            assert_eq!(body["tenant_id"], ACME);
        }
        server.accept(&invited, &bob).await.refused(409, "DECLINED");
        assert_eq!(server.preview(&invited).await.status, 404);
        server.revoke(&invited, &acme_owner()).await.refused(409, "DECLINED");
        server.resend(&invited, &acme_owner(), &json!({})).await.refused(409, "DECLINED");

        let carl = person(&format!("carl-{kind:?}@example.com"));
        let taken = server.invite(kind, &acme_owner(), carl.email(), "member").await;
        server.accept(&taken, &carl).await.expect(200);
        server.decline(&taken, &carl).await.refused(409, "ALREADY_ACCEPTED");
    }
}

async fn a_declined_invite_keeps_the_note(server: TestServer) {
    let bob = person("bob@example.com");
    let invited = server.invite(Kind::Workspace, &acme_owner(), bob.email(), "member").await;
    let path = format!("{}/decline", Kind::Workspace.token(&invited.token));
    let too_long = server.post(&path, &json!({ "note": "x".repeat(501) })).by(&bob).await;
    too_long.refused(422, "VALIDATION_ERROR");
    server.post(&path, &json!({ "note": "wrong department" })).by(&bob).await.expect(200);
    let rows = server.inspect().await;
    assert_eq!(rows.texts("SELECT note AS t FROM invites").await, ["wrong department"]);
}

async fn revoking_is_repeatable_and_stops_at_what_is_finished(server: TestServer) {
    for kind in KINDS {
        let owner = acme_owner();
        let invited = server.invite(kind, &owner, "bob@example.com", "member").await;
        for _ in 0..2 {
            let body = server.revoke(&invited, &owner).await.expect(200);
            assert_eq!(body["revoked"], true);
            assert_eq!(body["invite_id"], invited.id);
        }
        let carl = person(&format!("carl-{kind:?}@example.com"));
        let taken = server.invite(kind, &owner, carl.email(), "member").await;
        server.accept(&taken, &carl).await.expect(200);
        server.revoke(&taken, &owner).await.refused(409, "ALREADY_ACCEPTED");
        let nothing = format!("{}/01900000-0000-7000-8000-00000000ffff", kind.collection());
        server.delete(&nothing).by(&owner).await.refused(404, "NOT_FOUND");
        server
            .delete(&format!("{}/not-an-id", kind.collection()))
            .by(&owner)
            .await
            .refused(400, "INVALID_ID");
    }
}

async fn revoking_past_the_end_of_life_still_revokes(server: TestServer) {
    for kind in KINDS {
        let owner = acme_owner();
        let body = json!({ "email": "bob@example.com", "expires_in": 300 });
        let invited = server.invite_with(kind, &owner, body).await;
        server.advance(Duration::from_secs(400));
        server.revoke(&invited, &owner).await.expect(200);
        assert_eq!(server.show(&invited, &owner).await.expect(200)["data"]["status"], "revoked");
        server.accept(&invited, &person("bob@example.com")).await.refused_as(kind.revoked());
    }
}

async fn no_route_of_a_link_works_once_it_is_revoked(server: TestServer) {
    for kind in KINDS {
        let bob = person("bob@example.com");
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        server.preview(&invited).await.expect(200);
        server.revoke(&invited, &acme_owner()).await.expect(200);
        server.preview(&invited).await.refused(404, kind.invalid_token());
        server.accept(&invited, &bob).await.refused_as(kind.revoked());
        server.decline(&invited, &bob).await.refused_as(kind.revoked());
        assert_eq!(server.inspect().await.count("SELECT count(*) AS n FROM workspace_members").await, 0);
    }
}

async fn tokens_that_never_were_have_one_answer(server: TestServer) {
    let bob = person("bob@example.com");
    for kind in KINDS {
        let elsewhere = server.invite_to_globex(kind, bob.email()).await;
        let foreign = server.get(&kind.token(&elsewhere.token)).on("app.acme.test").await;
        let garbage = server.get(&kind.token("eyJ.not.one")).on("app.acme.test").await;
        garbage.refused(404, kind.invalid_token());
        assert_eq!(foreign.anonymous(), garbage.anonymous());

        let accept = format!("{}/accept", kind.token("garbage"));
        let refused = server.post(&accept, &json!({})).by(&bob).await.refused_as(kind.unknown());
        if kind == Kind::Org {
            assert_eq!(refused["error"]["details"]["reason"], "not_found");
        }
    }
}

async fn the_documented_profile_answers_400(server: TestServer) {
    let (owner, bob) = (acme_owner(), person("bob@example.com"));
    let kind = Kind::Workspace;
    let garbage = format!("{}/accept", kind.token("garbage"));
    server.post(&garbage, &json!({})).by(&bob).await.refused(400, "INVALID_TOKEN");

    let short = json!({ "email": bob.email(), "expires_in": 300 });
    let expired = server.invite_with(kind, &owner, short).await;
    server.advance(Duration::from_secs(300));
    server.accept(&expired, &bob).await.refused(400, "INVALID_TOKEN");
    server.decline(&expired, &bob).await.refused(400, "INVALID_TOKEN");

    let revoked = server.invite(kind, &owner, bob.email(), "member").await;
    server.revoke(&revoked, &owner).await.expect(200);
    server.accept(&revoked, &bob).await.refused(400, "REVOKED");
    server.preview(&revoked).await.refused(404, "INVALID_TOKEN");

    let live = server.invite(kind, &owner, bob.email(), "member").await;
    server.accept(&live, &person("other@example.com")).await.refused(422, "EMAIL_MISMATCH");
    let body: Value = server.accept(&live, &bob).await.expect(200);
    assert_eq!(body["accepted"], true);
}
