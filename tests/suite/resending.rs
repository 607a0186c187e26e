//! Sending an invite again and editing it while it waits, of both kinds: the same link or a new one, at most
//! one mail per cooldown, and what a finished invite answers.

use std::time::Duration;

use serde_json::{Value, json};
use usher::domain::clock::parse_rfc3339;

use crate::support::{
    Invited, TestServer, acme_owner, both_engines, eventually, invites::KINDS, invites::token_of, person,
};

both_engines!(
    a_resend_keeps_the_link,
    a_resend_within_the_cooldown_mails_nothing,
    a_rotated_link_kills_the_old_one,
    rotating_does_not_wait_for_the_cooldown,
    a_resend_goes_to_the_stored_address_whatever_the_body_says,
    finished_invites_are_not_resent,
    resending_what_has_expired_makes_a_new_link,
    role_and_end_of_life_can_be_edited,
    an_edit_outside_of_the_bounds_is_refused,
    finished_invites_are_not_edited,
    an_expired_invite_is_revived_only_by_a_new_end_of_life,
    nothing_is_mailed_when_no_mail_is_asked_for,
);

const COOLDOWN: Duration = Duration::from_secs(61);

/// The invite as it is after a resend: same id, maybe another link.
fn resent(invited: &Invited, body: &Value) -> Invited {
    let url = body["invite_url"].as_str().unwrap().to_owned();
    assert_eq!(body["data"]["id"], invited.id);
    Invited { token: token_of(&url), url, ..invited.clone() }
}

async fn a_resend_keeps_the_link(server: TestServer) {
    for kind in KINDS {
        let email = format!("bob-{kind:?}@example.com");
        let invited = server.invite(kind, &acme_owner(), &email, "member").await;
        server.letters_to(&email, 1).await;
        server.advance(COOLDOWN);
        let body = server.resend(&invited, &acme_owner(), &json!({})).await.expect(200);
        assert_eq!(body["invite_url"], invited.url);
        assert_eq!(body["data"]["id"], invited.id);
        let mails = server.letters_to(&email, 2).await;
        assert_eq!(mails.iter().map(|m| m.link.as_str()).collect::<Vec<_>>(), [&invited.url, &invited.url]);
        server.accept(&invited, &person(&email)).await.expect(200);
    }
}

async fn a_resend_within_the_cooldown_mails_nothing(server: TestServer) {
    for kind in KINDS {
        let email = format!("bob-{kind:?}@example.com");
        let invited = server.invite(kind, &acme_owner(), &email, "member").await;
        server.letters_to(&email, 1).await;
        let answer = server.resend(&invited, &acme_owner(), &json!({})).await;
        let body = answer.refused(429, "rate_limit_exceeded");
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert_eq!(body["retry_after"], seconds);
        assert_eq!(body["error"]["retry_after"], seconds);
        assert!(body["error"]["retry_after_ms"].is_u64(), "{body}");
        assert_eq!(body["error"]["retryable"], true);
        server.advance(Duration::from_secs(seconds));
        server.resend(&invited, &acme_owner(), &json!({})).await.expect(200);
        assert_eq!(server.letters_to(&email, 2).await.len(), 2);
    }
}

async fn a_rotated_link_kills_the_old_one(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let old = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        // a mail that had not left by then would be cancelled with its link
        server.letters_to(bob.email(), 1).await;
        server.advance(COOLDOWN);
        let body = server.resend(&old, &acme_owner(), &json!({ "rotate": true })).await.expect(200);
        let new = resent(&old, &body);
        assert_ne!(new.token, old.token);
        server.preview(&old).await.refused(404, kind.invalid_token());
        server.accept(&old, &bob).await.refused_as(kind.unknown());
        server.decline(&old, &bob).await.refused_as(kind.unknown());
        server.preview(&new).await.expect(200);
        assert_eq!(server.letters_to(bob.email(), 2).await[1].link, new.url);
        server.accept(&new, &bob).await.expect(200);
        server.accept(&old, &bob).await.refused_as(kind.unknown());
    }
}

async fn rotating_does_not_wait_for_the_cooldown(server: TestServer) {
    let bob = person("bob@example.com");
    for kind in KINDS {
        let old = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        let body = server.resend(&old, &acme_owner(), &json!({ "rotate": true })).await.expect(200);
        let new = resent(&old, &body);
        eventually("the mail with the new link", async || {
            server.letters().into_iter().find(|letter| letter.link == new.url)
        })
        .await;
    }
}

async fn a_resend_goes_to_the_stored_address_whatever_the_body_says(server: TestServer) {
    for kind in KINDS {
        let email = format!("bob-{kind:?}@example.com");
        let invited = server.invite(kind, &acme_owner(), &email, "member").await;
        server.letters_to(&email, 1).await;
        server.advance(COOLDOWN);
        let body = json!({ "email": "mallory@evil.test", "to": "mallory@evil.test", "role": "owner" });
        let answer = server.resend(&invited, &acme_owner(), &body).await.expect(200);
        assert_eq!(answer["data"]["role"], "member");
        server.letters_to(&email, 2).await;
        assert!(server.letters().iter().all(|letter| !letter.to.contains("mallory")));
    }
}

async fn finished_invites_are_not_resent(server: TestServer) {
    for kind in KINDS {
        let owner = acme_owner();
        let bob = person(&format!("bob-{kind:?}@example.com"));
        for body in [json!({}), json!({ "rotate": true })] {
            let email = format!("revoked-{kind:?}@example.com");
            let revoked = server.invite(kind, &owner, &email, "member").await;
            server.revoke(&revoked, &owner).await.expect(200);
            server.resend(&revoked, &owner, &body).await.refused(409, "REVOKED");
        }
        let taken = server.invite(kind, &owner, bob.email(), "member").await;
        server.accept(&taken, &bob).await.expect(200);
        server.resend(&taken, &owner, &json!({})).await.refused(409, "ALREADY_ACCEPTED");
    }
}

async fn resending_what_has_expired_makes_a_new_link(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let body = json!({ "email": bob.email(), "expires_in": 300 });
        let old = server.invite_with(kind, &acme_owner(), body).await;
        server.advance(Duration::from_secs(600));
        let new = resent(&old, &server.resend(&old, &acme_owner(), &json!({})).await.expect(200));
        assert_ne!(new.token, old.token, "a link once dead never lives again");
        server.accept(&old, &bob).await.refused_as(kind.unknown());
        server.accept(&new, &bob).await.expect(200);
    }
}

async fn role_and_end_of_life_can_be_edited(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), bob.email(), "member").await;
        let body = json!({ "role": "admin", "expires_in": 600 });
        let data = server.edit(&invited, &acme_owner(), &body).await.expect(200)["data"].clone();
        assert_eq!(data["id"], invited.id);
        assert_eq!(data["role"], "admin");
        let at = |data: &Value| parse_rfc3339(data["expires_at"].as_str().unwrap()).unwrap().0;
        assert!(at(&data) > server.now() + 590_000 && at(&data) <= server.now() + 600_000, "{data}");
        let at_noon =
            json!({ "expires_at": usher::domain::clock::rfc3339(entity::Millis(server.now() + 900_000)) });
        let data = server.edit(&invited, &acme_owner(), &at_noon).await.expect(200)["data"].clone();
        assert_eq!(data["expires_at"], at_noon["expires_at"]);
        assert_eq!(data["role"], "admin", "left as it was");
        assert_eq!(
            server.preview(&invited).await.expect(200)["data"]["role"],
            "admin",
            "the same link, at once"
        );
        server.accept(&invited, &bob).await.expect(200);
    }
}

async fn an_edit_outside_of_the_bounds_is_refused(server: TestServer) {
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "bob@example.com", "member").await;
        let in_days =
            |days: i64| usher::domain::clock::rfc3339(entity::Millis(server.now() + days * 86_400_000));
        for body in [
            json!({ "expires_in": 1 }),
            json!({ "expires_in": 91 * 86_400 }),
            json!({ "expires_in": 1.5 }),
            json!({ "expires_in": "600" }),
            json!({ "expires_in": 1e18 }),
            json!({ "expires_at": "2020-01-01T00:00:00Z" }),
            json!({ "expires_at": "9999-12-31T23:59:59Z" }),
            json!({ "expires_at": "2027-01-01T00:00:00" }),
            json!({ "expires_at": "tomorrow" }),
            json!({ "expires_at": in_days(91) }),
            json!({ "expires_in": 600, "expires_at": in_days(1) }),
            json!({ "role": "emperor" }),
        ] {
            let answer = server.edit(&invited, &acme_owner(), &body).await;
            assert!([400, 422].contains(&answer.status), "{body}: {}", answer.text());
            let data = server.show(&invited, &acme_owner()).await.expect(200)["data"].clone();
            assert_eq!(data["expires_at"], invited.data["expires_at"], "{body}");
        }
        let both = json!({ "expires_in": 600, "expires_at": in_days(1) });
        server.edit(&invited, &acme_owner(), &both).await.refused(422, "VALIDATION_ERROR");
    }
}

async fn finished_invites_are_not_edited(server: TestServer) {
    for kind in KINDS {
        let (owner, body) = (acme_owner(), json!({ "expires_in": 600 }));
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let revoked = server.invite(kind, &owner, bob.email(), "member").await;
        server.revoke(&revoked, &owner).await.expect(200);
        server.edit(&revoked, &owner, &body).await.refused(409, "REVOKED");
        let declined = server.invite(kind, &owner, bob.email(), "member").await;
        server.decline(&declined, &bob).await.expect(200);
        server.edit(&declined, &owner, &body).await.refused(409, "DECLINED");
        let taken = server.invite(kind, &owner, bob.email(), "member").await;
        server.accept(&taken, &bob).await.expect(200);
        server.edit(&taken, &owner, &body).await.refused(409, "ALREADY_ACCEPTED");
    }
}

async fn an_expired_invite_is_revived_only_by_a_new_end_of_life(server: TestServer) {
    for kind in KINDS {
        let bob = person(&format!("bob-{kind:?}@example.com"));
        let body = json!({ "email": bob.email(), "expires_in": 300 });
        let old = server.invite_with(kind, &acme_owner(), body).await;
        server.advance(Duration::from_secs(300));
        server.edit(&old, &acme_owner(), &json!({ "role": "admin" })).await.refused(409, "EXPIRED");
        server.edit(&old, &acme_owner(), &json!({ "expires_in": 3600 })).await.expect(200);
        server.accept(&old, &bob).await.refused_as(kind.unknown());
        server.preview(&old).await.refused(404, kind.invalid_token());
        server.advance(COOLDOWN);
        let new = resent(&old, &server.resend(&old, &acme_owner(), &json!({})).await.expect(200));
        server.accept(&new, &bob).await.expect(200);
    }
}

async fn nothing_is_mailed_when_no_mail_is_asked_for(server: TestServer) {
    for kind in KINDS {
        let email = format!("bob-{kind:?}@example.com");
        let body = json!({ "email": email, "send_email": false });
        let invited = server.invite_with(kind, &acme_owner(), body).await;
        assert_eq!(invited.data["delivery"], "none");
        let other = format!("other-{kind:?}@example.com");
        server.invite(kind, &acme_owner(), &other, "member").await;
        server.letters_to(&other, 1).await;
        assert!(server.letters().iter().all(|letter| letter.to != email));
        // no mail, so no cooldown
        server.resend(&invited, &acme_owner(), &json!({})).await.expect(200);
        assert_eq!(server.letters_to(&email, 1).await[0].link, invited.url);
    }
}
