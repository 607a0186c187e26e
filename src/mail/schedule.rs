//! When a mail is tried again, and when it is given up.

/// Pauses between attempts, in seconds.
const PAUSES: [i64; 9] = [10, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400];
/// Shortest pause after an attempt whose outcome is unknown, in seconds: the relay may yet deliver it.
const AFTER_AMBIGUOUS: i64 = 300;

/// Attempts begun at most.
pub const MOST_ATTEMPTS: i32 = 10;

/// Milliseconds until the next attempt after so many have begun, or `None`: give up. `chance` in 0..=1 spreads
/// the pause by a fifth either way.
#[must_use]
pub fn pause(attempts: i32, ambiguous: bool, chance: f64) -> Option<i64> {
    let seconds = usize::try_from(attempts.max(1) - 1).ok().and_then(|at| PAUSES.get(at))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "at most 10^8")]
    let spread = (*seconds as f64 * 1000.0 * (0.8 + 0.4 * chance)) as i64;
    Some(if ambiguous { spread.max(AFTER_AMBIGUOUS * 1000) } else { spread })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_follow_the_ladder_within_a_fifth_and_end_after_ten_attempts() {
        for (attempts, seconds) in (1..).zip(PAUSES) {
            assert_eq!(pause(attempts, false, 0.0), Some(seconds * 800));
            assert_eq!(pause(attempts, false, 1.0), Some(seconds * 1200));
        }
        assert_eq!(pause(MOST_ATTEMPTS, false, 0.5), None);
        assert_eq!(pause(99, false, 0.5), None);
    }

    #[test]
    fn an_unknown_outcome_waits_five_minutes_at_least() {
        assert_eq!(pause(1, true, 0.0), Some(300_000));
        assert_eq!(pause(5, true, 0.5), Some(3_600_000));
    }
}
