//! Typed handlers, and how they are kept without their types.

use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BoxError, EmitError};
use crate::{AckId, Args, DecodeError, NamespacePath, Outgoing, OwnedArgs, Parser};

/// What a handler is given as its first argument: the server's `Socket`, the client's `Client`.
pub trait Handle: Clone + Send + Sync + 'static {
    /// The form of packets on this connection.
    fn parser(&self) -> &Parser;
    /// The namespace it belongs to.
    fn namespace(&self) -> &NamespacePath;
    /// Queues the answer to an event.
    fn reply(&self, packet: Outgoing) -> Result<(), EmitError>;
}

/// An event as it arrived, borrowed from the transport's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its arguments.
    pub args: Args<'a>,
    /// Set if the sender waits for an answer.
    pub ack: Option<AckId>,
}

/// A handler's future, its result turned into success or an error for `on_error`.
pub(super) type Running = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
type Start<H> = dyn Fn(H, &Received<'_>) -> Result<Running, BoxError> + Send + Sync;

/// A handler without its types: decodes the arguments and starts.
pub struct Handler<H>(Arc<Start<H>>);

impl<H> Clone for Handler<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H> std::fmt::Debug for Handler<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handler")
    }
}

impl<H: Handle> Handler<H> {
    /// A handler which returns nothing to the sender.
    pub fn event<A, F, Fut>(handler: F) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(H, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        Self(Arc::new(move |handle, received| {
            let args = received.args.decode::<A>()?;
            let running = handler.clone()(handle, args);
            Ok(Box::pin(async move { running.await.into_result() }))
        }))
    }

    /// A handler whose value is the answer, if the sender asked for one.
    pub fn answering<A, R, F, Fut>(handler: F) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        F: FnOnce(H, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        Self(Arc::new(move |handle, received| {
            let args = received.args.decode::<A>()?;
            let ack = Ack { handle: handle.clone(), id: received.ack };
            let running = handler.clone()(handle, args);
            Ok(Box::pin(async move { Ok(ack.send(running.await)?) }))
        }))
    }

    /// A handler which takes the event as it is: its name, undecoded arguments, and the right to answer later.
    pub fn message<F, Fut>(handler: F) -> Self
    where
        F: FnOnce(H, Message<H>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        Self(Arc::new(move |handle, received| {
            let message = Message {
                name: received.name.into(),
                args: received.args.to_owned(),
                ack: Ack { handle: handle.clone(), id: received.ack },
            };
            let running = handler.clone()(handle, message);
            Ok(Box::pin(async move { running.await.into_result() }))
        }))
    }

    /// A handler of any kind.
    pub(super) fn new(start: impl Fn(H, &Received<'_>) -> Result<Running, BoxError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(start))
    }

    /// Decodes the arguments and makes the future; user code before its first await may already run.
    pub(super) fn start(&self, handle: H, received: &Received<'_>) -> Result<Running, BoxError> {
        (self.0)(handle, received)
    }
}

/// What an event handler returns: nothing, or a `Result` whose error goes to `on_error`.
#[diagnostic::on_unimplemented(
    message = "an event handler returns `()` or `Result<(), E>`, not `{Self}`",
    note = "to answer the sender, register the handler with `on_with_ack`"
)]
pub trait Outcome {
    /// The result for `on_error`.
    fn into_result(self) -> Result<(), BoxError>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// An event with its arguments not decoded yet.
#[derive(Debug)]
pub struct Message<H> {
    name: Box<str>,
    args: OwnedArgs,
    ack: Ack<H>,
}

impl<H: Handle> Message<H> {
    /// An event which no listener took, for those who read in a loop.
    pub fn new(handle: H, received: &Received<'_>) -> Self {
        Self { name: received.name.into(), args: received.args.to_owned(), ack: Ack { handle, id: received.ack } }
    }

    pub(super) fn received(&self) -> Received<'_> {
        Received { name: &self.name, args: self.args.as_args(), ack: self.ack.id }
    }

    /// The event's name.
    pub fn event(&self) -> &str {
        &self.name
    }

    /// Decodes the arguments: a tuple takes several, `()` none, anything else the first.
    ///
    /// # Errors
    /// When the arguments do not fit `A`.
    pub fn args<A: DeserializeOwned>(&self) -> Result<A, DecodeError> {
        self.args.as_args().decode()
    }

    /// Decodes the arguments and separates them from the right to answer.
    ///
    /// # Errors
    /// When the arguments do not fit `A`; the answer can then not be sent any more.
    pub fn split<A: DeserializeOwned>(self) -> Result<(A, Ack<H>), DecodeError> {
        Ok((self.args.as_args().decode()?, self.ack))
    }

    /// Whether the sender waits for an answer.
    pub fn wants_ack(&self) -> bool {
        self.ack.id.is_some()
    }
}

/// The right to answer an event once. Dropping it answers nothing: the sender waits until its own timeout.
#[derive(Debug)]
#[must_use = "the sender waits for an answer until `send` is called"]
pub struct Ack<H> {
    handle: H,
    id: Option<AckId>,
}

impl<H: Handle> Ack<H> {
    /// Sends the answer: a tuple is several values, `()` none, anything else one. Does nothing if none was asked for.
    ///
    /// # Errors
    /// When the value cannot be encoded, or the socket is gone.
    pub fn send<R: Serialize>(self, reply: R) -> Result<(), EmitError> {
        let Some(id) = self.id else { return Ok(()) };
        let packet = self.handle.parser().ack(self.handle.namespace(), id, &reply)?;
        self.handle.reply(packet)
    }
}
