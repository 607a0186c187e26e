//! What previews are made of, kept: facts of the row, never the personal message, and what follows from them alone: what
//! its link must be signed with, and its answer as it was written. The epoch of an invite and the generation of the
//! configuration are part of the key, so a load that began before a change fills a key that nobody asks for again. What
//! other processes change is bounded by how long an entry lives; on SQLite, which tells when its file was changed by
//! others, it may live longer.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use entity::{InviteId, invite};
use moka::future::Cache;

use crate::{
    domain::{LinkClaims, MasterKeys, Refusal, link_token::Genuine},
    invites::link_row,
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

/// Rows for previews; clones share them.
#[derive(Clone)]
pub struct Previews {
    store: Store,
    rows: Cache<Key, Arc<Kept>>,
    epochs: Arc<[AtomicU64]>,
}

/// An invite, its epoch, and the generation of the configuration.
type Key = (InviteId, u64, u64);

/// A row, and what follows from it as long as neither it nor the configuration changes.
pub(super) struct Kept {
    pub(super) row: PreviewRow,
    /// Its link; `None` if the key that signed it is gone.
    pub(super) link: Option<Genuine>,
    pub(super) written: Written,
}

/// What was written of a row: in the status that is stored, and once it has run out.
#[derive(Default)]
pub(super) struct Written {
    stored: OnceLock<Bytes>,
    run_out: OnceLock<Bytes>,
}

impl Written {
    /// What was written, by `write` if nothing was.
    pub(super) fn get(
        &self,
        run_out: bool,
        write: impl FnOnce() -> Result<Bytes, Refusal>,
    ) -> Result<Bytes, Refusal> {
        let slot = if run_out { &self.run_out } else { &self.stored };
        match slot.get() {
            Some(bytes) => Ok(bytes.clone()),
            None => write().map(|bytes| slot.get_or_init(|| bytes).clone()),
        }
    }
}

impl Kept {
    fn of(row: PreviewRow, keys: &MasterKeys) -> Self {
        // the personal message is for the mail alone
        let invite = invite::Model { message: None, note: None, ..row.invite };
        let link = keys.genuine(link_row(&invite), LinkClaims { id: invite.id, version: invite.version });
        Self { row: PreviewRow { invite, ..row }, link, written: Written::default() }
    }
}

/// Why a load brought no row; errors are not kept.
#[derive(Debug)]
enum NotLoaded {
    Nothing,
    Refused(Refusal),
}

impl Previews {
    pub(in crate::invites) fn new(store: Store) -> Self {
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

    /// What is kept of an invite, read if nothing is; `keys` are those of this generation.
    pub(super) async fn get(
        &self,
        id: InviteId,
        keys: &MasterKeys,
        generation: u64,
    ) -> Result<Option<Arc<Kept>>, Refusal> {
        let epoch = self.epoch(id).map_or(0, |epoch| epoch.load(Ordering::Acquire));
        let key = (id, epoch, generation);
        if let Some(kept) = self.rows.get(&key).await {
            return Ok(Some(kept));
        }
        let load = async {
            let found =
                self.store.look_up(move |db| async move { store::invites::find_for_preview(&db, id).await });
            Ok(found.await?.map(|row| Kept::of(row, keys)))
        };
        // loading is large, and whoever finds what is kept need not carry it around
        Box::pin(self.load(key, load)).await
    }

    /// One loader per key; what others wait for is shared.
    async fn load(
        &self,
        key: Key,
        load: impl Future<Output = Result<Option<Kept>, StoreError>>,
    ) -> Result<Option<Arc<Kept>>, Refusal> {
        let row = self.rows.try_get_with(key, async move {
            match load.await {
                Ok(Some(kept)) => Ok(Arc::new(kept)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::settings,
        domain::{Clock, MasterKey},
        store::examples::pending_invite,
    };
    use entity::{InviteStatus, Millis, TenantId};
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

    fn keys() -> MasterKeys {
        MasterKeys::new("k1", vec![MasterKey::new("k1", [7; 32]).unwrap()]).unwrap()
    }

    fn key(previews: &Previews, id: InviteId) -> Key {
        (id, previews.epoch(id).unwrap().load(Ordering::Acquire), 1)
    }

    fn row(id: InviteId, status: InviteStatus) -> Kept {
        let invite = invite::Model {
            id,
            status,
            message: Some("for the mail alone".into()),
            expires_at: Millis(i64::MAX),
            ..pending_invite(TenantId(uuid::Uuid::nil()), "alice@example.com", Millis(0))
        };
        Kept::of(PreviewRow { invite, inviter_name: None, workspace_name: None }, &keys())
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
            previews.load(key(&previews, id), load).await.unwrap().unwrap().row.invite.status
        });
        (release, load)
    }

    async fn read(previews: &Previews, id: InviteId) -> InviteStatus {
        let load = async { Ok(Some(row(id, InviteStatus::Revoked))) };
        previews.load(key(previews, id), load).await.unwrap().unwrap().row.invite.status
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
        let key = key(&previews, id);
        let first = previews.load(key, async { Ok(Some(row(id, InviteStatus::Pending))) }).await;
        assert_eq!(first.unwrap().unwrap().row.invite.message, None);
        let again = previews.load(key, async { panic!("loaded a second time") }).await.unwrap().unwrap();
        assert_eq!(again.row.invite.status, InviteStatus::Pending);
        let found = previews.get(id, &keys(), 1).await.unwrap();
        assert!(found.is_some_and(|found| Arc::ptr_eq(&found, &again)));
        let nothing = previews.load((InviteId::new(), 0, 1), async { Ok(None) }).await.unwrap();
        assert!(nothing.is_none());
    }

    #[tokio::test]
    async fn what_is_kept_under_one_configuration_is_not_found_under_the_next() {
        let (previews, id) = (previews().await, InviteId::new());
        let old = previews.load(key(&previews, id), async { Ok(Some(row(id, InviteStatus::Pending))) }).await;
        assert!(old.is_ok_and(|old| old.is_some()));
        let (old, next) = (key(&previews, id), (id, key(&previews, id).1, 2));
        assert!(previews.rows.get(&old).await.is_some() && previews.rows.get(&next).await.is_none());
    }

    #[test]
    fn an_answer_is_written_once_for_each_status() {
        let kept = row(InviteId::new(), InviteStatus::Pending).written;
        let written = |run_out, text| kept.get(run_out, || Ok(Bytes::from_static(text))).unwrap();
        assert_eq!(written(false, b"pending"), "pending");
        assert_eq!(written(true, b"expired"), "expired");
        assert_eq!(written(false, b"again"), "pending");
        assert_eq!(written(true, b"again"), "expired");
        assert!(Written::default().get(true, || Err(Refusal::Internal)).is_err());
    }
}
