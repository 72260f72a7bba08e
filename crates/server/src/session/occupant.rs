//! What a namespace slot of a connection holds: nothing, a client that asks to be admitted, or a socket.

use std::ops::AddAssign;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::FutureExt;
use sockeye_protocol::event::{Entry, Received, Runner, Snapshot};
use sockeye_protocol::{AckId, AckTable, Args};

use super::admission;
use crate::ack::Waiter;
use crate::cause::Disconnect;
use crate::error::{AckError, Refusal};
use crate::handlers::{HandlerError, short};
use crate::hub::{Hub, Member};
use crate::limits::Limit;
use crate::metrics::Metrics;
use crate::namespace::{Namespace, Visit};
use crate::peer::Peer;
use crate::socket::{Job, Message, Socket};

/// What an event that waits costs beside its name and arguments.
const WAITING: usize = 128;
/// What a socket that has left costs beside its events and its `auth`.
const LEAVING: usize = 1024;

/// So much of what handlers are at is not worth looking at.
const IN_HAND: usize = 16 * 1024;

/// What waits for handlers, or is in their hands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) events: usize,
    /// What is kept of them.
    pub(super) bytes: usize,
    /// Bytes of the events at which handlers are.
    pub(super) in_hand: usize,
    /// The most that one socket has of these.
    pub(super) most_in_hand: usize,
}

impl Load {
    fn of(runner: &Runner<Socket>) -> Self {
        let events = runner.waiting();
        let in_hand = runner.bytes_in_hand();
        let bytes = runner.waiting_bytes() + events * WAITING;
        Self { events, bytes, in_hand, most_in_hand: in_hand }
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.in_hand = self.in_hand.saturating_add(other.in_hand);
        self.most_in_hand = self.most_in_hand.max(other.most_in_hand);
    }
}

/// What a slot holds.
#[derive(Debug, Default)]
pub(crate) enum Occupant {
    /// Nobody.
    #[default]
    Empty,
    /// A client waits for `authorize`.
    Asking(Box<Asking>),
    /// A socket is in the namespace.
    Joined(Box<Joined>),
}

/// Whether a client is let in, and where.
pub(crate) type Admission = Pin<Box<dyn Future<Output = Result<Visit, Refusal>> + Send>>;

/// What it takes to ask, beside the message: a peer and a future.
const ASKING: usize = 512;

/// A client that asks for a namespace.
pub(crate) struct Asking {
    pub(crate) peer: Peer,
    /// What it takes while it waits: about the length of the message by which it asked.
    pub(crate) size: usize,
    admission: Admission,
    /// When the client is refused if nobody has decided; `None` is never.
    pub(crate) deadline: Option<Instant>,
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asking")
    }
}

impl Asking {
    pub(crate) fn new(peer: Peer, size: usize, admission: Admission, deadline: Option<Instant>) -> Self {
        Self { peer, size: size.saturating_add(ASKING), admission, deadline }
    }

    /// The decision; a panic while deciding is a refusal.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Visit, Refusal>> {
        AssertUnwindSafe(&mut self.admission).catch_unwind().poll_unpin(cx).map(|decided| {
            decided.unwrap_or_else(|_| {
                tracing::error!("`authorize` or `of_with` panicked, and the client was refused");
                Err(Refusal::new("internal error"))
            })
        })
    }
}

/// A socket in a namespace, with what only its connection's task touches.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) socket: Socket,
    pub(crate) namespace: Visit,
    runner: Runner<Socket>,
    acks: AckTable<Waiter>,
    listeners: Snapshot<Socket>,
}

impl Joined {
    /// Calls `on_connect` for a socket that has just been admitted.
    pub(crate) fn enter(namespace: Visit, member: Arc<Member>) -> Self {
        let socket = Socket::new(member);
        let mut runner = Runner::default();
        if let Some(job) = namespace.hooks().connect(socket.clone()) {
            runner.begin("connect", job);
        }
        let listeners = namespace.listeners().snapshot();
        Self { socket, namespace, runner, acks: AckTable::new(), listeners }
    }

    fn hub(&self) -> &Hub {
        self.namespace.hub()
    }

    /// Hands an event to its handlers.
    pub(crate) fn receive(&mut self, received: &Received<'_>, cx: &mut Context<'_>) {
        let Self { socket, namespace, runner, listeners, .. } = self;
        listeners.refresh(namespace.listeners());
        let own = socket.own().map(|own| own.listeners.snapshot());
        let mut dispatch = |entry: &Arc<Entry<Socket>>| {
            if let Some(failed) = runner.dispatch(socket, entry, received, cx) {
                namespace.hooks().report(socket, HandlerError::new(failed.event, failed.error));
            }
        };
        let own_any = own.as_ref().map_or(&[][..], Snapshot::any);
        listeners.any().iter().chain(own_any).for_each(&mut dispatch);
        let named = listeners.named(received.name);
        let own_named = own.as_ref().map_or(&[][..], |own| own.named(received.name));
        let taken = !named.is_empty() || !own_named.is_empty();
        let entries = if taken { named } else { listeners.unhandled() };
        if namespace.handlers().has_filters() {
            dispatch(&guarded(namespace, entries.iter().chain(own_named).cloned().collect()));
        } else {
            entries.iter().chain(own_named).for_each(&mut dispatch);
        }
        if received.ack.is_some() && entries.is_empty() && own_named.is_empty() && listeners.any().is_empty() {
            tracing::debug!(
                event = short(received.name),
                "the client waits for an answer, and no handler is registered"
            );
        }
    }

    /// Goes on with the handlers that are running.
    pub(crate) fn run(&mut self, cx: &mut Context<'_>) {
        if !self.runner.is_idle() {
            run(&mut self.runner, &self.namespace, &self.socket, cx);
        }
    }

    /// What waits for its turn.
    #[inline]
    pub(super) fn load(&self) -> Load {
        Load::of(&self.runner)
    }

    /// Whether no event waits for its turn, and what its handlers are at is small.
    #[inline]
    pub(super) fn is_at_ease(&self) -> bool {
        self.runner.is_idle() || (self.runner.waiting() == 0 && self.runner.bytes_in_hand() <= IN_HAND)
    }

    /// Whether an answer is waited for.
    pub(crate) fn is_asking(&self) -> bool {
        !self.acks.is_empty()
    }

    /// Whether an answer is still to come from either side.
    pub(crate) fn has_answers_open(&self) -> bool {
        self.is_asking() || self.runner.owes_answer()
    }

    /// Notes that an answer is waited for.
    pub(crate) fn wait_for(&mut self, ack: AckId, deadline: Instant, waiter: Waiter) {
        if self.acks.len() >= self.hub().config.max_pending_acks {
            self.forget_cancelled();
        }
        if self.acks.len() >= self.hub().config.max_pending_acks {
            self.metrics().limits.up(Limit::PendingAcks);
            return waiter.fail(AckError::Emit(crate::error::EmitError::Full));
        }
        match self.acks.register(ack, deadline, waiter) {
            Ok(()) => self.metrics().acks.up(),
            Err(waiter) => waiter.fail(AckError::Disconnected),
        }
    }

    /// The client has answered.
    pub(crate) fn answered(&mut self, ack: AckId, args: &Args<'_>) {
        match self.acks.settle(ack) {
            Some(waiter) => {
                self.metrics().acks.down();
                waiter.answer(args);
            }
            None => self.metrics().acks_unknown.up(),
        }
    }

    /// Forgets whoever waits no more. Nobody says so when that happens: it is seen where room is needed, and with each
    /// heartbeat.
    pub(crate) fn forget_cancelled(&mut self) {
        let before = self.acks.len();
        self.acks.retain(Waiter::is_wanted);
        (self.acks.len()..before).for_each(|_| self.metrics().acks.down());
    }

    /// Tells those whose answer did not come in time.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(waiter) = self.acks.expire(now) {
            self.metrics().acks.down();
            self.metrics().acks_timed_out.up();
            waiter.fail(AckError::Timeout);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.acks.next_deadline()
    }

    fn metrics(&self) -> &Metrics {
        &self.namespace.hub().metrics
    }

    /// Takes the socket out of its namespace; what still runs on its behalf is returned.
    pub(crate) fn depart(mut self, disconnect: Disconnect, now: Instant) -> Departing {
        let reason = disconnect.reason;
        self.socket.set_last_disconnect(disconnect);
        let member = self.socket.member();
        admission::dismiss(self.hub(), member, reason, now);
        member.link.forget_waiting(member.slot);
        self.metrics().disconnects.up(reason);
        for waiter in self.acks.drain() {
            self.namespace.hub().metrics.acks.down();
            waiter.fail(AckError::Disconnected);
        }
        let farewell = self.namespace.hooks().disconnect(self.socket.clone(), reason);
        self.socket.forget_own();
        Departing { socket: self.socket, namespace: self.namespace, runner: self.runner, farewell }
    }
}

/// A socket that has left: handlers that still run, and `on_disconnect`.
pub(crate) struct Departing {
    socket: Socket,
    namespace: Visit,
    runner: Runner<Socket>,
    farewell: Option<Job>,
}

impl std::fmt::Debug for Departing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Departing").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Departing {
    /// What is still kept on its behalf; itself counts as an event.
    pub(super) fn load(&self) -> Load {
        let mut load = Load::of(&self.runner);
        load.events += 1;
        load.bytes += LEAVING + self.socket.member().peer.size();
        load
    }

    /// Ready when nothing runs any more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Its handlers report their failures themselves: there may be several.
        if self.farewell.as_mut().is_some_and(|farewell| farewell.poll_unpin(cx).is_ready()) {
            self.farewell = None;
        }
        run(&mut self.runner, &self.namespace, &self.socket, cx);
        if self.farewell.is_none() && self.runner.is_idle() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Handlers behind the filters of their namespace.
fn guarded(namespace: &Namespace, entries: Vec<Arc<Entry<Socket>>>) -> Arc<Entry<Socket>> {
    let hooks = namespace.hooks();
    let check = async move |socket: Socket, message: Arc<Message>| hooks.filter(&socket, &message).await;
    Entry::guarded(check, entries)
}

fn run(runner: &mut Runner<Socket>, namespace: &Namespace, socket: &Socket, cx: &mut Context<'_>) {
    while let Poll::Ready(Some(failed)) = runner.poll(socket, cx) {
        namespace.hooks().report(socket, HandlerError::new(failed.event, failed.error));
    }
}
