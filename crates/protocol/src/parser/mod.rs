//! The form of packets on the wire.
//!
//! Encoding has one entry for each kind of packet, [`Parser`]; decoding begins in [`crate::Connection`].

use std::sync::Arc;

use serde::Serialize;
use sockeye_engine::Revision;

mod payload;
pub(crate) mod json;
pub(crate) mod msgpack;
pub(crate) mod binary;
mod custom;

pub use custom::{Content, CustomParser, Decoder, Packet};
// What a parser is made of, in one place.
pub use crate::args::List;
pub use crate::{AckId, EncodeError, NamespacePath, Outgoing, OwnedArgs, ProtocolError};
pub use sockeye_engine::Message;

/// Which form packets take on the wire. Both sides must use the same; nothing on the wire names it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Parser {
    /// Text, attachments apart: what every client speaks by default.
    #[default]
    Json,
    /// One binary message per packet, as `socket.io-msgpack-parser` writes it.
    Msgpack,
    /// A form of the application's own.
    Custom(Arc<dyn CustomParser>),
}

impl Parser {
    /// A form of the application's own.
    pub fn custom(parser: impl CustomParser) -> Self {
        Self::Custom(Arc::new(parser))
    }

    /// An event. `args` are its arguments by the rule of [`crate::args`].
    ///
    /// # Errors
    /// `args` cannot be serialized.
    pub fn event<A: Serialize + ?Sized>(
        &self,
        namespace: &NamespacePath,
        ack: Option<AckId>,
        name: &str,
        args: &A,
    ) -> Result<Outgoing, EncodeError> {
        match self {
            Self::Json => json::event(namespace, ack, name, args, None),
            Self::Msgpack => msgpack::event(namespace, ack, name, args, None),
            Self::Custom(parser) => custom::event(&**parser, namespace, ack, name, args, None),
        }
    }

    /// An event which the client can name after a reconnection: `offset` is one more argument, at the end.
    ///
    /// # Errors
    /// `args` cannot be serialized.
    pub fn recoverable_event<A: Serialize + ?Sized>(
        &self,
        namespace: &NamespacePath,
        name: &str,
        args: &A,
        offset: &str,
    ) -> Result<Outgoing, EncodeError> {
        match self {
            Self::Json => json::event(namespace, None, name, args, Some(offset)),
            Self::Msgpack => msgpack::event(namespace, None, name, args, Some(offset)),
            Self::Custom(parser) => custom::event(&**parser, namespace, None, name, args, Some(offset)),
        }
    }

    /// The answer to an event that asked for one.
    ///
    /// # Errors
    /// `args` cannot be serialized.
    pub fn ack<A: Serialize + ?Sized>(
        &self,
        namespace: &NamespacePath,
        id: AckId,
        args: &A,
    ) -> Result<Outgoing, EncodeError> {
        match self {
            Self::Json => json::ack(namespace, id, args),
            Self::Msgpack => msgpack::ack(namespace, id, args),
            Self::Custom(parser) => custom::ack(&**parser, namespace, id, args),
        }
    }

    /// Client: asks for a namespace. `auth` is an object or nothing.
    ///
    /// # Errors
    /// `auth` is no object, or cannot be serialized.
    pub fn connect<A: Serialize + ?Sized>(
        &self,
        namespace: &NamespacePath,
        auth: Option<&A>,
    ) -> Result<Outgoing, EncodeError> {
        match self {
            Self::Json => json::connect(namespace, auth),
            Self::Msgpack => msgpack::connect(namespace, auth),
            Self::Custom(parser) => custom::connect(&**parser, namespace, auth),
        }
    }

    /// Client of revision 3: asks for a namespace; `query` (without `?`) stands behind its path. JSON only.
    ///
    /// # Errors
    /// The query holds what would end it, or the parser is another.
    pub fn connect_v3(&self, namespace: &NamespacePath, query: &str) -> Result<Outgoing, EncodeError> {
        match self {
            Self::Json => json::connect_v3(namespace, query),
            Self::Msgpack | Self::Custom(_) => Err(EncodeError::new("servers of revision 3 are spoken to in JSON")),
        }
    }

    /// Server: the client is in. Revision 3 of Engine.IO (Socket.IO 1.x and 2.x) is told nothing but that.
    pub fn connected(&self, revision: Revision, namespace: &NamespacePath, sid: &str, pid: Option<&str>) -> Outgoing {
        match self {
            Self::Json => json::connected(revision, namespace, sid, pid),
            Self::Msgpack => msgpack::connected(revision, namespace, sid, pid),
            Self::Custom(parser) => custom::connected(&**parser, revision, namespace, sid, pid),
        }
    }

    /// Server: the client is not let in. Revision 3 is told `data` alone, or else `message` alone.
    pub fn refused(
        &self,
        revision: Revision,
        namespace: &NamespacePath,
        message: &str,
        data: Option<&serde_json::Value>,
    ) -> Outgoing {
        match self {
            Self::Json => json::refused(revision, namespace, message, data),
            Self::Msgpack => msgpack::refused(revision, namespace, message, data),
            Self::Custom(parser) => custom::refused(&**parser, revision, namespace, message, data),
        }
    }

    /// Leaves a namespace.
    pub fn disconnect(&self, namespace: &NamespacePath) -> Outgoing {
        match self {
            Self::Json => json::disconnect(namespace),
            Self::Msgpack => msgpack::disconnect(namespace),
            Self::Custom(parser) => custom::disconnect(&**parser, namespace),
        }
    }
}
