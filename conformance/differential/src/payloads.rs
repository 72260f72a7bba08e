//! Polling bodies of Engine.IO, revision 4.

use serde_json::{Value, json};
use sockeye_engine::{Encoded, Message, Packet, ProtocolError, payload};
use sockeye_fuzz_targets::mutation::Random;

use crate::bodies;
use crate::corpus;
use crate::found::{Difference, Stricter};
use crate::judge::Judge;
use crate::tree::{Tree, hex};

/// Any body is the same packets to both.
pub(crate) fn decode(judge: &mut Judge, random: &mut Random, stricter: &mut Stricter) -> Result<(), Difference> {
    let body = bodies::body(random);
    let theirs = judge.engine_decode(&body)?;
    let mut ours = Vec::new();
    let packets = payload::Packets::new(body.as_bytes()).map_err(|error| format!("{body:?}: {error}"))?;
    for packet in packets {
        match packet {
            Ok(packet) => ours.push(show(&packet)),
            // JavaScript passes over what is no base64.
            Err(ProtocolError::InvalidBase64) if has_odd_base64(&body) => {
                *stricter.entry("InvalidBase64".to_owned()).or_default() += 1;
                return equal(&body, &ours, &theirs[..ours.len().min(theirs.len())]);
            }
            Err(_) => ours.push(json!(["error", ""])),
        }
    }
    let theirs: Vec<Value> = theirs.into_iter().map(without_data).collect();
    equal(&body, &ours, &theirs)
}

/// Messages become the same body, and any grouping of them comes back.
pub(crate) fn encode(judge: &mut Judge, random: &mut Random) -> Result<(), Difference> {
    let trees: Vec<Tree> = (0..=random.below(5)).map(|_| message(random)).collect();
    let mut body = Vec::new();
    for tree in &trees {
        let packet = match tree {
            Tree::Bytes(bytes) => Encoded::binary(bytes),
            Tree::Text(text) => Encoded::text(text),
            other => return Err(format!("not a message: {other:?}")),
        };
        payload::append(&mut body, &packet);
    }
    let messages: Vec<Value> = trees.iter().map(Tree::in_order).collect();
    let theirs = judge.engine_encode(&messages)?;
    let ours = String::from_utf8(body).map_err(|error| error.to_string())?;
    if ours != theirs {
        return Err(format!("{messages:?} becomes {ours:?}, theirs is {theirs:?}"));
    }
    let packets = payload::Packets::new(theirs.as_bytes()).map_err(|error| error.to_string())?;
    let read: Vec<Value> = packets.filter_map(Result::ok).map(|packet| show(&packet)).collect();
    let expected: Vec<Value> = messages.into_iter().map(|message| json!(["message", message])).collect();
    equal(&theirs, &read, &expected)
}

pub(crate) fn message(random: &mut Random) -> Tree {
    match random.below(2) {
        0 => Tree::Bytes((0..random.below(10)).map(|_| random.number().to_le_bytes()[0]).collect()),
        // A separator inside a message is a separator: no application can send one by polling.
        _ => Tree::Text(corpus::text(random, 10).replace('\u{1e}', "")),
    }
}

pub(crate) fn show(packet: &Packet<'_>) -> Value {
    match packet {
        Packet::Open(data) => json!(["open", data]),
        Packet::Close => json!(["close", ""]),
        Packet::Ping(data) => json!(["ping", data]),
        Packet::Pong(data) => json!(["pong", data]),
        Packet::Message(Message::Text(text)) => json!(["message", text]),
        Packet::Message(Message::Binary(bytes)) => json!(["message", { "b": hex(bytes) }]),
        Packet::Upgrade => json!(["upgrade", ""]),
        Packet::Noop => json!(["noop", ""]),
    }
}

/// Whether a packet has base64 that is none: of a length that none has, wrongly padded, or with what stands for nothing.
fn has_odd_base64(body: &str) -> bool {
    body.split('\u{1e}').filter_map(|packet| packet.strip_prefix('b')).any(|base64| {
        let digits = base64.trim_end_matches('=');
        let padding = base64.len() - digits.len();
        let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
        !digits.chars().all(is_digit) || digits.len() % 4 == 1 || padding > 2 || padding > 0 && base64.len() % 4 != 0
    })
}

/// What such packets carry means nothing, and ours does not keep it.
fn without_data(packet: Value) -> Value {
    match packet[0].as_str() {
        Some(name @ ("close" | "upgrade" | "noop" | "error")) => json!([name, ""]),
        _ => packet,
    }
}

pub(crate) fn equal(input: &str, ours: &[Value], theirs: &[Value]) -> Result<(), Difference> {
    let theirs: Vec<Value> = theirs.iter().cloned().map(without_data).collect();
    if ours == theirs { Ok(()) } else { Err(format!("{input:?} is {ours:?}, to them {theirs:?}")) }
}
