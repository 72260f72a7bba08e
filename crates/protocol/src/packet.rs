//! Packets: what is to be sent, and what was received.                                     [SIO5 "packet types"]

use std::borrow::Cow;
use std::sync::Arc;

use sockeye_engine::Encoded;

use crate::{AckId, Args};

/// One Socket.IO packet, encoded: the text (or msgpack) message and its attachments, which nothing may separate.
/// Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The packet itself.
    pub first: Encoded,
    /// The binary messages which follow it. `None` for nearly all packets.
    pub attachments: Option<Arc<[Encoded]>>,
}

impl Outgoing {
    /// One message of text: what a [custom parser](crate::parser::CustomParser) makes of a packet.
    pub fn text(message: &str) -> Self {
        Self { first: Encoded::text(message), attachments: None }
    }

    /// One message of bytes.
    pub fn binary(message: &[u8]) -> Self {
        Self { first: Encoded::binary(message), attachments: None }
    }

    /// The same, and these messages of bytes behind it.
    pub fn with_attachments<'a>(mut self, messages: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let messages: Arc<[Encoded]> = messages.into_iter().map(Encoded::binary).collect();
        self.attachments = Some(messages).filter(|messages| !messages.is_empty());
        self
    }

    /// The messages in the order of the wire.
    pub fn messages(&self) -> impl Iterator<Item = &Encoded> {
        std::iter::once(&self.first).chain(self.attachments.iter().flat_map(|attachments| attachments.iter()))
    }

    /// Number of attachments. Official peers close the connection when it is more than 10.
    pub fn attachment_count(&self) -> usize {
        self.attachments.as_ref().map_or(0, |attachments| attachments.len())
    }

    /// Bytes of all messages.
    pub fn size(&self) -> usize {
        self.messages().map(Encoded::size).sum()
    }
}

/// A received packet. Binary is a form, not a kind: `attachments` says how many binary messages are still to come.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    /// As written, query included.
    pub(crate) path: &'a str,
    pub(crate) attachments: usize,
    pub(crate) body: Body<'a>,
}

/// What a packet says.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    Ack {
        id: AckId,
        args: Args<'a>,
    },
    /// An object or nothing: the client's `auth`, the server's `sid`.
    Connect(Args<'a>),
    Disconnect,
    Event {
        name: Cow<'a, str>,
        id: Option<AckId>,
        args: Args<'a>,
    },
    /// CONNECT_ERROR: `{"message":…}`, or anything in revision 4 of the protocol.
    Refused(Args<'a>),
}

/// Whether an event's name belongs to the library: the peer may not send it. [JS socket.io-parser 4.2 RESERVED_EVENTS]
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(name, "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener")
}
