//! What ends a session.

use std::io;

use sockeye_engine::CloseReason;

use crate::cause::Cause;
use crate::error::DisconnectReason;
use crate::limits::{Excess, Limit};
use crate::link::Link;

/// Why a session cannot go on.
#[derive(Debug)]
pub(crate) enum Fault {
    Engine(sockeye_engine::ProtocolError),
    Protocol(sockeye_protocol::ProtocolError),
    Limit(Excess),
    SlowConsumer,
    /// The transport failed, or was misused.
    Transport(Box<Cause>),
}

impl Fault {
    /// The transport failed.
    pub(crate) fn io(kind: io::ErrorKind) -> Self {
        Self::Transport(Box::new(Cause::Io(kind)))
    }

    /// What the sockets are told, unless it is a limit.
    pub(crate) fn reason(&self) -> DisconnectReason {
        match self {
            Self::Protocol(_) => DisconnectReason::ForcedClose,
            Self::Limit(excess) => DisconnectReason::LimitExceeded(excess.limit),
            Self::SlowConsumer => DisconnectReason::SlowConsumer,
            Self::Engine(_) | Self::Transport(_) => self.close_reason().into(),
        }
    }

    pub(crate) fn close_reason(&self) -> CloseReason {
        match self {
            Self::Engine(error) => error.close_reason(),
            Self::Transport(_) => CloseReason::TransportError,
            Self::Protocol(_) | Self::Limit(_) | Self::SlowConsumer => CloseReason::Forced,
        }
    }

    /// The limit that the client ran into, if it was one.
    pub(crate) fn excess(&self, link: &Link) -> Option<Excess> {
        use sockeye_protocol::ProtocolError;
        Some(match *self {
            Self::Engine(sockeye_engine::ProtocolError::TooLarge { limit }) => {
                Excess { limit: link.payload_limit(), actual: None, bound: Some(limit as u64) }
            }
            Self::Limit(excess) => excess,
            Self::Protocol(ProtocolError::AttachmentTimeout) => {
                Excess::of_time(Limit::AttachmentTime, link.config.protocol.attachment_timeout)
            }
            Self::Protocol(ProtocolError::AttachmentsTooLarge { bytes, limit }) => {
                Excess::new(Limit::AttachmentBytes, bytes, limit)
            }
            Self::Protocol(ProtocolError::TooDeep { limit }) => Excess::by_one(Limit::Depth, limit),
            Self::Protocol(ProtocolError::TooManyAttachments { count, limit }) => {
                Excess::new(Limit::Attachments, count, limit)
            }
            Self::Protocol(ProtocolError::TooManyNamespaces { limit }) => Excess::by_one(Limit::Namespaces, limit),
            _ => return None,
        })
    }

    /// What happened.
    pub(crate) fn cause(&self, link: &Link) -> Cause {
        match (self.excess(link), self) {
            (Some(excess), _) => excess.into(),
            (None, Self::Engine(sockeye_engine::ProtocolError::OverlappingPoll)) => {
                Cause::Misuse("a GET while another waits".into())
            }
            (None, Self::Engine(error)) => Cause::Protocol(error.to_string().into()),
            (None, Self::Protocol(error)) => Cause::Protocol(error.to_string().into()),
            (None, Self::Transport(cause)) => Cause::clone(cause),
            (None, Self::Limit(_) | Self::SlowConsumer) => Cause::of_reason(self.reason()),
        }
    }

    pub(crate) fn is_protocol(&self) -> bool {
        matches!(self, Self::Engine(_) | Self::Protocol(_))
    }
}
