//! Dialogues with the WebSocket decoder: bytes in, messages or errors out.

use proptest::prelude::*;
use sockeye_engine::Role;
use sockeye_engine::ws::deflate::{Deflater, Inflater, Level, Params};
use sockeye_engine::ws::{CloseCode, Decoder, Error, Item, Limits, Opcode, encode, encode_masked, mask};

const LIMITS: Limits = Limits { max_message: 1000, max_fragments: 10 };
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const ALONE: Params = Params {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

/// An item which outlives its buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Failed(Error),
}
use Heard::{Binary, Failed, Ping, Pong, Text};

impl From<Item<'_>> for Heard {
    fn from(item: Item) -> Self {
        match item {
            Item::Text(text) => Self::Text(text.to_owned()),
            Item::Binary(bytes) => Self::Binary(bytes.to_owned()),
            Item::Ping(bytes) => Self::Ping(bytes.to_owned()),
            Item::Pong(bytes) => Self::Pong(bytes.to_owned()),
            Item::Close(said) => Self::Close(said.map(|(code, reason)| (code.0, reason.to_owned()))),
        }
    }
}

/// Feeds one read's worth of bytes; false after an error.
fn feed(decoder: &mut Decoder, bytes: &[u8], heard: &mut Vec<Heard>) -> bool {
    let mut read = bytes.to_vec();
    let mut rest = read.as_mut_slice();
    loop {
        match decoder.decode(rest) {
            Ok((used, Some(item))) => {
                heard.push(item.into());
                rest = &mut rest[used..];
            }
            Ok((used, None)) => {
                assert_eq!(used, rest.len(), "without a message all is used");
                return true;
            }
            Err(error) => {
                heard.push(Failed(error));
                assert_eq!(decoder.decode(&mut [0x81, 0]), Ok((2, None)), "nothing is heard after an error");
                return false;
            }
        }
    }
}

/// All that is heard when the bytes come in these pieces.
fn hear<'b>(mut decoder: Decoder, pieces: impl IntoIterator<Item = &'b [u8]>) -> Vec<Heard> {
    let mut heard = Vec::new();
    for piece in pieces {
        if !feed(&mut decoder, piece, &mut heard) {
            break;
        }
    }
    heard
}

fn server() -> Decoder {
    Decoder::new(Role::Server, LIMITS)
}

fn client() -> Decoder {
    Decoder::new(Role::Client, LIMITS)
}

/// Hears unmasked frames as a client, and the same masked as a server; both must agree.
fn both(frames: &[u8]) -> Vec<Heard> {
    let heard = hear(client(), [frames]);
    assert_eq!(hear(server(), [masked(frames).as_slice()]), heard);
    heard
}

/// Masks a sequence of well-formed unmasked frames, each with a key of its own.
fn masked(mut frames: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [first, length, ..] = frames {
        let (header, length) = match length {
            126 => (4_usize, usize::from(u16::from_be_bytes([frames[2], frames[3]]))),
            127 => (10, usize::try_from(u64::from_be_bytes(frames[2..10].try_into().unwrap())).unwrap_or(usize::MAX)),
            length => (2, usize::from(*length)),
        };
        let key = KEY.map(|byte| byte.wrapping_add(*first).wrapping_mul(3));
        let end = header.saturating_add(length).min(frames.len());
        out.extend([*first, frames[1] | 0x80]);
        out.extend(&frames[2..header]);
        out.extend(key);
        let start = out.len();
        out.extend(&frames[header..end]);
        mask(&mut out[start..], key);
        frames = &frames[end..];
    }
    out
}

fn text(text: &str) -> Heard {
    Text(text.to_owned())
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, Opcode::Binary, false, payload);
    out[0] = first;
    out
}

#[test]
fn messages_are_heard() {
    assert_eq!(both(b"\x81\x05Hello"), [text("Hello")]);
    assert_eq!(both(b"\x82\x02\xff\x00\x81\x00"), [Binary(vec![0xff, 0]), text("")]);
    assert_eq!(both(b"\x01\x03Hel\x80\x02lo"), [text("Hello")]);
    assert_eq!(both(b"\x02\x00\x00\x00\x80\x00"), [Binary(vec![])]);
    assert_eq!(both(b"\x01\x00\x00\x01a\x80\x00\x81\x01b"), [text("a"), text("b")]);
    assert_eq!(both(b"\x89\x01p\x8a\x01q\x8a\x00"), [Ping(b"p".into()), Pong(b"q".into()), Pong(vec![])]);
    assert_eq!(both(b"\x81\x09\xc3\xa9\xef\xbb\xbf\xe2\x82\xac\x1e"), [text("é\u{feff}€\u{1e}")]);
}

#[test]
fn control_frames_come_between_fragments() {
    let dialogue = b"\x01\x01a\x89\x01p\x00\x01b\x8a\x00\x80\x01c\x88\x02\x03\xe8\x81\x01d";
    let said = Heard::Close(Some((1000, String::new())));
    assert_eq!(both(dialogue), [Ping(b"p".into()), Pong(vec![]), text("abc"), said]);
    assert_eq!(both(b"\x01\x01a\x88\x00\x80\x01b"), [Heard::Close(None)]);
}

#[test]
fn nothing_is_heard_after_close() {
    assert_eq!(both(b"\x88\x00\x81\x01a\x88\x00\xff\xff\xff"), [Heard::Close(None)]);
    let mut decoder = client();
    assert!(decoder.decode(&mut [0x88, 0]).unwrap().1.is_some());
    assert!(decoder.is_finished());
    assert_eq!(decoder.decode(&mut [0xff; 100]), Ok((100, None)));
}

#[test]
fn the_rules_of_frames_are_kept() {
    let cases: [(&[u8], Error); 28] = [
        (b"\x91\x00", Error::ReservedBit),
        (b"\xa1\x00", Error::ReservedBit),
        (b"\xc1\x00", Error::ReservedBit),
        (b"\xc9\x00", Error::ReservedBit),
        (b"\x01\x00\xc0\x00", Error::ReservedBit),
        (b"\x83\x00", Error::ReservedOpcode(3)),
        (b"\x87\x00", Error::ReservedOpcode(7)),
        (b"\x8b\x00", Error::ReservedOpcode(11)),
        (b"\x8f\x00", Error::ReservedOpcode(15)),
        (b"\x09\x00", Error::FragmentedControl),
        (b"\x08\x00", Error::FragmentedControl),
        (b"\x89\x7e\x00\x7e", Error::LongControl),
        (b"\x88\x7f\x00\x00\x00\x00\x00\x00\x00\x7e", Error::LongControl),
        (b"\x82\x7e\x00\x7d", Error::NonMinimalLength),
        (b"\x82\x7e\x00\x00", Error::NonMinimalLength),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", Error::NonMinimalLength),
        (b"\x80\x00", Error::UnexpectedContinuation),
        (b"\x00\x00", Error::UnexpectedContinuation),
        (b"\x81\x00\x80\x00", Error::UnexpectedContinuation),
        (b"\x01\x00\x81\x00", Error::ExpectedContinuation),
        (b"\x02\x00\x89\x00\x02\x00", Error::ExpectedContinuation),
        (b"\x88\x01\x03", Error::ShortClose),
        (b"\x88\x02\x03\xec", Error::IllegalCloseCode(1004)),
        (b"\x88\x02\x03\xed", Error::IllegalCloseCode(1005)),
        (b"\x88\x02\x03\xee", Error::IllegalCloseCode(1006)),
        (b"\x88\x02\x03\xe7", Error::IllegalCloseCode(999)),
        (b"\x88\x02\x13\x88", Error::IllegalCloseCode(5000)),
        (b"\x88\x03\x03\xe8\xff", Error::InvalidUtf8),
    ];
    for (bytes, error) in cases {
        let heard = both(bytes);
        assert_eq!(heard.last(), Some(&Failed(error)), "{bytes:x?}");
    }
}

#[test]
fn clients_mask_and_servers_do_not() {
    assert_eq!(hear(server(), [&b"\x81\x01a"[..]]), [Failed(Error::Unmasked)]);
    assert_eq!(hear(client(), [masked(b"\x81\x01a").as_slice()]), [Failed(Error::Masked)]);
    assert_eq!(hear(server(), [&b"\x81\x7f"[..]]), [Failed(Error::Unmasked)], "before the length is here");
}

#[test]
fn errors_have_their_codes() {
    let code = |bytes: &[u8]| match both(bytes).pop() {
        Some(Failed(error)) => error.close_code(),
        other => panic!("{other:?}"),
    };
    assert_eq!(code(b"\x83\x00"), CloseCode::PROTOCOL);
    assert_eq!(code(b"\x81\x01\xff"), CloseCode::INVALID_DATA);
    assert_eq!(code(b"\x82\x7e\x03\xe9"), CloseCode::TOO_LARGE);
    assert_eq!(code(&[&b"\x02\x00"[..], &[0; 20]].concat()), CloseCode::POLICY);
}

#[test]
fn invalid_text_is_refused_with_the_byte_that_shows_it() {
    // A surrogate, two bytes of which could still be a character's beginning if the second were another.
    for (frames, shown) in [
        (&b"\x01\x04ab\xed\xa0\x80\x02\x80c"[..], 6),
        (b"\x81\x04ab\xffd", 5),
        (b"\x81\x7e\x01\x00\xf4\x90", 6),
        (b"\x01\x01\xf0\x00\x00\x89\x00\x80\x02a", 10),
        (b"\x01\x02\xe2\x82\x80\x00", 6),
    ] {
        let mut decoder = client();
        let mut heard = Vec::new();
        let failed = frames.iter().position(|byte| !feed(&mut decoder, &[*byte], &mut heard));
        assert_eq!(failed, Some(shown - 1), "{frames:x?}");
        assert_eq!(heard.last(), Some(&Failed(Error::InvalidUtf8)));
    }
    assert_eq!(both(b"\x81\x02a\xc3"), [Failed(Error::InvalidUtf8)], "ends amid a character");
}

#[test]
fn lengths_of_every_form_are_heard() {
    let limits = Limits { max_message: 65_536, ..LIMITS };
    for length in [0, 1, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536] {
        let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
        let mut unmasked = Vec::new();
        encode(&mut unmasked, Opcode::Binary, false, &payload);
        assert_eq!(hear(Decoder::new(Role::Client, limits), [&unmasked[..]]), [Binary(payload.clone())]);
        let mut masked = Vec::new();
        encode_masked(&mut masked, Opcode::Binary, false, &payload, KEY);
        assert_eq!(hear(Decoder::new(Role::Server, limits), [&masked[..]]), [Binary(payload.clone())]);
        let cut = masked.len() / 2;
        assert_eq!(hear(Decoder::new(Role::Server, limits), [&masked[..cut], &masked[cut..]]), [Binary(payload)]);
    }
}

#[test]
fn messages_up_to_the_limit_pass() {
    let too_large = |bytes| [Failed(Error::TooLarge { bytes, limit: 1000 })];
    let fragments = |first, second| [frame(0x02, &vec![0; first]), frame(0x80, &vec![0; second])].concat();
    for length in [999, 1000] {
        assert_eq!(both(&frame(0x82, &vec![0; length])), [Binary(vec![0; length])]);
        assert_eq!(both(&fragments(500, length - 500)), [Binary(vec![0; length])]);
    }
    assert_eq!(both(&frame(0x82, &[0; 1001])), too_large(1001));
    assert_eq!(both(&fragments(500, 501)), too_large(1001));
    // Refused by the header alone.
    assert_eq!(both(b"\x82\x7e\x03\xe9"), too_large(1001));
    for length in [1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX] {
        let header = [&[0x82, 0x7f][..], &u64::to_be_bytes(length)].concat();
        assert_eq!(both(&header), too_large(length));
        assert_eq!(
            both(&[&b"\x02\x01a\x00\x7f"[..], &length.to_be_bytes()].concat()),
            too_large(length.saturating_add(1))
        );
    }
    let none = Limits { max_message: 0, ..LIMITS };
    assert_eq!(
        hear(Decoder::new(Role::Client, none), [&b"\x82\x00\x89\x01p"[..]]),
        [Binary(vec![]), Ping(b"p".into())]
    );
}

#[test]
fn fragments_are_counted_empty_or_not() {
    for piece in [&b""[..], b"x"] {
        let message = |count: usize| {
            let mut out = frame(0x01, piece);
            out.extend(std::iter::repeat_n(frame(0x00, piece), count - 2).flatten());
            out.extend(frame(0x80, piece));
            out
        };
        for count in [9, 10] {
            assert_eq!(both(&message(count)), [Text("x".repeat(count * piece.len()))]);
        }
        assert_eq!(both(&message(11)), [Failed(Error::TooManyFragments { limit: 10 })]);
        let twice = [message(10), message(10)].concat();
        assert_eq!(both(&twice).len(), 2, "each message is counted on its own");
    }
}

fn with_deflate(role: Role, limits: Limits) -> Decoder {
    Decoder::new(role, limits).with_inflater(Inflater::new(&ALONE, role))
}

#[test]
fn compressed_messages_are_heard() {
    let hear = |frames: &[u8]| {
        let heard = hear(with_deflate(Role::Client, LIMITS), [frames]);
        assert_eq!(self::hear(with_deflate(Role::Server, LIMITS), [masked(frames).as_slice()]), heard);
        heard
    };
    // [RFC 7692 §7.2.3.1, §7.2.3.2]
    assert_eq!(hear(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"), [text("Hello")]);
    let fragments = b"\x41\x03\xf2\x48\xcd\x89\x01p\x80\x04\xc9\xc9\x07\x00\x81\x01a";
    assert_eq!(hear(fragments), [Ping(b"p".into()), text("Hello"), text("a")]);
    assert_eq!(hear(b"\xc2\x01\x00"), [Binary(vec![])]);
    assert_eq!(hear(b"\xc9\x00"), [Failed(Error::ReservedBit)]);
    assert_eq!(hear(b"\x41\x01\xf2\xc0\x00"), [Failed(Error::ReservedBit)], "only the first frame is marked");
    assert_eq!(hear(b"\xd1\x00"), [Failed(Error::ReservedBit)]);
    assert_eq!(hear(b"\xc1\x02\xff\xff"), [Failed(Error::InvalidDeflate)]);
    let deflated = Deflater::new(&ALONE, Role::Server, Level::default()).deflate(&[0xff; 500]).unwrap();
    assert_eq!(hear(&frame(0xc1, &deflated)), [Failed(Error::InvalidUtf8)]);
    assert_eq!(hear(&frame(0xc2, &deflated)), [Binary(vec![0xff; 500])]);
}

#[test]
fn bombs_stop_at_the_limit() {
    let bomb = Deflater::new(&ALONE, Role::Server, Level::new(9)).deflate(&vec![0; 1 << 24]).unwrap();
    let limits = Limits { max_message: 100_000, max_fragments: 1 << 20 };
    let too_large = [Failed(Error::TooLarge { bytes: 100_001, limit: 100_000 })];
    assert_eq!(hear(with_deflate(Role::Client, limits), [&frame(0xc2, &bomb)[..]]), too_large);
    let mut fragments = frame(0x42, b"");
    for piece in bomb.chunks(10) {
        fragments.extend(frame(0x00, piece));
    }
    fragments.extend(frame(0x80, b""));
    assert_eq!(hear(with_deflate(Role::Client, limits), fragments.chunks(77)), too_large);
    for length in [99_999, 100_000] {
        let body = Deflater::new(&ALONE, Role::Server, Level::new(1)).deflate(&vec![0; length]).unwrap();
        assert_eq!(hear(with_deflate(Role::Client, limits), [&frame(0xc2, &body)[..]]), [Binary(vec![0; length])]);
    }
    let body = Deflater::new(&ALONE, Role::Server, Level::new(1)).deflate(&vec![0; 100_001]).unwrap();
    assert_eq!(hear(with_deflate(Role::Client, limits), [&frame(0xc2, &body)[..]]), too_large);
}

/// Messages and mistakes of all kinds, short enough to be cut everywhere.
fn corpus() -> Vec<Vec<u8>> {
    let long = frame(0x81, "é€\u{1f600}".repeat(15).as_bytes());
    let euro = "€".as_bytes();
    vec![
        b"\x81\x05Hello\x82\x02\xff\x00\x81\x00".to_vec(),
        b"\x01\x01a\x89\x03pin\x00\x00\x00\x02bc\x8a\x00\x80\x01d\x88\x05\x03\xe8bye\x81\x01e".to_vec(),
        [&long[..], b"\x88\x02\x03\xe8"].concat(),
        [frame(0x01, &euro[..1]), frame(0x00, &euro[1..2]), frame(0x89, b"p"), frame(0x80, &euro[2..])].concat(),
        [frame(0x82, &[7; 200]), frame(0x81, b"end")].concat(),
        b"\x81\x02ok\x81\x03a\xedb\x81\x02no".to_vec(),
        b"\x01\x03abc\x81\x00".to_vec(),
        b"\x82\x02ab\x88\x03\x03\xe8\xff".to_vec(),
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x41\x03\xf2\x48\xcd\x89\x01p\x80\x04\xc9\xc9\x07\x00".to_vec(),
        b"\x81\x01a\x82\x7e\x03\xe9".to_vec(),
        b"\x81\x01a\x82\x7e\x00\x01z".to_vec(),
    ]
}

#[test]
fn every_cut_is_heard_alike() {
    for frames in corpus() {
        for (role, bytes) in [(Role::Client, frames.clone()), (Role::Server, masked(&frames))] {
            let decoder = || with_deflate(role, LIMITS);
            let whole = hear(decoder(), [&bytes[..]]);
            assert!(!whole.is_empty());
            assert_eq!(hear(decoder(), bytes.chunks(1)), whole, "byte by byte: {bytes:x?}");
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                    assert_eq!(hear(decoder(), pieces), whole, "cut at {first} and {second}: {bytes:x?}");
                }
            }
        }
    }
}

/// A quadratic decoder takes minutes here, and one that keeps something per fragment is seen in the unit tests.
#[test]
fn a_drip_of_tiny_fragments_takes_linear_time() {
    let limits = Limits { max_message: 1 << 20, max_fragments: 1 << 20 };
    let mut frames = frame(0x01, b"x");
    for _ in 0..131_000 {
        frames.extend(b"\x00\x01y");
    }
    frames.extend(b"\x80\x00");
    let heard = hear(Decoder::new(Role::Client, limits), frames.chunks(1));
    assert!(matches!(&heard[..], [Text(text)] if text.len() == 131_001));
}

#[derive(Clone, Debug)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        ".{0,200}".prop_map(Said::Text),
        prop::collection::vec(any::<u8>(), 0..400).prop_map(Said::Binary),
        prop::collection::vec(any::<u8>(), 0..=125).prop_map(Said::Ping),
    ]
}

/// Encodes a message in fragments which end where `cuts` say.
fn say(role: Role, out: &mut Vec<u8>, said: &Said, cuts: &[usize], key: [u8; 4]) {
    let (opcode, payload) = match said {
        Said::Text(text) => (Opcode::Text, text.as_bytes()),
        Said::Binary(bytes) => (Opcode::Binary, &bytes[..]),
        Said::Ping(bytes) => (Opcode::Ping, &bytes[..]),
    };
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (payload.len() + 1)).collect();
    if opcode.is_control() {
        ends.clear();
    }
    ends.push(payload.len());
    ends.sort_unstable();
    let mut start = 0;
    for (index, &end) in ends.iter().enumerate() {
        let opcode = if index == 0 { opcode } else { Opcode::Continuation };
        let at = out.len();
        match role {
            Role::Client => encode_masked(out, opcode, false, &payload[start..end], key),
            Role::Server => encode(out, opcode, false, &payload[start..end]),
        }
        if index + 1 < ends.len() {
            out[at] &= 0x7f;
        }
        start = end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_said_is_heard(
        dialogue in prop::collection::vec((said(), prop::collection::vec(any::<usize>(), 0..4), any::<[u8; 4]>()), 0..8),
        piece in 1..500usize,
    ) {
        let expected: Vec<Heard> = dialogue.iter().map(|(said, ..)| match said.clone() {
            Said::Text(text) => Heard::Text(text),
            Said::Binary(bytes) => Heard::Binary(bytes),
            Said::Ping(bytes) => Heard::Ping(bytes),
        }).collect();
        for (speaker, listener) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            let mut bytes = Vec::new();
            for (said, cuts, key) in &dialogue {
                say(speaker, &mut bytes, said, cuts, *key);
            }
            prop_assert_eq!(&hear(Decoder::new(listener, LIMITS), bytes.chunks(piece)), &expected);
        }
    }

    #[test]
    fn garbage_is_heard_alike_however_it_is_cut(bytes in prop::collection::vec(any::<u8>(), 0..100), piece in 1..20usize) {
        for role in [Role::Client, Role::Server] {
            let whole = hear(with_deflate(role, LIMITS), [&bytes[..]]);
            prop_assert_eq!(hear(with_deflate(role, LIMITS), bytes.chunks(piece)), whole);
        }
    }
}
