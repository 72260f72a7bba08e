//! **The loop**: one task that owns a connection, from the first attempt to the last handler.
//!
//! ```text
//!            ┌──────────── failed, or lost ────────────┐
//!            ▼                                         │
//!   Resting ──▶ Dialing ──▶ Open ──▶ Closing ──▶ Resting, and the task ends
//!            Waiting ──▶ Dialing
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use sockeye_engine::Rhythm;
use tokio::runtime::Handle;
use tokio::time::Sleep;

use super::body::Body;
use super::carrier::Carrier;
use super::upper::Upper as _;
use crate::cause::Cause;
use crate::clocks::Clocks;
use crate::config::Transport;
use crate::dial::BoxFuture;
use crate::error::{ConnectError, DisconnectReason};
use crate::link::{Command, Link};
use crate::random;
use crate::state::{Disconnect, Ending, State};
use crate::time::{after, now};
use crate::transport::Site;
use crate::transport::websocket::WebSocket;

/// Turns without waiting before other tasks get theirs.
const TURNS: usize = 16;
/// How long a connection that is being closed may take to send what was emitted before.
const CLOSING: Duration = Duration::from_secs(10);

/// How far the connection is.
enum Phase {
    /// Sends the last packets.
    Closing { carrier: Box<Carrier>, deadline: Instant },
    /// A WebSocket is being opened.
    Dialing { site: Arc<Site>, opening: BoxFuture<Result<WebSocket, ConnectError>>, deadline: Instant },
    /// There is a session; until the server's handshake is here, it must come before the deadline.
    Open { carrier: Box<Carrier>, deadline: Instant },
    /// Nobody wants a connection.
    Resting,
    /// Between two attempts; sooner if somebody asks for it, but not before the server wants it.
    Waiting { until: Instant, earliest: Instant },
}

/// Owns one connection.
struct Task {
    link: Arc<Link>,
    body: Body,
    phase: Phase,
    /// Attempts that have failed in a row.
    attempt: u32,
    /// Since when there is no connection.
    outage: Option<Instant>,
    /// Transports that were not tried in this attempt.
    untried: Vec<Transport>,
    /// The last connection came to use WebSocket.
    knows_websocket: bool,
    /// How idle connections were that broke.
    rhythm: Rhythm,
    /// Those who wait for the end of what they disconnected.
    leaving: Vec<oneshot::Sender<()>>,
    timer: Option<Pin<Box<Sleep>>>,
    clocks: Clocks,
    /// Something was begun which was not polled yet.
    again: bool,
    is_over: bool,
}

/// Starts the task of a connection, which has been given its first command.
pub(crate) fn start(link: Arc<Link>, runtime: &Handle) {
    let body = Body::new(Arc::clone(&link), now());
    runtime.spawn(Task {
        link,
        body,
        phase: Phase::Resting,
        attempt: 0,
        outage: None,
        untried: Vec::new(),
        knows_websocket: false,
        rhythm: Rhythm::default(),
        leaving: Vec::new(),
        timer: None,
        clocks: Clocks::new(),
        again: false,
        is_over: false,
    });
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..TURNS {
            let now = now();
            this.turn(now, cx);
            if this.body.seats.is_empty() && matches!(this.phase, Phase::Resting) && this.link.retire() {
                this.is_over = true;
                return Poll::Ready(());
            }
            this.link.sleep(cx.waker());
            if !this.is_urgent() && this.poll_timer(now, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Task {
    fn turn(&mut self, now: Instant, cx: &mut Context<'_>) {
        self.obey(now);
        self.doubt();
        self.step(now, cx);
        if let Some(error) = self.body.run(now, cx) {
            self.give_up_connection(error, now, cx);
        }
        if !self.body.is_wanted() {
            self.wind_down(now);
        } else if matches!(self.phase, Phase::Resting) && self.body.is_wanted_now() {
            self.attempt(now);
        }
        let writable = matches!(&self.phase, Phase::Open { carrier, .. } if carrier.is_writable());
        self.link.writable.store(writable, Ordering::Relaxed);
        if !matches!(self.phase, Phase::Closing { .. }) && !self.body.has_control() {
            self.leaving.clear();
        }
    }

    /// What handles asked for.
    fn obey(&mut self, now: Instant) {
        for command in self.link.wake_up() {
            match command {
                Command::Connect { member, done } => {
                    self.body.connect(Arc::clone(&member), done, now);
                    if let (Phase::Waiting { until, .. }, State::Connecting) = (&self.phase, member.state()) {
                        let delay = until.saturating_duration_since(now);
                        member.set_state(State::Waiting { attempt: self.attempt, delay });
                    }
                }
                Command::Disconnect { member, done } => {
                    self.body.disconnect(&member, now);
                    self.leaving.push(done);
                }
            }
        }
    }

    /// The machine has slept, or somebody knows that the way to the server is another: what was heard of it may be old.
    fn doubt(&mut self) {
        let is_asked = self.link.take_check();
        let slept = self.clocks.look();
        match &mut self.phase {
            Phase::Open { carrier, .. } if is_asked => carrier.doubt(),
            Phase::Open { carrier, .. } => slept.into_iter().for_each(|slept| carrier.doubt_after(slept)),
            Phase::Waiting { until, earliest } if is_asked => *until = *earliest,
            _ => {}
        }
    }

    fn step(&mut self, now: Instant, cx: &mut Context<'_>) {
        match std::mem::replace(&mut self.phase, Phase::Resting) {
            Phase::Resting => {}
            // The turn goes on with an attempt, if anybody wants one now.
            Phase::Waiting { until, .. } if now >= until => {}
            waiting @ Phase::Waiting { .. } => self.phase = waiting,
            Phase::Dialing { site, mut opening, deadline } => match opening.as_mut().poll(cx) {
                Poll::Ready(Ok(stream)) => {
                    let carrier = Box::new(Carrier::streaming(site, stream, now));
                    self.drive(carrier, deadline, now, cx);
                }
                Poll::Ready(Err(error)) => self.failed(error, now),
                Poll::Pending if now >= deadline => self.failed(ConnectError::timeout("the WebSocket"), now),
                Poll::Pending => self.phase = Phase::Dialing { site, opening, deadline },
            },
            Phase::Open { carrier, deadline } => self.drive(carrier, deadline, now, cx),
            Phase::Closing { carrier, deadline } => self.close(carrier, deadline, now, cx),
        }
    }

    /// Goes on with an open connection.
    fn drive(&mut self, mut carrier: Box<Carrier>, deadline: Instant, now: Instant, cx: &mut Context<'_>) {
        carrier.turn(&mut self.body, now, cx);
        if let Err(cause) = self.body.check_time(now) {
            carrier.fail(cause);
        }
        if self.body.is_any_joined() {
            (self.attempt, self.outage) = (0, None);
            self.knows_websocket = carrier.is_streaming();
        }
        match (carrier.closed(), carrier.is_open()) {
            (None, false) if now >= deadline => {
                carrier.abandon(cx);
                self.failed(ConnectError::timeout("the server's handshake"), now);
            }
            (None, _) => self.phase = Phase::Open { carrier, deadline },
            (Some(reason), false) => {
                let unsaid = || {
                    let cause = Disconnect::from(DisconnectReason::from(reason)).cause;
                    ConnectError::answered(format!("the server ended the handshake: {reason}"), cause, None)
                };
                let error = carrier.take_failure().unwrap_or_else(unsaid);
                carrier.abandon(cx);
                self.failed(error, now);
            }
            (Some(reason), true) => {
                let (error, idle) = (carrier.take_failure(), carrier.idle(now));
                carrier.abandon(cx);
                self.lost(Disconnect::of_connection(reason.into(), error.as_ref(), idle), error, now);
            }
        }
    }

    /// Begins an attempt to connect.
    fn attempt(&mut self, now: Instant) {
        let config = &self.link.config;
        self.untried.clone_from(&config.transports);
        if config.remember_upgrade && self.knows_websocket {
            // Stable: the others keep their order.
            self.untried.sort_by_key(|transport| *transport != Transport::Websocket);
        }
        self.knows_websocket = false;
        self.outage.get_or_insert(now);
        self.body.set_state(&State::Connecting);
        self.try_next(now);
    }

    /// Tries the next transport.
    fn try_next(&mut self, now: Instant) {
        let transport = if self.untried.is_empty() { Transport::Polling } else { self.untried.remove(0) };
        let config = &self.link.config;
        let deadline = after(now, config.connect_timeout);
        self.again = true;
        let site = match Site::new(Arc::clone(config)) {
            Ok(site) => Arc::new(site),
            Err(error) => return self.failed(error, now),
        };
        self.phase = match transport {
            Transport::Polling => Phase::Open { carrier: Box::new(Carrier::polling(site, now)), deadline },
            Transport::Websocket => {
                let opening = Box::pin(WebSocket::open(Arc::clone(&site), None));
                Phase::Dialing { site, opening, deadline }
            }
        };
    }

    /// An attempt has failed before there was a connection.
    fn failed(&mut self, error: ConnectError, now: Instant) {
        self.phase = Phase::Resting;
        self.count(error.cause());
        let may_try = self.link.config.try_all_transports && !error.is_incompatible();
        if may_try && !self.untried.is_empty() && self.body.is_wanted() {
            tracing::debug!(%error, "a transport failed; trying the next one");
            return self.try_next(now);
        }
        tracing::debug!(%error, attempt = self.attempt, "no connection");
        self.body.complain(&error);
        self.retry(&error, now);
    }

    /// The connection was lost.
    fn lost(&mut self, mut disconnect: Disconnect, error: Option<ConnectError>, now: Instant) {
        self.phase = Phase::Resting;
        disconnect.is_regular = matches!(disconnect.cause, Cause::Io(_)) && self.rhythm.note(disconnect.idle);
        self.count(Some(&disconnect.cause));
        let error = ConnectError::lost(disconnect.reason, disconnect.cause.clone(), error);
        if !self.body.is_any_joined() {
            tracing::debug!(%error, attempt = self.attempt, "no connection");
        }
        self.body.complain_unjoined(&error);
        self.body.lose(&disconnect);
        self.outage.get_or_insert(now);
        self.retry(&error, now);
    }

    fn count(&self, cause: Option<&Cause>) {
        if let Some(limit) = cause.and_then(Cause::limit) {
            self.link.tally.up(limit);
        }
    }

    /// The connection works, but does not serve its purpose.
    fn give_up_connection(&mut self, error: ConnectError, now: Instant, cx: &mut Context<'_>) {
        if let Phase::Open { carrier, .. } = std::mem::replace(&mut self.phase, Phase::Resting) {
            carrier.abandon(cx);
        }
        let reason = DisconnectReason::TransportError;
        self.body.lose(&Disconnect::of_connection(reason, Some(&error), Duration::ZERO));
        self.untried.clear();
        self.failed(error, now);
        // Its handlers were not polled yet.
        self.again = true;
    }

    /// Waits before the next attempt, or gives up.
    fn retry(&mut self, error: &ConnectError, now: Instant) {
        if !self.body.is_wanted_now() {
            return;
        }
        let elapsed = self.outage.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let delay = self.link.config.reconnect.delay(self.attempt, elapsed, random::fraction());
        match delay.filter(|_| !error.is_incompatible()) {
            Some(delay) => {
                // Clients which were told the same wait come back spread over the delay.
                let asked = error.retry_after().unwrap_or_default();
                let delay = delay.saturating_add(asked);
                self.attempt = self.attempt.saturating_add(1);
                self.body.set_state(&State::Waiting { attempt: self.attempt, delay });
                self.phase = Phase::Waiting { until: after(now, delay), earliest: after(now, asked) };
            }
            None => {
                tracing::debug!(attempt = self.attempt, "no further attempt");
                (self.attempt, self.outage) = (0, None);
                self.body.give_up(error);
            }
        }
    }

    /// Nobody wants the connection any more.
    fn wind_down(&mut self, now: Instant) {
        match std::mem::replace(&mut self.phase, Phase::Resting) {
            Phase::Open { carrier, .. } if carrier.is_open() && carrier.closed().is_none() => {
                self.body.detach();
                self.phase = Phase::Closing { carrier, deadline: now + CLOSING };
                // Nothing may come from outside that would make the task look at it.
                self.again = true;
            }
            Phase::Closing { carrier, deadline } => self.phase = Phase::Closing { carrier, deadline },
            Phase::Dialing { .. } | Phase::Open { .. } | Phase::Resting | Phase::Waiting { .. } => {
                self.body.lose(&DisconnectReason::ClientDisconnect.into());
                (self.attempt, self.outage) = (0, None);
            }
        }
    }

    /// Goes on with the end of a connection.
    fn close(&mut self, mut carrier: Box<Carrier>, deadline: Instant, now: Instant, cx: &mut Context<'_>) {
        if self.body.has_control() {
            carrier.turn(&mut self.body, now, cx);
        }
        if !self.body.has_control() {
            carrier.close();
        }
        let finished = carrier.poll_finished(&mut self.body, now, cx).is_ready();
        let broken = carrier.closed().is_some_and(|reason| reason != sockeye_engine::CloseReason::Forced);
        if finished || broken || now >= deadline {
            self.body.lose(&DisconnectReason::ClientDisconnect.into());
            (self.attempt, self.outage) = (0, None);
            self.leaving.clear();
        } else {
            self.phase = Phase::Closing { carrier, deadline };
        }
    }

    /// Whether there is something to do at once.
    fn is_urgent(&mut self) -> bool {
        let again = std::mem::take(&mut self.again);
        let (started, writable, held_up) = match &mut self.phase {
            Phase::Open { carrier, .. } => (carrier.take_started(), carrier.is_writable(), carrier.is_held_up()),
            Phase::Closing { carrier, .. } => (carrier.take_started(), false, carrier.is_held_up()),
            Phase::Dialing { .. } | Phase::Resting | Phase::Waiting { .. } => (false, false, false),
        };
        // A reader, or a handler in this turn, may have made room after the connection was not read for want of it.
        let readable = held_up && !self.body.is_congested();
        again || started || readable || self.link.has_commands() || writable && self.body.has_packets()
    }

    /// Ready when the next deadline has passed.
    fn poll_timer(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let phase = match &self.phase {
            Phase::Closing { carrier, deadline } => carrier.next_deadline().into_iter().chain([*deadline]).min(),
            Phase::Dialing { deadline, .. } => Some(*deadline),
            Phase::Open { carrier, deadline } => {
                let opening = (!carrier.is_open()).then_some(*deadline);
                carrier.next_deadline().into_iter().chain(opening).min()
            }
            Phase::Resting => None,
            Phase::Waiting { until, .. } => Some(*until),
        };
        let Some(deadline) = phase.into_iter().chain(self.body.next_deadline()).min() else { return Poll::Pending };
        if deadline <= now {
            return Poll::Ready(());
        }
        let deadline = tokio::time::Instant::from_std(deadline);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // A timer that fires too early costs one look at the clock; moving it on every packet would cost more.
        if timer.deadline() > deadline || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // The runtime is going down.
        for command in self.link.abandon() {
            if let Command::Connect { member, done } = command {
                self.body.connect(member, done, now());
            }
        }
        let reason = DisconnectReason::TransportClose;
        let cause = Cause::Io(std::io::ErrorKind::ConnectionAborted);
        self.body.lose(&Disconnect { cause, ..reason.into() });
        self.body.end(&Ending::Disconnected(reason));
    }
}
