//! What a connection knows, and what received packets do to it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sockeye_engine::time::{Duration, Instant};
use sockeye_engine::{Revision, Role};

use super::event::{Connected, Event, Slot};
use super::namespaces::{Namespaces, Phase};
use crate::packet::{Body, Packet};
use crate::parser::binary::{Assembly, Kind};
use crate::{Args, Config, NamespacePath, ProtocolError};

/// Everything but the parser.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: Arc<Config>,
    pub(super) role: Role,
    revision: Revision,
    /// Revision 3: `/` was asked for by connecting, and nobody was told yet (server), or nobody took it yet (client).
    pub(super) implicit: bool,
    pub(super) namespaces: Namespaces,
    /// The packet whose attachments are awaited, or were handed out last.
    assembly: Option<Box<(Slot, Assembly)>>,
    /// Server: set while no namespace is connected.
    pub(super) connect_deadline: Option<Instant>,
}

impl State {
    pub(super) fn new(role: Role, revision: Revision, config: Arc<Config>, now: Instant) -> Self {
        let connect_deadline = if role == Role::Server { after(now, config.connect_timeout) } else { None };
        let (implicit, namespaces) = (revision == Revision::V3, Namespaces::default());
        Self { config, role, revision, implicit, namespaces, assembly: None, connect_deadline }
    }

    /// Frees attachments which were handed out.
    pub(super) fn release(&mut self) {
        if self.assembly.as_ref().is_some_and(|assembly| assembly.1.is_complete()) {
            self.assembly = None;
        }
    }

    /// Whether attachments are still to come.
    pub(super) fn is_assembling(&self) -> bool {
        self.assembly.as_ref().is_some_and(|assembly| !assembly.1.is_complete())
    }

    pub(super) fn attachment_deadline(&self) -> Option<Instant> {
        self.assembly.as_ref().filter(|assembly| !assembly.1.is_complete())?.1.deadline()
    }

    /// Bytes that are kept of a packet whose attachments are still to come.
    pub(super) fn unfinished(&self) -> usize {
        self.assembly.as_ref().filter(|assembly| !assembly.1.is_complete()).map_or(0, |assembly| assembly.1.size())
    }

    /// Moves a namespace out of its connected phase.
    pub(super) fn leave(&mut self, slot: Slot, now: Instant, phase: Phase) {
        self.namespaces.set(slot, phase);
        if let Some(assembly) = self.assembly.as_mut().filter(|assembly| assembly.0 == slot) {
            assembly.1.discard();
        }
        if self.role == Role::Server && self.connect_deadline.is_none() && !self.namespaces.is_any_connected() {
            self.connect_deadline = after(now, self.config.connect_timeout);
        }
    }

    pub(super) fn handle_attachment<'a>(
        &'a mut self,
        message: Cow<'a, [u8]>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
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

    pub(super) fn handle_packet<'a>(
        &mut self,
        now: Instant,
        packet: Packet<'a>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let Packet { path, attachments, body } = packet;
        let path = match (&body, self.role, self.revision) {
            // Old clients may write the query of a namespace into every packet. [JS socket.io 4.8 client.ts _parseNamespace]
            (Body::Ack { .. } | Body::Disconnect | Body::Event { .. }, Role::Server, Revision::V3) => {
                without_query(path)
            }
            _ => path,
        };
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
        let connected = match self.revision {
            Revision::V3 => Some(Connected::default()),
            Revision::V4 => last_of_each(body),
        };
        let Some(connected) = connected else {
            self.namespaces.set(slot, Phase::Free);
            let message = "the server speaks an older Socket.IO: its answer to CONNECT has no sid".to_owned();
            return Some(Event::Refused { slot, message, data: None });
        };
        self.namespaces.set(slot, Phase::Connected);
        // Whoever takes `/` later finds it connected.
        let is_untaken = self.implicit && path == NamespacePath::main().as_str();
        (!is_untaken).then_some(Event::Connected { slot, connected })
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
        let text = || body.decode().ok().map(|message| Refusal { message, data: None });
        let refusal = last_of_each(body).or_else(text);
        let refusal = refusal.unwrap_or_else(|| Refusal { message: String::new(), data: body.decode().ok() });
        Some(Event::Refused { slot, message: refusal.message, data: refusal.data })
    }

    /// The peer leaves. What a client hears of a namespace whose answer is out was said before the server read its CONNECT.
    fn handle_disconnect(&mut self, now: Instant, path: &str) -> Result<Option<Event<'static>>, ProtocolError> {
        let (slot, phase) = match (self.namespaces.find(path), self.role) {
            (Some((_, Phase::Asked)) | None, Role::Server) => return Err(ProtocolError::NotConnected),
            (Some((_, Phase::Asked | Phase::Left)) | None, Role::Client) => return Ok(None),
            (Some(found), _) => found,
        };
        self.leave(slot, now, Phase::Free);
        Ok((phase == Phase::Connected).then_some(Event::Disconnected { slot }))
    }

    /// Client: the slot of a namespace whose answer is out.
    fn waiting(&self, path: &str) -> Option<Slot> {
        self.namespaces.find(path).filter(|(_, phase)| *phase != Phase::Connected).map(|(slot, _)| slot)
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

/// A key may stand there twice: the last one counts, as in JavaScript.
fn last_of_each<T: DeserializeOwned>(body: &Args<'_>) -> Option<T> {
    let again = || serde_json::from_value(body.decode().ok()?).ok();
    body.decode().ok().or_else(again)
}

fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// `None` if that is beyond what the clock can say: never.
pub(super) fn after(now: Instant, delay: Duration) -> Option<Instant> {
    now.checked_add(delay)
}
