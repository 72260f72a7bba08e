//! Doubt whether the server is still there: it is asked, and until it answers nothing is sent that would be lost.

use std::time::{Duration, Instant};

use crate::time::after;

/// Whether what was heard of the server still counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It was asked, and may be silent for so long.
    Asked { since: Instant, patience: Duration },
    /// It has to be asked.
    New { patience: Duration },
    #[default]
    None,
}

impl Doubt {
    /// There is reason for doubt. When it has been asked, the server may be silent for `patience`.
    pub(super) fn raise(&mut self, patience: Duration) {
        match self {
            Self::None => *self = Self::New { patience },
            Self::New { patience: before } | Self::Asked { patience: before, .. } => *before = patience.min(*before),
        }
    }

    pub(super) fn asked(&mut self, now: Instant) {
        if let Self::New { patience } = *self {
            *self = Self::Asked { since: now, patience };
        }
    }

    /// The question is lost: it has to be asked again.
    pub(super) fn renew(&mut self) {
        if let Self::Asked { patience, .. } = *self {
            *self = Self::New { patience };
        }
    }

    /// The answer may have arrived, and is not being read; or the question is still on its way.
    pub(super) fn put_off(&mut self, now: Instant) {
        if let Self::Asked { since, .. } = self {
            *since = now;
        }
    }

    /// Something else has arrived. At first it may have been waiting here for long.
    pub(super) fn heard(&mut self, now: Instant) {
        if matches!(self, Self::Asked { since, .. } if now >= after(*since, STALE)) {
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
        matches!(self, Self::New { .. })
    }

    /// Whether it had its time, and was silent.
    pub(super) fn is_confirmed(self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Asked { since, patience } => Some(after(since, patience)),
            Self::New { .. } | Self::None => None,
        }
    }
}

/// How long a server may be silent that is there and reads.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// What had arrived before the question is read by then.
const STALE: Duration = Duration::from_secs(1);
