//! Doubt whether the server is still there: it is asked, and until it answers nothing is sent that would be lost.

use std::time::{Duration, Instant};

use crate::time::after;

/// Whether what was heard of the server still counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It was asked.
    Asked { since: Instant },
    /// It has to be asked.
    New,
    #[default]
    None,
}

impl Doubt {
    /// There is reason for doubt.
    pub(super) fn raise(&mut self) {
        if *self == Self::None {
            *self = Self::New;
        }
    }

    pub(super) fn asked(&mut self, now: Instant) {
        *self = Self::Asked { since: now };
    }

    /// The question is lost: it has to be asked again.
    pub(super) fn renew(&mut self) {
        if matches!(self, Self::Asked { .. }) {
            *self = Self::New;
        }
    }

    /// The answer may have arrived, and is not being read; or the question is still on its way.
    pub(super) fn put_off(&mut self, now: Instant) {
        if let Self::Asked { since } = self {
            *since = now;
        }
    }

    /// Something else has arrived. At first it may have been waiting here for long.
    pub(super) fn heard(&mut self, now: Instant) {
        if matches!(self, Self::Asked { since } if now >= after(*since, STALE)) {
            self.settle();
        }
    }

    /// It has answered. What answers an earlier question says nothing.
    pub(super) fn settle(&mut self) {
        if matches!(self, Self::Asked { .. }) {
            *self = Self::None;
        }
    }

    pub(super) fn is_any(self) -> bool {
        self != Self::None
    }

    pub(super) fn is_new(self) -> bool {
        self == Self::New
    }

    /// Whether it had its time, and was silent.
    pub(super) fn is_confirmed(self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Asked { since } => Some(after(since, PATIENCE)),
            Self::New | Self::None => None,
        }
    }
}

/// How long the server may be silent when it was asked.
const PATIENCE: Duration = Duration::from_secs(5);
/// What had arrived before the question is read by then.
const STALE: Duration = Duration::from_secs(1);
