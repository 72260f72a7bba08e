//! What a peer can do wrong on a WebSocket.

use super::CloseCode;

/// The peer broke the rules of RFC 6455 or a limit. The connection is over: send a close frame with
/// [`close_code`](Self::close_code), then disconnect. [RFC 6455 §7.1.7]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A new message began before the fragmented one was complete. [RFC 6455 §5.4]
    #[error("new message inside a fragmented one")]
    ExpectedContinuation,
    /// A control frame was not final. [RFC 6455 §5.5]
    #[error("fragmented control frame")]
    FragmentedControl,
    /// A close frame with a code that must not travel. [RFC 6455 §7.4]
    #[error("illegal close code {0}")]
    IllegalCloseCode(u16),
    /// A compressed message cannot be decompressed. [RFC 7692 §7.2.2]
    #[error("invalid compressed data")]
    InvalidDeflate,
    /// A text message, or the reason of a close frame, is not UTF-8. [RFC 6455 §8.1]
    #[error("invalid utf-8")]
    InvalidUtf8,
    /// A control frame of more than 125 bytes. [RFC 6455 §5.5]
    #[error("control frame of more than 125 bytes")]
    LongControl,
    /// A server masked a frame. [RFC 6455 §5.1]
    #[error("masked frame from a server")]
    Masked,
    /// A length which fits a shorter form. [RFC 6455 §5.2]
    #[error("length not in its shortest form")]
    NonMinimalLength,
    /// A reserved bit without an extension that gives it a meaning. [RFC 6455 §5.2]
    #[error("reserved bit set")]
    ReservedBit,
    /// An opcode without a meaning. [RFC 6455 §5.2]
    #[error("reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A close frame of one byte: half a code. [RFC 6455 §5.5.1]
    #[error("close frame of one byte")]
    ShortClose,
    /// A message longer than [`Limits::max_message`](super::Limits::max_message), announced or decompressed.
    #[error("message exceeds {limit} bytes")]
    TooLarge {
        /// As many as were announced so far, or one more than the limit where it shows in decompressing.
        bytes: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A message in more frames than [`Limits::max_fragments`](super::Limits::max_fragments).
    #[error("message in more than {limit} fragments")]
    TooManyFragments {
        /// The limit, in frames.
        limit: usize,
    },
    /// A continuation of no message. [RFC 6455 §5.4]
    #[error("continuation without a message")]
    UnexpectedContinuation,
    /// A client did not mask a frame. [RFC 6455 §5.1]
    #[error("unmasked frame from a client")]
    Unmasked,
}

impl Error {
    /// The code to send in the close frame which answers this error.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::InvalidDeflate | Self::InvalidUtf8 => CloseCode::INVALID_DATA,
            Self::TooLarge { .. } => CloseCode::TOO_LARGE,
            Self::TooManyFragments { .. } => CloseCode::POLICY,
            _ => CloseCode::PROTOCOL,
        }
    }
}
