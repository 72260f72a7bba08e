//! Giving memory back: when a crowd has left, what it had made large becomes small again.

/// Room for so many is kept in any case.
const SMALL: usize = 64;

/// What to shrink to, if hardly an eighth of the room is in use: rarely enough that removing stays cheap on average.
pub(crate) fn fit(length: usize, capacity: usize) -> Option<usize> {
    (capacity > SMALL && length < capacity / 8).then_some(length * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_nearly_empty_shrinks() {
        assert_eq!(fit(0, SMALL), None);
        assert_eq!(fit(100, 800), None);
        assert_eq!(fit(99, 800), Some(198));
        assert_eq!(fit(0, 1_000_000), Some(0));
    }
}
