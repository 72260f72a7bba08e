//! An Engine.IO session with its transports: bytes to messages and back, upgrade included.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sockeye_engine::handshake::{Open, TransportName};
use sockeye_engine::{CloseReason, Event, Lane, Revision, Session, ws};

use super::ages::Ages;
use super::doubt::{Doubt, PATIENCE};
use super::end::End;
use super::upper::Upper;
use crate::cause::Cause;
use crate::config::Transport;
use crate::dial::BoxFuture;
use crate::error::ConnectError;
use crate::time::after;
use crate::transport::Site;
use crate::transport::polling::Polling;
use crate::transport::websocket::WebSocket;

/// The payload of the ping which asks whether the server is still there.
pub(super) const CHECK: &[u8] = b"check";

/// A session and what it runs on.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each told by its name")]
pub(crate) struct Carrier {
    site: Arc<Site>,
    pub(super) session: Session,
    pub(super) polling: Option<Polling>,
    pub(super) stream: Option<WebSocket>,
    /// A WebSocket on its way, to which the session will be upgraded.
    upgrade: Option<BoxFuture<Result<WebSocket, ConnectError>>>,
    /// Longest body of a POST that the server takes.
    pub(super) max_post: usize,
    pub(super) is_open: bool,
    pub(super) end: End,
    pub(super) doubt: Doubt,
    /// Of the server.
    ping_interval: Duration,
    ping_timeout: Duration,
    /// Nothing was heard for almost as long as a server waits.
    is_late: bool,
    pub(super) close_code: ws::CloseCode,
    upgraded: bool,
    /// The stream which is being read must not be kept.
    pub(super) stream_refused: bool,
    /// A request was begun which was not polled yet.
    pub(super) started: bool,
    /// Something was not read in this turn, because handlers or readers were far behind.
    pub(super) is_held_up: bool,
    pub(super) ages: Ages,
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carrier").field("end", &self.end).finish_non_exhaustive()
    }
}

impl Carrier {
    /// A session which begins with a GET.
    pub(crate) fn polling(site: Arc<Site>, now: Instant) -> Self {
        let polling = Polling::new(Arc::clone(&site));
        Self::new(site, Lane::Polling, Some(polling), None, now)
    }

    /// A session on a WebSocket which was opened for it.
    pub(crate) fn streaming(site: Arc<Site>, stream: WebSocket, now: Instant) -> Self {
        Self::new(site, Lane::Stream, None, Some(stream), now)
    }

    fn new(site: Arc<Site>, lane: Lane, polling: Option<Polling>, stream: Option<WebSocket>, now: Instant) -> Self {
        Self {
            session: Session::connect(Arc::clone(&site.config.engine), site.config.revision, lane, now),
            max_post: usize::MAX,
            site,
            polling,
            stream,
            upgrade: None,
            is_open: false,
            end: End::default(),
            doubt: Doubt::default(),
            ping_interval: Duration::ZERO,
            ping_timeout: Duration::ZERO,
            is_late: false,
            close_code: ws::CloseCode::NORMAL,
            upgraded: false,
            stream_refused: false,
            started: false,
            is_held_up: false,
            ages: Ages::new(now),
        }
    }

    /// Reads, thinks and writes as far as it can without waiting.
    pub(crate) fn turn(&mut self, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        self.is_held_up = false;
        if self.end.parting().is_some() {
            return self.part(now, cx);
        }
        self.note_lateness(now);
        self.poll_upgrade(now, cx);
        self.read_polling(upper, now, cx);
        self.read_stream(upper, now, cx);
        if self.session.poll_timeout().is_some_and(|deadline| deadline <= now) {
            if upper.is_congested() {
                // The server's ping may be among what is not being read.
                self.session.handle_activity(now);
            }
            self.session.handle_timeout(now);
        }
        self.follow(upper, now);
        self.ask(upper, now);
        self.write_polling(upper, now);
        self.write_stream(upper, now, cx);
        self.follow(upper, now);
    }

    /// Doubts when this side has been stopped for so long that the server may have given it up: the ping which is about to
    /// be read may be an old one. A quarter of `ping_timeout` is for the way of the packets by which both count.
    fn note_lateness(&mut self, now: Instant) {
        let given_up = self.session.poll_timeout().map(|due| match self.session.revision() {
            // What is due is a ping of this side; only its answer has a limit.
            Revision::V3 => after(due, self.ping_timeout),
            Revision::V4 => due,
        });
        let is_late = given_up.is_some_and(|given_up| after(now, self.ping_timeout / 4) >= given_up);
        // Once, and not again when the server has answered.
        if is_late && !self.is_late {
            self.doubt();
        }
        self.is_late = is_late;
    }

    /// Asks the server whether it is still there, if that is in doubt; without an answer it is not.
    fn ask(&mut self, upper: &impl Upper, now: Instant) {
        if upper.is_congested() {
            self.doubt.put_off(now);
        } else if self.doubt.is_confirmed(now) {
            self.break_off(CloseReason::PingTimeout, self.ages.ping_timeout(now));
        }
        let lane = self.session.data_lane().filter(|_| self.doubt.is_new());
        match (lane, &mut self.stream, &mut self.polling) {
            (Some(Lane::Stream), Some(stream), _) => stream.ping(CHECK),
            // One is under way: if its answer does not come, this one's would not either.
            (Some(Lane::Polling), _, Some(polling)) if polling.is_writable() => {
                polling.check();
                self.started = true;
            }
            (Some(Lane::Polling), _, Some(_)) => {}
            // In the middle of an upgrade nothing is sent, and it has a limit of its own.
            _ => return,
        }
        self.doubt.asked(now);
    }

    /// Takes over what the session has decided.
    pub(super) fn follow(&mut self, upper: &mut impl Upper, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Opened(open) => self.opened(&open, upper, now),
                Event::Upgraded => {
                    tracing::debug!("upgraded to WebSocket");
                    self.polling = None;
                    self.upgraded = true;
                    // What was asked by polling is answered by nobody now.
                    self.doubt.renew();
                }
                Event::UpgradeFailed => {
                    tracing::debug!("the upgrade to WebSocket failed; polling goes on");
                    // While its bytes are being read it is in other hands.
                    self.stream_refused = self.stream.take().is_none();
                }
                Event::Closed(reason) => {
                    if reason == CloseReason::PingTimeout {
                        self.end.blame(ConnectError::ended(self.ages.ping_timeout(now)));
                    }
                    let is_asked = self.polling.as_ref().is_some_and(|polling| !polling.is_writable());
                    self.end.came(reason, is_asked, now);
                }
            }
        }
    }

    /// Waits for the answer to the last POST.
    fn part(&mut self, now: Instant, cx: &mut Context<'_>) {
        let answer = self.polling.as_mut().map_or(Poll::Ready(Ok(())), |polling| polling.poll_post(cx));
        match answer {
            Poll::Pending if self.end.parting().is_some_and(|deadline| now < deadline) => return,
            Poll::Ready(Err(error)) => self.blame(error),
            _ => {}
        }
        self.end.part();
    }

    /// Notes what went wrong, if it has ended the session. Of what is only probed nobody wants to know.
    pub(super) fn blame(&mut self, error: ConnectError) {
        if self.session.is_closed() {
            self.end.blame(error);
        }
    }

    /// The server did what it must not.
    pub(super) fn break_off(&mut self, reason: CloseReason, cause: impl Into<Cause>) {
        // What came after the end did not cause it.
        if !self.session.is_closed() {
            self.session.close(reason);
            self.blame(ConnectError::ended(cause.into()));
        }
    }

    fn opened(&mut self, open: &Open, upper: &mut impl Upper, now: Instant) {
        self.is_open = true;
        (self.ping_interval, self.ping_timeout) = (open.ping_interval, open.ping_timeout);
        self.max_post = open.max_payload.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let config = &self.site.config;
        if let Some(polling) = &mut self.polling {
            polling.set_sid(open.sid.as_str());
            let offered = config.upgrade && open.upgrades.contains(&TransportName::Websocket);
            if offered && config.transports.contains(&Transport::Websocket) {
                let (site, sid) = (Arc::clone(&self.site), open.sid.as_str().to_owned());
                self.upgrade = Some(Box::pin(WebSocket::open_for(sid, site)));
                self.started = true;
            }
        }
        upper.opened(open, now);
    }

    fn poll_upgrade(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Some(upgrade) = &mut self.upgrade else { return };
        let Poll::Ready(opened) = upgrade.as_mut().poll(cx) else { return };
        self.upgrade = None;
        match opened {
            Ok(stream) => {
                if self.session.handle_stream_open(now).is_ok() {
                    self.stream = Some(stream);
                }
            }
            Err(error) => tracing::debug!(%error, "no upgrade to WebSocket; polling goes on"),
        }
    }

    /// Ends the session from this side; what was given to it is still sent. Go on with [`Self::poll_finished`].
    pub(crate) fn close(&mut self) {
        self.session.close(CloseReason::Forced);
        self.upgrade = None;
    }

    /// Sends what is left and closes the transports. Ready when nothing remains to be done.
    pub(crate) fn poll_finished(&mut self, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.turn(upper, now, cx);
        if self.session.is_finished() {
            let posted = self.polling.as_ref().is_none_or(Polling::is_writable);
            let Some(stream) = &mut self.stream else {
                return if posted { Poll::Ready(()) } else { Poll::Pending };
            };
            stream.say_close(ws::CloseCode::NORMAL);
            return stream.poll_closed(cx).map(drop);
        }
        Poll::Pending
    }

    /// Lets go of everything at once; a WebSocket is told so if that needs no waiting.
    pub(crate) fn abandon(mut self, cx: &mut Context<'_>) {
        if let Some(stream) = &mut self.stream
            && self.end.reason() != Some(CloseReason::PingTimeout)
        {
            stream.say_close(self.close_code);
            // Nobody waits for a server with which something is wrong.
            let _ = stream.poll_write(cx);
        }
    }

    /// Whether the server is still there must be asked before anything more is sent.
    pub(crate) fn doubt(&mut self) {
        if self.is_open {
            self.doubt.raise(PATIENCE);
        }
    }

    /// The same after a sleep of so long, or after the clock was set. If it was too short for the server to have given this
    /// client up, a server that does not answer may be there, with handlers that are far behind: it reads nothing then,
    /// and is heard of by its next ping.
    pub(crate) fn doubt_after(&mut self, sleep: Duration) {
        let is_given_up = sleep >= self.ping_interval.saturating_add(self.ping_timeout);
        let patience = if is_given_up { PATIENCE } else { self.ping_interval.saturating_add(PATIENCE) };
        if self.is_open {
            self.doubt.raise(patience);
        }
    }

    /// Ends the session as if the server had gone, for a reason of the layer above.
    pub(crate) fn fail(&mut self, cause: Cause) {
        self.break_off(CloseReason::ParseError, cause);
        self.end.force(CloseReason::ParseError);
    }

    /// Why the session has ended, if it has.
    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.end.reason()
    }

    pub(crate) fn take_failure(&mut self) -> Option<ConnectError> {
        self.end.take_failure()
    }

    /// How long nothing has passed in either direction.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        self.ages.idle(now)
    }

    /// Whether the server's handshake has arrived.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether messages have travelled by WebSocket.
    pub(crate) fn is_streaming(&self) -> bool {
        self.upgraded || (self.is_open && self.polling.is_none())
    }

    /// Whether a packet would be sent at once.
    pub(crate) fn is_writable(&self) -> bool {
        match self.session.data_lane() {
            _ if self.doubt.is_any() => false,
            Some(Lane::Stream) => self.stream.as_ref().is_some_and(WebSocket::is_flushed),
            Some(Lane::Polling) => self.polling.as_ref().is_some_and(Polling::is_writable),
            None => false,
        }
    }

    /// Whether something was begun that needs another turn to get under way.
    pub(crate) fn take_started(&mut self) -> bool {
        std::mem::take(&mut self.started)
    }

    /// Whether the last turn left something unread because of [`Upper::is_congested`]. Nothing will tell that it is
    /// there: another turn is needed as soon as there is room.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_held_up
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let session = self.session.poll_timeout().into_iter().chain(self.doubt.deadline()).min();
        self.end.parting().or(session)
    }
}
