//! Two sessions, a virtual network between them, and a virtual clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use sockeye_engine::time::{Duration, Instant};
use sockeye_engine::{
    CloseReason, Config, Encoded, Event, Lane, Message, Packet, ProtocolError, Revision, Role, Session, Sid, payload,
};

/// What goes wrong, and what the applications do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Who pings whom. (The forms of bodies and frames are those of revision 4 all the same.)
    pub(crate) revision_3: bool,
    /// Opened by WebSocket at once, instead of polling.
    pub(crate) stream_first: bool,
    /// How long after OPEN the client opens a stream; never if absent.
    pub(crate) upgrade_after: Option<u64>,
    /// How many `2probe` get lost.
    pub(crate) lost_probes: u32,
    /// How many `3probe` get lost.
    pub(crate) lost_answers: u32,
    /// When the stream breaks, with all that is on it.
    pub(crate) cut_at: Option<u64>,
    /// When a GET under way fails on both sides.
    pub(crate) fail_poll_at: Option<u64>,
    /// From when on nothing arrives anywhere.
    pub(crate) silent_from: Option<u64>,
    /// When the client's application closes.
    pub(crate) client_closes_at: Option<u64>,
    /// When the server's application closes.
    pub(crate) server_closes_at: Option<u64>,
    /// Longest way of a request or answer, of a frame, in milliseconds.
    pub(crate) latency: (u64, u64),
    /// Most packets in one body.
    pub(crate) batch: u64,
}

impl Plan {
    fn revision(&self) -> Revision {
        if self.revision_3 { Revision::V3 } else { Revision::V4 }
    }
}

pub(crate) struct World {
    start: Instant,
    now: Instant,
    plan: Plan,
    random: Random,
    /// What is on its way, by the time at which it arrives; the number keeps the order of equals.
    ways: BTreeMap<(Instant, u64), Delivery>,
    count: u64,
    /// A stream keeps its order: when its last frame arrives at the client, at the server.
    stream_times: (Instant, Instant),
    pub(crate) client: Side,
    pub(crate) server: Side,
}

/// One end, with the application's view of it.
pub(crate) struct Side {
    pub(crate) session: Option<Session>,
    /// The number of the stream it holds.
    stream: Option<u32>,
    /// Server: a GET waits.
    get_waits: bool,
    pub(crate) sent: u32,
    pub(crate) received: u32,
    pub(crate) events: Vec<Event>,
    pub(crate) errors: Vec<ProtocolError>,
    pub(crate) closed_at: Option<Duration>,
}

enum Delivery {
    Get,
    Answer(Result<Vec<u8>, Refused>),
    Post(Vec<u8>),
    Posted(Result<(), Refused>),
    StreamAsked(u32),
    StreamAccepted(u32),
    Frame(Role, u32, Vec<u8>, bool),
    StreamEnd(Role, u32),
    // No deliveries of the network, but things to happen.
    Send(Role),
    Close(Role),
    OpenStream,
    Cut,
    FailPoll,
}

/// The server answered 400.
struct Refused;

pub(crate) const MESSAGES: u32 = 30;

pub(crate) fn config() -> Config {
    Config {
        ping_interval: Duration::from_secs(2),
        ping_timeout: Duration::from_secs(1),
        upgrade_timeout: Duration::from_millis(500),
        ..Config::default()
    }
}

impl World {
    pub(crate) fn new(plan: Plan, seed: u64) -> Self {
        let start = Instant::now();
        let lane = if plan.stream_first { Lane::Stream } else { Lane::Polling };
        let revision = plan.revision();
        let mut world = Self {
            start,
            now: start,
            plan,
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            ways: BTreeMap::new(),
            count: 0,
            stream_times: (start, start),
            client: Side::new(Some(Session::connect(Arc::new(config()), revision, lane, start))),
            server: Side::new(None),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for role in [Role::Client, Role::Server] {
            for _ in 0..MESSAGES {
                let at = self.random.below(1500);
                self.happen(at, Delivery::Send(role));
            }
        }
        let others = [
            (self.plan.cut_at, Delivery::Cut),
            (self.plan.fail_poll_at, Delivery::FailPoll),
            (self.plan.client_closes_at, Delivery::Close(Role::Client)),
            (self.plan.server_closes_at, Delivery::Close(Role::Server)),
        ];
        for (at, what) in others {
            if let Some(at) = at {
                self.happen(at, what);
            }
        }
        if self.plan.stream_first {
            self.client.stream = Some(0);
            self.post_stream(Role::Server, Delivery::StreamAsked(0));
        }
        self.turn();
    }

    /// Lets time pass until `end`, in milliseconds since the beginning.
    pub(crate) fn run_until(&mut self, end: u64) {
        let end = self.start + Duration::from_millis(end);
        for step in 0.. {
            assert!(
                step < 100_000,
                "time stands still at {:?}: {:?} {:?}",
                self.elapsed(),
                self.client.session,
                self.server.session
            );
            let arrival = self.ways.first_key_value().map(|(&(at, _), _)| at);
            let timers = [&self.client, &self.server].map(|side| side.session.as_ref().and_then(Session::poll_timeout));
            let timer = timers.into_iter().flatten().min();
            let Some(next) = arrival.into_iter().chain(timer).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            // What has arrived is handed over before anybody is judged.
            if arrival.is_some_and(|arrival| arrival <= self.now) {
                let (_, delivery) = self.ways.pop_first().unwrap();
                self.deliver(delivery);
            } else {
                for side in [&mut self.client, &mut self.server] {
                    if let Some(session) = &mut side.session {
                        session.handle_timeout(self.now);
                    }
                }
            }
            self.turn();
        }
        self.now = end;
    }

    fn deliver(&mut self, delivery: Delivery) {
        let silent = self.plan.silent_from.is_some_and(|from| self.elapsed() >= Duration::from_millis(from));
        if silent && delivery.is_of_network() {
            return;
        }
        match delivery {
            Delivery::Get => self.handle_get(),
            Delivery::Answer(answer) => self.handle_answer(answer),
            Delivery::Post(body) => self.handle_post(&body),
            Delivery::Posted(answer) => self.handle_posted(&answer),
            Delivery::StreamAsked(stream) => self.handle_stream_asked(stream),
            Delivery::StreamAccepted(stream) => self.handle_stream_accepted(stream),
            Delivery::Frame(to, stream, bytes, binary) => self.handle_frame(to, stream, &bytes, binary),
            Delivery::StreamEnd(to, stream) => self.handle_stream_end(to, stream),
            Delivery::Send(role) => self.side(role).send(),
            Delivery::Close(role) => self.side(role).with(|session| session.close(CloseReason::Forced)),
            Delivery::OpenStream => self.open_stream(),
            Delivery::Cut => self.cut(),
            Delivery::FailPoll => self.fail_poll(),
        }
    }

    fn accept(&self, lane: Lane) -> Session {
        Session::accept(Arc::new(config()), self.plan.revision(), &Sid::new("a"), lane, self.now)
    }

    fn handle_get(&mut self) {
        let now = self.now;
        if self.server.session.is_none() && self.server.events.is_empty() {
            self.server.session = Some(self.accept(Lane::Polling));
            // What the application sent before there was a client.
            (0..self.server.sent).for_each(|number| self.server.with(|session| session.send(message(number))));
        }
        match self.server.session.as_mut().map(|session| session.handle_poll(now)) {
            Some(Ok(())) => self.server.get_waits = true,
            Some(Err(error)) => {
                self.server.errors.push(error);
                self.post(Delivery::Answer(Err(Refused)));
            }
            None => self.post(Delivery::Answer(Err(Refused))),
        }
    }

    fn handle_answer(&mut self, answer: Result<Vec<u8>, Refused>) {
        let now = self.now;
        match answer {
            Ok(body) => {
                self.client.read_body(&body, now);
                self.client.with(|session| session.handle_poll_done(now));
            }
            Err(Refused) => self.client.lose_polling(now),
        }
    }

    fn handle_post(&mut self, body: &[u8]) {
        let taken = self.server.session.is_some() && self.server.read_body(body, self.now);
        self.post(Delivery::Posted(if taken { Ok(()) } else { Err(Refused) }));
    }

    fn handle_posted(&mut self, answer: &Result<(), Refused>) {
        let now = self.now;
        match answer {
            Ok(()) => self.client.with(|session| session.handle_post_done(now)),
            Err(Refused) => self.client.lose_polling(now),
        }
    }

    fn handle_stream_asked(&mut self, stream: u32) {
        if self.plan.stream_first && self.server.events.is_empty() {
            self.server.session = Some(self.accept(Lane::Stream));
            (0..self.server.sent).for_each(|number| self.server.with(|session| session.send(message(number))));
            self.server.stream = Some(stream);
            return;
        }
        match self.server.session.as_mut().map(|session| session.handle_stream_open(self.now)) {
            Some(Ok(())) => {
                self.server.stream = Some(stream);
                self.post_stream(Role::Client, Delivery::StreamAccepted(stream));
            }
            Some(Err(error)) => self.server.errors.push(error),
            None => {}
        }
    }

    fn handle_stream_accepted(&mut self, stream: u32) {
        let opened = self.client.session.as_mut().map(|session| session.handle_stream_open(self.now));
        match opened {
            Some(Ok(())) => self.client.stream = Some(stream),
            _ => self.post_stream(Role::Server, Delivery::StreamEnd(Role::Server, stream)),
        }
    }

    fn handle_frame(&mut self, to: Role, stream: u32, bytes: &[u8], binary: bool) {
        let lost = match bytes {
            b"2probe" => &mut self.plan.lost_probes,
            b"3probe" => &mut self.plan.lost_answers,
            _ => &mut 0,
        };
        if *lost > 0 {
            *lost -= 1;
            return;
        }
        let now = self.now;
        let side = self.side(to);
        if side.stream == Some(stream) {
            let packet = if binary {
                Packet::decode_binary(bytes, Revision::V4)
            } else {
                Packet::decode_text(std::str::from_utf8(bytes).unwrap())
            };
            side.read(Lane::Stream, packet, now);
        }
    }

    fn handle_stream_end(&mut self, to: Role, stream: u32) {
        let now = self.now;
        let side = self.side(to);
        if side.stream == Some(stream) {
            side.stream = None;
            side.with(|session| session.handle_lane_closed(now, Lane::Stream, CloseReason::TransportClose));
        }
    }

    fn open_stream(&mut self) {
        if self.client.session.is_some() && self.client.stream.is_none() {
            self.count += 1;
            let stream = u32::try_from(self.count).unwrap();
            self.post_stream(Role::Server, Delivery::StreamAsked(stream));
        }
    }

    /// The stream breaks; what is on it is lost.
    fn cut(&mut self) {
        self.ways.retain(|_, delivery| !matches!(delivery, Delivery::Frame(..)));
        for role in [Role::Client, Role::Server] {
            if let Some(stream) = self.side(role).stream {
                self.post_stream(role, Delivery::StreamEnd(role, stream));
            }
        }
    }

    /// The answer of the GET under way is lost.
    fn fail_poll(&mut self) {
        let now = self.now;
        let before = self.ways.len();
        self.ways.retain(|_, delivery| !matches!(delivery, Delivery::Answer(_)));
        if self.ways.len() < before || self.server.get_waits {
            self.server.get_waits = false;
            self.server.lose_polling(now);
            self.client.lose_polling(now);
        }
    }

    /// What a driver does after every input.
    fn turn(&mut self) {
        self.take_events(Role::Client);
        self.take_events(Role::Server);
        self.answer_poll();
        self.send_requests();
        self.write_frames(Role::Client);
        self.write_frames(Role::Server);
        self.forget_finished(Role::Client);
        self.forget_finished(Role::Server);
    }

    fn take_events(&mut self, role: Role) {
        let elapsed = self.elapsed();
        while let Some(event) = self.side(role).session.as_mut().and_then(Session::poll_event) {
            match event {
                Event::Opened(_) | Event::Upgraded => {}
                Event::UpgradeFailed => self.end_stream(role),
                Event::Closed(_) => self.side(role).closed_at = Some(elapsed),
            }
            let may_upgrade = matches!(event, Event::Opened(_) | Event::UpgradeFailed) && role == Role::Client;
            if let Some(wait) = self.plan.upgrade_after.filter(|_| may_upgrade) {
                let wait = wait + self.random.below(50);
                self.happen(u64::try_from(elapsed.as_millis()).unwrap() + wait, Delivery::OpenStream);
            }
            self.side(role).events.push(event);
        }
    }

    fn answer_poll(&mut self) {
        if !self.server.get_waits {
            return;
        }
        let Some(session) = &mut self.server.session else { return };
        if let Some(body) = body(session, self.plan.batch) {
            session.finish_poll();
            self.server.get_waits = false;
            self.post(Delivery::Answer(Ok(body)));
        }
    }

    fn send_requests(&mut self) {
        let Some(session) = &mut self.client.session else { return };
        let posted = body(session, self.plan.batch);
        session.finish_post();
        if session.poll_request() {
            self.post(Delivery::Get);
        }
        if let Some(body) = posted {
            self.post(Delivery::Post(body));
        }
    }

    fn write_frames(&mut self, from: Role) {
        let side = self.side(from);
        let (Some(session), Some(stream)) = (&mut side.session, side.stream) else { return };
        let packets: Vec<_> = std::iter::from_fn(|| session.poll_transmit(Lane::Stream)).collect();
        let to = other(from);
        for packet in packets {
            let frame = Delivery::Frame(to, stream, packet.packet().to_vec(), packet.is_binary());
            self.post_stream(to, frame);
        }
    }

    fn forget_finished(&mut self, role: Role) {
        if self.side(role).session.as_ref().is_some_and(Session::is_finished) {
            self.end_stream(role);
            self.side(role).session = None;
            if role == Role::Server && std::mem::take(&mut self.server.get_waits) {
                self.post(Delivery::Answer(Err(Refused)));
            }
        }
    }

    fn end_stream(&mut self, by: Role) {
        if let Some(stream) = self.side(by).stream.take() {
            self.post_stream(other(by), Delivery::StreamEnd(other(by), stream));
        }
    }

    fn side(&mut self, role: Role) -> &mut Side {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Sends a request or an answer; they overtake each other.
    fn post(&mut self, delivery: Delivery) {
        // Never quite nothing, or the polls of an upgrade could go round without time passing.
        let latency = Duration::from_micros(500 + self.random.below(self.plan.latency.0 * 1000 + 1));
        self.insert(self.now + latency, delivery);
    }

    /// Sends something on the stream, where nothing overtakes.
    fn post_stream(&mut self, to: Role, delivery: Delivery) {
        let latency = Duration::from_micros(self.random.below(self.plan.latency.1 * 1000 + 1));
        let last = if to == Role::Client { &mut self.stream_times.0 } else { &mut self.stream_times.1 };
        *last = (self.now + latency).max(*last);
        let at = *last;
        self.insert(at, delivery);
    }

    fn happen(&mut self, at: u64, what: Delivery) {
        self.insert(self.start + Duration::from_millis(at), what);
    }

    fn insert(&mut self, at: Instant, delivery: Delivery) {
        self.count += 1;
        self.ways.insert((at, self.count), delivery);
    }
}

impl Side {
    fn new(session: Option<Session>) -> Self {
        Self {
            session,
            stream: None,
            get_waits: false,
            sent: 0,
            received: 0,
            events: Vec::new(),
            errors: Vec::new(),
            closed_at: None,
        }
    }

    pub(crate) fn closes(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Closed(_))).count()
    }

    fn send(&mut self) {
        if self.closed_at.is_none() {
            let number = self.sent;
            self.sent += 1;
            self.with(|session| session.send(message(number)));
        }
    }

    fn lose_polling(&mut self, now: Instant) {
        self.with(|session| session.handle_lane_closed(now, Lane::Polling, CloseReason::TransportError));
    }

    fn with(&mut self, input: impl FnOnce(&mut Session)) {
        if let Some(session) = &mut self.session {
            input(session);
        }
    }

    /// Hands over a body; false if it was refused.
    fn read_body(&mut self, body: &[u8], now: Instant) -> bool {
        let packets: Vec<_> = payload::Packets::new(body).unwrap().collect();
        packets.into_iter().all(|packet| self.read(Lane::Polling, packet, now))
    }

    fn read(&mut self, lane: Lane, packet: Result<Packet<'_>, ProtocolError>, now: Instant) -> bool {
        let Some(session) = &mut self.session else { return false };
        match session.handle_packet(now, lane, packet.expect("the other side writes no garbage")) {
            Ok(message) => {
                if let Some(message) = message {
                    assert_eq!(number(&message), self.received, "lost, doubled or overtaken");
                    self.received += 1;
                }
                true
            }
            Err(error) => {
                self.errors.push(error);
                false
            }
        }
    }
}

impl Delivery {
    fn is_of_network(&self) -> bool {
        !matches!(self, Self::Send(_) | Self::Close(_) | Self::OpenStream | Self::Cut | Self::FailPoll)
    }
}

fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// Numbered messages; some of them binary.
fn message(number: u32) -> Encoded {
    if number % 7 == 3 { Encoded::binary(&number.to_be_bytes()) } else { Encoded::text(&number.to_string()) }
}

fn number(message: &Message<'_>) -> u32 {
    match message {
        Message::Text(text) => text.parse().unwrap(),
        Message::Binary(bytes) => u32::from_be_bytes((**bytes).try_into().unwrap()),
    }
}

fn body(session: &mut Session, batch: u64) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for _ in 0..batch {
        match session.poll_transmit(Lane::Polling) {
            Some(packet) => payload::append(&mut body, &packet),
            None => break,
        }
    }
    if body.is_empty() { None } else { Some(body) }
}

/// xorshift64*: enough to stir a test, and the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
