//! What the log was told about a socket: clients can provoke as many warnings as they send events, and an operator needs one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::limits::Limit;

/// A bit for each thing that was said at `warn` about one socket, and is said at `debug` from then on.
#[derive(Debug, Default)]
pub(crate) struct Warned(AtomicU32);

impl Warned {
    /// Whether this is the first time that the socket ran into a limit of its rooms.
    pub(crate) fn is_first_beyond(&self, limit: Limit) -> bool {
        self.is_first(u32::from(limit == Limit::RoomName))
    }

    /// Whether this is the first failure of a handler for the socket `id`. Handlers outnumber bits: two of one socket may
    /// share one, but other two of another.
    pub(crate) fn is_first_failure(&self, id: &str, handler: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (id, handler).hash(&mut hasher);
        let place = hasher.finish() % u64::from(u32::BITS - LIMITS);
        self.is_first(LIMITS + u32::try_from(place).unwrap_or_default())
    }

    fn is_first(&self, place: u32) -> bool {
        let bit = 1 << place;
        self.0.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}

/// Bits that stand for limits.
const LIMITS: u32 = 2;

/// Logs at `warn` if `$is_first`, else at `debug`. A macro, as the level is part of where a line comes from.
macro_rules! warn_first {
    ($is_first:expr, $($what:tt)+) => {
        if $is_first { tracing::warn!($($what)+) } else { tracing::debug!($($what)+) }
    };
}
pub(crate) use warn_first;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_once() {
        let warned = Warned::default();
        for first in [true, false, false] {
            assert_eq!(warned.is_first_beyond(Limit::Rooms), first);
            assert_eq!(warned.is_first_beyond(Limit::RoomName), first);
            assert_eq!(warned.is_first_failure("id", "event"), first);
        }
        // However many names a client makes up.
        let said = (0..10_000).filter(|n| warned.is_first_failure("id", &n.to_string())).count();
        assert_eq!(said, 29);
    }

    #[test]
    fn handlers_that_share_a_bit_share_it_for_one_socket_only() {
        let share = |id: &str| {
            let warned = Warned::default();
            warned.is_first_failure(id, "a") && !warned.is_first_failure(id, "b")
        };
        let sharing = (0..1_000).filter(|n| share(&n.to_string())).count();
        assert!((1..100).contains(&sharing), "{sharing}");
    }
}
