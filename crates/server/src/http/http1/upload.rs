//! The body of a request, from the wire to the service beside Socket.IO.

use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::super::request_body::{Feed, RequestBody};
use super::wire::Wire;
use crate::session::alarm::{Alarm, now};

/// So much must come within the limit: a byte now and then does not count as sending.
const LEAST: usize = 16 * 1024;

/// The body of a request that is being answered, which is read when the service asks for it.
pub(super) struct Upload {
    /// `None` when nothing is to be passed on any more.
    feed: Option<Feed>,
    pace: Pace,
}

impl Upload {
    /// `limit` is the time which a client has to send each 16 KiB.
    pub(super) fn new(wire: &mut Wire, limit: Duration) -> (Self, RequestBody) {
        let pace = Pace::new(limit);
        wire.claim_body();
        if wire.is_body_read() {
            return (Self { feed: None, pace }, RequestBody::empty());
        }
        let (feed, body) = Feed::new(wire.body_left());
        (Self { feed: Some(feed), pace }, body)
    }

    /// Passes on what is wanted, as far as it is there.
    pub(super) fn pass(&mut self, wire: &mut Wire, cx: &mut Context<'_>) {
        let Some(end) = self.poll_end(wire, cx) else { return };
        if let Err(error) = &end {
            tracing::debug!(%error, "the body of a request did not come");
            wire.give_up();
        }
        if let Some(feed) = self.feed.take() {
            feed.end(end.map_err(|error| error.kind()));
        }
    }

    /// How the body ends, when it does.
    fn poll_end(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Option<io::Result<()>> {
        let feed = self.feed.as_ref()?;
        while feed.is_wanted(cx) {
            match wire.poll_body(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    self.pace.note(piece.len());
                    feed.give(piece, wire.body_left());
                }
                Poll::Ready(Some(Err(error))) => return Some(Err(error)),
                Poll::Ready(None) => return Some(Ok(())),
                Poll::Pending if self.pace.poll_missed(cx).is_ready() => {
                    return Some(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending => return None,
            }
        }
        wire.is_body_read().then_some(Ok(()))
    }
}

/// How long a client has been waited for.
struct Pace {
    limit: Duration,
    alarm: Alarm,
    /// Since when it is waited for now.
    since: Option<Instant>,
    /// How long it was waited for before.
    waited: Duration,
    /// Bytes that came meanwhile.
    came: usize,
}

impl Pace {
    fn new(limit: Duration) -> Self {
        Self { limit, alarm: Alarm::default(), since: None, waited: Duration::ZERO, came: 0 }
    }

    fn note(&mut self, bytes: usize) {
        self.waited += self.since.take().map_or(Duration::ZERO, |since| now().duration_since(since));
        self.came += bytes;
        if self.came >= LEAST {
            (self.waited, self.came) = (Duration::ZERO, 0);
        }
    }

    /// Ready when the client was waited for too long.
    fn poll_missed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = now();
        let since = *self.since.get_or_insert(now);
        self.alarm.poll(since + self.limit.saturating_sub(self.waited), now, cx)
    }
}
