//! HTTP requests, as the task of their session serves them.                               [EIO4 "HTTP long-polling"]

use std::io;
use std::task::Context;
use std::time::Instant;

use bytes::Bytes;
use futures_channel::oneshot;
use sockeye_engine::{CloseReason, Lane, Packet, ProtocolError, Revision, payload, payload_v3};

use super::fault::Fault;
use super::task::{Task, reply};
use crate::cause::Cause;
use crate::link::{Answer, Request};
use crate::transport::carrier::Carrier;

impl Task {
    /// HTTP requests.
    pub(super) fn serve(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Fault> {
        let requests = std::mem::take(&mut self.requests);
        if requests.iter().any(is_of_client) {
            self.body.note_heard(now);
        }
        for request in self.deferred.take().map(|deferred| *deferred).into_iter().chain(requests) {
            if self.body.session.is_finished() {
                // Whoever asks for a session that has just ended is told so when the request is dropped.
                continue;
            }
            self.serve_one(request, now, cx)?;
        }
        if let Some(Request::Post { answer, .. }) = self.deferred.as_deref_mut()
            && answer.poll_canceled(cx).is_ready()
        {
            // The client has given up its request: what it said will not be heard to the end.
            return Err(Fault::io(io::ErrorKind::ConnectionAborted));
        }
        Ok(())
    }

    fn serve_one(&mut self, request: Request, now: Instant, cx: &mut Context<'_>) -> Result<(), Fault> {
        match request {
            Request::Poll(answer) => match self.body.session.handle_poll(now) {
                Ok(()) => self.poll = Some(answer),
                Err(error) => {
                    reply(answer, Answer::BadRequest);
                    if matches!(error, ProtocolError::OverlappingPoll) {
                        return Err(Fault::Engine(error));
                    }
                }
            },
            Request::PollEnded => {
                // It gets what there is. As the official server, it is not waited with: who closes a page does the same.
                self.answer_poll(now);
                if self.poll.is_some() {
                    self.poll_gone(now);
                }
            }
            Request::PollGone => self.poll_gone(now),
            Request::Post { body, answer, .. } if self.body.session.is_closed() => {
                // Nothing is heard any more; but a client that leaves as well need not be waited for.
                let leaves = payload::Packets::new(&body).is_ok_and(|all| all.flatten().any(|p| p == Packet::Close));
                self.closing = if leaves { Some(now) } else { self.closing };
                reply(answer, Answer::Taken);
            }
            Request::Post { .. } if self.body.is_congested() => self.deferred = Some(Box::new(request)),
            Request::Post { body, binary, begun, answer } => {
                return self.take_post(body, binary, begun, answer, now, cx);
            }
            Request::Activity => self.body.session.handle_activity(now),
            Request::Failed(cause) => return Err(Fault::Transport(Box::new(cause))),
            Request::Upgrade(stream) => {
                if self.body.session.handle_stream_open(now).is_ok() {
                    self.stream = Some(*stream);
                } else {
                    self.upgrade_gone();
                }
            }
            Request::UpgradeGone => self.upgrade_gone(),
        }
        Ok(())
    }

    fn poll_gone(&mut self, now: Instant) {
        self.poll = None;
        let cause = || Cause::Io(io::ErrorKind::ConnectionAborted);
        self.lane_gone(Lane::Polling, CloseReason::TransportError, cause, now);
    }

    /// No stream comes of an upgrade that was begun: polling goes on.
    fn upgrade_gone(&mut self) {
        self.body.core.metrics.upgrades_failed.up();
        self.body.link.set_carrier(Carrier::Polling);
    }

    /// Takes the packets of a POST; if that puts the handlers too far behind, the rest waits.
    fn take_post(
        &mut self,
        body: Bytes,
        binary: bool,
        begun: bool,
        answer: oneshot::Sender<Answer>,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        // As the official server: the request itself has succeeded, whatever the packets turn out to be.
        // But a limit is told to whoever ran into it, which CLOSE cannot.
        let result = match self.receive_payload(&body, binary, begun, now, cx) {
            Ok(Some(rest)) => {
                let body = body.slice(body.len() - rest..);
                self.deferred = Some(Box::new(Request::Post { body, binary, begun: true, answer }));
                return Ok(());
            }
            Err(Fault::Engine(ProtocolError::WrongTransport)) => {
                reply(answer, Answer::BadRequest);
                return Ok(());
            }
            // It may have been half of a packet.
            Ok(None) => self.hold(),
            Err(fault) => Err(fault),
        };
        let excess = result.as_ref().err().and_then(|fault| fault.excess(&self.body.link));
        reply(answer, excess.map_or(Answer::Taken, |excess| Answer::TooMuch(excess.limit)));
        result
    }

    /// Takes packets until the handlers are too far behind; how many bytes were left.
    fn receive_payload(
        &mut self,
        body: &[u8],
        binary: bool,
        begun: bool,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<Option<usize>, Fault> {
        if !begun {
            self.body.measure_bytes(Lane::Polling, body.len(), now)?;
        }
        let mut packets = Packets::new(self.body.link.revision, body, binary, begun).map_err(Fault::Engine)?;
        while let Some(packet) = packets.next() {
            self.body.receive(now, Lane::Polling, packet.map_err(Fault::Engine)?, cx)?;
            if self.body.is_congested() {
                return Ok(packets.rest().map(<[u8]>::len));
            }
        }
        Ok(None)
    }
}

/// Whether the client has said something by it.
fn is_of_client(request: &Request) -> bool {
    !matches!(request, Request::Failed(_) | Request::PollGone | Request::UpgradeGone)
}

/// The packets of a body, in either revision.
enum Packets<'a> {
    V3(payload_v3::Packets<'a>),
    V4(payload::Packets<'a>),
}

impl<'a> Packets<'a> {
    fn new(revision: Revision, body: &'a [u8], binary: bool, begun: bool) -> Result<Self, ProtocolError> {
        Ok(match (revision, begun) {
            (Revision::V3, true) => Self::V3(payload_v3::Packets::resume(body, binary)),
            (Revision::V3, false) => Self::V3(payload_v3::Packets::new(body, binary)?),
            (Revision::V4, true) => Self::V4(payload::Packets::resume(body)),
            (Revision::V4, false) => Self::V4(payload::Packets::new(body)?),
        })
    }

    fn next(&mut self) -> Option<Result<Packet<'a>, ProtocolError>> {
        match self {
            Self::V3(packets) => packets.next(),
            Self::V4(packets) => packets.next(),
        }
    }

    fn rest(&self) -> Option<&'a [u8]> {
        match self {
            Self::V3(packets) => packets.rest(),
            Self::V4(packets) => packets.rest(),
        }
    }
}
