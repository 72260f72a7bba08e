//! What a waiting GET is answered with.                                                  [EIO4 "HTTP long-polling"]

use std::time::Instant;

use sockeye_engine::{Encoded, Lane, Revision, payload, payload_v3};

use super::body::Body;
use crate::link::Answer;

/// Everything that is due, up to about one `max_payload`; `None` if nothing is.
pub(super) fn collect(session: &mut Body, now: Instant) -> Option<Answer> {
    if session.link.revision == Revision::V3 { collect_v3(session, now) } else { collect_v4(session, now) }
}

fn collect_v4(session: &mut Body, now: Instant) -> Option<Answer> {
    let limit = session.core.config.engine.max_payload;
    let (mut body, mut compress) = (Vec::new(), false);
    let mut append = |body: &mut Vec<u8>, packet: &Encoded| {
        payload::append(body, packet);
        compress |= packet.may_compress();
    };
    while let Some(packet) = session.control(Lane::Polling, now) {
        append(&mut body, &packet);
    }
    if session.session.data_lane() == Some(Lane::Polling) {
        session.drain(|packet| {
            packet.messages().for_each(|message| append(&mut body, message));
            body.len() < limit
        });
    }
    (!body.is_empty()).then(|| Answer::Packets { body: body.into(), binary: false, compress })
}

fn collect_v3(session: &mut Body, now: Instant) -> Option<Answer> {
    let limit = session.core.config.engine.max_payload;
    let mut packets: Vec<Encoded> = Vec::new();
    while let Some(packet) = session.control(Lane::Polling, now) {
        packets.push(packet);
    }
    if session.session.data_lane() == Some(Lane::Polling) {
        let mut size = 0;
        session.drain(|packet| {
            size += packet.size();
            packets.extend(packet.messages().cloned());
            size < limit
        });
    }
    if packets.is_empty() {
        return None;
    }
    let mut body = Vec::new();
    let binary = payload_v3::encode(&mut body, &packets, session.link.takes_binary);
    let compress = packets.iter().any(Encoded::may_compress);
    Some(Answer::Packets { body: body.into(), binary, compress })
}
