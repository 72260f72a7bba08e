//! The body of a request, as it comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use super::wire::Wire;

/// The body of a request. The wire is locked for a moment at a time: while the request is being answered, it is also
/// watched for the client's going away.
pub(super) struct Incoming<'a>(pub(super) &'a Mutex<Wire>);

impl Body for Incoming<'_> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.0.lock().poll_body(cx));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().is_body_read()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body_left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
