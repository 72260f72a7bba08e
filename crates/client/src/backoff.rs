//! When to try again.

use std::time::Duration;

/// How a lost or failed connection is tried again. The default is the official client's: without end, first after 1 s,
/// then after twice as long each time up to 5 s, each wait up to 50 % shorter or longer.
///
/// ```
/// use std::time::Duration;
/// use sockeye_client::Reconnect;
///
/// let patient = Reconnect::backoff(Duration::from_secs(1), Duration::from_secs(30)).attempts(100);
/// let proud = Reconnect::never();
/// ```
///
/// The jitter applies to the longest wait too, so that clients which lost the same server do not come back together.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconnect {
    min: Duration,
    max: Duration,
    factor: f64,
    jitter: f64,
    attempts: Option<u32>,
    max_elapsed: Option<Duration>,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self::backoff(Duration::from_secs(1), Duration::from_secs(5))
    }
}

impl Reconnect {
    /// Tries again after `min`, then after twice as long each time up to `max`, without end.
    pub fn backoff(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), factor: 2.0, jitter: 0.5, attempts: None, max_elapsed: None }
    }

    /// Never tries again: the first failure ends the client.
    pub fn never() -> Self {
        Self::default().attempts(0)
    }

    /// How much longer each wait is than the one before. Default 2; values below 1 count as 1.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = if factor > 1.0 { factor } else { 1.0 };
        self
    }

    /// The part by which a wait may be shorter or longer, from 0 (all clients at once) to 1. Default 0.5.
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = if part > 0.0 { part.min(1.0) } else { 0.0 };
        self
    }

    /// Gives up after this many attempts in a row. Default: never gives up.
    #[must_use]
    pub fn attempts(mut self, limit: u32) -> Self {
        self.attempts = Some(limit);
        self
    }

    /// Gives up when this much time has passed since the connection was lost, or since the first attempt. Default:
    /// never gives up.
    #[must_use]
    pub fn max_elapsed(mut self, limit: Duration) -> Self {
        self.max_elapsed = Some(limit);
        self
    }

    /// How long to wait before attempt number `attempt` (the first is 0), `elapsed` after the beginning of the outage.
    /// `random` is from 0 up to 1. `None`: give up.
    pub(crate) fn delay(&self, attempt: u32, elapsed: Duration, random: f64) -> Option<Duration> {
        if self.attempts.is_some_and(|limit| attempt >= limit) || self.max_elapsed.is_some_and(|limit| elapsed >= limit)
        {
            return None;
        }
        let delay = self.wait(attempt, random);
        Some(match self.max_elapsed {
            // The last attempt comes at the end of the time, not after it.
            Some(limit) => delay.min(limit.saturating_sub(elapsed)),
            None => delay,
        })
    }

    /// The same, of a policy that never gives up.
    pub(crate) fn wait(&self, attempt: u32, random: f64) -> Duration {
        let exponent = i32::try_from(attempt).unwrap_or(i32::MAX);
        let plain = self.min.as_secs_f64() * self.factor.powi(exponent);
        let capped = plain.min(self.max.as_secs_f64());
        let jittered = capped * (1.0 + self.jitter * (2.0 * random - 1.0));
        Duration::try_from_secs_f64(jittered).unwrap_or(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(policy: &Reconnect, attempt: u32, random: f64) -> u64 {
        let delay = policy.delay(attempt, Duration::ZERO, random).unwrap();
        u64::try_from(delay.as_millis()).unwrap()
    }

    #[test]
    fn the_default_is_that_of_the_official_client() {
        let policy = Reconnect::default();
        let middle: Vec<_> = (0..5).map(|attempt| delay(&policy, attempt, 0.5)).collect();
        assert_eq!(middle, [1000, 2000, 4000, 5000, 5000]);
        assert_eq!((delay(&policy, 0, 0.0), delay(&policy, 0, 1.0)), (500, 1500));
        assert_eq!(delay(&policy, u32::MAX, 0.0), 2500, "spread also at the longest wait");
        assert_eq!(delay(&policy, u32::MAX, 1.0), 7500, "and never more than half as long again");
    }

    #[test]
    fn limits_end_the_attempts() {
        assert_eq!(Reconnect::never().delay(0, Duration::ZERO, 0.5), None);
        let policy = Reconnect::default().attempts(3);
        assert!(policy.delay(2, Duration::ZERO, 0.5).is_some());
        assert!(policy.delay(3, Duration::ZERO, 0.5).is_none());
        let policy = Reconnect::default().max_elapsed(Duration::from_secs(10));
        assert!(policy.delay(1000, Duration::from_secs(10), 0.5).is_none());
        assert_eq!(policy.delay(9, Duration::from_secs(9), 0.5), Some(Duration::from_secs(1)));
    }

    #[test]
    fn odd_values_do_no_harm() {
        let policy = Reconnect::backoff(Duration::MAX, Duration::ZERO).factor(f64::NAN).jitter(f64::NAN);
        assert!(policy.delay(7, Duration::MAX, 0.5).is_some());
        assert_eq!(delay(&Reconnect::backoff(Duration::ZERO, Duration::ZERO).factor(f64::INFINITY), 0, 0.5), 0);
        let policy = Reconnect::default().jitter(0.0).factor(0.0);
        assert_eq!(delay(&policy, 5, 0.9), 1000);
    }
}
