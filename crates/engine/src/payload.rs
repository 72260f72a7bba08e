//! Many packets in one polling body, revision 4.                                         [EIO4 "HTTP long-polling"]
//!
//! ```text
//! packet, 0x1e, packet, 0x1e, packet      each as text; a binary message is 'b' and its base64
//! ```

use crate::packet::{append_base64, base64_len};
use crate::{Encoded, Packet, ProtocolError};

/// Separates the packets of a payload.
pub const SEPARATOR: u8 = 0x1e;

/// The packets of a POST or GET body, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    /// What was not given out yet; `None` after the last packet and after an error.
    rest: Option<&'a [u8]>,
}

impl<'a> Packets<'a> {
    /// Reads `body`. An empty body holds one empty packet, which is an error, as in the JS peers.
    ///
    /// # Errors
    /// `InvalidUtf8`. What the packets do wrong is told by the iterator.
    pub fn new(body: &'a [u8]) -> Result<Self, ProtocolError> {
        simdutf8::basic::from_utf8(body).map_err(|_| ProtocolError::InvalidUtf8)?;
        Ok(Self { rest: Some(body) })
    }

    /// Goes on with what [`rest`](Self::rest) gave, without looking through all of it again.
    pub fn resume(rest: &'a [u8]) -> Self {
        Self { rest: Some(rest) }
    }

    /// What was not given out yet; `None` after the last packet and after an error.
    pub fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, ProtocolError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let (text, rest) = match memchr::memchr(SEPARATOR, rest) {
            // The separator is ASCII, so both cuts are at character boundaries.
            Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at.saturating_add(1)..)),
            None => (rest, None),
        };
        let text = simdutf8::basic::from_utf8(text).map_err(|_| ProtocolError::InvalidUtf8);
        let packet = text.and_then(Packet::decode_text);
        if packet.is_ok() {
            self.rest = rest;
        }
        Some(packet)
    }
}

/// Length that `packet` takes in a body, without separator.
pub fn encoded_len(packet: &Encoded) -> usize {
    let bytes = packet.packet().len();
    if packet.is_binary() { base64_len(bytes).saturating_add(1) } else { bytes }
}

/// Appends `packet` to `body`, after a separator if something is there already.
pub fn append(body: &mut Vec<u8>, packet: &Encoded) {
    body.reserve(encoded_len(packet).saturating_add(1));
    if !body.is_empty() {
        body.push(SEPARATOR);
    }
    if packet.is_binary() {
        body.push(b'b');
        append_base64(body, packet.packet());
    } else {
        body.extend_from_slice(packet.packet());
    }
}
