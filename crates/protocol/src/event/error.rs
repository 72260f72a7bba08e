//! What can go wrong when an event is sent or an answer is waited for.

use crate::{DecodeError, EncodeError};

/// Any error of the application.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An event was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The connection is over, or the socket has left its namespace.
    #[error("the socket is disconnected")]
    Closed,
    /// The arguments cannot be written.
    #[error("the arguments cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The peer reads too slowly: the bound of its outbox is reached, and the policy is to fail.
    #[error("the outbox of the socket is full")]
    Full,
    /// The name is kept by the protocol.
    #[error("the event name is reserved by the protocol")]
    Reserved,
    /// A message of the packet is longer than the peer takes: it would end the connection.
    #[error("a message of {bytes} bytes is more than the {max_bytes} that the server takes")]
    TooLarge {
        /// Length of the message.
        bytes: usize,
        /// What the peer takes.
        max_bytes: usize,
    },
}

impl EmitError {
    /// Whether the socket is gone: further emits to it will fail as well.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether the socket may take events again later.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }
}

/// An answer did not come.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The answer does not fit the type that is waited for.
    #[error("the answer cannot be decoded: {0}")]
    Decode(#[from] DecodeError),
    /// The socket disconnected before it answered.
    #[error("the socket disconnected before it answered")]
    Disconnected,
    /// The event was not sent.
    #[error("the event was not sent: {0}")]
    Emit(#[from] EmitError),
    /// No answer came in time.
    #[error("no answer came in time")]
    Timeout,
}

impl AckError {
    /// Whether no answer came in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout)
    }
}
