//! What handles share with the task that owns a connection: its outbox, its mailbox, and the bell that wakes it.
//!
//! Handles only enqueue. The task holds nothing here while it waits, and nothing here is locked while it writes.

use std::sync::Arc;
use std::task::{Context, Waker};

use futures_channel::oneshot;
use parking_lot::Mutex;
use sockeye_engine::{Revision, Sid};
use sockeye_protocol::{Outgoing, Slot};
use tokio::task::AbortHandle;

use crate::config::{Config, WhenFull};
use crate::error::{DisconnectReason, EmitError};
use crate::gate::Ticket;
use crate::limits::{Excess, Limit};
pub(crate) use crate::mail::{Answer, Command, Request};
use crate::metrics::Metrics;
use crate::outbox::{Bound, Level, Outbox, Queued, Weight};
use crate::peer::Handshake;
use crate::table::Named;
use crate::transport::carrier::Carrier;

/// What may wait for a client that has joined no namespace: this part of what it may say.
const STRANGER: usize = 4;

/// One connection, as handles and HTTP requests see it.
#[derive(Debug)]
pub(crate) struct Link {
    state: Mutex<State>,
    pub(crate) sid: Sid,
    pub(crate) revision: Revision,
    /// Whether polling bodies may be binary (revision 3 only).
    pub(crate) takes_binary: bool,
    pub(crate) handshake: Arc<Handshake>,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each told by its name")]
struct State {
    outbox: Outbox,
    commands: Vec<Command>,
    requests: Vec<Request>,
    waker: Option<Waker>,
    /// The task is running or has been woken: no need to wake it again.
    awake: bool,
    /// Nothing can be sent any more.
    closed: bool,
    /// The task looks at nothing here any more.
    ended: bool,
    /// A POST is being received.
    posting: bool,
    /// The transport takes packets at this moment; see `volatile`.
    writable: bool,
    carrier: Carrier,
    /// A namespace was joined: longer messages are taken.
    joined: bool,
    /// Bytes of CONNECTs that wait for a decision, as long as none was joined.
    undecided: usize,
    /// Its place among the sessions, if these are counted.
    ticket: Option<Box<Ticket>>,
    /// Stops the task.
    abort: Option<AbortHandle>,
}

/// How a session began.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) sid: Sid,
    pub(crate) revision: Revision,
    pub(crate) takes_binary: bool,
    pub(crate) handshake: Arc<Handshake>,
    /// Its place among the sessions, if these are counted.
    pub(crate) ticket: Option<Ticket>,
    pub(crate) carrier: Carrier,
}

impl Named for Link {
    fn name(&self) -> &str {
        self.sid.as_str()
    }
}

/// How a packet is to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency<'a> {
    /// Subject to the bound and this policy.
    Normal(WhenFull),
    /// The same, in place of the last packet of this name that still waits for this socket.
    Latest(WhenFull, Slot, &'a Arc<str>),
    /// Part of the protocol: queued up to twice the bound, whatever the policy.
    Protocol,
    /// Dropped unless the transport can take it at once.
    Volatile,
}

impl Link {
    pub(crate) fn new(opening: Opening, config: Arc<Config>, metrics: Arc<Metrics>) -> Self {
        let Opening { sid, revision, takes_binary, handshake, ticket, carrier } = opening;
        let state = Mutex::new(State { carrier, ticket: ticket.map(Box::new), ..State::default() });
        Self { state, sid, revision, takes_binary, handshake, config, metrics }
    }

    /// Longest message that is taken now.
    pub(crate) fn max_payload(&self) -> usize {
        let most = self.config.engine.max_payload;
        let state = self.state.lock();
        if state.joined {
            return most;
        }
        let held = state.outbox.bytes().saturating_add(state.undecided);
        most.min(self.config.room(self.handshake.size(), held))
    }

    /// What all that is logged of this connection is marked with: enough of the session's id to tell connections apart,
    /// too little to speak for one. It costs nothing unless `debug` is logged.
    pub(crate) fn span(&self) -> tracing::Span {
        let sid = self.sid.as_str();
        // An application may make ids so short that a part of one is most of it.
        let session = sid.get(..4).filter(|_| sid.len() >= 16).unwrap_or("…");
        tracing::debug_span!("connection", transport = self.carrier().as_str(), revision = ?self.revision, session)
    }

    /// Which limit a message that is too long has run into.
    pub(crate) fn payload_limit(&self) -> Limit {
        let is_early = self.max_payload() < self.config.engine.max_payload;
        if is_early { Limit::UnconnectedPayload } else { Limit::Payload }
    }

    /// So many bytes of CONNECTs wait for a decision.
    pub(crate) fn set_undecided(&self, bytes: usize) {
        self.state.lock().undecided = bytes;
    }

    /// A namespace was joined.
    pub(crate) fn set_joined(&self) {
        self.state.lock().joined = true;
    }

    /// Remembers how the task can be stopped.
    pub(crate) fn set_abort(&self, abort: AbortHandle) {
        self.state.lock().abort = Some(abort);
    }

    /// Stops the task wherever it is.
    pub(crate) fn abort(&self) {
        let abort = self.state.lock().abort.clone();
        if let Some(abort) = abort {
            abort.abort();
        }
    }

    /// Whether the session is over, though handlers of its sockets may still run.
    pub(crate) fn is_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// Marks that a POST is being received; false if one is already.
    pub(crate) fn begin_post(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().posting, true)
    }

    pub(crate) fn end_post(&self) {
        self.state.lock().posting = false;
    }

    /// Queues a packet.
    pub(crate) fn push(&self, packet: Outgoing, urgency: Urgency<'_>) -> Result<(), EmitError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(EmitError::Closed);
        }
        match urgency {
            Urgency::Volatile if !state.writable || !state.outbox.is_empty() => {
                state.outbox.note_dropped();
                drop(state);
                self.metrics.dropped_volatile.up();
                return Ok(());
            }
            Urgency::Latest(policy, slot, name) => return self.push_latest(&mut state, packet, policy, (slot, name)),
            Urgency::Normal(policy) if !self.make_room(&mut state, &packet, policy)? => return Ok(()),
            // It is too much for any policy: a client that asks and never reads gets no further.
            Urgency::Protocol if !state.outbox.has_room(&packet, self.protocol_bound(&state)) => {
                let bound = self.protocol_bound(&state);
                return Err(self.overrun(&mut state, bound));
            }
            Urgency::Normal(_) | Urgency::Protocol | Urgency::Volatile => {}
        }
        let weight = if urgency == Urgency::Protocol { Weight::Essential } else { Weight::Droppable };
        state.outbox.push(packet, weight);
        state.ring();
        Ok(())
    }

    fn push_latest(
        &self,
        state: &mut State,
        packet: Outgoing,
        policy: WhenFull,
        (slot, name): (Slot, &Arc<str>),
    ) -> Result<(), EmitError> {
        let key = (slot, Arc::clone(name));
        let packet = match state.outbox.replace(packet, &key, self.bound(1)) {
            Ok(()) => {
                self.metrics.dropped_latest.up();
                return Ok(());
            }
            Err(packet) => packet,
        };
        if self.make_room(state, &packet, policy)? {
            // What a client takes at once is not waited for by anything that could replace it.
            if state.writable && state.outbox.is_empty() {
                state.outbox.push(packet, Weight::Droppable);
            } else {
                state.outbox.push_replaceable(packet, key);
            }
            state.ring();
        }
        Ok(())
    }

    /// Queues a packet together with the waiter for its answer, who is told if that fails.
    pub(crate) fn push_asking(&self, packet: Outgoing, policy: WhenFull, command: Command) {
        let mut state = self.state.lock();
        let room = if state.closed { Err(EmitError::Closed) } else { self.make_room(&mut state, &packet, policy) };
        if let Ok(true) = room {
            state.commands.push(command);
            state.outbox.push(packet, Weight::Droppable);
            state.ring();
            return;
        }
        drop(state);
        command.refuse(room.err().unwrap_or(EmitError::Full));
    }

    /// Whether `packet` may be queued; if not, and that is no error, it is dropped.
    fn make_room(&self, state: &mut State, packet: &Outgoing, policy: WhenFull) -> Result<bool, EmitError> {
        let bound = self.bound(1);
        if state.outbox.has_room(packet, bound) {
            return Ok(true);
        }
        if policy == WhenFull::Disconnect {
            return Err(self.overrun(state, bound));
        }
        if policy == WhenFull::DropOldest {
            while !state.outbox.has_room(packet, bound) && state.outbox.drop_oldest() {
                self.metrics.dropped_full.up();
            }
            return Ok(true);
        }
        state.outbox.note_dropped();
        self.metrics.dropped_full.up();
        if policy == WhenFull::Fail { Err(EmitError::Full) } else { Ok(false) }
    }

    /// Resolves when `level` is reached, or nothing can be sent to this socket any more; `None` if that is so now.
    pub(crate) fn wait_for(&self, level: Level, slot: Slot) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.lock();
        let is_taken = state.outbox.is_empty() && state.writable && !state.awake;
        if state.closed || (level == Level::Empty && is_taken) {
            return None;
        }
        state.outbox.wait_for(level, slot, self.bound(1))
    }

    /// A socket has left: nobody waits for it any more.
    pub(crate) fn forget_waiting(&self, slot: Slot) {
        self.state.lock().outbox.forget_waiting(slot);
    }

    fn bound(&self, times: usize) -> Bound {
        let Config { outbox_bytes, outbox_packets, .. } = &*self.config;
        Bound { bytes: outbox_bytes.saturating_mul(times), packets: outbox_packets.saturating_mul(times) }
    }

    /// What may wait of the protocol's own: of refusals above all, which strangers can have as many of as they like.
    fn protocol_bound(&self, state: &State) -> Bound {
        let Bound { bytes, packets } = self.bound(2);
        let most = if state.joined { usize::MAX } else { self.config.unconnected_payload / STRANGER };
        Bound { bytes: bytes.min(most), packets }
    }

    /// Gives the client up.
    fn overrun(&self, state: &mut State, bound: Bound) -> EmitError {
        state.closed = true;
        let (packets, bytes) = (state.outbox.len(), state.outbox.bytes());
        let is_many = packets >= bound.packets;
        let (actual, most) = if is_many { (packets, bound.packets) } else { (bytes, bound.bytes) };
        state.commands.push(Command::Overrun(Excess::new(Limit::Outbox, actual, most)));
        state.outbox.clear();
        state.commands.push(Command::Close { reason: DisconnectReason::SlowConsumer, say: false });
        state.ring();
        self.metrics.slow_consumers.up();
        self.metrics.limits.up(Limit::Outbox);
        EmitError::Closed
    }

    pub(crate) fn command(&self, command: Command) {
        let mut state = self.state.lock();
        if !state.ended {
            state.commands.push(command);
            state.ring();
        }
    }

    /// Hands an HTTP request to the task; gives it back if the session is over.
    pub(crate) fn request(&self, request: Request) -> Result<(), Request> {
        let mut state = self.state.lock();
        if state.ended {
            return Err(request);
        }
        state.requests.push(request);
        state.ring();
        Ok(())
    }

    /// Tells the task that the client is alive.
    pub(crate) fn note_activity(&self) {
        let mut state = self.state.lock();
        if !state.ended && !matches!(state.requests.last(), Some(Request::Activity)) {
            state.requests.push(Request::Activity);
            state.ring();
        }
    }

    /// Reserves the session for one upgrade; false if it has been upgraded or is being upgraded.
    pub(crate) fn begin_upgrade(&self) -> bool {
        let mut state = self.state.lock();
        let free = state.carrier == Carrier::Polling;
        if free {
            state.carrier = Carrier::Upgrading;
        }
        free
    }

    pub(crate) fn carrier(&self) -> Carrier {
        self.state.lock().carrier
    }

    pub(crate) fn set_carrier(&self, carrier: Carrier) {
        self.state.lock().carrier = carrier;
    }

    /// What waits.
    pub(crate) fn queued(&self) -> Queued {
        self.state.lock().outbox.queued()
    }

    /// Whether nothing waits.
    pub(crate) fn is_drained(&self) -> bool {
        self.state.lock().outbox.is_empty()
    }

    /// Whether something can still be sent.
    pub(crate) fn is_open(&self) -> bool {
        !self.state.lock().closed
    }

    // what follows is for the task alone

    /// The task begins a turn: what was asked of it meanwhile.
    pub(crate) fn wake_up(&self, commands: &mut Vec<Command>, requests: &mut Vec<Request>) {
        let mut state = self.state.lock();
        state.awake = true;
        // As a rule there is nothing, and swapping what is empty costs as much as swapping what is not.
        if !state.commands.is_empty() {
            std::mem::swap(&mut state.commands, commands);
        }
        if !state.requests.is_empty() {
            std::mem::swap(&mut state.requests, requests);
        }
    }

    /// The task is about to wait; false if something has come in meanwhile and another turn is due.
    pub(crate) fn sleep(&self, cx: &Context<'_>, writable: bool) -> bool {
        let mut state = self.state.lock();
        let outbox_due = writable && !state.outbox.is_empty();
        if outbox_due || !state.commands.is_empty() || !state.requests.is_empty() {
            return false;
        }
        state.writable = writable;
        if writable {
            state.outbox.reach(Level::Empty, self.bound(1));
        } else {
            state.outbox.begin_waiting();
        }
        state.awake = false;
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        true
    }

    /// Takes packets until `take` has had enough (returns false after the packet it was given).
    pub(crate) fn drain(&self, mut take: impl FnMut(Outgoing) -> bool) {
        let mut state = self.state.lock();
        while let Some(packet) = state.outbox.pop() {
            if !take(packet) {
                break;
            }
        }
        state.outbox.reach(Level::Half, self.bound(1));
    }

    /// Nothing can be sent from now on; what waits is dropped if `discard`.
    pub(crate) fn close(&self, discard: bool) {
        let mut state = self.state.lock();
        state.closed = true;
        if discard {
            state.outbox.clear();
        }
    }

    /// The session is over and its task will look at nothing more: requests that still come are refused.
    pub(crate) fn end(&self) -> (Vec<Command>, Vec<Request>) {
        let mut state = self.state.lock();
        state.closed = true;
        state.ended = true;
        state.waker = None;
        state.outbox.clear();
        state.ticket = None;
        (std::mem::take(&mut state.commands), std::mem::take(&mut state.requests))
    }
}

impl State {
    /// Wakes the task unless it is awake.
    fn ring(&mut self) {
        if !self.awake
            && let Some(waker) = &self.waker
        {
            self.awake = true;
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use sockeye_engine::Encoded;
    use sockeye_protocol::{AckId, Slot};

    use super::*;
    use crate::ack::Waiter;
    use crate::error::AckError;

    fn link() -> Link {
        let opening = Opening {
            sid: Sid::new("sid"),
            revision: Revision::V4,
            takes_binary: true,
            handshake: Arc::new(Handshake::new(&"/".parse().unwrap(), &http::HeaderMap::new(), None, false)),
            ticket: None,
            carrier: Carrier::Polling,
        };
        let config = Config { outbox_bytes: 1_000, outbox_packets: 4, ..Config::default() };
        Link::new(opening, Arc::new(config), Arc::default())
    }

    const NORMAL: Urgency<'_> = Urgency::Normal(WhenFull::Disconnect);

    fn packet(length: usize) -> Outgoing {
        Outgoing { first: Encoded::text(&"x".repeat(length)), attachments: None }
    }

    #[test]
    fn a_session_is_upgraded_once() {
        let link = link();
        assert!(link.begin_upgrade());
        assert!(!link.begin_upgrade());
        link.set_carrier(Carrier::Polling);
        assert!(link.begin_upgrade(), "the first was given up");
        link.set_carrier(Carrier::Websocket);
        assert!(!link.begin_upgrade());
    }

    #[test]
    fn a_full_outbox_closes_the_link_once() {
        let link = link();
        let results: Vec<_> = (0..10).map(|_| link.push(packet(10), NORMAL).is_ok()).collect();
        assert_eq!(results, [true, true, true, true, false, false, false, false, false, false]);
        assert_eq!((link.queued(), link.metrics.slow_consumers.get()), (Queued::default(), 1));
        let (mut commands, mut requests) = (Vec::new(), Vec::new());
        link.wake_up(&mut commands, &mut requests);
        assert!(matches!(
            commands[..],
            [Command::Overrun(_), Command::Close { reason: DisconnectReason::SlowConsumer, .. }]
        ));
    }

    #[test]
    fn the_protocol_may_take_twice_the_bound() {
        let link = link();
        let taken = (0..20).take_while(|_| link.push(packet(10), Urgency::Protocol).is_ok()).count();
        assert_eq!((taken, link.metrics.slow_consumers.get()), (8, 1));
    }

    #[test]
    fn a_question_that_finds_no_room_is_not_waited_for() {
        for policy in [WhenFull::Fail, WhenFull::DropNew] {
            let link = link();
            while link.push(packet(10), NORMAL).is_ok() && link.queued().packets < 4 {}
            let (waiter, mut answer) = Waiter::one();
            let command =
                Command::Await { slot: Slot(0), socket: "a".into(), ack: AckId(0), deadline: Instant::now(), waiter };
            link.push_asking(packet(10), policy, command);
            let settled = answer.try_recv();
            assert!(matches!(settled, Ok(Some(Err(AckError::Emit(EmitError::Full))))), "{policy:?}: {settled:?}");
        }
    }

    #[test]
    fn nothing_is_taken_after_the_end() {
        let link = link();
        link.push(packet(10), NORMAL).unwrap();
        drop(link.end());
        assert_eq!(link.queued(), Queued::default());
        assert!(matches!(link.push(packet(1), Urgency::Protocol), Err(EmitError::Closed)));
        assert!(link.request(Request::PollGone).is_err());
        assert!(link.is_ended());
    }
}
