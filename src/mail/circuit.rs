//! Whether a relay is worth trying. Opens when the relay cannot be used at all, for longer each time, then lets
//! one mail through to find out; that mail's success closes it. Answers about single mails never open it.

use std::time::Duration;

use tokio::time::Instant;

/// First pause after a failure: a relay that only blinks should not cost half a minute.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// The circuit of one lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circuit {
    failures: u32,
    open_until: Option<Instant>,
}

/// How many mails may go by a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// As many as its slots.
    Open,
    /// One, to find out.
    Probe,
    /// None for now.
    Shut,
}

impl Circuit {
    /// What may go now.
    #[must_use]
    pub fn gate(&self, now: Instant) -> Gate {
        match self.open_until {
            None => Gate::Open,
            Some(until) if now >= until => Gate::Probe,
            Some(_) => Gate::Shut,
        }
    }

    /// The relay worked, whatever it said of the mail.
    pub fn worked(&mut self) {
        *self = Self::default();
    }

    /// The relay could not be used. Mails that were under way when it opened do not lengthen the pause.
    pub fn failed(&mut self, now: Instant) {
        if self.gate(now) == Gate::Shut {
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.open_until = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_with_each_probe_that_fails_and_one_success_ends_it() {
        let (mut circuit, mut now) = (Circuit::default(), Instant::now());
        assert_eq!(circuit.gate(now), Gate::Open);
        for pause in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            circuit.failed(now);
            circuit.failed(now);
            assert_eq!(circuit.gate(now + Duration::from_secs(pause - 1)), Gate::Shut, "{pause}");
            now += Duration::from_secs(pause);
            assert_eq!(circuit.gate(now), Gate::Probe, "{pause}");
        }
        circuit.worked();
        assert_eq!(circuit.gate(now), Gate::Open);
        circuit.failed(now);
        assert_eq!(circuit.gate(now + Duration::from_secs(5)), Gate::Probe, "starts over");
    }
}
