//! Engine.IO packets and payloads: what was understood can be written, and is then understood as the same.

use sockeye_engine::{Encoded, Message, Packet, Revision, payload, payload_v3};

use crate::input::text;
use crate::target::Target;

pub(crate) const PACKET: Target = Target {
    name: "packet",
    run: packet,
    seeds: &[
        b"0{\"sid\":\"x\"}",
        b"1",
        b"2probe",
        b"3probe",
        b"4hello",
        "4€".as_bytes(),
        b"5",
        b"6",
        b"bAQIDBA==",
        b"b4AQIDBA",
    ],
    mutations: 2_000,
};

pub(crate) const PAYLOAD: Target = Target {
    name: "payload",
    run: payload,
    seeds: &[b"4hello\x1e2\x1ebAQIDBA==", b"\x1e", b"4a\x1e", b"4\xe2\x82\xac\x1e4b", b""],
    mutations: 2_000,
};

pub(crate) const PAYLOAD_V3: Target = Target {
    name: "payload_v3",
    run: payload_v3,
    seeds: &[
        b"6:4hello2:4\xe2\x82\xac",
        b"3:4\xf0\x9f\x98\x801:2",
        b"10:b4AQIDBA==",
        b"0:",
        b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04",
        b"\x00\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff",
        b"99999999999999999999:4",
    ],
    mutations: 2_000,
};

fn packet(data: &[u8]) {
    let text = text(data);
    same_again(Packet::decode_text(text).ok(), Revision::V4);
    same_again(Packet::decode_text_v3(text).ok(), Revision::V3);
    for revision in [Revision::V3, Revision::V4] {
        same_again(Packet::decode_binary(data, revision).ok(), revision);
    }
}

fn payload(data: &[u8]) {
    let Ok(packets) = payload::Packets::new(data) else { return };
    let places = data.split(|byte| *byte == payload::SEPARATOR).count();
    let messages: Vec<Message<'_>> = packets.map_while(Result::ok).filter_map(message).collect();
    assert!(messages.len() <= places, "more messages than places for them");
    let mut body = Vec::new();
    for packet in messages.iter().map(encode) {
        let (before, most) = (body.len(), payload::encoded_len(&packet) + 1);
        payload::append(&mut body, &packet);
        assert!(body.len() - before <= most, "longer than announced");
    }
    if !body.is_empty() {
        // A message that holds a separator itself cannot have come from a payload.
        let again = payload::Packets::new(&body).expect("we write UTF-8");
        let again: Vec<_> = again.map(|packet| packet.expect("we write packets")).filter_map(message).collect();
        assert_eq!(again, messages);
    }
}

fn payload_v3(data: &[u8]) {
    for binary in [false, true] {
        let Ok(packets) = payload_v3::Packets::new(data, binary) else { continue };
        let mut messages = Vec::new();
        for (count, packet) in packets.enumerate() {
            assert!(count <= data.len(), "a packet takes at least a byte");
            messages.extend(packet.ok().and_then(message));
        }
        let packets: Vec<Encoded> = messages.iter().map(encode).collect();
        for supports_binary in [false, true] {
            let mut body = Vec::new();
            let is_binary = payload_v3::encode(&mut body, &packets, supports_binary);
            assert!(body.len() <= packets.iter().map(payload_v3::encoded_len).sum(), "longer than announced");
            if !body.is_empty() {
                let again = payload_v3::Packets::new(&body, is_binary).expect("we write UTF-8");
                let again: Vec<_> = again.map(|packet| packet.expect("we write packets")).filter_map(message).collect();
                assert_eq!(again, messages);
            }
        }
    }
}

fn same_again(packet: Option<Packet<'_>>, revision: Revision) {
    let Some(read) = packet.and_then(message) else { return };
    let written = encode(&read);
    let kind: &[u8] = if written.is_binary() && revision == Revision::V3 { &[4] } else { &[] };
    let bytes = [kind, written.packet()].concat();
    let again = match (written.is_binary(), revision) {
        (true, _) => Packet::decode_binary(&bytes, revision),
        (false, Revision::V4) => Packet::decode_text(text(&bytes)),
        (false, Revision::V3) => Packet::decode_text_v3(text(&bytes)),
    };
    assert_eq!(again.ok().and_then(message).as_ref(), Some(&read));
}

fn message(packet: Packet<'_>) -> Option<Message<'_>> {
    match packet {
        Packet::Message(message) => Some(message),
        _ => None,
    }
}

fn encode(message: &Message<'_>) -> Encoded {
    match message {
        Message::Text(text) => Encoded::text(text),
        Message::Binary(bytes) => Encoded::binary(bytes),
    }
}
