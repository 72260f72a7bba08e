//! **The loop**: one task that owns a session, its transports and its sockets.
//!
//! Up, in one call chain without queue or lock: bytes → frame → engine packet → socket packet → handler. Down: handlers
//! and other tasks fill the outbox, and at the end of its turn the task writes all of it at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use sockeye_engine::{CloseReason, Event as EngineEvent, Lane, Role, Session, ws};
use sockeye_protocol::{Connection, Outgoing};
use tracing::Instrument;

use super::alarm::{Alarm, now};
use super::answers;
use super::body::{Body, Hearing};
use super::fault::Fault;
use crate::cause::Cause;
use crate::core::Core;
use crate::error::DisconnectReason;
use crate::limits::Limit;
use crate::link::{Answer, Command, Link, Request};
use crate::transport::carrier::Carrier;
use crate::transport::stream::{StreamTransport, lend_batch};

/// Turns without waiting before other tasks get theirs.
const TURNS: usize = 16;
/// How long a connection that is being closed may take to write what was emitted before.
const CLOSING: Duration = Duration::from_secs(10);

/// Owns one session until it is over and the last handler of its sockets has ended.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each told by its name")]
pub(crate) struct Task {
    pub(super) body: Body,
    pub(super) stream: Option<StreamTransport>,
    pub(super) poll: Option<oneshot::Sender<Answer>>,
    /// A POST that waits until the handlers have caught up. Boxed: it is rare, and every connection has the room for it.
    pub(super) deferred: Option<Box<Request>>,
    alarm: Alarm,
    /// Set when the connection is being closed: when it must be over, or when answers are no longer waited for.
    pub(super) closing: Option<Instant>,
    /// What the close frame of the stream will say. Boxed, as most have nothing to say for long.
    pub(super) farewell: Option<Box<(ws::CloseCode, &'static str)>>,
    /// The stream takes messages of full length: a namespace was joined.
    pub(super) raised: bool,
    begun: bool,
    /// The client did not answer: there is nobody to say farewell to.
    vanished: bool,
    ended: bool,
    commands: Vec<Command>,
    pub(super) requests: Vec<Request>,
}

impl Task {
    /// A session that began with a GET.
    pub(crate) fn polling(core: Arc<Core>, link: Arc<Link>, now: Instant) -> Self {
        Self::new(core, link, Lane::Polling, None, now)
    }

    /// A session that began with a stream.
    pub(crate) fn streaming(core: Arc<Core>, link: Arc<Link>, stream: StreamTransport, now: Instant) -> Self {
        Self::new(core, link, Lane::Stream, Some(stream), now)
    }

    /// Lets it run, until it ends by itself or its link is told to stop it.
    pub(crate) fn spawn(self) {
        let link = Arc::clone(&self.body.link);
        let span = link.span();
        // Where nothing is logged, tasks are not made larger by a span.
        let task = if span.is_disabled() { tokio::spawn(self) } else { tokio::spawn(self.instrument(span)) };
        link.set_abort(task.abort_handle());
    }

    fn new(core: Arc<Core>, link: Arc<Link>, lane: Lane, stream: Option<StreamTransport>, now: Instant) -> Self {
        let config = &core.config;
        let session = Session::accept(Arc::clone(&config.engine), link.revision, &link.sid, lane, now);
        let parser = config.parser.clone();
        let connection = Connection::new(Role::Server, link.revision, parser, Arc::clone(&config.protocol), now);
        core.metrics.sessions.up();
        core.metrics.sessions_opened.up();
        core.metrics.tasks.up();
        Self {
            body: Body::new(core, link, session, connection, now),
            stream,
            poll: None,
            deferred: None,
            alarm: Alarm::default(),
            closing: None,
            farewell: None,
            raised: false,
            begun: false,
            vanished: false,
            ended: false,
            commands: Vec::new(),
            requests: Vec::new(),
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..TURNS {
            let now = now();
            this.turn(now, cx);
            if this.ended {
                return this.body.poll_departing(cx);
            }
            if this.body.link.sleep(cx, this.is_writable()) && this.poll_timer(now, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Task {
    fn turn(&mut self, now: Instant, cx: &mut Context<'_>) {
        if self.ended {
            return;
        }
        if let Err(fault) = self.step(now, cx) {
            self.fail(&fault, now);
        }
        self.follow_session(now);
        let late = self.closing.is_some_and(|deadline| now >= deadline);
        if self.body.hearing == Hearing::Nothing && (late || self.is_drained()) {
            self.body.session.close(CloseReason::Forced);
            self.follow_session(now);
        }
        if self.body.session.is_closed() {
            self.body.run_departing(cx);
            // What the session still has to say may need one more GET of the client.
            let written = self.write(now, cx);
            if late || written.is_err() || self.body.session.is_finished() {
                self.end(now, cx);
            }
        }
    }

    fn step(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Fault> {
        if !std::mem::replace(&mut self.begun, true) {
            self.body.begin(now, cx);
        }
        self.obey(now)?;
        if self.body.session.data_lane().is_none() {
            // A GET sent after the switch to a stream may have overtaken it: see the switch first.
            self.read(now, cx)?;
        }
        self.serve(now, cx)?;
        self.read(now, cx)?;
        self.body.release();
        self.hold()?;
        let was_congested = self.body.is_congested();
        self.body.run_sockets(now, cx);
        self.check_time(now, was_congested)?;
        if was_congested && !self.body.is_congested() {
            // What was not read meanwhile wakes nobody: look at it again.
            cx.waker().wake_by_ref();
        }
        self.finish_when_answered(now, cx);
        self.follow_session(now);
        self.write(now, cx)
    }

    /// Counts what is held of messages that have not come to their end.
    pub(super) fn hold(&mut self) -> Result<(), Fault> {
        self.body.hold(self.stream.as_ref().map_or(0, StreamTransport::unfinished))
    }

    /// The server is being closed: so is this connection, as soon as neither side waits for an answer.
    fn finish_when_answered(&mut self, now: Instant, cx: &mut Context<'_>) {
        let late = self.closing.is_some_and(|until| now >= until);
        if self.body.hearing == Hearing::Answers && (late || !self.body.has_answers_open()) {
            self.leave(DisconnectReason::ServerShuttingDown, false, now);
            self.body.run_departing(cx);
        }
    }

    /// Deadlines that have passed.
    fn check_time(&mut self, now: Instant, was_congested: bool) -> Result<(), Fault> {
        self.body.check_sockets(now);
        // What a member has said in time may be among what was not read. A stranger has no more time for that.
        if !(was_congested && self.body.has_joined()) {
            self.body.check_connection(now)?;
        }
        if was_congested && self.is_backlogged() && !self.is_stuck(now) {
            // The client's answers may be among what is not being read: that is not its fault. It is pinged all the same,
            // as it wants to hear of us, and so that writing fails when it has gone.
            self.body.session.handle_backlog(now);
            self.body.check_session(now);
            self.body.session.handle_backlog(now);
        } else {
            self.body.check_session(now);
        }
        Ok(())
    }

    /// What other tasks asked for.
    fn obey(&mut self, now: Instant) -> Result<(), Fault> {
        self.body.link.wake_up(&mut self.commands, &mut self.requests);
        if self.commands.is_empty() {
            return Ok(());
        }
        let mut commands = std::mem::take(&mut self.commands);
        let mut outcome = Ok(());
        for command in commands.drain(..) {
            match command {
                Command::Await { slot, socket, ack, deadline, waiter } => {
                    self.body.wait_for(slot, &socket, ack, deadline, waiter);
                }
                Command::Leave { slot, socket } => self.body.leave(slot, &socket, now),
                Command::Overrun(excess) => {
                    self.body.blame(DisconnectReason::SlowConsumer, || excess.into(), now);
                }
                Command::Close { reason: DisconnectReason::SlowConsumer, .. } => outcome = Err(Fault::SlowConsumer),
                Command::Close { reason, say } => self.leave(reason, say, now),
                Command::Finish { until } if self.body.hearing != Hearing::Nothing => {
                    self.farewell = Some(Box::new((ws::CloseCode::GOING_AWAY, "")));
                    self.body.hearing = Hearing::Answers;
                    // Whoever closes a server twice is in more of a hurry.
                    self.closing = Some(self.closing.map_or(until, |before| before.min(until)));
                }
                Command::Finish { .. } => {}
            }
        }
        if commands.capacity() <= 4 {
            self.commands = commands;
        }
        outcome
    }

    /// Closes the connection: every socket leaves.
    fn leave(&mut self, reason: DisconnectReason, say: bool, now: Instant) {
        if reason == DisconnectReason::TransportClose {
            self.body.blame(reason, || Cause::Replaced, now);
        }
        self.body.leave_all(reason, say, now);
        self.begin_closing(now);
    }

    /// What was emitted is still written; nothing is heard, and nothing more can be emitted.
    fn begin_closing(&mut self, now: Instant) {
        if std::mem::replace(&mut self.body.hearing, Hearing::Nothing) != Hearing::Nothing {
            self.closing = Some(now + CLOSING);
        }
        self.body.link.close(false);
    }

    /// The stream has ended: with it the session, unless it was only being probed.
    pub(super) fn stream_gone(&mut self, reason: CloseReason, cause: impl FnOnce() -> Cause, now: Instant) {
        self.lane_gone(Lane::Stream, reason, cause, now);
        self.drop_stream();
    }

    /// Nothing more comes by `lane`: that ends the session, if it is what carries it.
    pub(super) fn lane_gone(&mut self, lane: Lane, reason: CloseReason, cause: impl FnOnce() -> Cause, now: Instant) {
        let was_over = self.body.session.is_closed();
        self.body.session.handle_lane_closed(now, lane, reason);
        if !was_over && self.body.session.is_closed() {
            self.body.blame(reason.into(), cause, now);
        }
    }

    fn drop_stream(&mut self) {
        if let Some(stream) = self.stream.take() {
            let farewell = self.farewell.take().map(|farewell| *farewell);
            tokio::spawn(stream.close(farewell, self.body.core.hold_farewell()));
        }
    }

    /// Takes over what the session has decided.
    fn follow_session(&mut self, now: Instant) {
        while let Some(event) = self.body.session.poll_event() {
            match event {
                EngineEvent::Upgraded => {
                    tracing::debug!("the session went over to a stream");
                    self.body.core.metrics.upgrades.up();
                    let carrier = self.stream.as_ref().map_or(Carrier::Websocket, StreamTransport::carrier);
                    self.body.link.set_carrier(carrier);
                }
                EngineEvent::UpgradeFailed => {
                    tracing::debug!("the upgrade was given up; polling goes on");
                    self.body.core.metrics.upgrades_failed.up();
                    self.body.link.set_carrier(Carrier::Polling);
                    self.drop_stream();
                }
                EngineEvent::Closed(reason) => {
                    self.vanished = reason == CloseReason::PingTimeout;
                    self.body.leave_all(reason.into(), false, now);
                    self.begin_closing(now);
                }
                EngineEvent::Opened(_) => {}
            }
        }
    }

    /// The client, or the world, did something that ends the session.
    fn fail(&mut self, fault: &Fault, now: Instant) {
        let limit = fault.excess(&self.body.link).map(|excess| excess.limit);
        let reason = limit.map_or_else(|| fault.reason(), DisconnectReason::LimitExceeded);
        let cause = fault.cause(&self.body.link);
        self.body.blame(reason, || cause, now);
        if fault.is_protocol() {
            self.body.core.metrics.protocol_errors.up();
        }
        if let Some(limit) = limit {
            self.body.core.metrics.limits.up(limit);
        }
        if limit.is_some() || matches!(fault, Fault::SlowConsumer) {
            // The fault of all together is not the client's.
            let is_shared = limit == Some(Limit::Unfinished);
            let code = if is_shared { ws::CloseCode::TRY_AGAIN } else { ws::CloseCode::POLICY };
            self.farewell.get_or_insert_with(|| Box::new((code, reason.as_str())));
        }
        self.body.leave_all(reason, false, now);
        self.body.session.close(fault.close_reason());
    }

    fn is_writable(&self) -> bool {
        match self.body.session.data_lane() {
            Some(Lane::Polling) => self.poll.is_some(),
            Some(Lane::Stream) => self.stream.as_ref().is_some_and(StreamTransport::is_flushed),
            None => false,
        }
    }

    fn is_drained(&self) -> bool {
        let flushed = self.stream.as_ref().is_none_or(StreamTransport::is_flushed);
        flushed && self.body.link.is_drained()
    }

    fn write(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Fault> {
        self.answer_poll(now);
        let Self { body, stream: Some(stream), .. } = self else { return Ok(()) };
        let failed = |error: io::Error| Fault::io(error.kind());
        lend_batch(|batch| {
            if !stream.is_flushed() {
                let before = stream.unsent();
                let flushed = stream.poll_unsent(cx).map_err(failed)?;
                if stream.unsent() < before {
                    body.note_sent(now);
                }
                if flushed.is_pending() {
                    return Ok(());
                }
            }
            loop {
                let mut room = stream.put_pong(batch);
                while room && let Some(packet) = body.control(Lane::Stream, now) {
                    room = stream.put(batch, &packet);
                }
                if room && body.session.data_lane() == Some(Lane::Stream) {
                    body.drain(|packet| {
                        room = put_all(stream, batch, packet);
                        room
                    });
                }
                if batch.is_empty() && stream.is_flushed() {
                    return Ok(());
                }
                let before = batch.len() + stream.unsent();
                stream.write(cx, batch).map_err(failed)?;
                if stream.unsent() < before {
                    body.note_sent(now);
                }
                // With room left there was no more; what was emitted meanwhile begins another turn.
                if room || !stream.is_flushed() {
                    return Ok(());
                }
            }
        })
    }

    /// Answers the waiting GET if there is anything to say.
    pub(super) fn answer_poll(&mut self, now: Instant) {
        if self.poll.is_some()
            && let Some(body) = answers::collect(&mut self.body, now)
            && let Some(poll) = self.poll.take()
        {
            self.body.note_sent(now);
            self.body.session.finish_poll();
            reply(poll, body);
        }
    }

    /// The session is over: sockets leave, transports close, nobody finds it any more.
    fn end(&mut self, now: Instant, cx: &mut Context<'_>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.body.leave_all(DisconnectReason::ForcedClose, false, now);
        self.answer_poll(now);
        self.poll = None;
        if let Some(stream) = self.stream.take() {
            if self.vanished {
                // Nobody is there: the file descriptor is given back at once.
                drop(stream);
            } else {
                self.stream = Some(stream);
                drop(self.write(now, cx));
                self.drop_stream();
            }
        }
        self.body.retire();
        self.deferred = None;
        self.alarm = Alarm::default();
    }

    /// Ready when the next deadline has passed.
    fn poll_timer(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.body.next_deadline().into_iter().chain(self.closing).min();
        deadline.map_or(Poll::Pending, |deadline| self.alarm.poll(deadline, now, cx))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.ended {
            // The runtime is going down, or the server was told to stop at once.
            self.body.leave_all(DisconnectReason::ServerShuttingDown, false, now());
            // Nothing will poll them any more, but every `on_disconnect` has at least begun.
            let _ = self.body.poll_departing(&mut Context::from_waker(Waker::noop()));
            self.body.retire();
        }
        self.body.core.table.remove(&self.body.link);
        self.body.core.metrics.tasks.down();
        self.body.core.something_ended();
    }
}

/// Adds a packet with its attachments, which nothing may separate; false if the batch is full.
fn put_all(stream: &mut StreamTransport, batch: &mut Vec<u8>, packet: &Outgoing) -> bool {
    let mut room = true;
    for message in packet.messages() {
        room &= stream.put(batch, message);
    }
    room
}

pub(super) fn reply(request: oneshot::Sender<Answer>, answer: Answer) {
    if request.send(answer).is_err() {
        tracing::trace!("the request was given up");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Task>() <= 664, "{}", size_of::<Task>());
    }
}
