//! The default form: text, attachments apart.                                              [SIO5 "packet encoding"]
//!
//! ```text
//! <type>[<number of attachments>-][<namespace>,][<id>][<json>]
//!   2                                                 ["hello",1]
//!   5              1-               /admin,    12     ["upload",{"_placeholder":true,"num":0}]
//! ```

use serde::Serialize;
use sockeye_engine::{Encoded, Revision, TextBuffer};

use super::payload::{Accepted, Refusal};
use crate::args::{Args, ser};
use crate::json::placeholder;
use crate::json::scan::{Fault, Scanner, number_end, space_end, string_end};
use crate::json::{ser::Writer, unescape};
use crate::msgpack::key::float;
use crate::packet::{Body, Packet, is_reserved};
use crate::{AckId, Config, EncodeError, NamespacePath, Outgoing, ProtocolError};

/// The types of packets.                                                                   [SIO5 "packet types"]
mod kind {
    pub(super) const CONNECT: u8 = b'0';
    pub(super) const DISCONNECT: u8 = b'1';
    pub(super) const EVENT: u8 = b'2';
    pub(super) const ACK: u8 = b'3';
    pub(super) const CONNECT_ERROR: u8 = b'4';
    pub(super) const BINARY_EVENT: u8 = b'5';
    pub(super) const BINARY_ACK: u8 = b'6';
}

/// A packet which is being written.
struct Draft {
    buffer: TextBuffer,
    /// Where its type is.
    start: usize,
    attachments: Vec<Encoded>,
}

impl Draft {
    fn new(kind: u8, namespace: &NamespacePath) -> Self {
        let mut buffer = TextBuffer::new();
        let out = buffer.as_mut_vec();
        let start = out.len();
        out.push(kind);
        if !namespace.is_main() {
            out.extend_from_slice(namespace.as_str().as_bytes());
            out.push(b',');
        }
        Self { buffer, start, attachments: Vec::new() }
    }

    fn id(&mut self, id: AckId) {
        self.write(|writer| id.0.serialize(writer)).unwrap_or_default();
    }

    fn write(&mut self, write: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>) -> Result<(), EncodeError> {
        let attachments = &mut self.attachments;
        let mut attach = |bytes: &[u8]| {
            attachments.push(Encoded::binary(bytes));
            attachments.len() - 1
        };
        write(&mut Writer::new(self.buffer.as_mut_vec(), &mut attach))
    }

    /// Turns an event or ack with attachments into the binary form of it: the count was not known before.
    fn finish(mut self) -> Outgoing {
        if self.attachments.is_empty() {
            return Outgoing { first: self.buffer.finish(), attachments: None };
        }
        let count = self.attachments.len().to_string();
        let out = self.buffer.as_mut_vec();
        let kind = match out.get(self.start) {
            Some(&kind::EVENT) => kind::BINARY_EVENT,
            _ => kind::BINARY_ACK,
        };
        out.splice(self.start..=self.start, [kind].into_iter().chain(count.bytes()).chain([b'-']));
        Outgoing { first: self.buffer.finish(), attachments: Some(self.attachments.into()) }
    }
}

pub(super) fn event<A: Serialize + ?Sized>(
    namespace: &NamespacePath,
    ack: Option<AckId>,
    name: &str,
    args: &A,
    offset: Option<&str>,
) -> Result<Outgoing, EncodeError> {
    let mut draft = Draft::new(kind::EVENT, namespace);
    if let Some(id) = ack {
        draft.id(id);
    }
    draft.write(|writer| {
        writer.raw("[");
        name.serialize(&mut *writer)?;
        ser::write(args, writer)?;
        if let Some(offset) = offset {
            writer.raw(",");
            offset.serialize(&mut *writer)?;
        }
        writer.raw("]");
        Ok(())
    })?;
    Ok(draft.finish())
}

pub(super) fn ack<A: Serialize + ?Sized>(
    namespace: &NamespacePath,
    id: AckId,
    args: &A,
) -> Result<Outgoing, EncodeError> {
    let mut draft = Draft::new(kind::ACK, namespace);
    draft.id(id);
    let start = draft.buffer.as_mut_vec().len();
    draft.write(|writer| ser::write(args, writer))?;
    let out = draft.buffer.as_mut_vec();
    // Arguments begin with a comma each, as after an event's name; here the first comma is the bracket.
    match out.get_mut(start) {
        Some(comma) => *comma = b'[',
        None => out.push(b'['),
    }
    out.push(b']');
    Ok(draft.finish())
}

pub(super) fn connect<A: Serialize + ?Sized>(
    namespace: &NamespacePath,
    auth: Option<&A>,
) -> Result<Outgoing, EncodeError> {
    let mut draft = Draft::new(kind::CONNECT, namespace);
    if let Some(auth) = auth {
        let start = draft.buffer.as_mut_vec().len();
        draft.write(|writer| auth.serialize(writer))?;
        let out = draft.buffer.as_mut_vec();
        if out.get(start) != Some(&b'{') || !draft.attachments.is_empty() {
            return Err(EncodeError::new("auth must be an object without bytes"));
        }
    }
    Ok(draft.finish())
}

/// `0/admin?token=1,`                                                                              [SIO4 "CONNECT"]
pub(super) fn connect_v3(namespace: &NamespacePath, query: &str) -> Result<Outgoing, EncodeError> {
    if !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
        return Err(EncodeError::new("the query of a namespace must be percent-encoded"));
    }
    let mut buffer = TextBuffer::new();
    let out = buffer.as_mut_vec();
    out.push(kind::CONNECT);
    if !namespace.is_main() || !query.is_empty() {
        out.extend_from_slice(namespace.as_str().as_bytes());
        if !query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
        out.push(b',');
    }
    Ok(Outgoing { first: buffer.finish(), attachments: None })
}

pub(super) fn connected(revision: Revision, namespace: &NamespacePath, sid: &str, pid: Option<&str>) -> Outgoing {
    let mut draft = Draft::new(kind::CONNECT, namespace);
    if revision == Revision::V4 {
        // Strings always serialize.
        draft.write(|writer| Accepted { sid, pid }.serialize(writer)).unwrap_or_default();
    }
    draft.finish()
}

pub(super) fn refused(
    revision: Revision,
    namespace: &NamespacePath,
    message: &str,
    data: Option<&serde_json::Value>,
) -> Outgoing {
    let mut draft = Draft::new(kind::CONNECT_ERROR, namespace);
    // Strings and `Value`s always serialize.
    draft.write(|writer| Refusal { message, data }.write(revision, writer)).unwrap_or_default();
    draft.finish()
}

pub(super) fn disconnect(namespace: &NamespacePath) -> Outgoing {
    Draft::new(kind::DISCONNECT, namespace).finish()
}

/// Reads the text of a packet; its attachments are still to come.
pub(crate) fn decode<'a>(text: &'a str, config: &Config) -> Result<Packet<'a>, ProtocolError> {
    let kind = text.bytes().next().unwrap_or_default();
    if !matches!(kind, kind::CONNECT..=kind::BINARY_ACK) {
        return Err(ProtocolError::UnknownPacketType(kind));
    }
    let rest = text.get(1..).unwrap_or_default();
    let (attachments, rest) = match kind {
        kind::BINARY_EVENT | kind::BINARY_ACK => attachments(rest, config.max_attachments)?,
        _ => (0, rest),
    };
    let (path, rest) = if rest.starts_with('/') { rest.split_once(',').unwrap_or((rest, "")) } else { ("/", rest) };
    let body = match kind {
        kind::CONNECT => connect_body(without_id(rest), config.max_depth)?,
        kind::CONNECT_ERROR => refused_body(rest, config.max_depth)?,
        kind::DISCONNECT if without_id(rest).is_empty() => Body::Disconnect,
        kind::DISCONNECT => return Err(ProtocolError::InvalidPayload),
        kind::ACK | kind::BINARY_ACK => {
            let (id, list) = id(rest)?;
            let id = id.ok_or(ProtocolError::InvalidAckId)?;
            Body::Ack { id, args: Args::json(elements(list, 1, config.max_depth)?, &[]) }
        }
        _ => {
            let (id, list) = id(rest)?;
            event_body(id, list, config.max_depth)?
        }
    };
    if let (1.., Body::Ack { args, .. } | Body::Event { args, .. }) = (attachments, &body) {
        check_placeholders(args, attachments)?;
    }
    Ok(Packet { path, attachments, body })
}

/// `<n>-`, at least 1 and without leading zeros.
fn attachments(rest: &str, limit: usize) -> Result<(usize, &str), ProtocolError> {
    let (count, rest) = rest.split_once('-').ok_or(ProtocolError::InvalidAttachmentCount)?;
    if count.is_empty() || count.starts_with('0') || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ProtocolError::InvalidAttachmentCount);
    }
    let count = count.parse().unwrap_or(usize::MAX);
    if count <= limit { Ok((count, rest)) } else { Err(ProtocolError::TooManyAttachments { count, limit }) }
}

/// The digits before the payload.
fn id(rest: &str) -> Result<(Option<AckId>, &str), ProtocolError> {
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return Ok((None, rest));
    }
    let (digits, rest) = rest.split_at_checked(length).ok_or(ProtocolError::InvalidAckId)?;
    let id = digits.parse().map_err(|_| ProtocolError::InvalidAckId)?;
    Ok((Some(AckId(id)), rest))
}

/// What stands behind an id where none means anything. Official peers read one in front of every payload, of any size,
/// and look at it for events and answers alone. [JS socket.io-parser 4.2 index.ts decodeString]
fn without_id(rest: &str) -> &str {
    rest.trim_start_matches(|digit: char| digit.is_ascii_digit())
}

/// `["name",…]`. The name is found without parsing anything, unless it is a number, which names what JS writes for it:
/// `1e3` is `1000`. The arguments are checked, not parsed.
fn event_body(id: Option<AckId>, list: &str, max_depth: usize) -> Result<Body<'_>, ProtocolError> {
    let bytes = list.as_bytes();
    if bytes.first() != Some(&b'[') {
        return Err(ProtocolError::InvalidPayload);
    }
    let start = space_end(bytes, 1);
    let (name, end) = match bytes.get(start) {
        Some(b'"') => {
            let end = string_end(bytes, start + 1).ok_or(ProtocolError::InvalidJson)?;
            let raw = list.get(start + 1..end.next - 1).unwrap_or_default();
            (unescape(raw, end.escaped), end.next)
        }
        Some(b'-' | b'0'..=b'9') => {
            let end = number_end(bytes, start).ok_or(ProtocolError::InvalidJson)?;
            let number =
                list.get(start..end).and_then(|digits| digits.parse().ok()).ok_or(ProtocolError::InvalidJson)?;
            (float(number).into(), end)
        }
        Some(_) => return Err(ProtocolError::InvalidEventName),
        None => return Err(ProtocolError::InvalidJson),
    };
    if is_reserved(&name) {
        return Err(ProtocolError::ReservedEventName);
    }
    let next = space_end(bytes, end);
    let args = match bytes.get(next) {
        Some(b',') => elements(list, next + 1, max_depth)?,
        Some(b']') if space_end(bytes, next + 1) == bytes.len() => "",
        _ => return Err(ProtocolError::InvalidJson),
    };
    Ok(Body::Event { name, id, args: Args::json(args, &[]) })
}

/// What stands between byte `from`, which is inside an array, and the bracket that closes it and the text.
fn elements(list: &str, from: usize, max_depth: usize) -> Result<&str, ProtocolError> {
    let bytes = list.as_bytes();
    if bytes.first() != Some(&b'[') {
        return Err(ProtocolError::InvalidPayload);
    }
    if from == 1 && bytes.get(space_end(bytes, 1)) == Some(&b']') {
        let end = space_end(bytes, 1) + 1;
        return if space_end(bytes, end) == bytes.len() { Ok("") } else { Err(ProtocolError::InvalidJson) };
    }
    let end = Scanner::new(list, from, max_depth).elements().map_err(|fault| refusal(fault, max_depth))?;
    if space_end(bytes, end) != bytes.len() {
        return Err(ProtocolError::InvalidJson);
    }
    Ok(list.get(from..end - 1).unwrap_or_default())
}

/// Nothing, or an object.
fn connect_body(rest: &str, max_depth: usize) -> Result<Body<'_>, ProtocolError> {
    match rest.bytes().next() {
        None => Ok(Body::Connect(Args::NONE)),
        Some(b'{') => Ok(Body::Connect(Args::json(value(rest, max_depth)?, &[]))),
        Some(_) => Err(ProtocolError::InvalidPayload),
    }
}

/// An object, or anything at all in revision 4 of the protocol: a number is that before it is an id.
fn refused_body(rest: &str, max_depth: usize) -> Result<Body<'_>, ProtocolError> {
    let refusal = match (value(rest, max_depth), without_id(rest)) {
        (Ok(refusal), _) => refusal,
        (Err(_), "") => return Ok(Body::Refused(Args::NONE)),
        (Err(_), behind) => value(behind, max_depth)?,
    };
    Ok(Body::Refused(Args::json(refusal, &[])))
}

/// One value and nothing else.
fn value(text: &str, max_depth: usize) -> Result<&str, ProtocolError> {
    let end = Scanner::new(text, 0, max_depth).value().map_err(|fault| refusal(fault, max_depth))?;
    if space_end(text.as_bytes(), end) == text.len() { Ok(text) } else { Err(ProtocolError::InvalidJson) }
}

fn refusal(fault: Fault, max_depth: usize) -> ProtocolError {
    match fault {
        Fault::Depth => ProtocolError::TooDeep { limit: max_depth },
        Fault::Syntax => ProtocolError::InvalidJson,
    }
}

fn check_placeholders(args: &Args<'_>, count: usize) -> Result<(), ProtocolError> {
    match args.0 {
        crate::args::Form::Json { text, .. } if !placeholder::check(text, count) => {
            Err(ProtocolError::InvalidPlaceholder)
        }
        _ => Ok(()),
    }
}
