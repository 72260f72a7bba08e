//! What is more than the server takes in one piece.

use std::sync::atomic::{AtomicUsize, Ordering};

use sockeye_engine::{Encoded, Lane, payload};
use sockeye_protocol::Outgoing;
use sockeye_protocol::event::EmitError;

/// The longest message that the server takes, if it has said so (`maxPayload` of its handshake). What is longer would end
/// the connection by 1009 or 413.
#[derive(Debug)]
pub(crate) struct Measure(AtomicUsize);

impl Default for Measure {
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl Measure {
    /// What the server of the next packets has said; `None` if there is none, or it said nothing.
    pub(crate) fn set(&self, max_bytes: Option<usize>) {
        self.0.store(max_bytes.filter(|limit| *limit > 0).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Whether the server takes a packet in any way. A body of polling has bytes as base64 and is longer, but there may be
    /// a WebSocket before the packet's turn has come.
    pub(crate) fn check(&self, packet: &Outgoing) -> Result<(), EmitError> {
        self.check_on(Lane::Stream, packet)
    }

    /// Whether the server takes a packet on this lane.
    pub(crate) fn check_on(&self, lane: Lane, packet: &Outgoing) -> Result<(), EmitError> {
        let max_bytes = self.0.load(Ordering::Relaxed);
        let longest = packet.messages().map(|message| length(lane, message)).max().unwrap_or_default();
        if longest > max_bytes { Err(EmitError::TooLarge { bytes: longest, max_bytes }) } else { Ok(()) }
    }
}

fn length(lane: Lane, message: &Encoded) -> usize {
    match lane {
        Lane::Polling => payload::encoded_len(message),
        Lane::Stream => message.packet().len(),
    }
}
