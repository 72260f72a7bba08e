//! Generated packets of MessagePack: damaged ones, and ones of every format that a value can have.

use sockeye_fuzz_targets::mutation::Random;

use crate::corpus::{damaged, mostly, one};

const INTEGERS: [u64; 10] = [0, 1, 127, 128, 255, 256, 65_536, 1 << 32, (1 << 53) + 1, u64::MAX];
const TEXTS: [&[u8]; 8] = [b"a", b"", b"two", "é\u{1f600}".as_bytes(), b"\0", b"123", b"constructor", b"__proto__"];
/// Not UTF-8: cut off, a surrogate, too long a form, a byte that is none.
const ODD_TEXTS: [&[u8]; 5] = [b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xff", b"a\xf0\x9f\x98"];

pub(crate) fn packet(random: &mut Random) -> Vec<u8> {
    loop {
        let packet = any(random);
        // Theirs would fill a buffer of the length that a damaged extension claims, byte by byte, for minutes.
        if !packet.windows(2).any(|pair| matches!(pair, [0xc9, most] if *most > 0)) {
            return packet;
        }
    }
}

fn any(random: &mut Random) -> Vec<u8> {
    if random.below(2) == 0 {
        return seeded(random);
    }
    let packet = composed(random);
    if random.below(8) == 0 { damaged(&[&packet], random) } else { packet }
}

fn seeded(random: &mut Random) -> Vec<u8> {
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

/// The fields in any order, some twice, some missing, others in between.
fn composed(random: &mut Random) -> Vec<u8> {
    let kind = *mostly(&[2_u8, 2, 3], &[0, 1, 4, 5], random);
    let mut fields = vec![field(b"type", |out| integer(out, u64::from(kind), random))];
    let path: &[u8] =
        mostly::<&[u8]>(&[b"/", b"/admin"], &[b"/other", b"", b"admin", b"/admin?x", b"/a,b", b"/\xff"], random);
    fields.push(field(b"nsp", |out| text(out, path, random)));
    if kind != 1 || random.below(4) == 0 {
        let mut data = Vec::new();
        match kind {
            0 | 4 if random.below(4) > 0 => map(&mut data, 3, random),
            2 | 3 if random.below(20) > 0 => list(&mut data, kind == 2, random),
            _ => value(&mut data, 2, random),
        }
        fields.push(field(b"data", |out| out.extend(data)));
    }
    if kind == 3 || random.below(3) == 0 {
        fields.push(field(b"id", |out| match random.below(16) {
            0 => value(out, 0, random),
            1 => float(out, *one(&[7.0, 7.5, -1.0, 1e300], random), random),
            _ => integer(out, *one(&INTEGERS, random), random),
        }));
    }
    match random.below(16) {
        0 => fields.push(field(b"options", |out| value(out, 2, random))),
        1 => fields.push(one(&fields, random).clone()),
        2 => drop(fields.remove(random.below(fields.len()))),
        _ => {}
    }
    let at = random.below(fields.len() + 1);
    fields.rotate_left(at);
    let mut out = Vec::new();
    head(&mut out, [Some(0x80), None, Some(0xde), Some(0xdf)], fields.len(), random);
    [out, fields.concat()].concat()
}

fn field(key: &[u8], write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0xa0 | u8::try_from(key.len()).unwrap_or(0)];
    out.extend(key);
    write(&mut out);
    out
}

fn list(out: &mut Vec<u8>, named: bool, random: &mut Random) {
    let args = random.below(4);
    head(out, [Some(0x90), None, Some(0xdc), Some(0xdd)], args + usize::from(named), random);
    if named {
        match random.below(12) {
            0 => value(out, 1, random),
            1 => text(out, one::<&[u8]>(&[b"connect", b"disconnecting", b"\xff"], random), random),
            _ => text(out, b"event", random),
        }
    }
    (0..args).for_each(|_| value(out, 3, random));
}

fn map(out: &mut Vec<u8>, depth: usize, random: &mut Random) {
    let pairs = random.below(4);
    head(out, [Some(0x80), None, Some(0xde), Some(0xdf)], pairs, random);
    for _ in 0..pairs {
        if random.below(4) == 0 {
            value(out, depth.min(1), random);
        } else {
            text(out, one::<&[u8]>(&TEXTS, random), random);
        }
        value(out, depth, random);
    }
}

fn value(out: &mut Vec<u8>, depth: usize, random: &mut Random) {
    match random.below(if depth == 0 { 8 } else { 10 }) {
        0 => out.push(*one(&[0xc0, 0xc2, 0xc3], random)),
        1 => integer(out, *one(&INTEGERS, random), random),
        2 => negative(out, random),
        3 => float(
            out,
            *one(&[0.0, -0.0, 1.5, 1e21, 5e-324, f64::NAN, f64::INFINITY, 0.1, 16_777_217.0], random),
            random,
        ),
        4 => text(out, mostly::<&[u8]>(&TEXTS, &ODD_TEXTS, random), random),
        5 => binary(out, random),
        6 => extension(out, random),
        7 if random.below(20) == 0 => {
            out.extend([0x91].repeat(120 + random.below(12)));
            out.push(0);
        }
        7 => text(out, b"text", random),
        8 => {
            let items = random.below(4);
            head(out, [Some(0x90), None, Some(0xdc), Some(0xdd)], items, random);
            (0..items).for_each(|_| value(out, depth - 1, random));
        }
        _ => map(out, depth - 1, random),
    }
}

/// Begins what has a length: `formats` for one of up to four bits, and of one, two and four bytes. Usually the shortest.
fn head(out: &mut Vec<u8>, formats: [Option<u8>; 4], length: usize, random: &mut Random) {
    let first = if random.below(4) > 0 { 0 } else { random.below(4) };
    let chosen = (first..4).find_map(|at| formats[at].map(|format| (at, format)));
    let Some((at, format)) = chosen else { return };
    let length = u32::try_from(length).unwrap_or(0).to_be_bytes();
    match at {
        0 => out.push(format | length[3]),
        1 => out.extend([format, length[3]]),
        2 => out.extend([format, length[2], length[3]]),
        _ => out.extend([&[format], &length[..]].concat()),
    }
}

fn text(out: &mut Vec<u8>, text: &[u8], random: &mut Random) {
    head(out, [Some(0xa0), Some(0xd9), Some(0xda), Some(0xdb)], text.len(), random);
    out.extend(text);
}

fn binary(out: &mut Vec<u8>, random: &mut Random) {
    let bytes: Vec<u8> = (0..random.below(6)).map(|_| random.number().to_le_bytes()[0]).collect();
    head(out, [None, Some(0xc4), Some(0xc5), Some(0xc6)], bytes.len(), random);
    out.extend(bytes);
}

/// `undefined`, dates, `ArrayBuffer`s, and others, of which most mean nothing.
fn extension(out: &mut Vec<u8>, random: &mut Random) {
    match random.below(6) {
        0 => out.extend([0xd4, 0, 0]),
        1 | 2 => {
            let date =
                *one(&[0, 1, -1, 1_700_000_000_123, 8_640_000_000_000_000, 8_640_000_000_000_001, i64::MIN], random);
            out.extend([0xd7, 0]);
            out.extend(i64::to_be_bytes(date));
        }
        3 => {
            let size = random.below(5);
            out.extend([0xd4 + u8::try_from(size).unwrap_or(0), *one(&[0, 5, 0xff], random)]);
            out.extend((0..1 << size).map(|_| random.number().to_le_bytes()[0]));
        }
        _ => {
            let length = random.below(13);
            head(out, [None, Some(0xc7), Some(0xc8), Some(0xc9)], length, random);
            out.push(*mostly(&[0], &[5, 0xff], random));
            out.extend((0..length).map(|_| random.number().to_le_bytes()[0]));
        }
    }
}

/// In a format that it fits into, usually the shortest.
fn integer(out: &mut Vec<u8>, number: u64, random: &mut Random) {
    let bytes = number.to_be_bytes();
    let least = match number {
        0..=0x7f => 0,
        0x80..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 3,
        _ => 4,
    };
    match if random.below(4) > 0 { least } else { least.max(random.below(5)) } {
        0 => out.push(bytes[7]),
        1 => out.extend([0xcc, bytes[7]]),
        2 => out.extend([&[0xcd], &bytes[6..]].concat()),
        3 => out.extend([&[0xce], &bytes[4..]].concat()),
        _ => out.extend([&[0xcf], &bytes[..]].concat()),
    }
}

/// In the signed formats; some are not negative.
fn negative(out: &mut Vec<u8>, random: &mut Random) {
    let size = random.below(5);
    if size == 0 {
        return out.push(0xe0 | random.number().to_le_bytes()[0]);
    }
    let bytes = match random.below(3) {
        0 => random.number().to_be_bytes(),
        _ => i64::to_be_bytes(*one(&[-1, -128, -32_768, -2_147_483_648, i64::MIN, i64::MAX, 5], random)),
    };
    let length = 1 << (size - 1);
    out.push(0xd0 + u8::try_from(size - 1).unwrap_or(0));
    out.extend(&bytes[8 - length..]);
}

/// This one, or any.
fn float(out: &mut Vec<u8>, number: f64, random: &mut Random) {
    let number = match random.below(4) {
        0 => f64::from_bits(random.number()),
        1 => f64::from(f32::from_bits((random.number() >> 32).try_into().unwrap_or(0))),
        _ => number,
    };
    #[expect(clippy::cast_possible_truncation, reason = "the nearest will do")]
    let short = number as f32;
    if random.below(2) == 0 {
        out.push(0xca);
        return out.extend(short.to_be_bytes());
    }
    out.push(0xcb);
    out.extend(number.to_be_bytes());
}
