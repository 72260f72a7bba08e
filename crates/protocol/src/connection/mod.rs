//! Socket.IO on one session.

use std::borrow::Cow;
use std::sync::Arc;

use sockeye_engine::time::Instant;
use sockeye_engine::{Message, Revision, Role};

use self::decoding::Decoding;
pub use self::event::{Connected, Event, Slot};
use self::namespaces::Phase;
use self::state::State;
use crate::parser::{json, msgpack};
use crate::{Args, Config, EncodeError, NamespacePath, Outgoing, Parser, ProtocolError};

mod event;
mod namespaces;
mod state;
mod decoding;

/// Socket.IO on one session, seen from either side.
///
/// Borrows what it can: a text event without attachments allocates nothing. What an [`Event`] borrows from the
/// connection itself (attachments) stays until the next message or [`Connection::release`].
#[derive(Debug)]
pub struct Connection {
    state: State,
    revision: Revision,
    parser: Parser,
    decoding: Decoding,
}

impl Connection {
    /// A connection on a session which has just opened.
    pub fn new(role: Role, revision: Revision, parser: Parser, config: Arc<Config>, now: Instant) -> Self {
        let mut state = State::new(role, revision, config, now);
        if state.implicit {
            state.namespaces.claim(NamespacePath::main(), 1);
        }
        let decoding = Decoding::new(&parser);
        Self { state, revision, parser, decoding }
    }

    /// A message arrived; at most one thing comes of it.
    ///
    /// # Errors
    /// The peer broke the protocol: close the session.
    pub fn handle_message<'a>(
        &'a mut self,
        now: Instant,
        message: Message<'a>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.release();
        let Self { state, decoding, .. } = self;
        match (message, decoding) {
            (Message::Text(_), Decoding::Json) if state.is_assembling() => Err(ProtocolError::UnexpectedText),
            (Message::Text(text), Decoding::Json) => state.handle_packet(now, json::decode(text, &state.config)?),
            (Message::Text(_), Decoding::Msgpack { .. }) => Err(ProtocolError::UnexpectedText),
            (Message::Binary(bytes), Decoding::Json) => state.handle_attachment(bytes),
            (Message::Binary(bytes), Decoding::Msgpack { held }) => {
                let bytes = match bytes {
                    Cow::Borrowed(bytes) => bytes,
                    Cow::Owned(bytes) => {
                        *held = bytes;
                        held
                    }
                };
                state.handle_packet(now, msgpack::decode(bytes, &state.config)?)
            }
            (message, Decoding::Custom(custom)) => match custom.decode(now, message, &state.config)? {
                Some(packet) => state.handle_packet(now, packet),
                None => Ok(None),
            },
        }
    }

    /// `poll_timeout` has passed.
    ///
    /// # Errors
    /// A deadline has passed that ends the connection: no namespace in time, attachments missing.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.release();
        if self.attachment_deadline().is_some_and(|deadline| deadline <= now) {
            return Err(ProtocolError::AttachmentTimeout);
        }
        if self.state.connect_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(ProtocolError::ConnectTimeout);
        }
        Ok(())
    }

    /// Server: what happened without a message; drain it once after [`Connection::new`]. Clients of revision 3 are in
    /// `/` by connecting: the server gets [`Event::ConnectAsked`] here. [SIO4 "CONNECT"]
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        if self.state.role == Role::Client || !std::mem::take(&mut self.state.implicit) {
            return None;
        }
        let namespace = NamespacePath::main();
        let (slot, _) = self.state.namespaces.find(namespace.as_str())?;
        Some(Event::ConnectAsked { slot, namespace, query: None, auth: Args::NONE })
    }

    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.attachment_deadline().into_iter().chain(self.state.connect_deadline).min()
    }

    /// Client: asks for a namespace. The packet to send, and its slot.
    ///
    /// # Errors
    /// The namespace is connected, or the answer to an earlier question is out; there are `max_namespaces`, `auth` is no
    /// object, or the revision is 3, which has [`Self::connect_v3`].
    pub fn connect(
        &mut self,
        namespace: &NamespacePath,
        auth: Option<&serde_json::Value>,
    ) -> Result<(Slot, Outgoing), EncodeError> {
        if self.state.role == Role::Server || self.revision == Revision::V3 {
            return Err(EncodeError::new("only a client of revision 4 connects like this"));
        }
        let packet = self.parser.connect(namespace, auth)?;
        Ok((self.claim(namespace)?, packet))
    }

    /// Client of revision 3: asks for a namespace, with a query (without `?`) for the server's `handshake.query`. The
    /// packet to send, and the slot. The first time for `/` there is no packet: it was asked for by connecting, and its
    /// answer may be here already, see [`Self::is_connected`]. [SIO4 "CONNECT"]
    ///
    /// # Errors
    /// The namespace is connected, or the answer to an earlier question is out; there are `max_namespaces`; the query
    /// holds what would end it, or the revision is 4.
    pub fn connect_v3(
        &mut self,
        namespace: &NamespacePath,
        query: &str,
    ) -> Result<(Slot, Option<Outgoing>), EncodeError> {
        if self.state.role == Role::Server || self.revision == Revision::V4 {
            return Err(EncodeError::new("only a client of revision 3 connects like this"));
        }
        if namespace.is_main()
            && std::mem::take(&mut self.state.implicit)
            && let Some((slot, Phase::Asked | Phase::Connected)) = self.state.namespaces.find(namespace.as_str())
        {
            return Ok((slot, None));
        }
        let packet = self.parser.connect_v3(namespace, query)?;
        Ok((self.claim(namespace)?, Some(packet)))
    }

    fn claim(&mut self, namespace: &NamespacePath) -> Result<Slot, EncodeError> {
        if self.state.namespaces.find(namespace.as_str()).is_some() {
            return Err(EncodeError::new("the namespace is connected already"));
        }
        let slot = self.state.namespaces.claim(namespace.clone(), self.state.config.max_namespaces);
        slot.ok_or_else(|| EncodeError::new("too many namespaces"))
    }

    /// Server: lets the client in. The packet to send; `None` if the client is not waiting for it (any more).
    pub fn accept(&mut self, slot: Slot, sid: &str, pid: Option<&str>, _now: Instant) -> Option<Outgoing> {
        let path = self.asked(slot)?;
        let packet = self.parser.connected(self.revision, path, sid, pid);
        self.state.namespaces.set(slot, Phase::Connected);
        self.state.connect_deadline = None;
        Some(packet)
    }

    /// Server: does not let the client in. The packet to send; `None` if the client is not waiting for it (any more).
    pub fn refuse(
        &mut self,
        slot: Slot,
        message: &str,
        data: Option<&serde_json::Value>,
        _now: Instant,
    ) -> Option<Outgoing> {
        let path = self.asked(slot)?;
        let packet = self.parser.refused(self.revision, path, message, data);
        self.state.namespaces.set(slot, Phase::Free);
        Some(packet)
    }

    /// Either side leaves; the packet to send if it was connected. Packets which the peer sent before it knew are passed
    /// over, and so are the attachments that are still to come.
    ///
    /// A client which leaves before the server's answer has nothing to send yet: when [`Event::Connected`] comes all the
    /// same, it disconnects again; until then the namespace cannot be asked for anew.
    pub fn disconnect(&mut self, slot: Slot, now: Instant) -> Option<Outgoing> {
        let was = self.state.namespaces.phase(slot);
        if !matches!(was, Phase::Asked | Phase::Connected) {
            return None;
        }
        let packet = self.state.namespaces.path(slot).map(|path| self.parser.disconnect(path));
        let is_server = self.state.role == Role::Server;
        self.state.leave(slot, now, if is_server || was == Phase::Asked { Phase::Left } else { Phase::Free });
        packet.filter(|_| was == Phase::Connected)
    }

    /// Frees what the last event borrowed from the connection. The next input does it too; an idle connection should not
    /// wait for that.
    pub fn release(&mut self) {
        self.state.release();
        self.decoding.release();
    }

    /// The namespace of a slot which is asked for or connected.
    pub fn namespace(&self, slot: Slot) -> Option<&NamespacePath> {
        self.state.namespaces.path(slot).filter(|_| self.state.namespaces.phase(slot) != Phase::Left)
    }

    /// Client: whether a namespace was left while the answer to its CONNECT is out; it cannot be asked for until then.
    pub fn is_left(&self, namespace: &NamespacePath) -> bool {
        self.state.namespaces.find(namespace.as_str()).is_some_and(|(_, phase)| phase == Phase::Left)
    }

    /// Whether the server has let the client in.
    pub fn is_connected(&self, slot: Slot) -> bool {
        self.state.namespaces.phase(slot) == Phase::Connected
    }

    /// The form of packets on this connection.
    pub fn parser(&self) -> &Parser {
        &self.parser
    }

    /// The revision of Engine.IO below.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Bytes that are kept of a packet which is not complete: at most the longest message and `max_attachment_bytes`. Of a
    /// parser of the application, those that it was given after the first message. 0 between two packets.
    #[inline]
    pub fn unfinished(&self) -> usize {
        self.state.unfinished() + self.decoding.unfinished()
    }

    fn attachment_deadline(&self) -> Option<Instant> {
        self.state.attachment_deadline().or_else(|| self.decoding.deadline())
    }

    fn asked(&self, slot: Slot) -> Option<&NamespacePath> {
        self.state
            .namespaces
            .path(slot)
            .filter(|_| self.state.role == Role::Server && self.state.namespaces.phase(slot) == Phase::Asked)
    }
}
