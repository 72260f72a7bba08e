//! What the peer did wrong, and why a session ended.

use std::fmt;

/// The peer broke the protocol.
///
/// What a codec returns (`Packet::decode_*`, `payload::Packets`) is for the driver to end the session with:
/// `session.close(error.close_reason())`. What a method of [`Session`](crate::Session) returns has already ended it
/// where the method says so; closing twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A binary packet was not valid base64. [EIO4 "packet encoding"]
    #[error("invalid base64")]
    InvalidBase64,
    /// A packet which only the other side may send, such as PING from a client of revision 4. [EIO4 "heartbeat"]
    #[error("unexpected {0} packet")]
    UnexpectedPacket(&'static str),
    /// A text was not valid UTF-8.
    #[error("invalid utf-8")]
    InvalidUtf8,
    /// The body of OPEN could not be understood (client side).
    #[error("invalid handshake")]
    InvalidHandshake,
    /// A length prefix of a revision 3 payload was malformed or did not match. [EIO3 "payload encoding"]
    #[error("invalid payload length")]
    InvalidLength,
    /// The first byte of a packet is no packet type. [EIO4 "packet encoding"]
    #[error("unknown packet type {0:#04x}")]
    UnknownPacketType(u8),
    /// A packet had no type.
    #[error("empty packet")]
    EmptyPacket,
    /// A second GET while one was waiting. [EIO4 "HTTP long-polling"]
    #[error("overlapping poll")]
    OverlappingPoll,
    /// A request on a transport that the session does not use (any more).
    #[error("wrong transport")]
    WrongTransport,
    /// More bytes than `max_payload`.
    #[error("message exceeds {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Why a session ended. `Display` gives the official reason strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it: `forced close`.
    Forced,
    /// The peer sent something that cannot be decoded: `parse error`.
    ParseError,
    /// No heartbeat in time: `ping timeout`.
    PingTimeout,
    /// The peer or the network closed the transport: `transport close`.
    TransportClose,
    /// The transport failed or was misused: `transport error`.
    TransportError,
}

impl CloseReason {
    /// The official reason string.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forced => "forced close",
            Self::ParseError => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ProtocolError {
    /// How the end of the session is reported: what cannot be decoded is a parse error, what may not be sent (then) is
    /// a transport error.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            Self::OverlappingPoll | Self::WrongTransport | Self::TooLarge { .. } | Self::UnexpectedPacket(_) => {
                CloseReason::TransportError
            }
            Self::InvalidBase64
            | Self::InvalidUtf8
            | Self::InvalidHandshake
            | Self::InvalidLength
            | Self::UnknownPacketType(_)
            | Self::EmptyPacket => CloseReason::ParseError,
        }
    }
}
