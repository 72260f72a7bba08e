//! permessage-deflate: negotiation, compression, decompression.                                            [RFC 7692]
//!
//! By default each message is compressed on its own ("no context takeover"): the state is then the thread's and not the
//! connection's, an idle connection keeps none of it, and one compressed frame serves all receivers. A context that lives
//! as long as its connection compresses similar messages better and costs about 380 KB to send and 48 KB to receive.

mod negotiation;

pub use negotiation::{Options, Params};

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::{Role, growth};

use self::negotiation::MAX_BITS;
use super::{Error, Opcode, encode};

/// How hard to compress: 1 (fastest) to 9 (smallest). Default 6, as in the JS server.
///
/// A chat message of 187 bytes takes about 3 µs at level 1 and 6 µs at level 6, which makes it 15 % smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(u8);

impl Level {
    /// The level, brought into the range 1 to 9.
    pub fn new(level: u8) -> Self {
        Self(level.clamp(1, 9))
    }
}

impl Default for Level {
    fn default() -> Self {
        Self(6)
    }
}

/// The compressing half of a connection.
#[derive(Debug)]
pub struct Deflater {
    level: Level,
    bits: u8,
    /// The context, if it lives as long as the connection.
    own: Option<Box<Compress>>,
}

impl Deflater {
    /// Compresses what `role` sends, as agreed.
    pub fn new(params: &Params, role: Role, level: Level) -> Self {
        let (alone, bits) = match role {
            Role::Client => (params.client_no_context_takeover, params.client_max_window_bits),
            Role::Server => (params.server_no_context_takeover, params.server_max_window_bits),
        };
        let bits = bits.min(MAX_BITS);
        let keeps = !alone && bits >= MIN_BITS;
        Self { level, bits, own: keeps.then(|| Box::new(compressor(level, bits))) }
    }

    /// Whether frames made by [`compress`] may be sent on this connection. If not, each must be made by
    /// [`deflate`](Self::deflate), and sent in that order.
    pub fn takes_shared_frames(&self) -> bool {
        self.own.is_none() && self.bits == MAX_BITS
    }

    /// The payload for a frame with RSV1. `None` if compression does not pay: then send the message as it is.
    pub fn deflate(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        match &mut self.own {
            // What a context has seen must be sent, small or not: the next message may refer to it.
            Some(own) => deflate_message(own, payload),
            None if self.bits < MIN_BITS => None,
            None => deflate_alone(payload, self.level, self.bits),
        }
    }
}

/// A server's whole frame, valid for every connection whose [`Deflater::takes_shared_frames`]. `None` if compression
/// does not pay: then send the message as it is.
pub fn compress(payload: &[u8], opcode: Opcode, level: Level) -> Option<Bytes> {
    let body = deflate_alone(payload, level, MAX_BITS)?;
    let mut frame = Vec::new();
    encode(&mut frame, opcode, true, &body);
    Some(Bytes::from(frame))
}

/// The decompressing half of a connection.
#[derive(Debug)]
pub struct Inflater(Option<Box<Decompress>>);

impl Inflater {
    /// Decompresses what `role` receives, as agreed.
    pub fn new(params: &Params, role: Role) -> Self {
        let alone = match role {
            Role::Client => params.server_no_context_takeover,
            Role::Server => params.client_no_context_takeover,
        };
        // The widest window, whatever was agreed: it reads them all, and narrower ones take as much memory.
        Self((!alone).then(|| Box::new(Decompress::new(false))))
    }

    /// Decompresses a message of no more than `limit` bytes; a longer one stops there.
    pub(super) fn inflate(&mut self, compressed: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
        match &mut self.0 {
            Some(own) => Inflation::new(own, limit).message(compressed),
            None => INFLATER.with_borrow_mut(|shared| {
                shared.reset(false);
                Inflation::new(shared, limit).lone_message(compressed)
            }),
        }
    }
}

/// The decompression of one message.
struct Inflation<'a> {
    state: &'a mut Decompress,
    limit: usize,
    out: Vec<u8>,
}

impl<'a> Inflation<'a> {
    fn new(state: &'a mut Decompress, limit: usize) -> Self {
        Self { state, limit, out: Vec::new() }
    }

    /// A message which may refer to earlier ones, and later ones to it.
    fn message(mut self, compressed: &[u8]) -> Result<Vec<u8>, Error> {
        if self.body(compressed)? {
            // The stream ended, so another begins: keep what later messages may refer to.
            self.state.reset(false);
            let start = self.out.len().saturating_sub(1 << MAX_BITS);
            let window = self.out.get(start..).unwrap_or_default();
            self.state.set_dictionary(window).map_err(|_| Error::InvalidDeflate)?;
        }
        Ok(self.out)
    }

    /// A message on its own. That nobody needs the state afterwards lets us see whether it was whole.
    fn lone_message(mut self, compressed: &[u8]) -> Result<Vec<u8>, Error> {
        let ended = compressed.is_empty() || self.body(compressed)? || self.part(&END)?.is_some();
        if ended { Ok(self.out) } else { Err(Error::InvalidDeflate) }
    }

    /// The payload and what was cut off it; whether that ended the stream. [RFC 7692 §7.2.2]
    fn body(&mut self, compressed: &[u8]) -> Result<bool, Error> {
        if compressed.is_empty() {
            return Ok(false);
        }
        match self.part(compressed)? {
            // A sender which can only end streams adds an empty block, of which a zero byte remains. [RFC 7692 §7.2.3.4]
            Some([] | [0]) => Ok(true),
            Some(_) => Err(Error::InvalidDeflate),
            None => Ok(self.part(&TAIL)?.is_some()),
        }
    }

    /// Decompresses all of `input`, or up to the end of the stream: then what remains after it.
    fn part<'b>(&mut self, mut input: &'b [u8]) -> Result<Option<&'b [u8]>, Error> {
        loop {
            // Room for one byte more than the limit shows that there is more.
            let most = self.limit.saturating_add(1);
            let expected = if self.out.capacity() == 0 { input.len().saturating_mul(4) } else { 1 };
            let extra = expected.min(most.saturating_sub(self.out.len()));
            self.out.reserve_exact(growth(self.out.len(), self.out.capacity(), extra, most));
            let before = self.state.total_in();
            let status = self.state.decompress_vec(input, &mut self.out, FlushDecompress::None);
            let status = status.map_err(|_| Error::InvalidDeflate)?;
            if self.out.len() > self.limit {
                return Err(Error::TooLarge { bytes: self.out.len() as u64, limit: self.limit });
            }
            let used = usize::try_from(self.state.total_in() - before).unwrap_or(usize::MAX);
            input = input.get(used..).unwrap_or_default();
            if status == Status::StreamEnd {
                return Ok(Some(input));
            }
            if self.out.len() < self.out.capacity() {
                return if input.is_empty() { Ok(None) } else { Err(Error::InvalidDeflate) };
            }
        }
    }
}

thread_local! {
    /// Serves all connections whose peers compress each message on their own.
    static INFLATER: RefCell<Decompress> = RefCell::new(Decompress::new(false));
    /// Serve all connections which compress each message on its own: one for each level and window in use.
    static DEFLATERS: RefCell<Vec<(u8, u8, Compress)>> = const { RefCell::new(Vec::new()) };
}

fn deflate_alone(payload: &[u8], level: Level, bits: u8) -> Option<Vec<u8>> {
    DEFLATERS.with_borrow_mut(|deflaters| {
        let known = deflaters.iter().position(|known| (known.0, known.1) == (level.0, bits));
        let index = known.unwrap_or(deflaters.len());
        if known.is_none() {
            deflaters.push((level.0, bits, compressor(level, bits)));
        }
        let (.., state) = deflaters.get_mut(index)?;
        state.reset();
        deflate_message(state, payload).filter(|body| body.len() < payload.len())
    })
}

/// Compresses a message; `None` if it is empty, and then the state has not seen it.
fn deflate_message(state: &mut Compress, mut payload: &[u8]) -> Option<Vec<u8>> {
    if payload.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(payload.len() / 2 + 64);
    loop {
        let before = state.total_in();
        let status = state.compress_vec(payload, &mut out, FlushCompress::Sync);
        let used = usize::try_from(state.total_in() - before).unwrap_or(usize::MAX);
        payload = payload.get(used..).unwrap_or_default();
        let room = out.len() < out.capacity();
        if status.is_err() || room && !(payload.is_empty() && out.ends_with(&TAIL)) {
            // Cannot happen with a stream in order. A new one refers to nothing the peer does not know.
            state.reset();
            return None;
        }
        if room {
            out.truncate(out.len() - TAIL.len());
            return Some(out);
        }
        out.reserve(out.len().max(64));
    }
}

fn compressor(level: Level, bits: u8) -> Compress {
    Compress::new_with_window_bits(Compression::new(u32::from(level.0)), false, bits)
}

/// The narrowest window that zlib compresses with.
const MIN_BITS: u8 = 9;
/// What the sender of a message cuts off its end. [RFC 7692 §7.2.1]
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// An empty last block.
const END: [u8; 2] = [3, 0];

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Params = Params {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: MAX_BITS,
        client_max_window_bits: MAX_BITS,
    };
    const CONTEXT: Params = Params { server_no_context_takeover: false, client_no_context_takeover: false, ..ALONE };
    const LIMIT: usize = 1 << 20;

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|index| b"abcdefgh"[index * index % 7 % 8]).collect()
    }

    /// Bytes that do not compress.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    fn inflate(params: Params, compressed: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
        Inflater::new(&params, Role::Server).inflate(compressed, limit)
    }

    /// [RFC 7692 §7.2.3]
    #[test]
    fn the_examples_of_the_standard_are_read() {
        let hello: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ];
        for params in [ALONE, CONTEXT] {
            for compressed in hello {
                assert_eq!(inflate(params, compressed, LIMIT).unwrap(), b"Hello");
            }
            assert_eq!(inflate(params, &[0], LIMIT).unwrap(), b"");
            assert_eq!(inflate(params, &[], LIMIT).unwrap(), b"");
        }
        let mut inflater = Inflater::new(&CONTEXT, Role::Server);
        for compressed in [&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], &[0xf2, 0x00, 0x11, 0x00, 0x00]] {
            assert_eq!(inflater.inflate(compressed, LIMIT).unwrap(), b"Hello");
        }
    }

    #[test]
    fn a_context_outlives_the_end_of_a_stream() {
        let mut inflater = Inflater::new(&CONTEXT, Role::Server);
        for compressed in [&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00][..], &[0xf2, 0x00, 0x11, 0x00, 0x00]] {
            assert_eq!(inflater.inflate(compressed, LIMIT).unwrap(), b"Hello");
        }
    }

    #[test]
    fn what_is_compressed_is_read_again() {
        for params in [ALONE, CONTEXT] {
            for bits in 9..=15 {
                for level in [1, 6] {
                    let params = Params { server_max_window_bits: bits, ..params };
                    let mut deflater = Deflater::new(&params, Role::Server, Level::new(level));
                    let mut inflater = Inflater::new(&params, Role::Client);
                    for length in [0, 1, 63, 64, 1000, 1000, 32_768, 100_000, 1000, 0, 5] {
                        for payload in [text(length), noise(length)] {
                            let Some(body) = deflater.deflate(&payload) else { continue };
                            assert_eq!(inflater.inflate(&body, LIMIT).unwrap(), payload);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_narrow_window_is_kept_to() {
        // Repeats at 700 bytes are out of reach of a window of 512.
        let payload: Vec<u8> = noise(700).repeat(10);
        for (bits, pays) in [(9, false), (10, true), (15, true)] {
            let params = Params { server_max_window_bits: bits, ..CONTEXT };
            let body = Deflater::new(&params, Role::Server, Level::new(9)).deflate(&payload).unwrap();
            assert_eq!(body.len() < 2000, pays, "{bits} {}", body.len());
            // Small outputs make the receiver depend on its window, which is no wider than agreed.
            let mut receiver = Decompress::new_with_window_bits(false, bits);
            let (mut out, mut input) = (Vec::new(), &body[..]);
            while out.len() < payload.len() {
                let mut part = Vec::with_capacity(50);
                let before = receiver.total_in();
                receiver.decompress_vec(input, &mut part, FlushDecompress::Sync).unwrap();
                input = &input[usize::try_from(receiver.total_in() - before).unwrap()..];
                assert!(!part.is_empty());
                out.extend(part);
            }
            assert_eq!(out, payload);
        }
    }

    #[test]
    fn a_client_keeps_to_the_window_that_the_server_asks_for() {
        let payload: Vec<u8> = noise(700).repeat(10);
        for alone in [true, false] {
            let deflate = |bits| {
                let params = Params { client_no_context_takeover: alone, client_max_window_bits: bits, ..CONTEXT };
                Deflater::new(&params, Role::Client, Level::new(9)).deflate(&payload)
            };
            assert_eq!(deflate(8), None);
            assert!(deflate(9).is_none_or(|body| body.len() > 5_000), "out of reach");
            assert!(deflate(10).is_some_and(|body| body.len() < 2_000));
        }
    }

    #[test]
    fn a_context_makes_repeated_messages_tiny() {
        let mut deflater = Deflater::new(&CONTEXT, Role::Client, Level::default());
        assert!(!deflater.takes_shared_frames());
        let first = deflater.deflate(&noise(500)).unwrap();
        let second = deflater.deflate(&noise(500)).unwrap();
        assert!(first.len() > 500 && second.len() < 20, "{} {}", first.len(), second.len());
    }

    #[test]
    fn shared_frames_stand_alone() {
        let payload = text(1000);
        let frame = compress(&payload, Opcode::Text, Level::default()).unwrap();
        assert_eq!(frame[0], 0xc1);
        assert!(frame.len() < 1000);
        assert_eq!(frame, compress(&payload, Opcode::Text, Level::default()).unwrap());
        assert_eq!(inflate(ALONE, &frame[2..], LIMIT).unwrap(), payload);
        assert_eq!(inflate(CONTEXT, &frame[2..], LIMIT).unwrap(), payload);
        assert_eq!(compress(&noise(1000), Opcode::Binary, Level::default()), None);
        assert_eq!(compress(b"", Opcode::Binary, Level::default()), None);
        assert!(Deflater::new(&ALONE, Role::Server, Level::default()).takes_shared_frames());
        let narrow = Params { server_max_window_bits: 14, ..ALONE };
        assert!(!Deflater::new(&narrow, Role::Server, Level::default()).takes_shared_frames());
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        let bomb = |length| deflate_alone(&vec![0; length], Level::new(9), MAX_BITS).unwrap();
        let great = bomb(1 << 24);
        for params in [ALONE, CONTEXT] {
            let too_large = |limit: usize| Err(Error::TooLarge { bytes: limit as u64 + 1, limit });
            assert_eq!(inflate(params, &great, LIMIT), too_large(LIMIT));
            for length in [1, 63, 64, 65, 1000, 65_536] {
                let bomb = bomb(length.max(100));
                let length = length.max(100);
                assert_eq!(inflate(params, &bomb, length).unwrap().len(), length);
                assert_eq!(inflate(params, &bomb, length + 1).unwrap().len(), length);
                assert_eq!(inflate(params, &bomb, length - 1), too_large(length - 1));
                assert_eq!(inflate(params, &bomb, 0), too_large(0));
                assert_eq!(inflate(params, &bomb, usize::MAX).unwrap().len(), length);
            }
        }
        let mut out = Vec::new();
        INFLATER.with_borrow_mut(|state| {
            state.reset(false);
            let mut inflation = Inflation::new(state, 1000);
            assert!(inflation.part(&great).is_err());
            std::mem::swap(&mut out, &mut inflation.out);
        });
        assert_eq!((out.len(), out.capacity()), (1001, 1001), "no more room than to see the excess");
    }

    #[test]
    fn damage_is_refused_and_does_not_spread() {
        let whole = deflate_alone(&text(1000), Level::default(), MAX_BITS).unwrap();
        for cut in 1..whole.len() {
            assert!(inflate(ALONE, &whole[..cut], LIMIT).is_err(), "cut at {cut}");
        }
        for bad in [&[0xff; 9][..], &[0x07], &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x01], &[3, 0, 0, 0], b"text"]
        {
            assert_eq!(inflate(ALONE, bad, LIMIT), Err(Error::InvalidDeflate), "{bad:x?}");
            assert_eq!(inflate(ALONE, &whole, LIMIT).unwrap(), text(1000));
        }
        assert_eq!(inflate(CONTEXT, &[0xf2, 0x00, 0x11, 0x00, 0x00], LIMIT), Err(Error::InvalidDeflate));
    }
}
