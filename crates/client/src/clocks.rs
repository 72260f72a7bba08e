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

    /// If they have moved apart since the last look: for how long the machine may have slept; zero if the clock of the
    /// day was set back.
    pub(crate) fn look(&mut self) -> Option<Duration> {
        let last = std::mem::replace(self, Self::new());
        self.slept_since(&last)
    }

    fn slept_since(&self, last: &Self) -> Option<Duration> {
        let passed = self.monotonic.saturating_duration_since(last.monotonic);
        let (apart, slept) = match self.date.duration_since(last.date) {
            Ok(date) => (date.abs_diff(passed), date.saturating_sub(passed)),
            Err(back) => (back.duration().saturating_add(passed), Duration::ZERO),
        };
        (apart > APART).then_some(slept)
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
            assert_eq!(later(passed, start.date + passed).slept_since(&start), None, "awake for {passed:?}");
            assert_eq!(later(passed, start.date + passed + second).slept_since(&start), None);
            for slept in [3, 3600] {
                let later = later(passed, start.date + passed + slept * second);
                assert_eq!(later.slept_since(&start), Some(slept * second));
            }
            let set_back = later(passed, start.date + passed - 3600 * second);
            assert_eq!(set_back.slept_since(&start), Some(Duration::ZERO));
        }
        let mut clocks = start;
        assert_eq!(clocks.look(), None);
        crate::time::sleep(3600 * second);
        assert!(clocks.look().is_some_and(|slept| slept >= 3590 * second));
        assert_eq!(clocks.look(), None, "once");
    }
}
