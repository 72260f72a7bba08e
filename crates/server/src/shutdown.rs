//! The end of a server: refuse, tell everybody, wait, cut.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::core::Core;
use crate::link::{Command, Link};

/// At least so long per session is it that sessions are told of the end, if the grace allows: 500 in a second.
const PACE: Duration = Duration::from_millis(2);
/// So many are told at once.
const BATCH: usize = 16;
/// How long HTTP connections are waited for when all sessions are over: until the last answers are written.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// The longest grace that makes sense; more would be too much for the clock.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// See [`Server::close`](crate::Server::close).
pub(crate) async fn close(core: Arc<Core>, grace: Duration) {
    let grace = grace.min(LONGEST);
    let deadline = Instant::now() + grace;
    core.refuse();
    // The last quarter is for `on_disconnect`, and for what was emitted.
    tell(&core.table.all(), grace / 2, deadline - grace / 4).await;
    if timeout_at(deadline, core.drained()).await.is_err() {
        core.table.all().iter().for_each(|link| link.abort());
        // A handler that blocks its thread cannot be cut off, and is not waited for.
        if timeout(LAST_ANSWERS, core.tasks_ended()).await.is_err() {
            tracing::error!("a handler blocks its thread; the server ends without it");
        }
    }
    core.stop();
    drop(timeout_at(deadline.min(Instant::now() + LAST_ANSWERS), core.disconnected()).await);
    // It has a chance in any case, and no more time than anything else.
    match timeout_at(deadline, core.config.adapter.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the other servers were not told of the end"),
        Err(_) => tracing::warn!("the other servers were not told of the end in time"),
    }
    core.closed();
}

/// Tells everybody, spread over some time: they all come back, and not all at once.
async fn tell(links: &[Arc<Link>], most: Duration, until: Instant) {
    let (began, window) = (Instant::now(), window(links.len(), most));
    for (at, batch) in links.chunks(BATCH).enumerate() {
        let due = began + window * part(at * BATCH) / part(links.len());
        if due > Instant::now() {
            sleep_until(due).await;
        }
        for link in batch {
            link.command(Command::Finish { until: until.into_std() });
        }
    }
}

/// How long it takes to tell so many.
fn window(sessions: usize, most: Duration) -> Duration {
    if sessions <= BATCH { Duration::ZERO } else { PACE.saturating_mul(part(sessions)).min(most) }
}

fn part(sessions: usize) -> u32 {
    u32::try_from(sessions).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_told_soon_and_many_within_the_time_there_is() {
        let most = Duration::from_secs(5);
        let cases = [(0, 0), (16, 0), (100, 200), (2_500, 5_000), (1_000_000, 5_000)];
        for (sessions, millis) in cases {
            assert_eq!(window(sessions, most), Duration::from_millis(millis), "{sessions}");
        }
        assert_eq!(window(1_000_000, Duration::ZERO), Duration::ZERO);
    }
}
