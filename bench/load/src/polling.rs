//! Many long-polling clients on one thread, with the upgrade to WebSocket.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Token};

use crate::frame;
use crate::http::{self, Compression, Response};
use crate::pipe::{Pipe, Sources};

/// Connections of one client: polls, posts, WebSocket of the upgrade.
const LANES: usize = 3;
const POLLS: usize = 0;
const POSTS: usize = 1;
const STREAM: usize = 2;
/// Between packets of one payload. [EIO4 "HTTP long-polling"]
const SEPARATOR: u8 = 0x1e;

/// What a client tells its scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'a> {
    /// The namespace accepted the client and a poll is waiting.
    Ready,
    /// An Engine.IO packet other than heartbeats, from either transport.
    Packet(&'a [u8]),
    /// The upgrade packet is written: from here on messages use the WebSocket.
    Upgraded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for the session id.
    Opening,
    /// Has posted CONNECT.
    Joining,
    /// Polls for the answer.
    Accepting,
    /// Polls for messages.
    Polling,
    /// Polls, and has asked for a WebSocket.
    Probing,
    /// The probe is answered; the last poll is still out.
    Pausing,
    /// Speaks WebSocket alone.
    Streaming,
}

struct Client {
    phase: Phase,
    sid: String,
    lanes: [Option<Pipe>; LANES],
    stream_open: bool,
    posting: bool,
    outgoing: String,
}

/// The clients, by their number in order of connecting.
pub(crate) struct PollingFleet {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    sources: Sources,
    scratch: Vec<u8>,
    port: u16,
}

impl PollingFleet {
    pub(crate) fn new(port: u16) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            sources: Sources::default(),
            scratch: vec![0; 64 * 1024],
            port,
        })
    }

    /// Clients begun so far.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Connects `count` more clients, `at_once` at a time, and returns when all are in their namespace.
    pub(crate) fn connect(&mut self, count: usize, at_once: usize) -> Result<(), String> {
        let (mut begun, mut ready) = (0, 0);
        let give_up = Instant::now() + Duration::from_mins(1);
        while ready < count {
            while begun < count && begun - ready < at_once {
                self.begin()?;
                begun += 1;
            }
            self.turn(Some(Duration::from_millis(100)), |_, event| {
                ready += usize::from(matches!(event, Event::Ready));
                Ok(None)
            })?;
            if Instant::now() > give_up {
                return Err(format!("{ready} of {count} polling clients connected within a minute"));
            }
        }
        Ok(())
    }

    /// Starts a client which will report [`Event::Ready`].
    pub(crate) fn begin(&mut self) -> Result<(), String> {
        let number = self.clients.len();
        self.clients.push(Client {
            phase: Phase::Opening,
            sid: String::new(),
            lanes: [None, None, None],
            stream_open: false,
            posting: false,
            outgoing: String::new(),
        });
        let mut net = Net { registry: self.poll.registry(), sources: &mut self.sources, port: self.port, number };
        self.clients[number].write(&mut net, POLLS, http::get(self.port, None).as_bytes())
    }

    /// Sends one packet by the transport the client is on.
    pub(crate) fn send(&mut self, number: usize, packet: &str) -> Result<(), String> {
        let mut net = Net { registry: self.poll.registry(), sources: &mut self.sources, port: self.port, number };
        self.clients[number].send(&mut net, packet)
    }

    /// Asks for a WebSocket and goes on polling until it is there.
    pub(crate) fn upgrade(&mut self, number: usize) -> Result<(), String> {
        let mut net = Net { registry: self.poll.registry(), sources: &mut self.sources, port: self.port, number };
        let client = &mut self.clients[number];
        client.phase = Phase::Probing;
        let request = http::websocket(net.port, Some(&client.sid), Compression::Off);
        client.write(&mut net, STREAM, request.as_bytes())
    }

    /// Reads what has arrived; `handle` may return one packet for that client to send.
    pub(crate) fn turn(
        &mut self,
        wait: Option<Duration>,
        mut handle: impl FnMut(usize, Event<'_>) -> Result<Option<String>, String>,
    ) -> Result<(), String> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result.map_err(|error| format!("poll: {error}"))?,
        }
        for event in &self.events {
            let Token(token) = event.token();
            let (number, lane) = (token / LANES, token % LANES);
            let Some(client) = self.clients.get_mut(number) else { continue };
            let Some(pipe) = client.lanes[lane].as_mut() else { continue };
            if event.is_writable() {
                pipe.flush().map_err(|error| format!("write: {error}"))?;
            }
            if event.is_readable() {
                let mut net =
                    Net { registry: self.poll.registry(), sources: &mut self.sources, port: self.port, number };
                client.read(&mut net, lane, &mut self.scratch, &mut |event| handle(number, event))?;
            }
        }
        Ok(())
    }
}

/// What a client needs to open one more connection.
struct Net<'a> {
    registry: &'a Registry,
    sources: &'a mut Sources,
    port: u16,
    number: usize,
}

type Handle<'a> = &'a mut dyn FnMut(Event<'_>) -> Result<Option<String>, String>;

impl Client {
    fn write(&mut self, net: &mut Net<'_>, lane: usize, bytes: &[u8]) -> Result<(), String> {
        if self.lanes[lane].is_none() {
            let mut pipe = Pipe::connect(net.port, net.sources, None).map_err(|error| format!("connect: {error}"))?;
            let token = Token(net.number * LANES + lane);
            pipe.register(net.registry, token).map_err(|error| format!("register: {error}"))?;
            self.lanes[lane] = Some(pipe);
        }
        let Some(pipe) = self.lanes[lane].as_mut() else { return Ok(()) };
        pipe.push(bytes);
        pipe.flush().map_err(|error| format!("write: {error}"))
    }

    fn send(&mut self, net: &mut Net<'_>, packet: &str) -> Result<(), String> {
        if self.phase == Phase::Streaming {
            return self.write(net, STREAM, &frame::text(packet));
        }
        if !self.outgoing.is_empty() {
            self.outgoing.push(char::from(SEPARATOR));
        }
        self.outgoing.push_str(packet);
        self.post(net)
    }

    fn post(&mut self, net: &mut Net<'_>) -> Result<(), String> {
        if self.posting || self.outgoing.is_empty() {
            return Ok(());
        }
        self.posting = true;
        let body = std::mem::take(&mut self.outgoing);
        let request = http::post(net.port, &self.sid, &body);
        self.write(net, POSTS, request.as_bytes())
    }

    fn poll(&mut self, net: &mut Net<'_>) -> Result<(), String> {
        let request = http::get(net.port, Some(&self.sid));
        self.write(net, POLLS, request.as_bytes())
    }

    fn read(&mut self, net: &mut Net<'_>, lane: usize, scratch: &mut [u8], handle: Handle<'_>) -> Result<(), String> {
        let Some(mut pipe) = self.lanes[lane].take() else { return Ok(()) };
        let mut responses = Vec::new();
        let mut packets = Vec::new();
        let stream_open = &mut self.stream_open;
        let open = pipe.receive(scratch, |bytes, _| {
            let mut used = 0;
            while lane != STREAM || !*stream_open {
                let Some((response, length)) = http::response(bytes.get(used..).unwrap_or_default())? else {
                    return Ok(used);
                };
                used += length;
                *stream_open |= response.status == 101 && response.accepted;
                responses.push(response);
            }
            while let Some((frame, length)) = frame::decode(bytes.get(used..).unwrap_or_default())? {
                used += length;
                packets.push(frame.payload.to_vec());
            }
            Ok(used)
        })?;
        let last = responses.last().is_some_and(|response| response.last);
        if open && !last {
            self.lanes[lane] = Some(pipe);
        } else if lane == STREAM || (lane == POLLS && responses.is_empty() && self.phase != Phase::Streaming) {
            return Err("the server closed a connection which was in use".into());
        }
        for response in responses {
            self.respond(net, lane, &response, handle)?;
        }
        for packet in packets {
            self.streamed(net, &packet, handle)?;
        }
        Ok(())
    }

    fn respond(
        &mut self,
        net: &mut Net<'_>,
        lane: usize,
        response: &Response,
        handle: Handle<'_>,
    ) -> Result<(), String> {
        let body = String::from_utf8_lossy(&response.body);
        match (lane, response.status) {
            (STREAM, 101) => return self.write(net, STREAM, &frame::text("2probe")),
            (_, 200) => {}
            (_, status) => return Err(format!("status {status}: {body}")),
        }
        match (lane, self.phase) {
            (POSTS, Phase::Joining) => {
                self.phase = Phase::Accepting;
                self.posting = false;
                self.poll(net)
            }
            (POSTS, _) => {
                self.posting = false;
                self.post(net)
            }
            (_, Phase::Opening) => {
                let sid = body.split_once("\"sid\":\"").and_then(|(_, rest)| rest.split_once('"'));
                self.sid = sid.ok_or("no session id")?.0.into();
                self.phase = Phase::Joining;
                self.send(net, "40")
            }
            _ => self.polled(net, &response.body, handle),
        }
    }

    /// The answer to a poll.
    fn polled(&mut self, net: &mut Net<'_>, body: &[u8], handle: Handle<'_>) -> Result<(), String> {
        let accepted = self.phase == Phase::Accepting;
        if self.phase == Phase::Pausing {
            self.phase = Phase::Streaming;
            self.write(net, STREAM, &frame::text("5"))?;
        } else {
            self.poll(net)?;
        }
        for packet in body.split(|&byte| byte == SEPARATOR) {
            let answer = match packet {
                b"2" => Some("3".into()),
                b"6" => None,
                [b'4', b'0', ..] if accepted => {
                    self.phase = Phase::Polling;
                    handle(Event::Ready)?
                }
                packet => handle(Event::Packet(packet))?,
            };
            if let Some(answer) = answer {
                self.send(net, &answer)?;
            }
        }
        self.tell_upgraded(net, handle)
    }

    fn tell_upgraded(&mut self, net: &mut Net<'_>, handle: Handle<'_>) -> Result<(), String> {
        if self.phase == Phase::Streaming
            && let Some(answer) = handle(Event::Upgraded)?
        {
            self.send(net, &answer)?;
        }
        Ok(())
    }

    /// A packet from the WebSocket.
    fn streamed(&mut self, net: &mut Net<'_>, packet: &[u8], handle: Handle<'_>) -> Result<(), String> {
        let answer = match packet {
            b"3probe" if self.phase == Phase::Probing => {
                self.phase = Phase::Pausing;
                None
            }
            b"2" => Some("3".into()),
            packet => handle(Event::Packet(packet))?,
        };
        match answer {
            Some(answer) => self.send(net, &answer),
            None => Ok(()),
        }
    }
}
