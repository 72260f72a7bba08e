//! Runs the handlers of one socket in arrival order.
//!
//! The head of the queue starts when nothing exclusive is running and its own handler is below its limit. A handler is
//! exclusive unless it was registered with `.concurrent(n)`, n > 1. What stands behind the head waits, so that events
//! always *start* in the order in which they arrived.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::handler::Running;
use super::{BoxError, Entry, Handle, Received};
use crate::{AckId, OwnedArgs};

/// Runs handlers one after the other, or several at once where that was asked for; contains their panics.
pub struct Runner<H> {
    exclusive: Option<Exclusive>,
    /// Rarely used: kept apart so that an idle socket is small.
    busy: Option<Box<Busy<H>>>,
}

/// A handler beside which nothing of its socket runs.
struct Exclusive {
    name: Box<str>,
    running: Running,
    owes: bool,
    /// Of the event, name and arguments; what is more than 4 GiB counts as that.
    bytes: u32,
}

struct Busy<H> {
    concurrent: FuturesUnordered<Concurrent<H>>,
    waiting: VecDeque<Waiting<H>>,
    waiting_bytes: usize,
}

struct Waiting<H> {
    entry: Arc<Entry<H>>,
    name: Box<str>,
    args: OwnedArgs,
    ack: Option<AckId>,
}

struct Concurrent<H> {
    entry: Arc<Entry<H>>,
    name: Box<str>,
    running: Running,
    owes: bool,
    /// Of the event, name and arguments; what is more than 4 GiB counts as that.
    bytes: u32,
}

/// A handler which failed: the event's name and the error.
#[derive(Debug)]
pub struct Finished {
    /// The event.
    pub event: Box<str>,
    /// What the handler returned, why the arguments did not fit, or the panic.
    pub error: BoxError,
}

impl<H> std::fmt::Debug for Runner<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("exclusive", &self.exclusive.is_some()).finish_non_exhaustive()
    }
}

impl<H> Default for Runner<H> {
    fn default() -> Self {
        Self { exclusive: None, busy: None }
    }
}

impl<H: Handle> Runner<H> {
    /// Starts `job` before any event: what follows waits until it has ended.
    ///
    /// Call it only while nothing runs; a job that is running already would be dropped.
    pub fn begin(&mut self, name: &str, job: impl Future<Output = Result<(), BoxError>> + Send + 'static) {
        debug_assert!(self.exclusive.is_none(), "begin is for a fresh runner");
        self.exclusive = Some(Exclusive { name: name.into(), running: Box::pin(job), owes: false, bytes: 0 });
    }

    /// Hands an event to a handler: starts it at once if it is its turn, otherwise keeps it.
    ///
    /// `Some` is a handler that failed at once.
    pub fn dispatch(
        &mut self,
        handle: &H,
        entry: &Arc<Entry<H>>,
        received: &Received<'_>,
        cx: &mut Context<'_>,
    ) -> Option<Finished> {
        if !entry.claim() {
            return None;
        }
        if self.may_start(entry) {
            return self.start(handle, entry, received, cx);
        }
        let busy = self.busy.get_or_insert_default();
        busy.waiting_bytes += received.name.len() + received.args.size();
        busy.waiting.push_back(Waiting {
            entry: Arc::clone(entry),
            name: received.name.into(),
            args: received.args.to_owned(),
            ack: received.ack,
        });
        None
    }

    /// Goes on with what is running and starts what has its turn. `Ready(Some)` is a handler that failed (call again),
    /// `Ready(None)` means that nothing is left to do.
    pub fn poll(&mut self, handle: &H, cx: &mut Context<'_>) -> Poll<Option<Finished>> {
        loop {
            if let Some(exclusive) = &mut self.exclusive
                && let Poll::Ready(result) = poll_contained(&mut exclusive.running, cx)
            {
                let event = std::mem::take(&mut exclusive.name);
                self.exclusive = None;
                if let Err(error) = result {
                    return Poll::Ready(Some(Finished { event, error }));
                }
            }
            if let Some(failed) = self.poll_concurrent(cx) {
                return Poll::Ready(Some(failed));
            }
            let Some(next) = self.next_waiting() else { break };
            let received = Received { name: &next.name, args: next.args.as_args(), ack: next.ack };
            if let Some(failed) = self.start(handle, &next.entry, &received, cx) {
                return Poll::Ready(Some(failed));
            }
        }
        self.busy.take_if(|busy| busy.waiting.is_empty() && busy.concurrent.is_empty());
        if self.is_idle() { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Whether nothing runs and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.exclusive.is_none() && self.busy.is_none()
    }

    /// Whether the sender of an event waits for an answer which a handler that runs, or has its turn yet to come, may give.
    pub fn owes_answer(&self) -> bool {
        let busy = |busy: &Busy<H>| {
            busy.concurrent.iter().any(|concurrent| concurrent.owes)
                || busy.waiting.iter().any(|event| event.ack.is_some())
        };
        self.exclusive.as_ref().is_some_and(|exclusive| exclusive.owes) || self.busy.as_deref().is_some_and(busy)
    }

    /// Events that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.busy.as_ref().map_or(0, |busy| busy.waiting.len())
    }

    /// Bytes of the events that wait, names and arguments.
    pub fn waiting_bytes(&self) -> usize {
        self.busy.as_ref().map_or(0, |busy| busy.waiting_bytes)
    }

    /// Bytes of the events at which handlers are, names and arguments, as they came.
    pub fn bytes_in_hand(&self) -> usize {
        let exclusive = self.exclusive.as_ref().map_or(0, |exclusive| u64::from(exclusive.bytes));
        let concurrent = |busy: &Busy<H>| busy.concurrent.iter().map(|concurrent| u64::from(concurrent.bytes)).sum();
        usize::try_from(exclusive + self.busy.as_deref().map_or(0, concurrent)).unwrap_or(usize::MAX)
    }

    fn may_start(&self, entry: &Arc<Entry<H>>) -> bool {
        self.exclusive.is_none()
            && self.busy.as_ref().is_none_or(|busy| busy.waiting.is_empty() && busy.has_room(entry))
    }

    fn next_waiting(&mut self) -> Option<Waiting<H>> {
        if self.exclusive.is_some() {
            return None;
        }
        let busy = self.busy.as_mut()?;
        let head = busy.waiting.front()?;
        if !busy.has_room(&head.entry) {
            return None;
        }
        let next = busy.waiting.pop_front()?;
        let bytes = next.name.len() + next.args.as_args().size();
        busy.waiting_bytes = busy.waiting_bytes.saturating_sub(bytes);
        Some(next)
    }

    fn start(
        &mut self,
        handle: &H,
        entry: &Arc<Entry<H>>,
        received: &Received<'_>,
        cx: &mut Context<'_>,
    ) -> Option<Finished> {
        let event = || Box::from(received.name);
        let owes = received.ack.is_some();
        let bytes = u32::try_from(received.name.len() + received.args.size()).unwrap_or(u32::MAX);
        let handle = handle.clone();
        let started = std::panic::catch_unwind(AssertUnwindSafe(|| entry.handler.start(handle, received)));
        let mut running = match started.unwrap_or_else(|panic| Err(panicked(&*panic))) {
            Ok(running) => running,
            Err(error) => return Some(Finished { event: event(), error }),
        };
        match poll_contained(&mut running, cx) {
            Poll::Ready(Ok(())) => None,
            Poll::Ready(Err(error)) => Some(Finished { event: event(), error }),
            Poll::Pending if entry.limit.load(Ordering::Relaxed) > 1 => {
                let concurrent = Concurrent { entry: Arc::clone(entry), name: event(), running, owes, bytes };
                let busy = self.busy.get_or_insert_default();
                busy.concurrent.push(concurrent);
                // A future is polled by the set only after its own waker was called: register it now.
                self.poll_concurrent(cx)
            }
            Poll::Pending => {
                self.exclusive = Some(Exclusive { name: event(), running, owes, bytes });
                None
            }
        }
    }

    /// One concurrent handler that failed, after all that can go on have gone on.
    fn poll_concurrent(&mut self, cx: &mut Context<'_>) -> Option<Finished> {
        let busy = self.busy.as_mut()?;
        while let Poll::Ready(Some((event, result))) = busy.concurrent.poll_next_unpin(cx) {
            if let Err(error) = result {
                return Some(Finished { event, error });
            }
        }
        None
    }
}

impl<H> Busy<H> {
    fn has_room(&self, entry: &Arc<Entry<H>>) -> bool {
        let limit = entry.limit.load(Ordering::Relaxed);
        let in_hand = self.concurrent.iter().filter(|running| Arc::ptr_eq(&running.entry, entry)).count();
        limit <= 1 || in_hand < limit
    }
}

impl<H> Default for Busy<H> {
    fn default() -> Self {
        Self { concurrent: FuturesUnordered::new(), waiting: VecDeque::new(), waiting_bytes: 0 }
    }
}

impl<H> Future for Concurrent<H> {
    type Output = (Box<str>, Result<(), BoxError>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        poll_contained(&mut this.running, cx).map(|result| (std::mem::take(&mut this.name), result))
    }
}

/// Polls a handler; a panic becomes an error, and the connection lives.
fn poll_contained(running: &mut Running, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
    std::panic::catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)))
        .unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> BoxError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("no message")).into()
}
