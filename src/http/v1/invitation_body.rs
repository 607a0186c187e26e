//! Invitations on the wire of the family `/api/v1/invitations`: everything inside `success` and `data`, places and
//! roles as objects with a name.

use std::{collections::BTreeMap, sync::Arc};

use entity::{InviteStatus, Millis, Role, WorkspaceId, invite};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{body, invite_body::CreateInvite};
use crate::{
    config::settings,
    domain::{Refusal, Scope, clock::rfc3339, invite::status_at, role},
    invites::{
        accept::Accepted, create::NewInvite, decline::Declined, list::Page, preview::Preview, scope_of,
    },
    tenancy::Snapshot,
};

/// What succeeded.
#[derive(Serialize, ToSchema)]
pub struct Success<T> {
    /// Always true.
    pub success: bool,
    /// The answer.
    pub data: T,
}

impl<T> Success<T> {
    /// An answer.
    pub fn of(data: T) -> Self {
        Self { success: true, data }
    }
}

/// An organisation or a workspace.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Place {
    /// Its id.
    pub id: Uuid,
    /// Its display name.
    pub name: String,
}

/// The same to somebody who only holds a link.
#[derive(Debug, Serialize, ToSchema)]
pub struct NamedPlace {
    /// Its display name.
    pub name: String,
}

/// A role.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RoleBody {
    /// As it is written in requests.
    pub id: &'static str,
    /// As people know it: `Owner`, `Admin`, `Developer` or `Viewer`.
    pub name: &'static str,
}

impl RoleBody {
    fn of(role: Role) -> Self {
        Self { id: role.as_str(), name: role::title(role) }
    }
}

/// An invitation. Its link is in `invite_url` where it was asked for (create, resend), never in lists.
#[derive(Clone, Serialize, ToSchema)]
pub struct InvitationBody {
    /// Its id.
    pub id: Uuid,
    /// Invited address.
    pub email: String,
    /// The organisation.
    pub organization: Place,
    /// The workspace; null for an invitation into the organisation itself.
    pub workspace: Option<Place>,
    /// Role to be given.
    pub role: RoleBody,
    /// `pending`, `accepted`, `declined`, `revoked` or `expired`.
    pub status: &'static str,
    /// User id of the inviter of record; null for service keys and the operator.
    pub invited_by: Option<String>,
    /// End of life.
    pub expires_at: String,
    /// When accepted.
    pub accepted_at: Option<String>,
    /// When declined.
    pub declined_at: Option<String>,
    /// When revoked.
    pub revoked_at: Option<String>,
    /// When made.
    pub created_at: String,
    /// Last change.
    pub updated_at: String,
    /// Where its latest mail stands.
    pub delivery: &'static str,
    /// Class of the last delivery failure.
    pub delivery_detail: Option<String>,
    /// Language asked for.
    pub locale: Option<String>,
    /// The link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite_url: Option<String>,
}

/// Names that go with rows.
pub struct Names {
    /// Tenants as configured now.
    pub snapshot: Arc<Snapshot>,
    /// Workspaces by id.
    pub workspaces: BTreeMap<WorkspaceId, String>,
}

impl Names {
    fn organization(&self, id: entity::TenantId) -> Place {
        let name = self.snapshot.tenant(id).map(|tenant| tenant.name.clone()).unwrap_or_default();
        Place { id: id.0, name }
    }

    pub(super) fn workspace(&self, id: Option<WorkspaceId>) -> Option<Place> {
        let name = |id| self.workspaces.get(&id).cloned().unwrap_or_default();
        id.map(|id| Place { id: id.0, name: name(id) })
    }
}

impl InvitationBody {
    /// A row as seen at this time.
    #[must_use]
    pub fn of(row: &invite::Model, names: &Names, now: Millis) -> Self {
        let time = |at: Option<Millis>| at.map(rfc3339);
        Self {
            id: row.id.0,
            email: row.email.clone(),
            organization: names.organization(row.tenant_id),
            workspace: names.workspace(row.workspace_id),
            role: RoleBody::of(row.role),
            status: status_at(row, now).as_str(),
            invited_by: row.inviter.as_ref().map(|user| user.0.clone()),
            expires_at: rfc3339(row.expires_at),
            accepted_at: time(row.accepted_at),
            declined_at: time(row.declined_at),
            revoked_at: time(row.revoked_at),
            created_at: rfc3339(row.inserted_at),
            updated_at: rfc3339(row.updated_at),
            delivery: row.delivery.as_str(),
            delivery_detail: row.delivery_detail.clone(),
            locale: row.locale.clone(),
            invite_url: None,
        }
    }
}

/// A page of invitations.
#[derive(Serialize, ToSchema)]
pub struct InvitationList {
    /// In the order asked for.
    pub invitations: Vec<InvitationBody>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
}

impl InvitationList {
    /// A page as seen at this time.
    #[must_use]
    pub fn of(page: &Page, names: &Names, now: Millis) -> Self {
        Self {
            invitations: page.invites.iter().map(|row| InvitationBody::of(row, names, now)).collect(),
            total: page.total,
            next_cursor: page.next.clone(),
        }
    }
}

/// One invitation.
#[derive(Serialize, ToSchema)]
pub struct OneInvitation {
    /// It.
    pub invitation: InvitationBody,
    /// Its link, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite_url: Option<String>,
}

impl OneInvitation {
    /// A row with its link.
    #[must_use]
    pub fn linked(row: &invite::Model, url: String, names: &Names, now: Millis) -> Self {
        let mut invitation = InvitationBody::of(row, names, now);
        invitation.invite_url = Some(url.clone());
        Self { invitation, invite_url: Some(url) }
    }
}

/// What a link shows: names without ids, never the inviter's address or the personal message.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvitationPreview {
    /// The organisation.
    pub organization: NamedPlace,
    /// The workspace; null for an invitation into the organisation itself.
    pub workspace: Option<NamedPlace>,
    /// Role to be given.
    pub role: RoleBody,
    /// Invited address.
    pub email: String,
    /// Always `pending`: a link that has ended shows nothing.
    pub status: &'static str,
    /// End of life.
    pub expires_at: String,
    /// Name of the inviter, if known.
    pub inviter_name: Option<String>,
    /// Where to sign in, if the tenant says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in_url: Option<String>,
    /// Where to ask for help, if the tenant says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_email: Option<String>,
}

impl InvitationPreview {
    /// What a live link shows.
    ///
    /// # Errors
    /// [`Refusal::Expired`] and [`Refusal::AlreadyAccepted`]: this family shows no link that has ended.
    pub fn of(preview: &Preview) -> Result<Self, Refusal> {
        match preview.status {
            InviteStatus::Pending => {}
            InviteStatus::Accepted => return Err(Refusal::AlreadyAccepted { by_you: None }),
            InviteStatus::Expired => return Err(Refusal::Expired),
            InviteStatus::Revoked | InviteStatus::Declined => return Err(Refusal::InvalidToken),
        }
        let workspace = preview.workspace_name.clone().filter(|_| preview.scope.workspace().is_some());
        Ok(Self {
            organization: NamedPlace { name: preview.tenant.name.clone() },
            workspace: workspace.map(|name| NamedPlace { name }),
            role: RoleBody::of(preview.role),
            email: preview.email.clone(),
            status: preview.status.as_str(),
            expires_at: rfc3339(preview.expires_at),
            inviter_name: preview.inviter_name.clone(),
            sign_in_url: preview.tenant.links.sign_in_url.clone(),
            support_email: preview.tenant.branding.support_email.clone(),
        })
    }
}

/// What a link shows, under its name.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewedInvitation {
    /// It.
    pub invitation: InvitationPreview,
}

/// One invitation by id, or what its link shows.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum FoundInvitation {
    /// By id.
    Known(Box<OneInvitation>),
    /// By link.
    Shown(Box<PreviewedInvitation>),
}

/// A revocation.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedInvitation {
    /// The invitation.
    pub id: Uuid,
    /// Always `revoked`.
    pub status: &'static str,
}

/// A refusal by the addressee.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeclinedInvitation {
    /// The invitation.
    pub id: Uuid,
    /// Always `declined`.
    pub status: &'static str,
    /// Always true.
    pub declined: bool,
    /// The organisation.
    pub organization: Place,
}

impl From<Declined> for DeclinedInvitation {
    fn from(done: Declined) -> Self {
        let organization = place_of(&done.tenant);
        Self { id: done.invite_id.0, status: "declined", declined: true, organization }
    }
}

/// What somebody belongs to now.
#[derive(Debug, Serialize, ToSchema)]
pub struct MembershipBody {
    /// The organisation.
    pub organization: Place,
    /// The workspace; null for the organisation itself.
    pub workspace: Option<Place>,
    /// The role held now.
    pub role: RoleBody,
    /// The person.
    pub user_id: String,
}

/// A membership that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct Joined {
    /// It.
    pub membership: MembershipBody,
}

impl Joined {
    /// A membership in a place.
    #[must_use]
    pub fn of(tenant: &settings::Tenant, workspace: Option<Place>, role: Role, user_id: String) -> Self {
        let organization = place_of(tenant);
        Self { membership: MembershipBody { organization, workspace, role: RoleBody::of(role), user_id } }
    }

    /// What an acceptance made.
    #[must_use]
    pub fn by(accepted: &Accepted, names: &Names, user_id: String) -> Self {
        Self::of(&accepted.tenant, names.workspace(accepted.workspace_id), accepted.role, user_id)
    }
}

/// Invited, or added: told apart by what is in it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum InviteAnswer {
    /// 201.
    Invited(Box<OneInvitation>),
    /// 200: a member of the organisation, added to the workspace at once.
    Added(Joined),
}

fn place_of(tenant: &settings::Tenant) -> Place {
    Place { id: tenant.id.0, name: tenant.name.clone() }
}

/// Body of inviting a member.
#[derive(Debug, Deserialize, ToSchema)]
pub struct InviteMember {
    /// Whom to invite.
    #[serde(default)]
    #[schema(required = true, value_type = String, format = "email")]
    pub email: Option<String>,
    /// As what, by id or name in any case; `member` if absent.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(required = false, value_type = String)]
    pub role: Option<Option<String>>,
    /// Into this workspace of the organisation.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    pub workspace_id: Option<String>,
    /// Life in whole seconds, within the tenant's bounds.
    #[serde(default)]
    pub expires_in: Option<i64>,
    /// `false` sends no mail; the link is in the answer.
    #[serde(default)]
    pub send_email: Option<bool>,
    /// Language tag of mail and page.
    #[serde(default)]
    pub locale: Option<String>,
    /// Personal message, plain text, no links.
    #[serde(default)]
    pub message: Option<String>,
}

impl InviteMember {
    /// The invite asked for.
    ///
    /// # Errors
    /// What cannot be taken.
    pub fn read(self) -> Result<NewInvite, Refusal> {
        let workspace = self.workspace_id.map(|text| text.parse());
        let workspace =
            workspace.transpose().map_err(|_| Refusal::field("workspace_id", "must be a UUID"))?;
        let body = CreateInvite {
            email: self.email,
            role: by_name(self.role),
            expires_in: self.expires_in,
            send_email: self.send_email,
            locale: self.locale,
            message: self.message,
        };
        body.read(Scope::of(workspace))
    }
}

/// A role by its id, where a name was given; whatever is neither stays as it is, to be refused as such.
#[must_use]
pub fn by_name(role: Option<Option<String>>) -> Option<Option<String>> {
    let id = |text: String| role::by_name(&text).map_or(text, |role| role.as_str().to_owned());
    role.map(|role| role.map(id))
}

/// Workspaces that rows name, each as often as it is named.
#[must_use]
pub fn workspaces_of<'a>(rows: impl IntoIterator<Item = &'a invite::Model>) -> Vec<WorkspaceId> {
    rows.into_iter().filter_map(|row| scope_of(row).workspace()).collect()
}
