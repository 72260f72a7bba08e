//! What comes to a carrier: bytes → frames → packets → messages.

use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_engine::{CloseReason, Lane, Packet, ProtocolError, Revision, payload, payload_v3, ws};

use super::carrier::{CHECK, Carrier};
use super::upper::Upper;
use crate::cause::Cause;
use crate::error::ConnectError;
use crate::transport::polling::is_revision_3;
use crate::transport::websocket::{WebSocket, lend_read_buffer};

/// The stream has ended without a word.
const EOF: io::ErrorKind = io::ErrorKind::UnexpectedEof;
/// Reads within one turn.
const READS: usize = 4;

impl Carrier {
    pub(super) fn read_polling(&mut self, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        if let Some(polling) = &mut self.polling
            && let Poll::Ready(taken) = polling.poll_post(cx)
        {
            match taken {
                Ok(()) => {
                    if polling.is_checked() {
                        self.doubt.settle();
                    } else {
                        // It was asked for something before there was doubt, and may have answered then.
                        self.doubt.renew();
                    }
                    self.ages.note_heard(now);
                    self.session.handle_post_done(now);
                }
                Err(error) => self.lane_failed(error, now),
            }
        }
        if upper.is_congested() {
            self.is_held_up = true;
            return;
        }
        if let Some(polling) = &mut self.polling
            && let Poll::Ready(body) = polling.poll_get(cx)
        {
            self.doubt.heard(now);
            match body {
                Ok(body) => {
                    self.ages.note_heard(now);
                    self.receive_payload(&body, upper, now, cx);
                }
                Err(error) => self.lane_failed(error, now),
            }
        }
    }

    fn lane_failed(&mut self, error: ConnectError, now: Instant) {
        tracing::debug!(%error, "long-polling failed");
        self.polling = None;
        self.session.handle_lane_closed(now, Lane::Polling, CloseReason::TransportError);
        self.blame(error);
    }

    fn receive_payload(&mut self, body: &[u8], upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        let revision = self.session.revision();
        if revision == Revision::V4 && !self.is_open && is_revision_3(body) {
            self.end.blame(ConnectError::old_server());
            return self.session.close(CloseReason::ParseError);
        }
        let taken = match revision {
            Revision::V3 => {
                payload_v3::Packets::new(body, false).map(|packets| self.receive_all(packets, upper, now, cx))
            }
            Revision::V4 => payload::Packets::new(body).map(|packets| self.receive_all(packets, upper, now, cx)),
        };
        match taken.flatten() {
            Ok(()) => self.session.handle_poll_done(now),
            Err(error) => self.break_off(error.close_reason(), error),
        }
    }

    fn receive_all<'a>(
        &mut self,
        packets: impl Iterator<Item = Result<Packet<'a>, ProtocolError>>,
        upper: &mut impl Upper,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<(), ProtocolError> {
        for packet in packets {
            self.receive(Lane::Polling, packet?, upper, now, cx);
        }
        Ok(())
    }

    /// A packet arrived: its message goes up.
    fn receive(&mut self, lane: Lane, packet: Packet<'_>, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        if matches!(packet, Packet::Ping(_)) {
            self.ages.note_pinged(now);
        }
        match self.session.handle_packet(now, lane, packet) {
            Ok(Some(message)) => {
                if let Err(cause) = upper.received(message, now, cx) {
                    self.break_off(CloseReason::ParseError, cause);
                }
            }
            Ok(None) => self.follow(upper, now),
            // A late packet on a lane that is being left does no harm; all other errors have closed the session.
            Err(error) => {
                tracing::debug!(%error, "the server broke the protocol");
                self.blame(ConnectError::ended(error.into()));
            }
        }
    }

    pub(super) fn read_stream(&mut self, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        if self.stream.is_none() || self.session.is_closed() {
            return;
        }
        lend_read_buffer(|buffer| {
            for _ in 0..READS {
                self.is_held_up |= upper.is_congested();
                if self.is_held_up || self.session.is_closed() {
                    return;
                }
                let Some(stream) = &mut self.stream else { return };
                match stream.poll_read(cx, buffer) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(n)) if n > 0 => {
                        self.ages.note_heard(now);
                        self.receive_bytes(buffer.get_mut(..n).unwrap_or_default(), upper, now, cx);
                    }
                    Poll::Ready(Ok(_)) => self.stream_failed(CloseReason::TransportClose, EOF.into(), now),
                    Poll::Ready(Err(error)) => self.stream_failed(CloseReason::TransportError, error, now),
                }
            }
            // There may be more: come back after the others have had their turn.
            cx.waker().wake_by_ref();
        });
    }

    /// Frames → packets → messages.
    fn receive_bytes(&mut self, bytes: &mut [u8], upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        // The decoder is taken out while messages go up, because what it gives borrows from it.
        let Some(mut stream) = self.stream.take() else { return };
        self.stream_refused = false;
        self.doubt.heard(now);
        let mut at = 0;
        while !self.session.is_closed()
            && let Some(rest @ [_, ..]) = bytes.get_mut(at..)
        {
            let (used, item) = match stream.decoder.decode(rest) {
                Ok(decoded) => decoded,
                Err(error) => {
                    self.close_code = error.close_code();
                    tracing::debug!(%error, "the server broke the WebSocket protocol");
                    self.put_back(stream);
                    return self.stream_gone(CloseReason::TransportError, ConnectError::ended(error.into()), now);
                }
            };
            at += used;
            let packet = match item {
                Some(ws::Item::Text(text)) if self.session.revision() == Revision::V3 => Packet::decode_text_v3(text),
                Some(ws::Item::Text(text)) => Packet::decode_text(text),
                Some(ws::Item::Binary(binary)) => Packet::decode_binary(binary, self.session.revision()),
                Some(ws::Item::Ping(payload)) => {
                    let payload = payload.to_vec();
                    stream.pong(&payload);
                    continue;
                }
                Some(ws::Item::Close(said)) => {
                    let cause = Cause::closed(said);
                    self.put_back(stream);
                    return self.stream_gone(CloseReason::TransportClose, ConnectError::ended(cause), now);
                }
                item @ (Some(ws::Item::Pong(_)) | None) => {
                    if matches!(item, Some(ws::Item::Pong(CHECK))) {
                        self.doubt.settle();
                    }
                    self.session.handle_activity(now);
                    continue;
                }
            };
            match packet {
                Ok(packet) => self.receive(Lane::Stream, packet, upper, now, cx),
                Err(error) => self.break_off(error.close_reason(), error),
            }
        }
        self.put_back(stream);
    }

    fn put_back(&mut self, stream: WebSocket) {
        if !self.stream_refused {
            self.stream = Some(stream);
        }
    }

    /// The stream has ended: with it the session, unless it was only being probed.
    fn stream_gone(&mut self, reason: CloseReason, error: ConnectError, now: Instant) {
        self.session.handle_lane_closed(now, Lane::Stream, reason);
        if self.session.is_closed() {
            self.blame(error);
        } else {
            tracing::debug!(%error, "the WebSocket that was to be upgraded to has ended");
            self.stream = None;
        }
    }

    pub(super) fn stream_failed(&mut self, reason: CloseReason, error: io::Error, now: Instant) {
        self.stream_gone(reason, ConnectError::io("the WebSocket failed", error), now);
    }
}
