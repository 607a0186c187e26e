//! Whether a thread that answers requests has fallen behind: what is ready waits for long until it is looked at, and much
//! is under way already. Then there is no time to find out who asks for what, and changes are refused as they come.
//! Each thread knows this of itself.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// When a thread has fallen behind.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How long what is ready has to wait.
    pub lag: Duration,
    /// Changes under way on one thread below which it is not asked: more than fit into one tenant's queue, whose flood
    /// is its own trouble. And a processor that somebody else has taken makes wait too; then refusing does not help.
    pub many: usize,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { lag: Duration::from_millis(50), many: 512 }
    }
}

thread_local! {
    static UNDER_WAY: Cell<usize> = const { Cell::new(0) };
    /// Since when a task that was ready waits to be looked at.
    static ASKED: Cell<Option<Instant>> = const { Cell::new(None) };
    /// How long the last one waited, and until when.
    static WAITED: Cell<Option<(Duration, Instant)>> = const { Cell::new(None) };
}

/// A change under way, until it is dropped.
pub(super) struct UnderWay(());

impl UnderWay {
    pub(super) fn begin() -> Self {
        UNDER_WAY.set(UNDER_WAY.get() + 1);
        Self(())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.set(UNDER_WAY.get().saturating_sub(1));
    }
}

impl Crowd {
    /// Whether this thread has fallen behind.
    pub(super) fn is_too_much(self, now: Instant) -> bool {
        if UNDER_WAY.get() < self.many {
            return false;
        }
        let waits = ASKED.get().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if ASKED.get().is_none() {
            ASKED.set(Some(now));
            actix_web::rt::spawn(async move {
                WAITED.set(Some((now.elapsed(), Instant::now())));
                ASKED.set(None);
            });
        }
        let waited = WAITED.get().filter(|(_, until)| now.saturating_duration_since(*until) < self.lag);
        waits.max(waited.map_or(Duration::ZERO, |(waited, _)| waited)) >= self.lag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: Crowd = Crowd { lag: Duration::from_millis(50), many: 512 };

    async fn answered() {
        while ASKED.get().is_some() {
            tokio::task::yield_now().await;
        }
    }

    async fn ready(count: usize) -> bool {
        answered().await;
        let work = || async { std::thread::sleep(CROWD.lag / 2) };
        let tasks: Vec<_> = (0..count).map(|_| actix_web::rt::spawn(work())).collect();
        CROWD.is_too_much(Instant::now());
        for task in tasks {
            task.await.unwrap();
        }
        answered().await;
        CROWD.is_too_much(Instant::now())
    }

    #[actix_web::test]
    async fn a_thread_is_behind_when_much_is_under_way_and_what_is_ready_waits() {
        assert!(!ready(4).await, "nothing is under way");
        let under_way: Vec<_> = (0..CROWD.many).map(|_| UnderWay::begin()).collect();
        assert!(!ready(0).await, "nothing waits");
        assert!(ready(4).await);
        drop(under_way);
        assert!(!ready(4).await, "over");
    }
}
