//! Arithmetic of time which cannot overflow.

use std::time::{Duration, Instant};

/// `now + wait`, where a wait too long for the clock means a century.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait.min(CENTURY)).unwrap_or(now)
}

const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);
