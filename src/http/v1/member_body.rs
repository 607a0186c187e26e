//! Members on the wire: the records of both scopes, and what clients send to change them.

use entity::UserId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::body;
use crate::{
    domain::{Refusal, Scope, clock::rfc3339, role, role::Role},
    members::list::{Cursor, MOST, Member},
};

/// Body of an addition: by user id, or by address (then it is an invitation).
#[derive(Debug, Deserialize, ToSchema)]
pub struct AddMember {
    /// Whom, by user id.
    #[serde(default)]
    pub user_id: Option<String>,
    /// Whom, by address.
    #[serde(default)]
    pub email: Option<String>,
    /// As what; `member` if absent.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(required = false, value_type = String)]
    pub role: Option<Option<String>>,
}

impl AddMember {
    /// User and role.
    ///
    /// # Errors
    /// [`Refusal::MissingUserId`], or what is wrong with the role.
    pub fn read(&self, scope: Scope) -> Result<(UserId, Role), Refusal> {
        let user = self.user_id.as_deref().filter(|id| !id.is_empty()).ok_or(Refusal::MissingUserId)?;
        Ok((user_id("user_id", user)?, body::role_or_member(self.role.as_ref(), reader(scope))?))
    }
}

/// Body of a change of role.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetRole {
    /// The new role.
    #[serde(default)]
    #[schema(required = true, value_type = String)]
    pub role: Option<String>,
}

impl SetRole {
    /// The role.
    ///
    /// # Errors
    /// [`Refusal::MissingRole`], or that it is none.
    pub fn read(&self, scope: Scope) -> Result<Role, Refusal> {
        reader(scope)(self.role.as_deref().ok_or(Refusal::MissingRole)?)
    }
}

fn reader(scope: Scope) -> fn(&str) -> Result<Role, Refusal> {
    match scope {
        Scope::Org => role::tenant_role,
        Scope::Workspace(_) => role::workspace_role,
    }
}

/// A user id: 1 to 255 visible characters.
///
/// # Errors
/// [`Refusal::Validation`].
pub fn user_id(field: &'static str, text: &str) -> Result<UserId, Refusal> {
    if text.is_empty() || text.chars().count() > 255 || text.chars().any(char::is_control) {
        return Err(Refusal::field(field, "must have 1 to 255 visible characters"));
    }
    Ok(UserId(text.to_owned()))
}

/// A member of a workspace.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WorkspaceMember {
    /// Its id is its user id.
    pub id: String,
    /// The user.
    pub user_id: String,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Address, if proven.
    pub email: Option<String>,
    /// Name, if known.
    pub name: Option<String>,
    /// Always null.
    pub avatar_url: Option<String>,
    /// Role there.
    pub role: &'static str,
    /// Since when.
    pub joined_at: Option<String>,
    /// Who let them in.
    pub added_by: Option<String>,
}

impl WorkspaceMember {
    /// A row.
    #[must_use]
    pub fn of(workspace: Uuid, member: &Member) -> Self {
        let (email, name) = known(member);
        Self {
            id: member.user_id.0.clone(),
            user_id: member.user_id.0.clone(),
            workspace_id: workspace,
            email,
            name,
            avatar_url: None,
            role: member.role.as_str(),
            joined_at: Some(rfc3339(member.joined_at)),
            added_by: member.added_by.as_ref().map(|user| user.0.clone()),
        }
    }
}

/// A member of a tenant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrgMember {
    /// Its id is its user id.
    pub id: String,
    /// The tenant.
    pub tenant_id: Uuid,
    /// The user.
    pub user_id: String,
    /// Role there.
    pub role: &'static str,
    /// Always `active`.
    pub status: &'static str,
    /// Always null: invitations have a list of their own.
    pub invited_at: Option<String>,
    /// Since when.
    pub joined_at: Option<String>,
    /// The same.
    pub created_at: String,
    /// Name, if known.
    pub user_name: Option<String>,
    /// Address, if proven.
    pub user_email: Option<String>,
    /// Always null.
    pub user_avatar_url: Option<String>,
    /// Address again, as some clients name it.
    pub email: Option<String>,
    /// Name again.
    pub name: Option<String>,
    /// Who let them in.
    pub added_by: Option<String>,
}

impl OrgMember {
    /// A row.
    #[must_use]
    pub fn of(tenant: Uuid, member: &Member) -> Self {
        let (email, name) = known(member);
        let since = rfc3339(member.joined_at);
        Self {
            id: member.user_id.0.clone(),
            tenant_id: tenant,
            user_id: member.user_id.0.clone(),
            role: member.role.as_str(),
            status: "active",
            invited_at: None,
            joined_at: Some(since.clone()),
            created_at: since,
            user_name: name.clone(),
            user_email: email.clone(),
            user_avatar_url: None,
            email,
            name,
            added_by: member.added_by.as_ref().map(|user| user.0.clone()),
        }
    }
}

fn known(member: &Member) -> (Option<String>, Option<String>) {
    member.user.as_ref().map(|user| (user.email.clone(), user.name.clone())).unwrap_or_default()
}

/// Paging of a list of members; without it, everything.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MemberPaging {
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many at most; everything (10,000) if absent.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<u64>,
}

impl MemberPaging {
    /// Where to begin and how many.
    ///
    /// # Errors
    /// [`Refusal::Validation`] for a cursor that is not ours.
    pub fn read(&self) -> Result<(Option<Cursor>, u64), Refusal> {
        let after =
            self.cursor.as_deref().filter(|text| !text.is_empty()).map(|text| {
                text.parse().map_err(|()| Refusal::field("cursor", "is not a cursor of this list"))
            });
        Ok((after.transpose()?, self.limit.unwrap_or(MOST).clamp(1, MOST)))
    }
}

/// A record both bare and under `data`, since clients read either.
#[derive(Serialize, ToSchema)]
pub struct BareAndData<T> {
    /// The fields bare.
    #[serde(flatten)]
    pub bare: T,
    /// The same again.
    pub data: T,
}

impl<T: Clone> From<T> for BareAndData<T> {
    fn from(record: T) -> Self {
        Self { data: record.clone(), bare: record }
    }
}
