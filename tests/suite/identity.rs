//! Whose invitation it is: only the addressee's, by an address that the credential calls verified or that the
//! link itself proves; two addresses are the same only if they fold alike in ASCII.

use serde_json::{Value, json};

use crate::support::{
    Kind::{self, Workspace},
    Person, Setup, TestServer, acme_owner, both_engines,
    invites::KINDS,
    person,
};

both_engines!(
    a_link_in_other_hands_is_refused_and_stays_good,
    an_address_that_is_called_unverified_is_refused_even_with_the_link,
    without_the_link_only_a_verified_address_opens_anything,
    declining_takes_the_same_identity_as_accepting,
    an_absent_claim_passes_with_the_link_by_default,
    always_refuses_an_absent_claim => Setup::new().server("invites.require_verified_email", "always"),
    never_lets_an_absent_claim_pass_and_no_other => Setup::new().server("invites.require_verified_email", "never"),
    trust_counts_an_absent_claim_as_verified => Setup::new()
        .server("invites.require_verified_email", "always")
        .issuer("trust_email", true),
    a_credential_without_an_address_accepts_nothing,
    look_alike_addresses_are_different_addresses,
    a_plus_tag_or_a_dot_makes_another_mailbox,
    a_domain_is_the_same_in_each_of_its_spellings,
    patterns_in_an_address_match_nothing,
    the_current_address_counts_not_an_earlier_one,
    an_address_proven_by_the_link_is_written_and_an_unverified_one_is_not,
    the_claims_that_carry_the_address_can_be_named => Setup::new()
        .issuer("email_claim", "https://x.test/email")
        .issuer("email_verified_claim", "profile.verified")
        .issuer("name_claim", "profile.name"),
);

/// Every form that `email_verified` can take, and what it says.
fn forms(of: &Person) -> Vec<(&'static str, Person, Says)> {
    let with = |value: Value| of.clone().with("email_verified", value);
    vec![
        ("true", with(json!(true)), Says::Verified),
        ("false", with(json!(false)), Says::Unverified),
        ("null", with(Value::Null), Says::Unverified),
        ("\"true\"", with(json!("true")), Says::Unverified),
        ("1", with(json!(1)), Says::Unverified),
        ("[true]", with(json!([true])), Says::Unverified),
        ("{}", with(json!({})), Says::Unverified),
        ("absent", of.clone().without("email_verified"), Says::Nothing),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Says {
    Verified,
    Unverified,
    Nothing,
}

async fn a_link_in_other_hands_is_refused_and_stays_good(server: TestServer) {
    for kind in KINDS {
        let victim = person(&format!("victim-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), victim.email(), "admin").await;
        let attacker = person("attacker@example.com");
        server.accept(&invited, &attacker).await.refused(422, "EMAIL_MISMATCH");
        let body = json!({ "email": victim.email(), "user_id": victim.user_id(), "role": "owner" });
        let path = format!("{}/accept", kind.token(&invited.token));
        server.post(&path, &body).by(&attacker).await.refused(422, "EMAIL_MISMATCH");

        let rows = server.inspect().await;
        let theirs =
            format!("SELECT count(*) AS n FROM tenant_members WHERE user_id = '{}'", attacker.user_id());
        assert_eq!(rows.count(&theirs).await, 0);
        assert_eq!(server.show(&invited, &acme_owner()).await.expect(200)["data"]["status"], "pending");
        server.accept(&invited, &victim).await.expect(200);
    }
    server
        .accept(&server.invite(Kind::Org, &acme_owner(), "x@example.com", "member").await, "garbage")
        .await
        .refused(401, "invalid_token");
}

/// Accepts by each form of the claim and compares with what it should come to.
async fn assert_forms(server: &TestServer, passes: fn(Says) -> bool) {
    for kind in KINDS {
        let victim = person(&format!("v-{kind:?}@example.com"));
        for (at, (form, who, says)) in forms(&victim).into_iter().enumerate() {
            let address = format!("v{at}-{kind:?}@example.com");
            let who = who.with("email", address.clone()).with("sub", format!("sub-{kind:?}-{at}"));
            let invited = server.invite(kind, &acme_owner(), &address, "member").await;
            let answer = server.accept(&invited, &who).await;
            if passes(says) {
                assert_eq!(answer.status, 200, "email_verified {form}: {}", answer.text());
            } else {
                answer.refused(403, "EMAIL_NOT_VERIFIED");
                assert_eq!(
                    server.show(&invited, &acme_owner()).await.expect(200)["data"]["status"],
                    "pending"
                );
            }
        }
    }
}

/// The same without a link: by the inbox, which shows and accepts by id.
async fn assert_forms_without_link(server: &TestServer, passes: fn(Says) -> bool) {
    for kind in KINDS {
        let victim = person(&format!("w-{kind:?}@example.com"));
        for (at, (form, who, says)) in forms(&victim).into_iter().enumerate() {
            let address = format!("w{at}-{kind:?}@example.com");
            let who = who.with("email", address.clone()).with("sub", format!("wub-{kind:?}-{at}"));
            let invited = server.invite(kind, &acme_owner(), &address, "member").await;
            let accept = format!("/api/v1/me/invites/{}/accept", invited.id);
            let other = server.post(&accept, &json!({})).by(&person("other@example.com")).await;
            other.refused(404, "NOT_FOUND");
            let inbox = server.get("/api/v1/me/invites").by(&who).await;
            if passes(says) {
                let body = inbox.expect(200);
                assert_eq!(body["total"], 1, "email_verified {form}: {body}");
                assert!(!body.to_string().contains("eyJ"), "never a link: {body}");
                server.post(&accept, &json!({})).by(&who).await.expect(200);
            } else {
                inbox.refused(403, "EMAIL_NOT_VERIFIED");
                server.post(&accept, &json!({})).by(&who).await.refused(403, "EMAIL_NOT_VERIFIED");
                let decline = format!("/api/v1/me/invites/{}/decline", invited.id);
                server.post(&decline, &json!({})).by(&who).await.refused(403, "EMAIL_NOT_VERIFIED");
            }
        }
    }
}

async fn without_the_link_only_a_verified_address_opens_anything(server: TestServer) {
    assert_forms_without_link(&server, |says| says == Says::Verified).await;
}

async fn an_address_that_is_called_unverified_is_refused_even_with_the_link(server: TestServer) {
    assert_forms(&server, |says| says != Says::Unverified).await;
}

async fn an_absent_claim_passes_with_the_link_by_default(server: TestServer) {
    let bob = person("bob@example.com").without("email_verified");
    let invited = server.invite(Workspace, &acme_owner(), bob.email(), "member").await;
    server.accept(&invited, &bob).await.expect(200);
}

async fn always_refuses_an_absent_claim(server: TestServer) {
    assert_forms(&server, |says| says == Says::Verified).await;
    assert_forms_without_link(&server, |says| says == Says::Verified).await;
}

async fn never_lets_an_absent_claim_pass_and_no_other(server: TestServer) {
    assert_forms(&server, |says| says != Says::Unverified).await;
    assert_forms_without_link(&server, |says| says != Says::Unverified).await;
}

async fn trust_counts_an_absent_claim_as_verified(server: TestServer) {
    assert_forms(&server, |says| says != Says::Unverified).await;
    assert_forms_without_link(&server, |says| says != Says::Unverified).await;
}

async fn declining_takes_the_same_identity_as_accepting(server: TestServer) {
    for kind in KINDS {
        let victim = person(&format!("v-{kind:?}@example.com"));
        let invited = server.invite(kind, &acme_owner(), victim.email(), "member").await;
        server.decline(&invited, &person("other@example.com")).await.refused(422, "EMAIL_MISMATCH");
        let unverified = victim.clone().with("email_verified", false);
        server.decline(&invited, &unverified).await.refused(403, "EMAIL_NOT_VERIFIED");
        server.decline(&invited, &victim.without("email_verified")).await.expect(200);
    }
}

async fn a_credential_without_an_address_accepts_nothing(server: TestServer) {
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "bob@example.com", "member").await;
        for who in [
            person("bob@example.com").without("email"),
            person("bob@example.com").with("email", ""),
            person("bob@example.com").with("email", Value::Null),
            person("bob@example.com").with("email", json!(["bob@example.com"])),
            person("bob@example.com").with("email", json!({ "address": "bob@example.com" })),
            person("bob@example.com").with("email", "bob@example.com,mallory@example.com"),
            person("bob@example.com").with("email", "not an address"),
        ] {
            let answer = server.accept(&invited, &who).await;
            assert!([401, 403, 422].contains(&answer.status), "{who:?}: {}", answer.text());
        }
        assert_eq!(server.show(&invited, &acme_owner()).await.expect(200)["data"]["status"], "pending");
    }
}

async fn look_alike_addresses_are_different_addresses(server: TestServer) {
    let pairs = [
        ("kelvin@example.com", "\u{212a}elvin@example.com"),
        ("mike@example.com", "m\u{131}ke@example.com"),
        ("sam@example.com", "\u{17f}am@example.com"),
        ("fin@example.com", "\u{fb01}n@example.com"),
        ("bob@example.com", "bob\u{ff20}example.com"),
        ("alice@example.com", "\u{430}lice@example.com"),
        ("dora@mike.com", "dora@m\u{131}ke.com"),
    ];
    for (ascii, other) in pairs {
        for (at, kind) in KINDS.into_iter().enumerate() {
            let invited = server.invite(kind, &acme_owner(), ascii, "member").await;
            let claimed = person(ascii).with("email", other).with("sub", format!("{ascii}-{at}"));
            let answer = server.accept(&invited, &claimed).await;
            assert!([401, 403, 422].contains(&answer.status), "{other} for {ascii}: {}", answer.text());

            let body = json!({ "email": other });
            let answer = server.post(&kind.collection(), &body).by(&acme_owner()).await;
            if answer.status == 201 {
                let invited = crate::support::Invited::read(kind, &answer.json());
                server.accept(&invited, &person(ascii)).await.refused(422, "EMAIL_MISMATCH");
            } else {
                answer.refused(422, "VALIDATION_ERROR");
            }
        }
    }
    let accepted = "SELECT count(*) AS n FROM invites WHERE status = 'accepted'";
    assert_eq!(server.inspect().await.count(accepted).await, 0);
}

async fn a_plus_tag_or_a_dot_makes_another_mailbox(server: TestServer) {
    for (invited_as, comes_as) in [
        ("bob+clinic@example.com", "bob@example.com"),
        ("bob@example.com", "bob+clinic@example.com"),
        ("bob.smith@gmail.com", "bobsmith@gmail.com"),
    ] {
        let invited = server.invite(Workspace, &acme_owner(), invited_as, "member").await;
        server.accept(&invited, &person(comes_as)).await.refused(422, "EMAIL_MISMATCH");
    }
}

async fn a_domain_is_the_same_in_each_of_its_spellings(server: TestServer) {
    let owner = acme_owner();
    let spellings = [
        "bob@bücher.example",
        "bob@xn--bcher-kva.example",
        "BOB@BÜCHER.Example",
        "bob@XN--BCHER-KVA.example",
    ];
    for kind in KINDS {
        for (at, comes_as) in spellings.into_iter().enumerate() {
            let made = server.invite(kind, &owner, spellings[(at + 1) % spellings.len()], "member").await;
            for other in spellings {
                assert_eq!(server.invite(kind, &owner, other, "member").await.id, made.id, "{other}");
            }
            for unlike in ["bob@bucher.example", "bob@xn--bcher-kva.example.com", "bob@büche.example"] {
                let somebody = person(unlike).with("sub", "somebody");
                server.accept(&made, &somebody).await.refused(422, "EMAIL_MISMATCH");
            }
            let bob = person(comes_as).with("sub", format!("bob-{kind:?}-{at}"));
            server.decline(&made, &bob).await.expect(200);
        }
    }
    let two = "SELECT count(DISTINCT email_norm) AS n FROM invites";
    assert_eq!(server.inspect().await.count(two).await, 1);
}

async fn patterns_in_an_address_match_nothing(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "alice@example.com", "member").await;
    for pattern in ["a_ice@example.com", "%@example.com", "al%@example.com", "*@example.com"] {
        let answer = server.accept(&invited, &person(pattern)).await;
        assert!([401, 403, 422].contains(&answer.status), "{pattern}: {}", answer.text());
    }
    server.accept(&invited, &person("alice@example.com")).await.expect(200);
}

async fn the_current_address_counts_not_an_earlier_one(server: TestServer) {
    let bob = server.joined(Kind::Org, "bob@example.com", "member").await;
    let plant = server.invite_to_globex(Kind::Org, "bob@example.com").await;
    let moved = bob.clone().with("email", "bob@elsewhere.example");
    server.accept(&plant, &moved).await.refused(422, "EMAIL_MISMATCH");
    server.accept(&plant, &bob).await.expect(200);
}

async fn an_address_proven_by_the_link_is_written_and_an_unverified_one_is_not(server: TestServer) {
    let rows = server.inspect().await;
    let bob = person("bob@example.com").without("email_verified");
    let invited = server.invite(Kind::Org, &acme_owner(), bob.email(), "member").await;
    server.accept(&invited, &bob).await.expect(200);
    let address = format!("SELECT email_norm AS t FROM users WHERE id = '{}'", bob.user_id());
    assert_eq!(rows.texts(&address).await, ["bob@example.com"]);

    // an address that only claims to be somebody's is never what "added" goes by
    let claims = bob.clone().with("email", "ceo@example.com").with("email_verified", false);
    server.get("/api/v1/workspaces").by(&claims).await;
    assert_eq!(rows.texts(&address).await, ["bob@example.com"]);
    let body = json!({ "email": "ceo@example.com" });
    let answer = server.post(&Workspace.collection(), &body).by(&acme_owner()).await.expect(201);
    assert_eq!(answer["type"], "invited");
    let body = json!({ "email": "bob@example.com" });
    let answer = server.post(&Workspace.collection(), &body).by(&acme_owner()).await.expect(200);
    assert_eq!(answer["data"]["user_id"], bob.user_id());
}

async fn the_claims_that_carry_the_address_can_be_named(server: TestServer) {
    let mapped = |email: &str, profile: Value| {
        person("nobody@example.com")
            .with("sub", email.replace('@', "-at-"))
            .with("https://x.test/email", email)
            .with("profile", profile)
    };
    let owner = mapped("owner@acme.test", json!({ "verified": true, "name": "The Owner" }));
    let invited = server.invite(Workspace, &owner, "bob@example.com", "member").await;
    let page = server.get(&Workspace.page(&invited.token)).on("app.acme.test").await;
    assert!(page.text().contains("The Owner"), "{}", page.text());
    server
        .accept(&invited, &mapped("bob@example.com", json!({ "verified": false })))
        .await
        .refused(403, "EMAIL_NOT_VERIFIED");
    server.accept(&invited, &mapped("bob@example.com", json!({ "verified": true }))).await.expect(200);
}
