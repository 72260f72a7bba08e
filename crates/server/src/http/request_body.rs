//! The body of a request, on its way to a service beside Socket.IO.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
#[cfg(feature = "http2")]
use hyper::body::Incoming;
use parking_lot::Mutex;

/// The body of a request that [`Server::beside`](crate::Server::beside) passes on.
///
/// It is read from the client as the service reads it, at most 64 KiB ahead: how much of it may be kept is up to the
/// service. Over HTTP/1.1 a client has [`request_timeout`](crate::ServerBuilder::request_timeout) for each 16 KiB that the
/// service waits for, and for the rest. When the response has been written there is no more of it.
pub struct RequestBody(Source);

enum Source {
    Feed(Arc<Mutex<Slot>>),
    #[cfg(feature = "http2")]
    Http2(Incoming),
    Nothing,
}

/// Where one piece changes hands. Only the task of the connection reads from the client.
#[derive(Debug, Default)]
struct Slot {
    piece: Option<Bytes>,
    /// Bytes to come behind the piece, as far as that is known.
    left: Option<u64>,
    /// What comes behind the piece.
    end: Option<Result<(), io::ErrorKind>>,
    /// Who waits for a piece.
    reader: Option<Waker>,
    /// Who waits to be asked for one.
    feeder: Option<Waker>,
}

impl RequestBody {
    pub(crate) fn empty() -> Self {
        Self(Source::Nothing)
    }

    #[cfg(feature = "http2")]
    pub(crate) fn http2(body: Incoming) -> Self {
        Self(Source::Http2(body))
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBody")
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.get_mut().0 {
            Source::Feed(slot) => poll_slot(slot, cx).map(|piece| piece.map(|piece| piece.map(Frame::data))),
            #[cfg(feature = "http2")]
            Source::Http2(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(io::Error::other)))
            }
            Source::Nothing => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Feed(slot) => slot.lock().is_over(),
            #[cfg(feature = "http2")]
            Source::Http2(body) => body.is_end_stream(),
            Source::Nothing => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Feed(slot) => slot.lock().size_hint(),
            #[cfg(feature = "http2")]
            Source::Http2(body) => body.size_hint(),
            Source::Nothing => SizeHint::with_exact(0),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Source::Feed(slot) = &self.0 {
            slot.lock().reader = None;
        }
    }
}

fn poll_slot(slot: &Mutex<Slot>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
    let mut slot = slot.lock();
    if let Some(piece) = slot.piece.take() {
        return Poll::Ready(Some(Ok(piece)));
    }
    if let Some(end) = slot.end {
        slot.end = Some(Ok(()));
        return Poll::Ready(end.err().map(|kind| Err(kind.into())));
    }
    slot.reader = Some(cx.waker().clone());
    // The connection's own task looks for itself when it has polled the service.
    let feeder = slot.feeder.take().filter(|feeder| !feeder.will_wake(cx.waker()));
    drop(slot);
    feeder.into_iter().for_each(Waker::wake);
    Poll::Pending
}

impl Slot {
    fn is_over(&self) -> bool {
        self.piece.is_none() && self.end == Some(Ok(()))
    }

    fn size_hint(&self) -> SizeHint {
        let waiting = self.piece.as_ref().map_or(0, Bytes::len) as u64;
        self.left.map_or_else(SizeHint::default, |left| SizeHint::with_exact(waiting.saturating_add(left)))
    }
}

/// What gives a [`RequestBody`] its pieces. When it is dropped there are no more.
#[derive(Debug)]
pub(crate) struct Feed(Arc<Mutex<Slot>>);

impl Feed {
    /// `length` as far as it is known.
    pub(crate) fn new(length: Option<u64>) -> (Self, RequestBody) {
        let slot = Arc::new(Mutex::new(Slot { left: length, ..Slot::default() }));
        (Self(Arc::clone(&slot)), RequestBody(Source::Feed(slot)))
    }

    /// Whether a piece is waited for; otherwise the task is woken when it is.
    pub(crate) fn is_wanted(&self, cx: &Context<'_>) -> bool {
        let mut slot = self.0.lock();
        if slot.reader.is_none() {
            slot.feeder = Some(cx.waker().clone());
        }
        slot.reader.is_some()
    }

    /// Gives the piece that was waited for; `left` bytes follow, as far as that is known.
    pub(crate) fn give(&self, piece: Bytes, left: Option<u64>) {
        let mut slot = self.0.lock();
        slot.piece = Some(piece);
        slot.left = left;
        if left == Some(0) {
            slot.end = Some(Ok(()));
        }
        wake_reader(slot);
    }

    /// Nothing follows, because all is there or because it cannot be got.
    pub(crate) fn end(&self, end: Result<(), io::ErrorKind>) {
        let mut slot = self.0.lock();
        if slot.end.is_none() {
            slot.end = Some(end);
        }
        wake_reader(slot);
    }
}

fn wake_reader(mut slot: parking_lot::MutexGuard<'_, Slot>) {
    let reader = slot.reader.take();
    drop(slot);
    reader.into_iter().for_each(Waker::wake);
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end(Err(io::ErrorKind::BrokenPipe));
    }
}
