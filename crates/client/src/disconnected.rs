//! Waiting for the end of a client.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_channel::oneshot;

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
