//! Workspace Sharing on the wire: camelCase, times with milliseconds, `read`, `write` and `admin` for roles.

use entity::{Millis, UserId, invite};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{
        EmailAddress, Refusal,
        clock::{parse_rfc3339, rfc3339_millis},
        role::{Role, shared_name, shared_role},
    },
    http::v1::{body, member_body::user_id},
    invites::{list::Page, respond::Response, rules::Life},
    members,
};

/// Body of an invitation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShareWorkspace {
    /// Whom to invite.
    #[serde(default)]
    #[schema(required = true, value_type = String, format = "email", example = "alice@example.com")]
    pub invited_email: Option<String>,
    /// What they will be allowed; `read` if absent.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(required = false, value_type = Permissions)]
    pub permissions: Option<Option<String>>,
}

impl ShareWorkspace {
    /// Whom, and as what.
    ///
    /// # Errors
    /// What cannot be taken.
    pub fn read(&self) -> Result<(EmailAddress, Role), Refusal> {
        let role = match &self.permissions {
            None => Role::Viewer,
            Some(given) => shared_role(given.as_deref().unwrap_or_default())?,
        };
        Ok((address("invitedEmail", self.invited_email.as_deref())?, role))
    }
}

/// Body of an answer to an invitation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RespondToInvitation {
    /// The answer; `declined` is taken for `rejected`.
    #[serde(default)]
    #[schema(required = true, value_type = Answer)]
    pub status: Option<String>,
    /// The caller's address, to which the invitation went.
    #[serde(default)]
    #[schema(required = true, value_type = String, format = "email", example = "alice@example.com")]
    pub user_email: Option<String>,
}

impl RespondToInvitation {
    /// The answer and the address.
    ///
    /// # Errors
    /// What cannot be taken.
    pub fn read(&self) -> Result<(Response, EmailAddress), Refusal> {
        let response = match self.status.as_deref() {
            Some("accepted") => Response::Accepted,
            Some("rejected" | "declined") => Response::Rejected,
            _ => return Err(Refusal::field("status", "must be accepted or rejected")),
        };
        Ok((response, address("userEmail", self.user_email.as_deref())?))
    }
}

/// Body of a change of expiration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetExpiration {
    /// The new end of life, within the tenant's bounds: RFC 3339 with a zone.
    #[serde(default)]
    #[schema(required = true, value_type = String, format = DateTime, example = "2026-01-02T03:04:05.678Z")]
    pub expiration_date: Option<String>,
}

impl SetExpiration {
    /// The life asked for.
    ///
    /// # Errors
    /// [`Refusal::Validation`] for what is no time.
    pub fn read(&self) -> Result<Life, Refusal> {
        let at = self.expiration_date.as_deref().and_then(parse_rfc3339).ok_or_else(|| {
            Refusal::field("expirationDate", "must be RFC 3339 with a zone, as 2026-01-02T03:04:05.678Z")
        })?;
        Ok(Life { expires_in: None, expires_at: Some(at) })
    }
}

/// Body of a change of permissions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetPermissions {
    /// What they will be allowed from now on.
    #[serde(default)]
    #[schema(required = true, value_type = Permissions)]
    pub permissions: Option<String>,
}

impl SetPermissions {
    /// The role.
    ///
    /// # Errors
    /// [`Refusal::Validation`].
    pub fn read(&self) -> Result<Role, Refusal> {
        shared_role(self.permissions.as_deref().unwrap_or_default())
    }
}

/// A user id of a path: one that cannot be is nobody's.
///
/// # Errors
/// [`Refusal::NotFound`].
pub fn target(text: &str) -> Result<UserId, Refusal> {
    user_id("userId", text).map_err(|_| Refusal::NotFound)
}

fn address(field: &'static str, text: Option<&str>) -> Result<EmailAddress, Refusal> {
    let text = text.ok_or_else(|| Refusal::field(field, "is required"))?;
    EmailAddress::parse(text).map_err(|why| Refusal::field(field, why))
}

/// What somebody may do in a workspace: `read` is a viewer, `write` a member, `admin` an admin or owner.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "tells the document what the text can be")]
pub enum Permissions {
    /// A viewer.
    Read,
    /// A member.
    Write,
    /// An admin or owner.
    Admin,
}

/// An answer to an invitation.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "tells the document what the text can be")]
pub enum Answer {
    /// Yes.
    Accepted,
    /// No, for good.
    Rejected,
    /// The same.
    Declined,
}

/// That it is done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    /// For people.
    pub message: &'static str,
}

/// An invitation made, or made again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shared {
    /// For people.
    pub message: &'static str,
    /// Its id.
    pub invitation_id: Uuid,
    /// Whom it invites.
    #[schema(format = "email", example = "alice@example.com")]
    pub invited_email: String,
}

/// Somebody who has joined the workspace.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharedUser {
    /// User id.
    pub user_id: String,
    /// Address, if proven.
    pub email: Option<String>,
    /// Name, if known.
    pub name: Option<String>,
    /// What they may do.
    #[schema(value_type = Permissions)]
    pub permissions: &'static str,
    /// Whether they own the workspace.
    pub is_owner: bool,
    /// Since when.
    #[schema(format = DateTime, example = "2026-01-02T03:04:05.678Z")]
    pub shared_at: String,
}

/// Everybody who has joined the workspace.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharedUsers {
    /// In order of joining.
    pub shared_users: Vec<SharedUser>,
    /// How many there are.
    pub total: u64,
}

impl SharedUsers {
    /// The members of a workspace.
    #[must_use]
    pub fn of(page: members::list::Page) -> Self {
        let users = page.members.into_iter().map(|member| {
            let known = member.user.map(|user| (user.email, user.name));
            let (email, name) = known.unwrap_or_default();
            SharedUser {
                user_id: member.user_id.0,
                email,
                name,
                permissions: shared_name(member.role),
                is_owner: member.role == Role::Owner,
                shared_at: rfc3339_millis(member.joined_at),
            }
        });
        Self { shared_users: users.collect(), total: page.total }
    }
}

/// An invitation that waits for its answer. Never its link.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingInvitation {
    /// Its id.
    pub invitation_id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Whom it invites.
    #[schema(format = "email", example = "alice@example.com")]
    pub invited_email: String,
    /// What they will be allowed.
    #[schema(value_type = Permissions)]
    pub permissions: &'static str,
    /// Always `pending`.
    pub status: &'static str,
    /// User id of the inviter of record; null for service keys and the operator.
    pub invited_by: Option<String>,
    /// End of life.
    #[schema(format = DateTime, example = "2026-01-02T03:04:05.678Z")]
    pub expiration_date: String,
    /// When made.
    #[schema(format = DateTime, example = "2026-01-02T03:04:05.678Z")]
    pub created_at: String,
}

impl PendingInvitation {
    fn of(row: &invite::Model) -> Self {
        let time = |at: Millis| rfc3339_millis(at);
        Self {
            invitation_id: row.id.0,
            workspace_id: row.workspace_id.map_or(Uuid::nil(), |id| id.0),
            invited_email: row.email.clone(),
            permissions: shared_name(row.role),
            status: row.status.as_str(),
            invited_by: row.inviter.as_ref().map(|user| user.0.clone()),
            expiration_date: time(row.expires_at),
            created_at: time(row.inserted_at),
        }
    }
}

/// The invitations of a workspace that wait for their answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct PendingInvitations {
    /// In order of making.
    pub invitations: Vec<PendingInvitation>,
    /// How many there are.
    pub total: u64,
}

impl PendingInvitations {
    /// What a list has found.
    #[must_use]
    pub fn of(page: &Page) -> Self {
        Self { invitations: page.invites.iter().map(PendingInvitation::of).collect(), total: page.total }
    }
}
