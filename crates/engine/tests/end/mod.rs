//! One end of a connection, driven by hand: wire text in, wire text out, and a clock that moves when told.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use sockeye_engine::time::{Duration, Instant};
use sockeye_engine::{
    CloseReason, Config, Encoded, Event, Lane, Message, Packet, ProtocolError, Revision, Session, Sid, payload,
    payload_v3,
};

pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) now: Instant,
}

/// The times of the official suites.
pub(crate) fn config() -> Config {
    Config {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        upgrade_timeout: Duration::from_millis(150),
        ..Config::default()
    }
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl End {
    /// A server whose client opened it by polling and has read OPEN.
    pub(crate) fn server() -> Self {
        let mut end = Self::accepted(Revision::V4, Lane::Polling);
        assert_eq!(end.get(), Ok(Some(OPEN.to_owned())));
        end
    }

    /// A server whose client opened it by WebSocket and has read OPEN.
    pub(crate) fn stream_server() -> Self {
        let mut end = Self::accepted(Revision::V4, Lane::Stream);
        assert_eq!(end.frames(), [OPEN.replace("\"websocket\"", "")]);
        end
    }

    /// A server, nothing transmitted yet.
    pub(crate) fn accepted(revision: Revision, lane: Lane) -> Self {
        let now = Instant::now();
        let sid = Sid::new("lv_VI97HAXpY6yYWAAAC");
        Self { session: Session::accept(Arc::new(config()), revision, &sid, lane, now), now }
    }

    /// A client which waits for OPEN.
    pub(crate) fn connecting(revision: Revision, lane: Lane) -> Self {
        let now = Instant::now();
        Self { session: Session::connect(Arc::new(config()), revision, lane, now), now }
    }

    /// A client whose first poll was answered with OPEN.
    pub(crate) fn client() -> Self {
        let mut end = Self::connecting(Revision::V4, Lane::Polling);
        assert!(end.session.poll_request());
        assert_eq!(end.answer(OPEN), Ok(vec![]));
        assert!(matches!(end.events()[..], [Event::Opened(_)]));
        end
    }

    /// Server: a GET arrives; its answer, if there is one at once.
    pub(crate) fn get(&mut self) -> Result<Option<String>, ProtocolError> {
        self.session.handle_poll(self.now)?;
        Ok(self.polled())
    }

    /// Server: the answer of the waiting GET, if there is something to say.
    pub(crate) fn polled(&mut self) -> Option<String> {
        let body = self.body();
        if body.is_some() {
            self.session.finish_poll();
        }
        body
    }

    /// Client: the body of a POST which is sent now.
    pub(crate) fn posted(&mut self) -> Option<String> {
        let body = self.body();
        self.session.finish_post();
        body
    }

    fn body(&mut self) -> Option<String> {
        let mut packets = Vec::new();
        while let Some(packet) = self.session.poll_transmit(Lane::Polling) {
            packets.push(packet);
        }
        let mut body = Vec::new();
        match self.session.revision() {
            Revision::V4 => {
                for packet in &packets {
                    payload::append(&mut body, packet);
                }
            }
            Revision::V3 => assert!(!payload_v3::encode(&mut body, &packets, false)),
        }
        if body.is_empty() { None } else { Some(String::from_utf8(body).unwrap()) }
    }

    /// A POST arrives at the server: its messages.
    pub(crate) fn post(&mut self, body: &str) -> Result<Vec<String>, ProtocolError> {
        let body = body.as_bytes();
        match self.session.revision() {
            Revision::V4 => self.hand_over(payload::Packets::new(body)),
            Revision::V3 => self.hand_over(payload_v3::Packets::new(body, false)),
        }
    }

    /// The answer of a GET arrives at the client: its messages.
    pub(crate) fn answer(&mut self, body: &str) -> Result<Vec<String>, ProtocolError> {
        let messages = self.post(body);
        self.session.handle_poll_done(self.now);
        messages
    }

    fn hand_over<'a>(
        &mut self,
        packets: Result<impl Iterator<Item = Result<Packet<'a>, ProtocolError>>, ProtocolError>,
    ) -> Result<Vec<String>, ProtocolError> {
        let mut messages = Vec::new();
        for packet in packets.inspect_err(|error| self.session.close(error.close_reason()))? {
            let packet = packet.inspect_err(|error| self.session.close(error.close_reason()))?;
            messages.extend(self.session.handle_packet(self.now, Lane::Polling, packet)?.map(show));
        }
        Ok(messages)
    }

    /// A text frame arrives: its message.
    pub(crate) fn frame(&mut self, text: &str) -> Result<Option<String>, ProtocolError> {
        let packet = Packet::decode_text(text).inspect_err(|error| self.session.close(error.close_reason()))?;
        Ok(self.session.handle_packet(self.now, Lane::Stream, packet)?.map(show))
    }

    /// The packets which go out by stream now.
    pub(crate) fn frames(&mut self) -> Vec<String> {
        let packets = std::iter::from_fn(|| self.session.poll_transmit(Lane::Stream));
        packets.map(|packet| String::from_utf8(packet.packet().to_vec()).unwrap()).collect()
    }

    pub(crate) fn send(&mut self, message: &str) {
        self.session.send(Encoded::text(message));
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// Opens a stream beside polling.
    pub(crate) fn open_stream(&mut self) -> Result<(), ProtocolError> {
        self.session.handle_stream_open(self.now)
    }

    /// The transport of `lane` is closed by the network.
    pub(crate) fn cut(&mut self, lane: Lane) {
        self.session.handle_lane_closed(self.now, lane, CloseReason::TransportClose);
    }

    /// Lets time pass, with every timer on time.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
        }
        self.now = end;
    }
}

fn show(message: Message<'_>) -> String {
    match message {
        Message::Text(text) => text.to_owned(),
        Message::Binary(bytes) => format!("{bytes:?}"),
    }
}

pub(crate) const OPEN: &str = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}"#;
