//! Invites on the wire: one superset body for both scopes, so that every client finds its fields.

use entity::{InviteStatus, Millis, invite, workspace_member};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body;
use crate::{
    domain::{
        Refusal, Scope, clock,
        clock::{Stamp, rfc3339},
        invite::status_at,
    },
    invites::{create::NewInvite, edit::Change, list::Page, preview::Preview, rules::Life, scope_of},
};

/// Body of a create.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateInvite {
    /// Whom to invite.
    #[serde(default)]
    #[schema(required = true, value_type = String, format = "email")]
    pub email: Option<String>,
    /// As what; `member` if absent.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(required = false, value_type = String)]
    pub role: Option<Option<String>>,
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

impl CreateInvite {
    /// The invite asked for.
    ///
    /// # Errors
    /// What cannot be taken.
    pub fn read(self, scope: Scope) -> Result<NewInvite, Refusal> {
        let read_role = match scope {
            Scope::Org => crate::domain::role::tenant_role,
            Scope::Workspace(_) => crate::domain::role::workspace_role,
        };
        Ok(NewInvite {
            scope,
            email: body::email(self.email.as_deref())?,
            role: body::role_or_member(self.role.as_ref(), read_role)?,
            life: Life { expires_in: self.expires_in, expires_at: None },
            send_email: self.send_email.unwrap_or(true),
            locale: body::locale(self.locale)?,
            message: body::message(self.message)?,
        })
    }
}

/// Body of an edit.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EditInvite {
    /// New role.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(required = false, value_type = String)]
    pub role: Option<Option<String>>,
    /// New life in whole seconds from now.
    #[serde(default)]
    pub expires_in: Option<i64>,
    /// New end, RFC 3339 with a zone.
    #[serde(default)]
    pub expires_at: Option<String>,
}

impl EditInvite {
    /// The change asked for.
    ///
    /// # Errors
    /// What cannot be taken, nothing to change included.
    pub fn read(self, scope: Scope) -> Result<Change, Refusal> {
        let role = match (self.role, scope) {
            (None, _) => None,
            (Some(None), _) => return Err(Refusal::MissingRole),
            (Some(Some(text)), Scope::Org) => Some(crate::domain::role::tenant_role(&text)?),
            (Some(Some(text)), Scope::Workspace(_)) => Some(crate::domain::role::workspace_role(&text)?),
        };
        let expires_at = self.expires_at.map(|text| {
            clock::parse_rfc3339(&text).ok_or_else(|| {
                Refusal::field("expires_at", "must be RFC 3339 with a zone, as 2026-01-02T03:04:05Z")
            })
        });
        let life = Life { expires_in: self.expires_in, expires_at: expires_at.transpose()? };
        if role.is_none() && !life.is_given() {
            return Err(Refusal::field("body", "must have one of role, expires_in, expires_at"));
        }
        if life.expires_in.is_some() && life.expires_at.is_some() {
            return Err(Refusal::field("expires_at", "cannot be given together with expires_in"));
        }
        Ok(Change { role, life })
    }
}

/// Body of a resend.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct ResendInvite {
    /// Kill the old link and mail a new one.
    #[serde(default)]
    pub rotate: Option<bool>,
}

/// An invite. Its link is in `invite_url` where it was asked for (create, resend), never in lists.
#[derive(Clone, Serialize, ToSchema)]
pub struct InviteBody {
    /// Its id.
    pub id: Uuid,
    /// The same, as some clients name it.
    pub invite_id: Uuid,
    /// `org` or `workspace`.
    pub scope: &'static str,
    /// The tenant.
    pub tenant_id: Uuid,
    /// The workspace, for workspace invites.
    pub workspace_id: Option<Uuid>,
    /// Invited address.
    pub email: String,
    /// Role to be given.
    pub role: &'static str,
    /// `pending`, `accepted`, `declined`, `revoked` or `expired`.
    pub status: &'static str,
    /// User id of the inviter of record; null for service keys and the operator.
    pub invited_by: Option<String>,
    /// End of life.
    #[schema(value_type = String)]
    pub expires_at: Stamp,
    /// When accepted.
    #[schema(value_type = Option<String>)]
    pub accepted_at: Option<Stamp>,
    /// When declined.
    #[schema(value_type = Option<String>)]
    pub declined_at: Option<Stamp>,
    /// When revoked.
    #[schema(value_type = Option<String>)]
    pub revoked_at: Option<Stamp>,
    /// When made.
    #[schema(value_type = String)]
    pub inserted_at: Stamp,
    /// The same, as some clients name it.
    #[schema(value_type = String)]
    pub created_at: Stamp,
    /// Last change.
    #[schema(value_type = String)]
    pub updated_at: Stamp,
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

impl InviteBody {
    /// A row as seen at this time.
    #[must_use]
    pub fn of(row: invite::Model, now: Millis) -> Self {
        Self {
            id: row.id.0,
            invite_id: row.id.0,
            scope: scope_of(&row).as_str(),
            tenant_id: row.tenant_id.0,
            workspace_id: row.workspace_id.map(|id| id.0),
            role: row.role.as_str(),
            status: status_at(&row, now).as_str(),
            email: row.email,
            invited_by: row.inviter.map(|user| user.0),
            expires_at: Stamp(row.expires_at),
            accepted_at: row.accepted_at.map(Stamp),
            declined_at: row.declined_at.map(Stamp),
            revoked_at: row.revoked_at.map(Stamp),
            inserted_at: Stamp(row.inserted_at),
            created_at: Stamp(row.inserted_at),
            updated_at: Stamp(row.updated_at),
            delivery: row.delivery.as_str(),
            delivery_detail: row.delivery_detail,
            locale: row.locale,
            invite_url: None,
        }
    }

    /// With its link.
    #[must_use]
    pub fn with_url(mut self, url: String) -> Self {
        self.invite_url = Some(url);
        self
    }
}

/// One thing.
#[derive(Serialize, ToSchema)]
pub struct Data<T> {
    /// The thing.
    pub data: T,
}

/// Answer of a resend.
#[derive(Serialize, ToSchema)]
pub struct Resent {
    /// The invite.
    pub data: InviteBody,
    /// Its link.
    pub invite_url: String,
}

/// A page of invites.
#[derive(Serialize, ToSchema)]
pub struct InviteList {
    /// In the order asked for.
    pub data: Vec<InviteBody>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
}

impl InviteList {
    /// A page as seen at this time.
    #[must_use]
    pub fn of(page: Page, now: Millis) -> Self {
        Self {
            data: page.invites.into_iter().map(|row| InviteBody::of(row, now)).collect(),
            total: page.total,
            next_cursor: page.next,
        }
    }
}

/// A revocation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revoked {
    /// The invite.
    pub invite_id: Uuid,
    /// Always true.
    pub revoked: bool,
}

/// A membership in a workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberRecord {
    /// The user.
    pub user_id: String,
    /// The workspace.
    pub workspace_id: Uuid,
    /// Role there.
    pub role: &'static str,
    /// Since when.
    pub joined_at: Option<String>,
    /// Who let them in.
    pub added_by: Option<String>,
}

impl MemberRecord {
    /// A row.
    #[must_use]
    pub fn of(row: &workspace_member::Model) -> Self {
        Self {
            user_id: row.user_id.0.clone(),
            workspace_id: row.workspace_id.0,
            role: row.role.as_str(),
            joined_at: Some(rfc3339(row.inserted_at)),
            added_by: row.added_by.as_ref().map(|user| user.0.clone()),
        }
    }
}

/// What a link shows to anybody who holds it: never ids, the inviter's address, or the personal message.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewBody {
    /// Display name of the tenant.
    pub tenant_name: String,
    /// Display name of the workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_name: Option<String>,
    /// Name of the inviter, if known.
    pub inviter_name: Option<String>,
    /// Invited address.
    pub email: String,
    /// Role to be given.
    pub role: &'static str,
    /// End of life.
    pub expires_at: String,
    /// Past its end.
    pub expired: bool,
    /// Always false: a revoked link shows nothing.
    pub revoked: bool,
    /// Accepted already.
    pub accepted: bool,
    /// `pending`, `accepted` or `expired`.
    pub state: &'static str,
    /// `org` or `workspace`.
    pub scope: &'static str,
    /// Where to sign in, if the tenant says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in_url: Option<String>,
    /// Logo, if the tenant has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// Colour, if the tenant has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_color: Option<String>,
    /// Where to ask for help, if the tenant says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_email: Option<String>,
    /// Language asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

impl PreviewBody {
    /// A preview.
    #[must_use]
    pub fn of(preview: &Preview) -> Self {
        let (branding, links) = (&preview.tenant.branding, &preview.tenant.links);
        Self {
            tenant_name: preview.tenant.name.clone(),
            workspace_name: preview.workspace_name.clone(),
            inviter_name: preview.inviter_name.clone(),
            email: preview.email.clone(),
            role: preview.role.as_str(),
            expires_at: rfc3339(preview.expires_at),
            expired: preview.status == InviteStatus::Expired,
            revoked: false,
            accepted: preview.status == InviteStatus::Accepted,
            state: preview.status.as_str(),
            scope: preview.scope.as_str(),
            sign_in_url: links.sign_in_url.clone(),
            logo_url: branding.logo_url.clone(),
            primary_color: branding.primary_color.clone(),
            support_email: branding.support_email.clone(),
            locale: preview.locale.clone(),
        }
    }
}
