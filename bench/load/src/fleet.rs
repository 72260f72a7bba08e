//! Many WebSocket clients on one thread.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::frame::{self, Frame};
use crate::http::{self, Compression, Deflate};
use crate::inflate::Inflater;
use crate::pipe::{Hangup, Pipe, Sources};

/// What a client tells its scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'a> {
    /// The namespace accepted the client, this long after the connection was begun.
    Ready(Duration),
    /// An Engine.IO packet other than a ping, as text.
    Text(&'a [u8]),
    /// An attachment.
    Binary(&'a [u8]),
    /// The same, and it came through permessage-deflate.
    Compressed(&'a [u8]),
    /// The server ended the connection.
    Closed,
}

/// How clients connect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) port: u16,
    pub(crate) compression: Compression,
    /// Size of the kernel's receive buffer; `None` leaves it to the kernel.
    pub(crate) receive_buffer: Option<usize>,
}

impl Options {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, compression: Compression::Off, receive_buffer: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Upgrading,
    Opening,
    Joining,
    Ready,
}

struct Client {
    pipe: Pipe,
    phase: Phase,
    begun: Instant,
    paused: bool,
    compression: Compression,
    inflater: Option<Inflater>,
}

/// The clients, by their number in order of connecting.
pub(crate) struct Fleet {
    poll: Poll,
    events: Events,
    clients: Vec<Option<Client>>,
    sources: Sources,
    scratch: Vec<u8>,
}

impl Fleet {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            sources: Sources::default(),
            scratch: vec![0; 64 * 1024],
        })
    }

    /// Connects `count` more clients, `at_once` at a time, and returns when all are in their namespace.
    pub(crate) fn connect(&mut self, options: Options, count: usize, at_once: usize) -> Result<Vec<Duration>, String> {
        let mut times = Vec::with_capacity(count);
        let give_up = Instant::now() + Duration::from_mins(1);
        let mut begun = 0;
        while times.len() < count {
            while begun < count && begun - times.len() < at_once {
                self.begin(options).map_err(|error| format!("connect: {error}"))?;
                begun += 1;
            }
            self.turn(Some(Duration::from_millis(100)), |_, event, _| match event {
                Event::Ready(time) => {
                    times.push(time);
                    Ok(())
                }
                Event::Closed => Err("a connection was closed while others connect".into()),
                _ => Ok(()),
            })?;
            if Instant::now() > give_up {
                return Err(format!("{} of {count} clients connected within a minute", times.len()));
            }
        }
        Ok(times)
    }

    /// Queues and writes frames of one client.
    pub(crate) fn send(&mut self, client: usize, frames: &[u8]) -> Result<(), String> {
        let Some(client) = self.clients.get_mut(client).and_then(Option::as_mut) else {
            return Err(format!("client {client} is not connected"));
        };
        client.pipe.push(frames);
        client.pipe.flush().map_err(|error| format!("write: {error}"))
    }

    /// Reads what has arrived and hands it, client by client, to `handle`, which may append frames to send.
    /// All answers of one client leave in one write, as from a client with several messages in flight.
    pub(crate) fn turn(
        &mut self,
        wait: Option<Duration>,
        mut handle: impl FnMut(usize, Event<'_>, &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<(), String> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result.map_err(|error| format!("poll: {error}"))?,
        }
        for event in &self.events {
            let Token(number) = event.token();
            let Some(client) = self.clients.get_mut(number).and_then(Option::as_mut) else { continue };
            if event.is_writable() {
                client.pipe.flush().map_err(|error| format!("write: {error}"))?;
            }
            if !event.is_readable() || client.paused {
                continue;
            }
            if !client.read(&mut self.scratch, |event, out| handle(number, event, out))? {
                self.clients[number] = None;
                handle(number, Event::Closed, &mut Vec::new())?;
            }
        }
        Ok(())
    }

    /// From now on the client reads nothing: its window fills, then the server's buffers.
    pub(crate) fn pause(&mut self, client: usize) {
        if let Some(client) = self.clients.get_mut(client).and_then(Option::as_mut) {
            client.paused = true;
        }
    }

    /// Ends every connection.
    pub(crate) fn hang_up(&mut self, how: impl Fn(usize) -> Hangup) {
        for (number, client) in self.clients.drain(..).enumerate() {
            if let Some(client) = client {
                client.pipe.hang_up(how(number));
            }
        }
    }

    fn begin(&mut self, options: Options) -> io::Result<()> {
        let begun = Instant::now();
        let mut pipe = Pipe::connect(options.port, &mut self.sources, options.receive_buffer)?;
        pipe.register(self.poll.registry(), Token(self.clients.len()))?;
        pipe.push(http::websocket(options.port, None, options.compression).as_bytes());
        pipe.flush()?;
        let compression = options.compression;
        self.clients.push(Some(Client {
            pipe,
            phase: Phase::Upgrading,
            begun,
            paused: false,
            compression,
            inflater: None,
        }));
        Ok(())
    }
}

impl Client {
    fn read(
        &mut self,
        scratch: &mut [u8],
        mut handle: impl FnMut(Event<'_>, &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<bool, String> {
        let Self { phase, begun, compression, inflater, .. } = self;
        let (begun, compression) = (*begun, *compression);
        let open = self.pipe.receive(scratch, |bytes, out| {
            let mut used = 0;
            if *phase == Phase::Upgrading {
                let Some((head, agreed)) = upgraded(bytes, compression)? else { return Ok(0) };
                *inflater = agreed.map(Inflater::new);
                *phase = Phase::Opening;
                used = head;
            }
            while let Some((frame, length)) = frame::decode(bytes.get(used..).unwrap_or_default())? {
                used += length;
                if frame.compressed {
                    let inflater = inflater.as_mut().ok_or("a compressed frame, but nothing was agreed on")?;
                    let message = inflater.message(frame.payload)?;
                    take(phase, begun, &Frame { payload: &message, ..frame }, out, &mut handle)?;
                } else {
                    take(phase, begun, &frame, out, &mut handle)?;
                }
            }
            Ok(used)
        })?;
        self.pipe.flush().map_err(|error| format!("write: {error}"))?;
        Ok(open)
    }
}

/// Length of the answer to the WebSocket handshake, and how the server compresses, once it is complete and right.
fn upgraded(bytes: &[u8], compression: Compression) -> Result<Option<(usize, Option<Deflate>)>, String> {
    let Some((response, used)) = http::response(bytes)? else { return Ok(None) };
    if response.status != 101 || !response.accepted {
        return Err(format!("the WebSocket handshake was answered with status {}", response.status));
    }
    if response.deflate.is_some() != (compression == Compression::Offer) {
        return Err("the server does not negotiate permessage-deflate".into());
    }
    Ok(Some((used, response.deflate)))
}

/// One frame: the Engine.IO and Socket.IO handshakes and heartbeats here, the rest to the scenario.
fn take(
    phase: &mut Phase,
    begun: Instant,
    frame: &Frame<'_>,
    out: &mut Vec<u8>,
    handle: &mut impl FnMut(Event<'_>, &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    match (frame.opcode, *phase, frame.payload) {
        (frame::TEXT, Phase::Opening, [b'0', ..]) => {
            *phase = Phase::Joining;
            frame::encode(frame::TEXT, b"40", out);
            Ok(())
        }
        (frame::TEXT, Phase::Joining, [b'4', b'0', ..]) => {
            *phase = Phase::Ready;
            handle(Event::Ready(begun.elapsed()), out)
        }
        (frame::TEXT, _, b"2") => {
            frame::encode(frame::TEXT, b"3", out);
            Ok(())
        }
        (frame::TEXT, Phase::Ready, payload) if frame.compressed => handle(Event::Compressed(payload), out),
        (frame::TEXT, Phase::Ready, payload) => handle(Event::Text(payload), out),
        (frame::BINARY, Phase::Ready, payload) => handle(Event::Binary(payload), out),
        (frame::PING, _, payload) => {
            frame::encode(frame::PONG, payload, out);
            Ok(())
        }
        (frame::CLOSE, ..) => Ok(()),
        (opcode, phase, payload) => {
            let text = String::from_utf8_lossy(payload.get(..80).unwrap_or(payload)).into_owned();
            Err(format!("opcode {opcode} in phase {phase:?}: {text}"))
        }
    }
}
