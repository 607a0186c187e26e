//! What a server forgets by itself, at the moment that a test wants it forgotten.

use entity::{InviteId, Millis, TenantId};
use usher::{janitor, store};

use super::{
    server::TestServer,
    setup::{ACME, Setup},
};

/// The usual configuration, with times for the ended invites of acme and globex.
pub fn kept(acme: &str, globex: &str) -> Setup {
    Setup::new().server("retention.invites", acme).tenant("globex", "retention.invites", globex)
}

/// The id of acme.
pub fn acme() -> TenantId {
    ACME.parse().unwrap()
}

impl TestServer {
    /// Has everything forgotten that is outdated now; tells how many rows that was.
    pub async fn forget(&self) -> u64 {
        let source =
            usher::config::Source { config_dir: self.config_dir(), ..usher::config::Source::default() };
        let settings = usher::config::load(&source).unwrap().settings;
        let store = self.store();
        let work = store.clone();
        store.runtime().spawn(async move { janitor::sweep(&work, &settings).await }).await.unwrap().unwrap()
    }

    /// Forgets those of these invites of acme that ended by then within one transaction, as one batch does; tells how
    /// many rows are gone.
    pub async fn forget_some(&self, ids: Vec<InviteId>, by: i64, most: u64) -> u64 {
        let store = self.store();
        let work = store.clone();
        let batch = async move {
            let tx = work.tenant_write(acme()).await.unwrap();
            let rows = store::invites::forget(tx.conn(), acme(), &ids, Millis(by), most).await.unwrap();
            tx.commit().await.unwrap();
            rows
        };
        store.runtime().spawn(batch).await.unwrap()
    }
}
