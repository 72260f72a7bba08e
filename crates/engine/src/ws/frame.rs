//! Frame header and mask.                                                                              [RFC 6455 §5.2]
//!
//! ```text
//!   byte 0                  byte 1             then
//! +---+----+----+----+----+------+-----------+--------------------------------+-----------+---------
//! |FIN|RSV1|RSV2|RSV3| op | MASK | length    | length, if 126: 2 bytes,       | key, if   | payload
//! | 1 | 1  | 1  | 1  | 4  |  1   | 7 bits    | if 127: 8 bytes, big-endian    | MASK: 4 B |
//! +---+----+----+----+----+------+-----------+--------------------------------+-----------+---------
//! ```

use crate::Role;

use super::{CloseCode, Error};

/// What a frame carries. [RFC 6455 §5.2]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message begun before.
    Continuation = 0,
    /// A text message, or its beginning.
    Text = 1,
    /// A binary message, or its beginning.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// A question for a sign of life.
    Ping = 9,
    /// The answer to a ping, or a sign of life unasked.
    Pong = 10,
}

impl Opcode {
    /// Whether the frame is about the connection rather than part of a message. [RFC 6455 §5.5]
    pub const fn is_control(self) -> bool {
        self.bits() >= 8
    }

    const fn bits(self) -> u8 {
        self as u8
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// The header of a received frame, checked for everything that needs no other frame to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    pub(super) compressed: bool,
    pub(super) length: u64,
    /// Zeroes for an unmasked frame.
    pub(super) key: [u8; 4],
}

impl Header {
    /// Longest header: 2 + 8 + 4.
    pub(super) const MAX: usize = 14;

    /// Reads the header at the front of `bytes` as received by `role`: the header and its size, `None` if more bytes
    /// are needed. `deflate` says whether permessage-deflate gives RSV1 a meaning.
    #[inline]
    pub(super) fn parse(bytes: &[u8], role: Role, deflate: bool) -> Result<Option<(Self, usize)>, Error> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Error::ReservedOpcode(first & 0x0f))?;
        let (fin, compressed) = (first & FIN != 0, first & RSV1 != 0);
        let may_be_compressed = deflate && matches!(opcode, Opcode::Text | Opcode::Binary);
        if first & (RSV2 | RSV3) != 0 || compressed && !may_be_compressed {
            return Err(Error::ReservedBit);
        }
        let masked = second & MASK != 0;
        match (role, masked) {
            (Role::Server, false) => return Err(Error::Unmasked),
            (Role::Client, true) => return Err(Error::Masked),
            _ => {}
        }
        let short = second & !MASK;
        if opcode.is_control() {
            check_control(fin, short)?;
        }
        let Some((length, rest)) = parse_length(short, rest)? else { return Ok(None) };
        let (key, rest) = match (masked, rest.split_first_chunk()) {
            (true, Some((key, rest))) => (*key, rest),
            (true, None) => return Ok(None),
            (false, _) => ([0; 4], rest),
        };
        let header = Self { opcode, fin, compressed, length, key };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}

/// Header of an unmasked, final frame: the bytes and how many of them count (2, 4 or 10).
pub const fn frame_header(opcode: Opcode, length: usize) -> ([u8; 10], usize) {
    header(FIN | opcode.bits(), 0, length)
}

/// Appends an unmasked, final frame, as a server sends it; `rsv1` marks a payload compressed by permessage-deflate.
pub fn encode(out: &mut Vec<u8>, opcode: Opcode, rsv1: bool, payload: &[u8]) {
    push_header(out, opcode, rsv1, 0, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a masked, final frame, as a client sends it; `rsv1` marks a payload compressed by permessage-deflate.
///
/// `key` must be four fresh random bytes that the author of the payload cannot foresee. [RFC 6455 §10.3]
pub fn encode_masked(out: &mut Vec<u8>, opcode: Opcode, rsv1: bool, payload: &[u8], key: [u8; 4]) {
    push_header(out, opcode, rsv1, MASK, payload.len());
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    mask(out.get_mut(start..).unwrap_or_default(), key);
}

/// Appends a close frame, masked if there is a `key` (clients). `None` says nothing, and then nor does `reason`.
///
/// A reason of more than 123 bytes is cut at the end of a character. A code that is not
/// [legal](CloseCode::is_legal) is sent as [`CloseCode::NORMAL`]: the peer would have to treat it as our fault.
pub fn encode_close(out: &mut Vec<u8>, code: Option<CloseCode>, reason: &str, key: Option<[u8; 4]>) {
    let mut payload = [0; MAX_CONTROL];
    let Some(code) = code else { return encode_control(out, Opcode::Close, &[], key) };
    let code = if code.is_legal() { code } else { CloseCode::NORMAL };
    let reason = reason.get(..reason.floor_char_boundary(MAX_CONTROL - 2)).unwrap_or_default();
    let bytes = code.0.to_be_bytes().into_iter().chain(reason.bytes());
    let length = payload.iter_mut().zip(bytes).map(|(to, from)| *to = from).count();
    encode_control(out, Opcode::Close, payload.get(..length).unwrap_or_default(), key);
}

/// Appends a ping, masked if there is a `key` (clients). The peer answers with a pong of the same payload.
pub fn encode_ping(out: &mut Vec<u8>, payload: &[u8], key: Option<[u8; 4]>) -> Result<(), TooLong> {
    check_payload(payload)?;
    encode_control(out, Opcode::Ping, payload, key);
    Ok(())
}

/// Appends a pong, masked if there is a `key` (clients). The payload of a received ping always fits.
pub fn encode_pong(out: &mut Vec<u8>, payload: &[u8], key: Option<[u8; 4]>) -> Result<(), TooLong> {
    check_payload(payload)?;
    encode_control(out, Opcode::Pong, payload, key);
    Ok(())
}

/// A ping or pong was asked to carry more than 125 bytes; nothing was written. [RFC 6455 §5.5]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("control frames carry at most 125 bytes")]
pub struct TooLong;

/// XORs `bytes` with `key`, whose first byte applies to the first of `bytes`. Masking and unmasking are the same.
#[inline]
pub fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // Whole words of a known size: the compiler makes vectors of them, whatever the alignment.
    let (words, rest) = bytes.as_chunks_mut();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

fn check_control(fin: bool, short: u8) -> Result<(), Error> {
    match (fin, usize::from(short) > MAX_CONTROL) {
        (false, _) => Err(Error::FragmentedControl),
        (true, true) => Err(Error::LongControl),
        (true, false) => Ok(()),
    }
}

/// The length, from its seven bits or the bytes that follow, and what comes after.
#[inline]
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Error> {
    let (length, rest, least) = match short {
        126 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 126),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest, 0x1_0000),
            None => return Ok(None),
        },
        _ => (u64::from(short), rest, 0),
    };
    if length < least { Err(Error::NonMinimalLength) } else { Ok(Some((length, rest))) }
}

const fn header(first: u8, mask: u8, length: usize) -> ([u8; 10], usize) {
    let [.., e, f, g, h] = (length as u64).to_be_bytes();
    match length {
        0..=125 => ([first, mask | h, 0, 0, 0, 0, 0, 0, 0, 0], 2),
        126..=0xffff => ([first, mask | 126, g, h, 0, 0, 0, 0, 0, 0], 4),
        _ => {
            let [a, b, c, d, ..] = (length as u64).to_be_bytes();
            ([first, mask | 127, a, b, c, d, e, f, g, h], 10)
        }
    }
}

fn push_header(out: &mut Vec<u8>, opcode: Opcode, rsv1: bool, mask: u8, length: usize) {
    let (bytes, size) = header(FIN | if rsv1 { RSV1 } else { 0 } | opcode.bits(), mask, length);
    out.reserve(size + 4 + length);
    out.extend_from_slice(bytes.get(..size).unwrap_or_default());
}

fn check_payload(payload: &[u8]) -> Result<(), TooLong> {
    if payload.len() > MAX_CONTROL { Err(TooLong) } else { Ok(()) }
}

fn encode_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) {
    match key {
        Some(key) => encode_masked(out, opcode, false, payload, key),
        None => encode(out, opcode, false, payload),
    }
}

/// Longest payload of a control frame. [RFC 6455 §5.5]
const MAX_CONTROL: usize = 125;
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const MASK: u8 = 0x80;
