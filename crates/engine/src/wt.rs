//! Packets on a WebTransport stream: each follows its length.   [JS engine.io-parser 5.2 createPacketDecoderStream]
//!
//! ```text
//!  bit 0  1 ........ 7
//! +-----+-------------+--------------------------------------+--------+
//! | bin | length, or: | 126: length in 16 bits, big endian   | packet |
//! |  1  |      7      | 127: length in 64 bits, big endian   |        |
//! +-----+-------------+--------------------------------------+--------+
//! ```
//! The first packet of a client is `0` for a new session, or `0{"sid":"…"}` for the upgrade of one.
//!
//! ```
//! use sockeye_engine::wt::{Decoder, Item};
//!
//! # fn main() -> Result<(), sockeye_engine::wt::Error> {
//! let mut decoder = Decoder::new(1_000_000);
//! let mut rest = &b"\x03\x34hi\x82\x01\x02"[..];
//! let (used, item) = decoder.decode(rest)?;
//! assert_eq!(item, Some(Item::Text("4hi")));
//! rest = &rest[used..];
//! assert_eq!(decoder.decode(rest)?.1, Some(Item::Binary(&[1, 2])));
//! # Ok(())
//! # }
//! ```

use serde_json::Value;

use crate::{Encoded, Sid, growth};

/// Longest header.
const MAX_HEADER: usize = 9;
/// The bit that tells binary from text.
const BINARY: u8 = 0x80;

/// One packet as it was received. Borrowed from the input, or from the decoder if it came in several reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The bytes of a message.
    Binary(&'a [u8]),
    /// A packet of text, its type first.
    Text(&'a str),
}

/// What a peer can do wrong on the stream, which is over then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A packet of text is not UTF-8.
    #[error("invalid utf-8")]
    InvalidUtf8,
    /// A packet longer than the limit was announced.
    #[error("packet exceeds {limit} bytes")]
    TooLarge {
        /// As many as were announced.
        bytes: u64,
        /// The limit, in bytes.
        limit: usize,
    },
}

/// The receiving half of a stream. It keeps what is unfinished and nothing else: between two packets it owns no memory
/// on the heap.
#[derive(Debug)]
pub struct Decoder {
    max_packet: usize,
    partial: Option<Box<Partial>>,
    /// An error was met: all else is ignored.
    finished: bool,
}

/// The unfinished.
#[derive(Debug, Default)]
struct Partial {
    /// The first `header_length` bytes are the beginning of a header.
    header: [u8; MAX_HEADER],
    header_length: usize,
    /// The packet whose header is complete.
    packet: Option<Announced>,
    /// What has come of it; the caller borrows it until the next call once it is `done`.
    body: Vec<u8>,
    done: bool,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Announced {
    is_binary: bool,
    length: usize,
}

impl Decoder {
    /// A decoder of packets of at most `max_packet` bytes, judged by the announced length, before anything is kept.
    pub fn new(max_packet: usize) -> Self {
        Self { max_packet, partial: None, finished: false }
    }

    /// Changes the longest packet that is taken, from the next one on.
    pub fn set_max_packet(&mut self, bytes: usize) {
        self.max_packet = bytes;
    }

    /// Takes bytes from the front of `input`: how many were used, and a packet if one is complete. Call again with the
    /// rest, be it empty, until there is none; then all input is used, and memory of the last packet is free again.
    ///
    /// # Errors
    /// What the peer did wrong, as soon as the bytes that show it are here. Then the stream is over.
    pub fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<(usize, Option<Item<'a>>), Error> {
        self.release();
        if self.finished {
            return Ok((input.len(), None));
        }
        let (used, complete) = self.step(input).inspect_err(|_| self.finished = true)?;
        let Some(announced) = complete else { return Ok((used, None)) };
        let Self { partial, finished, .. } = self;
        let packet = match partial {
            Some(partial) => &partial.body,
            None => input.get(used.saturating_sub(announced.length)..used).unwrap_or_default(),
        };
        if announced.is_binary {
            return Ok((used, Some(Item::Binary(packet))));
        }
        match simdutf8::basic::from_utf8(packet) {
            Ok(text) => Ok((used, Some(Item::Text(text)))),
            Err(_) => {
                *finished = true;
                Err(Error::InvalidUtf8)
            }
        }
    }

    /// Frees the memory of the packet handed out last. The next call of `decode` does it too; an idle stream should not
    /// wait for that.
    #[inline]
    pub fn release(&mut self) {
        if self.finished || self.partial.as_ref().is_some_and(|partial| partial.done) {
            self.partial = None;
        }
    }

    /// Bytes that are kept for what is unfinished, with the room for more that the buffer has: at most `max_packet`. 0
    /// between two packets.
    #[inline]
    pub fn unfinished(&self) -> usize {
        self.partial.as_ref().filter(|partial| !partial.done).map_or(0, |partial| partial.body.capacity())
    }

    /// Ignores all else, and keeps nothing: for an owner that hears no more.
    pub fn finish(&mut self) {
        self.finished = true;
        self.partial = None;
    }

    /// Works through `input` until a packet is complete. It lies at the end of what was used, or in `partial`.
    fn step(&mut self, input: &[u8]) -> Result<(usize, Option<Announced>), Error> {
        let open = self.partial.as_ref().and_then(|partial| partial.packet);
        let (used, announced) = match open {
            Some(announced) => (0, announced),
            None => match self.read_header(input) {
                (used, None) => return Ok((used, None)),
                (used, Some((is_binary, length))) => (used, self.check(is_binary, length)?),
            },
        };
        let rest = input.get(used..).unwrap_or_default();
        if open.is_none() && rest.len() >= announced.length {
            self.partial = None;
            return Ok((used + announced.length, Some(announced)));
        }
        let partial = self.partial.get_or_insert_default();
        partial.packet = Some(announced);
        let taken = rest.len().min(announced.length.saturating_sub(partial.body.len()));
        // For bytes which are here: an announced length alone costs nothing.
        let room = growth(partial.body.len(), partial.body.capacity(), taken, announced.length);
        partial.body.reserve_exact(room);
        partial.body.extend_from_slice(rest.get(..taken).unwrap_or_default());
        partial.done = partial.body.len() == announced.length;
        Ok((used + taken, partial.done.then_some(announced)))
    }

    /// The next header: how many bytes were used, and what it says if it is complete.
    fn read_header(&mut self, input: &[u8]) -> (usize, Option<(bool, u64)>) {
        let (mut header, before) = match &self.partial {
            Some(partial) => (partial.header, partial.header_length),
            None => ([0; MAX_HEADER], 0),
        };
        let room = header.get_mut(before..).unwrap_or_default();
        let length = before + room.iter_mut().zip(input).map(|(to, from)| *to = *from).count();
        if let Some((size, is_binary, announced)) = parse(header.get(..length).unwrap_or_default()) {
            return (size.saturating_sub(before), Some((is_binary, announced)));
        }
        if !input.is_empty() {
            let partial = self.partial.get_or_insert_default();
            (partial.header, partial.header_length) = (header, length);
        }
        (input.len(), None)
    }

    fn check(&self, is_binary: bool, length: u64) -> Result<Announced, Error> {
        let too_large = Error::TooLarge { bytes: length, limit: self.max_packet };
        let length = usize::try_from(length).ok().filter(|length| *length <= self.max_packet);
        Ok(Announced { is_binary, length: length.ok_or(too_large)? })
    }
}

/// The size of the header at the front of `bytes`, whether its packet is binary, and how long it is.
fn parse(bytes: &[u8]) -> Option<(usize, bool, u64)> {
    let (first, rest) = bytes.split_first()?;
    let is_binary = first & BINARY != 0;
    match first & !BINARY {
        126 => rest.first_chunk().map(|length| (3, is_binary, u64::from(u16::from_be_bytes(*length)))),
        127 => rest.first_chunk().map(|length| (9, is_binary, u64::from_be_bytes(*length))),
        length => Some((1, is_binary, u64::from(length))),
    }
}

/// What is written before the bytes of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    size: usize,
}

impl Header {
    /// The header of `packet`.
    ///
    /// The official decoder takes a length of 0 for an error, so a message of no bytes goes as empty base64, which is
    /// the text `b`. [JS engine.io-parser 5.2 decodePacket]
    pub fn new(packet: &Encoded) -> Self {
        match packet.packet().len() {
            0 => Self::with(&[1, b'b']),
            length => Self::of(packet.is_binary(), length),
        }
    }

    fn of(is_binary: bool, length: usize) -> Self {
        let mark = if is_binary { BINARY } else { 0 };
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length @ ..=125), _) => Self::with(&[mark | length]),
            (_, Ok(length)) => {
                let [a, b] = length.to_be_bytes();
                Self::with(&[mark | 0x7e, a, b])
            }
            _ => {
                let length = u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes();
                let mut header = Self::with(&[mark | 0x7f]);
                header.bytes.iter_mut().skip(1).zip(length).for_each(|(to, from)| *to = from);
                header.size = MAX_HEADER;
                header
            }
        }
    }

    fn with(written: &[u8]) -> Self {
        let mut bytes = [0; MAX_HEADER];
        let size = bytes.iter_mut().zip(written).map(|(to, from)| *to = *from).count();
        Self { bytes, size }
    }

    /// The bytes to write.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.size).unwrap_or_default()
    }
}

/// What the first packet of a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// A session of its own.
    Open,
    /// That the session of this id goes over to the stream.
    Upgrade(Sid),
}

impl Hello {
    /// Reads it: `None` if it is no first packet. Members but `sid` are ignored, as in the official server.
    pub fn parse(item: Item<'_>) -> Option<Self> {
        let Item::Text(text) = item else { return None };
        let json = text.strip_prefix('0')?;
        if json.is_empty() {
            return Some(Self::Open);
        }
        let data: Value = serde_json::from_str(json).ok()?;
        let sid = data.get("sid").and_then(Value::as_str).filter(|sid| !sid.is_empty())?;
        Some(Self::Upgrade(Sid::new(sid)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes on the heap for what is unfinished.
    fn kept(decoder: &Decoder) -> usize {
        decoder.partial.as_ref().map_or(0, |partial| size_of::<Partial>() + partial.body.capacity())
    }

    #[test]
    fn a_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 24, "{}", size_of::<Decoder>());
        assert!(size_of::<Partial>() <= 96, "{}", size_of::<Partial>());
    }

    #[test]
    fn an_announced_length_alone_costs_nothing() {
        let mut decoder = Decoder::new(1_000_000_000);
        decoder.decode(&[127, 0, 0, 0, 0, 0x3b, 0x9a, 0xca, 0]).unwrap();
        assert!(kept(&decoder) <= 128, "{}", kept(&decoder));
        for _ in 0..1000 {
            decoder.decode(b"x").unwrap();
        }
        assert!(kept(&decoder) < 4096, "{}", kept(&decoder));
    }

    #[test]
    fn what_was_handed_out_is_freed() {
        let mut decoder = Decoder::new(1_000);
        assert_eq!(decoder.decode(b"\x7e\x00\x82").unwrap(), (3, None));
        let (used, item) = decoder.decode(&[b'x'; 0x82]).unwrap();
        assert!(matches!(item, Some(Item::Text(text)) if text.len() == 0x82));
        assert_eq!((used, kept(&decoder) > 0), (0x82, true));
        assert_eq!(decoder.decode(&[]).unwrap(), (0, None));
        assert_eq!(kept(&decoder), 0);
    }
}
