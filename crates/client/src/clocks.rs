//! Whether the machine has slept.

use std::time::{Duration, Instant, SystemTime};

use crate::time::date;

/// Two clocks, one of which may stand still while the machine sleeps: when they were last seen together.
///
/// Whoever sets the clock of the day moves them apart too, in either direction. So it is no proof of anything, only a
/// reason to ask.
#[derive(Debug)]
pub(crate) struct Clocks {
    monotonic: Instant,
    date: SystemTime,
}

impl Clocks {
    pub(crate) fn new() -> Self {
        // Not the clock of the runtime, which tests move.
        Self { monotonic: Instant::now(), date: date() }
    }

    /// Whether they have moved apart since the last look.
    pub(crate) fn look(&mut self) -> bool {
        let last = std::mem::replace(self, Self::new());
        self.have_parted(&last)
    }

    fn have_parted(&self, last: &Self) -> bool {
        let passed = self.monotonic.saturating_duration_since(last.monotonic);
        let apart = match self.date.duration_since(last.date) {
            Ok(date) => date.abs_diff(passed),
            Err(back) => back.duration().saturating_add(passed),
        };
        apart > APART
    }
}

/// More than a clock is slewed between two looks, or a thread held up between its two clocks; less than it takes a server
/// to give up a client.
const APART: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_and_a_clock_that_was_set_are_seen_and_nothing_else() {
        let second = Duration::from_secs(1);
        let start = Clocks::new();
        let later = |passed: Duration, date: SystemTime| Clocks { monotonic: start.monotonic + passed, date };
        for seconds in [0, 1, 25, 3600] {
            let passed = second * seconds;
            assert!(!later(passed, start.date + passed).have_parted(&start), "awake for {passed:?}");
            assert!(!later(passed, start.date + passed + second).have_parted(&start));
            assert!(later(passed, start.date + passed + 3 * second).have_parted(&start), "slept for 3 s");
            assert!(later(passed, start.date + passed + 3600 * second).have_parted(&start));
            assert!(later(passed, start.date + passed - 3600 * second).have_parted(&start), "set back");
        }
        let mut clocks = start;
        assert!(!clocks.look());
        crate::time::sleep(3600 * second);
        assert!(clocks.look());
        assert!(!clocks.look(), "once");
    }
}
