//! The end of a client: waiting for it, and what it came from.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::oneshot;

use crate::cause::Limit;
use crate::link::Client;
use crate::state::Disconnect;

/// The end of a client; see [`Client::disconnect`](crate::Client::disconnect). Dropping it changes nothing.
#[derive(Debug)]
pub struct Disconnected(pub(crate) Option<oneshot::Receiver<()>>);

impl Future for Disconnected {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(told) => Pin::new(told).poll(cx).map(drop),
            None => Poll::Ready(()),
        }
    }
}

impl Client {
    /// How the client left its namespace the last time: the reason, and what happened. `None` if it never did. In
    /// `on_disconnect` this is what the handler is called for, unless earlier handlers held it up until the next one.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// use sockeye_client::{Cause, Client};
    ///
    /// let client = Client::builder("http://localhost:3000")
    ///     .on_disconnect(async |client, reason| match client.last_disconnect().map(|last| last.cause) {
    ///         Some(Cause::Closed { code: Some(1008 | 1009), text }) => println!("the server's limit: {text}"),
    ///         Some(Cause::Refused { status, text }) => println!("by polling {status}: {text}"),
    ///         Some(Cause::Limit { limit, .. }) => println!("a limit of this client: {limit}"),
    ///         _ => println!("{reason}"),
    ///     })
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn last_disconnect(&self) -> Option<Disconnect> {
        self.member.last_disconnect.lock().clone()
    }

    /// How often the server went beyond a limit of this client, so that the connection ended or did not begin. Clients
    /// of one connection count together.
    pub fn exceeded(&self, limit: Limit) -> u64 {
        self.member.link.tally.get(limit)
    }
}
