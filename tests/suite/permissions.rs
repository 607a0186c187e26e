//! Who may do what, as a table: every operation of the API, by everybody there can be, in their own workspace, in
//! another one, and in the tenant. Then what the scopes of an API key open, and what each permission of the
//! configured map does.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{
    ACME_HOST, Credential,
    Kind::{Org, Workspace},
    PLATFORM, Setup, TestServer, acme_owner, both_engines,
    client::Answer,
    globex_owner,
    invites::KINDS,
    person,
    routes::{Ground, ROUTES, Route, heir, route_of},
};

both_engines!(
    on_a_platform_host_everybody_may_what_the_table_says,
    on_the_tenants_host_everybody_may_what_the_table_says,
    every_operation_of_the_document_is_in_the_table,
    a_key_may_what_its_scopes_say,
    the_permission_to_create_holds_where_its_holder_belongs => map(&["invites:create"]),
    the_permission_to_read_shows_and_changes_nothing => map(&["invites:read"]),
    the_permission_to_revoke_revokes_and_shows_nothing => map(&["invites:revoke"]),
);

/// The columns: an outsider; member, admin and owner of the tenant; viewer, member, admin and owner of the clinic
/// (members of the tenant, as everybody in a workspace is); a tenant admin who is a viewer of the clinic; a system
/// admin who belongs to nothing; a service key of role admin; a key of the tenant admin; the owner of another
/// tenant, known to that tenant's own issuer.
const EVERYBODY: &str = "out mem adm own vie wme wad wow a+v sys ser key for";

/// Where an operation acts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// In the tenant.
    Tenant,
    /// In the workspace where the clinic's people have their roles.
    Own,
    /// In a workspace made by the owner of the tenant, where nobody else has any.
    Other,
}
use Place::{Other, Own, Tenant};

/// Outcomes: `2` done; `3` 403; `4` 404; `9` 409 `MANAGED_BY_CONFIG`, which only those learn who might otherwise;
/// `m` 422 `EMAIL_MISMATCH`, since the links are somebody else's; `t` a link that is none (400 here).
#[rustfmt::skip]
const TABLE: &[(&str, Place, &str)] = &[
    //                                           out mem adm own vie wme wad wow a+v sys ser key for
    ("create_workspace_invite", Own,            "4   3   2   2   3   3   2   2   2   4   2   2   4"),
    ("create_workspace_invite", Other,          "4   3   2   2   3   3   3   3   2   4   2   2   4"),
    ("list_workspace_invites", Own,             "4   3   2   2   3   3   2   2   2   2   2   2   4"),
    ("list_workspace_invites", Other,           "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("get_workspace_invite", Own,               "4   3   2   2   3   3   2   2   2   2   2   2   4"),
    ("get_workspace_invite", Other,             "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("list_workspace_invite_events", Own,       "4   3   2   2   3   3   2   2   2   2   2   2   4"),
    ("list_workspace_invite_events", Other,     "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("edit_workspace_invite", Own,              "4   3   2   2   3   3   2   2   2   3   2   2   4"),
    ("edit_workspace_invite", Other,            "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("revoke_workspace_invite", Own,            "4   3   2   2   3   3   2   2   2   2   2   2   4"),
    ("revoke_workspace_invite", Other,          "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("resend_workspace_invite", Own,            "4   3   2   2   3   3   2   2   2   3   2   2   4"),
    ("resend_workspace_invite", Other,          "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("create_org_invite", Tenant,               "4   3   2   2   3   3   3   3   2   4   2   2   4"),
    ("list_org_invites", Tenant,                "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("get_org_invite", Tenant,                  "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("list_org_invite_events", Tenant,          "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("list_events", Tenant,                     "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("edit_org_invite", Tenant,                 "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("revoke_org_invite", Tenant,               "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("resend_org_invite", Tenant,               "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("preview_workspace_invite", Own,           "2   2   2   2   2   2   2   2   2   2   2   2   2"),
    ("accept_workspace_invite", Own,            "m   m   m   m   m   m   m   m   m   m   3   m   4"),
    ("decline_workspace_invite", Own,           "m   m   m   m   m   m   m   m   m   m   3   m   4"),
    ("preview_org_invite", Tenant,              "2   2   2   2   2   2   2   2   2   2   2   2   2"),
    ("accept_org_invite", Tenant,               "m   m   m   m   m   m   m   m   m   m   3   m   t"),
    ("decline_org_invite", Tenant,              "m   m   m   m   m   m   m   m   m   m   3   m   t"),
    ("create_workspace", Tenant,                "4   3   2   2   3   3   3   3   2   4   2   2   4"),
    ("list_workspaces", Tenant,                 "4   2   2   2   2   2   2   2   2   2   2   2   4"),
    ("get_workspace", Own,                      "4   3   2   2   2   2   2   2   2   2   2   2   4"),
    ("get_workspace", Other,                    "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("edit_workspace", Own,                     "4   3   2   2   3   3   2   2   2   4   2   2   4"),
    ("edit_workspace", Other,                   "4   3   2   2   3   3   3   3   2   4   2   2   4"),
    ("delete_workspace", Own,                   "4   3   3   9   3   3   3   9   3   4   3   3   4"),
    ("delete_workspace", Other,                 "4   3   3   2   3   3   3   3   3   4   3   3   4"),
    ("list_workspace_members", Own,             "4   3   2   2   2   2   2   2   2   2   2   2   4"),
    ("list_workspace_members", Other,           "4   3   2   2   3   3   3   3   2   2   2   2   4"),
    ("add_workspace_member", Own,               "4   3   2   2   3   3   2   2   2   4   2   2   4"),
    ("add_workspace_member", Other,             "4   3   2   2   3   3   3   3   2   4   2   2   4"),
    ("set_workspace_member_role", Own,          "4   3   2   2   3   3   2   2   2   3   2   2   4"),
    ("set_workspace_member_role", Other,        "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("set_workspace_member_role_alias", Own,    "4   3   2   2   3   3   2   2   2   3   2   2   4"),
    ("set_workspace_member_role_alias", Other,  "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("remove_workspace_member", Own,            "4   3   2   2   3   3   2   2   2   3   2   2   4"),
    ("remove_workspace_member", Other,          "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("list_tenant_members", Tenant,             "4   2   2   2   2   2   2   2   2   2   2   2   4"),
    ("add_tenant_member", Tenant,               "4   3   2   2   3   3   3   3   2   4   2   2   4"),
    ("set_tenant_member_role", Tenant,          "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("remove_tenant_member", Tenant,            "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("list_own_tenant_members", Tenant,         "4   2   2   2   2   2   2   2   2   2   2   2   4"),
    ("add_own_tenant_member", Tenant,           "4   3   2   2   3   3   3   3   2   4   2   2   4"),
    ("set_own_tenant_member_role", Tenant,      "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("remove_own_tenant_member", Tenant,        "4   3   2   2   3   3   3   3   2   3   2   2   4"),
    ("transfer_ownership", Tenant,              "4   3   3   2   3   3   3   3   3   4   3   3   4"),
    ("list_tenants", Tenant,                    "2   2   2   2   2   2   2   2   2   2   2   2   2"),
    ("get_current_tenant", Tenant,              "4   2   2   2   2   2   2   2   2   2   2   2   4"),
    ("switch_tenant", Tenant,                   "4   2   2   2   2   2   2   2   2   2   3   3   4"),
    ("update_tenant", Tenant,                   "4   3   3   9   3   3   3   3   3   3   3   3   4"),
    ("get_tenant_plan", Tenant,                 "4   2   2   2   2   2   2   2   2   2   2   2   4"),
    ("get_branding", Tenant,                    "4   2   2   2   2   2   2   2   2   2   2   2   4"),
    ("put_branding", Tenant,                    "4   3   9   9   3   3   3   3   9   3   9   9   4"),
    ("delete_branding", Tenant,                 "4   3   9   9   3   3   3   3   9   3   9   9   4"),
    ("get_preview_domain", Tenant,              "4   2   2   2   2   2   2   2   2   2   2   2   4"),
    ("put_preview_domain", Tenant,              "4   3   9   9   3   3   3   3   9   3   9   9   4"),
    ("delete_preview_domain", Tenant,           "4   3   9   9   3   3   3   3   9   3   9   9   4"),
    ("verify_preview_domain", Tenant,           "4   2   2   2   2   2   2   2   2   2   2   2   4"),
    ("get_preview_domain_verification", Tenant, "4   2   2   2   2   2   2   2   2   2   2   2   4"),
    ("create_api_key", Tenant,                  "4   2   2   2   2   2   2   2   2   4   3   2   4"),
    ("create_scoped_api_key", Tenant,           "4   2   2   2   2   2   2   2   2   4   3   2   4"),
    ("list_api_keys", Tenant,                   "4   2   2   2   2   2   2   2   2   2   2   2   4"),
    // the key is the owner's: admins see it and end it, and nobody but its person gains by it
    ("get_api_key", Tenant,                     "4   4   2   2   4   4   4   4   2   4   2   2   4"),
    ("edit_api_key", Tenant,                    "4   4   2   2   4   4   4   4   2   4   2   2   4"),
    ("rotate_api_key", Tenant,                  "4   4   3   2   4   4   4   4   3   4   3   3   4"),
    ("delete_api_key", Tenant,                  "4   4   2   2   4   4   4   4   2   4   2   2   4"),
    ("list_api_key_events", Tenant,             "4   4   2   2   4   4   4   4   2   4   2   2   4"),
    ("list_my_invites", Tenant,                 "2   2   2   2   2   2   2   2   2   2   3   2   2"),
    ("list_my_invitations", Tenant,             "2   2   2   2   2   2   2   2   2   2   3   2   2"),
    ("accept_my_invite", Tenant,                "4   4   4   4   4   4   4   4   4   4   3   4   4"),
    ("accept_my_invitation", Tenant,            "4   4   4   4   4   4   4   4   4   4   3   4   4"),
    ("decline_my_invite", Tenant,               "4   4   4   4   4   4   4   4   4   4   3   4   4"),
    ("decline_my_invitation", Tenant,           "4   4   4   4   4   4   4   4   4   4   3   4   4"),
];

/// Families whose roles have tables of their own.
const ELSEWHERE: [&str; 2] = ["sharing", "invitations"];

async fn every_operation_of_the_document_is_in_the_table(server: TestServer) {
    let document = server.get("/openapi.json").await.expect(200);
    let known: BTreeSet<&str> = TABLE.iter().map(|(id, ..)| *id).collect();
    let routes: BTreeSet<&str> = ROUTES.iter().map(|route| route.id).collect();
    assert_eq!(known, routes);
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let family = operation["tags"][0].as_str().unwrap_or_default();
            let id = operation["operationId"].as_str().unwrap_or_default();
            assert!(ELSEWHERE.contains(&family) || known.contains(id), "who may {id} ({path})?");
        }
    }
}

/// Everybody's credential, in the order of [`EVERYBODY`].
async fn everybody(server: &TestServer) -> Vec<String> {
    let mut all = vec![person("out@example.com").bearer()];
    let admin = server.joined(Org, "adm@example.com", "admin").await;
    all.push(server.joined(Org, "mem@example.com", "member").await.bearer());
    all.push(admin.bearer());
    all.push(acme_owner().bearer());
    for (name, role) in [("vie", "viewer"), ("wme", "member"), ("wad", "admin"), ("wow", "owner")] {
        all.push(server.joined(Workspace, &format!("{name}@example.com"), role).await.bearer());
    }
    let both = server.joined(Org, "both@example.com", "admin").await;
    let body = json!({ "email": both.email(), "role": "viewer" });
    server.post(&Workspace.collection(), &body).by(&acme_owner()).await.expect(200);
    all.push(both.bearer());
    all.push(person("sys@example.com").with("role", "system_admin").bearer());
    all.push(
        server.cli(&["api-key", "create", "--tenant", "acme", "--service", "--role", "admin"]).await.data(),
    );
    let key = server.post("/api/v1/api-keys", &json!({ "name": "adm" })).by(&admin).await.expect(201);
    all.push(key["key"].as_str().unwrap().to_owned());
    all.push(globex_owner().bearer());
    all
}

async fn on_a_platform_host_everybody_may_what_the_table_says(server: TestServer) {
    assert_table(&server, PLATFORM).await;
}

async fn on_the_tenants_host_everybody_may_what_the_table_says(server: TestServer) {
    assert_table(&server, ACME_HOST).await;
}

async fn assert_table(server: &TestServer, host: &str) {
    let everybody = everybody(server).await;
    let names: Vec<&str> = EVERYBODY.split_whitespace().collect();
    let mut wrong = Vec::new();
    for (id, place, outcomes) in TABLE {
        let route = route_of(id);
        let outcomes: Vec<char> = outcomes.chars().filter(|letter| *letter != ' ').collect();
        assert_eq!(outcomes.len(), names.len(), "{id}");
        for ((name, who), outcome) in names.iter().zip(&everybody).zip(outcomes) {
            let mut ground = Ground::acme(server);
            if *place == Other {
                let made = server.post("/api/v1/workspaces", &json!({ "name": ground.made("name").await }));
                ground.workspace =
                    made.by(&acme_owner()).await.expect(201)["id"].as_str().unwrap().to_owned();
            }
            let call = ground.ask(route).await.bearer(who).on(host);
            let answer =
                if host == PLATFORM { call.header("x-miosa-tenant", "acme").await } else { call.await };
            // on a host of the tenant, whoever is another tenant's is nobody
            let public = route.id.starts_with("preview_");
            let outcome = if host != PLATFORM && *name == "for" && !public { '4' } else { outcome };
            if !is(&answer, outcome) {
                wrong.push(format!("{id} {place:?} {name}: not {outcome} but {}", answer.text()));
            }
            if route.id == "transfer_ownership" && answer.status == 200 {
                let back = json!({ "new_owner_user_id": acme_owner().user_id() });
                server.post("/api/v1/tenant/transfer-ownership", &back).by(&heir()).await.expect(200);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.inspect().await.assert_sound().await;
}

fn is(answer: &Answer, outcome: char) -> bool {
    let code = || answer.json()["code"].as_str().unwrap_or_default().to_owned();
    match outcome {
        '2' => (200..300).contains(&answer.status),
        '3' => answer.status == 403 && code() == "FORBIDDEN",
        '4' => answer.status == 404,
        '9' => answer.status == 409 && code() == "MANAGED_BY_CONFIG",
        'm' => answer.status == 422 && code() == "EMAIL_MISMATCH",
        't' => answer.status == 400 && code() == "invalid_token",
        other => panic!("no outcome {other}"),
    }
}

async fn a_key_may_what_its_scopes_say(server: TestServer) {
    let ground = Ground::acme(&server);
    for scope in [
        "invites:read",
        "invites:write",
        "members:read",
        "members:write",
        "workspaces:read",
        "workspaces:write",
        "keys:write",
        "unheard:of",
    ] {
        let body = json!({ "name": scope, "scopes": [scope] });
        let key = server.post("/api/v1/api-keys", &body).by(&acme_owner()).await.expect(201);
        let key = key["key"].as_str().unwrap();
        for route in ROUTES.iter().filter(|route| route.id != "transfer_ownership") {
            let answer = ground.ask(*route).await.bearer(key).await;
            if holds(scope, route) {
                assert!(
                    answer.status != 403 || answer.json()["code"] == "FORBIDDEN",
                    "{scope}: {}",
                    route.id
                );
                assert!(answer.status != 404 || route.path.contains("/me/"), "{scope}: {}", route.id);
            } else {
                let told = answer.refused(403, "insufficient_scope");
                assert_eq!(told["error"]["details"]["required_scope"], route.scope, "{scope}: {}", route.id);
            }
        }
    }
}

/// `x:write` includes `x:read`.
fn holds(scope: &str, route: &Route) -> bool {
    route.scope.is_empty() || scope == route.scope || scope == route.scope.replace(":read", ":write")
}

/// Members of acme hold these permissions.
fn map(permissions: &[&str]) -> Setup {
    Setup::new().acme("invites.permissions.member", permissions.to_vec())
}

/// A member of the tenant alone, and viewers of the clinic, asked for invites of both kinds that the owner made:
/// statuses of create, list, get and revoke, in the organisation and in the clinic.
async fn assert_mapped(server: &TestServer, org: [u16; 4], belongs: [u16; 4]) {
    let member = server.joined(Org, "member@example.com", "member").await;
    let viewer = server.joined(Workspace, "viewer@example.com", "viewer").await;
    let ground = Ground::acme(server);
    for kind in KINDS {
        for (who, wanted) in match kind {
            Org => [(&member, org), (&viewer, org)],
            Workspace => [(&member, [403; 4]), (&viewer, belongs)],
        } {
            let role = if kind == Org { "member" } else { "viewer" };
            let id = ground.made(if kind == Org { "org_invite" } else { "invite" }).await;
            let body = json!({ "email": ground.made("email").await, "role": role, "send_email": false });
            let answers = [
                server.post(&kind.collection(), &body).by(who).await,
                server.get(&kind.collection()).by(who).await,
                server.get(&kind.item(&id)).by(who).await,
                server.delete(&kind.item(&id)).by(who).await,
            ];
            let statuses = answers.each_ref().map(|answer| answer.status);
            assert_eq!(statuses, wanted, "{kind:?} {}", who.email());
            // the ceiling holds for whoever may create
            let above = if kind == Org { "admin" } else { "member" };
            let body = json!({ "email": ground.made("email").await, "role": above });
            server.post(&kind.collection(), &body).by(who).await.refused(403, "FORBIDDEN");
            let edit = server.patch(&kind.item(&id), &json!({ "role": "admin" })).by(who).await;
            edit.refused(403, "FORBIDDEN");
        }
    }
}

async fn the_permission_to_create_holds_where_its_holder_belongs(server: TestServer) {
    // the list shows whoever has sent some what they sent
    assert_mapped(&server, [201, 200, 403, 403], [201, 200, 403, 403]).await;
    let viewer = person("viewer@example.com");
    assert_eq!(server.pending(Workspace, &viewer).await.len(), 1, "the invites they sent");
}

async fn the_permission_to_read_shows_and_changes_nothing(server: TestServer) {
    assert_mapped(&server, [403, 200, 200, 403], [403, 200, 200, 403]).await;
}

async fn the_permission_to_revoke_revokes_and_shows_nothing(server: TestServer) {
    assert_mapped(&server, [403, 403, 403, 200], [403, 403, 403, 200]).await;
}
