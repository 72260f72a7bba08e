//! Two sessions and a hostile network: requests, frames and times in any order, some of them forged.

use std::collections::VecDeque;
use std::sync::Arc;

use sockeye_engine::time::{Duration, Instant};
use sockeye_engine::{
    CloseReason, Config, Encoded, Event, Lane, Message, Packet, Revision, Role, Session, Sid, payload,
};

use crate::input::{Input, text};
use crate::target::Target;

pub(crate) const SESSION: Target = Target {
    name: "session",
    run: session,
    // Operations: see `World::step`. Low bits choose, high bits choose the side where there is a choice.
    seeds: &[
        b"\x00\x01\x02\x03\x00\x01\x02\x03",
        b"\x00\x01\x02\x03\x05\x15\x00\x01\x02\x03\x06\x07\x07\x07\x07\x05\x15\x07\x07\x00\x01\x02\x03",
        b"\x00\x01\x02\x03\x06\x07\x08\xff\x08\xff\x08\xff",
        b"\x00\x01\x02\x03\x09\x054abc\x0a\x19\x00\x01\x02\x03",
        b"\x00\x01\x02\x03\x0b\x062probe\x0b\x015\x06\x0b\x062probe\x0b\x015\x0b\x054hey",
    ],
    mutations: 1_000,
};

fn session(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new();
    while !input.is_empty() {
        world.step(&mut input);
        world.check();
    }
    world.end();
}

struct World {
    now: Instant,
    client: Session,
    server: Session,
    /// Frames on the stream, by sender.
    to_server: VecDeque<(bool, Vec<u8>)>,
    to_client: VecDeque<(bool, Vec<u8>)>,
    /// Answer to the GET that the client waits for.
    answer: Option<Vec<u8>>,
    get_is_out: bool,
    post: Option<Vec<u8>>,
    /// Nobody has forged or lost anything so far: then order and completeness hold.
    honest: bool,
    sent: [u32; 2],
    received: [u32; 2],
}

impl World {
    fn new() -> Self {
        let (now, config) = (Instant::now(), Arc::new(config()));
        let sid = Sid::new("lv_VI97HAXpY6yYWAAAC");
        Self {
            now,
            client: Session::connect(Arc::clone(&config), Revision::V4, Lane::Polling, now),
            server: Session::accept(config, Revision::V4, &sid, Lane::Polling, now),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            answer: None,
            get_is_out: false,
            post: None,
            honest: true,
            sent: [0; 2],
            received: [0; 2],
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let operation = input.byte();
        let role = if operation & 0x10 == 0 { Role::Client } else { Role::Server };
        match operation & 0x0f {
            0 => self.get(),
            1 => self.answer_get(),
            2 => self.read_answer(),
            3 => self.write_post(),
            4 => self.read_post(),
            5 => self.send(role),
            6 => self.open_stream(),
            7 => self.carry(),
            8 => self.advance(Duration::from_millis(u64::from(input.byte()) * 10)),
            9 => self.forge_post(input.chunk()),
            10 => self.cut(role, if input.byte() & 1 == 0 { Lane::Polling } else { Lane::Stream }),
            11 => self.forge_frame(input.chunk()),
            12 => self.end_of(role).close(CloseReason::Forced),
            13 => {
                self.honest = false;
                let _ = self.server.handle_poll(self.now);
            }
            14 => self.end_of(role).handle_activity(Instant::now()),
            _ => {
                self.honest = false;
                self.to_client.pop_front();
            }
        }
    }

    fn end_of(&mut self, role: Role) -> &mut Session {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    fn get(&mut self) {
        if self.client.poll_request() {
            self.get_is_out = self.server.handle_poll(self.now).is_ok();
            if !self.get_is_out {
                self.honest = false;
                self.client.handle_lane_closed(self.now, Lane::Polling, CloseReason::TransportError);
            }
        }
    }

    fn answer_get(&mut self) {
        if let Some(body) = self.get_is_out.then(|| body(&mut self.server)).flatten() {
            self.server.finish_poll();
            self.get_is_out = false;
            self.answer = Some(body);
        }
    }

    fn read_answer(&mut self) {
        if let Some(body) = self.answer.take() {
            self.read(Role::Client, &body);
            self.client.handle_poll_done(self.now);
        }
    }

    fn write_post(&mut self) {
        if self.post.is_none()
            && let Some(body) = body(&mut self.client)
        {
            self.client.finish_post();
            self.post = Some(body);
        }
    }

    fn read_post(&mut self) {
        if let Some(body) = self.post.take() {
            self.read(Role::Server, &body);
            self.client.handle_post_done(self.now);
        }
    }

    fn read(&mut self, role: Role, body: &[u8]) {
        let Ok(packets) = payload::Packets::new(body) else {
            return self.end_of(role).close(CloseReason::ParseError);
        };
        for packet in packets {
            self.packet(role, Lane::Polling, packet);
        }
    }

    fn packet(&mut self, role: Role, lane: Lane, packet: Result<Packet<'_>, sockeye_engine::ProtocolError>) {
        let now = self.now;
        let message = match packet {
            Ok(packet) => self.end_of(role).handle_packet(now, lane, packet),
            Err(error) => Err(error),
        };
        match message {
            Ok(None) => {}
            Ok(Some(Message::Text(number))) if self.honest => {
                let expected = self.received[side(role)];
                assert_eq!(number, expected.to_string(), "{role:?}: out of order");
                self.received[side(role)] += 1;
            }
            Ok(Some(_)) => assert!(!self.honest, "a message that nobody sent"),
            Err(error) => {
                self.honest = false;
                self.end_of(role).close(error.close_reason());
            }
        }
    }

    fn send(&mut self, role: Role) {
        let number = self.sent[side(role)];
        self.sent[side(role)] += 1;
        let end = self.end_of(role);
        let (before, closed) = (end.queued_bytes(), end.is_closed());
        end.send(Encoded::text(&number.to_string()));
        assert_eq!(end.queued_bytes() > before, !closed, "queued if and only if open");
    }

    fn open_stream(&mut self) {
        if self.server.handle_stream_open(self.now).is_ok() && self.client.handle_stream_open(self.now).is_err() {
            self.server.handle_lane_closed(self.now, Lane::Stream, CloseReason::TransportClose);
        }
    }

    /// Everything on the streams, both ways, once.
    fn carry(&mut self) {
        while let Some(packet) = self.client.poll_transmit(Lane::Stream) {
            self.to_server.push_back((packet.is_binary(), packet.packet().to_vec()));
        }
        while let Some(packet) = self.server.poll_transmit(Lane::Stream) {
            self.to_client.push_back((packet.is_binary(), packet.packet().to_vec()));
        }
        for (role, frames) in
            [(Role::Server, std::mem::take(&mut self.to_server)), (Role::Client, std::mem::take(&mut self.to_client))]
        {
            for (binary, frame) in frames {
                self.frame(role, binary, &frame);
            }
        }
    }

    fn frame(&mut self, role: Role, binary: bool, frame: &[u8]) {
        let packet = if binary { Packet::decode_binary(frame, Revision::V4) } else { Packet::decode_text(text(frame)) };
        self.packet(role, Lane::Stream, packet);
    }

    fn forge_post(&mut self, body: &[u8]) {
        self.honest = false;
        self.read(Role::Server, body);
    }

    fn forge_frame(&mut self, frame: &[u8]) {
        self.honest = false;
        let binary = std::str::from_utf8(frame).is_err();
        self.frame(Role::Server, binary, frame);
        self.frame(Role::Client, binary, frame);
    }

    fn cut(&mut self, role: Role, lane: Lane) {
        // What was on its way may be lost.
        self.honest = false;
        let now = self.now;
        self.end_of(role).handle_lane_closed(now, lane, CloseReason::TransportClose);
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        for role in [Role::Client, Role::Server] {
            let now = self.now;
            let end = self.end_of(role);
            if end.poll_timeout().is_some_and(|due| due <= now) {
                end.handle_timeout(now);
            }
        }
    }

    /// What holds after every step.
    fn check(&mut self) {
        for role in [Role::Client, Role::Server] {
            let end = self.end_of(role);
            assert_eq!(end.poll_timeout().is_none(), end.is_finished(), "a deadline in every state");
            assert!(!end.is_finished() || end.is_closed());
            while let Some(event) = end.poll_event() {
                assert!(!matches!(event, Event::Closed(_)) || end.is_closed());
            }
        }
    }

    /// However it went, silence ends both within the times agreed on.
    fn end(mut self) {
        let patience = config().ping_interval + config().ping_timeout;
        for _ in 0..6 {
            self.advance(patience);
            self.check();
        }
        assert!(self.client.is_closed() && self.server.is_closed(), "silence does not end a session");
        assert!(self.client.is_finished() && self.server.is_finished(), "a closed session is kept");
        assert_eq!(self.client.queued_bytes() + self.server.queued_bytes(), 0);
    }
}

fn config() -> Config {
    Config {
        ping_interval: Duration::from_secs(2),
        ping_timeout: Duration::from_secs(1),
        upgrade_timeout: Duration::from_millis(500),
        ..Config::default()
    }
}

fn side(role: Role) -> usize {
    usize::from(role == Role::Server)
}

/// What the session has for polling now.
fn body(session: &mut Session) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(packet) = session.poll_transmit(Lane::Polling) {
        payload::append(&mut body, &packet);
    }
    (!body.is_empty()).then_some(body)
}
