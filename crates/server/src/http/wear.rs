//! When a connection of HTTP/2 has been used enough, or not for long enough.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use sockeye_engine::handshake::parameters;
use tokio::sync::watch;
use tokio::time::timeout;

/// Sessions that may be asked for on one connection. Those who share it, behind a proxy, get another one then.
const MOST: usize = 1_000;
/// Requests that may be on their way when the client is told that the connection ends: some for each of 256 streams.
const BEHIND: usize = 1_000;
/// Requests that may be taken back, whatever else is asked. A page that is left takes back the poll that waits.
const TAKEN_BACK: usize = 100;

/// How much a connection is used.
#[derive(Clone, Debug, Default)]
pub(super) struct Wear(Arc<watch::Sender<Use>>);

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// Requests that are being answered.
    running: usize,
    /// Requests that have come.
    requests: usize,
    /// Sessions that were asked for.
    sessions: usize,
    /// Requests of which the client did not take the answer.
    taken_back: usize,
}

impl Use {
    /// Whether that is enough: so many sessions, or more taken back than not, which makes work for nobody. Who does that
    /// one by one, each time when the last is forgotten, is seen by no count of what is there at a time.
    fn is_enough(&self) -> bool {
        self.sessions >= MOST || self.taken_back >= TAKEN_BACK && self.taken_back > self.requests / 2
    }
}

/// A request that is being answered. Dropped before the answer is complete, it was taken back.
#[derive(Debug)]
pub(super) struct Running {
    wear: Wear,
    is_answered: bool,
}

/// The body of an answer. When it has been taken, the answer is complete.
#[derive(Debug)]
pub(super) struct Owed<B> {
    body: B,
    running: Running,
}

impl Wear {
    /// A request has come; `query` if it is one for Socket.IO.
    pub(super) fn begin(&self, query: Option<&str>) -> Running {
        let asks = query.is_some_and(|query| parameters(query).all(|(name, _)| name != "sid"));
        self.0.send_modify(|all| {
            all.running += 1;
            all.requests += 1;
            all.sessions += usize::from(asks);
        });
        Running { wear: self.clone(), is_answered: false }
    }

    /// Resolves when the connection should end: nothing was asked for so long, or enough altogether.
    pub(super) async fn worn(&self, idle: Duration) {
        let mut uses = self.0.subscribe();
        loop {
            let now = *uses.borrow_and_update();
            if now.is_enough() {
                return;
            }
            // Only a request changes anything; an error would mean that there can be none.
            let quiet = if now.running > 0 { Duration::MAX } else { idle };
            if !matches!(timeout(quiet, uses.changed()).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Resolves when so much was asked after the client was told of the end that it does not want to know.
    pub(super) async fn overdrawn(&self) {
        let mut uses = self.0.subscribe();
        let before = uses.borrow().requests;
        // An error would mean that there can be no more.
        drop(uses.wait_for(|now| now.requests - before > BEHIND).await);
    }
}

impl Running {
    /// The answer is there, as far as it depends on us.
    pub(super) fn owing<B: Body>(self, body: B) -> Owed<B> {
        let mut owed = Owed { body, running: self };
        owed.note();
        owed
    }
}

impl<B: Body> Owed<B> {
    fn note(&mut self) {
        self.running.is_answered = self.body.is_end_stream();
    }
}

impl<B: Body + Unpin> Body for Owed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        this.note();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.wear.0.send_modify(|all| {
            all.running -= 1;
            all.taken_back += usize::from(!self.is_answered);
        });
    }
}
