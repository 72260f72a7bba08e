//! How long one namespace waits after it was not joined, whatever becomes of the connection.

use std::time::{Duration, Instant};

use crate::backoff::Reconnect;
use crate::random;
use crate::time::after;

/// What has failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    failures: u32,
    since: Option<Instant>,
    refusals: u32,
    /// Whoever asks again after refusals waits until then.
    not_before: Option<Instant>,
}

impl Patience {
    /// An attempt has failed: the number of the next one, and the wait before it. `None`: give up.
    pub(crate) fn failed(&mut self, policy: &Reconnect, now: Instant) -> Option<(u32, Duration)> {
        let since = *self.since.get_or_insert(now);
        let delay = policy.delay(self.failures, now.saturating_duration_since(since), random::fraction())?;
        self.failures = self.failures.saturating_add(1);
        Some((self.failures, delay))
    }

    /// The server has refused. Fresh credentials may help at once, but not again and again.
    pub(crate) fn refused(&mut self, policy: &Reconnect, now: Instant) {
        let earlier = self.refusals.checked_sub(1);
        let wait = earlier.map_or(Duration::ZERO, |earlier| policy.wait(earlier, random::fraction()));
        self.refusals = self.refusals.saturating_add(1);
        self.not_before = Some(after(now, wait));
    }

    /// After refusals: the number of the next attempt, and the wait before it.
    pub(crate) fn rest(&self, now: Instant) -> Option<(u32, Duration)> {
        let wait = self.not_before?.saturating_duration_since(now);
        (!wait.is_zero()).then_some((self.refusals, wait))
    }

    /// It was given up: whoever asks again begins anew. Refusals are remembered.
    pub(crate) fn ended(&mut self) {
        (self.failures, self.since) = (0, None);
    }

    pub(crate) fn joined(&mut self) {
        *self = Self::default();
    }
}
