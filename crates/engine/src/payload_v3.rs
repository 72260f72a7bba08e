//! Many packets in one polling body, revision 3.                                            [EIO3 "payload encoding"]
//!
//! ```text
//! text body:    repeated  +------------------------+-----+--------+     length: UTF-16 code units of the packet
//!                         | length, decimal digits | ':' | packet |     binary message: "b4" and base64
//!                         +------------------------+-----+--------+
//! binary body:  repeated  +--------+---------------------------+------+--------+
//!                         | 0 or 1 | length, a byte per digit  | 0xff | packet |   0: text, 1: binary (byte 4, bytes)
//!                         +--------+---------------------------+------+--------+   length: bytes of the packet
//! ```

use crate::packet::{append_base64, base64_len};
use crate::{Encoded, Packet, ProtocolError, Revision};

/// The packets of a body, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    /// What was not given out yet. UTF-8 if the body is text; emptied by an error.
    rest: &'a [u8],
    binary: bool,
}

impl<'a> Packets<'a> {
    /// Reads `body`. `binary`: its content type is `application/octet-stream`.
    ///
    /// # Errors
    /// `InvalidUtf8` of a text body, `EmptyPacket` if there is no body. The rest is told by the iterator.
    pub fn new(body: &'a [u8], binary: bool) -> Result<Self, ProtocolError> {
        if body.is_empty() {
            return Err(ProtocolError::EmptyPacket);
        }
        if !binary {
            simdutf8::basic::from_utf8(body).map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        Ok(Self { rest: body, binary })
    }

    /// Goes on with what [`rest`](Self::rest) gave, without looking through all of it again.
    pub fn resume(rest: &'a [u8], binary: bool) -> Self {
        Self { rest, binary }
    }

    /// What was not given out yet; `None` after the last packet and after an error.
    pub fn rest(&self) -> Option<&'a [u8]> {
        Some(self.rest).filter(|rest| !rest.is_empty())
    }

    /// Takes one length-prefixed packet from the front of a text body.
    fn next_text(&mut self) -> Result<Packet<'a>, ProtocolError> {
        let colon = memchr::memchr(b':', self.rest).ok_or(ProtocolError::InvalidLength)?;
        let (digits, rest) = split(self.rest, colon)?;
        let units = parse_length(digits.iter().map(|digit| digit.wrapping_sub(b'0')))?;
        let rest = rest.get(1..).unwrap_or_default();
        let (packet, rest) = split(rest, utf16_prefix(rest, units)?)?;
        self.rest = rest;
        Packet::decode_text_v3(utf8(packet)?)
    }

    /// Takes one packet from the front of a binary body.
    fn next_binary(&mut self) -> Result<Packet<'a>, ProtocolError> {
        let (&kind, rest) = self.rest.split_first().ok_or(ProtocolError::InvalidLength)?;
        let end = rest.iter().take(MAX_DIGITS.saturating_add(1)).position(|&byte| byte == LENGTH_END);
        let (digits, rest) = split(rest, end.ok_or(ProtocolError::InvalidLength)?)?;
        let length = parse_length(digits.iter().copied())?;
        let (packet, rest) = split(rest.get(1..).unwrap_or_default(), length)?;
        self.rest = rest;
        match kind {
            KIND_TEXT => Packet::decode_text_v3(utf8(packet)?),
            KIND_BINARY => Packet::decode_binary(packet, Revision::V3),
            _ => Err(ProtocolError::InvalidLength),
        }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, ProtocolError>;

    fn next(&mut self) -> Option<Self::Item> {
        // `0:` is how the JS peers write a body without packets.
        while let (false, Some(rest)) = (self.binary, self.rest.strip_prefix(b"0:")) {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        let packet = if self.binary { self.next_binary() } else { self.next_text() };
        if packet.is_err() {
            self.rest = &[];
        }
        Some(packet)
    }
}

/// Encodes `packets` as one body; true if it is binary, which needs `supports_binary` (no `b64` in the query) and a
/// binary packet among them.
pub fn encode(body: &mut Vec<u8>, packets: &[Encoded], supports_binary: bool) -> bool {
    let binary = supports_binary && packets.iter().any(Encoded::is_binary);
    for packet in packets {
        if binary { append_binary(body, packet) } else { append_text(body, packet) }
    }
    binary
}

/// Length that `packet` takes in a body, at most, length prefix included.
pub fn encoded_len(packet: &Encoded) -> usize {
    let bytes = packet.packet().len();
    let packet = if packet.is_binary() { base64_len(bytes).saturating_add(2) } else { bytes };
    packet.saturating_add(MAX_DIGITS).saturating_add(2)
}

fn append_text(body: &mut Vec<u8>, packet: &Encoded) {
    let bytes = packet.packet();
    if packet.is_binary() {
        let length = base64_len(bytes.len()).saturating_add(2);
        body.extend_from_slice(length.to_string().as_bytes());
        body.extend_from_slice(b":b4");
        append_base64(body, bytes);
    } else {
        body.extend_from_slice(utf16_len(bytes).to_string().as_bytes());
        body.push(b':');
        body.extend_from_slice(bytes);
    }
}

fn append_binary(body: &mut Vec<u8>, packet: &Encoded) {
    let bytes = packet.packet();
    let (kind, prefix): (u8, &[u8]) = if packet.is_binary() { (KIND_BINARY, &[4]) } else { (KIND_TEXT, &[]) };
    let length = bytes.len().saturating_add(prefix.len());
    body.push(kind);
    body.extend(length.to_string().bytes().map(|digit| digit.wrapping_sub(b'0')));
    body.push(LENGTH_END);
    body.extend_from_slice(prefix);
    body.extend_from_slice(bytes);
}

/// The number of decimal `digits`, each 0–9.
fn parse_length(digits: impl ExactSizeIterator<Item = u8>) -> Result<usize, ProtocolError> {
    if digits.len() == 0 || digits.len() > MAX_DIGITS {
        return Err(ProtocolError::InvalidLength);
    }
    digits.into_iter().try_fold(0_usize, |number, digit| match digit {
        0..=9 => Ok(number.saturating_mul(10).saturating_add(usize::from(digit))),
        _ => Err(ProtocolError::InvalidLength),
    })
}

/// How many bytes of `text` (UTF-8) hold exactly `units` UTF-16 code units.
fn utf16_prefix(text: &[u8], units: usize) -> Result<usize, ProtocolError> {
    if text.get(..units).is_some_and(<[u8]>::is_ascii) {
        return Ok(units);
    }
    let mut counted = 0;
    for (at, &byte) in text.iter().enumerate() {
        // Between characters: enough?
        if !is_continuation(byte) && counted >= units {
            return if counted == units { Ok(at) } else { Err(ProtocolError::InvalidLength) };
        }
        counted += units_of(byte);
    }
    if counted == units { Ok(text.len()) } else { Err(ProtocolError::InvalidLength) }
}

fn utf16_len(text: &[u8]) -> usize {
    text.iter().map(|&byte| units_of(byte)).sum()
}

/// UTF-16 code units of the character that begins with `byte`; none for a continuation byte.
fn units_of(byte: u8) -> usize {
    match byte {
        0xf0.. => 2,
        _ => usize::from(!is_continuation(byte)),
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn split(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8]), ProtocolError> {
    bytes.split_at_checked(at).ok_or(ProtocolError::InvalidLength)
}

fn utf8(bytes: &[u8]) -> Result<&str, ProtocolError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8)
}

const KIND_TEXT: u8 = 0;
const KIND_BINARY: u8 = 1;
const LENGTH_END: u8 = 0xff;
/// More digits than any body has: 999 GB. Bounds the search for the end of a length.
const MAX_DIGITS: usize = 12;
