//! Figures by cause: one for each value of an enum.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::DisconnectReason;
use crate::hooks::ErrorCode;
use crate::limits::Limit;

/// Figures by cause, such as [`DisconnectReason`]: one for each of its values, all of them from the beginning on.
///
/// ```
/// use sockeye::{DisconnectReason, Server};
///
/// let io = Server::new();
/// let disconnects = io.metrics().disconnects;
/// assert_eq!(disconnects.get(DisconnectReason::PingTimeout), 0);
/// for (reason, count) in disconnects.iter() {
///     println!("{reason}: {count}");
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tally<K> {
    figures: [u64; MOST],
    kind: PhantomData<K>,
}

/// What figures can be kept by.
pub trait Kind: Copy + sealed::Sealed {
    /// The names of all kinds, each at its place.
    #[doc(hidden)]
    const NAMES: &'static [&'static str];

    /// Where its figure is; below the number of `NAMES`.
    #[doc(hidden)]
    fn place(self) -> usize;
}

impl<K: Kind> Tally<K> {
    /// How often this was the cause.
    pub fn get(&self, kind: K) -> u64 {
        self.figures[kind.place()]
    }

    /// How often there was any cause.
    pub fn total(&self) -> u64 {
        self.figures.iter().sum()
    }

    /// All figures with the names of their causes, those which are 0 among them. The names are fit for the labels of a
    /// metrics system: they never change with what clients do.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        K::NAMES.iter().copied().zip(self.figures)
    }
}

impl<K: Kind> Default for Tally<K> {
    fn default() -> Self {
        Self { figures: [0; MOST], kind: PhantomData }
    }
}

impl<K: Kind> fmt::Debug for Tally<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().filter(|(_, count)| *count > 0)).finish()
    }
}

/// A tally that goes on.
#[derive(Debug)]
pub(crate) struct Counts<K> {
    figures: [AtomicU64; MOST],
    kind: PhantomData<K>,
}

impl<K: Kind> Default for Counts<K> {
    fn default() -> Self {
        Self { figures: [const { AtomicU64::new(0) }; MOST], kind: PhantomData }
    }
}

impl<K: Kind> Counts<K> {
    pub(crate) fn up(&self, kind: K) {
        self.figures[kind.place()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Tally<K> {
        let figures = std::array::from_fn(|at| self.figures[at].load(Ordering::Relaxed));
        Tally { figures, kind: PhantomData }
    }
}

/// The most kinds that any enum here has.
const MOST: usize = 27;

mod sealed {
    pub trait Sealed {}
}

macro_rules! kinds {
    ($enum:ident { $($name:literal: $pattern:pat),* $(,)? }) => {
        impl sealed::Sealed for $enum {}

        impl Kind for $enum {
            const NAMES: &'static [&'static str] = &[$($name),*];

            fn place(self) -> usize {
                const { assert!(<$enum as Kind>::NAMES.len() <= MOST) };
                let name = match self { $($pattern => $name),* };
                // Causes are counted at the end of something, never on the way of a message.
                Self::NAMES.iter().position(|other| *other == name).unwrap_or_default()
            }
        }
    };
}

kinds! {
    DisconnectReason {
        "client namespace disconnect": Self::ClientDisconnect,
        "forced close": Self::ForcedClose,
        "forced server close": Self::ForcedServerClose,
        "limit exceeded": Self::LimitExceeded(_),
        "parse error": Self::ParseError,
        "ping timeout": Self::PingTimeout,
        "server namespace disconnect": Self::ServerDisconnect,
        "server shutting down": Self::ServerShuttingDown,
        "slow consumer": Self::SlowConsumer,
        "transport close": Self::TransportClose,
        "transport error": Self::TransportError,
    }
}

kinds! {
    Limit {
        "attachment bytes": Self::AttachmentBytes,
        "attachment time": Self::AttachmentTime,
        "attachments": Self::Attachments,
        "bytes per second": Self::BytesPerSecond,
        "connections": Self::Connections,
        "connections per address": Self::ConnectionsPerAddress,
        "connect time": Self::ConnectTime,
        "decision time": Self::DecisionTime,
        "depth": Self::Depth,
        "events per second": Self::EventsPerSecond,
        "fragments": Self::Fragments,
        "handshakes": Self::Handshakes,
        "handshakes per address": Self::HandshakesPerAddress,
        "head bytes": Self::HeadBytes,
        "headers": Self::Headers,
        "namespaces": Self::Namespaces,
        "outbox": Self::Outbox,
        "payload": Self::Payload,
        "pending acks": Self::PendingAcks,
        "room name": Self::RoomName,
        "rooms": Self::Rooms,
        "sessions": Self::Sessions,
        "sessions per address": Self::SessionsPerAddress,
        "unconnected payload": Self::UnconnectedPayload,
        "unfinished": Self::Unfinished,
        "unproven visitors": Self::UnprovenVisitors,
        "visitors": Self::Visitors,
    }
}

kinds! {
    ErrorCode {
        "transport unknown": Self::TransportUnknown,
        "session unknown": Self::UnknownSession,
        "bad method": Self::BadMethod,
        "bad request": Self::BadRequest,
        "forbidden": Self::Forbidden,
        "unsupported version": Self::UnsupportedVersion,
        "busy": Self::Busy,
        "internal": Self::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_figure_of_its_own() {
        let counts = Counts::<DisconnectReason>::default();
        counts.up(DisconnectReason::PingTimeout);
        counts.up(DisconnectReason::LimitExceeded(Limit::Depth));
        counts.up(DisconnectReason::LimitExceeded(Limit::BytesPerSecond));
        let tally = counts.get();
        assert_eq!((tally.get(DisconnectReason::PingTimeout), tally.get(DisconnectReason::ParseError)), (1, 0));
        assert_eq!(tally.get(DisconnectReason::LimitExceeded(Limit::EventsPerSecond)), 2, "one for all limits");
        assert_eq!((tally.total(), tally.iter().count()), (3, 11));
        assert_eq!(format!("{tally:?}"), r#"{"limit exceeded": 2, "ping timeout": 1}"#);
    }

    #[test]
    fn names_differ_and_are_those_of_the_reasons() {
        fn differ<K: Kind>() -> bool {
            K::NAMES.iter().collect::<std::collections::HashSet<_>>().len() == K::NAMES.len()
        }
        assert!(differ::<DisconnectReason>() && differ::<Limit>() && differ::<ErrorCode>());
        for reason in [DisconnectReason::ForcedServerClose, DisconnectReason::TransportClose] {
            assert_eq!(DisconnectReason::NAMES[reason.place()], reason.as_str());
        }
    }
}
