//! What all clients together make the server hold of messages that have not come to their end.
//!
//! Each client has its own bounds; this is the one for many of them. What is judged is what is there, not what was
//! announced, and only where a message did not come in one piece: then, and no more than once for each read, a figure
//! that all share is touched.

use crate::limits::{Excess, Limit};
use crate::metrics::Metrics;

/// So much each may hold uncounted: whoever is cut off in the middle of a short message has done nothing to the others.
pub(crate) const FREE: usize = 16 * 1024;

/// What one connection, or one body, has counted. It must be set to 0 in the end. Small, as every connection has one; what
/// is more than 4 GiB counts as that.
#[derive(Debug, Default)]
pub(crate) struct Share(u32);

impl Share {
    /// `kept` bytes are held now, and all together may hold `most`. They are counted even if that is too much, for as long
    /// as they are there.
    #[inline]
    pub(crate) fn set(&mut self, kept: usize, most: usize, metrics: &Metrics) -> Result<(), Excess> {
        let counted = u32::try_from(kept.saturating_sub(FREE)).unwrap_or(u32::MAX);
        if counted == self.0 { Ok(()) } else { self.change(counted, most, metrics) }
    }

    fn change(&mut self, counted: u32, most: usize, metrics: &Metrics) -> Result<(), Excess> {
        let before = std::mem::replace(&mut self.0, counted);
        let Some(more) = counted.checked_sub(before) else {
            metrics.unfinished_bytes.sub(u64::from(before - counted));
            return Ok(());
        };
        let total = usize::try_from(metrics.unfinished_bytes.add(u64::from(more))).unwrap_or(usize::MAX);
        if total > most { Err(Excess::new(Limit::Unfinished, total, most)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_and_given_back() {
        let metrics = Metrics::default();
        let (mut one, mut other) = (Share::default(), Share::default());
        assert_eq!(one.set(FREE, 100, &metrics), Ok(()));
        assert_eq!(metrics.unfinished_bytes.get(), 0, "what is short is free");
        assert_eq!(one.set(FREE + 60, 100, &metrics), Ok(()));
        assert_eq!(other.set(FREE + 40, 100, &metrics), Ok(()));
        assert_eq!(other.set(FREE + 41, 100, &metrics), Err(Excess::new(Limit::Unfinished, 101, 100)));
        assert_eq!(metrics.unfinished_bytes.get(), 101, "it is there until its owner has ended");
        assert_eq!(one.set(FREE + 30, 100, &metrics), Ok(()));
        assert_eq!(other.set(FREE + 70, 100, &metrics), Ok(()));
        assert_eq!((one.set(0, 0, &metrics), other.set(0, 0, &metrics)), (Ok(()), Ok(())));
        assert_eq!(metrics.unfinished_bytes.get(), 0);
    }

    #[test]
    fn a_share_beyond_its_figure_is_given_back_as_it_was_counted() {
        let metrics = Metrics::default();
        let mut share = Share::default();
        assert!(share.set(usize::MAX, 100, &metrics).is_err());
        assert_eq!(metrics.unfinished_bytes.get(), u64::from(u32::MAX));
        assert_eq!(share.set(0, 100, &metrics), Ok(()));
        assert_eq!(metrics.unfinished_bytes.get(), 0);
    }
}
