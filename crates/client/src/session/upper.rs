//! What is above a carrier.

use std::task::Context;
use std::time::Instant;

use sockeye_engine::handshake::Open;
use sockeye_engine::{Lane, Message};

use crate::cause::Cause;

/// What is above a carrier.
pub(crate) trait Upper {
    /// The server's handshake has arrived.
    fn opened(&mut self, open: &Open, now: Instant);
    /// A message has arrived. An error ends the session, as what cannot be decoded does.
    fn received(&mut self, message: Message<'_>, now: Instant, cx: &mut Context<'_>) -> Result<(), Cause>;
    /// Whether handlers are so far behind that no more should be read.
    fn is_congested(&self) -> bool;
    /// The next packet to send on `lane`.
    fn next_packet(&mut self, lane: Lane) -> Option<sockeye_protocol::Outgoing>;
}
