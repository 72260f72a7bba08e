//! Answers that are waited for.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use futures_util::Stream;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use sockeye_protocol::{Args, OwnedArgs};

use crate::error::{AckError, EmitError};

/// Who is told the answer. Settled exactly once: dropping it says that the socket disconnected.
#[derive(Debug)]
pub(crate) struct Waiter(Option<Kind>);

#[derive(Debug)]
enum Kind {
    One(oneshot::Sender<Result<OwnedArgs, AckError>>),
    Many { gather: Arc<Gather>, socket: SmolStr },
}

impl Waiter {
    pub(crate) fn one() -> (Self, oneshot::Receiver<Result<OwnedArgs, AckError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(Kind::One(sender))), receiver)
    }

    /// A waiter for one of several sockets; `gather` counts it.
    pub(crate) fn many(gather: &Arc<Gather>, socket: SmolStr) -> Self {
        gather.0.lock().expected += 1;
        Self(Some(Kind::Many { gather: Arc::clone(gather), socket }))
    }

    /// Whether somebody still wants the answer.
    pub(crate) fn is_wanted(&self) -> bool {
        match &self.0 {
            Some(Kind::One(sender)) => !sender.is_canceled(),
            Some(Kind::Many { gather, .. }) => !gather.0.lock().abandoned,
            None => false,
        }
    }

    pub(crate) fn answer(self, args: &Args<'_>) {
        self.settle(Ok(args.to_owned()));
    }

    pub(crate) fn fail(self, error: AckError) {
        self.settle(Err(error));
    }

    fn settle(mut self, result: Result<OwnedArgs, AckError>) {
        if let Some(kind) = self.0.take() {
            kind.settle(result);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(kind) = self.0.take() {
            kind.settle(Err(AckError::Disconnected));
        }
    }
}

impl Kind {
    fn settle(self, result: Result<OwnedArgs, AckError>) {
        match self {
            // The receiver may be gone: then nobody wants to know.
            Self::One(sender) => drop(sender.send(result)),
            Self::Many { gather, socket } => gather.settle(socket, result),
        }
    }
}

/// When an answer that is asked for now is late. A limit beyond what the clock can say means decades.
pub(crate) fn deadline(limit: Duration) -> Instant {
    let now = tokio::time::Instant::now().into_std();
    now.checked_add(limit).unwrap_or_else(|| now + Duration::from_hours(30 * 365 * 24))
}

/// Collects the answers of several sockets.
#[derive(Debug, Default)]
pub(crate) struct Gather(Mutex<Gathered>);

#[derive(Debug, Default)]
struct Gathered {
    answers: VecDeque<(SmolStr, Result<OwnedArgs, AckError>)>,
    /// Sockets that have not settled yet.
    expected: usize,
    abandoned: bool,
    waker: Option<Waker>,
}

impl Gather {
    fn settle(&self, socket: SmolStr, result: Result<OwnedArgs, AckError>) {
        let mut state = self.0.lock();
        state.expected = state.expected.saturating_sub(1);
        if !state.abandoned {
            state.answers.push_back((socket, result));
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The answer of one socket to an event which has been sent.
///
/// Dropping it forgets the answer; the event has been sent all the same.
#[derive(Debug)]
#[must_use = "the answer is lost unless this is awaited"]
pub struct Reply<R> {
    state: Result<oneshot::Receiver<Result<OwnedArgs, AckError>>, Option<EmitError>>,
    reply: PhantomData<fn() -> R>,
}

impl<R> Reply<R> {
    pub(crate) fn new(sent: Result<oneshot::Receiver<Result<OwnedArgs, AckError>>, EmitError>) -> Self {
        Self { state: sent.map_err(Some), reply: PhantomData }
    }
}

impl<R: DeserializeOwned> Future for Reply<R> {
    type Output = Result<R, AckError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let receiver = match &mut self.get_mut().state {
            Ok(receiver) => receiver,
            Err(error) => return Poll::Ready(Err(error.take().map_or(AckError::Disconnected, AckError::Emit))),
        };
        Pin::new(receiver).poll(cx).map(|settled| {
            let args = settled.unwrap_or(Err(AckError::Disconnected))?;
            Ok(args.as_args().decode()?)
        })
    }
}

/// The answers of several sockets, as they come: a stream of `(socket id, result)`.
///
/// Every socket that was asked settles exactly once; one that leaves settles at once with
/// [`AckError::Disconnected`]. Dropping the stream forgets the answers that are still to come.
#[derive(Debug)]
#[must_use = "the answers are lost unless they are read"]
pub struct Replies<R> {
    gather: Arc<Gather>,
    failed: Option<EmitError>,
    reply: PhantomData<fn() -> R>,
}

impl<R> Replies<R> {
    pub(crate) fn new(gather: Arc<Gather>) -> Self {
        Self { gather, failed: None, reply: PhantomData }
    }

    pub(crate) fn failed(error: EmitError) -> Self {
        Self { gather: Arc::default(), failed: Some(error), reply: PhantomData }
    }
}

impl<R: DeserializeOwned> Replies<R> {
    /// The next answer; `None` when all sockets have settled. Cancel safe.
    pub async fn next(&mut self) -> Option<(SmolStr, Result<R, AckError>)> {
        std::future::poll_fn(|cx| self.poll_next_reply(cx)).await
    }

    /// All answers, when the last socket has settled: at the latest after the timeout.
    pub async fn collect(mut self) -> Vec<(SmolStr, Result<R, AckError>)> {
        let mut all = Vec::new();
        while let Some(reply) = self.next().await {
            all.push(reply);
        }
        all
    }

    fn poll_next_reply(&mut self, cx: &mut Context<'_>) -> Poll<Option<(SmolStr, Result<R, AckError>)>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some((SmolStr::default(), Err(error.into()))));
        }
        let mut state = self.gather.0.lock();
        if let Some((socket, result)) = state.answers.pop_front() {
            drop(state);
            let decoded = result.and_then(|args| Ok(args.as_args().decode()?));
            return Poll::Ready(Some((socket, decoded)));
        }
        if state.expected == 0 {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<R: DeserializeOwned> Stream for Replies<R> {
    type Item = (SmolStr, Result<R, AckError>);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next_reply(cx)
    }
}

impl<R> Drop for Replies<R> {
    fn drop(&mut self) {
        let mut state = self.gather.0.lock();
        state.abandoned = true;
        state.answers.clear();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_waiter_that_is_dropped_says_disconnected() {
        let (waiter, receiver) = Waiter::one();
        assert!(waiter.is_wanted());
        drop(waiter);
        let mut reply = Reply::<u32>::new(Ok(receiver));
        assert!(matches!((&mut reply).now_or_never(), Some(Err(AckError::Disconnected))));
    }

    #[test]
    fn who_does_not_wait_is_not_wanted() {
        let (waiter, receiver) = Waiter::one();
        drop(receiver);
        assert!(!waiter.is_wanted());
        let gather = Arc::new(Gather::default());
        let waiter = Waiter::many(&gather, "a".into());
        drop(Replies::<u32>::new(Arc::clone(&gather)));
        assert!(!waiter.is_wanted());
        waiter.fail(AckError::Timeout);
        assert!(gather.0.lock().answers.is_empty(), "nobody would ever take it");
    }

    #[test]
    fn every_socket_settles_once() {
        let gather = Arc::new(Gather::default());
        let (a, b) = (Waiter::many(&gather, "a".into()), Waiter::many(&gather, "b".into()));
        let mut replies = Replies::<()>::new(gather);
        assert!(replies.next().now_or_never().is_none(), "both are to come");
        a.answer(&Args::NONE);
        drop(b);
        let all = replies.collect().now_or_never().unwrap();
        assert_eq!(all.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(all[0].1.is_ok());
        assert!(matches!(all[1].1, Err(AckError::Disconnected)));
    }
}
