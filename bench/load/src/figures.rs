//! What a measurement gives, and how much is measured.

use std::collections::BTreeMap;
use std::time::Duration;

/// Figures by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Metrics(pub(crate) BTreeMap<String, f64>);

impl Metrics {
    pub(crate) fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// A look: seconds, few clients.
    Quick,
    /// Figures to publish.
    Full,
}

impl Scale {
    pub(crate) fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }

    pub(crate) fn warm_up(self) -> Duration {
        self.pick(Duration::from_millis(300), Duration::from_secs(1))
    }

    pub(crate) fn measure(self) -> Duration {
        self.pick(Duration::from_secs(1), Duration::from_secs(4))
    }

    pub(crate) fn settle(self) -> Duration {
        self.pick(Duration::from_secs(2), Duration::from_secs(5))
    }
}
