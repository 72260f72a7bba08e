//! Frames to messages.                                                                           [RFC 6455 §5.4–§8.1]

use std::ops::Range;

use crate::Role;

use super::deflate::Inflater;
use super::frame::Header;
use super::partial::{Body, Fragments, Partial, Progress};
use super::{CloseCode, Error, Opcode, mask};

/// What a [`Decoder`] accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest message, in bytes after decompression. Default 1,000,000, as in the JS server.
    ///
    /// Judged by the announced length, before anything is kept. It also bounds what an unfinished message may hold.
    pub max_message: usize,
    /// Most frames of one message, empty ones included. Default 65,536, which are 4 MiB in frames of 64 bytes.
    ///
    /// A frame costs time but no memory beyond its payload.
    pub max_fragments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message: 1_000_000, max_fragments: 65_536 }
    }
}

/// What was received. Borrowed from the input, or from the decoder for messages which came in several reads or fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A binary message.
    Binary(&'a [u8]),
    /// The peer closes; answer with a close frame unless one was sent. Whatever follows is ignored.
    Close(Option<(CloseCode, &'a str)>),
    /// To be answered with a pong of the same payload.
    Ping(&'a [u8]),
    /// The answer to a ping, or unasked.
    Pong(&'a [u8]),
    /// A text message.
    Text(&'a str),
}

/// The receiving half of a WebSocket. It keeps what is unfinished and nothing else: a decoder between two messages owns
/// no memory on the heap (but for a decompressor with context, if that was negotiated).
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    partial: Option<Box<Partial>>,
    inflater: Option<Inflater>,
    role: Role,
    /// Frames since the last [`take_fragments`](Self::take_fragments) that ended no message.
    fragments: u32,
    /// A close frame or an error was met: all else is ignored. [RFC 6455 §1.4, §7.1.7]
    finished: bool,
}

/// A complete frame or message, and where it lies.
enum Ready {
    Nothing,
    /// An uncompressed frame in this part of the input, unmasked.
    Input(Opcode, Range<usize>),
    /// A control frame in `partial.control`.
    Control(Opcode),
    /// A message in `partial.done`.
    Message,
}

impl Decoder {
    /// A decoder for the `role` of its owner: a server takes masked frames only, a client unmasked ones only.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self { limits, partial: None, inflater: None, role, fragments: 0, finished: false }
    }

    /// Changes the longest message that is taken, from the next frame on.
    pub fn set_max_message(&mut self, bytes: usize) {
        self.limits.max_message = bytes;
    }

    /// Takes compressed messages too, as negotiated in the handshake.
    #[must_use]
    pub fn with_inflater(mut self, inflater: Inflater) -> Self {
        self.inflater = Some(inflater);
        self
    }

    /// Takes bytes from the front of `input`, which it may overwrite: how many were used, and a message if one is
    /// complete. Call again with the rest, be it empty, until there is no message; then all input is used, and memory
    /// of the message handed out last is free again.
    ///
    /// # Errors
    ///
    /// What the peer did wrong, as soon as the bytes that show it are here. Then the connection is over.
    #[inline]
    pub fn decode<'a>(&'a mut self, input: &'a mut [u8]) -> Result<(usize, Option<Item<'a>>), Error> {
        if self.finished {
            self.finish();
            return Ok((input.len(), None));
        }
        match self.step(input) {
            Ok((used, ready)) => Ok((used, self.item(ready, input)?)),
            Err(error) => {
                self.finish();
                Err(error)
            }
        }
    }

    /// Frees the memory of the message handed out last. The next call of `decode` does it too; an idle connection should
    /// not wait for that.
    #[inline]
    pub fn release(&mut self) {
        if self.partial.as_mut().is_some_and(|partial| partial.release()) {
            self.partial = None;
        }
    }

    /// Bytes that are kept for what is unfinished, with the room for more that the buffer has: at most `max_message`, and
    /// an eighth more if it is compressed. 0 between two messages.
    #[inline]
    pub fn unfinished(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.size())
    }

    /// How many frames have come since the last call that are part of a message but not its last, empty ones included: what
    /// they cost shows in no [`Item`].
    pub fn take_fragments(&mut self) -> u32 {
        std::mem::take(&mut self.fragments)
    }

    /// Whether the peer has closed or broken the protocol, so that nothing more is expected.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Works through `input` until something is complete.
    fn step(&mut self, input: &mut [u8]) -> Result<(usize, Ready), Error> {
        self.release();
        let mut used = 0;
        loop {
            let rest = input.get_mut(used..).unwrap_or_default();
            if self.partial.as_ref().is_none_or(|partial| partial.frame.is_none()) {
                let (size, header) = self.read_header(rest)?;
                used += size;
                let Some(header) = header else { return Ok((used, Ready::Nothing)) };
                let length = self.check(&header)?;
                let rest = rest.get_mut(size..).unwrap_or_default();
                if let Some(payload) = rest.get_mut(..length)
                    && let Some(ready) = self.whole(&header, payload, used)?
                {
                    return Ok((used + length, ready));
                }
                self.open_frame(&header, length);
            }
            let Some(partial) = &mut self.partial else { return Ok((used, Ready::Nothing)) };
            let rest = input.get_mut(used..).unwrap_or_default();
            let (size, progress) = partial.take_payload(rest)?;
            used += size;
            match progress {
                Progress::Starved => return Ok((used, Ready::Nothing)),
                Progress::Fragment => self.fragments = self.fragments.saturating_add(1),
                Progress::Control(opcode) => return Ok((used, Ready::Control(opcode))),
                Progress::Message => {
                    self.complete_message()?;
                    return Ok((used, Ready::Message));
                }
            }
        }
    }
    /// The next header: how many bytes were used, and the header if it is complete.
    #[inline]
    fn read_header(&mut self, input: &[u8]) -> Result<(usize, Option<Header>), Error> {
        let (role, deflate) = (self.role, self.inflater.is_some());
        let parse = |bytes: &[u8]| Header::parse(bytes, role, deflate);
        if let Some(partial) = self.partial.as_mut().filter(|partial| partial.has_header()) {
            return partial.complete_header(input, parse);
        }
        if let Some((header, size)) = parse(input)? {
            return Ok((size, Some(header)));
        }
        if !input.is_empty() {
            self.partial.get_or_insert_default().keep_header(input);
        }
        Ok((input.len(), None))
    }

    /// Whether the frame may come now and is within the limits; its length.
    #[inline]
    fn check(&self, header: &Header) -> Result<usize, Error> {
        let message = self.partial.as_ref().and_then(|partial| partial.message.as_ref());
        let (announced, count, most) = match (message, header.opcode) {
            (_, opcode) if opcode.is_control() => return Ok(usize::try_from(header.length).unwrap_or(usize::MAX)),
            (Some(message), Opcode::Continuation) => (message.announced, message.count, message.most),
            (None, Opcode::Continuation) => return Err(Error::UnexpectedContinuation),
            (Some(_), _) => return Err(Error::ExpectedContinuation),
            (None, _) => (0, 0, self.most(header.compressed)),
        };
        let length = usize::try_from(header.length)
            .ok()
            .filter(|length| announced.checked_add(*length).is_some_and(|announced| announced <= most));
        let length = length.ok_or_else(|| Error::TooLarge {
            bytes: header.length.saturating_add(announced as u64),
            limit: self.limits.max_message,
        })?;
        let limit = self.limits.max_fragments.max(1);
        if count >= limit { Err(Error::TooManyFragments { limit }) } else { Ok(length) }
    }

    /// Most bytes that the frames of one message may carry.
    fn most(&self, compressed: bool) -> usize {
        let limit = self.limits.max_message;
        // What does not compress grows: the worst that compressors make of a message within the limit is nine bits for
        // eight. The limit proper is kept while decompressing.
        if compressed { limit.saturating_add(limit / 8).saturating_add(64) } else { limit }
    }

    /// Takes a frame which is a message of its own and all in the input from `start` on: nothing is copied.
    #[inline]
    fn whole(&mut self, header: &Header, payload: &mut [u8], start: usize) -> Result<Option<Ready>, Error> {
        if !header.fin || header.opcode == Opcode::Continuation {
            return Ok(None);
        }
        mask(payload, header.key);
        if !header.compressed {
            return Ok(Some(Ready::Input(header.opcode, start..start + payload.len())));
        }
        let inflated = self.inflate(payload)?;
        self.partial.get_or_insert_default().done = Some(Body::Inflated(header.opcode, inflated));
        Ok(Some(Ready::Message))
    }

    /// Prepares for payload that comes in pieces.
    fn open_frame(&mut self, header: &Header, length: usize) {
        let most = self.most(header.compressed);
        let partial = self.partial.get_or_insert_default();
        if !header.opcode.is_control() {
            let empty = || Fragments { body: Body::new(header), announced: 0, most, count: 0 };
            let message = partial.message.get_or_insert_with(empty);
            message.announced += length;
            message.count += 1;
        }
        partial.open_frame(*header, length);
    }

    /// The last frame of a message is complete.
    fn complete_message(&mut self) -> Result<(), Error> {
        let Some(message) = self.partial.as_mut().and_then(|partial| partial.message.take()) else { return Ok(()) };
        let body = match message.body {
            Body::Deflated(opcode, bytes) => Body::Inflated(opcode, self.inflate(&bytes)?),
            Body::Text(text) if !text.is_whole() => return Err(Error::InvalidUtf8),
            body => body,
        };
        if let Some(partial) = &mut self.partial {
            partial.done = Some(body);
        }
        Ok(())
    }

    fn inflate(&mut self, compressed: &[u8]) -> Result<Vec<u8>, Error> {
        let inflater = self.inflater.as_mut().ok_or(Error::ReservedBit)?;
        inflater.inflate(compressed, self.limits.max_message)
    }

    /// Borrows what is ready from where it lies.
    #[inline]
    fn item<'a>(&'a mut self, ready: Ready, input: &'a [u8]) -> Result<Option<Item<'a>>, Error> {
        let partial = self.partial.as_deref();
        let item = match ready {
            Ready::Nothing => return Ok(None),
            Ready::Input(opcode, range) => frame_item(opcode, input.get(range).unwrap_or_default()),
            Ready::Control(opcode) => frame_item(opcode, partial.map_or(&[], |partial| &partial.control)),
            Ready::Message => match partial.and_then(|partial| partial.done.as_ref()) {
                Some(Body::Text(text)) => Ok(Item::Text(text.as_str())),
                Some(Body::Inflated(opcode, bytes)) => frame_item(*opcode, bytes),
                Some(Body::Binary(bytes) | Body::Deflated(_, bytes)) => Ok(Item::Binary(bytes)),
                None => return Ok(None),
            },
        };
        self.finished = matches!(item, Err(_) | Ok(Item::Close(_)));
        item.map(Some)
    }

    /// Ignores all else, and keeps nothing: for an owner that hears no more.
    pub fn finish(&mut self) {
        self.finished = true;
        self.partial = None;
        self.inflater = None;
    }
}

/// The item which a frame of its own makes.
#[inline]
fn frame_item(opcode: Opcode, payload: &[u8]) -> Result<Item<'_>, Error> {
    match opcode {
        Opcode::Text => match simdutf8::basic::from_utf8(payload) {
            Ok(text) => Ok(Item::Text(text)),
            Err(_) => Err(Error::InvalidUtf8),
        },
        Opcode::Binary | Opcode::Continuation => Ok(Item::Binary(payload)),
        Opcode::Ping => Ok(Item::Ping(payload)),
        Opcode::Pong => Ok(Item::Pong(payload)),
        Opcode::Close => close_item(payload),
    }
}

/// Reads the code and the reason of a close frame. [RFC 6455 §5.5.1]
fn close_item(payload: &[u8]) -> Result<Item<'_>, Error> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(Item::Close(None)) } else { Err(Error::ShortClose) };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.is_legal() {
        return Err(Error::IllegalCloseCode(code.0));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Error::InvalidUtf8)?;
    Ok(Item::Close(Some((code, reason))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::encode_masked;

    const LIMITS: Limits = Limits { max_message: 100_000, max_fragments: 100 };

    /// Bytes on the heap for what is unfinished.
    fn kept(decoder: &Decoder) -> usize {
        let Some(partial) = &decoder.partial else { return 0 };
        let body = |body: &Body| match body {
            Body::Binary(bytes) | Body::Deflated(_, bytes) | Body::Inflated(_, bytes) => bytes.capacity(),
            Body::Text(text) => text.capacity(),
        };
        let message = partial.message.as_ref().map_or(0, |message| body(&message.body));
        let done = partial.done.as_ref().map_or(0, body);
        size_of::<Partial>() + partial.control.capacity() + message + done
    }

    fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_masked(&mut out, opcode, false, payload, [1, 2, 3, 4]);
        out
    }

    #[test]
    fn a_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 48, "{}", size_of::<Decoder>());
        assert!(size_of::<Partial>() <= 256, "{}", size_of::<Partial>());
    }

    #[test]
    fn whole_messages_keep_nothing() {
        let mut decoder = Decoder::new(Role::Server, LIMITS);
        let mut input = masked(Opcode::Text, &[b'x'; 1000]);
        let (used, item) = decoder.decode(&mut input).unwrap();
        assert_eq!((used, item.is_some()), (1008, true));
        assert_eq!(kept(&decoder), 0);
    }

    #[test]
    fn an_announced_length_costs_nothing_until_bytes_come() {
        for opcode in [Opcode::Text, Opcode::Binary] {
            let mut decoder = Decoder::new(Role::Server, LIMITS);
            let frame = masked(opcode, &vec![b'x'; 100_000]);
            let mut fed = 0;
            for bytes in [14, 1, 1000, 30_000, 40_000] {
                decoder.decode(&mut frame[fed..fed + bytes].to_vec()).unwrap();
                fed += bytes;
                assert!(kept(&decoder) <= size_of::<Partial>() + (2 * fed).max(64), "{} of {fed}", kept(&decoder));
            }
            decoder.decode(&mut frame[fed..frame.len() - 1].to_vec()).unwrap();
            assert_eq!(kept(&decoder), size_of::<Partial>() + 100_000, "and no more than the message");
            let mut last = frame[frame.len() - 1..].to_vec();
            assert!(decoder.decode(&mut last).unwrap().1.is_some());
            assert_eq!(decoder.decode(&mut []), Ok((0, None)));
            assert_eq!(kept(&decoder), 0, "freed once the caller has seen it");
        }
    }

    #[test]
    fn fragments_keep_no_more_than_the_limit() {
        for opcode in [Opcode::Text, Opcode::Binary] {
            let mut decoder = Decoder::new(Role::Server, LIMITS);
            let mut frame = masked(opcode, &[b'x'; 1020]);
            frame[0] &= 0x0f;
            for count in 0..98 {
                if count == 1 {
                    frame[0] = 0;
                }
                assert_eq!(decoder.decode(&mut frame.clone()), Ok((1028, None)));
                assert!(kept(&decoder) <= size_of::<Partial>() + 100_000);
                let mut ping = masked(Opcode::Ping, &[7; 125]);
                let (first, second) = ping.split_at_mut(60);
                assert_eq!(decoder.decode(first), Ok((60, None)));
                assert_eq!(decoder.decode(second), Ok((71, Some(Item::Ping(&[7; 125])))));
            }
        }
    }

    #[test]
    fn text_cut_amid_characters_keeps_no_more_than_announced() {
        let text = "€".repeat(30_000);
        for piece in [1, 2, 4, 100, 6_667, 20_000] {
            let mut decoder = Decoder::new(Role::Server, LIMITS);
            let mut frame = masked(Opcode::Text, text.as_bytes());
            let last = frame.len() - 1;
            for bytes in frame[..last].chunks_mut(piece) {
                assert_eq!(decoder.decode(bytes).unwrap().1, None);
                assert!(kept(&decoder) <= size_of::<Partial>() + text.len(), "{}", kept(&decoder));
            }
            assert_eq!(decoder.decode(&mut frame[last..]).unwrap().1, Some(Item::Text(&text)));
        }
    }

    #[test]
    fn frames_that_end_no_message_are_told() {
        let mut decoder = Decoder::new(Role::Server, LIMITS);
        let frame = |first: u8, length: u8| {
            let mut frame = vec![first, 0x80 | length, 0, 0, 0, 0];
            frame.resize(6 + usize::from(length), b'x');
            frame
        };
        let whole = [frame(0x81, 1), frame(0x89, 0)].concat();
        let parts = [frame(0x01, 2), frame(0x00, 0), frame(0x89, 0), frame(0x00, 1), frame(0x80, 0)].concat();
        for (mut input, fragments) in [(whole, 0), (parts, 3)] {
            for at in 0..input.len() {
                decoder.decode(&mut input[at..=at]).unwrap();
                decoder.decode(&mut []).unwrap();
            }
            assert_eq!((decoder.take_fragments(), decoder.take_fragments()), (fragments, 0));
        }
        let mut empty = frame(0x00, 0).repeat(50);
        decoder.decode(&mut frame(0x01, 0)).unwrap();
        assert_eq!(decoder.decode(&mut empty).unwrap(), (300, None));
        assert_eq!(decoder.take_fragments(), 51);
    }

    #[test]
    fn the_end_keeps_nothing() {
        let mut decoder = Decoder::new(Role::Server, LIMITS);
        decoder.decode(&mut masked(Opcode::Text, &[b'x'; 1000])[..500]).unwrap();
        assert!(kept(&decoder) > 500);
        let mut rest = vec![0xff; 492];
        assert_eq!(decoder.decode(&mut rest), Err(Error::InvalidUtf8));
        assert_eq!(kept(&decoder), 0);
        assert!(decoder.is_finished());
    }
}
