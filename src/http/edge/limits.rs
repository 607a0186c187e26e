//! The limit by client address: it counts unknown tokens and failed credentials, and once it is reached only
//! such calls are refused for it; whoever holds a genuine link or credential never meets it.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;

use crate::{config::settings::Rate, domain::Refusal};

/// Failures counted per client address (of IPv6, per network), in windows that begin with the first.
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
        let origin = origin(client);
        let mut window = self.windows.get_with(origin, fresh);
        if window.0.elapsed() >= rate.window {
            window = fresh();
            self.windows.insert(origin, window.clone());
        }
        if window.1.fetch_add(1, Ordering::Relaxed) < rate.count {
            return refusal;
        }
        let retry_after = rate.window.saturating_sub(window.0.elapsed()).as_secs() + 1;
        Refusal::RateLimited { retry_after, what: "unknown links or credentials from your address" }
    }
}

/// Whose an address is, as far as anybody can tell: of IPv6 the /64, since whoever has one address there has them all.
fn origin(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn addresses_of_one_network_count_together() {
        let limits = AddressLimits::default();
        let rate = Some(Rate { count: 1, window: Duration::from_secs(60) });
        let told = |address: &str| {
            let limited = limits.failed(address.parse().unwrap(), rate, Refusal::InvalidToken);
            matches!(limited, Refusal::RateLimited { .. })
        };
        assert!(!told("2001:db8:0:1::1"));
        assert!(told("2001:db8:0:1:ffff::2"), "the same /64");
        assert!(!told("2001:db8:0:2::1"), "another network");
        assert!(!told("192.0.2.1") && !told("192.0.2.2"));
        assert!(told("::ffff:192.0.2.1"), "the same address written in the other family");
    }

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
