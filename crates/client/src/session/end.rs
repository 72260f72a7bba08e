//! How a session has ended, and what is known of why.

use std::time::{Duration, Instant};

use sockeye_engine::CloseReason;

use crate::error::ConnectError;
use crate::time::after;

/// The end of one session.
#[derive(Debug, Default)]
pub(super) struct End {
    reason: Option<CloseReason>,
    /// The server ended it while a POST was under way: until then its answer, which may say why, is waited for.
    parting: Option<Instant>,
    /// What ended it, if more is known than the reason.
    failure: Option<ConnectError>,
}

impl End {
    /// The session is over; `is_asked`: the answer to a POST is still to come.
    pub(super) fn came(&mut self, reason: CloseReason, is_asked: bool, now: Instant) {
        self.reason = Some(reason);
        let is_waiting = is_asked && reason == CloseReason::TransportClose;
        self.parting = is_waiting.then(|| after(now, PARTING));
    }

    /// The layer above has ended it.
    pub(super) fn force(&mut self, reason: CloseReason) {
        self.reason.get_or_insert(reason);
    }

    /// Nothing more is waited for.
    pub(super) fn part(&mut self) {
        self.parting = None;
    }

    /// What has ended it; the first one counts.
    pub(super) fn blame(&mut self, failure: ConnectError) {
        self.failure.get_or_insert(failure);
    }

    pub(super) fn take_failure(&mut self) -> Option<ConnectError> {
        self.failure.take()
    }

    /// Why it has ended, if it has and all is known that will be.
    pub(super) fn reason(&self) -> Option<CloseReason> {
        self.reason.filter(|_| self.parting.is_none())
    }

    /// Until when an answer is waited for.
    pub(super) fn parting(&self) -> Option<Instant> {
        self.parting
    }
}

/// How long the answer to a POST is waited for.
const PARTING: Duration = Duration::from_secs(1);
