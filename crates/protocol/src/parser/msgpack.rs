//! The form of `socket.io-msgpack-parser`: one binary message per packet, attachments inside.
//!
//! ```text
//! { type: 0..4, nsp: "/…", data: …, id: … }     keys in any order; others (`options`) are passed over
//! ```
//! `data` is `[name, …]` of an event, `[…]` of an ack, an object or nothing elsewhere. There are no binary types.

use std::borrow::Cow;

use serde::Serialize;
use sockeye_engine::{Encoded, Revision};

use super::payload::{Accepted, Refusal};
use crate::args::{Args, ser};
use crate::json::scan::{Fault, MAX_DEPTH};
use crate::msgpack::cursor::{Cursor, Token};
use crate::msgpack::key::float;
use crate::msgpack::ser::Writer;
use crate::packet::{Body, Packet, is_reserved};
use crate::{AckId, Config, EncodeError, NamespacePath, Outgoing, ProtocolError};

const CONNECT: u8 = 0;
const DISCONNECT: u8 = 1;
const EVENT: u8 = 2;
const ACK: u8 = 3;
const CONNECT_ERROR: u8 = 4;

/// A packet up to its data, which is written next if it `has_data`.
fn begin(kind: u8, namespace: &NamespacePath, id: Option<AckId>, has_data: bool) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(64);
    let mut writer = Writer::new(&mut out);
    writer.map(2 + usize::from(id.is_some()) + usize::from(has_data))?;
    writer.string("type")?;
    kind.serialize(&mut writer)?;
    writer.string("nsp")?;
    writer.string(namespace.as_str())?;
    if let Some(id) = id {
        writer.string("id")?;
        id.0.serialize(&mut writer)?;
    }
    if has_data {
        writer.string("data")?;
    }
    Ok(out)
}

fn finish(bytes: &[u8]) -> Outgoing {
    Outgoing { first: Encoded::binary(bytes), attachments: None }
}

pub(super) fn event<A: Serialize + ?Sized>(
    namespace: &NamespacePath,
    ack: Option<AckId>,
    name: &str,
    args: &A,
    offset: Option<&str>,
) -> Result<Outgoing, EncodeError> {
    let mut out = begin(EVENT, namespace, ack, true)?;
    ser::write_msgpack(Some(name), args, offset, &mut Writer::new(&mut out))?;
    Ok(finish(&out))
}

pub(super) fn ack<A: Serialize + ?Sized>(
    namespace: &NamespacePath,
    id: AckId,
    args: &A,
) -> Result<Outgoing, EncodeError> {
    let mut out = begin(ACK, namespace, Some(id), true)?;
    ser::write_msgpack(None, args, None, &mut Writer::new(&mut out))?;
    Ok(finish(&out))
}

pub(super) fn connect<A: Serialize + ?Sized>(
    namespace: &NamespacePath,
    auth: Option<&A>,
) -> Result<Outgoing, EncodeError> {
    let mut out = begin(CONNECT, namespace, None, auth.is_some())?;
    if let Some(auth) = auth {
        let start = out.len();
        auth.serialize(&mut Writer::new(&mut out))?;
        let written = out.get(start..).unwrap_or_default();
        if !matches!(Cursor::new(written).token(), Some(Token::Map(_))) {
            return Err(EncodeError::new("auth must be an object"));
        }
    }
    Ok(finish(&out))
}

// What follows writes strings and `Value`s, which always serialize (below 4 GiB).

pub(super) fn connected(revision: Revision, namespace: &NamespacePath, sid: &str, pid: Option<&str>) -> Outgoing {
    let has_data = revision == Revision::V4;
    let mut out = begin(CONNECT, namespace, None, has_data).unwrap_or_default();
    if has_data {
        Accepted { sid, pid }.serialize(&mut Writer::new(&mut out)).unwrap_or_default();
    }
    finish(&out)
}

pub(super) fn refused(
    revision: Revision,
    namespace: &NamespacePath,
    message: &str,
    data: Option<&serde_json::Value>,
) -> Outgoing {
    let mut out = begin(CONNECT_ERROR, namespace, None, true).unwrap_or_default();
    Refusal { message, data }.write(revision, &mut Writer::new(&mut out)).unwrap_or_default();
    finish(&out)
}

pub(super) fn disconnect(namespace: &NamespacePath) -> Outgoing {
    finish(&begin(DISCONNECT, namespace, None, false).unwrap_or_default())
}

/// The fields of a packet as they come.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<u64>,
    path: Option<&'a str>,
    data: Option<&'a [u8]>,
    id: Option<Id>,
}

/// A whole number.
#[derive(Clone, Copy)]
enum Id {
    Fits(AckId),
    /// It is less than zero, or a float. Where no id belongs it does no harm.
    Odd,
}

impl Fields<'_> {
    /// The id, where one belongs.
    fn id(&self) -> Result<Option<AckId>, ProtocolError> {
        match self.id {
            None => Ok(None),
            Some(Id::Fits(id)) => Ok(Some(id)),
            Some(Id::Odd) => Err(ProtocolError::InvalidAckId),
        }
    }
}

/// Reads a packet. Everything in it is checked, the arguments are not decoded.
pub(crate) fn decode<'a>(bytes: &'a [u8], config: &Config) -> Result<Packet<'a>, ProtocolError> {
    let fields = fields(bytes, config.max_depth)?;
    let path = fields.path.ok_or(ProtocolError::InvalidNamespace)?;
    let data = fields.data.unwrap_or(&[0xc0]);
    let kind = fields.kind.and_then(|kind| u8::try_from(kind).ok()).ok_or(ProtocolError::InvalidMsgpack)?;
    let first = Cursor::new(data).token();
    let body = match (kind, first) {
        (CONNECT, Some(Token::Map(_))) => Body::Connect(Args::msgpack(data, 1)),
        (CONNECT, Some(Token::Nil)) => Body::Connect(Args::NONE),
        (DISCONNECT, Some(Token::Nil)) => Body::Disconnect,
        (CONNECT_ERROR, Some(Token::Map(_) | Token::Str(_))) => Body::Refused(Args::msgpack(data, 1)),
        (EVENT, Some(Token::Array(length))) => event_body(data, length, fields.id()?)?,
        (ACK, Some(Token::Array(length))) => {
            let id = fields.id()?.ok_or(ProtocolError::InvalidAckId)?;
            let mut cursor = Cursor::new(data);
            cursor.token();
            Body::Ack { id, args: Args::msgpack(data.get(cursor.at()..).unwrap_or_default(), length) }
        }
        (CONNECT..=CONNECT_ERROR, _) => return Err(ProtocolError::InvalidPayload),
        _ => return Err(ProtocolError::UnknownPacketType(kind)),
    };
    Ok(Packet { path, attachments: 0, body })
}

fn fields(bytes: &[u8], max_depth: usize) -> Result<Fields<'_>, ProtocolError> {
    let mut cursor = Cursor::new(bytes);
    let Some(Token::Map(length)) = cursor.token() else { return Err(ProtocolError::InvalidMsgpack) };
    let mut fields = Fields::default();
    for _ in 0..length {
        let Some(Token::Str(key)) = cursor.token() else { return Err(ProtocolError::InvalidMsgpack) };
        let start = cursor.at();
        let value = cursor.peek();
        cursor.skip(max_depth.min(MAX_DEPTH)).map_err(|fault| match fault {
            Fault::Depth => ProtocolError::TooDeep { limit: max_depth },
            Fault::Syntax => ProtocolError::InvalidMsgpack,
        })?;
        match (key, value) {
            (b"data", _) => fields.data = Some(cursor.since(start)),
            (b"id", Some(Token::Positive(id))) => fields.id = Some(Id::Fits(AckId(id))),
            (b"id", Some(Token::Nil)) => {}
            (b"id", Some(Token::Negative(_))) => fields.id = Some(Id::Odd),
            (b"id", Some(Token::Float(id))) if id.fract() == 0.0 => fields.id = Some(Id::Odd),
            (b"id", _) => return Err(ProtocolError::InvalidAckId),
            (b"nsp", Some(Token::Str(path))) => {
                fields.path = Some(std::str::from_utf8(path).map_err(|_| ProtocolError::InvalidNamespace)?);
            }
            (b"type", Some(Token::Positive(kind))) => fields.kind = Some(kind),
            _ => {}
        }
    }
    if cursor.is_at_end() { Ok(fields) } else { Err(ProtocolError::InvalidMsgpack) }
}

/// `[name, …]`. A number names what JS writes for it, as in JSON.
#[expect(clippy::cast_precision_loss, reason = "JavaScript has no other numbers")]
fn event_body(data: &[u8], length: usize, id: Option<AckId>) -> Result<Body<'_>, ProtocolError> {
    let mut cursor = Cursor::new(data);
    cursor.token();
    let name = match cursor.token() {
        Some(Token::Str(name)) => {
            Cow::Borrowed(std::str::from_utf8(name).map_err(|_| ProtocolError::InvalidEventName)?)
        }
        Some(Token::Positive(number)) => Cow::Owned(float(number as f64)),
        Some(Token::Negative(number)) => Cow::Owned(float(number as f64)),
        Some(Token::Float(number)) => Cow::Owned(float(number)),
        _ => return Err(ProtocolError::InvalidEventName),
    };
    if length == 0 {
        return Err(ProtocolError::InvalidEventName);
    }
    if is_reserved(&name) {
        return Err(ProtocolError::ReservedEventName);
    }
    let args = Args::msgpack(data.get(cursor.at()..).unwrap_or_default(), length - 1);
    Ok(Body::Event { name, id, args })
}
