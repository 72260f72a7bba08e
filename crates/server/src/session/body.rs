//! A session without its transports: the protocol machines, and the sockets by their slots.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use serde_json::{Map, Value, json};
use sockeye_engine::handshake::parameters;
use sockeye_engine::{Encoded, Lane, Message, Packet, Revision, Session};
use sockeye_protocol::event::Received;
use sockeye_protocol::{AckId, Args, Connection, Event, NamespacePath, Outgoing, OwnedArgs, Slot};

use super::admission::{self, Whom};
use super::ages::{Ages, Tick};
use super::fault::Fault;
use super::meters::Meters;
use super::occupant::{Admission, Asking, Departing, Joined, Occupant};
use crate::ack::Waiter;
use crate::cause::Disconnect;
use crate::config::Config;
use crate::core::Core;
use crate::error::{DisconnectReason, Refusal};
use crate::handlers::short;
use crate::limits::{Excess, Limit};
use crate::link::{Link, Urgency};
use crate::namespace::Visit;
use crate::peer::Peer;
use crate::registry::Registry;
use crate::unfinished::Share;

/// The packet that asks whether the client is there.
const PING: &[u8] = b"2";

/// What still reaches somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hearing {
    #[default]
    All,
    /// The server is being closed: answers to what was asked, and nothing new.
    Answers,
    /// The connection is being closed.
    Nothing,
}

/// The protocol machines of one session and what they carry.
pub(crate) struct Body {
    pub(crate) core: Arc<Core>,
    pub(crate) link: Arc<Link>,
    pub(crate) session: Session,
    pub(super) connection: Connection,
    pub(super) sockets: Vec<Occupant>,
    pub(super) departing: Vec<Departing>,
    pub(crate) hearing: Hearing,
    /// How the session ends: the first cause, as others may follow from it.
    pub(super) end: Option<Box<Disconnect>>,
    pub(super) ages: Ages,
    /// What is held of messages that have not come to their end.
    unfinished: Share,
    /// A namespace was joined once: longer messages are taken.
    joined: bool,
    /// There if rates are bounded.
    meters: Option<Box<Meters>>,
    heard: Heard,
}

/// What was received in this turn: counted once for many messages.
#[derive(Debug, Default)]
struct Heard {
    messages: u64,
    bytes: u64,
}

impl Body {
    pub(crate) fn new(
        core: Arc<Core>,
        link: Arc<Link>,
        session: Session,
        connection: Connection,
        now: Instant,
    ) -> Self {
        Self {
            meters: Meters::new(&core.config, now),
            link,
            session,
            connection,
            sockets: Vec::new(),
            departing: Vec::new(),
            hearing: Hearing::default(),
            end: None,
            unfinished: Share::default(),
            ages: Ages::new(Tick::at(now, core.started)),
            joined: false,
            heard: Heard::default(),
            core,
        }
    }

    /// Begins: clients of revision 3 are in `/` by connecting.
    pub(crate) fn begin(&mut self, now: Instant, cx: &mut Context<'_>) {
        tracing::debug!("a session began");
        if let Some(Event::ConnectAsked { slot, namespace, query, auth }) = self.connection.poll_event() {
            let peer = Peer::new(Arc::clone(&self.link.handshake), auth.to_owned(), query);
            self.ask(slot, namespace, peer, 0, now, cx);
        }
    }

    /// A packet arrived: its message goes up to the handlers.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        lane: Lane,
        packet: Packet<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        tracing::trace!(kind = packet.name(), bytes = packet.size(), "received");
        // What is said on a stream that is only being probed ends it soon.
        if lane == Lane::Polling || self.session.data_lane() == Some(lane) {
            self.measure(|meters| meters.packet(&packet, now))?;
        }
        let Some(message) = self.session.handle_packet(now, lane, packet).map_err(Fault::Engine)? else {
            return Ok(());
        };
        if self.hearing == Hearing::Nothing {
            return Ok(());
        }
        self.heard.messages += 1;
        // The type before a text is no part of the message, but is counted as it is when sent.
        let (size, length) = match &message {
            Message::Text(text) => (text.len(), text.len() + 1),
            Message::Binary(bytes) => (bytes.len(), bytes.len()),
        };
        self.heard.bytes += length as u64;
        if !self.joined && size > self.core.config.unconnected_payload {
            let most = self.core.config.unconnected_payload;
            return Err(Fault::Limit(Excess::new(Limit::UnconnectedPayload, size, most)));
        }
        if lane == Lane::Stream {
            self.measure(|meters| meters.message(length, now))?;
        }
        let Some(event) = self.connection.handle_message(now, message).map_err(Fault::Protocol)? else {
            return Ok(());
        };
        match event {
            Event::Received { .. } | Event::ConnectAsked { .. } if self.hearing == Hearing::Answers => {}
            Event::Received { slot, name, args, ack } => {
                if let Some(Occupant::Joined(joined)) = self.sockets.get_mut(usize::from(slot.0)) {
                    joined.receive(&Received { name: &name, args, ack }, cx);
                }
            }
            Event::Replied { slot, ack, args } => {
                if let Some(Occupant::Joined(joined)) = self.sockets.get_mut(usize::from(slot.0)) {
                    joined.answered(ack, &args);
                }
            }
            // What it holds is kept for as long as the socket, in each of many namespaces.
            Event::ConnectAsked { slot, .. } if size > self.core.config.unconnected_payload => {
                self.core.metrics.limits.up(Limit::UnconnectedPayload);
                let most = self.core.config.unconnected_payload;
                self.refuse(slot, &Refusal::new(format!("the CONNECT of a namespace is limited to {most} bytes")), now);
            }
            Event::ConnectAsked { slot, namespace, query, auth } => {
                let auth = auth_of(self.link.revision, auth, query);
                let peer = Peer::new(Arc::clone(&self.link.handshake), auth, query);
                self.ask(slot, namespace, peer, size, now, cx);
            }
            Event::Disconnected { slot } => self.depart(slot, DisconnectReason::ClientDisconnect, now),
            Event::Connected { .. } | Event::Refused { .. } => {}
        }
        Ok(())
    }

    /// Bytes have come, of whatever they are.
    pub(super) fn measure_bytes(&mut self, lane: Lane, count: usize, now: Instant) -> Result<(), Fault> {
        self.measure(|meters| meters.bytes(lane, count, now))
    }

    /// Frames have come that are no packets.
    pub(super) fn measure_frames(&mut self, count: u32, now: Instant) -> Result<(), Fault> {
        self.measure(|meters| meters.frames(count, now))
    }

    /// Whether the client is within its rates, if there are any. Once it is not, nobody counts any more.
    #[inline]
    fn measure(&mut self, take: impl FnOnce(&mut Meters) -> Result<(), Limit>) -> Result<(), Fault> {
        match &mut self.meters {
            Some(meters) if self.hearing != Hearing::Nothing => take(meters).map_err(|limit| {
                let Config { bytes, events, .. } = &*self.core.config;
                let rate = if limit == Limit::BytesPerSecond { bytes } else { events };
                Fault::Limit(Excess::of_rate(limit, *rate))
            }),
            _ => Ok(()),
        }
    }

    /// Whether a namespace was ever joined.
    pub(crate) fn has_joined(&self) -> bool {
        self.joined
    }

    pub(super) fn count_heard(&mut self) {
        if self.heard.messages > 0 {
            let Heard { messages, bytes } = std::mem::take(&mut self.heard);
            self.core.metrics.messages_received.add(messages);
            self.core.metrics.bytes_received.add(bytes);
        }
    }

    /// Frees what the last message left behind, and counts what came in this turn.
    pub(crate) fn release(&mut self) {
        self.connection.release();
        self.count_heard();
    }

    /// So much is held of a message that has not come to its end, beside a packet that lacks attachments.
    #[inline]
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Fault> {
        let kept = bytes + self.connection.unfinished();
        let Core { config, metrics, .. } = &*self.core;
        self.unfinished.set(kept, config.max_unfinished, metrics).map_err(Fault::Limit)
    }

    /// Nothing is held any more.
    pub(super) fn let_go(&mut self) {
        let _ = self.unfinished.set(0, usize::MAX, &self.core.metrics);
    }

    /// A client asks for a namespace, by a message of `size` bytes.
    fn ask(&mut self, slot: Slot, path: NamespacePath, peer: Peer, size: usize, now: Instant, cx: &mut Context<'_>) {
        let visit = match self.core.registry.visit(&path) {
            Some(namespace) if admission::may_skip_authorize(namespace.hub(), &peer, now) => {
                if self.admit(slot, Whom::Returning, namespace, peer.clone(), now, cx) {
                    return;
                }
                self.core.registry.visit(&path)
            }
            visit => visit,
        };
        let admission: Admission = match visit {
            Some(namespace) => match namespace.hooks().authorize(peer.clone()) {
                None => {
                    self.admit(slot, Whom::Anybody, namespace, peer, now, cx);
                    return;
                }
                Some(verdict) => Box::pin(async move { verdict.await.map(|()| namespace) }),
            },
            None if self.core.registry.has_parents() => {
                Box::pin(on_demand(Arc::clone(&self.core.registry), path, peer.clone(), self.link.revision))
            }
            None => return self.refuse(slot, &invalid_namespace(self.link.revision), now),
        };
        let deadline = now.checked_add(self.core.config.protocol.connect_timeout);
        *self.occupant(slot) = Occupant::Asking(Box::new(Asking::new(peer, size, admission, deadline)));
        self.run_slot(slot, now, cx);
        self.note_undecided();
    }

    /// Whether it was let in.
    fn admit(
        &mut self,
        slot: Slot,
        whom: Whom,
        namespace: Visit,
        peer: Peer,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> bool {
        // The end of a socket that was here before comes before the beginning of the next.
        self.run_departing(cx);
        let (link, connection) = (&self.link, &mut self.connection);
        let Some(member) = admission::admit(namespace.hub(), link, connection, (slot, whom), peer, now) else {
            return false;
        };
        self.joined = true;
        let mut joined = Box::new(Joined::enter(namespace, member));
        // `on_connect` begins before anything else can happen to the socket, its end among that.
        joined.run(cx);
        tracing::debug!(namespace = short(joined.namespace.path()), "a socket joined");
        *self.occupant(slot) = Occupant::Joined(joined);
        true
    }

    fn refuse(&mut self, slot: Slot, refusal: &Refusal, now: Instant) {
        *self.occupant(slot) = Occupant::Empty;
        if let Some(packet) = self.connection.refuse(slot, &refusal.message, refusal.data.as_ref(), now) {
            self.push(packet);
        }
    }

    pub(super) fn push(&self, packet: Outgoing) {
        if let Err(error) = self.link.push(packet, Urgency::Protocol) {
            tracing::trace!(%error, "the session is closing");
        }
    }

    pub(super) fn occupant(&mut self, slot: Slot) -> &mut Occupant {
        let at = usize::from(slot.0);
        if at >= self.sockets.len() {
            // Most connections have one socket for ever.
            self.sockets.reserve_exact(at + 1 - self.sockets.len());
            self.sockets.resize_with(at + 1, Occupant::default);
        }
        &mut self.sockets[at]
    }

    /// Goes on with everything that runs on behalf of the sockets.
    pub(crate) fn run_sockets(&mut self, now: Instant, cx: &mut Context<'_>) {
        for at in 0..self.sockets.len() {
            self.run_slot(slot_at(at), now, cx);
        }
        self.run_departing(cx);
    }

    /// Goes on with what runs on behalf of sockets that have left.
    pub(crate) fn run_departing(&mut self, cx: &mut Context<'_>) {
        self.departing.retain_mut(|departing| departing.poll(cx).is_pending());
    }

    /// Lets the next message of a stranger be as long as what waits for decisions leaves room.
    fn note_undecided(&self) {
        if !self.joined {
            self.link.set_undecided(self.undecided());
        }
    }

    fn run_slot(&mut self, slot: Slot, now: Instant, cx: &mut Context<'_>) {
        let verdict = match self.occupant(slot) {
            Occupant::Empty => return,
            Occupant::Joined(joined) => return joined.run(cx),
            Occupant::Asking(asking) => asking.poll(cx),
        };
        if let Poll::Ready(verdict) = verdict
            && let Occupant::Asking(asking) = std::mem::take(self.occupant(slot))
        {
            match verdict {
                Ok(namespace) => {
                    self.admit(slot, Whom::Anybody, namespace, asking.peer, now, cx);
                }
                Err(refusal) => self.refuse(slot, &refusal, now),
            }
            self.note_undecided();
        }
    }

    /// Ready when the handlers of the sockets that have left have ended.
    pub(crate) fn poll_departing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.run_departing(cx);
        if self.departing.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The deadlines of sockets: answers, and decisions of `authorize`.
    pub(crate) fn check_sockets(&mut self, now: Instant) {
        for at in 0..self.sockets.len() {
            match &mut self.sockets[at] {
                Occupant::Joined(joined) => joined.expire(now),
                Occupant::Asking(asking) if asking.deadline.is_some_and(|deadline| deadline <= now) => {
                    self.refuse(slot_at(at), &Refusal::new("timed out"), now);
                }
                Occupant::Asking(_) | Occupant::Empty => {}
            }
        }
        self.note_undecided();
    }

    /// The deadlines of the session: heartbeats, and an upgrade.
    pub(crate) fn check_session(&mut self, now: Instant) {
        if self.session.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.session.handle_timeout(now);
            for occupant in &mut self.sockets {
                if let Occupant::Joined(joined) = occupant {
                    joined.forget_cancelled();
                }
            }
        }
    }

    /// The deadlines of the protocol, for a namespace and for attachments: to be called when all that came was read.
    pub(crate) fn check_connection(&mut self, now: Instant) -> Result<(), Fault> {
        if self.connection_timeout().is_none_or(|deadline| deadline > now) {
            return Ok(());
        }
        self.connection.handle_timeout(now).map_err(|error| match error {
            sockeye_protocol::ProtocolError::ConnectTimeout => {
                let most = self.core.config.protocol.connect_timeout;
                Fault::Limit(Excess::of_time(Limit::ConnectTime, most))
            }
            error => Fault::Protocol(error),
        })
    }

    /// When the protocol's next deadline passes, while there is somebody to be held to it: not when the session is over
    /// and its last packets alone are waited for, nor while what a member says is not read. A stranger has no more time
    /// for that.
    fn connection_timeout(&self) -> Option<Instant> {
        if self.session.is_closed() {
            return None;
        }
        self.connection.poll_timeout().filter(|_| !(self.joined && self.is_congested()))
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let acks = self.sockets.iter().filter_map(|occupant| match occupant {
            Occupant::Joined(joined) => joined.next_deadline(),
            Occupant::Asking(asking) => asking.deadline,
            Occupant::Empty => None,
        });
        acks.chain(self.session.poll_timeout()).chain(self.connection_timeout()).min()
    }

    /// The next packet of the engine itself, which goes before all messages.
    pub(crate) fn control(&mut self, lane: Lane, now: Instant) -> Option<Encoded> {
        let packet = self.session.poll_transmit(lane)?;
        if packet.packet() == PING {
            self.ages.pinged = Some(self.tick(now));
        }
        tracing::trace!(kind = "control", bytes = packet.packet().len(), "sent");
        Some(packet)
    }

    /// Takes packets out of the outbox until `take` has had enough.
    pub(crate) fn drain(&self, mut take: impl FnMut(&Outgoing) -> bool) {
        let (mut messages, mut bytes) = (0, 0);
        // Logged afterwards: whoever takes the log may want to send, and the outbox is locked here.
        let mut sizes = tracing::enabled!(tracing::Level::TRACE).then(Vec::new);
        self.link.drain(|packet| {
            messages += 1 + packet.attachment_count() as u64;
            bytes += packet.first.packet_len() as u64;
            if let Some(attachments) = &packet.attachments {
                bytes += attachments.iter().map(|message| message.packet_len() as u64).sum::<u64>();
            }
            if let Some(sizes) = &mut sizes {
                sizes.push(packet.size());
            }
            take(&packet)
        });
        for bytes in sizes.into_iter().flatten() {
            tracing::trace!(kind = "message", bytes, "sent");
        }
        self.core.metrics.messages_sent.add(messages);
        self.core.metrics.bytes_sent.add(bytes);
    }

    pub(crate) fn wait_for(&mut self, slot: Slot, socket: &str, ack: AckId, deadline: Instant, waiter: Waiter) {
        // A waiter which finds no socket is dropped, and says so to whoever waits.
        if let Some(Occupant::Joined(joined)) = self.sockets.get_mut(usize::from(slot.0))
            && joined.socket.id() == socket
        {
            joined.wait_for(ack, deadline, waiter);
        }
    }

    /// Whether an answer is still to come from either side.
    pub(crate) fn has_answers_open(&self) -> bool {
        self.sockets.iter().any(|occupant| matches!(occupant, Occupant::Joined(joined) if joined.has_answers_open()))
    }
}

/// Lets a client into a namespace that is not there yet, if one is made for it.
async fn on_demand(
    registry: Arc<Registry>,
    path: NamespacePath,
    peer: Peer,
    revision: Revision,
) -> Result<Visit, Refusal> {
    let made = registry.make_on_demand(path, peer.clone()).await;
    let namespace = made.ok_or_else(|| invalid_namespace(revision))?;
    if let Some(verdict) = namespace.hooks().authorize(peer) {
        verdict.await?;
    }
    Ok(namespace)
}

pub(super) fn slot_at(at: usize) -> Slot {
    Slot(u16::try_from(at).unwrap_or(u16::MAX))
}

/// Old clients are told this one refusal as an object, and every other as a string. [JS socket.io 4.8 client.ts doConnect]
fn invalid_namespace(revision: Revision) -> Refusal {
    let refusal = Refusal::new("Invalid namespace");
    match revision {
        Revision::V3 => refusal.with_data(json!({ "message": "Invalid namespace" })),
        Revision::V4 => refusal,
    }
}

/// Old clients have no `auth`: the query of the namespace stands for it. [JS socket.io 4.8 client.ts ondecoded]
fn auth_of(revision: Revision, auth: Args<'_>, query: Option<&str>) -> OwnedArgs {
    let query = query.filter(|_| revision == Revision::V3);
    let pair = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), Value::from(value));
    let object = query.map(|query| parameters(query).map(pair).collect::<Map<_, _>>());
    object.and_then(|object| OwnedArgs::encode(&object).ok()).unwrap_or_else(|| auth.to_owned())
}
