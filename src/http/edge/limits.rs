//! The limit by client address: it counts unknown tokens and failed credentials, and once it is reached only
//! such calls are refused for it; whoever holds a genuine link or credential never meets it.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;

use crate::{config::settings::Rate, domain::Refusal};

/// Failures counted per client address, in windows that begin with the first.
pub struct AddressLimits {
    windows: Cache<IpAddr, Arc<(std::time::Instant, AtomicU32)>>,
}

impl Default for AddressLimits {
    fn default() -> Self {
        let longest = Duration::from_secs(24 * 60 * 60);
        Self { windows: Cache::builder().max_capacity(100_000).time_to_idle(longest).build() }
    }
}

impl AddressLimits {
    /// Counts a failure and answers what it becomes: itself, or a 429 beyond the limit.
    pub fn failed(&self, client: IpAddr, rate: Option<Rate>, refusal: Refusal) -> Refusal {
        if !matches!(refusal, Refusal::InvalidToken | Refusal::Unauthenticated(_)) {
            return refusal;
        }
        let Some(rate) = rate else { return refusal };
        let fresh = || Arc::new((std::time::Instant::now(), AtomicU32::new(0)));
        let mut window = self.windows.get_with(client, fresh);
        if window.0.elapsed() >= rate.window {
            window = fresh();
            self.windows.insert(client, window.clone());
        }
        if window.1.fetch_add(1, Ordering::Relaxed) < rate.count {
            return refusal;
        }
        let retry_after = rate.window.saturating_sub(window.0.elapsed()).as_secs() + 1;
        Refusal::RateLimited { retry_after, what: "unknown links or credentials from your address" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn only_failures_are_counted_and_only_failures_are_limited() {
        let limits = AddressLimits::default();
        let rate = Some(Rate { count: 2, window: Duration::from_secs(60) });
        let (one, other) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
        for _ in 0..5 {
            assert_eq!(limits.failed(one, rate, Refusal::NotFound), Refusal::NotFound);
        }
        for _ in 0..2 {
            assert_eq!(limits.failed(one, rate, Refusal::InvalidToken), Refusal::InvalidToken);
        }
        assert!(matches!(limits.failed(one, rate, Refusal::InvalidToken), Refusal::RateLimited { .. }));
        assert_eq!(limits.failed(one, rate, Refusal::Expired), Refusal::Expired);
        assert_eq!(limits.failed(other, rate, Refusal::InvalidToken), Refusal::InvalidToken);
        assert_eq!(limits.failed(one, None, Refusal::InvalidToken), Refusal::InvalidToken);
    }
}
