//! Generated polling bodies.

use sockeye_fuzz_targets::mutation::Random;

use crate::corpus::{CHARACTERS, damaged, mostly, one};

/// Base64 whole, without its padding, with bits left over, with letters of other alphabets, and none at all.
const BASE64: [&str; 6] = ["", "AA==", "AQIDBA==", "////", "AQID", "+/8="];
const ODD_BASE64: [&str; 14] =
    ["AQIDBA", "AR==", "AQI", "A", "AQ=", "=", "AQ==AQ==", "A=Q=", "-_8=", "AQ ID", "AQ\nID", "AQID ", "é", "AQ\0D"];

/// Revision 4.
pub(crate) fn body(random: &mut Random) -> String {
    if random.below(2) == 0 {
        let packets: Vec<String> = (0..random.below(4)).map(|_| packet(random, "b")).collect();
        return packets.join(*one(&["\u{1e}", "\u{1e}", "\u{1e}", "\u{1e}\u{1e}", "\n"], random));
    }
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

/// Revision 3, text: lengths are UTF-16 code units.
pub(crate) fn body_v3(random: &mut Random) -> String {
    if random.below(3) == 0 {
        let seeds: [&[u8]; 5] =
            [b"6:4hello2:4\xe2\x82\xac", b"0:", b"10:b4AQIDBA==1:2", "3:4\u{1f600}1:6".as_bytes(), b"6:2probe0:1:5"];
        return String::from_utf8_lossy(&damaged(&seeds, random)).into_owned();
    }
    let mut body = String::new();
    for _ in 0..random.below(4) {
        let packet = packet(random, "b4");
        let units = packet.encode_utf16().count();
        let length = match random.below(24) {
            0 => one(&["", "-1", "+1", "01", "1e0", " 1", "0x1", "1.0", "NaN", "99999999999999999999"], random)
                .to_string(),
            1 => (units + 1).to_string(),
            2 => units.saturating_sub(1).to_string(),
            3 => format!("0{units}"),
            _ => units.to_string(),
        };
        body.extend([&length, ":", &packet]);
    }
    body
}

/// Revision 3, binary: lengths are bytes, a byte per digit.
pub(crate) fn body_v3_binary(random: &mut Random) -> Vec<u8> {
    if random.below(3) == 0 {
        let seeds: [&[u8]; 5] = [
            b"\0\x06\xff4hello",
            b"\x01\x04\xff\x04abc",
            b"\0\x04\xff4\xe2\x82\xac\x01\x01\xff\x04",
            b"\0\x01\x02\xff4hello world",
            b"",
        ];
        return damaged(&seeds, random);
    }
    let mut body = Vec::new();
    for _ in 0..=random.below(3) {
        let (mut kind, packet) = match random.below(2) {
            0 => (0, packet(random, "b4").into_bytes()),
            _ => (1, [&[*mostly(&[4], &[2, 0, 9, b'4'], random)][..], packet(random, "").as_bytes()].concat()),
        };
        let length = packet.len() + usize::from(random.below(24) == 0);
        if random.below(24) == 0 {
            kind = 2;
        }
        body.push(kind);
        body.extend(length.to_string().bytes().map(|digit| digit - b'0'));
        body.push(if random.below(24) == 0 { b':' } else { 0xff });
        body.extend(packet);
    }
    body
}

/// A packet, as text; `base64` begins binary ones.
fn packet(random: &mut Random, base64: &str) -> String {
    if !base64.is_empty() && random.below(3) == 0 {
        let base64 = *mostly(&[base64], &["b", "b2", "B4"], random);
        return format!("{base64}{}", mostly(&BASE64, &ODD_BASE64, random));
    }
    let kind = *mostly(&["4", "4", "4", "2", "3", "6"], &["0", "1", "5", "7", "", " ", "é", "\u{0}"], random);
    let data: String = (0..random.below(8)).map(|_| *one(&CHARACTERS, random)).collect();
    format!("{kind}{data}")
}
