//! Who may invite, and up to which role, by every door that sets or changes one: nobody above their own rank,
//! only owners grant owner, strangers are told nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Credential, Invited,
    Kind::{self, Org, Workspace},
    PLANT, Person, Setup, TestServer, acme_owner, both_engines,
    client::Answer,
    globex_owner,
    invites::KINDS,
    person,
};

both_engines!(
    a_create_grants_up_to_the_own_rank,
    a_repeated_create_grants_up_to_the_own_rank,
    an_edit_grants_up_to_the_own_rank,
    a_resend_takes_the_rank_of_what_it_sends,
    revoking_is_not_limited_by_rank,
    reading_takes_the_right_or_being_the_inviter,
    a_foreign_id_answers_as_one_that_never_was,
    an_id_under_anothers_path_is_not_there,
    a_configured_permission_holds_under_the_ceiling => Setup::new()
        .acme("invites.permissions.member", vec!["invites:create", "invites:read"]),
    a_system_admin_sees_and_revokes_and_owns_nothing,
    a_listed_system_admin_is_one_too => Setup::new().server("system.admins", vec!["u-root-at-example.com"]),
    only_owners_and_admins_make_workspaces,
);

/// Somebody, and the highest role they may grant in the organisation and in the clinic; `None` means no
/// right at all.
pub(super) struct Caller {
    pub(super) name: &'static str,
    pub(super) who: Person,
    org: Option<&'static str>,
    clinic: Option<&'static str>,
    /// Not a member of the tenant: everything is 404.
    pub(super) stranger: bool,
}

impl Caller {
    pub(super) fn ceiling(&self, kind: Kind) -> Option<&'static str> {
        match kind {
            Org => self.org,
            Workspace => self.clinic,
        }
    }

    fn may(&self, kind: Kind, roles: &[&str]) -> bool {
        self.ceiling(kind).is_some_and(|ceiling| roles.iter().all(|role| rank(role) <= rank(ceiling)))
    }
}

pub(super) fn rank(role: &str) -> usize {
    ["viewer", "member", "admin", "owner"].iter().position(|one| *one == role).unwrap()
}

pub(super) fn roles(kind: Kind) -> &'static [&'static str] {
    match kind {
        Org => &["member", "admin", "owner"],
        Workspace => &["viewer", "member", "admin", "owner"],
    }
}

pub(super) async fn callers(server: &TestServer) -> Vec<Caller> {
    let mut callers = vec![Caller {
        name: "tenant owner",
        who: acme_owner(),
        org: Some("owner"),
        clinic: Some("owner"),
        stranger: false,
    }];
    for (name, kind, role, org, clinic) in [
        ("tenant admin", Org, "admin", Some("admin"), Some("admin")),
        ("tenant member", Org, "member", None, None),
        ("workspace owner", Workspace, "owner", None, Some("owner")),
        ("workspace admin", Workspace, "admin", None, Some("admin")),
        ("workspace member", Workspace, "member", None, None),
        ("workspace viewer", Workspace, "viewer", None, None),
    ] {
        let who = server.joined(kind, &format!("{}@example.com", name.replace(' ', "-")), role).await;
        callers.push(Caller { name, who, org, clinic, stranger: false });
    }
    let who = person("stranger@example.com");
    callers.push(Caller { name: "stranger", who, org: None, clinic: None, stranger: true });
    callers
}

/// Asserts the outcome for a caller: a success, 403, or for strangers 404.
#[track_caller]
pub(super) fn assert_outcome(answer: &Answer, caller: &Caller, may: bool, what: &str) {
    let wanted = match (caller.stranger, may) {
        (true, _) => vec![404],
        (false, true) => vec![200, 201],
        (false, false) => vec![403],
    };
    assert!(wanted.contains(&answer.status), "{}: {what}: {} {}", caller.name, answer.status, answer.text());
    if answer.status == 403 {
        answer.refused(403, "FORBIDDEN");
    }
}

async fn a_create_grants_up_to_the_own_rank(server: TestServer) {
    for caller in callers(&server).await {
        for kind in KINDS {
            for (at, role) in roles(kind).iter().enumerate() {
                let email = format!("new-{at}-{}@example.com", caller.name.replace(' ', "-"));
                let body = json!({ "email": email, "role": role });
                let answer = server.post(&kind.collection(), &body).by(&caller.who).await;
                assert_outcome(&answer, &caller, caller.may(kind, &[role]), &format!("{kind:?} {role}"));
            }
        }
    }
}

async fn a_repeated_create_grants_up_to_the_own_rank(server: TestServer) {
    let callers = callers(&server).await;
    for kind in KINDS {
        for waiting in roles(kind) {
            let email = format!("waiting-{waiting}@example.com");
            server.invite(kind, &acme_owner(), &email, waiting).await;
            for caller in &callers {
                for role in roles(kind) {
                    let body = json!({ "email": email, "role": role });
                    let answer = server.post(&kind.collection(), &body).by(&caller.who).await;
                    let may = caller.may(kind, &[waiting, role]);
                    assert_outcome(&answer, caller, may, &format!("{kind:?} {waiting} again as {role}"));
                    if may {
                        server.invite(kind, &acme_owner(), &email, waiting).await;
                    }
                }
            }
        }
    }
}

async fn an_edit_grants_up_to_the_own_rank(server: TestServer) {
    let callers = callers(&server).await;
    for kind in KINDS {
        for waiting in roles(kind) {
            let invited =
                server.invite(kind, &acme_owner(), &format!("w-{waiting}@example.com"), waiting).await;
            for caller in &callers {
                for role in roles(kind) {
                    let answer = server.edit(&invited, &caller.who, &json!({ "role": role })).await;
                    let may = caller.may(kind, &[waiting, role]);
                    assert_outcome(&answer, caller, may, &format!("{kind:?} edits {waiting} to {role}"));
                    if may {
                        server.edit(&invited, &acme_owner(), &json!({ "role": waiting })).await.expect(200);
                    }
                }
                let answer = server.edit(&invited, &caller.who, &json!({ "expires_in": 3600 })).await;
                assert_outcome(&answer, caller, caller.may(kind, &[waiting]), "edits the end of life");
            }
        }
    }
}

async fn a_resend_takes_the_rank_of_what_it_sends(server: TestServer) {
    let callers = callers(&server).await;
    for kind in KINDS {
        for waiting in roles(kind) {
            let invited =
                server.invite(kind, &acme_owner(), &format!("w-{waiting}@example.com"), waiting).await;
            for caller in &callers {
                for body in [json!({}), json!({ "rotate": true }), json!({ "role": "owner" })] {
                    server.advance(Duration::from_secs(61));
                    let answer = server.resend(&invited, &caller.who, &body).await;
                    assert_outcome(
                        &answer,
                        caller,
                        caller.may(kind, &[waiting]),
                        &format!("{kind:?} {waiting}"),
                    );
                    let data = server.show(&invited, &acme_owner()).await.expect(200)["data"].clone();
                    assert_eq!(data["role"], *waiting, "a resend changes no role");
                }
            }
        }
    }
}

async fn revoking_is_not_limited_by_rank(server: TestServer) {
    for caller in callers(&server).await {
        for kind in KINDS {
            let email = format!("boss-{}@example.com", caller.name.replace(' ', "-"));
            let invited = server.invite(kind, &acme_owner(), &email, "owner").await;
            let answer = server.revoke(&invited, &caller.who).await;
            assert_outcome(&answer, &caller, caller.ceiling(kind).is_some(), &format!("{kind:?} revokes"));
        }
    }
}

async fn reading_takes_the_right_or_being_the_inviter(server: TestServer) {
    let callers = callers(&server).await;
    for kind in KINDS {
        let invited = server.invite(kind, &acme_owner(), "bob@example.com", "member").await;
        for caller in &callers {
            let may = caller.ceiling(kind).is_some();
            assert_outcome(&server.get(&kind.collection()).by(&caller.who).await, caller, may, "lists");
            assert_outcome(&server.show(&invited, &caller.who).await, caller, may, "reads one");
        }
    }
    // an admin sends two, is made a plain member, and still reads what they sent and nothing else
    let admin = &callers[1].who;
    let own = server.invite(Org, admin, "carl@example.com", "member").await;
    let member = server.cli(&["member", "set-role", &admin.user_id(), "member", "--tenant", "acme"]).await;
    member.data();
    let answer = server.get(&Org.collection()).by(admin).await;
    if answer.status == 200 {
        let ids: Vec<Value> =
            answer.json()["data"].as_array().unwrap().iter().map(|i| i["id"].clone()).collect();
        assert_eq!(ids, [json!(own.id)], "the invites they sent");
    } else {
        // what they could no longer send was revoked, so nothing of theirs may be pending
        answer.refused(403, "FORBIDDEN");
    }
    server.show(&own, admin).await.expect(200);
}

/// Every route that takes an invite's id, as a request to make by hand.
async fn by_id(
    server: &TestServer,
    collection: &str,
    id: &str,
    who: &(impl Credential + ?Sized),
) -> Vec<Answer> {
    let item = format!("{collection}/{id}");
    let bad = json!({ "role": "emperor", "expires_in": 1, "expires_at": 7 });
    vec![
        server.get(&item).by(who).await,
        server.delete(&item).by(who).await,
        server.patch(&item, &json!({ "role": "admin" })).by(who).await,
        server.patch(&item, &json!({ "expires_in": 3600 })).by(who).await,
        server.post(&format!("{item}/resend"), &json!({})).by(who).await,
        server.post(&format!("{item}/resend"), &json!({ "rotate": true })).by(who).await,
        server.patch(&item, &json!({})).by(who).await,
        server.patch(&item, &bad).by(who).await,
        server.post(&format!("{item}/resend"), &bad).by(who).await,
    ]
}

async fn a_foreign_id_answers_as_one_that_never_was(server: TestServer) {
    let never = "01900000-0000-7000-8000-00000000ffff";
    let rows = server.inspect().await;
    server.get(&Org.collection()).by(&acme_owner()).await.expect(200);
    for kind in KINDS {
        let body = json!({ "email": "victim@example.com", "send_email": false });
        let answer = server.post(&kind.globex_collection(), &body).by(&globex_owner()).await;
        let foreign = Invited::read(kind, &answer.expect(201));
        let before = rows.texts("SELECT updated_at || '-' || status AS t FROM invites ORDER BY id").await;
        let events = rows.count("SELECT count(*) AS n FROM events").await;
        for who in [acme_owner(), person("stranger@example.com")] {
            for (real_at, absent_at) in [
                (kind.collection(), kind.collection()),
                (kind.globex_collection(), kind.collection_in(never)),
            ] {
                let real = by_id(&server, &real_at, &foreign.id, &who).await;
                let absent = by_id(&server, &absent_at, never, &who).await;
                for (real, absent) in real.iter().zip(&absent) {
                    // a body that cannot be taken may be refused first, if that tells nothing
                    assert!([404, 422].contains(&real.status), "{}", real.text());
                    assert_eq!(real.anonymous(), absent.anonymous());
                }
                assert_eq!(real[0].status, 404);
            }
        }
        let absent = kind.collection_in(never);
        for body in [json!({}), json!({ "email": "x" }), json!({ "email": "x@example.com", "role": null })] {
            for who in [acme_owner(), person("stranger@example.com")] {
                let real = server.post(&kind.globex_collection(), &body).by(&who).await;
                let absent = server.post(&absent, &body).by(&who).await;
                assert_eq!(real.anonymous(), absent.anonymous(), "{body}");
            }
        }
        assert_eq!(
            rows.texts("SELECT updated_at || '-' || status AS t FROM invites ORDER BY id").await,
            before
        );
        assert_eq!(rows.count("SELECT count(*) AS n FROM events").await, events);
    }
}

async fn an_id_under_anothers_path_is_not_there(server: TestServer) {
    let owner = acme_owner();
    let second = server.post("/api/v1/workspaces", &json!({ "name": "Second" })).by(&owner).await.expect(201);
    let second = Workspace.collection_in(second["id"].as_str().unwrap());
    let invited = server.invite(Workspace, &owner, "bob@example.com", "member").await;
    let org = server.invite(Org, &owner, "bob@example.com", "member").await;
    for (collection, id) in [
        (second.as_str(), invited.id.as_str()),
        (&Org.collection(), &invited.id),
        (&Workspace.collection(), &org.id),
        (&Workspace.collection_in(PLANT), &invited.id),
    ] {
        for answer in by_id(&server, collection, id, &owner).await {
            // a body that cannot be taken is refused before anything is looked up
            let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
            assert!(["NOT_FOUND", "VALIDATION_ERROR"].contains(&code.as_str()), "{code}");
            assert!([404, 422].contains(&answer.status), "{}", answer.status);
        }
    }
}

async fn a_configured_permission_holds_under_the_ceiling(server: TestServer) {
    let member = server.joined(Org, "member@example.com", "member").await;
    let viewer = server.joined(Workspace, "viewer@example.com", "viewer").await;
    server.invite(Org, &member, "a@example.com", "member").await;
    let above = json!({ "email": "b@example.com", "role": "admin" });
    server.post(&Org.collection(), &above).by(&member).await.refused(403, "FORBIDDEN");
    assert_eq!(server.pending(Org, &member).await.len(), 1);
    // in a workspace it holds where its holder belongs, up to their role there
    let body = json!({ "email": "c@example.com", "role": "viewer" });
    server.post(&Workspace.collection(), &body).by(&member).await.refused(403, "FORBIDDEN");
    server.post(&Workspace.collection(), &body).by(&viewer).await.expect(201);
    let above = json!({ "email": "d@example.com", "role": "member" });
    server.post(&Workspace.collection(), &above).by(&viewer).await.refused(403, "FORBIDDEN");
    // `invites:revoke` was not given: only what they sent themselves
    let other = server.invite(Org, &acme_owner(), "e@example.com", "member").await;
    server.revoke(&other, &member).await.refused(403, "FORBIDDEN");
}

async fn a_system_admin_sees_and_revokes_and_owns_nothing(server: TestServer) {
    assert_system_admin(&server, &person("root@example.com").with("role", "system_admin")).await;
    let not_one = person("pretender@example.com").with("role", "admin");
    assert_eq!(server.get(&Org.collection()).by(&not_one).await.status, 404);
}

async fn a_listed_system_admin_is_one_too(server: TestServer) {
    assert_system_admin(&server, &person("root@example.com")).await;
}

async fn assert_system_admin(server: &TestServer, admin: &Person) {
    for kind in KINDS {
        let acme = server.invite(kind, &acme_owner(), "bob@example.com", "owner").await;
        let globex = server.invite_to_globex(kind, "bob@example.com").await;
        assert_eq!(server.pending(kind, admin).await.len(), 1);
        server.show(&acme, admin).await.expect(200);
        server.get(&kind.globex_collection()).by(admin).await.expect(200);
        server.revoke(&acme, admin).await.expect(200);
        server.delete(&format!("{}/{}", kind.globex_collection(), globex.id)).by(admin).await.expect(200);
        let body = json!({ "email": "carl@example.com" });
        let answer = server.post(&kind.collection(), &body).by(admin).await;
        assert!([403, 404].contains(&answer.status), "owns nothing: {}", answer.text());
    }
}

async fn only_owners_and_admins_make_workspaces(server: TestServer) {
    let admin = server.joined(Org, "admin@example.com", "admin").await;
    let member = server.joined(Org, "member@example.com", "member").await;
    let body = json!({ "name": "New" });
    server.post("/api/v1/workspaces", &body).by(&member).await.refused(403, "FORBIDDEN");
    let made = server.post("/api/v1/workspaces", &body).by(&admin).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    // whoever makes one owns it
    let body = json!({ "email": "boss@example.com", "role": "owner" });
    server.post(&Workspace.collection_in(&id), &body).by(&admin).await.expect(201);
}
