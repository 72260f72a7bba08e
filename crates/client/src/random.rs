//! Random bytes: keys of frames and of handshakes, jitter, ids.

/// Random bytes from the system, fetched by the block.
#[derive(Debug)]
pub(crate) struct Random {
    block: [u8; BLOCK],
    used: usize,
}

const BLOCK: usize = 256;

impl Random {
    pub(crate) fn new() -> Self {
        Self { block: [0; BLOCK], used: BLOCK }
    }

    /// Some bytes that nobody can foresee.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= BLOCK, "one block has to do") };
        let Some(bytes) = self.block.get(self.used..).and_then(|rest| rest.first_chunk::<N>()).copied() else {
            fill(&mut self.block);
            self.used = 0;
            return self.bytes();
        };
        self.used += N;
        bytes
    }
}

/// A number from 0 up to, not including, 1.
pub(crate) fn fraction() -> f64 {
    let mut bytes = [0; 4];
    fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// A text of digits and small letters for `t` in the query and for ids.
pub(crate) fn text(length: usize) -> String {
    let mut bytes = vec![0; length];
    fill(&mut bytes);
    bytes.iter().filter_map(|byte| char::from_digit(u32::from(byte & 31), 32)).collect()
}

#[expect(
    clippy::expect_used,
    reason = "the system's source does not fail after it has worked once; without it there is no safe way on"
)]
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system gives random bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_renewed() {
        let mut random = Random::new();
        let first: [u8; 200] = random.bytes();
        let second: [u8; 200] = random.bytes();
        assert_ne!(first, second);
    }

    #[test]
    fn fractions_are_below_one() {
        for _ in 0..1000 {
            assert!((0.0..1.0).contains(&fraction()));
        }
        assert_eq!(text(20).len(), 20);
    }
}
