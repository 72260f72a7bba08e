//! The only place where the states of a session change: one table of legal moves each.

use crate::time::Instant;

/// Which of the (at most two) transports of a session a thing came from or goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// HTTP long-polling.
    Polling,
    /// WebSocket or WebTransport.
    Stream,
}

impl Lane {
    /// Both lanes.
    pub const ALL: [Self; 2] = [Self::Polling, Self::Stream];
}

/// How far the life of a session has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    /// Client: OPEN has not arrived yet; nothing may be sent.
    Opening,
    Open,
    /// Over for the application; last packets are due.
    Closing,
    /// Nothing will ever happen again.
    Finished,
}

/// What moves a session from one phase to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// OPEN arrived.
    Opened,
    /// One of the sides, or the network, ended the session.
    Ended,
    /// The last packet was given out, or will never be asked for.
    Drained,
}

impl Phase {
    /// The phase after `turn`; `None` if it cannot happen in this one.
    pub(super) fn after(self, turn: Turn) -> Option<Self> {
        match (self, turn) {
            (Self::Opening, Turn::Opened) => Some(Self::Open),
            (Self::Opening | Self::Open, Turn::Ended) => Some(Self::Closing),
            (Self::Closing, Turn::Drained) => Some(Self::Finished),
            _ => None,
        }
    }
}

/// Where messages travel, and how far an upgrade has come. [EIO4 "upgrade"]
///
/// The instants are when the upgrade is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    /// By polling; there is no stream.
    Polling,
    /// By polling; a stream is open, and its probe is not answered yet.
    Probing(Instant),
    /// Not at all: the probe is answered (`3probe`), the switch (`5`) is not made. What is sent now waits, so that
    /// nothing is in two places when the lane changes.
    Paused(Instant),
    /// By the stream; polling is over.
    Stream,
}

/// What moves a session from one route to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// A stream was opened; the upgrade must be done by this instant.
    StreamOpened(Instant),
    /// `3probe` was sent (server) or has arrived (client).
    ProbeAnswered,
    /// `5` has arrived (server) or is sent (client).
    Switched,
    /// The stream failed, was misused, or took too long.
    GivenUp,
}

impl Route {
    /// The route after `step`; `None` if it cannot happen on this one.
    pub(super) fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Polling, Step::StreamOpened(deadline)) => Some(Self::Probing(deadline)),
            (Self::Probing(deadline), Step::ProbeAnswered) => Some(Self::Paused(deadline)),
            (Self::Paused(_), Step::Switched) => Some(Self::Stream),
            (Self::Probing(_) | Self::Paused(_), Step::GivenUp) => Some(Self::Polling),
            _ => None,
        }
    }

    /// The lane which carries messages.
    pub(super) fn lane(self) -> Option<Lane> {
        match self {
            Self::Polling | Self::Probing(_) => Some(Lane::Polling),
            Self::Paused(_) => None,
            Self::Stream => Some(Lane::Stream),
        }
    }

    /// When the upgrade under way is given up.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Probing(deadline) | Self::Paused(deadline) => Some(deadline),
            Self::Polling | Self::Stream => None,
        }
    }

    /// Whether messages and heartbeats are held back.
    pub(super) fn is_paused(self) -> bool {
        matches!(self, Self::Paused(_))
    }
}

impl From<Lane> for Route {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Polling => Self::Polling,
            Lane::Stream => Self::Stream,
        }
    }
}
