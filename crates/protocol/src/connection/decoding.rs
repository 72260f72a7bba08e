//! How messages become packets, by the parser of a connection, and what that keeps between two messages.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sockeye_engine::Message;
use sockeye_engine::time::Instant;

use super::state::after;
use crate::args::Form;
use crate::json::placeholder;
use crate::json::scan::{Fault, Scanner};
use crate::packet::{self, Body, is_reserved};
use crate::parser::{Content, CustomParser, Decoder, Packet};
use crate::{Config, OwnedArgs, Parser, ProtocolError};

/// The parser of a connection, as its reader.
#[derive(Debug)]
pub(super) enum Decoding {
    /// Attachments are the business of the state.
    Json,
    Msgpack {
        /// A packet which the transport had to decode, kept while its event borrows from it.
        held: Vec<u8>,
    },
    Custom(Box<Custom>),
}

impl Decoding {
    pub(super) fn new(parser: &Parser) -> Self {
        match parser {
            Parser::Json => Self::Json,
            Parser::Msgpack => Self::Msgpack { held: Vec::new() },
            Parser::Custom(parser) => Self::Custom(Box::new(Custom::new(&**parser))),
        }
    }

    /// Frees what the last event borrowed.
    pub(super) fn release(&mut self) {
        match self {
            Self::Json => {}
            Self::Msgpack { held } => *held = Vec::new(),
            Self::Custom(custom) => custom.packet = None,
        }
    }

    /// Bytes of messages that have made no packet yet.
    pub(super) fn unfinished(&self) -> usize {
        match self {
            Self::Custom(custom) => custom.unfinished.as_ref().map_or(0, |unfinished| unfinished.bytes),
            Self::Json | Self::Msgpack { .. } => 0,
        }
    }

    /// When the rest of a packet must be here.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Custom(custom) => custom.unfinished.as_ref()?.deadline,
            Self::Json | Self::Msgpack { .. } => None,
        }
    }
}

/// A parser of the application: what it leaves unfinished is bounded here, and what it gives is checked.
#[derive(Debug)]
pub(super) struct Custom {
    decoder: Box<dyn Decoder>,
    /// Kept while its event borrows from it.
    packet: Option<Packet>,
    unfinished: Option<Unfinished>,
}

/// A packet whose first message was read.
#[derive(Debug)]
struct Unfinished {
    /// Messages after the first.
    messages: usize,
    /// Their bytes.
    bytes: usize,
    deadline: Option<Instant>,
}

impl Custom {
    fn new(parser: &dyn CustomParser) -> Self {
        Self { decoder: parser.decoder(), packet: None, unfinished: None }
    }

    /// Reads a message; the packet it completes, if any.
    pub(super) fn decode(
        &mut self,
        now: Instant,
        message: Message<'_>,
        config: &Config,
    ) -> Result<Option<packet::Packet<'_>>, ProtocolError> {
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.count(&message, config)?;
        }
        // A fault of the application's code costs the one connection that set it off.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.decoder.decode(message)));
        let Some(packet) = decoded.unwrap_or(Err(ProtocolError::InvalidPayload))? else {
            let deadline = || after(now, config.attachment_timeout);
            self.unfinished.get_or_insert_with(|| Unfinished { messages: 0, bytes: 0, deadline: deadline() });
            return Ok(None);
        };
        self.unfinished = None;
        view(self.packet.insert(packet), config).map(Some)
    }
}

impl Unfinished {
    fn count(&mut self, message: &Message<'_>, config: &Config) -> Result<(), ProtocolError> {
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(match message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        });
        if self.messages > config.max_attachments {
            return Err(ProtocolError::TooManyAttachments { count: self.messages, limit: config.max_attachments });
        }
        if self.bytes > config.max_attachment_bytes {
            return Err(ProtocolError::AttachmentsTooLarge { bytes: self.bytes, limit: config.max_attachment_bytes });
        }
        Ok(())
    }
}

/// A packet as the connection handles it, if it is one that a peer may send.
fn view<'a>(packet: &'a Packet, config: &Config) -> Result<packet::Packet<'a>, ProtocolError> {
    let body = match &packet.content {
        Content::Ack { id, args } => Body::Ack { id: *id, args: args.as_args() },
        Content::Connect(auth) if auth.as_args().is_empty() || auth.as_args().is_object() => {
            Body::Connect(auth.as_args())
        }
        Content::Connect(_) => return Err(ProtocolError::InvalidPayload),
        Content::ConnectError(refusal) => Body::Refused(refusal.as_args()),
        Content::Disconnect => Body::Disconnect,
        Content::Event { name, .. } if is_reserved(name) => return Err(ProtocolError::ReservedEventName),
        Content::Event { name, id, args } => Body::Event { name: Cow::Borrowed(name), id: *id, args: args.as_args() },
    };
    match &packet.content {
        Content::Ack { args, .. }
        | Content::Connect(args)
        | Content::ConnectError(args)
        | Content::Event { args, .. } => check(args, config)?,
        Content::Disconnect => {}
    }
    Ok(packet::Packet { path: packet.namespace.as_str(), attachments: 0, body })
}

/// What readers rely on: the depth, and that every placeholder names an attachment. The rest is as it was written here.
fn check(args: &OwnedArgs, config: &Config) -> Result<(), ProtocolError> {
    let Form::Json { text, attachments } = args.as_args().0 else { return Ok(()) };
    if text.is_empty() {
        return Ok(());
    }
    let list = format!("[{text}]");
    Scanner::new(&list, 0, config.max_depth).value().map_err(|fault| match fault {
        Fault::Depth => ProtocolError::TooDeep { limit: config.max_depth },
        Fault::Syntax => ProtocolError::InvalidPayload,
    })?;
    if !attachments.is_empty() && !placeholder::check(text, attachments.len()) {
        return Err(ProtocolError::InvalidPlaceholder);
    }
    Ok(())
}
