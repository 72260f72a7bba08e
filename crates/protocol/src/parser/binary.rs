//! Attachments on their way: a packet waits for the binary messages it announced.         [SIO5 "packet encoding"]
//!
//! One packet at a time. Its count was checked before anything was stored; its bytes are counted as they come, and all
//! of them must come before one deadline, so that a silent peer cannot keep what it has sent.

use std::borrow::Cow;

use bytes::Bytes;
use sockeye_engine::time::Instant;

use crate::args::{Args, Form};
use crate::{AckId, Config, ProtocolError};

/// What a packet with attachments will be.
#[derive(Debug)]
pub(crate) enum Kind {
    Ack(AckId),
    Event { name: Box<str>, id: Option<AckId> },
}

/// A packet whose attachments are being collected.
#[derive(Debug)]
pub(crate) struct Assembly {
    pub(crate) kind: Kind,
    text: Box<str>,
    attachments: Vec<Bytes>,
    wanted: usize,
    /// Sum of `attachments`; checked in `push`.
    bytes: usize,
    deadline: Option<Instant>,
    /// Nobody wants the packet any more: its messages are counted and not stored.
    discarded: Option<usize>,
}

impl Assembly {
    pub(crate) fn new(kind: Kind, args: &Args<'_>, wanted: usize, deadline: Option<Instant>) -> Self {
        let text = match args.0 {
            Form::Json { text, .. } => text.into(),
            Form::Msgpack { .. } => Box::default(),
        };
        Self { kind, text, attachments: Vec::new(), wanted, bytes: 0, deadline, discarded: None }
    }

    /// The next binary message.
    pub(crate) fn push(&mut self, message: Cow<'_, [u8]>, config: &Config) -> Result<(), ProtocolError> {
        let limit = config.max_attachment_bytes;
        self.bytes = self.bytes.saturating_add(message.len());
        if self.bytes > limit {
            return Err(ProtocolError::AttachmentsTooLarge { bytes: self.bytes, limit });
        }
        match &mut self.discarded {
            Some(count) => *count += 1,
            None => self.attachments.push(match message {
                Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
                Cow::Owned(bytes) => Bytes::from(bytes),
            }),
        }
        Ok(())
    }

    /// Frees what was collected; what is still to come will be passed over.
    pub(crate) fn discard(&mut self) {
        self.discarded.get_or_insert(self.attachments.len());
        self.attachments = Vec::new();
        self.text = Box::default();
    }

    pub(crate) fn is_discarded(&self) -> bool {
        self.discarded.is_some()
    }

    /// Whether all attachments are here.
    pub(crate) fn is_complete(&self) -> bool {
        self.discarded.unwrap_or(self.attachments.len()) >= self.wanted
    }

    /// Bytes that are kept.
    pub(crate) fn size(&self) -> usize {
        if self.is_discarded() { 0 } else { self.text.len() + self.bytes }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn args(&self) -> Args<'_> {
        Args::json(&self.text, &self.attachments)
    }
}
