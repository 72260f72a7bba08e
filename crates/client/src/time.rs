//! The clock, and arithmetic of time which cannot overflow.

use std::time::{Duration, Instant, SystemTime};

/// The time by the runtime's clock, which tests can move.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time of day, which jumps when the clock is set: for dates that a server has written, and to see that it jumps.
#[expect(clippy::disallowed_methods, reason = "dates of HTTP are times of day, and sleep is seen by no other clock")]
pub(crate) fn date() -> SystemTime {
    #[cfg(not(test))]
    return SystemTime::now();
    #[cfg(test)]
    return SystemTime::now() + SLEPT.get();
}

/// `now + wait`, where a wait too long for the clock means a century.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait.min(CENTURY)).unwrap_or(now)
}

const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);

#[cfg(test)]
thread_local! {
    static SLEPT: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

/// The time of day goes on, and no other clock, as when the machine sleeps.
#[cfg(test)]
pub(crate) fn sleep(time: Duration) {
    SLEPT.set(SLEPT.get() + time);
}
