//! What handles and HTTP requests ask of the task that owns a connection.

use std::time::Instant;

use bytes::Bytes;
use futures_channel::oneshot;
use smol_str::SmolStr;
use sockeye_protocol::{AckId, Slot};

use crate::ack::Waiter;
use crate::cause::Cause;
use crate::error::{DisconnectReason, EmitError};
use crate::limits::{Excess, Limit};
use crate::transport::stream::StreamTransport;

/// What other tasks ask of a connection.
#[derive(Debug)]
pub(crate) enum Command {
    /// Wait for an answer on behalf of `waiter`. Comes before the packet that asks can be written.
    Await { slot: Slot, socket: SmolStr, ack: AckId, deadline: Instant, waiter: Waiter },
    /// Close the connection: every socket leaves for this reason; `say` sends each of them a DISCONNECT.
    Close { reason: DisconnectReason, say: bool },
    /// The server is being closed: the connection is closed for this reason as soon as no answer is open, and not later
    /// than `until`.
    Finish { until: Instant },
    /// One more did not fit into the outbox, in which so much waits; to close for that follows.
    Overrun(Excess),
    /// One socket leaves its namespace.
    Leave { slot: Slot, socket: SmolStr },
}

impl Command {
    /// It will not be carried out.
    pub(crate) fn refuse(self, error: EmitError) {
        if let Self::Await { waiter, .. } = self {
            waiter.fail(error.into());
        }
    }
}

/// An HTTP request for a session.
#[derive(Debug)]
pub(crate) enum Request {
    /// A GET waits for packets.
    Poll(oneshot::Sender<Answer>),
    /// The client of the waiting GET says nothing more, and may have gone.
    PollEnded,
    /// The client of the waiting GET went away.
    PollGone,
    /// The body of a POST; `binary` is its content type. `begun`: it is the rest of one.
    Post { body: Bytes, binary: bool, begun: bool, answer: oneshot::Sender<Answer> },
    /// A piece of a body has come.
    Activity,
    /// A request broke the rules of polling, or its body did not come to its end.
    Failed(Cause),
    /// A stream was opened for this session.
    Upgrade(Box<StreamTransport>),
    /// The stream did not come to be.
    UpgradeGone,
}

/// The answer to a polling request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 400, code 3.
    BadRequest,
    /// A body of packets.
    Packets { body: Bytes, binary: bool, compress: bool },
    /// The POST was taken.
    Taken,
    /// 400, code 3, with the limit that what was posted ran into.
    TooMuch(Limit),
}
