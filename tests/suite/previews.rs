//! What a link shows to anybody before sign-in: exactly the agreed fields, true at this instant, without ids,
//! the inviter's address or the personal message, and without changing anything.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines,
    invites::KINDS,
    person,
};

both_engines!(
    a_preview_carries_the_agreed_fields_and_no_other,
    a_bad_credential_does_not_stand_in_the_way,
    looking_changes_nothing_however_often,
    an_expired_invite_is_shown_as_such_from_that_instant,
    an_accepted_invite_is_shown_as_such,
    a_change_shows_at_once,
    a_preview_racing_with_a_revocation_never_shows_it_pending_afterwards,
    head_answers_like_get_without_a_body,
);

/// Every field that a preview may carry.
const FIELDS: [&str; 22] = [
    "workspace_name",
    "tenant_name",
    "role",
    "email",
    "expires_at",
    "expired",
    "revoked",
    "accepted",
    "state",
    "next",
    "seats_left",
    "inviter_name",
    "branding",
    "logo_url",
    "primary_color",
    "support_email",
    "sign_in_url",
    "type",
    "kind",
    "scope",
    "locale",
    "support_url",
];

async fn a_preview_carries_the_agreed_fields_and_no_other(server: TestServer) {
    for kind in KINDS {
        let body = json!({ "email": "bob@example.com", "role": "member", "message": "a secret between us" });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        let answer = server.preview(&invited).await;
        let data = answer.expect(200)["data"].clone();
        let got: BTreeSet<&str> = data.as_object().unwrap().keys().map(String::as_str).collect();
        let unknown: Vec<_> = got.iter().filter(|key| !FIELDS.contains(key)).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {data}");
        assert_eq!(data["tenant_name"], "Acme Corp");
        assert_eq!(data["role"], "member");
        assert_eq!(data["email"], "bob@example.com");
        assert_eq!(data["expires_at"], invited.data["expires_at"]);
        for flag in ["expired", "revoked", "accepted"] {
            assert_eq!(data[flag], false, "{flag}");
        }
        match kind {
            Workspace => assert_eq!(data["workspace_name"], "Dr. Smith Clinic"),
            Org => assert!(data.get("workspace_name").is_none_or(Value::is_null)),
        }
        let text = answer.text();
        for secret in [&invited.id, acme_owner().email(), "a secret between us", &acme_owner().user_id()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

async fn a_bad_credential_does_not_stand_in_the_way(server: TestServer) {
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "bob@example.com", "member").await;
        for credential in ["garbage", "msk_u_0000", "eyJ.eyJ.x"] {
            server.preview(&invited).bearer(credential).await.expect(200);
        }
        let late = person("bob@example.com").with("exp", 1_000_000);
        server.preview(&invited).by(&late).await.expect(200);
        server.preview(&invited).header("x-miosa-tenant", "globex").await.expect(200);
    }
}

async fn looking_changes_nothing_however_often(server: TestServer) {
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "bob@example.com", "member").await;
        server.letters_to("bob@example.com", 1).await;
        let rows = server.inspect().await;
        let before = rows.texts("SELECT status || updated_at AS t FROM invites ORDER BY id").await;
        // what the mailer notes of the mail may come at any moment
        let told = "SELECT count(*) AS n FROM events WHERE kind NOT LIKE 'mail.%'";
        let events = rows.count(told).await;
        for turn in 0..25 {
            let method = if turn % 2 == 0 { Method::GET } else { Method::HEAD };
            for path in [kind.token(&invited.token), kind.page(&invited.token)] {
                let answer = server.call(method.clone(), &path).on("app.acme.test").await;
                assert_eq!(answer.status, 200, "{method} {path}");
            }
        }
        for path in ["accept", "decline"] {
            let path = format!("{}/{path}", kind.token(&invited.token));
            server.get(&path).by(&person("bob@example.com")).await.refused(405, "METHOD_NOT_ALLOWED");
        }
        assert_eq!(rows.texts("SELECT status || updated_at AS t FROM invites ORDER BY id").await, before);
        assert_eq!(rows.count(told).await, events);
    }
}

async fn an_expired_invite_is_shown_as_such_from_that_instant(server: TestServer) {
    for kind in KINDS {
        let body = json!({ "email": "bob@example.com", "expires_in": 300 });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        assert_eq!(server.preview(&invited).await.expect(200)["data"]["expired"], false);
        server.advance(Duration::from_secs(300));
        let data = server.preview(&invited).await.expect(200)["data"].clone();
        assert_eq!(data["expired"], true, "computed when it is shown, whatever a cache holds");
        assert_eq!(data["accepted"], false);
    }
}

async fn an_accepted_invite_is_shown_as_such(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        assert_eq!(server.preview(&invited).await.expect(200)["data"]["accepted"], false);
        server.accept(&invited, &bob).await.expect(200);
        let data = server.preview(&invited).await.expect(200)["data"].clone();
        assert_eq!(data["accepted"], true);
        assert_eq!(data["expired"], false);
    }
}

async fn a_change_shows_at_once(server: TestServer) {
    for kind in KINDS {
        let owner = acme_owner();
        let invited = server.invite(kind, &owner, "bob@example.com", "member").await;
        for round in 0..20 {
            let role = if round % 2 == 0 { "admin" } else { "member" };
            server.preview(&invited).await.expect(200);
            server.edit(&invited, &owner, &json!({ "role": role })).await.expect(200);
            assert_eq!(server.preview(&invited).await.expect(200)["data"]["role"], role, "round {round}");
        }
        server.revoke(&invited, &owner).await.expect(200);
        server.preview(&invited).await.refused(404, kind.invalid_token());
    }
}

async fn a_preview_racing_with_a_revocation_never_shows_it_pending_afterwards(server: TestServer) {
    let owner = acme_owner();
    for round in 0..crate::support::rounds("USHER_RACE_ROUNDS", 25) {
        let invited = server.invite(Workspace, &owner, &format!("bob{round}@example.com"), "member").await;
        let looking = async {
            for _ in 0..4 {
                server.preview(&invited).await;
            }
        };
        let revoking = async { server.revoke(&invited, &owner).patiently().await.expect(200) };
        tokio::join!(looking, revoking);
        server.preview(&invited).await.refused(404, "INVALID_TOKEN");
    }
}

async fn head_answers_like_get_without_a_body(server: TestServer) {
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "bob@example.com", "member").await;
        let (get, head) =
            (server.preview(&invited).await, server.call(Method::HEAD, &kind.token(&invited.token)).await);
        assert_eq!(get.status, head.status);
        assert_eq!(get.header("content-type"), head.header("content-type"));
        assert!(head.body.is_empty());
        let nothing = server.call(Method::HEAD, &kind.token("garbage")).await;
        assert_eq!(nothing.status, 404);
    }
}
