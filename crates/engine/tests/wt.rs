//! Packets on a WebTransport stream, cut anywhere and hostile.

use proptest::collection::vec;
use proptest::prelude::*;
use sockeye_engine::wt::{Decoder, Error, Header, Hello, Item};
use sockeye_engine::{Encoded, Sid};

const MAX: usize = 1_000_000;

/// An item with bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Binary(Vec<u8>),
    Text(String),
}

impl From<Item<'_>> for Owned {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Item::Text(text) => Self::Text(text.to_owned()),
        }
    }
}

/// Everything that these pieces hold, and how it ended.
fn decode<'a>(max: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Owned>, Option<Error>) {
    let (mut decoder, mut items) = (Decoder::new(max), Vec::new());
    for mut piece in pieces {
        loop {
            match decoder.decode(piece) {
                Ok((used, Some(item))) => {
                    items.push(item.into());
                    piece = &piece[used..];
                }
                Ok((used, None)) => {
                    assert_eq!(used, piece.len(), "all input is used");
                    break;
                }
                Err(error) => return (items, Some(error)),
            }
        }
    }
    (items, None)
}

fn written(packet: &Encoded) -> Vec<u8> {
    [Header::new(packet).as_bytes(), packet.packet()].concat()
}

#[test]
fn headers_are_those_of_the_official_parser() {
    let text = |length: usize| Encoded::text(&"x".repeat(length - 1));
    let binary = |length: usize| Encoded::binary(&vec![7; length]);
    let cases: [(Encoded, &[u8]); 10] = [
        (Encoded::control("2"), b"\x01"),
        (text(125), b"\x7d"),
        (text(126), b"\x7e\x00\x7e"),
        (text(65_535), b"\x7e\xff\xff"),
        (text(65_536), b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (binary(1), b"\x81"),
        (binary(125), b"\xfd"),
        (binary(126), b"\xfe\x00\x7e"),
        (binary(65_536), b"\xff\x00\x00\x00\x00\x00\x01\x00\x00"),
        (binary(0), b"\x01b"),
    ];
    for (packet, header) in cases {
        assert_eq!(Header::new(&packet).as_bytes(), header, "{}", packet.packet().len());
        assert_eq!(packet.to_packet(), packet.packet());
    }
}

#[test]
fn longer_forms_of_a_length_are_taken() {
    for wire in [&b"\x01\x32"[..], b"\x7e\x00\x01\x32", b"\x7f\x00\x00\x00\x00\x00\x00\x00\x01\x32"] {
        assert_eq!(decode(MAX, [wire]), (vec![Owned::Text("2".into())], None));
    }
}

#[test]
fn nothing_is_a_packet_of_nothing() {
    assert_eq!(decode(MAX, [&b"\x00\x80"[..]]), (vec![Owned::Text(String::new()), Owned::Binary(vec![])], None));
}

#[test]
fn a_length_beyond_the_limit_is_refused_by_its_header() {
    for (header, bytes) in [
        (&b"\x7e\x03\xe9"[..], 1001),
        (b"\xfe\xff\xff", 65_535),
        (b"\x7f\x00\x00\x00\x00\x00\x00\x03\xe9", 1001),
        (b"\x7f\x00\x20\x00\x00\x00\x00\x00\x00", 1 << 53),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", u64::MAX),
    ] {
        for cut in 0..header.len() {
            let (start, end) = header.split_at(cut);
            assert_eq!(
                decode(1000, [start, end]),
                (vec![], Some(Error::TooLarge { bytes, limit: 1000 })),
                "{header:x?}"
            );
        }
    }
    assert_eq!(decode(1000, [&[b"\x7e\x03\xe8", &[b'4'; 1000][..]].concat()[..]]).1, None);
}

#[test]
fn a_limit_can_be_raised_between_packets() {
    let mut decoder = Decoder::new(1);
    assert_eq!(decoder.decode(b"\x01\x32\x02").unwrap(), (2, Some(Item::Text("2"))));
    decoder.set_max_packet(2);
    assert_eq!(decoder.decode(b"\x0244").unwrap(), (3, Some(Item::Text("44"))));
}

#[test]
fn after_an_error_nothing_is_heard() {
    for bad in [&b"\x02\xff\xfe"[..], b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff"] {
        let mut decoder = Decoder::new(10);
        assert!(decoder.decode(bad).is_err());
        assert_eq!(decoder.decode(b"\x01\x32").unwrap(), (2, None));
    }
}

#[test]
fn text_is_utf8_however_it_is_cut() {
    let wire = "\u{9}4é€\u{10348}".as_bytes().to_vec();
    let wire = [&[10][..], &wire[1..]].concat();
    for first in 0..=wire.len() {
        for second in first..=wire.len() {
            let pieces = [&wire[..first], &wire[first..second], &wire[second..]];
            assert_eq!(decode(MAX, pieces), (vec![Owned::Text("4é€\u{10348}".into())], None));
        }
    }
    assert_eq!(decode(MAX, [&b"\x02\x34\xe9"[..]]).1, Some(Error::InvalidUtf8));
    assert_eq!(decode(MAX, [&b"\x02\x34"[..], b"\xe9"]).1, Some(Error::InvalidUtf8));
}

#[test]
fn the_first_packet_opens_or_upgrades() {
    assert_eq!(Hello::parse(Item::Text("0")), Some(Hello::Open));
    let upgrade = |sid: &str| Some(Hello::Upgrade(Sid::new(sid)));
    assert_eq!(Hello::parse(Item::Text(r#"0{"sid":"abc"}"#)), upgrade("abc"));
    assert_eq!(Hello::parse(Item::Text(r#"0{"sid":"__proto__","more":[{}]}"#)), upgrade("__proto__"));
    for bad in
        ["", "1", "2probe", "4", "40", "0{", "0{}", "0null", "0[]", "0\"abc\"", r#"0{"sid":7}"#, r#"0{"sid":""}"#]
    {
        assert_eq!(Hello::parse(Item::Text(bad)), None, "{bad}");
    }
    assert_eq!(Hello::parse(Item::Text(&format!("0{}", "[".repeat(100_000)))), None);
    assert_eq!(Hello::parse(Item::Binary(b"0")), None);
}

fn packet() -> impl Strategy<Value = Encoded> {
    let length = prop_oneof![0..300_usize, 65_500..65_600_usize];
    (any::<bool>(), length, "\\PC{0,40}").prop_map(|(binary, length, text)| {
        if binary {
            Encoded::binary(&vec![length.to_le_bytes()[0]; length])
        } else {
            Encoded::text(&text.repeat(length / 20))
        }
    })
}

proptest! {
    /// What is written is read again, in whatever pieces it comes.
    #[test]
    fn round_trip(packets in vec(packet(), 0..8), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let wire: Vec<u8> = packets.iter().flat_map(written).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).chain([0, wire.len()]).collect();
        cuts.sort_unstable();
        let (items, error) = decode(MAX, cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]));
        let expected: Vec<Owned> = packets.iter().map(|packet| match packet.packet() {
            [] => Owned::Text("b".into()),
            bytes if packet.is_binary() => Owned::Binary(bytes.to_vec()),
            bytes => Owned::Text(String::from_utf8(bytes.to_vec()).unwrap()),
        }).collect();
        prop_assert_eq!((items, error), (expected, None));
    }

    /// Whatever comes does no harm, and its cuts make no difference.
    #[test]
    fn noise(wire in vec(any::<u8>(), 0..400), cuts in vec(any::<prop::sample::Index>(), 0..12), max in 0..300_usize) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).chain([0, wire.len()]).collect();
        cuts.sort_unstable();
        let cut = decode(max, cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]));
        prop_assert_eq!(cut, decode(max, [&wire[..]]));
    }
}
