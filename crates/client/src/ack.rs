//! Events that ask for an answer.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sockeye_protocol::event::{AckError, Asker, EmitError, Pending, Reply};
use sockeye_protocol::{AckId, Outgoing};

use crate::link::Member;
use crate::queue::{Awaiting, Item, Kind};
use crate::time::{after, now};
use crate::watchers::Note;

/// An event that asks for an answer. It is sent when this is awaited, or by [`Self::send`].
#[derive(Debug)]
#[must_use = "the event is sent when this is awaited"]
pub struct AckFuture<R> {
    member: Arc<Member>,
    packet: Result<Outgoing, EmitError>,
    ack: AckId,
    timeout: Duration,
    note: Option<Note>,
    reply: PhantomData<fn() -> R>,
}

impl<R> AckFuture<R> {
    pub(crate) fn new(
        member: Arc<Member>,
        ack: AckId,
        packet: Result<Outgoing, EmitError>,
        note: Option<Note>,
    ) -> Self {
        let timeout = member.limits.ack_timeout;
        Self { member, packet, ack, timeout, note, reply: PhantomData }
    }

    /// How long to wait for the answer, from now: an event which still waits in the queue then is not sent at all.
    /// Default: [`ack_timeout`](crate::ClientBuilder::ack_timeout) of the client.
    ///
    /// With [`retries`](crate::ClientBuilder::retries) it is the time for each try, from the moment of sending.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Queues the event now; the answer can be awaited later.
    pub fn send(self) -> Reply<R> {
        Reply::new(self.sent())
    }

    fn sent(self) -> Result<Pending, EmitError> {
        let (asker, pending) = Asker::new();
        let (id, timeout, packet) = (self.ack, self.timeout, self.packet?);
        let (kind, asker) = if self.member.limits.retries.is_some() {
            (Kind::Retried { id, timeout, awaiting: Awaiting::Asker(asker) }, None)
        } else {
            (Kind::Asking { id, deadline: after(now(), timeout) }, Some(asker))
        };
        self.member.push(Item { packet, kind }, asker)?;
        self.member.watchers.tell(self.note.as_ref());
        Ok(pending)
    }
}

impl<R: DeserializeOwned> IntoFuture for AckFuture<R> {
    type Output = Result<R, AckError>;
    type IntoFuture = Reply<R>;

    fn into_future(self) -> Self::IntoFuture {
        self.send()
    }
}
