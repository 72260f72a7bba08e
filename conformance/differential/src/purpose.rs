//! Where ours reads something else than the official parsers: rules of the connection, which are not the parser's business,
//! and differences that `docs/protocol-notes.md` gives reasons for.

use serde_json::Value;
use sockeye_protocol::ProtocolError;

use crate::corpus::Arriving;

/// Names of events that belong to the library.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Whether ours may refuse what theirs takes. `later`: what theirs makes of the messages from this one on.
pub(crate) fn refused(error: &ProtocolError, arriving: &Arriving, later: &[Value]) -> bool {
    let theirs = later.first().unwrap_or(&Value::Null);
    match (error, arriving) {
        // An event without even a name is a packet to their parser, which looks only at what is there.
        // And to JavaScript a blank is a digit: before the JSON, of an id.
        (ProtocolError::InvalidPayload, _) => {
            theirs.is_null()
                || theirs["data"].is_null()
                || has_blank_before_json(arriving)
                || has_foreign_extension(arriving)
        }
        (ProtocolError::InvalidJson, Ok(text)) => text.starts_with('4') && text.contains(is_blank),
        // Here a type, and so is nothing at all.
        (ProtocolError::UnknownPacketType(_), Ok(text)) => text.chars().next().is_none_or(char::is_whitespace),
        // MessagePack: any value is a name to theirs, and keys and types of a packet may be no texts and integers.
        (ProtocolError::InvalidEventName, Err(_)) => {
            theirs["data"][0].as_str().is_none_or(|name| name.contains('\u{fffd}') || name.ends_with('Z'))
        }
        (ProtocolError::ReservedEventName, Err(_)) => RESERVED.iter().any(|name| theirs["data"][0] == *name),
        (ProtocolError::InvalidMsgpack, Err(_)) => true,
        (ProtocolError::TooDeep { limit }, Ok(text)) => text.matches(['[', '{']).count() > *limit,
        (ProtocolError::TooDeep { limit }, Err(bytes)) => bytes.len() > *limit,
        (ProtocolError::InvalidPlaceholder, Ok(text)) => {
            let end = later.iter().find(|theirs| !theirs.is_null());
            end.is_none_or(|end| end == "error" || has_lost_placeholder(text, end)) || has_odd_num(text)
        }
        (ProtocolError::InvalidAttachmentCount, Ok(text)) => {
            let count = text.split('-').next().unwrap_or_default().get(1..).unwrap_or_default();
            count.starts_with('0') || count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit())
        }
        (ProtocolError::InvalidAckId, Ok(text)) => {
            let id = id(text);
            if id.is_empty() { text.starts_with(['3', '6']) } else { id.parse::<u64>().is_err() }
        }
        (ProtocolError::InvalidAckId, Err(_)) => theirs["type"] == 2 || theirs["type"] == 3,
        (ProtocolError::NotConnected, _) => theirs.is_null() || !matches!(theirs["nsp"].as_str(), Some("/" | "/admin")),
        (ProtocolError::AlreadyConnected, _) => theirs["type"] == 0,
        (ProtocolError::UnexpectedPacket(_), _) => theirs["type"] == 4,
        (ProtocolError::InvalidNamespace, Err(_)) => {
            theirs["nsp"].as_str().is_none_or(|path| !path.starts_with('/') || path.contains([',', '\u{fffd}']))
        }
        _ => false,
    }
}

/// The name of the difference, if ours may make something else of a message than theirs.
pub(crate) fn reads_otherwise(messages: &[Arriving], theirs: &Value) -> Option<&'static str> {
    if messages.iter().any(has_foreign_extension) {
        return Some("msgpack extension of no known meaning");
    }
    if theirs.to_string().contains(" GMT") || theirs.to_string().contains("Invalid Date") {
        return Some("msgpack date as a key");
    }
    if messages.iter().all(Result::is_err) && has_large_key(theirs) {
        return Some("msgpack whole number of more than 53 bits as a key");
    }
    if messages.iter().any(|message| matches!(message, Err(bytes) if contains(bytes, b"__proto__"))) {
        return Some("msgpack key __proto__, which theirs loses");
    }
    if messages.iter().any(|message| matches!(message, Ok(text) if has_late_placeholder(text))) {
        return Some("json placeholder behind other keys, which is data");
    }
    None
}

/// The name of the difference, if ours may take what theirs refuses.
pub(crate) fn taken(messages: &[Arriving], arriving: &Arriving) -> Option<&'static str> {
    if has_nil_for_nothing(arriving) {
        return Some("msgpack nil for nothing, which ours takes");
    }
    if matches!(arriving, Err(bytes) if contains(bytes, b"__proto__")) {
        return Some("msgpack key __proto__, which theirs loses");
    }
    messages
        .iter()
        .any(|message| matches!(message, Ok(text) if has_late_placeholder(text)))
        .then_some("json placeholder behind other keys, which is data")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The digits in front of a payload.
fn id(text: &str) -> &str {
    let rest = text.get(1..).unwrap_or_default();
    let rest = if text.starts_with(['5', '6']) { rest.split_once('-').unwrap_or_default().1 } else { rest };
    let rest = if rest.starts_with('/') { rest.split_once(',').unwrap_or_default().1 } else { rest };
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
}

fn has_blank_before_json(arriving: &Arriving) -> bool {
    let Ok(text) = arriving else { return false };
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    let rest = if rest.starts_with('/') { rest.split_once(',').unwrap_or_default().1 } else { rest };
    rest.split(['[', '{']).next().is_some_and(|header| header.contains(is_blank))
}

/// To JavaScript.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

/// Whether there is a `nil` for the data or the id of a packet: other languages have no `undefined`.
fn has_nil_for_nothing(arriving: &Arriving) -> bool {
    let Err(bytes) = arriving else { return false };
    contains(bytes, b"\xa4data\xc0") || contains(bytes, b"\xa2id\xc0")
}

/// Whether there may be an extension in it that is neither `undefined` nor a date of JavaScript: theirs reads a pair of type
/// and bytes, ours the bytes.
fn has_foreign_extension(arriving: &Arriving) -> bool {
    let Err(bytes) = arriving else { return false };
    bytes.windows(2).any(|pair| {
        matches!(pair, [0xd4 | 0xd7, kind] if *kind != 0) || matches!(pair, [0xc7..=0xc9 | 0xd5 | 0xd6 | 0xd8, _])
    })
}

/// Whether the mark of a placeholder stands behind another key.
fn has_late_placeholder(text: &str) -> bool {
    let places = text.match_indices("placeholder\"").filter_map(|(at, _)| text.get(..at));
    places
        .filter_map(|before| before.rfind('"').and_then(|quote| before.get(..quote)))
        .any(|before| before.trim_end().ends_with(','))
}

/// Whether a placeholder became nothing: a later key of the same name took its place.
fn has_lost_placeholder(text: &str, packet: &Value) -> bool {
    text.matches("laceholder\"").count() > packet.to_string().matches("{\"b\":\"").count()
}

/// Whether a whole number of more than 53 bits may be a key, or a part of one.
fn has_large_key(theirs: &Value) -> bool {
    theirs.to_string().split("\":").any(|before| {
        let key = before.rsplit('"').next().unwrap_or_default();
        key.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= 16)
    })
}

/// Whether the number of a placeholder may be written in other characters than digits: a fraction, an exponent, a sign.
fn has_odd_num(text: &str) -> bool {
    text.match_indices("num\"").any(|(at, key)| {
        let value = text.get(at + key.len()..).unwrap_or_default().trim_start_matches([' ', '\t', '\r', '\n', ':']);
        let number = value.split([',', '}', ' ', '\t', '\r', '\n']).next().unwrap_or_default();
        !number.bytes().all(|byte| byte.is_ascii_digit())
    })
}
