//! Bodies of the polling transport, and single packets.

use proptest::prelude::*;
use sockeye_engine::handshake::{Open, Query, parameters};
use sockeye_engine::{Encoded, Message, Packet, ProtocolError, Revision, payload, payload_v3};

/// A message which owns its content, so that both sides of a round trip can be compared.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    Text(String),
    Binary(Vec<u8>),
}

impl Content {
    fn encode(&self) -> Encoded {
        match self {
            Self::Text(text) => Encoded::text(text),
            Self::Binary(bytes) => Encoded::binary(bytes),
        }
    }
}

fn content(packet: Packet<'_>) -> Content {
    match packet {
        Packet::Message(Message::Text(text)) => Content::Text(text.to_owned()),
        Packet::Message(Message::Binary(bytes)) => Content::Binary(bytes.into_owned()),
        other => panic!("not a message: {other:?}"),
    }
}

fn read(body: &[u8]) -> Result<Vec<Packet<'_>>, ProtocolError> {
    payload::Packets::new(body)?.collect()
}

fn read_v3(body: &[u8], binary: bool) -> Result<Vec<Packet<'_>>, ProtocolError> {
    payload_v3::Packets::new(body, binary)?.collect()
}

fn write(packets: &[Encoded]) -> Vec<u8> {
    let mut body = Vec::new();
    for packet in packets {
        payload::append(&mut body, packet);
    }
    body
}

fn write_v3(packets: &[Encoded], supports_binary: bool) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let binary = payload_v3::encode(&mut body, packets, supports_binary);
    (body, binary)
}

fn text(text: &str) -> Packet<'_> {
    Packet::Message(Message::Text(text))
}

fn binary(bytes: &[u8]) -> Packet<'_> {
    Packet::Message(Message::Binary(bytes.into()))
}

#[test]
fn examples_of_revision_4() {
    assert_eq!(read(b"4hello\x1e2\x1e4world"), Ok(vec![text("hello"), Packet::Ping(""), text("world")]));
    assert_eq!(read(b"4hello\x1ebAQIDBA=="), Ok(vec![text("hello"), binary(&[1, 2, 3, 4])]));
    assert_eq!(write(&[Encoded::text("hello"), Encoded::binary(&[1, 2, 3, 4])]), b"4hello\x1ebAQIDBA==");
    assert_eq!(write(&[Encoded::text("€"), Encoded::control("2")]), "4€\x1e2".as_bytes());
    assert_eq!(write(&[]), b"");
}

#[test]
fn bad_bodies_of_revision_4() {
    assert_eq!(read(b""), Err(ProtocolError::EmptyPacket));
    assert_eq!(read(b"4a\x1e"), Err(ProtocolError::EmptyPacket));
    assert_eq!(read(b"\x1e4a"), Err(ProtocolError::EmptyPacket));
    assert_eq!(read(b"4a\xff"), Err(ProtocolError::InvalidUtf8));
    assert_eq!(read(b"4a\x1e9\x1e4b"), Err(ProtocolError::UnknownPacketType(b'9')));
    let mut packets = payload::Packets::new(b"4a\x1e9\x1e4b").unwrap();
    assert_eq!(packets.next(), Some(Ok(text("a"))));
    assert_eq!(packets.next(), Some(Err(ProtocolError::UnknownPacketType(b'9'))));
    assert_eq!(packets.next(), None);
}

#[test]
fn examples_of_revision_3() {
    assert_eq!(read_v3(b"6:4hello2:4\xe2\x82\xac", false), Ok(vec![text("hello"), text("€")]));
    assert_eq!(read_v3("3:4💧1:2".as_bytes(), false), Ok(vec![text("💧"), Packet::Ping("")]));
    assert_eq!(read_v3(b"6:4hello10:b4AQIDBA==", false), Ok(vec![text("hello"), binary(&[1, 2, 3, 4])]));
    let octets = b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04";
    assert_eq!(read_v3(octets, true), Ok(vec![text("hello"), binary(&[1, 2, 3, 4])]));
    assert_eq!(read_v3(b"\x00\x01\x00\xff4123456789", true), Ok(vec![text("123456789")]));
    assert_eq!(read_v3(b"0:", false), Ok(vec![]));
    assert_eq!(read_v3(b"0:0:1:20:", false), Ok(vec![Packet::Ping("")]));

    let packets = [Encoded::text("hello"), Encoded::binary(&[1, 2, 3, 4])];
    assert_eq!(write_v3(&packets, true), (octets.to_vec(), true));
    assert_eq!(write_v3(&packets, false), (b"6:4hello10:b4AQIDBA==".to_vec(), false));
    assert_eq!(write_v3(&[Encoded::text("€💧")], true), ("4:4€💧".as_bytes().to_vec(), false));
    let packets = [Encoded::text("€"), Encoded::binary(&[])];
    assert_eq!(write_v3(&packets, true), (b"\x00\x04\xff4\xe2\x82\xac\x01\x01\xff\x04".to_vec(), true));
}

#[test]
fn bad_bodies_of_revision_3() {
    let text: [&[u8]; 13] = [
        b"4hello",
        b":4a",
        b"x:4a",
        b"1",
        b"2:4",
        b"3:4a",
        b"-1:4",
        b"1e1:4a",
        b"1:41",
        b"2:4a3",
        b"99999999999999999999:4",
        b"18446744073709551617:4",
        " 1:4".as_bytes(),
    ];
    for body in text {
        assert_eq!(read_v3(body, false), Err(ProtocolError::InvalidLength), "{body:?}");
    }
    // Half a surrogate pair.
    assert_eq!(read_v3("2:4💧".as_bytes(), false), Err(ProtocolError::InvalidLength));
    assert_eq!(read_v3(b"", false), Err(ProtocolError::EmptyPacket));
    assert_eq!(read_v3(b"1:9", false), Err(ProtocolError::UnknownPacketType(b'9')));
    assert_eq!(read_v3(b"1:\xff", false), Err(ProtocolError::InvalidUtf8));

    let octets: [&[u8]; 9] = [
        b"\x00",
        b"\x00\x01",
        b"\x00\xff4",
        b"\x00\x0a\xff4",
        b"\x00\x02\xff4",
        b"\x02\x01\xff4",
        b"\x01\x01\x01\xff\x04",
        &[0; 400],
        &[9; 400],
    ];
    for body in octets {
        assert_eq!(read_v3(body, true), Err(ProtocolError::InvalidLength), "{body:?}");
    }
    assert_eq!(read_v3(b"\x00\x00\xff", true), Err(ProtocolError::EmptyPacket));
    assert_eq!(read_v3(b"\x01\x00\xff", true), Err(ProtocolError::EmptyPacket));
    assert_eq!(read_v3(b"\x00\x02\xff4\xff", true), Err(ProtocolError::InvalidUtf8));
    assert_eq!(read_v3(b"\x01\x02\xff\x02\x00", true), Err(ProtocolError::UnknownPacketType(2)));
}

#[test]
fn frames_of_both_revisions() {
    let message = Encoded::binary(&[1, 2, 3, 4]);
    assert_eq!(message.frame()[..], [0x82, 4, 1, 2, 3, 4]);
    assert_eq!(message.frame_v3(true)[..], [0x82, 5, 4, 1, 2, 3, 4]);
    assert_eq!(message.frame_v3(false)[..], *b"\x81\x0ab4AQIDBA==");
    let message = Encoded::text("€");
    assert_eq!(message.frame()[..], *b"\x81\x044\xe2\x82\xac");
    assert_eq!(message.frame_v3(true), message.frame());
    for (length, header) in [(124, 2), (125, 4), (65_534, 4), (65_535, 10), (70_000, 10)] {
        let message = Encoded::text(&"x".repeat(length));
        assert_eq!((message.frame().len(), message.packet().len()), (header + 1 + length, 1 + length));
        assert_eq!(message.packet()[..2], *b"4x");
    }
}

fn contents() -> impl Strategy<Value = Vec<Content>> {
    // The separator of revision 4 cannot be escaped; JSON never holds it raw.
    let text = "[^\x1e]{0,40}".prop_map(Content::Text);
    let binary = prop::collection::vec(any::<u8>(), 0..40).prop_map(Content::Binary);
    prop::collection::vec(prop_oneof![text, binary], 1..8)
}

proptest! {
    #[test]
    fn what_is_written_is_read(contents in contents()) {
        let packets: Vec<_> = contents.iter().map(Content::encode).collect();
        let read: Result<Vec<_>, _> = payload::Packets::new(&write(&packets)).unwrap().map(|packet| packet.map(content)).collect();
        prop_assert_eq!(read.as_ref(), Ok(&contents));
    }

    #[test]
    fn what_is_written_in_revision_3_is_read(contents in contents(), supports_binary: bool) {
        let packets: Vec<_> = contents.iter().map(Content::encode).collect();
        let (body, binary) = write_v3(&packets, supports_binary);
        prop_assert_eq!(binary, supports_binary && contents.iter().any(|content| matches!(content, Content::Binary(_))));
        let read: Result<Vec<_>, _> = payload_v3::Packets::new(&body, binary).unwrap().map(|packet| packet.map(content)).collect();
        prop_assert_eq!(read.as_ref(), Ok(&contents));
    }

    #[test]
    fn encoded_len_is_exact_and_in_revision_3_enough(contents in contents()) {
        for content in contents {
            let packet = content.encode();
            prop_assert_eq!(write(std::slice::from_ref(&packet)).len(), payload::encoded_len(&packet));
            for supports_binary in [true, false] {
                prop_assert!(write_v3(std::slice::from_ref(&packet), supports_binary).0.len() <= payload_v3::encoded_len(&packet));
            }
        }
    }

    #[test]
    fn frames_are_read_as_they_were_written(contents in contents()) {
        for expected in contents {
            let packet = expected.encode();
            let v3 = packet.frame_v3(true);
            let (read, read_v3) = if packet.is_binary() {
                (Packet::decode_binary(packet.packet(), Revision::V4), Packet::decode_binary(&v3[2..], Revision::V3))
            } else {
                let text = std::str::from_utf8(packet.packet()).unwrap();
                (Packet::decode_text(text), Packet::decode_text_v3(text))
            };
            prop_assert_eq!(content(read.unwrap()), expected.clone());
            prop_assert_eq!(content(read_v3.unwrap()), expected);
        }
    }

    /// Every step takes something away, so reading ends; and nothing follows an error.
    #[test]
    fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300), binary: bool) {
        let v4 = payload::Packets::new(&bytes).map(|packets| packets.take(1000).collect::<Vec<_>>());
        let v3 = payload_v3::Packets::new(&bytes, binary).map(|packets| packets.take(1000).collect::<Vec<_>>());
        for packets in [v4, v3].into_iter().flatten() {
            prop_assert!(packets.len() <= bytes.len() + 1);
            prop_assert!(packets.iter().rev().skip(1).all(Result::is_ok));
        }
    }

    #[test]
    fn any_length_prefixes_are_read_to_an_end(body in "([0-9:b42]|€|💧){0,60}", octets in prop::collection::vec(prop_oneof![0..3_u8, Just(255), Just(b'4')], 0..60)) {
        for (bytes, binary) in [(body.as_bytes(), false), (&octets[..], true)] {
            if let Ok(packets) = payload_v3::Packets::new(bytes, binary) {
                prop_assert!(packets.take(1000).count() <= bytes.len());
            }
        }
    }

    #[test]
    fn any_query_and_any_handshake_do_no_harm(text in ".{0,80}", query in "([A-Za-z0-9]|[&=%+]){0,80}") {
        for query in [&text, &query] {
            let parsed = Query::parse(query);
            prop_assert!(parsed.sid.is_none_or(|sid| !sid.is_empty()));
            prop_assert!(parameters(query).count() <= query.len());
        }
        prop_assert!(Open::parse(&text).is_err());
    }
}
