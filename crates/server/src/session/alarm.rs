//! The one timer of a session.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::task::unconstrained;
use tokio::time::Sleep;

/// Wakes the task at its next deadline. Made when it is needed first.
///
/// A task has one waker for as long as it lives, so what waits already is not polled again.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready when `deadline` has passed; otherwise the task is woken then, or earlier.
    pub(crate) fn poll(&mut self, deadline: Instant, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if deadline <= now {
            return Poll::Ready(());
        }
        let deadline = tokio::time::Instant::from_std(deadline);
        let sleep = match &mut self.0 {
            // One that fires too early costs a look at the clock; moving it on every packet would cost more.
            Some(sleep) if sleep.deadline() <= deadline && !sleep.is_elapsed() => return Poll::Pending,
            Some(sleep) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            none => none.insert(Box::pin(tokio::time::sleep_until(deadline))),
        };
        // In a turn that has used up the runtime's budget it would not be set otherwise.
        Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx)
    }
}

/// The time by the runtime's clock, which tests can move.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::coop::consume_budget;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_has_used_up_its_budget_is_followed_in_time() {
        let deadline = now() + Duration::from_secs(1);
        let (mut alarm, mut turns) = (Alarm::default(), 0);
        let woken = std::future::poll_fn(|cx| {
            turns += 1;
            while turns == 1 && std::pin::pin!(consume_budget()).poll(cx).is_ready() {}
            alarm.poll(deadline, now(), cx)
        });
        assert!(tokio::time::timeout(Duration::from_secs(10), woken).await.is_ok(), "never woken");
        assert_eq!(now().duration_since(deadline).as_secs(), 0);
        assert!(turns > 1);
    }
}
