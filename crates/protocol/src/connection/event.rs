//! What comes of received messages.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{AckId, Args, NamespacePath};

/// Number of a namespace on this connection, from CONNECT to DISCONNECT; small, and used again afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u16);

/// The server's answer to CONNECT, as the client reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Connected {
    /// Id of the socket: public, fresh for each namespace, not the session's id. Empty in revision 3, whose servers tell
    /// none: there it is the session's id, behind `<namespace>#` unless that is `/`.
    pub sid: String,
    /// Private id, by which the server finds what was missed after a reconnection. `None` if it does not offer that.
    pub pid: Option<String>,
}

/// What came of a message.
#[derive(Debug)]
pub enum Event<'a> {
    /// Server: the client asks for a namespace. Answer with [`accept`](crate::Connection::accept) or [`refuse`](crate::Connection::refuse).
    ConnectAsked {
        /// Its slot from now on.
        slot: Slot,
        /// The namespace, which need not exist.
        namespace: NamespacePath,
        /// What old clients put behind the path.
        query: Option<&'a str>,
        /// One object, or nothing.
        auth: Args<'a>,
    },
    /// Client: the server accepted.
    Connected {
        /// Of the namespace.
        slot: Slot,
        /// The ids.
        connected: Connected,
    },
    /// The peer left the namespace; the slot is free.
    Disconnected {
        /// Of the namespace.
        slot: Slot,
    },
    /// An event. A client may get some before [`Event::Connected`]: those it missed, or which were sent on admission.
    Received {
        /// Of the namespace.
        slot: Slot,
        /// The event's name; owned only if it was escaped or a number.
        name: Cow<'a, str>,
        /// Not decoded yet.
        args: Args<'a>,
        /// The peer waits for an answer with this id.
        ack: Option<AckId>,
    },
    /// Client: the server refused; the slot is free.
    Refused {
        /// Of the namespace.
        slot: Slot,
        /// Why, in the server's words.
        message: String,
        /// What the server's application added.
        data: Option<serde_json::Value>,
    },
    /// An acknowledgement. It may be one that nobody waits for.
    Replied {
        /// Of the namespace.
        slot: Slot,
        /// Of the event that asked for it.
        ack: AckId,
        /// Not decoded yet.
        args: Args<'a>,
    },
}
