//! The public preview of a link: what it shows to anybody, from rows that are kept (`cache`).

mod cache;

use std::sync::Arc;

use bytes::Bytes;
use entity::{InviteStatus, Millis, Role};

pub use self::cache::Previews;

use self::cache::Kept;
use super::{Invites, proof::Presented};
use crate::{
    config::settings,
    domain::{Refusal, Scope, invite::status_at},
    store::invites::PreviewRow,
};

/// What a link shows.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The tenant, as configured now.
    pub tenant: Arc<settings::Tenant>,
    /// Org or workspace.
    pub scope: Scope,
    /// Name of the workspace.
    pub workspace_name: Option<String>,
    /// Name of the inviter, if known.
    pub inviter_name: Option<String>,
    /// The invited address.
    pub email: String,
    /// The role to be given.
    pub role: Role,
    /// Status now: pending, accepted, or expired; anything else is not shown.
    pub status: InviteStatus,
    /// End of life.
    pub expires_at: Millis,
    /// Language asked for.
    pub locale: Option<String>,
    /// Host that the link was made for; `None` for the platform's.
    pub link_host: Option<String>,
}

/// A link that shows something.
pub struct Seen {
    /// The tenant, as configured now.
    pub tenant: Arc<settings::Tenant>,
    /// Status now: pending, accepted, or expired.
    pub status: InviteStatus,
    kept: Arc<Kept>,
}

impl Seen {
    /// What it shows.
    #[must_use]
    pub fn preview(&self) -> Preview {
        let PreviewRow { invite: row, inviter_name, workspace_name } = &self.kept.row;
        Preview {
            tenant: self.tenant.clone(),
            scope: super::scope_of(row),
            workspace_name: workspace_name.clone(),
            inviter_name: inviter_name.clone(),
            email: row.email.clone(),
            role: row.role,
            status: self.status,
            expires_at: row.expires_at,
            locale: row.locale.clone(),
            link_host: row.link_host.clone(),
        }
    }

    /// The answer that shows it, written by `write` the first time: the same from then on, until the row or the
    /// configuration changes. Only for one way of writing it.
    ///
    /// # Errors
    /// As `write`.
    pub fn written(&self, write: impl FnOnce(&Preview) -> Result<Bytes, Refusal>) -> Result<Bytes, Refusal> {
        let run_out = self.status != self.kept.row.invite.status;
        self.kept.written.get(run_out, || write(&self.preview()))
    }
}

/// What the holder of a link sees. Unknown, foreign, superseded, revoked and declined ones all look alike.
///
/// # Errors
/// [`Refusal::InvalidToken`].
pub async fn look(invites: &Invites, link: &Presented) -> Result<Seen, Refusal> {
    let snapshot = invites.registry.current();
    let keys = snapshot.settings.tokens.as_ref().ok_or(Refusal::Internal)?;
    let token = keys.parse(&link.token).ok_or(Refusal::InvalidToken)?;
    let found = invites.previews.get(token.claims().id, keys, snapshot.generation).await?;
    let Some(kept) = found else {
        // as slow as for a row that is read
        keys.verify_nothing(&token);
        return Err(Refusal::InvalidToken);
    };
    if !kept.link.as_ref().is_some_and(|link| link.is(&token)) {
        return Err(Refusal::InvalidToken);
    }
    let row = &kept.row.invite;
    let tenant = Invites::served_by(&snapshot, row, link.kind, link.within)?;
    match row.status {
        InviteStatus::Pending | InviteStatus::Accepted | InviteStatus::Expired => {}
        InviteStatus::Revoked | InviteStatus::Declined => {
            return Err(Refusal::InvalidToken);
        }
    }
    let status = status_at(row, invites.store.clock().now());
    Ok(Seen { tenant, status, kept })
}

/// The preview of a link.
///
/// # Errors
/// As [`look`].
pub async fn preview(invites: &Invites, link: &Presented) -> Result<Preview, Refusal> {
    Ok(look(invites, link).await?.preview())
}
