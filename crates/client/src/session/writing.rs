//! What a session sends: packets → bodies of POSTs, or frames.

use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_engine::{CloseReason, Encoded, Lane, Session};

use super::carrier::Carrier;
use super::doubt::Doubt;
use super::upper::Upper;

impl Carrier {
    pub(super) fn write_polling(&mut self, upper: &mut impl Upper, now: Instant) {
        let Some(polling) = &mut self.polling else { return };
        if self.session.poll_request() {
            polling.get();
            self.ages.note_sent(now);
            self.started = true;
        }
        if !polling.is_writable() {
            return;
        }
        let (mut packets, mut bytes) = (Vec::new(), 0);
        loop {
            if self.session.peek_transmit(Lane::Polling).is_none() {
                pull(&mut self.session, self.doubt, Lane::Polling, upper);
            }
            let Some(size) = self.session.peek_transmit(Lane::Polling) else { break };
            // What is too large in one piece, other than CONNECT, does not come here; that is the server's to refuse.
            bytes += 1 + size;
            if !packets.is_empty() && bytes > self.max_post {
                break;
            }
            let Some(packet) = self.session.poll_transmit(Lane::Polling) else { break };
            packets.push(packet);
        }
        if !packets.is_empty() {
            self.session.finish_post();
            polling.post(&packets);
            self.ages.note_sent(now);
            self.started = true;
        }
    }

    pub(super) fn write_stream(&mut self, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        let Some(stream) = &mut self.stream else { return };
        loop {
            while !stream.is_full() {
                let packet: Encoded = match self.session.poll_transmit(Lane::Stream) {
                    Some(packet) => packet,
                    None if pull(&mut self.session, self.doubt, Lane::Stream, upper) => continue,
                    None => break,
                };
                stream.put(&packet);
            }
            if stream.is_flushed() {
                return;
            }
            let before = stream.unwritten();
            let written = stream.poll_write(cx);
            if stream.unwritten() < before {
                self.ages.note_sent(now);
                // The question stands behind what is on its way, and that moves on.
                self.doubt.put_off(now);
            }
            match written {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.stream_failed(CloseReason::TransportError, error, now),
            }
        }
    }
}

/// Gives the session the next packet if `lane` can carry it now; false if there is none.
fn pull(session: &mut Session, doubt: Doubt, lane: Lane, upper: &mut impl Upper) -> bool {
    // What is given to a connection which turns out to be dead is lost.
    if doubt.is_any() || session.data_lane() != Some(lane) {
        return false;
    }
    let Some(packet) = upper.next_packet(lane) else { return false };
    packet.messages().cloned().for_each(|message| session.send(message));
    true
}
