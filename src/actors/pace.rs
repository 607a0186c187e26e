//! How many commands a batch of the one writer may hold. As many as are decided and written within a few milliseconds:
//! whoever asks next, of whatever tenant, waits for the batch under way.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// How long deciding and writing a batch may take, about.
const LONGEST: Duration = Duration::from_millis(4);
/// Commands that are worth a commit, however long they take.
const LEAST: usize = 8;

/// The size of batches; shared by the actors that fill them and the writer, who sees how long they take.
#[derive(Debug)]
pub(super) struct Pace {
    now: AtomicUsize,
    most: usize,
}

impl Pace {
    /// Begins with the most.
    pub(super) fn new(most: usize) -> Self {
        Self { now: AtomicUsize::new(most), most }
    }

    /// Commands that the next batch may hold.
    pub(super) fn room(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Learns how long deciding and writing so many commands took: waiting for the disk is not part of it, waiting for a processor is,
    /// since whoever comes next waits for that too.
    pub(super) fn note(&self, commands: usize, took: Duration) {
        let each = took.as_micros() / u128::from(u64::try_from(commands).unwrap_or(u64::MAX)).max(1);
        let fit = usize::try_from(LONGEST.as_micros() / each.max(1)).unwrap_or(usize::MAX);
        let (fit, before) = (fit.min(self.most), self.room());
        // one slow batch is no reason to make many small ones
        let sum = before * 3 + fit;
        let next = if fit < before { sum / 4 } else { sum.div_ceil(4) };
        self.now.store(next.clamp(LEAST.min(self.most), self.most), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_what_is_decided_in_a_few_milliseconds_and_never_less_than_is_worth_a_commit() {
        let settled = |pace: &Pace, each: u64| {
            for _ in 0..40 {
                pace.note(10, Duration::from_micros(each * 10));
            }
            pace.room()
        };
        let pace = Pace::new(64);
        assert_eq!(pace.room(), 64);
        assert_eq!(settled(&pace, 200), 20);
        assert_eq!(settled(&pace, 40_000), LEAST);
        assert_eq!(settled(&pace, 0), 64);
        let small = Pace::new(2);
        assert_eq!((settled(&small, 40_000), settled(&small, 1)), (2, 2));
        pace.note(0, Duration::ZERO);
    }

    #[test]
    fn one_slow_batch_does_not_decide() {
        let pace = Pace::new(64);
        pace.note(64, Duration::from_secs(1));
        assert!(pace.room() > 40, "{pace:?}");
    }
}
