//! Connections that cannot be trusted any more. PostgreSQL ends a statement that runs too long by itself; if it does not
//! even say so, nobody is at the other end of the connection. And one that refuses writes may have been opened to what
//! is a standby now. After either, every connection opened before is replaced as soon as it is not in use: one that
//! hangs must not keep its place in the pool until TCP gives it up, a quarter of an hour later.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::DbErr;
use tokio::time::timeout;

use super::{StoreError, error};
use crate::domain::clock::millis_of;

/// What is known about the connections of one pool; clones share it.
#[derive(Clone)]
pub(super) struct Health {
    started: Instant,
    /// How long a step may take until its connection counts as dead; `None` where there is no other end.
    limit: Option<Duration>,
    /// When a connection was last found wanting, in milliseconds since `started`; -1 means never.
    suspected_at: Arc<AtomicI64>,
}

impl Health {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { started: Instant::now(), limit, suspected_at: Arc::new(AtomicI64::new(-1)) }
    }

    /// Waits for one step of a transaction, no longer than the server may take for it.
    pub(super) async fn step<T>(
        &self,
        step: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, StoreError> {
        self.within(1, async { Ok(step.await?) }).await
    }

    /// Waits for work of several steps.
    pub(super) async fn within<T>(
        &self,
        steps: u32,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let Some(limit) = self.limit else { return work.await };
        // dropped only at the end, when its connection is suspect already and is not taken back
        let mut work = pin!(work);
        match timeout(limit * steps, work.as_mut()).await {
            Ok(Err(error)) => {
                if error::is_read_only(&error) {
                    self.suspect();
                }
                Err(error)
            }
            Ok(done) => done,
            Err(_elapsed) => {
                self.suspect();
                Err(StoreError::unavailable("a connection does not answer any more"))
            }
        }
    }

    /// Trusts no connection that is open now.
    pub(super) fn suspect(&self) {
        tracing::warn!("connections to the database are replaced");
        self.suspected_at.store(self.now(), Ordering::Release);
    }

    /// Whether a connection of this age was opened after all trouble.
    pub(super) fn trusts(&self, age: Duration) -> bool {
        let opened = self.now() - millis_of(age);
        opened > self.suspected_at.load(Ordering::Acquire)
    }

    fn now(&self) -> i64 {
        millis_of(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_is_not_answered_makes_every_older_connection_suspect() {
        let health = Health::new(Some(Duration::from_millis(1)));
        assert!(health.trusts(Duration::ZERO));
        let silent = health.step(std::future::pending::<Result<(), DbErr>>()).await;
        assert!(matches!(silent, Err(StoreError::Unavailable(_))));
        assert!(!health.trusts(Duration::from_secs(60)));
    }

    #[tokio::test]
    async fn work_that_ends_in_time_leaves_its_connection_trusted() {
        let health = Health::new(Some(Duration::from_secs(60)));
        assert!(matches!(health.step(async { Ok(1) }).await, Ok(1)));
        let refused = health.step(async { Err::<(), _>(DbErr::Custom("no".into())) }).await;
        assert!(refused.is_err());
        assert!(health.trusts(Duration::ZERO));
    }
}
