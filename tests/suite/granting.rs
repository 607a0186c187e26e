//! Roles that are given without an invitation: adding a member by id, changing a role, handing over, removing; on
//! every surface that does it. The same callers as for invitations, and the same rule: nobody gives, takes or ends a
//! role above their own.

use serde_json::{Value, json};

use super::roles::{Caller, assert_outcome, callers, rank, roles};
use crate::support::{
    ACME, CLINIC, Credential,
    Kind::{self, Org, Workspace},
    TestServer, acme_owner, both_engines,
    client::{Answer, Call},
    invites::KINDS,
    person,
    routes::{Ground, ROUTES, heir},
};

both_engines!(
    a_member_is_added_up_to_the_own_rank,
    an_invitation_among_members_grants_up_to_the_own_rank,
    a_role_is_changed_below_and_up_to_the_own_rank,
    nobody_removes_above_their_own_rank,
    nobody_raises_themselves,
    only_an_owner_hands_over_and_stays_an_admin,
    a_key_and_a_service_key_grant_what_they_stand_for,
    the_last_owner_stays_on_every_path,
    a_word_that_is_no_role_is_refused_wherever_one_is_taken,
);

/// Where members are kept, by every path to them.
fn collections(kind: Kind) -> Vec<String> {
    match kind {
        Org => vec![format!("/api/v1/tenants/{ACME}/members"), "/api/v1/tenant/members".to_owned()],
        Workspace => vec![format!("/api/v1/workspaces/{CLINIC}/members")],
    }
}

/// Every path that changes the role of a member.
fn role_paths(kind: Kind, user: &str) -> Vec<String> {
    match kind {
        Org => collections(Org).iter().map(|members| format!("{members}/{user}/role")).collect(),
        Workspace => {
            let member = format!("/api/v1/workspaces/{CLINIC}/members/{user}");
            vec![format!("{member}/role"), member]
        }
    }
}

fn in_acme(call: Call, by: &(impl Credential + ?Sized)) -> Call {
    call.by(by).header("x-miosa-tenant", "acme")
}

/// Makes somebody new a member of this role, by the owner's hand.
async fn member(server: &TestServer, kind: Kind, role: &str) -> String {
    let user = format!("u-new-{}", uuid::Uuid::now_v7().simple());
    let org = json!({ "user_id": user, "role": if kind == Org { role } else { "member" } });
    server.post(&collections(Org)[0], &org).by(&acme_owner()).await.expect(201);
    if kind == Workspace {
        let body = json!({ "user_id": user, "role": role });
        server.post(&collections(Workspace)[0], &body).by(&acme_owner()).await.expect(201);
    }
    user
}

/// The role that somebody has now.
async fn role_of(server: &TestServer, kind: Kind, user: &str) -> Value {
    let listed = server.get(&collections(kind)[0]).by(&acme_owner()).await.expect(200);
    let found = listed["data"].as_array().unwrap().iter().find(|one| one["user_id"] == user);
    found.map_or(Value::Null, |one| one["role"].clone())
}

/// Members are managed by admins and owners.
fn manages(caller: &Caller, kind: Kind) -> bool {
    caller.ceiling(kind).is_some_and(|ceiling| rank(ceiling) >= rank("admin"))
}

fn may(caller: &Caller, kind: Kind, touched: &[&str]) -> bool {
    let ceiling = caller.ceiling(kind).map(rank);
    manages(caller, kind) && touched.iter().all(|role| Some(rank(role)) <= ceiling)
}

async fn a_member_is_added_up_to_the_own_rank(server: TestServer) {
    for caller in callers(&server).await {
        for kind in KINDS {
            for role in roles(kind) {
                for path in collections(kind) {
                    let user = match kind {
                        Org => format!("u-new-{}", uuid::Uuid::now_v7().simple()),
                        Workspace => member(&server, Org, "member").await,
                    };
                    let body = json!({ "user_id": user, "role": role });
                    let answer = in_acme(server.post(&path, &body), &caller.who).await;
                    assert_outcome(&answer, &caller, may(&caller, kind, &[role]), &format!("{path} {role}"));
                    let there = role_of(&server, kind, &user).await;
                    assert_eq!(there == **role, answer.status == 201, "{there}");
                }
            }
        }
    }
}

async fn an_invitation_among_members_grants_up_to_the_own_rank(server: TestServer) {
    for caller in callers(&server).await {
        for kind in KINDS {
            for role in roles(kind) {
                for path in collections(kind) {
                    let email = format!("new-{}@example.com", uuid::Uuid::now_v7().simple());
                    let body = json!({ "email": email, "role": role });
                    let answer = in_acme(server.post(&path, &body), &caller.who).await;
                    assert_outcome(&answer, &caller, may(&caller, kind, &[role]), &format!("{path} {role}"));
                }
            }
        }
    }
}

async fn a_role_is_changed_below_and_up_to_the_own_rank(server: TestServer) {
    for caller in callers(&server).await {
        for kind in KINDS {
            for held in roles(kind) {
                for role in roles(kind) {
                    let user = member(&server, kind, held).await;
                    // a workspace has an owner beside them, so that the last one is not what stops it
                    for path in role_paths(kind, &user) {
                        let answer =
                            in_acme(server.patch(&path, &json!({ "role": role })), &caller.who).await;
                        let may = may(&caller, kind, &[held, role]);
                        let last = kind == Workspace && *held == "owner" && role != held && may;
                        if last && answer.status == 409 {
                            answer.refused(409, "LAST_OWNER");
                            continue;
                        }
                        assert_outcome(&answer, &caller, may, &format!("{held} to {role} by {path}"));
                        let wanted = if may { role } else { held };
                        assert_eq!(role_of(&server, kind, &user).await, **wanted, "{}: {path}", caller.name);
                    }
                }
            }
        }
    }
}

async fn nobody_removes_above_their_own_rank(server: TestServer) {
    member(&server, Workspace, "owner").await;
    for caller in callers(&server).await {
        for kind in KINDS {
            for held in roles(kind) {
                for collection in collections(kind) {
                    let user = member(&server, kind, held).await;
                    let path = format!("{collection}/{user}");
                    let answer = in_acme(server.delete(&path), &caller.who).await;
                    let may = may(&caller, kind, &[held]);
                    assert_outcome(&answer, &caller, may, &format!("removes {held} by {path}"));
                    assert_eq!(role_of(&server, kind, &user).await.is_null(), may);
                }
            }
        }
    }
}

async fn nobody_raises_themselves(server: TestServer) {
    for caller in callers(&server).await {
        for kind in KINDS {
            let held = role_of(&server, kind, &caller.who.user_id()).await;
            let Some(held) = held.as_str() else { continue };
            for role in roles(kind).iter().filter(|role| rank(role) > rank(held)) {
                // a tenant owner or admin counts as such in a workspace, whatever their role there
                if may(&caller, kind, &[role]) {
                    continue;
                }
                for path in role_paths(kind, &caller.who.user_id()) {
                    let answer = in_acme(server.patch(&path, &json!({ "role": role })), &caller.who).await;
                    answer.refused(403, "FORBIDDEN");
                }
                let body = json!({ "email": caller.who.email(), "role": role });
                let again = in_acme(server.post(&kind.collection(), &body), &caller.who).await;
                assert!([403, 409].contains(&again.status), "{}", again.text());
            }
            assert_eq!(role_of(&server, kind, &caller.who.user_id()).await, held);
        }
    }
}

async fn only_an_owner_hands_over_and_stays_an_admin(server: TestServer) {
    let owner = acme_owner();
    let people = callers(&server).await;
    let body = json!({ "user_id": heir().user_id(), "role": "member" });
    server.post(&collections(Org)[0], &body).by(&owner).await.expect(201);
    let to_heir = json!({ "new_owner_user_id": heir().user_id() });
    let transfer = |to: &Value| server.post("/api/v1/tenant/transfer-ownership", to);
    let sent = server.invite(Org, &owner, "boss@example.com", "owner").await;
    for caller in people.iter().filter(|caller| caller.name != "tenant owner") {
        assert_outcome(&in_acme(transfer(&to_heir), &caller.who).await, caller, false, "hands over");
    }
    for nobody in ["u-nobody", "globex:u-owner-at-globex.test"] {
        let refused = in_acme(transfer(&json!({ "new_owner_user_id": nobody })), &owner).await;
        refused.refused(422, "NOT_TENANT_MEMBER");
    }
    in_acme(transfer(&json!({})), &owner).await.refused(422, "MISSING_USER_ID");
    in_acme(transfer(&to_heir), &owner).await.expect(200);
    assert_eq!(role_of(&server, Org, &heir().user_id()).await, "owner");
    assert_eq!(role_of(&server, Org, &owner.user_id()).await, "admin");
    // what only an owner could send went with it
    server.accept(&sent, &person("boss@example.com")).await.refused_as(Org.revoked());
    in_acme(transfer(&to_heir), &owner).await.refused(403, "FORBIDDEN");
    server.inspect().await.assert_sound().await;
}

async fn a_key_and_a_service_key_grant_what_they_stand_for(server: TestServer) {
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let key = server.post("/api/v1/api-keys", &json!({ "name": "k" })).by(&admin).await.expect(201);
    let service = |role: &'static str| {
        let arguments = ["api-key", "create", "--tenant", "acme", "--service", "--role", role];
        let server = &server;
        async move { server.cli(&arguments).await.data() }
    };
    for (who, ceiling) in [
        (key["key"].as_str().unwrap().to_owned(), "admin"),
        (service("admin").await, "admin"),
        (service("owner").await, "owner"),
        (service("member").await, "nothing"),
    ] {
        for kind in KINDS {
            for role in roles(kind) {
                let may = ceiling != "nothing" && rank(role) <= rank(ceiling);
                let user = member(&server, Org, "member").await;
                let change = match kind {
                    Org => in_acme(server.patch(&role_paths(Org, &user)[0], &json!({ "role": role })), &who),
                    Workspace => in_acme(
                        server.post(&collections(kind)[0], &json!({ "user_id": user, "role": role })),
                        &who,
                    ),
                };
                let email = format!("new-{}@example.com", uuid::Uuid::now_v7().simple());
                let body = json!({ "email": email, "role": role, "send_email": false });
                let invite = in_acme(server.post(&kind.collection(), &body), &who);
                for answer in [change.await, invite.await] {
                    let wanted: &[u16] = if may { &[200, 201] } else { &[403] };
                    assert!(wanted.contains(&answer.status), "{ceiling} {role}: {}", answer.text());
                }
            }
        }
    }
}

async fn the_last_owner_stays_on_every_path(server: TestServer) {
    let owner = acme_owner();
    let user = owner.user_id();
    let made = server.post("/api/v1/workspaces", &json!({ "name": "Own" })).by(&owner).await.expect(201);
    let ward = format!("/api/v1/workspaces/{}/members/{user}", made["id"].as_str().unwrap());
    let last = |answer: Answer| drop(answer.refused(409, "LAST_OWNER"));
    for path in collections(Org) {
        last(in_acme(server.delete(&format!("{path}/{user}")), &owner).await);
    }
    last(in_acme(server.delete(&ward), &owner).await);
    for role in ["member", "admin"] {
        for path in role_paths(Org, &user) {
            last(in_acme(server.patch(&path, &json!({ "role": role })), &owner).await);
        }
        for path in [ward.clone(), format!("{ward}/role")] {
            last(in_acme(server.patch(&path, &json!({ "role": role })), &owner).await);
        }
    }
    // with another beside them they may go, and then that one is the last; their workspace passes on
    let second = server.joined(Org, "second@example.com", "owner").await;
    in_acme(server.delete(&format!("{}/{user}", collections(Org)[1])), &owner).await.expect(200);
    let members = server.get(ward.rsplit_once('/').unwrap().0).by(&second).await.expect(200);
    assert_eq!(members["data"][0]["user_id"], second.user_id(), "{members}");
    assert_eq!(members["data"][0]["role"], "owner");
    let leave = format!("{}/{}", collections(Org)[1], second.user_id());
    last(in_acme(server.delete(&leave), &second).await);
    server.inspect().await.assert_sound().await;
}

async fn a_word_that_is_no_role_is_refused_wherever_one_is_taken(server: TestServer) {
    let owner = acme_owner();
    let ground = Ground::acme(&server);
    let mut asked = Vec::new();
    for route in ROUTES.iter().filter(|route| route.body.contains(r#""role""#)) {
        for word in [
            json!(""),
            json!(" "),
            json!("emperor"),
            json!("OWNER "),
            json!("owner\u{0}"),
            json!("\u{3bf}wner"),
            json!("owner,admin"),
            json!("system_admin"),
            json!("o".repeat(10_000)),
            json!(["owner"]),
            json!({ "role": "owner" }),
            json!(3),
            json!(true),
        ] {
            let mut body: Value = serde_json::from_str(&ground.filled(route.body).await).unwrap();
            body["role"] = word.clone();
            let path = format!("/api/v1{}", ground.filled(route.path).await);
            let call = server.call(route.method.parse().unwrap(), &path).json(&body);
            let answer = in_acme(call, &owner).await;
            let told = answer.json();
            assert!([400, 422].contains(&answer.status), "{}: {word:.40}: {}", route.id, answer.text());
            assert!(told["message"].as_str().unwrap().len() < 500, "not repeated: {told}");
        }
        asked.push(route.id);
    }
    assert!(asked.len() >= 8, "{asked:?}");
    for role in [json!("emperor"), json!(["owner"]), json!("OWNER ")] {
        let invitation = json!({ "email": "x@example.com", "role": role, "workspace_id": CLINIC });
        let path = format!("/api/v1/organizations/{ACME}/members/invite");
        let answer = server.post(&path, &invitation).by(&owner).await;
        assert!([400, 422].contains(&answer.status), "{}", answer.text());
        let shared = json!({ "invitedEmail": "x@example.com", "permissions": role });
        let answer = server.post(&format!("/api/v2/workspaces/{CLINIC}/invite"), &shared).by(&owner).await;
        assert!([400, 422].contains(&answer.status), "{}", answer.text());
    }
    // the same names in any other tenant or column are nothing either
    let strange = "SELECT count(*) AS n FROM tenant_members WHERE role NOT IN ('owner', 'admin', 'member')";
    assert_eq!(server.inspect().await.count(strange).await, 0);
}
