//! Polling bodies of Engine.IO, revision 3: text and binary.

use serde_json::{Value, json};
use sockeye_engine::{Encoded, ProtocolError, payload_v3};
use sockeye_fuzz_targets::mutation::Random;

use crate::bodies;
use crate::found::{Difference, Stricter};
use crate::judge::Judge;
use crate::payloads::{equal, message, show};
use crate::tree::{Tree, hex, unhex};

/// Any body is the same packets to both, up to the first that is none.
pub(crate) fn decode(judge: &mut Judge, random: &mut Random, stricter: &mut Stricter) -> Result<(), Difference> {
    if random.below(2) == 0 {
        let body = bodies::body_v3(random);
        compare(&body, body.as_bytes(), false, &judge.engine_decode_v3(&json!(body))?, stricter)
    } else {
        let body = bodies::body_v3_binary(random);
        let told = json!({ "b": hex(&body) });
        compare(&told.to_string(), &body, true, &judge.engine_decode_v3(&told)?, stricter)
    }
}

fn compare(
    shown: &str,
    body: &[u8],
    binary: bool,
    theirs: &[Value],
    stricter: &mut Stricter,
) -> Result<(), Difference> {
    let mut ours = Vec::new();
    let packets = match payload_v3::Packets::new(body, binary) {
        Ok(packets) => packets,
        // A body of no bytes is a text body that is refused, and a binary one of no packets, to them.
        Err(_) if body.is_empty() => return Ok(()),
        Err(error) => return Err(format!("{shown}: {error}")),
    };
    for packet in packets {
        match packet {
            Ok(packet) => ours.push(show(&packet)),
            Err(error) if theirs.get(ours.len()).or(theirs.last()).is_none_or(|packet| packet[0] == "error") => {
                // Theirs may find nothing wrong with the end of a body.
                if theirs.len() <= ours.len() && !is_on_purpose(&error, shown, binary) {
                    return Err(format!("{shown}: {error}, to them {theirs:?}"));
                }
                // A wrong length in a binary body keeps theirs from looking at the packets before it.
                if binary && theirs.len() == 1 {
                    return Ok(());
                }
                ours.push(json!(["error", ""]));
                return equal(shown, &ours[..ours.len().min(theirs.len())], theirs);
            }
            Err(error) if is_on_purpose(&error, shown, binary) => {
                *stricter.entry(format!("v3 {error:?}")).or_default() += 1;
                return equal(shown, &ours, &theirs[..ours.len()]);
            }
            Err(error) => return Err(format!("{shown}: {error}, to them {theirs:?}")),
        }
    }
    equal(shown, &ours, theirs)
}

/// Lengths that are no plain numbers, or cut a character in two, or are more than there is; base64 that is none; binary
/// packets that are no messages.
fn is_on_purpose(error: &ProtocolError, shown: &str, binary: bool) -> bool {
    match error {
        ProtocolError::InvalidBase64 | ProtocolError::InvalidLength | ProtocolError::UnknownPacketType(_) => true,
        // No packet is announced by `0:` alone, here.
        ProtocolError::EmptyPacket => binary || shown.contains("00:"),
        ProtocolError::InvalidUtf8 => binary,
        _ => false,
    }
}

/// Messages become the same body, and come back from it.
pub(crate) fn encode(judge: &mut Judge, random: &mut Random) -> Result<(), Difference> {
    let trees: Vec<Tree> = (0..=random.below(5)).map(|_| message(random)).collect();
    let supports_binary = random.below(2) == 0;
    let packets: Result<Vec<Encoded>, Difference> = trees.iter().map(encoded).collect();
    let mut body = Vec::new();
    let binary = payload_v3::encode(&mut body, &packets?, supports_binary);
    let messages: Vec<Value> = trees.iter().map(Tree::in_order).collect();
    let theirs = judge.engine_encode_v3(&messages, supports_binary)?;
    let ours = if binary { json!({ "b": hex(&body) }) } else { json!(String::from_utf8_lossy(&body)) };
    if ours != theirs {
        return Err(format!("{messages:?} becomes {ours}, theirs is {theirs}"));
    }
    let bytes = theirs["b"].as_str().and_then(unhex);
    let body = bytes.unwrap_or_else(|| theirs.as_str().unwrap_or_default().as_bytes().to_vec());
    let packets = payload_v3::Packets::new(&body, binary).map_err(|error| error.to_string())?;
    let read: Vec<Value> = packets.filter_map(Result::ok).map(|packet| show(&packet)).collect();
    let expected: Vec<Value> = messages.into_iter().map(|message| json!(["message", message])).collect();
    equal(&theirs.to_string(), &read, &expected)
}

fn encoded(tree: &Tree) -> Result<Encoded, Difference> {
    match tree {
        Tree::Bytes(bytes) => Ok(Encoded::binary(bytes)),
        Tree::Text(text) => Ok(Encoded::text(text)),
        other => Err(format!("not a message: {other:?}")),
    }
}
