//! A response of the service beside Socket.IO, from there to the wire.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use parking_lot::Mutex;

use super::super::site::BesideBody;
use super::known::number;
use super::leaving::Leaving;
use super::response::{self, After, Length};
use super::upload::Upload;
use super::wire::{LARGE, Wire};
use crate::transport::stream::lend_batch;

/// Ends what is sent in chunks: a chunk, and all of them. [RFC 9112 §7.1]
const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A response that is being written as its body comes.
pub(super) struct Download<'a> {
    after: &'a After,
    /// Until it is written.
    head: Option<(Parts, Length)>,
    body: BesideBody,
    left: Left,
    /// A chunk was written and not its end.
    owes_end: bool,
}

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// So many bytes.
    Bytes(u64),
    /// Chunks, until the body ends.
    Chunks,
    /// Bytes, until the body ends.
    Some,
}

impl Left {
    const NOTHING: Self = Self::Bytes(0);
}

impl<'a> Download<'a> {
    pub(super) fn new(response: Response<BesideBody>, length: Length, wants_body: bool, after: &'a After) -> Self {
        let (parts, body) = response.into_parts();
        let left = match length {
            _ if !wants_body || response::is_bare(parts.status) => Left::NOTHING,
            Length::Bytes(bytes) => Left::Bytes(bytes),
            Length::Chunks => Left::Chunks,
            Length::Unsaid => Left::Some,
        };
        Self { after, head: Some((parts, length)), body, left, owes_end: false }
    }

    /// Ready when the response was written, or cannot be. What is wanted of the request is passed on meanwhile.
    pub(super) fn poll(
        &mut self,
        wire: &Mutex<Wire>,
        upload: &mut Upload,
        leaving: &mut Leaving,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let sent = wire.lock().poll_sent(cx)?;
            if sent.is_pending() {
                upload.pass(&mut wire.lock(), cx);
                return Poll::Pending;
            }
            if self.is_written() {
                return Poll::Ready(Ok(()));
            }
            let piece = match self.poll_piece(cx)? {
                Poll::Ready(piece) => piece,
                // The client learns what is known so far.
                Poll::Pending if self.head.is_some() || self.owes_end => Some(Bytes::new()),
                Poll::Pending => {
                    let mut wire = wire.lock();
                    upload.pass(&mut wire, cx);
                    return leaving.poll_gone(&mut wire, cx).map(|()| Err(io::ErrorKind::ConnectionReset.into()));
                }
            };
            lend_batch(|batch| {
                self.put_head(batch);
                let piece = self.put_piece(batch, piece);
                wire.lock().put(cx, batch, piece)
            })?;
        }
    }

    fn is_written(&self) -> bool {
        self.head.is_none() && !self.owes_end && self.left == Left::NOTHING
    }

    /// The next piece of the body; `None` at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        while self.left != Left::NOTHING {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                // An empty chunk would be the last; what is no data would come after it.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Ok(Some(data))),
                    Ok(_) | Err(_) => {}
                },
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None if matches!(self.left, Left::Bytes(_)) => {
                    return Poll::Ready(Err(io::Error::other("the body of a response ended before its length")));
                }
                None => return Poll::Ready(Ok(None)),
            }
        }
        Poll::Ready(Ok(Some(Bytes::new())))
    }

    fn put_head(&mut self, batch: &mut Vec<u8>) {
        if let Some((parts, length)) = self.head.take() {
            response::put(batch, parts.status, &parts.headers, length, self.after);
        }
    }

    /// Appends a piece of the body, or its end; a large one is left to be written from where it is.
    fn put_piece(&mut self, batch: &mut Vec<u8>, piece: Option<Bytes>) -> Bytes {
        if std::mem::take(&mut self.owes_end) {
            batch.extend_from_slice(CHUNK_END);
        }
        let Some(mut piece) = piece else {
            if std::mem::replace(&mut self.left, Left::NOTHING) == Left::Chunks {
                batch.extend_from_slice(LAST_CHUNK);
            }
            return Bytes::new();
        };
        match &mut self.left {
            Left::Bytes(left) => {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
            }
            Left::Chunks if !piece.is_empty() => return self.put_chunk(batch, piece),
            Left::Chunks | Left::Some => {}
        }
        piece
    }

    fn put_chunk(&mut self, batch: &mut Vec<u8>, piece: Bytes) -> Bytes {
        // Writing to memory does not fail.
        let _ = write!(batch, "{:x}\r\n", piece.len());
        if piece.len() >= LARGE {
            self.owes_end = true;
            return piece;
        }
        batch.extend_from_slice(&piece);
        batch.extend_from_slice(CHUNK_END);
        Bytes::new()
    }
}

/// How the end of a response's body is told, to a client that knows chunks or to one that does not.
pub(super) fn length(response: &Response<BesideBody>, is_head: bool, knows_chunks: bool) -> Length {
    let said = said(response.headers());
    match response.body().size_hint().exact() {
        // What answers HEAD has no body, and may say how long it would be.
        Some(0) if is_head => said.map_or(Length::Unsaid, Length::Bytes),
        Some(length) => Length::Bytes(length),
        None if said.is_some() => said.map_or(Length::Unsaid, Length::Bytes),
        None if is_head || !knows_chunks => Length::Unsaid,
        None => Length::Chunks,
    }
}

/// The length that the service has said.
fn said(headers: &HeaderMap) -> Option<u64> {
    number(headers.get(CONTENT_LENGTH)?.as_bytes())
}

/// In place of a response that this side of the wire cannot keep: it would have to speak another protocol.
pub(super) fn checked(mut response: Response<BesideBody>) -> Response<BesideBody> {
    if response.status().is_informational() {
        tracing::debug!(status = %response.status(), "a service beside Socket.IO switched protocols, which it cannot");
        response = Response::default();
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}
