//! Socket.IO on one session.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use sockeye_engine::time::{Duration, Instant};
use sockeye_engine::{Message, Revision, Role};

use self::namespaces::{Namespaces, Phase};
use crate::packet::{Body, Packet};
use crate::parser::binary::{Assembly, Kind};
use crate::parser::json;
use crate::{AckId, Args, Config, EncodeError, NamespacePath, Outgoing, Parser, ProtocolError};

mod namespaces;

/// Number of a namespace on this connection, from CONNECT to DISCONNECT; small, and used again afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(pub u16);

/// The server's answer to CONNECT, as the client reads it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Connected {
    /// Id of the socket: public, fresh for each namespace, not the session's id.
    pub sid: String,
    /// Private id, by which the server finds what was missed after a reconnection. `None` if it does not offer that.
    pub pid: Option<String>,
}

/// What came of a message.
#[derive(Debug)]
pub enum Event<'a> {
    /// Server: the client asks for a namespace. Answer with [`Connection::accept`] or [`Connection::refuse`].
    ConnectAsked {
        /// Its slot from now on.
        slot: Slot,
        /// The namespace, which need not exist.
        namespace: NamespacePath,
        /// What old clients put behind the path.
        query: Option<&'a str>,
        /// One object, or nothing.
        auth: Args<'a>,
    },
    /// Client: the server accepted.
    Connected {
        /// Of the namespace.
        slot: Slot,
        /// The ids.
        connected: Connected,
    },
    /// The peer left the namespace; the slot is free.
    Disconnected {
        /// Of the namespace.
        slot: Slot,
    },
    /// An event. A client may get some before [`Event::Connected`]: those it missed, or which were sent on admission.
    Received {
        /// Of the namespace.
        slot: Slot,
        /// The event's name; owned only if it was escaped.
        name: Cow<'a, str>,
        /// Not decoded yet.
        args: Args<'a>,
        /// The peer waits for an answer with this id.
        ack: Option<AckId>,
    },
    /// Client: the server refused; the slot is free.
    Refused {
        /// Of the namespace.
        slot: Slot,
        /// Why, in the server's words.
        message: String,
        /// What the server's application added.
        data: Option<serde_json::Value>,
    },
    /// An acknowledgement. It may be one that nobody waits for.
    Replied {
        /// Of the namespace.
        slot: Slot,
        /// Of the event that asked for it.
        ack: AckId,
        /// Not decoded yet.
        args: Args<'a>,
    },
}

/// Socket.IO on one session, seen from either side.
///
/// Borrows what it can: a text event without attachments allocates nothing. What an [`Event`] borrows from the
/// connection itself (attachments) stays until the next message or [`Connection::release`].
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    role: Role,
    revision: Revision,
    parser: Parser,
    /// Revision 3: `/` was asked for by connecting, and nobody was told yet.
    implicit: bool,
    namespaces: Namespaces,
    /// The packet whose attachments are awaited, or were handed out last.
    assembly: Option<Box<(Slot, Assembly)>>,
    /// Server: set while no namespace is connected.
    connect_deadline: Option<Instant>,
}

impl Connection {
    /// A connection on a session which has just opened.
    pub fn new(role: Role, revision: Revision, parser: Parser, config: Arc<Config>, now: Instant) -> Self {
        let is_server = role == Role::Server;
        let connect_deadline = if is_server { after(now, config.connect_timeout) } else { None };
        let mut namespaces = Namespaces::default();
        let implicit = is_server && revision == Revision::V3;
        if implicit {
            namespaces.claim(NamespacePath::main(), 1);
        }
        Self { config, role, revision, parser, implicit, namespaces, assembly: None, connect_deadline }
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
        match message {
            Message::Text(text) => self.handle_text(now, text),
            Message::Binary(bytes) => self.handle_attachment(bytes),
        }
    }

    /// `poll_timeout` has passed.
    ///
    /// # Errors
    /// A deadline has passed that ends the connection: no namespace in time, attachments missing.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.release();
        if self.assembly.as_ref().and_then(|assembly| assembly.1.deadline()).is_some_and(|deadline| deadline <= now) {
            return Err(ProtocolError::AttachmentTimeout);
        }
        if self.connect_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(ProtocolError::ConnectTimeout);
        }
        Ok(())
    }

    /// What happened without a message; drain it once after [`Connection::new`]. Clients of revision 3 are in `/` by
    /// connecting: the server gets [`Event::ConnectAsked`] here. [SIO4 "CONNECT"]
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        if !std::mem::take(&mut self.implicit) {
            return None;
        }
        let namespace = NamespacePath::main();
        let (slot, _) = self.namespaces.find(namespace.as_str())?;
        Some(Event::ConnectAsked { slot, namespace, query: None, auth: Args::NONE })
    }

    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let assembly = self.assembly.as_ref().filter(|assembly| !assembly.1.is_complete());
        assembly.and_then(|assembly| assembly.1.deadline()).into_iter().chain(self.connect_deadline).min()
    }

    /// Client: asks for a namespace. The packet to send, and its slot.
    ///
    /// # Errors
    /// The namespace is connected or asked for already, there are `max_namespaces`, `auth` is no object, or the
    /// revision is 3, which only servers speak.
    pub fn connect(
        &mut self,
        namespace: &NamespacePath,
        auth: Option<&serde_json::Value>,
    ) -> Result<(Slot, Outgoing), EncodeError> {
        if self.role == Role::Server || self.revision == Revision::V3 {
            return Err(EncodeError::new("only a client of revision 4 connects"));
        }
        if self.namespaces.find(namespace.as_str()).is_some() {
            return Err(EncodeError::new("the namespace is connected already"));
        }
        let packet = self.parser.connect(namespace, auth)?;
        let slot = self.namespaces.claim(namespace.clone(), self.config.max_namespaces);
        slot.map(|slot| (slot, packet)).ok_or_else(|| EncodeError::new("too many namespaces"))
    }

    /// Server: lets the client in. The packet to send; `None` if the client is not waiting for it (any more).
    pub fn accept(&mut self, slot: Slot, sid: &str, pid: Option<&str>, _now: Instant) -> Option<Outgoing> {
        let path = self.asked(slot)?;
        let packet = self.parser.connected(self.revision, path, sid, pid);
        self.namespaces.set(slot, Phase::Connected);
        self.connect_deadline = None;
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
        self.namespaces.set(slot, Phase::Free);
        Some(packet)
    }

    /// Either side leaves; the packet to send if it was connected. Packets which the peer sent before it knew are passed
    /// over, and so are the attachments that are still to come.
    pub fn disconnect(&mut self, slot: Slot, now: Instant) -> Option<Outgoing> {
        let was = self.namespaces.phase(slot);
        if !matches!(was, Phase::Asked | Phase::Connected) {
            return None;
        }
        let packet = self.namespaces.path(slot).map(|path| self.parser.disconnect(path));
        self.leave(slot, now, if self.role == Role::Server { Phase::Left } else { Phase::Free });
        packet.filter(|_| was == Phase::Connected)
    }

    /// Frees what the last event borrowed from the connection. The next input does it too; an idle connection should not
    /// wait for that.
    pub fn release(&mut self) {
        if self.assembly.as_ref().is_some_and(|assembly| assembly.1.is_complete()) {
            self.assembly = None;
        }
    }

    /// The namespace of a slot which is asked for or connected.
    pub fn namespace(&self, slot: Slot) -> Option<&NamespacePath> {
        self.namespaces.path(slot).filter(|_| self.namespaces.phase(slot) != Phase::Left)
    }

    /// The form of packets on this connection.
    pub fn parser(&self) -> &Parser {
        &self.parser
    }

    /// The revision of Engine.IO below.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    fn asked(&self, slot: Slot) -> Option<&NamespacePath> {
        self.namespaces.path(slot).filter(|_| self.role == Role::Server && self.namespaces.phase(slot) == Phase::Asked)
    }

    fn leave(&mut self, slot: Slot, now: Instant, phase: Phase) {
        self.namespaces.set(slot, phase);
        if let Some(assembly) = self.assembly.as_mut().filter(|assembly| assembly.0 == slot) {
            assembly.1.discard();
        }
        if self.role == Role::Server && self.connect_deadline.is_none() && !self.namespaces.is_any_connected() {
            self.connect_deadline = after(now, self.config.connect_timeout);
        }
    }

    fn handle_text<'a>(&mut self, now: Instant, text: &'a str) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.assembly.is_some() || !matches!(self.parser, Parser::Json) {
            return Err(ProtocolError::UnexpectedText);
        }
        let packet = json::decode(text, &self.config)?;
        self.handle_packet(now, packet)
    }

    fn handle_attachment<'a>(&'a mut self, message: Cow<'a, [u8]>) -> Result<Option<Event<'a>>, ProtocolError> {
        let Some(assembly) = &mut self.assembly else { return Err(ProtocolError::UnexpectedBinary) };
        let (slot, assembly) = &mut **assembly;
        assembly.push(message, &self.config)?;
        if assembly.is_discarded() || !assembly.is_complete() {
            return Ok(None);
        }
        let (slot, args) = (*slot, assembly.args());
        Ok(Some(match &assembly.kind {
            Kind::Ack(ack) => Event::Replied { slot, ack: *ack, args },
            Kind::Event { name, id } => Event::Received { slot, name: Cow::Borrowed(name), args, ack: *id },
        }))
    }

    fn handle_packet<'a>(&mut self, now: Instant, packet: Packet<'a>) -> Result<Option<Event<'a>>, ProtocolError> {
        let Packet { path, attachments, body } = packet;
        match (body, self.role) {
            (Body::Connect(auth), Role::Server) => self.handle_connect(path, auth),
            (Body::Connect(body), Role::Client) => Ok(self.handle_connected(path, &body)),
            (Body::Refused(_), Role::Server) => Err(ProtocolError::UnexpectedPacket("CONNECT_ERROR")),
            (Body::Refused(body), Role::Client) => Ok(self.handle_refused(path, &body)),
            (Body::Disconnect, _) => self.handle_disconnect(now, path),
            (Body::Event { name, id, args }, _) => {
                let receiver = self.receiver(path)?;
                if attachments > 0 {
                    self.assemble(now, receiver, Kind::Event { name: name.into(), id }, &args, attachments);
                    return Ok(None);
                }
                Ok(receiver.map(|slot| Event::Received { slot, name, args, ack: id }))
            }
            (Body::Ack { id, args }, _) => {
                let receiver = self.receiver(path)?;
                if attachments > 0 {
                    self.assemble(now, receiver, Kind::Ack(id), &args, attachments);
                    return Ok(None);
                }
                Ok(receiver.map(|slot| Event::Replied { slot, ack: id, args }))
            }
        }
    }

    /// Server: a CONNECT. A second one before the answer is passed over: JS clients send it when they are connected,
    /// disconnected and connected again in one breath, and the one answer serves both.
    fn handle_connect<'a>(&mut self, path: &'a str, auth: Args<'a>) -> Result<Option<Event<'a>>, ProtocolError> {
        let (namespace, query) = NamespacePath::parse(path)?;
        match self.namespaces.find(namespace.as_str()) {
            Some((_, Phase::Connected)) => return Err(ProtocolError::AlreadyConnected),
            Some((_, Phase::Asked)) => return Ok(None),
            _ => {}
        }
        let limit = self.config.max_namespaces;
        let slot = self.namespaces.claim(namespace.clone(), limit).ok_or(ProtocolError::TooManyNamespaces { limit })?;
        Ok(Some(Event::ConnectAsked { slot, namespace, query, auth }))
    }

    /// Client: the answer to CONNECT.
    fn handle_connected(&mut self, path: &str, body: &Args<'_>) -> Option<Event<'static>> {
        let slot = self.waiting(path)?;
        let Ok(connected) = body.decode() else {
            self.namespaces.set(slot, Phase::Free);
            let message = "the server speaks an older Socket.IO: its answer to CONNECT has no sid".to_owned();
            return Some(Event::Refused { slot, message, data: None });
        };
        self.namespaces.set(slot, Phase::Connected);
        Some(Event::Connected { slot, connected })
    }

    /// Client: CONNECT_ERROR. Servers of revision 3 send a bare string or the application's data.
    fn handle_refused(&mut self, path: &str, body: &Args<'_>) -> Option<Event<'static>> {
        #[derive(Deserialize)]
        struct Refusal {
            message: String,
            data: Option<serde_json::Value>,
        }

        let slot = self.waiting(path)?;
        self.namespaces.set(slot, Phase::Free);
        let refusal = body.decode().or_else(|_| body.decode().map(|message| Refusal { message, data: None }));
        let refusal = refusal.unwrap_or_else(|_| Refusal { message: String::new(), data: body.decode().ok() });
        Some(Event::Refused { slot, message: refusal.message, data: refusal.data })
    }

    /// The peer leaves. A client may hear it of a namespace it only asked for.
    fn handle_disconnect(&mut self, now: Instant, path: &str) -> Result<Option<Event<'static>>, ProtocolError> {
        let (slot, phase) = match (self.namespaces.find(path), self.role) {
            (Some((slot, Phase::Asked)), Role::Client) => (slot, Phase::Connected),
            (Some((_, Phase::Asked)) | None, Role::Server) => return Err(ProtocolError::NotConnected),
            (Some(found), _) => found,
            (None, Role::Client) => return Ok(None),
        };
        self.leave(slot, now, Phase::Free);
        Ok((phase == Phase::Connected).then_some(Event::Disconnected { slot }))
    }

    /// Client: the slot of a namespace which waits for the server's answer.
    fn waiting(&self, path: &str) -> Option<Slot> {
        self.namespaces.find(path).filter(|(_, phase)| *phase == Phase::Asked).map(|(slot, _)| slot)
    }

    /// Who gets an event or an ack; `None` if it is to be passed over. As the official peers do, a server closes on a
    /// packet for a namespace which is not connected, a client passes it over.
    fn receiver(&self, path: &str) -> Result<Option<Slot>, ProtocolError> {
        match (self.namespaces.find(path), self.role) {
            (Some((slot, Phase::Connected)), _) | (Some((slot, Phase::Asked)), Role::Client) => Ok(Some(slot)),
            (Some((_, Phase::Asked)) | None, Role::Server) => Err(ProtocolError::NotConnected),
            _ => Ok(None),
        }
    }

    /// Waits for the attachments of a packet, be it only to pass them over.
    fn assemble(&mut self, now: Instant, receiver: Option<Slot>, kind: Kind, args: &Args<'_>, wanted: usize) {
        let deadline = after(now, self.config.attachment_timeout);
        let mut assembly = Assembly::new(kind, args, wanted, deadline);
        if receiver.is_none() {
            assembly.discard();
        }
        self.assembly = Some(Box::new((receiver.unwrap_or(Slot(u16::MAX)), assembly)));
    }
}

/// `None` if that is beyond what the clock can say: never.
fn after(now: Instant, delay: Duration) -> Option<Instant> {
    now.checked_add(delay)
}
