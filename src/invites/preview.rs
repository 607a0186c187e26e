//! The public preview of a link, and its cache: facts of the row, never computed flags, never the personal
//! message. The epoch of an invite is part of the key, so a load that began before a change fills a key that
//! nobody asks for again. What other processes change is bounded by how long an entry lives; on SQLite, which tells
//! when its file was changed by others, it may live longer.

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

/// How long an entry lives where nothing tells what other replicas change: the bound on staleness.
const LIFE: Duration = Duration::from_millis(800);
/// How long it lives on SQLite: names of persons may be as old, and whatever [`LOOK`] should miss.
const WATCHED_LIFE: Duration = Duration::from_secs(5);
/// How often SQLite is asked whether another process has changed the file.
const LOOK: Duration = Duration::from_millis(300);
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
    /// Host that the link was made for; `None` for the platform's.
    pub link_host: Option<String>,
}

/// The preview of a link. Unknown, foreign, superseded, revoked and declined ones all look alike.
///
/// # Errors
/// [`Refusal::InvalidToken`].
pub async fn preview(invites: &Invites, link: &Presented) -> Result<Preview, Refusal> {
    let keys = invites.keys()?;
    let token = keys.parse(&link.token).ok_or(Refusal::InvalidToken)?;
    let found = invites.previews.get(token.claims().id).await?;
    let row = genuine(&keys, &token, found.as_ref().map(|found| &found.invite))?;
    let (Some(found), true) = (&found, row.version == token.claims().version) else {
        return Err(Refusal::InvalidToken);
    };
    let tenant = invites.served(row, link.kind, link.within)?;
    let status = status_at(row, invites.store.clock().now());
    match row.status {
        InviteStatus::Pending | InviteStatus::Accepted | InviteStatus::Expired => {}
        InviteStatus::Revoked | InviteStatus::Declined => {
            return Err(Refusal::InvalidToken);
        }
    }
    Ok(Preview {
        tenant,
        scope: super::scope_of(row),
        workspace_name: found.workspace_name.clone(),
        inviter_name: found.inviter_name.clone(),
        email: row.email.clone(),
        role: row.role,
        status,
        expires_at: row.expires_at,
        locale: row.locale.clone(),
        link_host: row.link_host.clone(),
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
        let life = if store.is_postgres() { LIFE } else { WATCHED_LIFE };
        let rows = Cache::builder().max_capacity(CAPACITY).time_to_live(life).build();
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

    /// From now on forgets everything when another process has changed the file of SQLite, or when it cannot be told.
    pub fn watch(&self) {
        if self.store.is_postgres() {
            return;
        }
        let (store, watched) = (self.store.clone(), self.clone());
        self.store.runtime().spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                if store.changed_elsewhere().await.unwrap_or(true) {
                    watched.invalidate_all();
                }
            }
        });
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
            store.look_up(move |db| async move { store::invites::find_for_preview(&db, id).await }).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;
    use entity::{Delivery, TenantId};
    use tokio::sync::oneshot;

    async fn previews() -> Previews {
        let folder = std::env::temp_dir().join(format!("usher-preview-{}", uuid::Uuid::now_v7()));
        let url = format!("sqlite://{}/usher.db", folder.display()).into();
        let database = settings::Database { url, max_connections: 2 };
        let runtime = tokio::runtime::Handle::current();
        let previews = Previews::new(Store::connect(&database, runtime, Clock::default()).await.unwrap());
        // the loads of these tests are their own; the files stay open as long as they are needed
        std::fs::remove_dir_all(folder).unwrap();
        previews
    }

    fn row(id: InviteId, status: InviteStatus) -> PreviewRow {
        let invite = invite::Model {
            id,
            tenant_id: TenantId(uuid::Uuid::nil()),
            workspace_id: None,
            email: "alice@example.com".into(),
            email_norm: "alice@example.com".into(),
            role: Role::Member,
            status,
            version: 1,
            salt: vec![0; 32],
            kid: "k1".into(),
            link_host: None,
            inviter: None,
            inviter_key: None,
            message: Some("for the mail alone".into()),
            note: None,
            locale: None,
            delivery: Delivery::None,
            delivery_detail: None,
            mails: 0,
            mailed_at: None,
            expires_at: Millis(i64::MAX),
            accepted_by: None,
            accepted_at: None,
            declined_at: None,
            revoked_by: None,
            revoked_at: None,
            expired_at: None,
            inserted_at: Millis(0),
            updated_at: Millis(0),
        };
        PreviewRow { invite, inviter_name: None, workspace_name: None }
    }

    /// A load that reads the row as it was, and is held until told to bring it.
    fn held(
        previews: &Previews,
        id: InviteId,
    ) -> (oneshot::Sender<()>, tokio::task::JoinHandle<InviteStatus>) {
        let (release, released) = oneshot::channel();
        let (begun, previews) = (row(id, InviteStatus::Pending), previews.clone());
        let load = tokio::spawn(async move {
            let load = async {
                released.await.unwrap();
                Ok(Some(begun))
            };
            previews.load(id, load).await.unwrap().unwrap().invite.status
        });
        (release, load)
    }

    async fn read(previews: &Previews, id: InviteId) -> InviteStatus {
        let load = async { Ok(Some(row(id, InviteStatus::Revoked))) };
        previews.load(id, load).await.unwrap().unwrap().invite.status
    }

    #[tokio::test]
    async fn a_row_read_before_a_change_is_not_shown_after_it_however_late_it_arrives() {
        let (previews, id) = (previews().await, InviteId::new());
        let (release, load) = held(&previews, id);
        tokio::task::yield_now().await;
        previews.invalidate(id);
        release.send(()).unwrap();
        assert_eq!(load.await.unwrap(), InviteStatus::Pending, "whoever asked before the change");
        assert_eq!(read(&previews, id).await, InviteStatus::Revoked, "whoever asks after it");
    }

    #[tokio::test]
    async fn nobody_who_asks_after_a_change_waits_for_a_load_that_began_before_it() {
        let (previews, id) = (previews().await, InviteId::new());
        let (release, load) = held(&previews, id);
        tokio::task::yield_now().await;
        previews.invalidate(id);
        let waited = tokio::time::timeout(Duration::from_secs(5), read(&previews, id)).await;
        assert_eq!(waited, Ok(InviteStatus::Revoked));
        release.send(()).unwrap();
        load.await.unwrap();
        assert_eq!(read(&previews, id).await, InviteStatus::Revoked, "the late load overwrote nothing");
    }

    #[tokio::test]
    async fn what_is_kept_is_loaded_once_and_without_the_personal_message() {
        let (previews, id) = (previews().await, InviteId::new());
        let first =
            previews.load(id, async { Ok(Some(row(id, InviteStatus::Pending))) }).await.unwrap().unwrap();
        assert_eq!(first.invite.message, None);
        let again = previews.load(id, async { panic!("loaded a second time") }).await.unwrap().unwrap();
        assert_eq!(again.invite.status, InviteStatus::Pending);
        let nothing = previews.load(InviteId::new(), async { Ok(None) }).await.unwrap();
        assert!(nothing.is_none());
    }
}
