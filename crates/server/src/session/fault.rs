//! What ends a session.

use sockeye_engine::CloseReason;

use crate::error::DisconnectReason;
use crate::limits::Limit;
use crate::link::Link;

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Engine(sockeye_engine::ProtocolError),
    #[error("{0}")]
    Protocol(sockeye_protocol::ProtocolError),
    #[error("{0}")]
    Limit(Limit),
    #[error("the client reads too slowly")]
    SlowConsumer,
    #[error("the transport failed")]
    Transport,
}

impl Fault {
    /// What the sockets are told.
    pub(crate) fn reason(&self) -> DisconnectReason {
        match self {
            Self::Protocol(_) => DisconnectReason::ForcedClose,
            Self::Limit(limit) => DisconnectReason::LimitExceeded(*limit),
            Self::SlowConsumer => DisconnectReason::SlowConsumer,
            Self::Engine(_) | Self::Transport => self.close_reason().into(),
        }
    }

    pub(crate) fn close_reason(&self) -> CloseReason {
        match self {
            Self::Engine(error) => error.close_reason(),
            Self::Transport => CloseReason::TransportError,
            Self::Protocol(_) | Self::Limit(_) | Self::SlowConsumer => CloseReason::Forced,
        }
    }

    /// The limit that the client ran into, if it was one.
    pub(crate) fn limit(&self, link: &Link) -> Option<Limit> {
        use sockeye_protocol::ProtocolError;
        match self {
            Self::Engine(sockeye_engine::ProtocolError::TooLarge { .. }) => Some(link.payload_limit()),
            Self::Limit(limit) => Some(*limit),
            Self::Protocol(ProtocolError::AttachmentTimeout) => Some(Limit::AttachmentTime),
            Self::Protocol(ProtocolError::AttachmentsTooLarge { .. }) => Some(Limit::AttachmentBytes),
            Self::Protocol(ProtocolError::TooDeep { .. }) => Some(Limit::Depth),
            Self::Protocol(ProtocolError::TooManyAttachments { .. }) => Some(Limit::Attachments),
            Self::Protocol(ProtocolError::TooManyNamespaces { .. }) => Some(Limit::Namespaces),
            _ => None,
        }
    }

    pub(crate) fn is_protocol(&self) -> bool {
        matches!(self, Self::Engine(_) | Self::Protocol(_))
    }
}
