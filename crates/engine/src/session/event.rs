//! What happened to a session, until the driver asks.

use crate::CloseReason;
use crate::handshake::Open;

/// What happened to the session itself. Messages are returned by [`Session::handle_packet`](super::Session::handle_packet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Client: the server's handshake arrived. Messages may be sent, and an upgrade may begin.
    Opened(Open),
    /// Messages now travel on [`Lane::Stream`](super::Lane::Stream); the polling transport is done with.
    Upgraded,
    /// An upgrade was given up; polling goes on. The driver closes the stream.
    UpgradeFailed,
    /// The session is over. It comes once, and no other event follows; packets may
    /// ([`Session::is_finished`](super::Session::is_finished)).
    Closed(CloseReason),
}

/// At most one event of each kind: the driver asks after every input.
#[derive(Debug, Default)]
pub(super) struct Events {
    opened: Option<Box<Open>>,
    upgrade: Option<Outcome>,
    closed: Option<CloseReason>,
}

/// How an upgrade ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Upgraded,
    Failed,
}

impl Events {
    /// The handshake arrived.
    pub(super) fn opened(&mut self, open: Open) {
        self.opened = Some(Box::new(open));
    }

    /// An upgrade ended.
    pub(super) fn upgraded(&mut self, outcome: Outcome) {
        self.upgrade = Some(outcome);
    }

    /// The session ended.
    pub(super) fn closed(&mut self, reason: CloseReason) {
        self.closed = Some(reason);
    }

    /// The next event, in the order in which they can happen.
    pub(super) fn poll(&mut self) -> Option<Event> {
        if self.is_empty() {
            return None;
        }
        if let Some(open) = self.opened.take() {
            return Some(Event::Opened(*open));
        }
        match self.upgrade.take() {
            Some(Outcome::Upgraded) => return Some(Event::Upgraded),
            Some(Outcome::Failed) => return Some(Event::UpgradeFailed),
            None => {}
        }
        self.closed.take().map(Event::Closed)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.opened.is_none() && self.upgrade.is_none() && self.closed.is_none()
    }
}
