//! Known advisories of this family of software that concern framing, payloads and handshakes. One test for each, named
//! after it; `docs/security.md` has the table.

use std::time::{Duration, Instant};

use sockeye_engine::ws::deflate::{Inflater, Level, Options, Params, compress};
use sockeye_engine::ws::handshake::{Refusal, Rejected, Request, accept};
use sockeye_engine::ws::{
    CloseCode, Decoder, Error, Item, Limits, Opcode, encode, encode_close, encode_masked, encode_ping, encode_pong,
};
use sockeye_engine::{Revision, Role, handshake, payload_v3};

fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_masked(&mut frame, opcode, false, payload, [0x11, 0x22, 0x33, 0x44]);
    frame
}

/// A frame of a client whose FIN bit is not set.
fn fragment(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = masked(opcode, payload);
    frame[0] &= 0x7f;
    frame
}

/// What a server makes of the wire, as text, and the error at the end.
fn read(decoder: &mut Decoder, wire: &mut [u8]) -> (Vec<String>, Option<Error>) {
    let (mut seen, mut rest) = (Vec::new(), wire);
    loop {
        match decoder.decode(rest) {
            Ok((_, None)) => return (seen, None),
            Ok((used, Some(item))) => {
                seen.push(format!("{item:?}"));
                rest = &mut rest[used..];
            }
            Err(error) => return (seen, Some(error)),
        }
    }
}

fn server() -> Decoder {
    Decoder::new(Role::Server, Limits::default())
}

/// ws sent uninitialised memory for `ping(number)`: what is sent is what was given, whatever was in the buffer before.
#[test]
fn cve_2016_10518_a_ping_carries_its_payload_and_nothing_else() {
    for length in 0..=125 {
        let mut out = vec![0xaa; 300];
        out.clear();
        encode_ping(&mut out, &vec![7; length], None).unwrap();
        encode_pong(&mut out, &vec![8; length], None).unwrap();
        let size = u8::try_from(length).unwrap();
        assert_eq!(out, [&[0x89, size], &vec![7; length][..], &[0x8a, size], &vec![8; length]].concat());
    }
}

/// ws disclosed memory in the reason of a close frame; another library panics when it is too long.
#[test]
fn cve_2026_45736_a_close_reason_is_cut_at_a_character() {
    for reason in ["x".repeat(124), "€".repeat(100), "\u{1f600}".repeat(1_000), "é".repeat(62)] {
        let mut frame = Vec::new();
        encode_close(&mut frame, Some(CloseCode::NORMAL), &reason, None);
        assert!(frame.len() <= 127 && usize::from(frame[1]) == frame.len() - 2);
        let mut decoder = Decoder::new(Role::Client, Limits::default());
        match decoder.decode(&mut frame) {
            Ok((_, Some(Item::Close(Some((code, told)))))) => {
                assert_eq!(code, CloseCode::NORMAL);
                assert!(reason.starts_with(told) && told.len() > 119, "{} bytes", told.len());
            }
            other => panic!("{other:?}"),
        }
    }
}

/// ws had no limit by default. The announced length is enough, before anything is kept.
#[test]
fn cve_2016_10542_messages_are_limited_by_default() {
    let mut header = *b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04";
    assert_eq!(server().decode(&mut header), Err(Error::TooLarge { bytes: i64::MAX as u64, limit: 1_000_000 }));
    let (_, error) = read(&mut server(), &mut masked(Opcode::Binary, &vec![0; 1_000_001]));
    assert_eq!(error.map(|error| error.close_code()), Some(CloseCode::TOO_LARGE));
    let (seen, error) = read(&mut server(), &mut masked(Opcode::Binary, &vec![0; 1_000_000]));
    assert_eq!((seen.len(), error), (1, None));
}

fn upgrade<'h>(extra: &'h [(&'h str, &'h str)]) -> Result<bool, Refusal> {
    let fixed = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let headers = fixed.iter().chain(extra).map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    accept(b"GET", headers, Some(&Options::default()), |_| true).map(|accepted| accepted.deflate.is_some())
}

/// The parser of extensions crashed on names of properties that every JS object has.
#[test]
fn ghsa_5v72_xg48_5rpm_extension_names_are_only_names() {
    let header = |value: &str| upgrade(&[("Sec-WebSocket-Extensions", value)]);
    for name in ["constructor", "__proto__", "toString", "hasOwnProperty", "valueOf"] {
        assert_eq!(header(name), Ok(false));
        assert_eq!(header(&format!("permessage-deflate; {name}")), Ok(false), "a parameter nobody defined");
        assert_eq!(header(&format!("permessage-deflate; {name}, permessage-deflate")), Ok(true), "the next offer");
        assert_eq!(header(&format!("{name}; {name}={name}, permessage-deflate")), Ok(true));
    }
    let many = format!("permessage-deflate{}", "; a=b".repeat(10_000));
    assert_eq!(header(&many), Ok(false));
    assert_eq!(header("permessage-deflate; server_max_window_bits=\"1\\"), Err(Refusal::Extensions));
}

/// A header full of blanks and commas took quadratic time. Twenty rounds take a second or two in linear time,
/// and the better part of an hour in quadratic.
#[test]
fn cve_2021_32640_headers_are_read_in_linear_time() {
    let start = Instant::now();
    for _ in 0..20 {
        for piece in [" ", ",", ", ", "a, ", "\t ,", "a;", "a=\"", ";"] {
            let value = piece.repeat(65_536 / piece.len());
            let _ = upgrade(&[("Sec-WebSocket-Protocol", &value)]);
            let _ = upgrade(&[("Sec-WebSocket-Extensions", &value)]);
            let _ = upgrade(&[("Connection", &value), ("Upgrade", &value)]);
        }
    }
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
}

/// A message of fragments of one byte cost much more than its bytes. Here a fragment costs nothing beyond them, and their
/// number is bounded all the same.
#[test]
fn cve_2026_48779_fragments_are_counted() {
    let limits = Limits { max_message: 1_000_000, max_fragments: 1_000 };
    let mut decoder = Decoder::new(Role::Server, limits);
    let mut wire = fragment(Opcode::Text, b"a");
    for _ in 1..1_000 {
        wire.extend(fragment(Opcode::Continuation, b"b"));
    }
    assert_eq!(read(&mut decoder, &mut wire), (vec![], None));
    let error = read(&mut decoder, &mut fragment(Opcode::Continuation, b"c")).1.expect("one too many");
    assert_eq!((error.clone(), error.close_code()), (Error::TooManyFragments { limit: 1_000 }, CloseCode::POLICY));
    assert_eq!(Limits::default().max_fragments, 65_536);
}

/// The first fix did not count fragments without any byte.
#[test]
fn ws_2331_empty_fragments_are_counted_too() {
    let limits = Limits { max_message: 1_000, max_fragments: 100 };
    let mut decoder = Decoder::new(Role::Server, limits);
    let mut wire = fragment(Opcode::Binary, b"");
    wire.extend(fragment(Opcode::Continuation, b"").repeat(100));
    assert_eq!(read(&mut decoder, &mut wire), (vec![], Some(Error::TooManyFragments { limit: 100 })));
}

fn inflating(limit: usize, alone: bool) -> Decoder {
    let params = Params {
        server_no_context_takeover: alone,
        client_no_context_takeover: alone,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let limits = Limits { max_message: limit, max_fragments: 65_536 };
    Decoder::new(Role::Server, limits).with_inflater(Inflater::new(&params, Role::Server))
}

/// A kilobyte that inflates to a megabyte, in one frame and in many, with and without context.
#[test]
fn cve_2026_1526_inflating_stops_at_the_limit() {
    let bomb = compress(&vec![0; 1 << 20], Opcode::Binary, Level::default()).expect("zeros compress");
    // A frame of less than 64 KiB has a header of four bytes.
    let payload = &bomb[4..];
    assert!(payload.len() < 2_000, "{} bytes", payload.len());
    let mut whole = Vec::new();
    encode_masked(&mut whole, Opcode::Binary, true, payload, [1, 2, 3, 4]);
    let mut pieces = Vec::new();
    for (at, piece) in payload.chunks(10).enumerate() {
        let opcode = if at == 0 { Opcode::Binary } else { Opcode::Continuation };
        let start = pieces.len();
        pieces.extend(fragment(opcode, piece));
        if at == 0 {
            pieces[start] |= 0x40;
        }
    }
    pieces.extend(masked(Opcode::Continuation, b""));
    for alone in [true, false] {
        for wire in [&whole, &pieces] {
            let told = read(&mut inflating(100_000, alone), &mut wire.clone());
            assert_eq!(told, (vec![], Some(Error::TooLarge { bytes: 100_001, limit: 100_000 })));
            let (seen, error) = read(&mut inflating(1 << 20, alone), &mut wire.clone());
            assert_eq!((seen.len(), error), (1, None), "exactly the limit");
        }
    }
}

/// Bad answers of a server: each field wrong in turn.
#[test]
fn undici_2026_03_a_hostile_server_opens_nothing() {
    let respond = |response: &str| {
        let options = Options::default();
        let request = Request {
            host: "sockeye.test",
            path: "/",
            key: *b"the sample nonce",
            headers: &[],
            protocols: &[],
            deflate: Some(&options),
        };
        let mut handshake = request.encode(&mut Vec::new()).expect("a valid request");
        handshake.read(response.as_bytes()).map(|(_, established)| established.is_some())
    };
    let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let ended = |extra: &str| respond(&format!("{good}{extra}\r\n"));
    assert_eq!(ended(""), Ok(true));
    for bits in ["7", "16", "0", "-1", "x", "", "999999999999999999999", "\"8"] {
        let extension = format!("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits={bits}\r\n");
        assert_eq!(ended(&extension), Err(Rejected::Extensions), "{bits}");
    }
    assert_eq!(ended("Sec-WebSocket-Extensions: bbf-usp-protocol\r\n"), Err(Rejected::Extensions));
    assert_eq!(ended("Sec-WebSocket-Protocol: chat\r\n"), Err(Rejected::Protocol));
    assert_eq!(ended("Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"), Err(Rejected::Accept));
    assert_eq!(respond(&format!("{}\r\n", good.replace("xOo=", "xOp="))), Err(Rejected::Accept));
    assert_eq!(respond(&format!("{}\r\n", good.replace("websocket", "h2c"))), Err(Rejected::Upgrade));
    assert_eq!(respond(&format!("{good}{}", "X: y\r\n".repeat(10_000))), Err(Rejected::HeadTooLarge));
    assert_eq!(respond(&"HTTP/1.1 ".repeat(4_000)), Err(Rejected::HeadTooLarge));
    assert_eq!(respond("HTTP/1.1 200 OK\r\n\r\n"), Err(Rejected::Status(200)));
    assert_eq!(respond("\0\r\n\r\n"), Err(Rejected::Malformed));
}

/// A length with the highest bit set, or one that wraps around when added up.
#[test]
fn undici_2026_03_lengths_do_not_overflow() {
    let mut client = Decoder::new(Role::Client, Limits { max_message: usize::MAX, ..Limits::default() });
    let mut wire = *b"\x02\x01a\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff";
    assert!(matches!(read(&mut client, &mut wire), (seen, Some(Error::TooLarge { .. })) if seen.is_empty()));
}

/// What goes into our request cannot end its line.
#[test]
fn undici_2026_03_nothing_is_smuggled_into_the_request() {
    let refused = |host: &str, path: &str, header: (&str, &str), protocol: &str| {
        let request = Request { host, path, key: [0; 16], headers: &[header], protocols: &[protocol], deflate: None };
        let mut out = Vec::new();
        request.encode(&mut out).is_err() && out.is_empty()
    };
    assert!(!refused("a", "/", ("x", "y"), "z"), "the honest one is written");
    for bad in ["a\r\nX: y", "a\nX: y", "a b", "a\0", ""] {
        assert!(refused(bad, "/", ("x", "y"), "z"), "host {bad:?}");
        assert!(refused("a", &format!("/{bad} "), ("x", "y"), "z"), "path {bad:?}");
        assert!(refused("a", "/", (bad, "y"), "z"), "header {bad:?}");
        assert!(refused("a", "/", ("x", "y"), bad), "protocol {bad:?}");
    }
    assert!(refused("a", "/", ("x", "y\r\nX: z"), "z"));
    assert!(refused("a", "/", ("Sec-WebSocket-Key", "y"), "z"));
}

/// A library validated characters that were cut by the network with undefined behaviour.
#[test]
fn tokio_websockets_characters_may_be_cut_anywhere() {
    let text = "aé€\u{1f600}\u{10ffff}z";
    for first in 0..=text.len() {
        for second in first..=text.len() {
            let bytes = text.as_bytes();
            let mut wire = fragment(Opcode::Text, &bytes[..first]);
            wire.extend(fragment(Opcode::Continuation, &bytes[first..second]));
            wire.extend(masked(Opcode::Continuation, &bytes[second..]));
            for size in [1, 3, wire.len()] {
                let (mut decoder, mut seen) = (server(), Vec::new());
                for piece in wire.clone().chunks_mut(size) {
                    let (items, error) = read(&mut decoder, piece);
                    assert_eq!(error, None);
                    seen.extend(items);
                }
                assert_eq!(seen, [format!("{:?}", Item::Text(text))]);
            }
        }
    }
    // A surrogate, an overlong form, a byte that begins nothing, an end in the middle: refused, wherever they are cut.
    for bad in [&b"\xed\xa0\x80"[..], b"\xc0\xaf", b"\xff", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        for cut in 0..=bad.len() {
            let mut wire = fragment(Opcode::Text, &bad[..cut]);
            wire.extend(masked(Opcode::Continuation, &bad[cut..]));
            assert_eq!(read(&mut server(), &mut wire), (vec![], Some(Error::InvalidUtf8)), "{bad:x?} at {cut}");
        }
    }
}

/// An unexpected type of frame made a server panic: all opcodes, with every combination of the bits before them.
#[test]
fn socketioxide_320_every_first_byte_is_answered() {
    for role in [Role::Server, Role::Client] {
        for before in [&[][..], &[0x01, 0x00], &[0x82, 0x01]] {
            for first in 0..=255 {
                let mut decoder = Decoder::new(role, Limits::default());
                let mask: &[u8] =
                    if role == Role::Server { &[0x82, 0, 0, 0, 0, b'h', b'i'] } else { &[0x02, b'h', b'i'] };
                let mut wire = [before, &[first], mask].concat();
                let (seen, error) = read(&mut decoder, &mut wire);
                assert!(seen.len() <= 3, "{first:#x}: {seen:?}");
                assert!(error.is_none() || decoder.is_finished(), "{first:#x}");
            }
        }
    }
}

/// The decoder of revision 3 went round in circles on a body that was cut: every prefix of every kind of body ends.
#[test]
fn socketioxide_739_cut_bodies_of_revision_3_end() {
    let bodies: [&[u8]; 5] = [
        b"6:4hello2:4\xe2\x82\xac10:b4AQIDBA==",
        b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04",
        b"\x00\x01\x00\x06\xff4hello",
        b"999999999999:4",
        b"\x01\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff4",
    ];
    for body in bodies {
        for end in 0..=body.len() {
            for binary in [false, true] {
                let Ok(packets) = payload_v3::Packets::new(&body[..end], binary) else { continue };
                let read: Vec<_> = packets.take(100).collect();
                assert!(read.len() <= end, "{} packets in {end} bytes", read.len());
                assert!(read.iter().rev().skip(1).all(Result::is_ok), "ends with the first error");
            }
        }
    }
}

/// The name of a transport was looked up among the properties of an object.
#[test]
fn cve_2023_31125_names_of_transports_are_only_names() {
    let names = ["__proto__", "constructor", "toString", "", "Polling", "polling ", "polling%00", "websocket,polling"];
    for name in names {
        let text = format!("EIO=4&transport={name}");
        assert_eq!(handshake::Query::parse(&text).transport(), None, "{name}");
    }
    let twice = handshake::Query::parse("EIO=4&transport=polling&transport=websocket&EIO=4");
    assert_eq!((twice.transport(), twice.revision()), (None, None));
    let array = handshake::Query::parse("EIO=4&transport[]=polling&EIO[x]=4");
    assert_eq!((array.transport(), array.revision()), (None, Some(Revision::V4)));
    let long = format!("transport={}", "polling".repeat(10_000));
    assert_eq!(handshake::Query::parse(&long).transport(), None);
}

/// What one end writes, the other takes: a frame that is masked from a server, or not masked from a client, is refused.
#[test]
fn rfc_6455_masking_is_not_optional() {
    let mut plain = Vec::new();
    encode(&mut plain, Opcode::Text, false, b"hi");
    assert_eq!(read(&mut server(), &mut plain), (vec![], Some(Error::Unmasked)));
    let mut client = Decoder::new(Role::Client, Limits::default());
    assert_eq!(read(&mut client, &mut masked(Opcode::Text, b"hi")), (vec![], Some(Error::Masked)));
}
