//! What genuine tokens say: audiences, times, subjects, and the mapping onto a principal.

use entity::{AddressState, UserId};

use super::*;
use crate::identity::{UserIdentity, bearer::MintError};

async fn with_claims(changes: Value) -> Result<Principal, Refusal> {
    verify(issuer(), &signer().token(None, &with(&changes))).await
}

async fn user_of(issuer: Issuer, changes: Value) -> UserIdentity {
    verify(issuer, &signer().token(None, &with(&changes))).await.unwrap().user.unwrap()
}

#[tokio::test]
async fn the_audience_must_be_named() {
    for aud in [json!("usher"), json!(["other", "usher"])] {
        assert!(with_claims(json!({ "aud": aud })).await.is_ok(), "{aud}");
    }
    for aud in [
        json!("REMOVED"),
        json!("other"),
        json!("usher "),
        json!(["other"]),
        json!([]),
        json!(null),
        json!(1),
        json!({"usher": 1}),
        json!(["usher", 1]),
    ] {
        assert!(is_refused(&with_claims(json!({ "aud": aud })).await), "{aud}");
    }
    for claim in ["azp", "client_id"] {
        let other = Issuer { audience_claim: claim.into(), ..issuer() };
        assert!(
            is_refused(&verify(other.clone(), &signer().token(None, &claims("u1"))).await),
            "aud does not count"
        );
        let mut named = json!({ "aud": "account" });
        named[claim] = json!("usher");
        assert!(verify(other, &signer().token(None, &with(&named))).await.is_ok());
    }
}

#[tokio::test]
async fn times_are_whole_seconds_judged_with_thirty_of_leeway() {
    let now = now();
    for fine in
        [json!({ "exp": now - 28 }), json!({ "nbf": now + 28 }), json!({ "nbf": now - 5, "iat": now })]
    {
        assert!(with_claims(fine.clone()).await.is_ok(), "{fine}");
    }
    for bad in [
        json!({ "exp": now - 32 }),
        json!({ "exp": "REMOVED" }),
        json!({ "exp": null }),
        json!({ "exp": (now + 600).to_string() }),
        json!({ "exp": now as f64 + 600.5 }),
        json!({ "exp": 1e20 }),
        json!({ "exp": -1 }),
        json!({ "exp": [now + 600] }),
        json!({ "nbf": now + 33 }),
        json!({ "nbf": "0" }),
        json!({ "nbf": 1.5 }),
        json!({ "nbf": -1 }),
        json!({ "nbf": null }),
        json!({ "iat": "0" }),
        json!({ "iat": 1e20 }),
        json!({ "iat": -1 }),
    ] {
        assert!(is_refused(&with_claims(bad.clone()).await), "{bad}");
    }
}

#[tokio::test]
async fn repeated_claims_are_refused() {
    let (iss, exp) = (ISSUER, now() + 600);
    let fine = format!(r#"{{"iss":"{iss}","aud":"usher","sub":"u1","exp":{exp}}}"#);
    assert!(verify(issuer(), &signer().raw(r#"{"alg":"HS256"}"#, &fine)).await.is_ok());
    for repeated in [
        r#""sub":"u2","#,
        r#""iss":"x","#,
        r#""aud":"x","#,
        r#""exp":1,"#,
        r#""x":1,"x":1,"#,
        r#""x":{"y":1,"y":2},"#,
    ] {
        let payload = fine.replacen('{', &format!("{{{repeated}"), 1);
        assert!(
            is_refused(&verify(issuer(), &signer().raw(r#"{"alg":"HS256"}"#, &payload)).await),
            "{repeated}"
        );
    }
}

#[tokio::test]
async fn a_subject_is_a_text_that_can_be_part_of_an_id() {
    for sub in [json!("auth0|5f"), json!("Ü"), json!("x".repeat(255))] {
        assert!(with_claims(json!({ "sub": sub })).await.is_ok(), "{sub}");
    }
    for sub in [
        json!("REMOVED"),
        json!(""),
        json!(null),
        json!(7),
        json!(["u1"]),
        json!("a\u{0}b"),
        json!("a\nb"),
        json!("x".repeat(256)),
    ] {
        assert!(is_refused(&with_claims(json!({ "sub": sub })).await), "{sub}");
    }
    let prefixed = Issuer { subject_prefix: "corp:".into(), ..issuer() };
    let user = user_of(prefixed, json!({ "sub": "a B" })).await;
    assert_eq!(
        (user.id, user.subject.as_str(), user.issuer.as_str()),
        (UserId("corp:a B".into()), "a B", ISSUER)
    );
}

#[tokio::test]
async fn an_address_is_verified_by_true_alone_and_absence_is_told_apart() {
    use AddressState::{Absent, Unverified, Verified};
    let trusted = Issuer { trust_email: true, ..issuer() };
    for (claim, plain, with_trust) in [
        (json!(true), Verified, Verified),
        (json!("REMOVED"), Absent, Verified),
        (json!(false), Unverified, Unverified),
        (json!(null), Unverified, Unverified),
        (json!("true"), Unverified, Unverified),
        (json!(1), Unverified, Unverified),
        (json!([true]), Unverified, Unverified),
        (json!({}), Unverified, Unverified),
    ] {
        let changes = json!({ "email": "Alice@Example.COM", "email_verified": claim });
        let user = user_of(issuer(), changes.clone()).await;
        assert_eq!(user.email_state, plain, "{claim}");
        assert_eq!(user.email.as_ref().unwrap().norm(), "alice@example.com");
        assert_eq!(user.verified_email().is_some(), plain == Verified);
        assert_eq!(user_of(trusted.clone(), changes).await.email_state, with_trust, "{claim} where trusted");
    }
}

#[tokio::test]
async fn claims_are_found_by_their_configured_names() {
    let mapped = Issuer {
        email_claim: "https://x/email".into(),
        email_verified_claim: "profile.mail.verified".into(),
        name_claim: "profile.name".into(),
        ..issuer()
    };
    let user = user_of(
        mapped.clone(),
        json!({
            "https://x/email": "alice@example.com", "email": "other@example.com", "email_verified": false,
            "profile": { "name": "Alice\u{202e}\n B", "mail": { "verified": true } },
        }),
    )
    .await;
    assert_eq!(user.verified_email().unwrap().as_str(), "alice@example.com");
    assert_eq!(user.name.as_deref(), Some("Alice B"));
    let nulled = user_of(mapped.clone(), json!({ "profile": { "mail": { "verified": null } } })).await;
    assert_eq!(nulled.email_state, AddressState::Unverified);
    let absent = user_of(mapped, json!({ "profile": { "mail": "x" } })).await;
    assert_eq!((absent.email_state, absent.email), (AddressState::Absent, None));
}

#[tokio::test]
async fn what_is_no_single_address_is_none() {
    for email in [
        json!(["a@x.test"]),
        json!("a@x.test,b@y.test"),
        json!("<a@x.test>b@y.test"),
        json!("mıke@x.test"),
        json!(5),
        json!(null),
        json!(""),
    ] {
        let user = user_of(issuer(), json!({ "email": email, "email_verified": true })).await;
        assert_eq!(user.verified_email(), None, "{email}");
    }
}

#[tokio::test]
async fn system_admins_are_made_by_claim_or_list_of_server_level_issuers_only() {
    assert!(with_claims(json!({ "role": "system_admin" })).await.unwrap().system_admin);
    assert!(with_claims(json!({ "role": ["x", "system_admin"] })).await.unwrap().system_admin);
    for role in [
        json!("admin"),
        json!("system_admin2"),
        json!({ "system_admin": true }),
        json!(null),
        json!("REMOVED"),
    ] {
        assert!(!with_claims(json!({ "role": role })).await.unwrap().system_admin, "{role}");
    }
    let acme = TenantId::new();
    // even if the tenant's record carried the claim and the list its ids
    let claiming = Issuer { system_admin_claim: issuer().system_admin_claim, ..tenant_issuer(acme) };
    let mut both = settings(vec![issuer()], vec![tenant(acme, &[], vec![claiming])]);
    both.admins = vec![UserId("u1".into()), UserId("acme:u1".into())];
    assert!(verify_with(&both, &signer().token(None, &claims("u1"))).await.unwrap().system_admin);
    assert!(!verify_with(&both, &signer().token(None, &claims("u2"))).await.unwrap().system_admin);
    let acme_signer = Signer::hs256(b"another-secret-of-more-than-32-bytes-of-length");
    let own = with(&json!({ "iss": "https://login.acme.test", "role": "system_admin" }));
    assert!(!verify_with(&both, &acme_signer.token(None, &own)).await.unwrap().system_admin);
}

#[tokio::test]
async fn a_minted_token_passes_and_says_what_was_asked() {
    let mapped = Issuer {
        email_claim: "profile.email".into(),
        audience_claim: "azp".into(),
        subject_prefix: "dev:".into(),
        ..issuer()
    };
    let minute = Duration::from_secs(60);
    for (verified, state) in [
        (Some(true), AddressState::Verified),
        (Some(false), AddressState::Unverified),
        (None, AddressState::Absent),
    ] {
        let token = bearer::mint_hs256(&mapped, "ann", Some("ann@example.com"), verified, minute).unwrap();
        let user = verify(mapped.clone(), &token).await.unwrap().user.unwrap();
        assert_eq!((user.id.0.as_str(), user.email_state), ("dev:ann", state));
        assert_eq!(user.email.unwrap().as_str(), "ann@example.com");
    }
    let keyed = Issuer { keys: IssuerKeys::JwksUrl("http://127.0.0.1:1/".into()), ..issuer() };
    assert_eq!(bearer::mint_hs256(&keyed, "ann", None, None, minute), Err(MintError::NoSecret));
    assert_eq!(bearer::mint_hs256(&mapped, "", None, None, minute), Err(MintError::BadSubject));
}
