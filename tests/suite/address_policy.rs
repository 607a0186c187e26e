//! Which addresses a tenant invites: allowed, blocked and throw-away domains, matched at label boundaries and in
//! their ASCII form, on every path that makes an invite.

use serde_json::json;

use crate::support::{
    ACME, CLINIC,
    Kind::{self, Org},
    Setup, TestServer, acme_owner, both_engines, globex_owner,
    invites::KINDS,
};

both_engines!(
    throw_away_domains_are_taken_unless_the_tenant_says_otherwise,
    throw_away_domains_are_refused_where_they_are_blocked => Setup::new()
        .acme("invites.disposable", "block"),
    no_path_to_an_invite_goes_around_the_policy => Setup::new().acme("invites.disposable", "block"),
    the_operator_adds_and_excepts_throw_away_domains => Setup::new()
        .server("invites.disposable", "block")
        .acme("invites.disposable_extra", vec!["throwaway.example", "wegwerf-bücher.example"])
        .acme("invites.disposable_except", vec!["yopmail.com"]),
    blocked_domains_are_refused_whatever_else_is_allowed => Setup::new()
        .acme("invites.allowed_domains", vec!["example.com", "mailinator.com"])
        .acme("invites.blocked_domains", vec!["labs.example.com"])
        .acme("invites.disposable", "block"),
);

async fn refused(server: &TestServer, kind: Kind, email: &str) {
    let answer = server.post(&kind.collection(), &json!({ "email": email })).by(&acme_owner()).await;
    let body = answer.refused(422, "VALIDATION_ERROR");
    assert!(body["errors"]["email"][0].is_string(), "{body}");
    assert!(!body.to_string().contains(email), "an address is not repeated: {body}");
}

async fn taken(server: &TestServer, kind: Kind, email: &str) {
    server.post(&kind.collection(), &json!({ "email": email })).by(&acme_owner()).await.expect(201);
}

async fn throw_away_domains_are_taken_unless_the_tenant_says_otherwise(server: TestServer) {
    for kind in KINDS {
        taken(&server, kind, "bob@mailinator.com").await;
    }
}

async fn throw_away_domains_are_refused_where_they_are_blocked(server: TestServer) {
    for kind in KINDS {
        for email in [
            "bob@mailinator.com",
            "bob@MAILINATOR.COM",
            "bob@sub.mailinator.com",
            "bob@a.b.c.mailinator.com",
            "bob@ｍailinator.com",
            "bob@yopmail.com",
        ] {
            refused(&server, kind, email).await;
        }
        for email in [
            "bob@mymailinator.com",
            "bob@mailinator.com.example.org",
            "mailinator.com@example.com",
            "bob@mailinatör.com",
            "bob@gmail.com",
        ] {
            taken(&server, kind, email).await;
        }
    }
    // the other tenant's own choice
    server.invite_to_globex(Org, "bob@mailinator.com").await;
}

async fn no_path_to_an_invite_goes_around_the_policy(server: TestServer) {
    let body = json!({ "email": "bob@mailinator.com", "role": "member" });
    for path in [
        format!("/api/v1/workspaces/{CLINIC}/invites"),
        format!("/api/v1/workspaces/{CLINIC}/members"),
        format!("/api/v1/tenants/{ACME}/invites"),
        format!("/api/v1/tenants/{ACME}/members"),
        "/api/v1/tenant/members".to_owned(),
    ] {
        server.post(&path, &body).by(&acme_owner()).await.refused(422, "VALIDATION_ERROR");
    }
    let operator = ["invite", "create", "--tenant", "acme", "--email", "bob@mailinator.com"];
    server.cli(&operator).await.failed(1, &["throw-away"]);
    for kind in KINDS {
        assert!(server.pending(kind, &acme_owner()).await.is_empty());
    }
}

async fn the_operator_adds_and_excepts_throw_away_domains(server: TestServer) {
    for kind in KINDS {
        for email in [
            "bob@throwaway.example",
            "bob@x.throwaway.example",
            "bob@xn--wegwerf-bcher-4ob.example",
            "bob@WEGWERF-BÜCHER.example",
            "bob@mailinator.com",
        ] {
            refused(&server, kind, email).await;
        }
        for email in ["bob@notthrowaway.example", "bob@yopmail.com", "bob@sub.yopmail.com"] {
            taken(&server, kind, email).await;
        }
    }
    let globex = server.post(&Org.globex_collection(), &json!({ "email": "bob@yopmail.com" }));
    globex.by(&globex_owner()).await.refused(422, "VALIDATION_ERROR");
    server.invite_to_globex(Org, "bob@throwaway.example").await;
}

async fn blocked_domains_are_refused_whatever_else_is_allowed(server: TestServer) {
    for kind in KINDS {
        for email in [
            "bob@labs.example.com",
            "bob@x.labs.example.com",
            "bob@attacker-example.com",
            "bob@example.com.evil.test",
            "bob@example.org",
        ] {
            refused(&server, kind, email).await;
        }
        // allowed by name: whoever names a throw-away domain means it
        for email in
            ["bob@example.com", "bob@eu.example.com", "bob@notlabs.example.com", "bob@mailinator.com"]
        {
            taken(&server, kind, email).await;
        }
    }
}
