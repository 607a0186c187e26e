//! Keys that people make for themselves, where others come near them: nobody gains by somebody else's key.

use serde_json::{Value, json};

use crate::support::{
    ACME, CLINIC, Credential, GLOBEX,
    Kind::{Org, Workspace},
    TestServer, acme_owner, both_engines, person,
};

both_engines!(
    an_admin_does_not_widen_another_persons_key,
    a_scoped_key_widens_neither_itself_nor_another,
    a_key_ends_with_its_holders_membership,
    whatever_the_body_claims_a_key_is_its_makers,
);

async fn key_of(server: &TestServer, who: &(impl Credential + ?Sized), scopes: Value) -> (String, String) {
    let body = json!({ "name": "k", "scopes": scopes });
    let made = server.post("/api/v1/api-keys", &body).by(who).await.expect(201);
    (format!("/api/v1/api-keys/{}", made["id"].as_str().unwrap()), made["key"].as_str().unwrap().to_owned())
}

async fn an_admin_does_not_widen_another_persons_key(server: TestServer) {
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let end = json!({ "expires_at": "2099-01-01T00:00:00Z" });
    // neither the owner's, which an admin would gain by, nor a member's, which the admin could ask for
    let member = server.joined(Org, "member@example.com", "member").await;
    for holder in [acme_owner(), member] {
        let (path, key) = key_of(&server, &holder, json!(["invites:read"])).await;
        for change in [
            json!({ "scopes": [] }),
            json!({ "scopes": ["keys:write"] }),
            end.clone(),
            json!({ "expires_at": null }),
        ] {
            server.patch(&path, &change).by(&admin).await.refused(403, "FORBIDDEN");
        }
        let both = json!({ "name": "mine now", "scopes": ["members:write"] });
        server.patch(&path, &both).by(&admin).await.refused(403, "FORBIDDEN");
        server.post(&format!("{path}/rotate"), &json!({})).by(&admin).await.refused(403, "FORBIDDEN");
        let there = server.get(&path).by(&holder).await.expect(200);
        assert_eq!((&there["scopes"], &there["name"]), (&json!(["invites:read"]), &json!("k")), "{there}");
        assert_eq!(there["expires_at"], Value::Null);
        server.get("/api/v1/tenant/members").bearer(&key).await.refused(403, "insufficient_scope");
        // the safe directions: a name, and the end of it
        server.patch(&path, &json!({ "name": "seen" })).by(&admin).await.expect(200);
        assert_eq!(server.delete(&path).by(&admin).await.status, 204);
        server.get("/api/v1/tenant/members").bearer(&key).await.refused(401, "invalid_token");
    }
}

async fn a_scoped_key_widens_neither_itself_nor_another(server: TestServer) {
    let owner = acme_owner();
    let (own, key) = key_of(&server, &owner, json!(["keys:write", "invites:read"])).await;
    let (whole, _) = key_of(&server, &owner, json!([])).await;
    for (path, change) in [
        (&own, json!({ "scopes": [] })),
        (&own, json!({ "scopes": ["keys:write", "members:write"] })),
        (&whole, json!({ "scopes": [] })),
    ] {
        server.patch(path, &change).bearer(&key).await.refused(403, "FORBIDDEN");
    }
    server.post(&format!("{whole}/rotate"), &json!({})).bearer(&key).await.refused(403, "FORBIDDEN");
    let made = server.post("/api/v1/api-keys", &json!({ "name": "same" })).bearer(&key).await.expect(201);
    assert_eq!(made["scopes"], json!(["keys:write", "invites:read"]), "omitted means the minter's own");
}

async fn a_key_ends_with_its_holders_membership(server: TestServer) {
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let (_, key) = key_of(&server, &admin, json!([])).await;
    server.get(&Org.collection()).bearer(&key).await.expect(200);
    let path = format!("/api/v1/tenant/members/{}", admin.user_id());
    server.delete(&path).by(&acme_owner()).await.expect(200);
    server.get(&Org.collection()).bearer(&key).await.refused(404, "NOT_FOUND");
    // it acts as its person still, where nothing is managed
    let invited = server.invite(Workspace, &acme_owner(), admin.email(), "viewer").await;
    server.accept(&invited, &key).await.expect(200);
    assert_eq!(server.get(&Org.collection()).by(&person("admin@example.com")).await.status, 403);
}

async fn whatever_the_body_claims_a_key_is_its_makers(server: TestServer) {
    let (owner, member) = (acme_owner(), server.joined(Org, "member@example.com", "member").await);
    let claims = json!({
        "name": "k", "external_user_id": owner.user_id(), "scopes": ["invites:write", "members:write"],
        "user_id": owner.user_id(), "user": owner.user_id(), "owner_id": owner.user_id(), "sub": owner.user_id(),
        "email": owner.email(), "email_verified": true, "tenant_id": GLOBEX, "workspace_id": CLINIC,
        "role": "owner", "service": true, "key": "msk_u_mine", "id": ACME, "system_admin": true,
    });
    for path in ["/api/v1/api-keys", "/api/v1/api-keys/scoped"] {
        let made = server.post(path, &claims).by(&member).await.expect(201);
        let key = made["key"].as_str().unwrap();
        assert_ne!(key, "msk_u_mine");
        assert_eq!((&made["tenant_id"], &made["key_type"]), (&json!(ACME), &json!("user")), "{made}");
        let body = json!({ "email": "x@example.com" });
        server.post(&Org.collection(), &body).bearer(key).await.refused(403, "FORBIDDEN");
        server.post(&Org.globex_collection(), &body).bearer(key).await.refused(404, "NOT_FOUND");
        let owners = server.invite(Org, &owner, "for-the-owner@example.com", "member").await;
        server.accept(&owners, key).await.refused(422, "EMAIL_MISMATCH");
        let claimed = server.patch(&format!("/api/v1/api-keys/{}", made["id"].as_str().unwrap()), &claims);
        claimed.by(&member).await.expect(200);
        server.post(&Org.collection(), &body).bearer(key).await.refused(403, "FORBIDDEN");
    }
    let holders = server.inspect().await.texts("SELECT user_id AS t FROM api_keys").await;
    assert_eq!(holders, [member.user_id(), member.user_id()]);
}
