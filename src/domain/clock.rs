//! The one clock port. The test clock is an offset on the real one, zero outside `dev` and tests, so that
//! PostgreSQL can decide with its own clock plus the same offset. Credentials never see the offset.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};
use entity::Millis;
use serde::{Serialize, Serializer};

/// Wall clock plus offset; clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset: Arc<AtomicI64>,
}

impl Clock {
    /// Now, offset included.
    #[must_use]
    pub fn now(&self) -> Millis {
        Self::wall().plus(self.offset_millis())
    }

    /// Now without the offset: what credentials are judged by.
    #[must_use]
    pub fn wall() -> Millis {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(millis_of(since))
    }

    /// The offset in milliseconds.
    #[must_use]
    pub fn offset_millis(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Moves the test clock forward (or back).
    pub fn advance_millis(&self, millis: i64) {
        self.offset.fetch_add(millis, Ordering::Relaxed);
    }
}

/// A length of time in milliseconds; the longest there is for what is longer.
#[must_use]
pub fn millis_of(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC, truncated (never rounded up) to the second: `2026-01-02T03:04:05Z`.
#[must_use]
pub fn rfc3339(at: Millis) -> String {
    Stamp(at).to_string()
}

/// A time that is written as [`rfc3339`] does, without a text of its own: a list has hundreds of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(pub Millis);

impl Stamp {
    /// Its characters; `None` where a year has not four digits.
    fn characters(self) -> Option<[u8; 20]> {
        let at = time_of(self.0);
        let year = u32::try_from(at.year()).ok().filter(|year| *year <= 9999)?;
        let mut text = *b"yyyy-mm-ddThh:mm:ssZ";
        let (date, time) = ((at.month(), at.day()), (at.hour(), at.minute(), at.second()));
        for (place, number) in [
            (0, year / 100),
            (2, year % 100),
            (5, date.0),
            (8, date.1),
            (11, time.0),
            (14, time.1),
            (17, time.2),
        ] {
            let two = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
            text.get_mut(place..place + 2)?.copy_from_slice(&two);
        }
        Some(text)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.characters();
        match text.as_ref().and_then(|text| std::str::from_utf8(text).ok()) {
            Some(text) => f.write_str(text),
            None => f.write_str(&time_of(self.0).to_rfc3339_opts(SecondsFormat::Secs, true)),
        }
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// RFC 3339 in UTC with milliseconds, as the sharing API writes it.
#[must_use]
pub fn rfc3339_millis(at: Millis) -> String {
    time_of(at).to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn time_of(at: Millis) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default()
}

/// Reads an RFC 3339 time with a zone; fractions below the millisecond are cut.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| Millis(at.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_written_as_the_library_writes_it() {
        let day = 24 * 60 * 60 * 1000;
        let years = (-800_000..3_000_000).step_by(997).map(|number: i64| number * day + number * 7919);
        for at in years.chain([i64::MIN, i64::MAX, -1, 0, 253_402_300_799_999, 253_402_300_800_000]) {
            let theirs = time_of(Millis(at)).to_rfc3339_opts(SecondsFormat::Secs, true);
            assert_eq!(rfc3339(Millis(at)), theirs);
            assert_eq!(serde_json::to_value(Stamp(Millis(at))).unwrap(), theirs);
        }
    }

    #[test]
    fn times_are_truncated_on_the_wire_never_rounded_up() {
        assert_eq!(rfc3339(Millis(1_767_323_045_999)), "2026-01-02T03:04:05Z");
        assert_eq!(rfc3339_millis(Millis(1_767_323_045_999)), "2026-01-02T03:04:05.999Z");
        assert_eq!(parse_rfc3339("2026-01-02T04:04:05.9999+01:00"), Some(Millis(1_767_323_045_999)));
        assert_eq!(parse_rfc3339("2026-01-02T04:04:05"), None, "a time without a zone is no time");
    }
}
