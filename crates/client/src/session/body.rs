//! What a connection carries: Socket.IO on a session, and its clients.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use sockeye_engine::handshake::Open;
use sockeye_engine::{Lane, Message, Revision, Role, Sid};
use sockeye_protocol::event::Received;
use sockeye_protocol::{Connection, Event, NamespacePath, Outgoing, Slot};

use super::seat::Seat;
use super::stage::{Stage, Wish};
use super::upper::Upper;
use crate::cause::{Cause, Limit};
use crate::config::Config;
use crate::error::{ConnectError, DisconnectReason};
use crate::link::{Link, Member};
use crate::state::{Disconnect, Ending, State};
use crate::time::{after, now};

/// The clients of one connection.
pub(crate) struct Body {
    link: Arc<Link>,
    connection: Option<Connection>,
    /// Of the session; ids of clients are made of it in revision 3.
    sid: Option<Sid>,
    pub(crate) seats: Vec<Seat>,
    /// CONNECT and DISCONNECT, and what must leave before the latter.
    control: VecDeque<Outgoing>,
    /// Whose turn it is to send.
    next: usize,
    /// Which way packets went at last.
    lane: Lane,
    /// Why the connection is of no use, if that has turned out.
    useless: Option<ConnectError>,
    /// When the session began.
    opened: Option<Instant>,
    now: Instant,
}

impl Body {
    pub(crate) fn new(link: Arc<Link>, now: Instant) -> Self {
        let (seats, control) = (Vec::new(), VecDeque::new());
        Self {
            link,
            connection: None,
            sid: None,
            seats,
            control,
            next: 0,
            lane: Lane::Polling,
            useless: None,
            opened: None,
            now,
        }
    }

    /// A client wants to be connected.
    pub(crate) fn connect(
        &mut self,
        member: Arc<Member>,
        done: Option<oneshot::Sender<Result<(), ConnectError>>>,
        now: Instant,
    ) {
        let found = self.seats.iter().position(|seat| Arc::ptr_eq(&seat.member, &member));
        let at = found.unwrap_or_else(|| {
            self.seats.push(Seat::new(member));
            self.seats.len() - 1
        });
        let Some(seat) = self.seats.get_mut(at) else { return };
        seat.connect(done, now);
        if matches!(seat.stage, Stage::Waiting) {
            self.begin(at, now);
        }
    }

    /// Asks for the namespace of one client, if there is an open connection.
    fn begin(&mut self, at: usize, now: Instant) {
        let (Some(connection), Some(seat)) = (&mut self.connection, self.seats.get_mut(at)) else { return };
        let deadline = after(now, self.link.config.connect_timeout);
        let wish = seat.begin(connection, deadline);
        self.grant(at, wish, now);
    }

    fn grant(&mut self, at: usize, wish: Wish, now: Instant) {
        match wish {
            Wish::Nothing => {}
            Wish::Ask(packet) => self.control.push_back(packet),
            Wish::Failed(error) => {
                let is_shared = self.seats.iter().enumerate().any(|(other, seat)| other != at && seat.is_trying());
                let Some(seat) = self.seats.get_mut(at) else { return };
                if error.is_config() {
                    seat.complain(&error);
                    seat.end(Ending::Failed(error));
                } else if is_shared {
                    seat.fail(&error, now);
                } else {
                    // Nobody loses anything by a new connection, which may be what is missing.
                    self.useless.get_or_insert(error);
                }
            }
        }
    }

    /// A client wants to leave. What it emitted before goes out first.
    pub(crate) fn disconnect(&mut self, member: &Arc<Member>, now: Instant) {
        let Some(seat) = self.seats.iter_mut().find(|seat| Arc::ptr_eq(&seat.member, member)) else { return };
        if !seat.is_active() {
            return;
        }
        self.control.extend(seat.last_words(self.lane, now));
        let farewell = seat.slot().and_then(|slot| self.connection.as_mut()?.disconnect(slot, now));
        self.control.extend(farewell);
        seat.lose(&DisconnectReason::ClientDisconnect.into());
        seat.end(Ending::Disconnected(DisconnectReason::ClientDisconnect));
    }

    /// The connection is gone. Clients which have not ended wait for the next one.
    pub(crate) fn lose(&mut self, disconnect: &Disconnect) {
        self.connection = None;
        // The next one may take more, or less.
        self.link.measure.set(None);
        self.control.clear();
        self.useless = None;
        let disconnect = Disconnect { age: self.age(), ..disconnect.clone() };
        for seat in &mut self.seats {
            if seat.is_active() {
                seat.lose(&disconnect);
            }
        }
        self.opened = None;
    }

    /// How long there has been a session.
    fn age(&self) -> Duration {
        self.opened.map_or(Duration::ZERO, |opened| now().saturating_duration_since(opened))
    }

    /// The connection is being closed: what still arrives means nothing, and whoever comes waits for the next one.
    pub(crate) fn detach(&mut self) {
        self.connection = None;
    }

    /// An attempt has failed.
    pub(crate) fn complain(&mut self, error: &ConnectError) {
        self.trying().for_each(|seat| seat.complain(error));
    }

    /// The connection is being lost; for those not in their namespace yet an attempt has failed.
    pub(crate) fn complain_unjoined(&mut self, error: &ConnectError) {
        self.trying().filter(|seat| !seat.is_joined()).for_each(|seat| seat.complain(error));
    }

    /// All clients are told where the connection stands.
    pub(crate) fn set_state(&mut self, state: &State) {
        self.trying().for_each(|seat| seat.member.set_state(state.clone()));
    }

    /// Nothing more will be tried.
    pub(crate) fn end(&mut self, ending: &Ending) {
        self.seats.iter_mut().filter(|seat| seat.is_active()).for_each(|seat| seat.end(ending.clone()));
    }

    /// No further attempt is made after this one.
    pub(crate) fn give_up(&mut self, error: &ConnectError) {
        self.trying().for_each(|seat| seat.give_up(error));
    }

    /// Those whom it concerns what becomes of the connection.
    fn trying(&mut self) -> impl Iterator<Item = &mut Seat> {
        self.seats.iter_mut().filter(|seat| seat.is_trying())
    }

    /// Goes on with everything that runs on behalf of the clients. Why the connection is of no use, if it turns out so.
    pub(crate) fn run(&mut self, now: Instant, cx: &mut Context<'_>) -> Option<ConnectError> {
        self.now = now;
        for at in 0..self.seats.len() {
            if self.seats.get_mut(at).is_some_and(|seat| seat.wake_up(now)) {
                self.begin(at, now);
            }
            if let (Some(connection), Some(seat)) = (&mut self.connection, self.seats.get_mut(at)) {
                let wish = seat.poll_connect(connection, now, cx);
                // In revision 3 the answer may have been here before the question.
                if let Some(slot) = seat.slot().filter(|slot| !seat.is_joined() && connection.is_connected(*slot)) {
                    seat.join(slot, &id_v3(&seat.member.path, self.sid.as_ref()), None, cx);
                }
                self.grant(at, wish, now);
            }
            // Last, for what the above has called for.
            if let Some(seat) = self.seats.get_mut(at) {
                seat.run(now, cx);
            }
        }
        self.seats.retain_mut(|seat| seat.is_active() || !seat.is_idle());
        self.useless.take()
    }

    /// Deadlines of the protocol that have passed.
    pub(crate) fn check_time(&mut self, now: Instant) -> Result<(), Cause> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        if connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
            let most = self.link.config.protocol.attachment_timeout;
            return connection.handle_timeout(now).map_err(|error| Cause::late(error, most));
        }
        Ok(())
    }

    fn handle(&mut self, event: Handled, now: Instant, cx: &mut Context<'_>) {
        match event {
            Handled::Connected { slot, id, pid } => {
                match self.seats.iter_mut().find(|seat| seat.slot() == Some(slot)) {
                    Some(seat) if id.is_empty() => {
                        seat.join(slot, &id_v3(&seat.member.path, self.sid.as_ref()), pid, cx);
                    }
                    Some(seat) => seat.join(slot, &id, pid, cx),
                    None => {
                        // It was left before the server answered.
                        let farewell = self.connection.as_mut().and_then(|connection| connection.disconnect(slot, now));
                        self.control.extend(farewell);
                    }
                }
            }
            Handled::Refused { slot, error } => {
                if let Some(seat) = self.seats.iter_mut().find(|seat| seat.slot() == Some(slot)) {
                    seat.refuse(error, now);
                }
            }
            Handled::Disconnected { slot } => {
                let age = self.age();
                if let Some(seat) = self.seats.iter_mut().find(|seat| seat.slot() == Some(slot)) {
                    let reason = DisconnectReason::ServerDisconnect;
                    seat.lose(&Disconnect { age, ..reason.into() });
                    seat.end(Ending::Disconnected(reason));
                }
            }
        }
    }

    /// Whether any client wants to be connected.
    pub(crate) fn is_wanted(&self) -> bool {
        self.seats.iter().any(Seat::is_active)
    }

    /// Whether any client wants it at this moment.
    pub(crate) fn is_wanted_now(&self) -> bool {
        self.seats.iter().any(Seat::is_trying)
    }

    pub(crate) fn is_any_joined(&self) -> bool {
        self.seats.iter().any(Seat::is_joined)
    }

    /// Whether something waits to be sent that could be.
    pub(crate) fn has_packets(&self) -> bool {
        self.has_control() || self.seats.iter().any(Seat::has_packets)
    }

    /// Whether the protocol's own packets wait.
    pub(crate) fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let connection = self.connection.as_ref().and_then(Connection::poll_timeout);
        connection.into_iter().chain(self.seats.iter().filter_map(Seat::next_deadline)).min()
    }
}

/// The id of a client, which servers of revision 3 do not tell.                                     [SIO4 "CONNECT"]
fn id_v3(path: &NamespacePath, session: Option<&Sid>) -> String {
    let session = session.map(Sid::as_str).unwrap_or_default();
    if path.is_main() { session.to_owned() } else { format!("{path}#{session}") }
}

/// What has happened to a namespace, with nothing borrowed from the connection.
enum Handled {
    Connected { slot: Slot, id: String, pid: Option<String> },
    Disconnected { slot: Slot },
    Refused { slot: Slot, error: ConnectError },
}

impl Upper for Body {
    fn opened(&mut self, open: &Open, now: Instant) {
        let Config { revision, parser, protocol, .. } = &*self.link.config;
        self.link.measure.set(open.max_payload);
        self.opened = Some(now);
        self.sid = Some(open.sid.clone());
        self.connection = Some(Connection::new(Role::Client, *revision, parser.clone(), Arc::clone(protocol), now));
        for at in 0..self.seats.len() {
            if self.seats.get(at).is_some_and(Seat::is_trying) {
                self.begin(at, now);
            }
        }
    }

    fn received(&mut self, message: Message<'_>, now: Instant, cx: &mut Context<'_>) -> Result<(), Cause> {
        self.now = now;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let is_bare_connect = connection.revision() == Revision::V4 && matches!(message, Message::Text("0"));
        let event = connection.handle_message(now, message).map_err(|error| {
            tracing::debug!(%error, "the server broke the protocol");
            Cause::from(error)
        })?;
        let handled = match event {
            None if is_bare_connect => {
                // Servers of revision 3 let clients in unasked, and give them no id.
                self.useless = Some(ConnectError::old_server());
                return Ok(());
            }
            None | Some(Event::ConnectAsked { .. }) => return Ok(()),
            Some(Event::Received { slot, name, args, ack }) => {
                let Some(seat) = self.seats.iter_mut().find(|seat| seat.slot() == Some(slot)) else { return Ok(()) };
                let taken = seat.receive(&Received { name: &name, args, ack }, cx);
                return if taken {
                    Ok(())
                } else {
                    Err(Cause::Limit { limit: Limit::EarlyEvents, actual: None, bound: None })
                };
            }
            Some(Event::Replied { slot, ack, args }) => {
                if let Some(seat) = self.seats.iter_mut().find(|seat| seat.slot() == Some(slot)) {
                    seat.answered(ack, &args);
                }
                return Ok(());
            }
            Some(Event::Connected { slot, connected }) => {
                Handled::Connected { slot, id: connected.sid, pid: connected.pid }
            }
            Some(Event::Disconnected { slot }) => Handled::Disconnected { slot },
            Some(Event::Refused { .. }) if is_bare_connect => {
                self.useless = Some(ConnectError::old_server());
                return Ok(());
            }
            Some(Event::Refused { slot, message, data }) => {
                Handled::Refused { slot, error: ConnectError::refused(message, data) }
            }
        };
        self.handle(handled, now, cx);
        Ok(())
    }

    fn is_congested(&self) -> bool {
        self.seats.iter().any(Seat::is_congested)
    }

    fn next_packet(&mut self, lane: Lane) -> Option<Outgoing> {
        self.lane = lane;
        if let Some(packet) = self.control.pop_front() {
            return Some(packet);
        }
        // Each namespace in turn, so that a busy one does not silence the others.
        let count = self.seats.len();
        for _ in 0..count {
            self.next = (self.next + 1) % count;
            if let Some(packet) = self.seats.get_mut(self.next).and_then(|seat| seat.next_packet(lane, self.now)) {
                return Some(packet);
            }
        }
        None
    }
}
