//! When a client that says nothing more is taken for gone.

use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::wire::{Gone, Wire};
use crate::session::alarm::{Alarm, now};

/// How long a service may still take for whoever has ended its side of the connection. Most who do so have gone, and
/// an answer that takes its time is no use to them.
const GRACE: Duration = Duration::from_secs(1);

/// Watches whether the client of a request is still there.
#[derive(Default)]
pub(super) struct Leaving {
    alarm: Alarm,
    until: Option<Instant>,
}

impl Leaving {
    /// Ready when it has gone.
    pub(super) fn poll_gone(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(wire.poll_gone(cx)) {
            Gone::Broken => Poll::Ready(()),
            Gone::Ended => {
                let now = now();
                let until = *self.until.get_or_insert(now + GRACE);
                self.alarm.poll(until, now, cx)
            }
        }
    }
}
