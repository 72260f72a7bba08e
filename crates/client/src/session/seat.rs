//! One client as its connection's task sees it: how far it is, what it waits for, what runs on its behalf.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use sockeye_engine::{Lane, Revision};
use sockeye_protocol::event::{Asker, Entry, Received, Snapshot};
use sockeye_protocol::{AckId, Args, Connection, Outgoing, Slot};

use crate::error::{BoxError, ConfigError, ConnectError, DisconnectReason, HandlerError};
use crate::hooks::{Auth, Jobs, poll_contained};
use crate::link::{Client, Member, Stray};
use crate::measure::Measure;
use crate::queue::{Item, Kind};
use crate::state::{Disconnect, Ending, State};
use crate::time::after;

use super::auth::auth_query;
use super::delivery::{Delivery, GivenUp};
use super::early::Early;
use super::shifts::Shifts;
use super::stage::{Stage, Wish};

/// One client on a connection.
pub(crate) struct Seat {
    pub(crate) member: Arc<Member>,
    pub(crate) stage: Stage,
    /// Those who wait for the client to be connected.
    asking: Vec<oneshot::Sender<Result<(), ConnectError>>>,
    delivery: Delivery,
    shifts: Shifts,
    jobs: Jobs,
    listeners: Snapshot<Client>,
    /// Events which came before the answer to CONNECT: those missed, or sent while the server admitted the client.
    early: Early,
    /// By which the server recognises the client after a lost connection, and the last event that arrived.
    pid: Option<String>,
    offset: Option<String>,
    /// Why it is out of its namespace, until an attempt to come back has failed.
    lost: Option<DisconnectReason>,
}

impl Seat {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        let listeners = member.listeners.snapshot();
        Self {
            member,
            stage: Stage::Gone,
            asking: Vec::new(),
            delivery: Delivery::default(),
            shifts: Shifts::default(),
            jobs: Jobs::default(),
            listeners,
            early: Early::default(),
            pid: None,
            offset: None,
            lost: None,
        }
    }

    /// The client wants to be connected; `done` is told when it is, or why it will not be.
    pub(crate) fn connect(&mut self, done: Option<oneshot::Sender<Result<(), ConnectError>>>, now: Instant) {
        if matches!(self.stage, Stage::Joined { .. }) {
            return tell(done, Ok(()));
        }
        self.asking.extend(done);
        if matches!(self.stage, Stage::Gone) {
            self.stage = Stage::Waiting;
            self.member.activate();
            self.member.set_state(State::Connecting);
            let rest = self.member.patience.lock().rest(now);
            if let Some((attempt, delay)) = rest {
                self.rest(attempt, delay, now);
            }
        }
    }

    /// Waits before the next attempt.
    fn rest(&mut self, attempt: u32, delay: Duration, now: Instant) {
        self.early = Early::default();
        self.stage = Stage::Delayed { until: after(now, delay) };
        self.member.set_state(State::Waiting { attempt, delay });
    }

    /// Whether the wait before the next attempt is over; then it takes part again in what the connection does.
    pub(crate) fn wake_up(&mut self, now: Instant) -> bool {
        let is_due = matches!(self.stage, Stage::Delayed { until } if until <= now);
        if is_due {
            self.stage = Stage::Waiting;
        }
        is_due
    }

    /// The connection is open: begins to ask for the namespace.
    pub(crate) fn begin(&mut self, connection: &mut Connection, deadline: Instant) -> Wish {
        self.member.set_state(State::Connecting);
        if connection.is_left(&self.member.path) {
            self.stage = Stage::Held { deadline };
            return Wish::Nothing;
        }
        match &self.member.hooks().auth {
            Auth::Nothing => self.ask(connection, None, deadline),
            Auth::Constant(auth) => self.ask(connection, Some(auth.clone()), deadline),
            Auth::Invalid(why) => {
                let error = ConfigError::new(format!("auth: {why}"));
                Wish::Failed(error.into())
            }
            Auth::Asked(ask) => {
                let made = std::panic::catch_unwind(AssertUnwindSafe(|| ask()));
                match made {
                    Ok(job) => {
                        self.stage = Stage::Authorizing { job, deadline };
                        Wish::Nothing
                    }
                    Err(_) => Wish::Failed(auth_failed("it panicked".into())),
                }
            }
        }
    }

    /// Goes on with making the payload of CONNECT, and watches the deadline.
    pub(crate) fn poll_connect(&mut self, connection: &mut Connection, now: Instant, cx: &mut Context<'_>) -> Wish {
        match &mut self.stage {
            Stage::Authorizing { job, deadline } => {
                let deadline = *deadline;
                match poll_contained(job, cx) {
                    Poll::Pending if now >= deadline => Wish::Failed(ConnectError::timeout("auth")),
                    Poll::Pending => Wish::Nothing,
                    Poll::Ready(Ok(auth)) => self.ask(connection, Some(auth), deadline),
                    Poll::Ready(Err(error)) => Wish::Failed(auth_failed(error)),
                }
            }
            Stage::Asked { slot, deadline } if now >= *deadline => {
                let slot = *slot;
                // Nothing is sent for a namespace which was only asked for.
                drop(connection.disconnect(slot, now));
                Wish::Failed(ConnectError::timeout("the server's answer to CONNECT"))
            }
            Stage::Held { .. } if !connection.is_left(&self.member.path) => {
                self.begin(connection, after(now, self.member.link.config.connect_timeout))
            }
            Stage::Held { deadline } if now >= *deadline => {
                Wish::Failed(ConnectError::timeout("the server's answer to an earlier CONNECT"))
            }
            _ => Wish::Nothing,
        }
    }

    fn ask(&mut self, connection: &mut Connection, auth: Option<serde_json::Value>, deadline: Instant) -> Wish {
        let path = &self.member.path;
        let wrong = |error| ConfigError::new(format!("{path} cannot be asked for: {error}"));
        let asked = match connection.revision() {
            Revision::V3 => auth_query(path, auth).and_then(|query| connection.connect_v3(path, &query).map_err(wrong)),
            Revision::V4 => match connection.connect(path, self.with_recovery(auth).as_ref()) {
                Ok((slot, packet)) => Ok((slot, Some(packet))),
                Err(error) => Err(wrong(error)),
            },
        };
        match asked {
            Ok((slot, packet)) => {
                self.stage = Stage::Asked { slot, deadline };
                packet.map_or(Wish::Nothing, Wish::Ask)
            }
            Err(error) => Wish::Failed(error.into()),
        }
    }

    /// Adds what the server needs to recover the state; the application's own keys win, as in the official client.
    fn with_recovery(&self, auth: Option<serde_json::Value>) -> Option<serde_json::Value> {
        let Some(pid) = &self.pid else { return auth.filter(|auth| !auth.is_null()) };
        let mut merged = serde_json::Map::new();
        merged.insert("pid".to_owned(), pid.as_str().into());
        if let Some(offset) = &self.offset {
            merged.insert("offset".to_owned(), offset.as_str().into());
        }
        match auth {
            None | Some(serde_json::Value::Null) => {}
            Some(serde_json::Value::Object(own)) => merged.extend(own),
            // It will be refused for not being an object.
            other => return other,
        }
        Some(merged.into())
    }

    /// The server has let the client in.
    pub(crate) fn join(&mut self, slot: Slot, id: &str, pid: Option<String>, cx: &mut Context<'_>) {
        let recovered = pid.is_some() && pid == self.pid;
        if !recovered {
            self.offset = None;
        }
        self.pid = pid;
        self.stage = Stage::Joined { slot };
        self.member.patience.lock().joined();
        self.member.join(id, recovered);
        self.shifts.begin(self.client());
        self.member.set_state(State::Connected);
        tracing::debug!(namespace = %self.member.path, recovered, "connected");
        for done in self.asking.drain(..) {
            tell(Some(done), Ok(()));
        }
        let connect = self.member.hooks().connect.snapshot();
        let began = Received { name: "connect", args: Args::NONE, ack: None };
        for entry in connect.any() {
            self.dispatch(entry, &began, cx);
        }
        for early in self.early.take() {
            self.receive(&Received { name: &early.name, args: early.args.as_args(), ack: early.ack }, cx);
        }
    }

    /// An event has arrived. False if so many came before the answer to CONNECT that the connection must end.
    pub(crate) fn receive(&mut self, received: &Received<'_>, cx: &mut Context<'_>) -> bool {
        if !matches!(self.stage, Stage::Joined { .. }) {
            return self.early.keep(received);
        }
        // The last argument of a question is the application's: only what asks for nothing is numbered.
        if self.pid.is_some()
            && received.ack.is_none()
            && let Some(offset) = received.args.last_text()
        {
            self.offset = Some(offset.into_owned());
        }
        self.listeners.refresh(&self.member.listeners);
        let listeners = self.listeners.clone();
        for entry in listeners.any() {
            self.dispatch(entry, received, cx);
        }
        let named = listeners.named(received.name);
        let others = if named.is_empty() { listeners.unhandled() } else { named };
        for entry in others {
            self.dispatch(entry, received, cx);
        }
        if others.is_empty() && listeners.any().is_empty() {
            self.keep_stray(received);
        }
        true
    }

    /// Keeps an event which no handler takes for [`Client::next`].
    fn keep_stray(&mut self, received: &Received<'_>) {
        let stray = Stray {
            name: received.name.into(),
            args: received.args.to_owned(),
            ack: received.ack,
            epoch: self.member.epoch(),
        };
        let limits = &self.member.limits;
        let mut inbox = self.member.inbox.lock();
        inbox.bytes += stray.args.as_args().size();
        inbox.messages.push_back(stray);
        // Until somebody reads, only the latest are kept; from then on the connection waits for the reader.
        while !inbox.is_read
            && inbox.messages.len() > 1
            && (inbox.messages.len() > limits.max_waiting_events || inbox.bytes > limits.max_waiting_bytes)
        {
            if let Some(oldest) = inbox.messages.pop_front() {
                inbox.bytes -= oldest.args.as_args().size();
                inbox.dropped += 1;
            }
        }
        drop(inbox);
        self.member.mail.notify_one();
    }

    fn dispatch(&mut self, entry: &Arc<Entry<Client>>, received: &Received<'_>, cx: &mut Context<'_>) {
        if let Some(failed) = self.shifts.dispatch(entry, received, cx) {
            self.report(HandlerError::new(failed.event, failed.error));
        }
    }

    /// The server has answered an event.
    pub(crate) fn answered(&mut self, ack: AckId, args: &Args<'_>) {
        if !self.delivery.answered(ack, args) {
            tracing::debug!("an answer which nobody waits for (any more)");
        }
        self.note_asked();
    }

    /// Lets as many questions follow as have been answered, or are not waited for any more.
    fn note_asked(&mut self) {
        let asked = self.delivery.still_asked(self.member.limits.max_pending_acks);
        self.member.outbox.lock().queue.note_asked(asked);
    }

    /// The next packet to send on `lane`, if the client is in its namespace. What the server would not take is left out,
    /// one in a turn: whoever is told may emit again.
    pub(crate) fn next_packet(&mut self, lane: Lane, now: Instant) -> Option<Outgoing> {
        if !self.is_joined() {
            return None;
        }
        if let Some(packet) = self.delivery.again(now) {
            let Err(error) = self.measure().check_on(lane, &packet) else { return Some(packet) };
            let given_up = self.delivery.give_up(error.into());
            self.tell_given_up(given_up);
            return None;
        }
        let (item, asker) = self.member.outbox.lock().pop(self.delivery.is_waiting())?;
        self.member.room.notify_waiters();
        self.sent(lane, item, asker, now)
    }

    /// Takes leave of a packet. `None` if the server would not take it: then it is told here.
    fn sent(&mut self, lane: Lane, item: Item, asker: Option<Asker>, now: Instant) -> Option<Outgoing> {
        let Item { packet, kind } = item;
        if let Err(error) = self.measure().check_on(lane, &packet) {
            self.tell_given_up(GivenUp::refused(kind, asker, error));
            self.note_asked();
            return None;
        }
        match (kind, asker) {
            (Kind::Asking { id, deadline }, Some(asker)) => self.delivery.wait_for(id, deadline, asker),
            (Kind::Retried { id, timeout, awaiting }, _) => {
                let limit = self.member.limits.retries.map_or(0, |retries| retries.limit);
                self.delivery.guarantee(&packet, id, timeout, awaiting, limit, now);
            }
            _ => {}
        }
        self.note_asked();
        Some(packet)
    }

    fn measure(&self) -> &Measure {
        &self.member.link.measure
    }

    /// What the client still wanted to say when it was told to leave.
    pub(crate) fn last_words(&mut self, lane: Lane, now: Instant) -> Vec<Outgoing> {
        let mut words = Vec::new();
        while matches!(self.stage, Stage::Joined { .. }) {
            let popped = self.member.outbox.lock().pop(false);
            let Some((item, asker)) = popped else { break };
            words.extend(self.sent(lane, item, asker, now));
        }
        words
    }

    /// The client is out of its namespace, for now.
    pub(crate) fn lose(&mut self, disconnect: &Disconnect) {
        let was_joined = matches!(self.stage, Stage::Joined { .. });
        if self.is_trying() {
            self.stage = Stage::Waiting;
        }
        self.early = Early::default();
        self.member.leave();
        let given_up = self.delivery.disconnected();
        self.note_asked();
        self.tell_given_up(given_up);
        self.lost = was_joined.then_some(disconnect.reason);
        if was_joined {
            let (client, reason) = (self.client(), disconnect.reason);
            tracing::debug!(namespace = %self.member.path, %reason, cause = %disconnect.loggable(), "disconnected");
            *self.member.last_disconnect.lock() = Some(disconnect.clone());
            self.member.hooks().disconnected(&mut self.jobs, &client, reason);
        }
    }

    /// An attempt has failed; another may follow.
    pub(crate) fn complain(&mut self, error: &ConnectError) {
        self.lost = None;
        let client = self.client();
        self.member.hooks().failed(&mut self.jobs, &client, error);
    }

    /// An attempt has failed, and the connection serves others: this client waits by itself, or gives up.
    pub(crate) fn fail(&mut self, error: &ConnectError, now: Instant) {
        self.complain(error);
        let next = self.member.patience.lock().failed(&self.member.link.config.reconnect, now);
        match next {
            Some((attempt, delay)) => self.rest(attempt, delay, now),
            None => self.give_up(error),
        }
    }

    /// The server has refused: no further attempt is made until the application asks for one.
    pub(crate) fn refuse(&mut self, error: ConnectError, now: Instant) {
        self.complain(&error);
        self.member.patience.lock().refused(&self.member.link.config.reconnect, now);
        self.end(Ending::Failed(error));
    }

    /// No further attempt is made.
    pub(crate) fn give_up(&mut self, error: &ConnectError) {
        self.end(self.lost.map_or_else(|| Ending::Failed(error.clone()), Ending::Disconnected));
    }

    /// The client will not be connected by itself any more.
    pub(crate) fn end(&mut self, ending: Ending) {
        let error = match &ending {
            Ending::Failed(error) => error.clone(),
            Ending::Disconnected(_) | Ending::Idle => ConnectError::closed(),
        };
        self.stage = Stage::Gone;
        self.member.patience.lock().ended();
        let given_up = self.delivery.end();
        self.note_asked();
        self.tell_given_up(given_up);
        (self.pid, self.offset) = (None, None);
        self.member.deactivate(ending);
        for done in self.asking.drain(..) {
            tell(Some(done), Err(error.clone()));
        }
    }

    /// Goes on with everything that runs on behalf of the client.
    pub(crate) fn run(&mut self, now: Instant, cx: &mut Context<'_>) {
        while let Some(failed) = self.shifts.poll(cx) {
            self.report(HandlerError::new(failed.event, failed.error));
        }
        while let Some(failed) = self.jobs.poll(cx) {
            self.report(failed);
        }
        let given_up = self.delivery.expire(now);
        self.tell_given_up(given_up);
        self.note_asked();
        self.member.outbox.lock().queue.expire(now);
    }

    /// An event was emitted which is not sent, or not any more.
    fn tell_given_up(&self, given_up: Option<GivenUp>) {
        if let Some(GivenUp { event, error }) = given_up {
            self.member.outbox.lock().queue.count_dropped();
            self.report(HandlerError::given_up(event, error));
        }
    }

    fn report(&self, error: HandlerError) {
        self.member.hooks().report(&self.client(), error);
    }

    fn client(&self) -> Client {
        Client::new(Arc::clone(&self.member))
    }

    /// Whether handlers or readers are so far behind that no more should be read.
    pub(crate) fn is_congested(&self) -> bool {
        let is_beyond = |waiting| self.member.limits.is_behind(waiting, self.delivery.asked() > 0);
        is_beyond(self.shifts.waiting()) || {
            let inbox = self.member.inbox.lock();
            inbox.is_read && is_beyond((inbox.messages.len(), inbox.bytes))
        }
    }

    /// Whether it wants to be connected.
    pub(crate) fn is_active(&self) -> bool {
        !matches!(self.stage, Stage::Gone)
    }

    /// Whether it takes part in what the connection does: it wants to be connected, and does not wait by itself.
    pub(crate) fn is_trying(&self) -> bool {
        !matches!(self.stage, Stage::Delayed { .. } | Stage::Gone)
    }

    pub(crate) fn is_joined(&self) -> bool {
        matches!(self.stage, Stage::Joined { .. })
    }

    /// Whether nothing runs on its behalf any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.shifts.is_idle() && self.jobs.is_idle()
    }

    /// Whether something waits to be sent that could be.
    pub(crate) fn has_packets(&self) -> bool {
        self.is_joined()
            && (self.delivery.has_packet() || self.member.outbox.lock().has_packet(self.delivery.is_waiting()))
    }

    pub(crate) fn slot(&self) -> Option<Slot> {
        match self.stage {
            Stage::Asked { slot, .. } | Stage::Joined { slot } => Some(slot),
            _ => None,
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let connecting = match &self.stage {
            Stage::Asked { deadline, .. } | Stage::Authorizing { deadline, .. } | Stage::Held { deadline } => {
                Some(*deadline)
            }
            Stage::Delayed { until } => Some(*until),
            _ => None,
        };
        let queued = self.member.outbox.lock().queue.next_deadline();
        connecting.into_iter().chain(queued).chain(self.delivery.next_deadline()).min()
    }
}

fn auth_failed(error: BoxError) -> ConnectError {
    ConnectError::unreachable("auth failed", Some(error))
}

fn tell(done: Option<oneshot::Sender<Result<(), ConnectError>>>, result: Result<(), ConnectError>) {
    if let Some(done) = done {
        // Whoever asked may have stopped waiting.
        drop(done.send(result));
    }
}
