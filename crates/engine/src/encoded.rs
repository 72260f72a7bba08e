//! A message encoded once, ready for every transport, shared by all sessions that send it.
//!
//! The bytes of a text message are laid out as the unmasked WebSocket frame, so that a server writes them as they are
//! and a polling body takes them without the frame header:
//!
//! ```text
//! +----------------------+-----+---------------------+
//! | frame header, 2/4/10 | '4' | message             |
//! +----------------------+-----+---------------------+
//! ^ frame()              ^ packet()
//! ```
//! A binary message of revision 4 has no type byte. [EIO4 "packet encoding"]

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::packet::{append_base64, base64_len};
use crate::ws;

/// Room kept in front of a packet for the longest unmasked frame header. [RFC 6455 §5.2]
const HEADER_ROOM: usize = 10;
/// Scratch buffers longer than this are given back to the allocator.
const SCRATCH_LIMIT: usize = 64 * 1024;

/// One packet, encoded once. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Encoded {
    frame: Bytes,
    /// Length of the frame header in `frame`.
    header: u8,
    binary: bool,
    compress: bool,
    /// The permessage-deflate form, made at most once for all receivers.
    deflated: Option<Arc<OnceLock<Option<Bytes>>>>,
}

/// A buffer into which the text of a MESSAGE packet is written.
#[derive(Debug)]
pub struct TextBuffer(Vec<u8>);

thread_local! {
    /// Keeps one grown buffer per thread, so that encoding costs one exact allocation.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl TextBuffer {
    /// An empty message.
    pub fn new() -> Self {
        let mut bytes = SCRATCH.with(|scratch| std::mem::take(&mut *scratch.borrow_mut()));
        bytes.clear();
        bytes.extend_from_slice(&[0; HEADER_ROOM]);
        bytes.push(b'4');
        Self(bytes)
    }

    /// The bytes written so far, to append to. What is appended must be UTF-8.
    pub fn as_mut_vec(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Finishes the message.
    pub fn finish(self) -> Encoded {
        let mut bytes = self.0;
        let encoded = Encoded::from_roomy(&mut bytes, false);
        if bytes.capacity() <= SCRATCH_LIMIT {
            SCRATCH.with(|scratch| *scratch.borrow_mut() = bytes);
        }
        encoded
    }
}

impl Default for TextBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoded {
    /// A message of text.
    pub fn text(message: &str) -> Self {
        let mut buffer = TextBuffer::new();
        buffer.as_mut_vec().extend_from_slice(message.as_bytes());
        buffer.finish()
    }

    /// A message of bytes.
    pub fn binary(message: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_ROOM + message.len());
        bytes.extend_from_slice(&[0; HEADER_ROOM]);
        bytes.extend_from_slice(message);
        Self::from_roomy(&mut bytes, true)
    }

    /// A whole text packet, type included: OPEN, CLOSE, PING, PONG, UPGRADE, NOOP.
    pub fn control(packet: &str) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_ROOM + packet.len());
        bytes.extend_from_slice(&[0; HEADER_ROOM]);
        bytes.extend_from_slice(packet.as_bytes());
        Self::from_roomy(&mut bytes, false)
    }

    /// A short control packet whose frame is a constant: no allocation.
    pub(crate) const fn constant(frame: &'static [u8]) -> Self {
        Self { frame: Bytes::from_static(frame), header: 2, binary: false, compress: false, deflated: None }
    }

    /// Puts the frame header right before the packet which begins at `HEADER_ROOM`.
    fn from_roomy(bytes: &mut Vec<u8>, binary: bool) -> Self {
        let length = bytes.len().saturating_sub(HEADER_ROOM);
        let opcode = if binary { ws::Opcode::Binary } else { ws::Opcode::Text };
        let (header, size) = ws::frame_header(opcode, length);
        let start = HEADER_ROOM - size;
        if let (Some(room), Some(head)) = (bytes.get_mut(start..HEADER_ROOM), header.get(..size)) {
            room.copy_from_slice(head);
        }
        let frame = if bytes.len() > SCRATCH_LIMIT {
            // It grew by doubling, and may wait for long: bounds count what it holds, not what it has room for.
            bytes.shrink_to_fit();
            let mut frame = Bytes::from(std::mem::take(bytes));
            bytes::Buf::advance(&mut frame, start);
            frame
        } else {
            Bytes::copy_from_slice(bytes.get(start..).unwrap_or_default())
        };
        let header = u8::try_from(size).unwrap_or(0);
        Self { frame, header, binary, compress: true, deflated: None }
    }

    /// Asks that this message not be compressed, or that it may be (the default).
    #[must_use]
    pub fn with_compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Keeps room for the compressed form, so that many receivers share one compression.
    #[must_use]
    pub fn with_shared_deflate(mut self) -> Self {
        self.deflated = Some(Arc::default());
        self
    }

    /// The whole unmasked WebSocket frame of revision 4.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The whole unmasked WebSocket frame of revision 3, where a binary message begins with its type, or is base64 in a
    /// text frame if the client asked for that (`b64` in the query). Text is shared with revision 4; binary is copied.
    pub fn frame_v3(&self, supports_binary: bool) -> Bytes {
        if !self.binary {
            return self.frame.clone();
        }
        let message = self.packet();
        let mut bytes = Vec::with_capacity(HEADER_ROOM + 2 + base64_len(message.len()));
        bytes.extend_from_slice(&[0; HEADER_ROOM]);
        if supports_binary {
            bytes.push(4);
            bytes.extend_from_slice(message);
        } else {
            bytes.extend_from_slice(b"b4");
            append_base64(&mut bytes, message);
        }
        Self::from_roomy(&mut bytes, supports_binary).frame
    }

    /// The packet: `4…` for a text message, the bytes alone for a binary one.
    pub fn packet(&self) -> &[u8] {
        self.frame.get(usize::from(self.header)..).unwrap_or_default()
    }

    /// Length of the packet in bytes.
    pub fn packet_len(&self) -> usize {
        self.frame.len().saturating_sub(usize::from(self.header))
    }

    /// The packet, sharing its bytes.
    pub fn to_packet(&self) -> Bytes {
        self.frame.slice(usize::from(self.header).min(self.frame.len())..)
    }

    /// Whether the message is binary.
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// Whether the sender allows compression.
    pub fn may_compress(&self) -> bool {
        self.compress
    }

    /// The compressed frame, made by `make` once and then shared; `None` if `make` declined or nothing is shared.
    pub fn deflated(&self, make: impl FnOnce(&[u8]) -> Option<Bytes>) -> Option<Bytes> {
        match &self.deflated {
            Some(shared) => shared.get_or_init(|| make(self.packet())).clone(),
            None => make(self.packet()),
        }
    }

    /// Bytes held, header included: what a queue counts.
    pub fn size(&self) -> usize {
        self.frame.len()
    }
}
