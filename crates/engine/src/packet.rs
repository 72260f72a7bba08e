//! One Engine.IO packet.                                                                   [EIO4 "packet encoding"]
//!
//! ```text
//! text:    +-----------+------------+     base64: +-----+----------------------------+
//!          | '0'..='6' | data, UTF-8|             | 'b' | base64 of a binary MESSAGE |   revision 3: "b4" + base64
//!          +-----------+------------+             +-----+----------------------------+
//! binary:  revision 4: the bytes of a MESSAGE alone; revision 3: the type as a byte (0..=6), then the bytes
//! ```

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::{ProtocolError, Revision};

/// What the peer's application sent: the body of a MESSAGE packet. Borrowed from the transport's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes. Owned when they had to be decoded from base64.
    Binary(Cow<'a, [u8]>),
}

/// A packet as it came from a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: the server's handshake.
    Open(&'a str),
    /// `1`: the peer is leaving.
    Close,
    /// `2`, with its payload (`probe` during an upgrade).
    Ping(&'a str),
    /// `3`, with its payload.
    Pong(&'a str),
    /// `4`: a message.
    Message(Message<'a>),
    /// `5`: the client switches to this transport.
    Upgrade,
    /// `6`: nothing; ends a poll.
    Noop,
}

impl<'a> Packet<'a> {
    /// Decodes the content of a text frame, or one packet of a payload, in revision 4.
    ///
    /// # Errors
    /// `EmptyPacket`, `UnknownPacketType`, and `InvalidBase64` after a `b`.
    pub fn decode_text(text: &'a str) -> Result<Self, ProtocolError> {
        match text.strip_prefix('b') {
            Some(base64) => decode_base64(base64),
            None => decode_typed(text),
        }
    }

    /// Decodes the content of a text frame, or one text packet of a payload, in revision 3: as in revision 4, except
    /// that base64 begins with `b4`. [EIO3 "encoding"]
    ///
    /// # Errors
    /// As [`Packet::decode_text`]; base64 of anything but a message is `UnknownPacketType`.
    pub fn decode_text_v3(text: &'a str) -> Result<Self, ProtocolError> {
        let Some(typed) = text.strip_prefix('b') else { return decode_typed(text) };
        match typed.strip_prefix('4') {
            Some(base64) => decode_base64(base64),
            None => Err(typed.bytes().next().map_or(ProtocolError::EmptyPacket, ProtocolError::UnknownPacketType)),
        }
    }

    /// Decodes the content of a binary frame: the bytes themselves in revision 4, a type byte and the bytes in
    /// revision 3. Only messages are ever binary.
    ///
    /// # Errors
    /// `EmptyPacket` and `UnknownPacketType`, in revision 3.
    pub fn decode_binary(bytes: &'a [u8], revision: Revision) -> Result<Self, ProtocolError> {
        let message = match (revision, bytes.split_first()) {
            (Revision::V4, _) => bytes,
            (Revision::V3, Some((4, message))) => message,
            (Revision::V3, Some((&other, _))) => return Err(ProtocolError::UnknownPacketType(other)),
            (Revision::V3, None) => return Err(ProtocolError::EmptyPacket),
        };
        Ok(Self::Message(Message::Binary(Cow::Borrowed(message))))
    }

    /// The name of its type, for logs: nothing that the peer chose.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Close => "close",
            Self::Ping(_) => "ping",
            Self::Pong(_) => "pong",
            Self::Message(_) => "message",
            Self::Upgrade => "upgrade",
            Self::Noop => "noop",
        }
    }

    /// Length of what it carries, in bytes, without its type.
    pub fn size(&self) -> usize {
        match self {
            Self::Open(data) | Self::Ping(data) | Self::Pong(data) | Self::Message(Message::Text(data)) => data.len(),
            Self::Message(Message::Binary(bytes)) => bytes.len(),
            Self::Close | Self::Upgrade | Self::Noop => 0,
        }
    }
}

fn decode_typed(text: &str) -> Result<Packet<'_>, ProtocolError> {
    let first = text.bytes().next().ok_or(ProtocolError::EmptyPacket)?;
    // The types are ASCII; a longer first character fails below by its first byte.
    let data = text.get(1..).unwrap_or_default();
    match first {
        b'0' => Ok(Packet::Open(data)),
        b'1' => Ok(Packet::Close),
        b'2' => Ok(Packet::Ping(data)),
        b'3' => Ok(Packet::Pong(data)),
        b'4' => Ok(Packet::Message(Message::Text(data))),
        b'5' => Ok(Packet::Upgrade),
        b'6' => Ok(Packet::Noop),
        other => Err(ProtocolError::UnknownPacketType(other)),
    }
}

fn decode_base64<'a>(base64: &str) -> Result<Packet<'a>, ProtocolError> {
    let bytes = BASE64.decode(base64).map_err(|_| ProtocolError::InvalidBase64)?;
    Ok(Packet::Message(Message::Binary(Cow::Owned(bytes))))
}

/// Length of `bytes` bytes in base64, with padding.
pub(crate) fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4)
}

/// Appends `bytes` as base64.
pub(crate) fn append_base64(body: &mut Vec<u8>, bytes: &[u8]) {
    let start = body.len();
    body.resize(start.saturating_add(base64_len(bytes.len())), 0);
    let written = body.get_mut(start..).and_then(|room| BASE64.encode_slice(bytes, room).ok());
    body.truncate(start.saturating_add(written.unwrap_or(0)));
}

/// Standard alphabet, written with padding. Read without it too, as JavaScript does: clients in other languages omit it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Packet<'_> {
        Packet::Message(Message::Text(text))
    }

    fn binary(bytes: &[u8]) -> Packet<'_> {
        Packet::Message(Message::Binary(Cow::Borrowed(bytes)))
    }

    #[test]
    fn every_type_of_packet() {
        assert_eq!(Packet::decode_text("0{\"sid\":\"x\"}"), Ok(Packet::Open("{\"sid\":\"x\"}")));
        assert_eq!(Packet::decode_text("1"), Ok(Packet::Close));
        assert_eq!(Packet::decode_text("2"), Ok(Packet::Ping("")));
        assert_eq!(Packet::decode_text("2probe"), Ok(Packet::Ping("probe")));
        assert_eq!(Packet::decode_text("3probe"), Ok(Packet::Pong("probe")));
        assert_eq!(Packet::decode_text("4hello"), Ok(text("hello")));
        assert_eq!(Packet::decode_text("4€"), Ok(text("€")));
        assert_eq!(Packet::decode_text("4"), Ok(text("")));
        assert_eq!(Packet::decode_text("5"), Ok(Packet::Upgrade));
        assert_eq!(Packet::decode_text("6"), Ok(Packet::Noop));
    }

    #[test]
    fn what_is_no_packet() {
        assert_eq!(Packet::decode_text(""), Err(ProtocolError::EmptyPacket));
        assert_eq!(Packet::decode_text("7"), Err(ProtocolError::UnknownPacketType(b'7')));
        assert_eq!(Packet::decode_text("abc"), Err(ProtocolError::UnknownPacketType(b'a')));
        assert_eq!(Packet::decode_text("€4"), Err(ProtocolError::UnknownPacketType(0xe2)));
        assert_eq!(Packet::decode_text("bnot base64"), Err(ProtocolError::InvalidBase64));
    }

    #[test]
    fn base64_with_and_without_padding() {
        assert_eq!(Packet::decode_text("bAQIDBA=="), Ok(binary(&[1, 2, 3, 4])));
        assert_eq!(Packet::decode_text("bAQIDBA"), Ok(binary(&[1, 2, 3, 4])));
        assert_eq!(Packet::decode_text("b"), Ok(binary(&[])));
        assert_eq!(Packet::decode_text_v3("b4AQIDBA=="), Ok(binary(&[1, 2, 3, 4])));
        assert_eq!(Packet::decode_text_v3("4hello"), Ok(text("hello")));
        assert_eq!(Packet::decode_text_v3("b"), Err(ProtocolError::EmptyPacket));
        assert_eq!(Packet::decode_text_v3("b2AQ"), Err(ProtocolError::UnknownPacketType(b'2')));
    }

    #[test]
    fn base64_that_is_none_is_refused() {
        for base64 in ["A", "=", "AQIDBA===", "AQIDBA==AQ==", "A=Q=", "-_8=", "AQ ID", "AQ\nID", "AQID ", "é", "AQ\0D"]
        {
            assert_eq!(Packet::decode_text(&format!("b{base64}")), Err(ProtocolError::InvalidBase64), "{base64:?}");
            assert_eq!(Packet::decode_text_v3(&format!("b4{base64}")), Err(ProtocolError::InvalidBase64), "{base64:?}");
        }
    }

    #[test]
    fn binary_frames_of_both_revisions() {
        assert_eq!(Packet::decode_binary(&[1, 2], Revision::V4), Ok(binary(&[1, 2])));
        assert_eq!(Packet::decode_binary(&[], Revision::V4), Ok(binary(&[])));
        assert_eq!(Packet::decode_binary(&[4, 1, 2], Revision::V3), Ok(binary(&[1, 2])));
        assert_eq!(Packet::decode_binary(&[5, 1], Revision::V3), Err(ProtocolError::UnknownPacketType(5)));
        assert_eq!(Packet::decode_binary(&[], Revision::V3), Err(ProtocolError::EmptyPacket));
    }
}
