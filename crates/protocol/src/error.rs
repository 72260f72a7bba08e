//! What the peer did wrong, and what the application gave that cannot be sent or read.

use std::fmt;

/// The peer broke the protocol: the whole connection is closed, as the official server does, and every socket on it
/// sees `forced close` ([`ProtocolError::ConnectTimeout`]: `forced server close`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// CONNECT for a namespace which is connected already. [JS socket.io 4.8 client.ts ondecoded]
    #[error("namespace connected twice")]
    AlreadyConnected,
    /// The attachments of a packet did not arrive within `attachment_timeout`.
    #[error("attachments did not arrive in time")]
    AttachmentTimeout,
    /// The attachments of one packet are larger, together, than `max_attachment_bytes`.
    #[error("attachments exceed {limit} bytes")]
    AttachmentsTooLarge {
        /// Those which have come so far.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// No namespace was joined within `connect_timeout`.
    #[error("no namespace joined in time")]
    ConnectTimeout,
    /// The id of an acknowledgement is missing, or larger than 64 bits. [SIO5 "packet encoding"]
    #[error("invalid acknowledgement id")]
    InvalidAckId,
    /// The count of attachments is not a plain number of at least 1, or is not followed by `-`.
    #[error("invalid count of attachments")]
    InvalidAttachmentCount,
    /// An event's name is neither a string nor a number.
    #[error("invalid event name")]
    InvalidEventName,
    /// The JSON of a packet has a syntax error.
    #[error("invalid json")]
    InvalidJson,
    /// A binary packet is not MessagePack, or not a packet.
    #[error("invalid msgpack")]
    InvalidMsgpack,
    /// A namespace path does not begin with `/`, holds a `,`, or is longer than 1,024 bytes.
    #[error("invalid namespace")]
    InvalidNamespace,
    /// The payload has the wrong shape for the type of the packet. [SIO5 "packet types"]
    #[error("invalid payload")]
    InvalidPayload,
    /// A placeholder's `num` is no number of an attachment of its packet.
    #[error("invalid attachment placeholder")]
    InvalidPlaceholder,
    /// A packet for a namespace which is not connected. [JS socket.io 4.8 client.ts ondecoded]
    #[error("packet for a namespace which is not connected")]
    NotConnected,
    /// The peer sent an event whose name belongs to the library, such as `disconnect`.
    #[error("reserved event name")]
    ReservedEventName,
    /// Arrays and objects are nested deeper than `max_depth`.
    #[error("nested deeper than {limit}")]
    TooDeep {
        /// The limit, in levels.
        limit: usize,
    },
    /// A packet announces more attachments than `max_attachments`.
    #[error("more than {limit} attachments")]
    TooManyAttachments {
        /// As many as were announced.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The peer asks for more namespaces than `max_namespaces`.
    #[error("more than {limit} namespaces")]
    TooManyNamespaces {
        /// The limit.
        limit: usize,
    },
    /// Bytes arrived which no packet announced.
    #[error("unexpected binary message")]
    UnexpectedBinary,
    /// A packet which only the other side may send.
    #[error("unexpected {0} packet")]
    UnexpectedPacket(&'static str),
    /// Text arrived while attachments were waited for, or text arrived and the parser is binary.
    #[error("unexpected text message")]
    UnexpectedText,
    /// The first character of a packet is not a packet type (0: the packet is empty).
    #[error("unknown packet type {0:#04x}")]
    UnknownPacketType(u8),
}

/// The application gave a value which cannot be sent: a map whose keys are no strings, an error of its own `Serialize`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(pub(crate) Box<str>);

impl EncodeError {
    /// An error with a message.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string().into())
    }
}

impl serde::ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}

/// Arguments do not fit the type that the application asked for. What the peer sent is well-formed; it is not what was
/// expected.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub(crate) Box<str>);

impl DecodeError {
    /// An error with a message.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string().into())
    }
}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}
