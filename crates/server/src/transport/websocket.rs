//! The framing of one WebSocket.                                                                        [RFC 6455]

use bytes::Bytes;
use sockeye_engine::ws::deflate::{Deflater, Inflater, Params};
use sockeye_engine::{Encoded, Revision, Role, ws};

use crate::compression::{Deflate, shared_frame};

/// How messages travel on one WebSocket. While nothing is in flight it owns no buffer.
#[derive(Debug)]
pub(crate) struct WebSocket {
    pub(super) decoder: ws::Decoder,
    /// Payload of the last ping, to be answered; earlier ones need no answer. [RFC 6455 §5.5.3]
    pub(super) pong: Option<Box<[u8]>>,
    form: Form,
    deflation: Option<Box<Deflation>>,
}

/// The form that binary messages take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// [EIO4 "packet encoding"]: the bytes alone.
    Plain,
    /// [EIO3 "packet encoding"]: the packet's type before them, or base64 if the client cannot take binary.
    Typed { takes_binary: bool },
}

/// The compression agreed with a client.
#[derive(Debug)]
struct Deflation {
    knobs: Deflate,
    deflater: Deflater,
}

impl Form {
    pub(crate) fn new(revision: Revision, takes_binary: bool) -> Self {
        if revision == Revision::V4 { Self::Plain } else { Self::Typed { takes_binary } }
    }

    /// The frame, where it differs from the one that is ready.
    fn frame(self, packet: &Encoded) -> Option<Bytes> {
        match self {
            Self::Typed { takes_binary } if packet.is_binary() => Some(packet.frame_v3(takes_binary)),
            _ => None,
        }
    }
}

impl WebSocket {
    pub(crate) fn new(form: Form, limits: ws::Limits) -> Self {
        Self { decoder: ws::Decoder::new(Role::Server, limits), pong: None, form, deflation: None }
    }

    /// Compresses as agreed with the client.
    pub(crate) fn with_deflate(mut self, params: Params, knobs: Deflate) -> Self {
        self.decoder = self.decoder.with_inflater(Inflater::new(&params, Role::Server));
        let deflater = Deflater::new(&params, Role::Server, knobs.engine_level());
        self.deflation = Some(Box::new(Deflation { knobs, deflater }));
        self
    }

    /// Adds the answer to a ping, if one is due.
    pub(super) fn put_pong(&mut self, batch: &mut Vec<u8>) {
        if let Some(payload) = self.pong.take() {
            // A ping that was accepted is short enough to be answered.
            let _ = ws::encode_pong(batch, &payload, None);
        }
    }

    /// The frame of a packet, where it differs from the one that is ready.
    pub(super) fn frame(&mut self, packet: &Encoded) -> Option<Bytes> {
        let compressed = match &mut self.deflation {
            Some(deflation) if deflation.knobs.takes(packet) => deflation.frame(packet, self.form),
            _ => None,
        };
        compressed.or_else(|| self.form.frame(packet))
    }

    /// The frame that closes.
    pub(super) fn close_frame(farewell: Option<(ws::CloseCode, &str)>) -> Bytes {
        let mut frame = Vec::new();
        let (code, reason) = farewell.unzip();
        ws::encode_close(&mut frame, code, reason.unwrap_or_default(), None);
        frame.into()
    }
}

impl Deflation {
    /// The compressed frame; `None` if compression does not pay.
    fn frame(&mut self, packet: &Encoded, form: Form) -> Option<Bytes> {
        if packet.is_binary() && form != Form::Plain {
            return self.frame_v3(packet, form);
        }
        if self.deflater.takes_shared_frames() {
            return shared_frame(packet, self.knobs);
        }
        let opcode = if packet.is_binary() { ws::Opcode::Binary } else { ws::Opcode::Text };
        self.own_frame(packet.packet(), opcode)
    }

    /// A binary message of revision 3, which has a form of its own.
    fn frame_v3(&mut self, packet: &Encoded, form: Form) -> Option<Bytes> {
        if form == (Form::Typed { takes_binary: true }) {
            let typed = [&[4], packet.packet()].concat();
            self.own_frame(&typed, ws::Opcode::Binary)
        } else {
            None
        }
    }

    fn own_frame(&mut self, payload: &[u8], opcode: ws::Opcode) -> Option<Bytes> {
        let body = self.deflater.deflate(payload)?;
        let mut frame = Vec::with_capacity(body.len() + 10);
        ws::encode(&mut frame, opcode, true, &body);
        Some(frame.into())
    }
}
