//! Events which came before the answer to CONNECT.

use sockeye_protocol::event::Received;
use sockeye_protocol::{AckId, OwnedArgs};

/// What came too early, in arrival order.
#[derive(Default)]
pub(super) struct Early {
    events: Vec<Event>,
    /// Sum of names and arguments over `events`.
    bytes: usize,
}

pub(super) struct Event {
    pub(super) name: Box<str>,
    pub(super) args: OwnedArgs,
    pub(super) ack: Option<AckId>,
}

impl Early {
    /// Keeps an event; false if they are too many.
    pub(super) fn keep(&mut self, received: &Received<'_>) -> bool {
        self.bytes += received.args.size() + received.name.len();
        if self.events.len() >= MAX_EVENTS || self.bytes > MAX_BYTES {
            return false;
        }
        let (name, args) = (received.name.into(), received.args.to_owned());
        self.events.push(Event { name, args, ack: received.ack });
        true
    }

    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(self).events
    }
}

const MAX_EVENTS: usize = 65_536;
const MAX_BYTES: usize = 64 * 1024 * 1024;
