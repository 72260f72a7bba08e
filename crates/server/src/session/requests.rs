//! HTTP requests, as the task of their session serves them.                               [EIO4 "HTTP long-polling"]

use std::task::Context;
use std::time::Instant;

use bytes::Bytes;
use sockeye_engine::{CloseReason, Lane, Packet, ProtocolError, Revision, payload, payload_v3};

use super::body::Fault;
use super::task::{Task, reply};
use crate::link::{Answer, Request};
use crate::transport::carrier::Carrier;

impl Task {
    /// HTTP requests.
    pub(super) fn serve(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Fault> {
        let requests = std::mem::take(&mut self.requests);
        for request in self.deferred.take().map(|deferred| *deferred).into_iter().chain(requests) {
            if self.body.session.is_finished() {
                // Whoever asks for a session that has just ended is told so when the request is dropped.
                continue;
            }
            self.serve_one(request, now, cx)?;
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
            Request::PollGone => {
                self.poll = None;
                self.body.session.handle_lane_closed(now, Lane::Polling, CloseReason::TransportError);
            }
            Request::Post { body, answer, .. } if self.body.session.is_closed() => {
                // Nothing is heard any more; but a client that leaves as well need not be waited for.
                let leaves = payload::Packets::new(&body).is_ok_and(|all| all.flatten().any(|p| p == Packet::Close));
                self.closing = if leaves { Some(now) } else { self.closing };
                reply(answer, Answer::Taken);
            }
            Request::Post { .. } if self.body.is_congested() => self.deferred = Some(Box::new(request)),
            Request::Post { body, binary, answer } => {
                // As the official server: the request itself has succeeded, whatever the packets turn out to be.
                // But a limit is told to whoever ran into it, which CLOSE cannot.
                let result = self.receive_payload(&body, binary, now, cx);
                if let Err(Fault::Engine(ProtocolError::WrongTransport)) = result {
                    reply(answer, Answer::BadRequest);
                    return Ok(());
                }
                let limit = result.as_ref().err().and_then(|fault| fault.limit(&self.body.link));
                reply(answer, limit.map_or(Answer::Taken, Answer::TooMuch));
                return result;
            }
            Request::Misused => return Err(Fault::Transport),
            Request::Upgrade(stream) => {
                if self.body.session.handle_stream_open(now).is_ok() {
                    self.stream = Some(*stream);
                } else {
                    self.body.link.set_carrier(Carrier::Polling);
                }
            }
            Request::UpgradeGone => self.body.link.set_carrier(Carrier::Polling),
        }
        Ok(())
    }

    fn receive_payload(&mut self, body: &Bytes, binary: bool, now: Instant, cx: &mut Context<'_>) -> Result<(), Fault> {
        match self.body.link.revision {
            Revision::V3 => {
                let packets = payload_v3::Packets::new(body, binary).map_err(Fault::Engine)?;
                self.receive_all(packets, now, cx)
            }
            Revision::V4 => self.receive_all(payload::Packets::new(body).map_err(Fault::Engine)?, now, cx),
        }
    }

    fn receive_all<'a>(
        &mut self,
        packets: impl Iterator<Item = Result<Packet<'a>, ProtocolError>>,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<(), Fault> {
        for packet in packets {
            self.body.receive(now, Lane::Polling, packet.map_err(Fault::Engine)?, cx)?;
        }
        Ok(())
    }
}
