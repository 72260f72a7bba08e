//! How far handlers and checks are behind, and when that is too far for reading on.

use super::body::Body;
use super::occupant::{Load, Occupant};

/// Bytes of CONNECTs that may wait for decisions before a namespace was joined.
pub(crate) const UNDECIDED: usize = 2 * 1024;
/// How many times as many events may wait for handlers while an answer of the client is waited for.
pub(crate) const ASKING: usize = 4;

impl Body {
    /// Whether handlers, or checks of `authorize`, are so far behind that no more should be read.
    #[inline]
    pub(crate) fn is_congested(&self) -> bool {
        // Nearly always nothing waits, which is seen quickly, and asked several times for each message.
        let at_ease = |occupant: &Occupant| match occupant {
            Occupant::Asking(_) => false,
            Occupant::Empty => true,
            Occupant::Joined(joined) => joined.is_at_ease(),
        };
        let calm = self.departing.is_empty() && self.sockets.iter().all(at_ease);
        !(calm && self.has_joined()) && self.is_behind()
    }

    fn is_behind(&self) -> bool {
        let config = &self.core.config;
        let (mut undecided, mut load) = (0, Load::default());
        for occupant in &self.sockets {
            match occupant {
                Occupant::Joined(joined) => load += joined.load(),
                Occupant::Asking(asking) => undecided += asking.size,
                Occupant::Empty => {}
            }
        }
        // Who leaves and joins again leaves behind what waits: it counts for as long as it is there.
        for departing in &self.departing {
            load += departing.load();
        }
        // One socket at a time may be at events of any size, or none that is larger than the bound could be handled.
        let bytes = load.bytes.saturating_add(load.in_hand - load.most_in_hand);
        let is_behind = |times| {
            load.events >= config.max_waiting_events.saturating_mul(times)
                || bytes >= config.max_waiting_bytes.saturating_mul(times)
        };
        // A handler may wait for its own client, whose answer stands behind these events: only reading on gets there.
        let handlers_are_behind = is_behind(1) && (is_behind(ASKING) || !self.is_asking());
        let many_are_leaving = self.departing.len() > config.protocol.max_namespaces;
        let most =
            if self.has_joined() { config.unconnected_payload } else { UNDECIDED.min(config.unconnected_payload) };
        handlers_are_behind || many_are_leaving || undecided >= most
    }

    /// Bytes of CONNECTs that wait for a decision.
    pub(super) fn undecided(&self) -> usize {
        let size = |occupant: &Occupant| if let Occupant::Asking(asking) = occupant { asking.size } else { 0 };
        self.sockets.iter().map(size).sum()
    }

    /// Whether an answer of this client is waited for.
    fn is_asking(&self) -> bool {
        self.sockets.iter().any(|occupant| matches!(occupant, Occupant::Joined(joined) if joined.is_asking()))
    }
}
