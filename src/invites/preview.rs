//! The public preview of a link, and its cache: facts of the row, never computed flags, never the personal
//! message. The epoch of an invite is part of the key, so a load that began before a change fills a key that
//! nobody asks for again; an entry lives at most 800 ms, which bounds what other replicas may show.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use entity::{InviteId, InviteStatus, Millis, Role, invite};
use moka::future::Cache;

use super::{
    Invites,
    proof::{Presented, genuine},
};
use crate::{
    config::settings,
    domain::{Refusal, Scope, invite::status_at},
    store::{self, Store, StoreError, invites::PreviewRow},
};

/// How long an entry lives: the bound on staleness across processes.
const LIFE: Duration = Duration::from_millis(800);
/// Entries at most.
const CAPACITY: u64 = 50_000;
/// Epochs, shared by invites that fall on the same one.
const EPOCHS: usize = 1024;

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
}

/// The preview of a link. Unknown, foreign, superseded, revoked and declined ones all look alike.
///
/// # Errors
/// [`Refusal::InvalidToken`].
pub async fn preview(invites: &Invites, link: &Presented) -> Result<Preview, Refusal> {
    let keys = invites.keys()?;
    let token = keys.parse(&link.token).ok_or(Refusal::InvalidToken)?;
    let found = invites.previews.get(token.claims().id).await?;
    let row = genuine(&keys, &token, found.as_ref().map(|found| found.invite.clone()))?;
    let (Some(found), true) = (found, row.version == token.claims().version) else {
        return Err(Refusal::InvalidToken);
    };
    let tenant = invites.served(&row, link.kind, link.within)?;
    let status = status_at(&row, invites.store.clock().now());
    match row.status {
        InviteStatus::Pending | InviteStatus::Accepted => {}
        InviteStatus::Revoked | InviteStatus::Declined | InviteStatus::Expired => {
            return Err(Refusal::InvalidToken);
        }
    }
    Ok(Preview {
        tenant,
        scope: super::scope_of(&row),
        workspace_name: found.workspace_name.clone(),
        inviter_name: found.inviter_name.clone(),
        email: row.email,
        role: row.role,
        status,
        expires_at: row.expires_at,
        locale: row.locale,
    })
}

/// Rows for previews; clones share them.
#[derive(Clone)]
pub struct Previews {
    store: Store,
    rows: Cache<(InviteId, u64), Arc<PreviewRow>>,
    epochs: Arc<[AtomicU64]>,
}

/// Why a load brought no row; errors are not kept.
#[derive(Debug)]
enum NotLoaded {
    Nothing,
    Refused(Refusal),
}

impl Previews {
    pub(super) fn new(store: Store) -> Self {
        let rows = Cache::builder().max_capacity(CAPACITY).time_to_live(LIFE).build();
        Self { store, rows, epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Forgets an invite: after the commit, before the answer.
    pub fn invalidate(&self, id: InviteId) {
        if let Some(epoch) = self.epoch(id) {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Forgets everything: a name that many show has changed.
    pub fn invalidate_all(&self) {
        for epoch in self.epochs.iter() {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn epoch(&self, id: InviteId) -> Option<&AtomicU64> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let stripes = u64::try_from(self.epochs.len()).ok()?;
        self.epochs.get(usize::try_from(hasher.finish() % stripes).ok()?)
    }

    async fn get(&self, id: InviteId) -> Result<Option<Arc<PreviewRow>>, Refusal> {
        let store = self.store.clone();
        self.load(id, async move {
            store.read(move |db| async move { store::invites::find_for_preview(&db, id).await }).await
        })
        .await
    }

    /// One loader per key; what others wait for is shared.
    async fn load(
        &self,
        id: InviteId,
        load: impl Future<Output = Result<Option<PreviewRow>, StoreError>>,
    ) -> Result<Option<Arc<PreviewRow>>, Refusal> {
        let epoch = self.epoch(id).map_or(0, |epoch| epoch.load(Ordering::Acquire));
        let row = self.rows.try_get_with((id, epoch), async move {
            match load.await {
                Ok(Some(mut row)) => {
                    row.invite = without_message(row.invite);
                    Ok(Arc::new(row))
                }
                Ok(None) => Err(NotLoaded::Nothing),
                Err(error) => Err(NotLoaded::Refused(error.into_refusal())),
            }
        });
        match row.await {
            Ok(row) => Ok(Some(row)),
            Err(error) => match &*error {
                NotLoaded::Nothing => Ok(None),
                NotLoaded::Refused(refusal) => Err(refusal.clone()),
            },
        }
    }
}

/// The personal message is for the mail alone.
fn without_message(row: invite::Model) -> invite::Model {
    invite::Model { message: None, note: None, ..row }
}
