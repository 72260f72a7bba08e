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
        LENGTH_16 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 126),
            None => return Ok(None),
        },
        LENGTH_64 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest, 0x1_0000),
            None => return Ok(None),
        },
        _ => (u64::from(short), rest, 0),
    };
    if length < least { Err(Error::NonMinimalLength) } else { Ok(Some((length, rest))) }
}

const fn header(first: u8, mask: u8, length: usize) -> ([u8; 10], usize) {
    // The ten bytes as the upper ones of a big-endian number.
    let start = (first as u128) << 120 | (mask as u128) << 112;
    let (rest, size) = match length {
        0..=125 => ((length as u128) << 112, 2),
        126..=0xffff => ((LENGTH_16 as u128) << 112 | (length as u128) << 96, 4),
        _ => ((LENGTH_64 as u128) << 112 | (length as u128) << 48, 10),
    };
    let [bytes @ .., _, _, _, _, _, _] = (start | rest).to_be_bytes();
    (bytes, size)
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
/// Says that the length follows in two bytes.
const LENGTH_16: u8 = 126;
/// Says that the length follows in eight bytes.
const LENGTH_64: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    #[test]
    fn headers_are_written_in_the_shortest_form() {
        let header = |length| {
            let (bytes, size) = frame_header(Opcode::Binary, length);
            bytes[..size].to_vec()
        };
        assert_eq!(header(0), [0x82, 0]);
        assert_eq!(header(125), [0x82, 125]);
        assert_eq!(header(126), [0x82, 126, 0, 126]);
        assert_eq!(header(127), [0x82, 126, 0, 127]);
        assert_eq!(header(65_535), [0x82, 126, 0xff, 0xff]);
        assert_eq!(header(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(header(0x0102_0304_0506_0708), [0x82, 127, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(frame_header(Opcode::Text, 1).0[0], 0x81);
    }

    /// [RFC 6455 §5.7]
    #[test]
    fn the_examples_of_the_standard_are_written() {
        let mut out = Vec::new();
        encode(&mut out, Opcode::Text, false, b"Hello");
        assert_eq!(out, b"\x81\x05Hello");
        out.clear();
        encode_masked(&mut out, Opcode::Text, false, b"Hello", KEY);
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        out.clear();
        encode_ping(&mut out, b"Hello", None).unwrap();
        encode_pong(&mut out, b"Hello", Some(KEY)).unwrap();
        assert_eq!(out, b"\x89\x05Hello\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        out.clear();
        encode(&mut out, Opcode::Text, true, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        assert_eq!(out, [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    }

    #[test]
    fn control_frames_stay_short() {
        let mut out = Vec::new();
        assert_eq!(encode_ping(&mut out, &[0; 126], None), Err(TooLong));
        assert_eq!(encode_pong(&mut out, &[0; 126], Some(KEY)), Err(TooLong));
        assert!(out.is_empty());
        encode_ping(&mut out, &[7; 125], None).unwrap();
        assert_eq!((out.len(), out[1]), (127, 125));
    }

    #[test]
    fn close_frames_are_legal() {
        let close = |code, reason: &str| {
            let mut out = Vec::new();
            encode_close(&mut out, code, reason, None);
            out
        };
        assert_eq!(close(None, "unsaid"), [0x88, 0]);
        assert_eq!(close(Some(CloseCode::NORMAL), ""), [0x88, 2, 3, 0xe8]);
        assert_eq!(close(Some(CloseCode::GOING_AWAY), "bye"), b"\x88\x05\x03\xe9bye");
        for code in [0, 999, 1004, 1005, 1006, 1015, 5000] {
            assert_eq!(close(Some(CloseCode(code)), ""), [0x88, 2, 3, 0xe8]);
        }
        assert_eq!(close(Some(CloseCode::NORMAL), &"x".repeat(123)).len(), 127);
        assert_eq!(close(Some(CloseCode::NORMAL), &"x".repeat(124)).len(), 127);
        for (reason, kept) in [("é", 122), ("€", 123), ("\u{1f600}", 120)] {
            let frame = close(Some(CloseCode::NORMAL), &reason.repeat(100));
            assert_eq!(std::str::from_utf8(&frame[4..]).unwrap().len(), kept);
            assert_eq!(usize::from(frame[1]), kept + 2);
        }
        let mut masked = Vec::new();
        encode_close(&mut masked, Some(CloseCode::NORMAL), "", Some(KEY));
        assert_eq!(masked, [0x88, 0x82, 0x37, 0xfa, 0x21, 0x3d, 0x03 ^ 0x37, 0xe8 ^ 0xfa]);
    }

    #[test]
    fn masking_is_a_repeated_xor_at_any_length_and_alignment() {
        let plain: Vec<u8> = (0..=255).collect();
        for start in 0..9 {
            for end in start..plain.len() {
                let mut masked = plain.clone();
                mask(&mut masked[start..end], KEY);
                for (index, byte) in masked.iter().enumerate() {
                    let key = if (start..end).contains(&index) { KEY[(index - start) % 4] } else { 0 };
                    assert_eq!(*byte, plain[index] ^ key);
                }
            }
        }
    }
}
