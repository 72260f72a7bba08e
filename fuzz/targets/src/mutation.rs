//! Small damage to inputs, the same for the same seed: what ordinary tests try in place of a fuzzer.

/// A source of pseudo-random numbers. Its steps are those of SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % bound).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.number().to_le_bytes()[0]
    }
}

/// Values at which parsers change their minds.
const EDGES: [&[u8]; 22] = [
    b"",
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b",",
    b"-",
    b"/",
    b":",
    b"\x1e",
    b"b",
    b"9",
    b"0",
    b"\xf0\x9f\x98\x80",
    b"18446744073709551616",
    b"\xed\xa0\x80",
    b"{\"_placeholder\":true,\"num\":0}",
];

/// `seed` with one to eight changes, some of them taken from `others`.
pub fn mutate(seed: &[u8], others: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(8) {
        change(&mut bytes, others, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, others: &[&[u8]], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(8)).min(bytes.len());
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => bytes.insert(at, random.byte()),
        3 => {
            let edge = EDGES[random.below(EDGES.len())];
            bytes.splice(at..end, edge.iter().copied());
        }
        4 => {
            let copy = bytes[at..end].repeat(random.below(5));
            bytes.splice(at..at, copy);
        }
        5 => {
            let other = others.get(random.below(others.len())).copied().unwrap_or_default();
            let from = random.below(other.len() + 1);
            bytes.splice(at.., other[from..].iter().copied());
        }
        6 => bytes[at..end].reverse(),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}
