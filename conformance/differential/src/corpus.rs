//! Generated input: well-formed for the most part, damaged for the rest.

use sockeye_fuzz_targets::mutation::{Random, mutate};

use crate::tree::Tree;

/// A message of Socket.IO as it arrives: text or bytes.
pub(crate) type Arriving = Result<String, Vec<u8>>;

/// Characters at which encodings change: ASCII, escapes, two to four bytes, separators.
pub(crate) const CHARACTERS: [char; 22] = [
    'a',
    'b',
    'Z',
    '0',
    '9',
    ' ',
    '"',
    '\\',
    '/',
    '\n',
    '\u{1}',
    '\u{1e}',
    '\u{7f}',
    'é',
    '€',
    '\u{2028}',
    '\u{fffd}',
    '\u{1f600}',
    '\u{10ffff}',
    ',',
    '-',
    '{',
];

/// Without `__proto__`, which the official encoders lose, and `_placeholder`, by which they take a value for an attachment.
const KEYS: [&str; 7] = ["a", "key", "constructor", "num", "é", "", "toJSON2"];

/// Texts that numbers are written as, and at which readers of numbers fail.
pub(crate) const NUMBERS: [&str; 22] = [
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "1e3",
    "1E-7",
    "0.1",
    "123456789012345678",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "1e21",
    "1.7976931348623157e308",
    "5e-324",
    "2.2250738585072011e-308",
    "0.30000000000000004",
    "1e23",
    "8.41e21",
    "4.35",
    "100000000000000000000000",
];

pub(crate) fn one<'a, T>(items: &'a [T], random: &mut Random) -> &'a T {
    &items[random.below(items.len())]
}

pub(crate) fn text(random: &mut Random, most: usize) -> String {
    (0..random.below(most + 1)).map(|_| *one(&CHARACTERS, random)).collect()
}

/// A value; `binary` says whether there may be bytes in it.
pub(crate) fn tree(random: &mut Random, depth: usize, binary: bool) -> Tree {
    match random.below(if depth == 0 { 5 } else { 8 }) {
        0 => Tree::Null,
        1 => Tree::Bool(random.below(2) == 0),
        2 => number(random),
        3 if binary => Tree::Bytes((0..random.below(20)).map(|_| random.number().to_le_bytes()[0]).collect()),
        3 | 4 => Tree::Text(text(random, 12)),
        5 | 6 => Tree::List((0..random.below(4)).map(|_| tree(random, depth - 1, binary)).collect()),
        _ => Tree::Map(map(random, depth - 1, binary)),
    }
}

fn number(random: &mut Random) -> Tree {
    let drawn = f64::from_bits(random.number());
    if random.below(2) == 0 && drawn.is_finite() {
        return Tree::Number(drawn);
    }
    Tree::Number(one(&NUMBERS, random).parse().unwrap_or(0.0))
}

pub(crate) fn map(random: &mut Random, depth: usize, binary: bool) -> Vec<(String, Tree)> {
    let mut pairs: Vec<(String, Tree)> = Vec::new();
    for _ in 0..random.below(4) {
        let key = *one(&KEYS, random);
        // With both keys it would be a placeholder to the other side, which is no difference between the two.
        if !pairs.iter().any(|(other, _)| other == key) && key != "num" {
            pairs.push((key.to_owned(), tree(random, depth, binary)));
        }
    }
    pairs
}

/// Eight in ten of `usual`, the others of `odd`.
pub(crate) fn mostly<'a, T>(usual: &'a [T], odd: &'a [T], random: &mut Random) -> &'a T {
    one(if random.below(10) < 8 { usual } else { odd }, random)
}

/// One of the seeds; every other time with changes.
pub(crate) fn damaged(seeds: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let seed = *one(seeds, random);
    if random.below(2) == 0 { seed.to_vec() } else { mutate(seed, seeds, random) }
}
