//! Forms of packets that applications bring themselves.

use std::fmt;

use serde::Serialize;
use sockeye_engine::{Message, Revision};

use super::payload::{Accepted, Refusal};
use crate::{AckId, EncodeError, NamespacePath, Outgoing, OwnedArgs, ProtocolError};

/// A form of packets of the application's own, for [`Parser::custom`](super::Parser::custom): what the packages
/// `socket.io-json-parser` or `socket.io-msgpack-parser` are to the official implementations.
///
/// One value serves all connections and is called from many threads at a time.
pub trait CustomParser: fmt::Debug + Send + Sync + 'static {
    /// The messages of a packet; a broadcast is encoded once for all who get it.
    ///
    /// [`List`](crate::args::List) hands its arguments to any serde format.
    ///
    /// Write, and do nothing else: where clients can be recovered the server calls this while it holds the log of the
    /// namespace. Something slow here holds up all of its events, joins and leaves; and who emits, joins, leaves or waits
    /// for somebody who does that waits for ever.
    ///
    /// # Errors
    /// The packet cannot be written. `emit` returns the error. Of packets without an application to tell (the server's
    /// CONNECT and CONNECT_ERROR, DISCONNECT) an empty message is sent in place, which no peer can read.
    fn encode(&self, packet: &Packet) -> Result<Outgoing, EncodeError>;

    /// Reads the messages of one connection.
    fn decoder(&self) -> Box<dyn Decoder>;
}

/// Reads the packets of one connection, message by message.
///
/// What was decoded is checked before it is used: reserved names of events, `max_depth`, namespaces that are not
/// connected. A panic is taken for [`ProtocolError::InvalidPayload`].
pub trait Decoder: fmt::Debug + Send {
    /// The next message; the packet it completes, or `None` if more messages belong to it.
    ///
    /// What may follow the first message of a packet is bounded as attachments are: `max_attachments` messages of
    /// `max_attachment_bytes` together, within `attachment_timeout`. A decoder need not count.
    ///
    /// # Errors
    /// The message is none of this form: the connection is closed. [`ProtocolError::InvalidPayload`] says it for most.
    fn decode(&mut self, message: Message<'_>) -> Result<Option<Packet>, ProtocolError>;
}

/// A packet, as it is or was on its way.                                                      [SIO5 "packet types"]
#[derive(Clone, Debug)]
pub struct Packet {
    /// Where it belongs.
    pub namespace: NamespacePath,
    /// What it says.
    pub content: Content,
}

/// What a packet says. There are no binary types: bytes are in the arguments.
#[derive(Clone, Debug)]
pub enum Content {
    /// The answer to an event.
    Ack {
        /// The id of the event.
        id: AckId,
        /// The answer.
        args: OwnedArgs,
    },
    /// One object or nothing: the client's `auth`, the server's `sid` and `pid`.
    Connect(OwnedArgs),
    /// One object: the server's `message` and `data`.
    ConnectError(OwnedArgs),
    /// Leaves the namespace.
    Disconnect,
    /// An event.
    Event {
        /// Its name.
        name: String,
        /// Set if the sender waits for an answer.
        id: Option<AckId>,
        /// Its arguments, without the name.
        args: OwnedArgs,
    },
}

type Encoding = Result<Outgoing, EncodeError>;

pub(super) fn event<A: Serialize + ?Sized>(
    parser: &dyn CustomParser,
    namespace: &NamespacePath,
    id: Option<AckId>,
    name: &str,
    args: &A,
    offset: Option<&str>,
) -> Encoding {
    let args = OwnedArgs::encode(args)?;
    let args = match offset {
        Some(offset) => args.with_text(offset)?,
        None => args,
    };
    encode(parser, namespace, Content::Event { name: name.to_owned(), id, args })
}

pub(super) fn ack<A: Serialize + ?Sized>(
    parser: &dyn CustomParser,
    namespace: &NamespacePath,
    id: AckId,
    args: &A,
) -> Encoding {
    encode(parser, namespace, Content::Ack { id, args: OwnedArgs::encode(args)? })
}

pub(super) fn connect<A: Serialize + ?Sized>(
    parser: &dyn CustomParser,
    namespace: &NamespacePath,
    auth: Option<&A>,
) -> Encoding {
    let auth = match auth {
        Some(auth) => OwnedArgs::encode(&(auth,))?,
        None => OwnedArgs::default(),
    };
    if !(auth.as_args().is_empty() || auth.as_args().is_object()) {
        return Err(EncodeError::new("auth must be an object"));
    }
    encode(parser, namespace, Content::Connect(auth))
}

pub(super) fn connected(
    parser: &dyn CustomParser,
    revision: Revision,
    namespace: &NamespacePath,
    sid: &str,
    pid: Option<&str>,
) -> Outgoing {
    let accepted = match revision {
        Revision::V4 => OwnedArgs::encode(&Accepted { sid, pid }),
        Revision::V3 => Ok(OwnedArgs::default()),
    };
    told(accepted.and_then(|accepted| encode(parser, namespace, Content::Connect(accepted))))
}

pub(super) fn refused(
    parser: &dyn CustomParser,
    revision: Revision,
    namespace: &NamespacePath,
    message: &str,
    data: Option<&serde_json::Value>,
) -> Outgoing {
    let args = match (revision, data) {
        (Revision::V4, _) => OwnedArgs::encode(&(Refusal { message, data },)),
        (Revision::V3, Some(data)) => OwnedArgs::encode(&(data,)),
        (Revision::V3, None) => OwnedArgs::encode(&(message,)),
    };
    told(args.and_then(|args| encode(parser, namespace, Content::ConnectError(args))))
}

pub(super) fn disconnect(parser: &dyn CustomParser, namespace: &NamespacePath) -> Outgoing {
    told(encode(parser, namespace, Content::Disconnect))
}

fn encode(parser: &dyn CustomParser, namespace: &NamespacePath, content: Content) -> Encoding {
    parser.encode(&Packet { namespace: namespace.clone(), content })
}

/// What cannot be written is made known to the peer all the same: it closes on an empty message.
fn told(packet: Encoding) -> Outgoing {
    packet.unwrap_or_else(|_| Outgoing::text(""))
}
