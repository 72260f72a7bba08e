//! Whether connections break after the same silence again and again.

use crate::time::Duration;

/// How long the last few connections had been idle that broke without a word.
///
/// Lines that fail do so after a silence of any length. If many break after the same one, to within half a second,
/// something between the two ends gives up what is idle: a proxy, a load balancer, a NAT.
///
/// ```
/// use std::time::Duration;
/// use sockeye_engine::Rhythm;
///
/// let mut rhythm = Rhythm::default();
/// let idle = [60.0, 13.0, 60.1, 59.9, 8.0, 60.0, 60.0, 13.1].map(Duration::from_secs_f64);
/// let regular = idle.map(|idle| rhythm.note(idle));
/// assert_eq!(regular, [false, false, false, false, false, false, true, false]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rhythm {
    /// In milliseconds; 0: none yet.
    last: [u32; LAST],
    next: usize,
}

impl Rhythm {
    /// One more has broken that had been idle for so long; whether four of the eight before had been as long. Less than 5 s
    /// is no silence.
    pub fn note(&mut self, idle: Duration) -> bool {
        let idle = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX);
        if idle < LEAST {
            return false;
        }
        let alike = self.last.iter().filter(|last| **last > 0 && last.abs_diff(idle) <= ALIKE).count();
        if let Some(last) = self.last.get_mut(self.next) {
            *last = idle;
        }
        self.next = (self.next + 1) % LAST;
        alike >= ENOUGH
    }
}

/// As many are remembered.
const LAST: usize = 8;
/// As many of them must have been alike.
const ENOUGH: usize = 4;
/// Milliseconds, so many of which two may differ.
const ALIKE: u32 = 500;
/// Milliseconds that are a silence.
const LEAST: u32 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silences_of_any_length_are_no_rhythm() {
        let mut rhythm = Rhythm::default();
        let mut dice = 1_u32;
        let regular = (0..1_000).filter(|_| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            rhythm.note(Duration::from_millis(u64::from(dice >> 16) * 25_000 / 65_536))
        });
        assert!(regular.count() <= 3);
    }

    #[test]
    fn what_is_short_or_long_ago_does_not_count() {
        let mut rhythm = Rhythm::default();
        assert!((0..100).all(|_| !rhythm.note(Duration::from_millis(4_999))));
        let minute = Duration::from_mins(1);
        assert_eq!([(); 5].map(|()| rhythm.note(minute)), [false, false, false, false, true]);
        for other in 0..8 {
            assert!(!rhythm.note(Duration::from_secs(100 + 10 * other)));
        }
        assert!(!rhythm.note(minute), "those before are forgotten");
    }

    #[test]
    fn longer_than_can_be_counted_is_alike() {
        let mut rhythm = Rhythm::default();
        assert_eq!([(); 5].map(|()| rhythm.note(Duration::MAX)).last(), Some(&true));
    }
}
