//! Invites as tests speak of them: of either kind, made by somebody, with their link and token; and people
//! who came in by one.

use serde_json::{Value, json};

use super::{
    client::{Answer, Call},
    people::{Credential, Person, acme_owner, globex_owner, person},
    server::TestServer,
    setup::{ACME, CLINIC, GLOBEX, PLANT},
};

/// Into an organisation or into a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Into the tenant.
    Org,
    /// Into a workspace.
    Workspace,
}

/// Both, for tests that hold for either.
pub const KINDS: [Kind; 2] = [Kind::Org, Kind::Workspace];

impl Kind {
    /// Where invites of acme, or into its clinic, are made and listed.
    pub fn collection(self) -> String {
        self.collection_in(match self {
            Self::Org => ACME,
            Self::Workspace => CLINIC,
        })
    }

    /// The same of globex and its plant.
    pub fn globex_collection(self) -> String {
        self.collection_in(match self {
            Self::Org => GLOBEX,
            Self::Workspace => PLANT,
        })
    }

    /// Where invites into this tenant or workspace are made and listed.
    pub fn collection_in(self, id: &str) -> String {
        match self {
            Self::Org => format!("/api/v1/tenants/{id}/invites"),
            Self::Workspace => format!("/api/v1/workspaces/{id}/invites"),
        }
    }

    /// Where an invite of acme is read, edited and revoked by its id.
    pub fn item(self, id: &str) -> String {
        format!("{}/{id}", self.collection())
    }

    /// Where a token is previewed.
    pub fn token(self, token: &str) -> String {
        format!("/api/v1{}", self.page(token))
    }

    /// The page that a link shows.
    pub fn page(self, token: &str) -> String {
        match self {
            Self::Org => format!("/invites/{token}"),
            Self::Workspace => format!("/workspace-invites/{token}"),
        }
    }

    /// The code of a token that is not genuine.
    pub fn invalid_token(self) -> &'static str {
        match self {
            Self::Org => "invalid_token",
            Self::Workspace => "INVALID_TOKEN",
        }
    }

    /// Status and code of accepting a token that is not genuine.
    pub fn unknown(self) -> (u16, &'static str) {
        match self {
            Self::Org => (400, "invalid_token"),
            Self::Workspace => (404, "INVALID_TOKEN"),
        }
    }

    /// Status and code of accepting what has expired.
    pub fn expired(self) -> (u16, &'static str) {
        match self {
            Self::Org => (400, "invalid_token"),
            Self::Workspace => (410, "EXPIRED"),
        }
    }

    /// Status and code of accepting what was revoked.
    pub fn revoked(self) -> (u16, &'static str) {
        match self {
            Self::Org => (400, "REVOKED"),
            Self::Workspace => (409, "REVOKED"),
        }
    }
}

/// An invite that a test made.
#[derive(Clone, Debug)]
pub struct Invited {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Its link.
    pub url: String,
    /// The last segment of the link.
    pub token: String,
    /// The `data` of the answer.
    pub data: Value,
}

impl Invited {
    /// Reads the answer of a create, in either envelope.
    #[track_caller]
    pub fn read(kind: Kind, body: &Value) -> Self {
        let data = body["data"].clone();
        let url = data["invite_url"].as_str().unwrap_or_else(|| panic!("no invite_url: {body}")).to_owned();
        Self { kind, id: data["id"].as_str().unwrap().to_owned(), token: token_of(&url), url, data }
    }
}

/// The token that a link ends in.
pub fn token_of(url: &str) -> String {
    url.rsplit('/').next().unwrap_or_default().to_owned()
}

impl TestServer {
    /// Invites into acme or its clinic; must succeed.
    pub async fn invite(
        &self,
        kind: Kind,
        by: &(impl Credential + ?Sized),
        email: &str,
        role: &str,
    ) -> Invited {
        self.invite_with(kind, by, json!({ "email": email, "role": role })).await
    }

    /// Invites with a whole body; must succeed.
    pub async fn invite_with(&self, kind: Kind, by: &(impl Credential + ?Sized), body: Value) -> Invited {
        Invited::read(kind, &self.post(&kind.collection(), &body).by(by).await.expect(201))
    }

    /// Invites into globex or its plant; must succeed.
    pub async fn invite_to_globex(&self, kind: Kind, email: &str) -> Invited {
        let body = json!({ "email": email, "role": "member" });
        let answer = self.post(&kind.globex_collection(), &body).by(&globex_owner()).await;
        Invited::read(kind, &answer.expect(201))
    }

    /// Accepts by the link.
    pub fn accept(&self, invited: &Invited, by: &(impl Credential + ?Sized)) -> Call {
        self.post(&format!("{}/accept", invited.kind.token(&invited.token)), &json!({})).by(by)
    }

    /// Declines by the link.
    pub fn decline(&self, invited: &Invited, by: &(impl Credential + ?Sized)) -> Call {
        self.post(&format!("{}/decline", invited.kind.token(&invited.token)), &json!({})).by(by)
    }

    /// Looks at the link without any credential.
    pub fn preview(&self, invited: &Invited) -> Call {
        self.get(&invited.kind.token(&invited.token))
    }

    /// Revokes by id.
    pub fn revoke(&self, invited: &Invited, by: &(impl Credential + ?Sized)) -> Call {
        self.delete(&invited.kind.item(&invited.id)).by(by)
    }

    /// Resends by id.
    pub fn resend(&self, invited: &Invited, by: &(impl Credential + ?Sized), body: &Value) -> Call {
        self.post(&format!("{}/resend", invited.kind.item(&invited.id)), body).by(by)
    }

    /// Edits by id.
    pub fn edit(&self, invited: &Invited, by: &(impl Credential + ?Sized), body: &Value) -> Call {
        self.patch(&invited.kind.item(&invited.id), body).by(by)
    }

    /// Reads one by id.
    pub fn show(&self, invited: &Invited, by: &(impl Credential + ?Sized)) -> Call {
        self.get(&invited.kind.item(&invited.id)).by(by)
    }

    /// What the pending ones of a kind are, for somebody who may list them.
    pub async fn pending(&self, kind: Kind, by: &(impl Credential + ?Sized)) -> Vec<Value> {
        let body = self.get(&kind.collection()).by(by).await.expect(200);
        body["data"].as_array().unwrap().clone()
    }

    /// Somebody who was invited by the owner and has accepted.
    pub async fn joined(&self, kind: Kind, email: &str, role: &str) -> Person {
        let who = person(email);
        let invited = self.invite(kind, &acme_owner(), email, role).await;
        self.accept(&invited, &who).await.expect(200);
        who
    }

    /// A member of globex.
    pub async fn joined_globex(&self, who: &Person) {
        let invited = self.invite_to_globex(Kind::Org, who.email()).await;
        self.accept(&invited, who).await.expect(200);
    }
}

impl Answer {
    /// Asserts that it refuses as this pair of status and code says.
    #[track_caller]
    pub fn refused_as(&self, (status, code): (u16, &str)) -> Value {
        self.refused(status, code)
    }
}
