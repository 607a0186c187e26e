//! The way to the mailer for everybody else: wake it, drain it. Replaces an actor that has died, which a
//! supervisor would not: a panic ends an actor for good.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{Addr, ArbiterHandle};
use tokio::{sync::oneshot, time::timeout};

use super::{
    delivery::Deps,
    mailer::{DRAIN, Drain, Mailer, Wake, launch},
};

/// How long writing down what became of the last mails may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The way to the mailer; clones share it.
#[derive(Clone)]
pub struct MailerHandle {
    inner: Arc<Inner>,
}

struct Inner {
    arbiter: ArbiterHandle,
    deps: Deps,
    woken: Arc<AtomicBool>,
    stopping: AtomicBool,
    address: Mutex<Addr<Mailer>>,
}

impl MailerHandle {
    /// Starts the mailer.
    pub(super) fn new(arbiter: ArbiterHandle, deps: Deps) -> Self {
        let woken = Arc::new(AtomicBool::new(false));
        let address = Mutex::new(launch(&arbiter, &deps, &woken));
        let stopping = AtomicBool::new(false);
        Self { inner: Arc::new(Inner { arbiter, deps, woken, stopping, address }) }
    }

    /// Says that a mail may be due. Cheap, never blocks, and may be forgotten: the poll finds it anyway.
    pub fn wake(&self) {
        if self.inner.stopping.load(Ordering::Acquire) {
            return;
        }
        let address = self.address();
        if !self.inner.woken.swap(true, Ordering::AcqRel) {
            address.do_send(Wake);
        }
    }

    /// Stops claiming, lets what is in flight end (20 s at most), writes down what became of it and ends the
    /// mailer.
    pub async fn drain(&self) {
        self.inner.stopping.store(true, Ordering::Release);
        let (ended, end) = oneshot::channel();
        self.address().do_send(Drain(ended));
        let _ = timeout(DRAIN + LAST_WORDS, end).await;
    }

    /// The actor's address. An actor that died is replaced: all it knew is in the database.
    fn address(&self) -> Addr<Mailer> {
        let mut address = self.inner.address.lock().unwrap_or_else(PoisonError::into_inner);
        if !address.connected() && !self.inner.stopping.load(Ordering::Acquire) {
            tracing::error!("the mailer had died and is started again");
            *address = launch(&self.inner.arbiter, &self.inner.deps, &self.inner.woken);
        }
        address.clone()
    }
}
