//! Two tenants with identity providers of their own, each at war with the other. Neither reaches, blocks, detects or
//! impersonates anything or anybody of the other: not by credential, key, address, limit or timing.
//!
//! No clock is read here. What differs in time differs in work, and the only work whose length anybody could feel
//! from outside is that of a lane: taking the tenant's lock, deciding, committing. So it is asserted that a call for
//! what belongs to the other tenant enters no lane, exactly as a call for what never was. Before that, both take the
//! same path: `Caller::within` compares ids in memory and refuses; a workspace's id costs one look-up of its tenant,
//! found or not.

use serde_json::json;
use toml::Value;

use crate::support::{
    ACME, ACME_HOST, CLINIC, Credential, GLOBEX, GLOBEX_HOST,
    Kind::{self, Org, Workspace},
    PLANT, PLATFORM, Person, Setup, TestServer, both_engines, globex_owner, globex_person,
    invites::{KINDS, token_of},
    routes::{Ground, ROUTES},
};

both_engines!(
    no_credential_of_one_opens_anything_of_the_other => hostile(),
    no_claim_of_one_makes_anybody_of_the_other => hostile(),
    no_key_of_one_opens_anything_of_the_other => hostile(),
    an_address_of_the_other_opens_nothing => hostile(),
    an_address_tells_nothing_of_the_other => hostile(),
    a_person_of_the_other_noted_here_stays_a_stranger => hostile(),
    limits_of_one_are_not_those_of_the_other => hostile()
        .server("limits.invites_per_recipient", "1/1h")
        .server("limits.invites_per_inviter", "3/1h")
        .server("limits.invites_per_tenant", "3/1h")
        .tenant("acme", "invites.seats", 3)
        .tenant("globex", "invites.seats", 3),
    names_of_one_are_free_for_the_other => hostile(),
    the_name_of_the_other_is_as_unknown_as_any => hostile(),
    a_call_for_what_is_the_others_enters_no_lane => hostile().process(),
);

/// Issuer of acme alone and its secret.
const ACME_ISSUER: (&str, &str) =
    ("https://login.acme.test", "acme-too-keeps-a-secret-of-its-own-of-32-bytes");

/// Both tenants with issuers of their own.
fn hostile() -> Setup {
    let mut issuer = toml::Table::new();
    for (key, value) in [
        ("issuer", Value::from(ACME_ISSUER.0)),
        ("audience", "usher".into()),
        ("algorithms", vec!["HS256"].into()),
        ("hs256_secret", ACME_ISSUER.1.into()),
    ] {
        issuer.insert(key.to_owned(), value);
    }
    Setup::new().acme("auth.issuers", vec![Value::Table(issuer)])
}

fn acme_person(email: &str) -> Person {
    Person::of(ACME_ISSUER, email)
}

fn owner_of_acme() -> Person {
    acme_person("owner@acme.test")
}

/// Acme as its own people fill it.
fn acme(server: &TestServer) -> Ground<'_> {
    Ground { owner: owner_of_acme(), key_holder: owner_of_acme(), ..Ground::acme(server) }
}

/// Everything of acme, asked by somebody on every host: nothing is done, shown or changed.
async fn assert_shut(server: &TestServer, who: &str, refusals: &[u16]) {
    let rows = server.inspect().await;
    let mut ground = acme(server);
    ground.addressee = Some("victim@acme.test".to_owned());
    for route in ROUTES.iter().filter(|route| !route.id.starts_with("preview_")) {
        for (host, named) in
            [(PLATFORM, Some("acme")), (ACME_HOST, None), (PLATFORM, None), (GLOBEX_HOST, None)]
        {
            // without a name, and on its own host, whoever is of globex asks for globex
            let names_acme = route.path.contains('<') && !route.path.contains("/tenant/");
            if named.is_none() && host != ACME_HOST && !names_acme {
                continue;
            }
            let mut call = ground.ask(*route).await.bearer(who).on(host);
            if let Some(named) = named {
                call = call.header("x-miosa-tenant", named);
            }
            let before = events(&rows).await;
            let answer = call.await;
            let own_list = answer.status == 200 && answer.json()["total"] == 0;
            let no_link = answer.status == 400 && answer.json()["code"] == "invalid_token";
            let what = format!("{} on {host}: {} {}", route.id, answer.status, answer.text());
            assert!(refusals.contains(&answer.status) || own_list || no_link, "{what}");
            assert!(!answer.text().contains("Acme") && !answer.text().contains("Clinic"), "{what}");
            assert_eq!(events(&rows).await, before, "{what}");
        }
    }
}

async fn events(rows: &crate::support::database::Inspector) -> i64 {
    let acme = rows.id(ACME);
    rows.count(&format!("SELECT count(*) AS n FROM events WHERE tenant_id = {acme}")).await
}

async fn no_credential_of_one_opens_anything_of_the_other(server: TestServer) {
    server.get("/api/v1/tenant/members").by(&owner_of_acme()).await.expect(200);
    assert_shut(&server, &globex_owner().bearer(), &[404]).await;
}

async fn no_claim_of_one_makes_anybody_of_the_other(server: TestServer) {
    let victim = owner_of_acme();
    server.get("/api/v1/tenant/members").by(&victim).await.expect(200);
    // globex's provider says whatever it likes of its own people
    for liar in [
        globex_person("owner@acme.test"),
        globex_person("owner@acme.test").with("sub", victim.user_id()),
        globex_person("owner@acme.test").with("sub", "u-owner-at-acme.test").with("role", "system_admin"),
        globex_person("owner@acme.test").with("tenant", ACME).with("tenant_id", ACME).with("org_id", "acme"),
    ] {
        assert_shut(&server, &liar.bearer(), &[404]).await;
    }
    // and cannot speak in the name of acme's
    for forger in [
        acme_person("owner@acme.test").signed_with("globex-keeps-its-own-secret-of-32-bytes-or-more"),
        globex_owner().with("iss", ACME_ISSUER.0),
        globex_owner().with("iss", json!([ACME_ISSUER.0, "https://login.globex.test"])),
    ] {
        let answer = server.get("/api/v1/tenant/members").by(&forger).header("x-miosa-tenant", "acme").await;
        answer.refused(401, "invalid_token");
    }
    let rows = server.inspect().await;
    let owners = format!(
        "SELECT user_id AS t FROM tenant_members WHERE role = 'owner' AND tenant_id = {}",
        rows.id(ACME)
    );
    assert_eq!(rows.texts(&owners).await, ["acme:u-owner-at-acme.test"]);
}

async fn no_key_of_one_opens_anything_of_the_other(server: TestServer) {
    server.get("/api/v1/tenant/members").by(&owner_of_acme()).await.expect(200);
    let made = server.post("/api/v1/api-keys", &json!({ "name": "k" })).by(&globex_owner()).await.expect(201);
    let liar = globex_person("owner@acme.test");
    server.joined_globex(&liar).await;
    let lying = server.post("/api/v1/api-keys", &json!({ "name": "k" })).by(&liar).await.expect(201);
    for key in [
        made["key"].as_str().unwrap().to_owned(),
        lying["key"].as_str().unwrap().to_owned(),
        server.cli(&["api-key", "create", "--tenant", "globex", "--email", "owner@globex.test"]).await.data(),
    ] {
        // that keys cannot switch is said before anything is looked up
        assert_shut(&server, &key, &[404, 403]).await;
    }
    let service = ["api-key", "create", "--tenant", "globex", "--service", "--role", "owner"];
    assert_shut(&server, &server.cli(&service).await.data(), &[404, 403]).await;
    // the operator vouches for an address: not for whom another tenant's provider gives it
    let key = server.cli(&["api-key", "create", "--email", "owner@acme.test"]).await.data();
    let own = server.get("/api/v1/platform/tenants").bearer(&key).await.expect(200);
    assert_eq!(own["total"], 0, "neither globex's liar nor a member of acme: {own}");
}

async fn an_address_of_the_other_opens_nothing(server: TestServer) {
    let ground = acme(&server);
    for kind in KINDS {
        let victim = format!("victim-{kind:?}@acme.test");
        let body = json!({ "email": victim, "role": "admin" });
        let made = server.post(&kind.collection(), &body).by(&ground.owner).await.expect(201);
        let (id, url) = (made["data"]["id"].as_str().unwrap(), made["data"]["invite_url"].as_str().unwrap());
        // globex's provider calls the address its own, and even has the link
        let liar = globex_person(&victim);
        for host in [PLATFORM, ACME_HOST, GLOBEX_HOST] {
            for verb in ["accept", "decline"] {
                let path = format!("{}/{verb}", kind.token(&token_of(url)));
                let answer = server.post(&path, &json!({})).by(&liar).on(host).await;
                let no_link = answer.status == 400 && answer.json()["code"] == "invalid_token";
                assert!(answer.status == 404 || no_link, "{host}: {}", answer.text());
                let answer = server.post(&format!("/api/v1/me/invites/{id}/{verb}"), &json!({})).by(&liar);
                answer.on(host).await.refused(404, "NOT_FOUND");
            }
            let inbox = server.get("/api/v1/me/invites").by(&liar).on(host).await;
            assert!(inbox.status == 404 || inbox.json()["total"] == 0, "{}", inbox.text());
        }
        let path = format!("{}/accept", kind.token(&token_of(url)));
        server.post(&path, &json!({})).by(&acme_person(&victim)).await.expect(200);
    }
}

async fn an_address_tells_nothing_of_the_other(server: TestServer) {
    let ground = acme(&server);
    let known = acme_person("known@example.com");
    let body = json!({ "email": known.email() });
    let made = server.post(&Org.collection(), &body).by(&ground.owner).await.expect(201);
    let path = format!("{}/accept", Org.token(&token_of(made["data"]["invite_url"].as_str().unwrap())));
    server.post(&path, &json!({})).by(&known).await.expect(200);
    server
        .post(&Org.collection(), &json!({ "email": "asked@example.com" }))
        .by(&ground.owner)
        .await
        .expect(201);
    // a member there, somebody invited there, and nobody: globex gets the same answer
    for kind in KINDS {
        let mut shapes = Vec::new();
        for email in [known.email(), "asked@example.com", "never-seen@example.com"] {
            let body = json!({ "email": email, "role": "member" });
            let mut answer =
                server.post(&kind.globex_collection(), &body).by(&globex_owner()).await.expect(201);
            let data = answer["data"].as_object_mut().unwrap();
            let times = ["expires_at", "inserted_at", "created_at", "updated_at"];
            for differs in ["id", "invite_id", "email", "invite_url"].into_iter().chain(times) {
                assert!(data.remove(differs).is_some_and(|value| value.is_string()), "{differs}");
            }
            shapes.push(answer);
        }
        assert_eq!(shapes[0], shapes[2], "a member elsewhere");
        assert_eq!(shapes[1], shapes[2], "invited elsewhere");
    }
    // and what globex does with the address changes nothing there
    let listed = server.get(&Org.collection_in(GLOBEX)).by(&globex_owner()).await.expect(200);
    for invite in listed["data"].as_array().unwrap() {
        let path = format!("{}/{}", Org.collection_in(GLOBEX), invite["id"].as_str().unwrap());
        server.delete(&path).by(&globex_owner()).await.expect(200);
    }
    let pending = server.get(&Org.collection()).by(&ground.owner).await.expect(200);
    assert_eq!(pending["total"], 1, "asked@example.com waits still");
    server.get("/api/v1/tenant/members").by(&known).await.expect(200);
}

/// Anybody can be added by an id, known or not; an id of the other tenant's people shows nothing of them, and what
/// they hold elsewhere has no effect here.
async fn a_person_of_the_other_noted_here_stays_a_stranger(server: TestServer) {
    let victim = acme_person("secret-address@acme.test").with("name", "Secret Name");
    let body = json!({ "email": victim.email() });
    let made = server.post(&Workspace.collection(), &body).by(&owner_of_acme()).await.expect(201);
    let path = format!("{}/accept", Workspace.token(&token_of(made["data"]["invite_url"].as_str().unwrap())));
    server.post(&path, &json!({})).by(&victim).await.expect(200);
    let (spy, never) = (globex_owner(), "acme:u-never-was");
    let victim_id = format!("acme:u-{}", victim.email().replace('@', "-at-"));
    let mut told = Vec::new();
    for user in [victim_id.as_str(), never] {
        let body = json!({ "user_id": user, "role": "member" });
        let mut added = vec![
            server.post(&format!("/api/v1/tenants/{GLOBEX}/members"), &body).by(&spy).await.expect(201),
            server.post(&format!("/api/v1/workspaces/{PLANT}/members"), &body).by(&spy).await.expect(201),
        ];
        for list in
            [format!("/api/v1/tenants/{GLOBEX}/members"), format!("/api/v1/workspaces/{PLANT}/members")]
        {
            let members = server.get(&list).by(&spy).await.expect(200);
            let one = members["data"].as_array().unwrap().iter().find(|one| one["user_id"] == user);
            added.push(one.unwrap().clone());
        }
        let path = format!("/api/v1/tenants/{GLOBEX}/members/{user}/role");
        added.push(server.patch(&path, &json!({ "role": "admin" })).by(&spy).await.expect(200));
        told.push(blurred(&json!(added), user));
    }
    assert_eq!(told[0], told[1]);
    assert!(!told[0].contains("secret-address") && !told[0].contains("Secret Name"), "{}", told[0]);
    // the address is not found to be theirs
    let body = json!({ "email": victim.email(), "role": "member" });
    let invited = server.post(&Workspace.collection_in(PLANT), &body).by(&spy).await.expect(201);
    assert_eq!(invited["type"], "invited");
    // nor are invites to it revoked with them
    server.delete(&format!("/api/v1/tenants/{GLOBEX}/members/{victim_id}")).by(&spy).await.expect(200);
    let listed = server.get(&Workspace.collection_in(PLANT)).by(&spy).await.expect(200);
    assert_eq!(listed["total"], 1);
    // and to the person nothing has happened
    server.get(&format!("/api/v1/workspaces/{CLINIC}/members")).by(&victim).await.expect(200);
    server
        .get("/api/v1/tenant/members")
        .by(&victim)
        .header("x-miosa-tenant", "globex")
        .await
        .refused(404, "NOT_FOUND");
}

/// A body without the id and the times in it.
fn blurred(body: &serde_json::Value, user: &str) -> String {
    let text = body.to_string().replace(user, "<user>");
    let mut parts = text.split("\"2026-").map(str::to_owned).collect::<Vec<_>>();
    for part in parts.iter_mut().skip(1) {
        *part = part.split_once('"').map_or_else(String::new, |(_, rest)| rest.to_owned());
    }
    parts.join("<time>")
}

async fn limits_of_one_are_not_those_of_the_other(server: TestServer) {
    let (spy, owner) = (globex_owner(), owner_of_acme());
    let create = |kind: Kind, collection: String, by: &Person, email: &str| {
        let role = if kind == Org { "member" } else { "viewer" };
        server.post(&collection, &json!({ "email": email, "role": role })).by(by)
    };
    // globex uses up the recipient, its inviter and itself
    create(Org, Org.globex_collection(), &spy, "shared@example.com").await.expect(201);
    let limited = create(Workspace, Workspace.globex_collection(), &spy, "shared@example.com").await;
    limited.refused(429, "rate_limit_exceeded");
    for at in 0..5 {
        create(Org, Org.globex_collection(), &spy, &format!("x{at}@example.com")).await;
    }
    create(Org, Org.globex_collection(), &spy, "more@example.com").await.refused(429, "rate_limit_exceeded");
    // and its seats
    for at in 0..5 {
        let body = json!({ "user_id": format!("globex:u{at}") });
        server.post(&format!("/api/v1/tenants/{GLOBEX}/members"), &body).by(&spy).await;
    }
    let body = json!({ "user_id": "globex:u9" });
    let full = server.post(&format!("/api/v1/tenants/{GLOBEX}/members"), &body).by(&spy).await;
    full.refused(409, "SEAT_LIMIT_REACHED");
    // acme has all of its own left
    create(Org, Org.collection(), &owner, "shared@example.com").await.expect(201);
    create(Org, Org.collection(), &owner, "one@example.com").await.expect(201);
    create(Workspace, Workspace.collection(), &owner, "two@example.com").await.expect(201);
    for user in ["acme:u1", "acme:u2"] {
        let body = json!({ "user_id": user });
        server.post(&format!("/api/v1/tenants/{ACME}/members"), &body).by(&owner).await.expect(201);
    }
}

async fn names_of_one_are_free_for_the_other(server: TestServer) {
    let body =
        json!({ "name": "Ward", "slug": "ward", "external_workspace_id": "cust_1", "external_user_id": "u" });
    let one = server.post("/api/v1/workspaces", &body).by(&owner_of_acme()).await.expect(201);
    let two = server.post("/api/v1/workspaces", &body).by(&globex_owner()).await.expect(201);
    assert_ne!(one["id"], two["id"]);
    assert!(two.get("reused").is_none(), "{two}");
    assert_eq!((&one["tenant_id"], &two["tenant_id"]), (&json!(ACME), &json!(GLOBEX)));
}

/// Whatever globex names, the answer is that of a name which is nobody's: in the header and in the path.
async fn the_name_of_the_other_is_as_unknown_as_any(server: TestServer) {
    server.get("/api/v1/tenant/members").by(&owner_of_acme()).await.expect(200);
    let ground = Ground::globex(&server);
    let never = uuid::Uuid::now_v7().to_string();
    for route in ROUTES.iter().filter(|route| !route.id.starts_with("preview_")) {
        for (real, nobody) in [("acme", "nobody"), (ACME, never.as_str())] {
            let path = ground.filled(route.path).await;
            let mut answers = Vec::new();
            for name in [real, nobody] {
                let call = ground.ask_at(*route, &path).await.by(&globex_owner());
                answers.push(call.header("x-miosa-tenant", name).await);
            }
            assert_eq!(answers[0].anonymous(), answers[1].anonymous(), "{} naming {real}", route.id);
            if route.path.contains("<tenant>") {
                let mut answers = Vec::new();
                for name in [real, nobody] {
                    let path = ground.filled(&route.path.replace("<tenant>", name)).await;
                    answers.push(ground.ask_at(*route, &path).await.by(&globex_owner()).await);
                }
                assert_eq!(answers[0].anonymous(), answers[1].anonymous(), "{} at {real}", route.id);
            }
        }
    }
}

async fn a_call_for_what_is_the_others_enters_no_lane(server: TestServer) {
    let ground = acme(&server);
    let spy = globex_owner();
    server.get("/api/v1/tenant/members").by(&spy).await.expect(200);
    let service = ["api-key", "create", "--tenant", "globex", "--service", "--role", "owner"];
    let service = server.cli(&service).await.data();
    for route in ROUTES.iter().filter(|route| route.path.contains('<')) {
        let call = ground.filled(route.path).await;
        for who in [&spy.bearer(), &service] {
            let asked = ground.ask_at(*route, &call).await.bearer(who).header("x-miosa-tenant", "acme");
            let before = commands(&server).await;
            asked.await;
            assert_eq!(commands(&server).await, before, "{}", route.id);
        }
    }
}

/// Commands that any lane has committed or refused so far.
async fn commands(server: &TestServer) -> String {
    let metrics = server.admin("/metrics").await.text();
    let line = metrics.lines().find(|line| line.starts_with("usher_batch_commands_sum"));
    line.unwrap_or_default().to_owned()
}
