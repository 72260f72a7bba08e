//! Generated input: well-formed for the most part, damaged for the rest.

use sockeye_fuzz_targets::mutation::{Random, mutate};

use crate::tree::Tree;

/// Characters at which encodings change: ASCII, escapes, two to four bytes, separators.
const CHARACTERS: [char; 22] = [
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
const NUMBERS: [&str; 22] = [
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

fn map(random: &mut Random, depth: usize, binary: bool) -> Vec<(String, Tree)> {
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

/// A polling body.
pub(crate) fn body(random: &mut Random) -> String {
    let seeds: [&[u8]; 9] = [
        b"4hello\x1e2\x1ebAQIDBA==",
        b"0{\"sid\":\"x\"}\x1e6",
        b"bAQIDBA\x1eb\x1ebAA==",
        "4€\x1e4\u{1f600}".as_bytes(),
        b"2probe\x1e3probe\x1e5\x1e1",
        b"4\x1e4\x1e4",
        b"",
        b"9x",
        b"4a\x1e\x1e4b",
    ];
    String::from_utf8_lossy(&damaged(&seeds, random)).into_owned()
}

/// Messages of a connection; what is bytes is binary.
pub(crate) fn messages(random: &mut Random) -> Vec<Result<String, Vec<u8>>> {
    let place = r#"{"_placeholder":true,"num":0}"#;
    let seeds = [
        r#"2["event",1,"two",{"three":[3]}]"#.to_owned(),
        format!(r#"2/admin,12["event",{}]"#, one(&NUMBERS, random)),
        r#"31[{"a":null}]"#.to_owned(),
        format!("51-[\"event\",{place}]"),
        format!("61-/admin,7[{place},[]]"),
        r#"52-["event",{"_placeholder":true,"num":1},{"x":{"_placeholder":true,"num":0}}]"#.to_owned(),
        r#"2["\u0061\ud83d\ude00\ud800","\\\"\/\b\f\n\r\t"]"#.to_owned(),
        r#"2[5,{"_placeholder":false},{"__proto__":1,"a":1,"a":2}]"#.to_owned(),
        r#"0/other,{"token":"x"}"#.to_owned(),
        "1".to_owned(),
        r#"2[ "event" , [ ] , { } ]"#.to_owned(),
        "2[\"event\",tru]".to_owned(),
    ];
    let seeds: Vec<&[u8]> = seeds.iter().map(String::as_bytes).collect();
    let mut messages = Vec::new();
    for _ in 0..=random.below(3) {
        let header = String::from_utf8_lossy(&damaged(&seeds, random)).into_owned();
        let attachments = if header.starts_with(['5', '6']) { 1 + random.below(2) } else { random.below(30) / 29 };
        messages.push(Ok(header));
        for _ in 0..attachments {
            messages.push(Err(vec![1, 2, 3]));
        }
    }
    messages
}

/// A packet of MessagePack, damaged.
pub(crate) fn packed(random: &mut Random) -> Vec<u8> {
    let seeds: [&[u8]; 8] = [
        b"\x83\xa4type\x02\xa4data\x93\xa1a\x01\xa3two\xa3nsp\xa1/",
        b"\x84\xa4type\x02\xa4data\x92\xa1a\xc4\x02xy\xa2id\x07\xa3nsp\xa6/admin",
        b"\x84\xa4type\x03\xa4data\x91\x81\xa1k\xcb\x3f\xf8\0\0\0\0\0\0\xa2id\x07\xa3nsp\xa1/",
        b"\x83\xa4type\x00\xa4data\x81\xa1k\xc0\xa3nsp\xa6/other",
        b"\x83\xa4type\x02\xa4data\x94\xa1a\xd4\0\0\xd7\0\0\0\x01\x7f\0\0\0\0\xc7\x02\0ab\xa3nsp\xa1/",
        b"\x83\xa4type\x02\xa4data\x96\xa1a\xcd\x12\x34\xd1\xff\x01\xcf\0\x20\0\0\0\0\0\0\xca\x3f\xc0\0\0\xe0\xa3nsp\xa1/",
        b"\x83\xa4type\x02\xa4data\x92\xa1a\x85\xcb\x3f\xf8\0\0\0\0\0\0\x01\xc4\x01b\x02\xc3\x03\xd4\0\0\x04\x92\x09\xc0\x05\xa3nsp\xa1/",
        b"\x82\xa4type\x01\xa3nsp\xa1/",
    ];
    damaged(&seeds, random)
}

/// One of the seeds; every other time with changes.
fn damaged(seeds: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let seed = *one(seeds, random);
    if random.below(2) == 0 { seed.to_vec() } else { mutate(seed, seeds, random) }
}
