//! A stream in memory that can be cut, at once or after a number of bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// What both ends of a stream share.
pub(crate) struct Line {
    state: Mutex<State>,
    /// The near end has not been dropped.
    held: AtomicBool,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    is_frozen: bool,
    /// Bytes that may still pass.
    budget: Option<usize>,
    bytes: usize,
    wakers: Vec<Waker>,
}

/// One end.
pub(crate) struct Wire {
    io: DuplexStream,
    line: Arc<Line>,
    is_near: bool,
    /// Read before anything else.
    early: Vec<u8>,
}

/// Both ends of a stream, which is cut after `budget` bytes.
pub(crate) fn pair(budget: Option<usize>) -> (Wire, Wire, Arc<Line>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let state = State { budget, is_cut: budget == Some(0), ..State::default() };
    let line = Arc::new(Line { state: Mutex::new(state), held: AtomicBool::new(true) });
    let end = |io, is_near| Wire { io, line: Arc::clone(&line), is_near, early: Vec::new() };
    (end(near, true), end(far, false), Arc::clone(&line))
}

impl Line {
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock();
        state.is_cut = true;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn freeze(&self) {
        self.state.lock().is_frozen = true;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// How many of `wanted` bytes may pass.
    fn allow(&self, cx: &Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        if state.is_cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        if state.is_frozen {
            return Poll::Pending;
        }
        Poll::Ready(Ok(state.budget.map_or(wanted, |budget| budget.min(wanted))))
    }

    fn passed(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.bytes += bytes;
        let Some(budget) = &mut state.budget else { return };
        *budget = budget.saturating_sub(bytes);
        let is_used_up = *budget == 0;
        drop(state);
        if is_used_up {
            self.cut();
        }
    }
}

impl Wire {
    /// Makes `bytes` what is read next.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        self.early.splice(0..0, bytes.iter().copied());
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.is_near {
            self.line.held.store(false, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.line.allow(cx, 1))?;
        if !self.early.is_empty() {
            let n = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early[..n]);
            self.early.drain(..n);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = ready!(self.line.allow(cx, bytes.len()))?;
        let written = Pin::new(&mut self.io).poll_write(cx, &bytes[..allowed]);
        if let Poll::Ready(Ok(written)) = written {
            self.line.passed(written);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
