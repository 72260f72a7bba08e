//! How buffers grow whose contents come in pieces.

/// How much room to reserve for `extra` bytes more: doubling, so that bytes dripped in cost linear time; for bytes
/// which are here, so that an announced length alone costs nothing; and to no more than `most` in all. 0 if there is room.
pub fn growth(length: usize, capacity: usize, extra: usize, most: usize) -> usize {
    let needed = length.saturating_add(extra);
    if needed <= capacity {
        return 0;
    }
    let target = capacity.saturating_mul(2).max(MIN_CAPACITY).min(most).max(needed);
    target - length
}

const MIN_CAPACITY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_doubles_up_to_the_bound() {
        assert_eq!(growth(0, 0, 0, 1000), 0);
        assert_eq!(growth(0, 0, 1, 1000), 64);
        assert_eq!(growth(0, 0, 1, 10), 10);
        assert_eq!(growth(64, 64, 1, 1000), 64);
        assert_eq!(growth(600, 600, 1, 1000), 400);
        assert_eq!(growth(600, 700, 100, 1000), 0);
        assert_eq!(growth(0, 0, 5000, 1000), 5000);
        assert_eq!(growth(usize::MAX - 1, usize::MAX - 1, 9, usize::MAX), 1);
    }

    #[test]
    fn a_byte_at_a_time_is_moved_a_few_times() {
        let (mut buffer, mut moves) = (Vec::new(), 0);
        for _ in 0..1_000_000 {
            let room = growth(buffer.len(), buffer.capacity(), 1, 1_000_000);
            buffer.reserve_exact(room);
            moves += usize::from(room > 0);
            buffer.push(0_u8);
        }
        assert_eq!((moves, buffer.capacity()), (15, 1_000_000));
    }
}
