//! What a decoder keeps between two reads: an unfinished header, frame or message, and never more.

use super::{Error, Opcode, frame::Header, mask, utf8::Text};
use crate::growth;

/// The unfinished. A connection has one only while something is unfinished, and frees it afterwards.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// The first `header_length` bytes are the beginning of a header.
    header: [u8; Header::MAX],
    header_length: usize,
    /// A frame whose header is known and whose payload is not all there.
    pub(super) frame: Option<Frame>,
    /// The message of which frames have come.
    pub(super) message: Option<Fragments>,
    /// The payload of a control frame, which may come amid a message.
    pub(super) control: Vec<u8>,
    /// A complete message, borrowed by the caller until the next call.
    pub(super) done: Option<Body>,
}

/// A frame of which `remaining` bytes of payload are to come.
#[derive(Debug)]
pub(super) struct Frame {
    header: Header,
    remaining: usize,
}

/// The frames of one message, so far.
#[derive(Debug)]
pub(super) struct Fragments {
    pub(super) body: Body,
    /// Bytes announced by all headers; checked against `most` before any is kept.
    pub(super) announced: usize,
    /// Most bytes that all frames may carry.
    pub(super) most: usize,
    /// Frames, empty ones included; checked against the limit.
    pub(super) count: usize,
}

/// The payload of a message.
#[derive(Debug)]
pub(super) enum Body {
    Binary(Vec<u8>),
    /// Compressed, of this kind.
    Deflated(Opcode, Vec<u8>),
    /// Decompressed, of this kind; a text is not yet known to be UTF-8.
    Inflated(Opcode, Vec<u8>),
    Text(Text),
}

/// What came of some bytes of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// A control frame is complete in `control`.
    Control(Opcode),
    /// The last frame of `message` is complete.
    Message,
    /// A frame is complete, and the message is not.
    Fragment,
    /// The frame is not complete: the input is used up.
    Starved,
}

impl Partial {
    /// Drops what the caller has seen; true if nothing is left.
    pub(super) fn release(&mut self) -> bool {
        self.done = None;
        if self.frame.is_none() {
            self.control = Vec::new();
        }
        self.header_length == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Room on the heap for what is unfinished.
    pub(super) fn size(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.body.capacity());
        message + self.control.capacity()
    }

    /// Keeps the beginning of a header.
    pub(super) fn keep_header(&mut self, bytes: &[u8]) {
        self.header_length = self.header.iter_mut().zip(bytes).map(|(to, from)| *to = *from).count();
    }

    /// Completes a header begun before with bytes from the front of `input`: the header, if it is complete, and how
    /// many bytes were used. `parse` is called on all bytes so far.
    pub(super) fn complete_header(
        &mut self,
        input: &[u8],
        parse: impl FnOnce(&[u8]) -> Result<Option<(Header, usize)>, Error>,
    ) -> Result<(usize, Option<Header>), Error> {
        let before = self.header_length;
        let room = self.header.get_mut(before..).unwrap_or_default();
        let taken = room.iter_mut().zip(input).map(|(to, from)| *to = *from).count();
        let length = before + taken;
        let parsed = parse(self.header.get(..length).unwrap_or_default())?;
        self.header_length = if parsed.is_some() { 0 } else { length };
        Ok(parsed.map_or((taken, None), |(header, size)| (size.saturating_sub(before), Some(header))))
    }

    pub(super) fn has_header(&self) -> bool {
        self.header_length > 0
    }

    /// Opens a frame, the payload of which is given to [`take_payload`](Self::take_payload).
    pub(super) fn open_frame(&mut self, header: Header, length: usize) {
        self.frame = Some(Frame { header, remaining: length });
    }

    /// Moves payload of the open frame from the front of `input` to where it belongs: how many bytes were used, and
    /// what came of it.
    pub(super) fn take_payload(&mut self, input: &mut [u8]) -> Result<(usize, Progress), Error> {
        let Some(frame) = &mut self.frame else { return Ok((0, Progress::Fragment)) };
        let used = frame.remaining.min(input.len());
        let payload = input.get_mut(..used).unwrap_or_default();
        mask(payload, frame.header.key);
        frame.header.key.rotate_left(used % 4);
        frame.remaining -= used;
        let (opcode, fin, complete) = (frame.header.opcode, frame.header.fin, frame.remaining == 0);
        if complete {
            self.frame = None;
        }
        if opcode.is_control() {
            self.control.extend_from_slice(payload);
        } else if let Some(message) = &mut self.message {
            message.body.push(payload, if fin { message.announced } else { message.most })?;
        }
        let progress = match (complete, opcode.is_control(), fin) {
            (false, ..) => Progress::Starved,
            (true, true, _) => Progress::Control(opcode),
            (true, false, true) => Progress::Message,
            (true, false, false) => Progress::Fragment,
        };
        Ok((used, progress))
    }
}

impl Body {
    /// The empty body of a message whose first frame has this header.
    pub(super) fn new(header: &Header) -> Self {
        match header.opcode {
            opcode if header.compressed => Self::Deflated(opcode, Vec::new()),
            Opcode::Text => Self::Text(Text::default()),
            _ => Self::Binary(Vec::new()),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Binary(bytes) | Self::Deflated(_, bytes) | Self::Inflated(_, bytes) => bytes.capacity(),
            Self::Text(text) => text.capacity(),
        }
    }

    fn push(&mut self, payload: &[u8], most: usize) -> Result<(), Error> {
        let room = |length, capacity| growth(length, capacity, payload.len(), most);
        match self {
            Self::Binary(bytes) | Self::Deflated(_, bytes) | Self::Inflated(_, bytes) => {
                bytes.reserve_exact(room(bytes.len(), bytes.capacity()));
                bytes.extend_from_slice(payload);
                Ok(())
            }
            Self::Text(text) => text.push(payload, room),
        }
    }
}
