//! Every operation of the API as data: how it is asked, and which scope an API key needs for it. What stands in
//! angle brackets is made anew for every request ([`Ground::ask`]), so that each has something of its own to act
//! on. Each operation of the document must be here (`permissions`).

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    client::Call,
    invites::{Kind, token_of},
    people::{Credential, Person, acme_owner, globex_owner},
    server::TestServer,
    setup::{ACME, CLINIC, GLOBEX, PLANT},
};

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its id in the document.
    pub id: &'static str,
    /// Method.
    pub method: &'static str,
    /// Path below `/api/v1`.
    pub path: &'static str,
    /// Body, or nothing.
    pub body: &'static str,
    /// The scope that an API key needs; empty for none.
    pub scope: &'static str,
}

const fn route(
    id: &'static str,
    method: &'static str,
    path: &'static str,
    body: &'static str,
    scope: &'static str,
) -> Route {
    Route { id, method, path, body, scope }
}

const INVITE: &str = r#"{"email":"<email>","role":"member","send_email":false}"#;
const KEY: &str = r#"{"name":"made","scopes":["invites:read"],"external_user_id":"cust_1"}"#;
const ADD: &str = r#"{"user_id":"<tenant_member>","role":"viewer"}"#;
const ADD_TO_TENANT: &str = r#"{"user_id":"<newcomer>","role":"member"}"#;
const TO_MEMBER: &str = r#"{"role":"member"}"#;
const TO_ADMIN: &str = r#"{"role":"admin"}"#;
const FOR_AN_HOUR: &str = r#"{"expires_in":3600}"#;

/// All of them, family by family.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route("create_workspace_invite", "POST", "/workspaces/<workspace>/invites", INVITE, "invites:write"),
    route("list_workspace_invites", "GET", "/workspaces/<workspace>/invites", "", "invites:read"),
    route("get_workspace_invite", "GET", "/workspaces/<workspace>/invites/<invite>", "", "invites:read"),
    route("list_workspace_invite_events", "GET", "/workspaces/<workspace>/invites/<invite>/events", "", "invites:read"),
    route("edit_workspace_invite", "PATCH", "/workspaces/<workspace>/invites/<invite>", FOR_AN_HOUR, "invites:write"),
    route("revoke_workspace_invite", "DELETE", "/workspaces/<workspace>/invites/<invite>", "", "invites:write"),
    route("resend_workspace_invite", "POST", "/workspaces/<workspace>/invites/<invite>/resend", "{}", "invites:write"),
    route("create_org_invite", "POST", "/tenants/<tenant>/invites", INVITE, "invites:write"),
    route("list_org_invites", "GET", "/tenants/<tenant>/invites", "", "invites:read"),
    route("get_org_invite", "GET", "/tenants/<tenant>/invites/<org_invite>", "", "invites:read"),
    route("list_org_invite_events", "GET", "/tenants/<tenant>/invites/<org_invite>/events", "", "invites:read"),
    route("list_events", "GET", "/events", "", "invites:read"),
    route("edit_org_invite", "PATCH", "/tenants/<tenant>/invites/<org_invite>", FOR_AN_HOUR, "invites:write"),
    route("revoke_org_invite", "DELETE", "/tenants/<tenant>/invites/<org_invite>", "", "invites:write"),
    route("resend_org_invite", "POST", "/tenants/<tenant>/invites/<org_invite>/resend", "{}", "invites:write"),
    route("preview_workspace_invite", "GET", "/workspace-invites/<link>", "", ""),
    route("accept_workspace_invite", "POST", "/workspace-invites/<link>/accept", "{}", ""),
    route("decline_workspace_invite", "POST", "/workspace-invites/<link>/decline", "{}", ""),
    route("preview_org_invite", "GET", "/invites/<org_link>", "", ""),
    route("accept_org_invite", "POST", "/invites/<org_link>/accept", "{}", ""),
    route("decline_org_invite", "POST", "/invites/<org_link>/decline", "{}", ""),
    route("create_workspace", "POST", "/workspaces", r#"{"name":"<name>"}"#, "workspaces:write"),
    route("list_workspaces", "GET", "/workspaces", "", "workspaces:read"),
    route("get_workspace", "GET", "/workspaces/<workspace>", "", "workspaces:read"),
    route("edit_workspace", "PATCH", "/workspaces/<workspace>", r#"{"description":"<name>"}"#, "workspaces:write"),
    route("delete_workspace", "DELETE", "/workspaces/<workspace>", "", "workspaces:write"),
    route("list_workspace_members", "GET", "/workspaces/<workspace>/members", "", "members:read"),
    route("add_workspace_member", "POST", "/workspaces/<workspace>/members", ADD, "members:write"),
    route("set_workspace_member_role", "PATCH", "/workspaces/<workspace>/members/<member>", TO_MEMBER, "members:write"),
    route("set_workspace_member_role_alias", "PATCH", "/workspaces/<workspace>/members/<member>/role", TO_MEMBER,
        "members:write"),
    route("remove_workspace_member", "DELETE", "/workspaces/<workspace>/members/<member>", "", "members:write"),
    route("list_tenant_members", "GET", "/tenants/<tenant>/members", "", "members:read"),
    route("add_tenant_member", "POST", "/tenants/<tenant>/members", ADD_TO_TENANT, "members:write"),
    route("set_tenant_member_role", "PATCH", "/tenants/<tenant>/members/<tenant_member>/role", TO_ADMIN,
        "members:write"),
    route("remove_tenant_member", "DELETE", "/tenants/<tenant>/members/<tenant_member>", "", "members:write"),
    route("list_own_tenant_members", "GET", "/tenant/members", "", "members:read"),
    route("add_own_tenant_member", "POST", "/tenant/members", ADD_TO_TENANT, "members:write"),
    route("set_own_tenant_member_role", "PATCH", "/tenant/members/<tenant_member>/role", TO_ADMIN, "members:write"),
    route("remove_own_tenant_member", "DELETE", "/tenant/members/<tenant_member>", "", "members:write"),
    route("transfer_ownership", "POST", "/tenant/transfer-ownership", r#"{"new_owner_user_id":"<heir>"}"#,
        "members:write"),
    route("list_tenants", "GET", "/platform/tenants", "", ""),
    route("get_current_tenant", "GET", "/platform/tenants/current", "", ""),
    route("switch_tenant", "POST", "/platform/tenants/<tenant>/switch", "{}", ""),
    route("update_tenant", "PUT", "/tenants/<tenant>", r#"{"name":"Other"}"#, ""),
    route("get_tenant_plan", "GET", "/tenant/plan", "", ""),
    route("get_branding", "GET", "/tenant/branding", "", ""),
    route("put_branding", "PUT", "/tenant/branding", r#"{"branding":{"name":"Other"}}"#, ""),
    route("delete_branding", "DELETE", "/tenant/branding", "", ""),
    route("get_preview_domain", "GET", "/tenant/preview-domain", "", ""),
    route("put_preview_domain", "PUT", "/tenant/preview-domain", r#"{"preview_domain":"other.test"}"#, ""),
    route("delete_preview_domain", "DELETE", "/tenant/preview-domain", "", ""),
    route("verify_preview_domain", "POST", "/tenant/preview-domain/verify", "{}", ""),
    route("get_preview_domain_verification", "GET", "/tenant/preview-domain/verify", "", ""),
    route("create_api_key", "POST", "/api-keys", KEY, "keys:write"),
    route("create_scoped_api_key", "POST", "/api-keys/scoped", KEY, "keys:write"),
    route("list_api_keys", "GET", "/api-keys", "", "keys:read"),
    route("get_api_key", "GET", "/api-keys/<key>", "", "keys:read"),
    route("edit_api_key", "PATCH", "/api-keys/<key>", r#"{"name":"renamed"}"#, "keys:write"),
    route("rotate_api_key", "POST", "/api-keys/<key>/rotate", "", "keys:write"),
    route("delete_api_key", "DELETE", "/api-keys/<key>", "", "keys:write"),
    route("list_api_key_events", "GET", "/api-keys/<key>/events", "", "keys:read"),
    route("list_my_invites", "GET", "/me/invites", "", ""),
    route("list_my_invitations", "GET", "/me/invitations", "", ""),
    route("accept_my_invite", "POST", "/me/invites/<waiting>/accept", "{}", ""),
    route("accept_my_invitation", "POST", "/me/invitations/<waiting>/accept", "{}", ""),
    route("decline_my_invite", "POST", "/me/invites/<waiting>/decline", "{}", ""),
    route("decline_my_invitation", "POST", "/me/invitations/<waiting>/decline", "{}", ""),
];

/// The operation with this id.
#[track_caller]
pub fn route_of(id: &str) -> Route {
    *ROUTES.iter().find(|route| route.id == id).unwrap_or_else(|| panic!("no route {id}"))
}

/// Who is handed a tenant over, and can hand it back.
pub fn heir() -> Person {
    super::person("heir@example.com")
}

/// A tenant and one of its workspaces, with everything in it made by its owner.
pub struct Ground<'a> {
    /// The server.
    pub server: &'a TestServer,
    /// The tenant's id.
    pub tenant: String,
    /// The workspace's id.
    pub workspace: String,
    /// Who makes what is acted on.
    pub owner: Person,
    /// Whose key is acted on.
    pub key_holder: Person,
    /// Whom links and waiting invites are for; somebody new each time if it is nobody.
    pub addressee: Option<String>,
}

impl<'a> Ground<'a> {
    /// Acme and its clinic.
    pub fn acme(server: &'a TestServer) -> Self {
        Self {
            server,
            tenant: ACME.to_owned(),
            workspace: CLINIC.to_owned(),
            owner: acme_owner(),
            key_holder: acme_owner(),
            addressee: None,
        }
    }

    /// Globex and its plant.
    pub fn globex(server: &'a TestServer) -> Self {
        let (tenant, workspace) = (GLOBEX.to_owned(), PLANT.to_owned());
        let (owner, key_holder) = (globex_owner(), globex_owner());
        Self { server, tenant, workspace, owner, key_holder, addressee: None }
    }

    /// The request of an operation, with everything it acts on made; by nobody yet.
    pub async fn ask(&self, route: Route) -> Call {
        let path = self.filled(route.path).await;
        self.ask_at(route, &path).await
    }

    /// The same at a path that is filled already.
    pub async fn ask_at(&self, route: Route, path: &str) -> Call {
        let method: Method = route.method.parse().unwrap();
        let call = self.server.call(method, &format!("/api/v1{path}"));
        if route.body.is_empty() {
            return call;
        }
        call.json(&serde_json::from_str(&self.filled(route.body).await).unwrap())
    }

    /// The text with everything in angle brackets made.
    pub async fn filled(&self, template: &str) -> String {
        let mut parts = template.split('<');
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('>').unwrap();
            filled.push_str(&self.made(name).await);
            filled.push_str(rest);
        }
        filled
    }

    /// Makes what a name stands for and gives its id.
    pub async fn made(&self, name: &str) -> String {
        let new = uuid::Uuid::now_v7().simple().to_string();
        match name {
            "tenant" => self.tenant.clone(),
            "workspace" => self.workspace.clone(),
            "name" => format!("made-{new}"),
            "email" => format!("new-{new}@example.com"),
            "newcomer" => format!("u-new-{new}"),
            "heir" => {
                self.added(&format!("/tenants/{}/members", self.tenant), &heir().user_id()).await;
                heir().user_id()
            }
            "tenant_member" => {
                let user = format!("u-new-{new}");
                self.added(&format!("/tenants/{}/members", self.tenant), &user).await;
                user
            }
            "member" => {
                let user = Box::pin(self.made("tenant_member")).await;
                self.added(&format!("/workspaces/{}/members", self.workspace), &user).await;
                user
            }
            "key" => {
                let body = json!({ "name": new, "scopes": ["invites:read"] });
                self.post("/api-keys", &body, &self.key_holder).await["id"].as_str().unwrap().to_owned()
            }
            "invite" | "waiting" => self.invited(Kind::Workspace).await["id"].as_str().unwrap().to_owned(),
            "org_invite" => self.invited(Kind::Org).await["id"].as_str().unwrap().to_owned(),
            "link" => token_of(self.invited(Kind::Workspace).await["invite_url"].as_str().unwrap()),
            "org_link" => token_of(self.invited(Kind::Org).await["invite_url"].as_str().unwrap()),
            other => panic!("nobody knows how to make <{other}>"),
        }
    }

    async fn added(&self, path: &str, user: &str) {
        let body = json!({ "user_id": user, "role": "member" });
        let answer = self.server.post(&format!("/api/v1{path}"), &body).by(&self.owner).await;
        assert!([201, 409].contains(&answer.status), "{}", answer.text());
    }

    async fn invited(&self, kind: Kind) -> Value {
        let fresh = format!("new-{}@example.com", uuid::Uuid::now_v7().simple());
        let email = self.addressee.clone().unwrap_or(fresh);
        let at = match kind {
            Kind::Org => format!("/tenants/{}/invites", self.tenant),
            Kind::Workspace => format!("/workspaces/{}/invites", self.workspace),
        };
        let body = json!({ "email": email, "role": "member", "send_email": false });
        self.post(&at, &body, &self.owner).await["data"].clone()
    }

    async fn post(&self, path: &str, body: &Value, by: &impl Credential) -> Value {
        let call = self.server.post(&format!("/api/v1{path}"), body).by(by);
        call.header("x-miosa-tenant", &self.tenant).await.expect(201)
    }
}
