//! The byte stream of one HTTP connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use sockeye_engine::growth;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::chunks::{Chunks, Part};
use super::head::{self, Asked, Framing, Recognise, Refused};
use crate::transport::io::{Io, Stream};
use crate::transport::paced::Paced;
use crate::transport::stream::lend_read_buffer;

/// So much is read of the requests that follow while one is being answered.
const MOST_AHEAD: usize = 2 * 1024;
/// So much is read at a time of a body in chunks, which may end anywhere.
const PIECE: usize = 4 * 1024;
/// So much of a body that nobody wanted is passed over; where more of it is to come, the connection ends.
const MOST_SKIPPED: u64 = 16 * 1024;
/// A body from this size on is written from where it is.
pub(super) const LARGE: usize = 16 * 1024;
/// Asks for a body. [RFC 9110 §15.2.1]
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The byte stream of one HTTP connection. While nothing is in flight it owns no buffer.
pub(super) struct Wire {
    io: Paced<Box<dyn Io>>,
    /// Read, and not used yet.
    ahead: Bytes,
    /// How much of `ahead` is known to hold no end of a head.
    searched: usize,
    body: Remaining,
    /// The client waits to be asked for the body.
    expects: bool,
    /// So much of a body may still be passed over.
    unwanted: u64,
    /// The body belongs to a request that is answered without it.
    unclaimed: bool,
    /// The client says nothing more.
    ended: bool,
    unsent: [Bytes; 2],
}

/// How a client goes away while its request is being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It cannot be reached.
    Broken,
    /// It says nothing more after a whole request. It may still listen, or not be there any more: nobody can tell.
    Ended,
}

/// What is left of the body of a request.
#[derive(Debug)]
enum Remaining {
    Length(u64),
    Chunks(Box<Chunks>),
}

impl Remaining {
    fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunks(Box::new(Chunks::new())),
        }
    }
}

impl Wire {
    /// `ahead` was read of it already; `limit` is the time which a client has to take each 16 KiB.
    pub(super) fn new(io: Box<dyn Io>, ahead: Bytes, limit: Duration) -> Self {
        let io = Paced::new(io, limit);
        let body = Remaining::Length(0);
        Self {
            io,
            ahead,
            searched: 0,
            body,
            expects: false,
            unwanted: 0,
            unclaimed: false,
            ended: false,
            unsent: Default::default(),
        }
    }

    /// Whether nothing of a request is there.
    pub(super) fn is_quiet(&self) -> bool {
        self.ahead.is_empty()
    }

    /// The stream, for whoever goes on with it.
    pub(super) fn into_stream(self) -> Stream {
        Stream::new(self.io.into_inner(), self.ahead)
    }

    /// The next head; `None` if there is none any more.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        recognise: Recognise<'_>,
    ) -> Poll<io::Result<Option<Result<Asked, Refused>>>> {
        ready!(self.poll_skipped(cx))?;
        loop {
            if self.may_hold_head(most) {
                let taken = head::take(&mut self.ahead, most, recognise);
                match taken {
                    Ok(None) => self.searched = self.ahead.len(),
                    Ok(Some(asked)) => {
                        self.begin_body(&asked);
                        return Poll::Ready(Ok(Some(Ok(asked))));
                    }
                    Err(refused) => return Poll::Ready(Ok(Some(Err(refused)))),
                }
            }
            // One byte more shows that it is too long.
            let room = (most + 1).saturating_sub(self.ahead.len()).max(1);
            if ready!(self.poll_fill(cx, room))? == 0 {
                return Poll::Ready(if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                });
            }
        }
    }

    /// Whether looking for a head may find one, or find that there can be none: otherwise a client that sends byte by
    /// byte would have everything looked at again each time.
    fn may_hold_head(&mut self, most: usize) -> bool {
        // Empty lines before a request are nothing. [RFC 9112 §2.2]
        let blank = self.ahead.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if self.searched == 0 {
            self.ahead.advance(blank);
            return !self.ahead.is_empty();
        }
        let new = self.ahead.get(self.searched.saturating_sub(3)..).unwrap_or_default();
        let ends = |at: usize| matches!(new.get(at + 1..), Some([b'\n', ..] | [b'\r', b'\n', ..]));
        let found = new.iter().enumerate().any(|(at, byte)| *byte == b'\n' && ends(at));
        // What is too long without an end is refused, too.
        let found = found || self.ahead.len() > most;
        if !found {
            self.searched = self.ahead.len();
        }
        found
    }

    fn begin_body(&mut self, asked: &Asked) {
        self.searched = 0;
        (self.body, self.expects) = match asked {
            Asked::Known(known) => (Remaining::Length(known.length), false),
            Asked::Other(head) => (Remaining::new(head.framing), head.expects),
        };
        self.unclaimed = matches!(asked, Asked::Other(head) if head.parts.method != Method::POST);
        self.unwanted = MOST_SKIPPED;
        self.tidy();
    }

    /// Reads at most so many bytes; 0 is the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        lend_read_buffer(|buffer| {
            let most = most.min(buffer.len());
            let mut buffer = ReadBuf::new(&mut buffer[..most]);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            if self.ahead.is_empty() {
                self.ahead = Bytes::copy_from_slice(read);
            } else {
                let ahead = std::mem::take(&mut self.ahead);
                self.ahead = joined(ahead, read, most);
            }
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Whoever is asked may want the body, whatever the method.
    pub(super) fn claim_body(&mut self) {
        self.unclaimed = false;
    }

    /// Whether the body has been read.
    pub(super) fn is_body_read(&self) -> bool {
        match &self.body {
            Remaining::Length(left) => *left == 0,
            Remaining::Chunks(chunks) => chunks.is_done(),
        }
    }

    /// Nobody knows what else comes, and nobody wants it.
    pub(super) fn give_up(&mut self) {
        self.body = Remaining::Length(u64::MAX);
    }

    /// Whether what comes is no body.
    pub(super) fn is_given_up(&self) -> bool {
        self.body_left() == Some(u64::MAX)
    }

    /// How long the rest of the body is, as far as that is known.
    pub(super) fn body_left(&self) -> Option<u64> {
        match &self.body {
            Remaining::Length(left) => Some(*left),
            Remaining::Chunks(chunks) => chunks.is_done().then_some(0),
        }
    }

    /// The next piece of the body.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        while !self.is_body_read() {
            if self.ahead.is_empty()
                && let Err(error) = ready!(self.poll_more(cx))
            {
                return Poll::Ready(Some(Err(error)));
            }
            match self.take_content() {
                Ok(content) if content.is_empty() => {}
                content => return Poll::Ready(Some(content)),
            }
        }
        Poll::Ready(None)
    }

    /// Ready when more of the body is there.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.expects) {
            self.unsent[0] = Bytes::from_static(CONTINUE);
        }
        // A response may be on its way meanwhile: neither waits for the other.
        let _ = self.poll_sent(cx)?;
        // What follows the body is not read with it.
        let most = self.body_left().map_or(PIECE, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let is_end = ready!(self.poll_fill(cx, most))? == 0;
        Poll::Ready(if is_end { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) })
    }

    /// What is there of the body; empty if it is nothing of the content.
    fn take_content(&mut self) -> io::Result<Bytes> {
        let (used, is_content) = match &mut self.body {
            Remaining::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(self.ahead.len());
                *left -= n as u64;
                (n, true)
            }
            Remaining::Chunks(chunks) => match chunks.next(&self.ahead) {
                Ok(Part::Content(n)) => (n, true),
                Ok(Part::Beside(n)) => (n, false),
                Ok(Part::End) => (0, false),
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            },
        };
        let bytes = self.ahead.split_to(used);
        self.tidy();
        Ok(if is_content { bytes } else { Bytes::new() })
    }

    /// What was used up is not kept.
    fn tidy(&mut self) {
        if self.ahead.is_empty() {
            self.ahead = Bytes::new();
        }
    }

    /// Ready when the client has gone, which is seen while a request is being answered.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        if self.unclaimed && ready!(self.poll_skipped(cx)).is_err() {
            return Poll::Ready(Gone::Broken);
        }
        while self.is_body_read() && self.ahead.len() < MOST_AHEAD && !self.ended {
            let room = MOST_AHEAD - self.ahead.len();
            match ready!(self.poll_fill(cx, room)) {
                Ok(read) => self.ended = read == 0,
                Err(_) => return Poll::Ready(Gone::Broken),
            }
        }
        if self.ended {
            return Poll::Ready(Gone::Ended);
        }
        // Whoever reads the body sees it, or will see it.
        Poll::Pending
    }

    /// Whether a body that nobody wanted will be passed over, so that another request can follow.
    pub(super) fn skip_body(&mut self) -> bool {
        let is_short = self.body_left().is_none_or(|left| left <= MOST_SKIPPED);
        // Who waits to be asked for it may send it now or never.
        self.is_body_read() || (is_short && !self.expects)
    }

    /// Ready when the body before was passed over.
    fn poll_skipped(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(piece) = ready!(self.poll_body(cx)) {
            let left = self.unwanted.checked_sub(piece?.len() as u64);
            self.unwanted = left.ok_or(io::ErrorKind::InvalidData)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Begins to write a response: its head, which may end with its body, and what follows that.
    pub(super) fn put(&mut self, cx: &mut Context<'_>, head: &mut Vec<u8>, body: Bytes) -> io::Result<()> {
        let body = if body.len() < LARGE {
            head.extend_from_slice(&body);
            Bytes::new()
        } else {
            body
        };
        // Nothing is in the way, as a rule: what is written at once need not be kept.
        let written = match self.poll_sent(cx)? {
            Poll::Ready(()) => Pin::new(&mut self.io).poll_write(cx, head)?,
            Poll::Pending => Poll::Pending,
        };
        let written = if let Poll::Ready(n) = written { n } else { 0 };
        // To ask for the body now would be amid the response.
        self.expects = false;
        let [asked, _] = std::mem::take(&mut self.unsent);
        let rest = head.get(written..).unwrap_or_default();
        let rest = if asked.is_empty() { Bytes::copy_from_slice(rest) } else { [&asked, rest].concat().into() };
        self.unsent = [rest, body];
        Ok(())
    }

    /// Ready when everything was written.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for bytes in &mut self.unsent {
            while !bytes.is_empty() {
                match ready!(Pin::new(&mut self.io).poll_write(cx, bytes))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    n => bytes.advance(n),
                }
            }
            *bytes = Bytes::new();
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Says that nothing more will be written.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// Reads what nobody wants; ready at the end.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        while *left > 0 {
            self.ahead = Bytes::new();
            match ready!(self.poll_fill(cx, usize::MAX)) {
                Ok(0) | Err(_) => break,
                Ok(n) => *left = left.saturating_sub(n),
            }
        }
        Poll::Ready(())
    }
}

/// `ahead` with what was read behind it, which was at most `most` bytes.
fn joined(ahead: Bytes, read: &[u8], most: usize) -> Bytes {
    let length = ahead.len();
    let room = |capacity| growth(length, capacity, read.len(), length.saturating_add(most));
    let mut ahead = match ahead.try_into_mut() {
        Ok(ahead) if room(ahead.capacity()) == 0 => ahead,
        Ok(ahead) => copied(&ahead, room(ahead.capacity())),
        Err(ahead) => copied(&ahead, room(length)),
    };
    ahead.extend_from_slice(read);
    ahead.freeze()
}

fn copied(ahead: &[u8], room: usize) -> BytesMut {
    let mut copy = BytesMut::with_capacity(ahead.len() + room);
    copy.extend_from_slice(ahead);
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a head is looked at that comes byte by byte, and whether it is found.
    fn looks(text: &str) -> (usize, bool) {
        let mut wire = Wire::new(Box::new(tokio::io::empty()), Bytes::new(), Duration::MAX);
        let mut looks = 0;
        for byte in text.as_bytes() {
            wire.ahead = joined(std::mem::take(&mut wire.ahead), &[*byte], 1);
            if wire.may_hold_head(100_000) {
                looks += 1;
                match head::take(&mut wire.ahead, 100_000, &|_| None) {
                    Ok(None) => wire.searched = wire.ahead.len(),
                    Ok(Some(_)) | Err(_) => return (looks, true),
                }
            }
        }
        (looks, false)
    }

    /// CVE-2023-43669: a client that sends byte by byte had all of it read again each time.
    #[test]
    fn a_head_that_comes_byte_by_byte_is_read_twice() {
        for length in [10, 1_000, 50_000] {
            let head = format!("\r\n\nGET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(length));
            assert_eq!(looks(&head), (2, true), "the first byte, and the last");
            let lines = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(length.min(90)));
            assert_eq!(looks(&lines).0, 2);
            assert_eq!(looks(head.trim_end()), (1, false), "without an end");
        }
    }
}
