//! Packets on a WebTransport stream: however the network cuts them, the same packets and the same error come out.

use sockeye_engine::Encoded;
use sockeye_engine::wt::{Decoder, Error, Header, Hello, Item};

use crate::input::{Input, text};
use crate::target::Target;

pub(crate) const WT_STREAM: Target = Target {
    name: "wt_stream",
    run: wt_stream,
    // The first byte: size of pieces, and which limit holds.
    seeds: &[
        b"\x00\x03\x34hi\x82\x01\x02\x01\x32",
        b"\x02\x1f0{\"sid\":\"lv_VI97HAXpY6yYWAAAB\"}\x012\x015",
        b"\x04\x012\x7e\x00\x7e4xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\x01\x33",
        b"\x06\xff\x00\x00\x00\x00\x00\x00\x00\x03\x01\x02\x03\xfe\x00\x00\x80\x00",
        b"\x01\x80\x00\x7f\xff\xff\xff\xff\xff\xff\xff\xff4",
        b"\x03\x06\x34\xe2\x82\xac\xc3\xa9\x02\x34\xff",
    ],
    mutations: 2_000,
};

/// How long the first packet may be.
const FIRST: usize = 64;
const LIMITS: [usize; 2] = [1 << 16, 100];

/// What came out, on its own.
#[derive(Debug, PartialEq)]
enum Seen {
    Binary(Vec<u8>),
    Text(String),
}

fn wt_stream(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let limit = LIMITS[usize::from(choice & 1)];
    let size = usize::from(choice >> 1).max(2);
    let wire = input.rest();
    let whole = read(limit, wire, wire.len().max(1));
    assert_eq!(whole, read(limit, wire, 1), "byte by byte");
    assert_eq!(whole, read(limit, wire, size), "in pieces of {size}");
    written_again(&whole.0);
    written_again(&[Seen::Binary(wire.to_vec()), Seen::Text(format!("4{}", text(wire)))]);
}

/// What `size` bytes at a time make of the wire. As for a stranger, the first packet has a limit of its own.
fn read(limit: usize, wire: &[u8], size: usize) -> (Vec<Seen>, Option<Error>) {
    let (mut decoder, mut seen) = (Decoder::new(FIRST), Vec::new());
    for piece in wire.chunks(size) {
        let mut rest = piece;
        loop {
            let most = if seen.is_empty() { FIRST } else { limit };
            match decoder.decode(rest) {
                Ok((used, None)) => {
                    assert_eq!(used, rest.len(), "all input is used");
                    break;
                }
                Ok((used, Some(item))) => {
                    // The first packet of a client, or not: it must be readable as one without a panic.
                    let hello = Hello::parse(item);
                    assert!(hello.is_none() || matches!(item, Item::Text(said) if said.starts_with('0')));
                    seen.push(own(item, most));
                    rest = &rest[used..];
                }
                Err(error) => {
                    after(&mut decoder, rest);
                    return (seen, Some(error));
                }
            }
            decoder.set_max_packet(limit);
            assert!(seen.len() <= wire.len(), "a packet takes at least one byte");
        }
    }
    (seen, None)
}

fn own(item: Item<'_>, most: usize) -> Seen {
    let seen = match item {
        Item::Binary(bytes) => Seen::Binary(bytes.to_vec()),
        Item::Text(text) => Seen::Text(text.to_owned()),
    };
    let length = bytes(&seen).len();
    assert!(length <= most, "a packet of {length} bytes, over the limit of {most}");
    seen
}

fn bytes(seen: &Seen) -> &[u8] {
    match seen {
        Seen::Binary(bytes) => bytes,
        Seen::Text(text) => text.as_bytes(),
    }
}

/// A stream on which an error was met is over: it is read, and nothing comes of it.
fn after(decoder: &mut Decoder, rest: &[u8]) {
    for piece in [rest, b"\x03\x34hi", b""] {
        assert_eq!(decoder.decode(piece), Ok((piece.len(), None)), "after an error");
    }
}

/// What we write is read as it was, but for a message of no bytes, which goes as base64 of nothing.
fn written_again(packets: &[Seen]) {
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    for packet in packets {
        let encoded = match packet {
            Seen::Binary(bytes) => Encoded::binary(bytes),
            Seen::Text(text) => match text.strip_prefix('4') {
                Some(message) => Encoded::text(message),
                None => continue,
            },
        };
        wire.extend_from_slice(Header::new(&encoded).as_bytes());
        wire.extend_from_slice(encoded.packet());
        expected.push(if encoded.packet().is_empty() { &b"b"[..] } else { bytes(packet) });
    }
    let (mut decoder, mut read) = (Decoder::new(usize::MAX), Vec::new());
    let mut rest = &wire[..];
    while let (used, Some(item)) = decoder.decode(rest).expect("what is written can be read") {
        read.push(own(item, usize::MAX));
        rest = &rest[used..];
    }
    assert_eq!(read.iter().map(bytes).collect::<Vec<_>>(), expected);
}
