//! The answer of one peer: who waits for it, and what is handed to them.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::oneshot;
use serde::de::DeserializeOwned;

use super::{AckError, EmitError};
use crate::{Args, OwnedArgs};

/// Who waits for one answer. Settled exactly once: dropping it says that the socket disconnected.
#[derive(Debug)]
pub struct Asker(oneshot::Sender<Result<OwnedArgs, AckError>>);

/// The way of the answer to whoever awaits the [`Reply`].
pub type Pending = oneshot::Receiver<Result<OwnedArgs, AckError>>;

impl Asker {
    /// Both ends: one for the connection's task, one for a [`Reply`].
    pub fn new() -> (Self, Pending) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Whether somebody still wants the answer.
    pub fn is_wanted(&self) -> bool {
        !self.0.is_canceled()
    }

    /// The peer has answered.
    pub fn answer(self, args: &Args<'_>) {
        self.settle(Ok(args.to_owned()));
    }

    /// The answer will not come.
    pub fn fail(self, error: AckError) {
        self.settle(Err(error));
    }

    fn settle(self, result: Result<OwnedArgs, AckError>) {
        // The receiver may be gone: then nobody wants to know.
        drop(self.0.send(result));
    }
}

/// The answer to an event which has been sent.
///
/// Dropping it forgets the answer; the event has been sent all the same. Cancel safe.
#[derive(Debug)]
#[must_use = "the answer is lost unless this is awaited"]
pub struct Reply<R> {
    state: Result<Pending, Option<EmitError>>,
    reply: PhantomData<fn() -> R>,
}

impl<R> Reply<R> {
    /// The answer which will come by `sent`, or the reason why none will.
    pub fn new(sent: Result<Pending, EmitError>) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn poll<R: DeserializeOwned>(reply: &mut Reply<R>) -> Poll<Result<R, AckError>> {
        Pin::new(reply).poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn an_answer_is_decoded_by_whoever_awaits_it() {
        let (asker, pending) = Asker::new();
        let mut reply = Reply::<(u32, String)>::new(Ok(pending));
        assert!(poll(&mut reply).is_pending());
        asker.answer(&OwnedArgs::encode(&(1, "a")).unwrap().as_args());
        assert!(matches!(poll(&mut reply), Poll::Ready(Ok((1, text))) if text == "a"));
    }

    #[test]
    fn whoever_drops_the_asker_says_disconnected() {
        let (asker, pending) = Asker::new();
        drop(asker);
        assert!(matches!(poll(&mut Reply::<()>::new(Ok(pending))), Poll::Ready(Err(AckError::Disconnected))));
    }

    #[test]
    fn a_dropped_reply_is_not_wanted() {
        let (asker, pending) = Asker::new();
        assert!(asker.is_wanted());
        drop(Reply::<()>::new(Ok(pending)));
        assert!(!asker.is_wanted());
        asker.fail(AckError::Timeout);
    }
}
