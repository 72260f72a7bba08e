//! A stream in memory that can be cut, at once or after a number of bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

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
    /// Bytes that may still pass.
    budget: Option<usize>,
    wakers: Vec<Waker>,
}

/// One end.
pub(crate) struct Wire {
    io: DuplexStream,
    line: Arc<Line>,
    is_near: bool,
}

/// Both ends of a stream, which is cut after `budget` bytes.
pub(crate) fn pair(budget: Option<usize>) -> (Wire, Wire, Arc<Line>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let state = State { budget, is_cut: budget == Some(0), wakers: Vec::new() };
    let line = Arc::new(Line { state: Mutex::new(state), held: AtomicBool::new(true) });
    let end = |io, is_near| Wire { io, line: Arc::clone(&line), is_near };
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

    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// How many of `wanted` bytes may pass.
    fn allow(&self, cx: &Context<'_>, wanted: usize) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.is_cut {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        state.wakers.push(cx.waker().clone());
        Ok(state.budget.map_or(wanted, |budget| budget.min(wanted)))
    }

    fn passed(&self, bytes: usize) {
        let mut state = self.state.lock();
        let Some(budget) = &mut state.budget else { return };
        *budget = budget.saturating_sub(bytes);
        let is_used_up = *budget == 0;
        drop(state);
        if is_used_up {
            self.cut();
        }
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
        if let Err(error) = self.line.allow(cx, 1) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = match self.line.allow(cx, bytes.len()) {
            Ok(allowed) => allowed,
            Err(error) => return Poll::Ready(Err(error)),
        };
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
