//! The floor: what the kernel and the bytes cost when nobody understands them.
//!
//! Reads, unmasks, looks at the first few characters, and writes the answer that the load generator waits for. No
//! sessions, no heartbeats, no parsing, no bounds: nothing here is a server, it is the line below which none can be.
#![forbid(unsafe_code)]

mod canned;
mod polling;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read as _, Write as _};

use base64::Engine as _;
use canned::{CONNECT, OPEN};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use polling::Sessions;
use sha1::{Digest as _, Sha1};

const LISTENER: Token = Token(usize::MAX);
/// Appended to the key of the client before hashing. [RFC 6455 §1.3]
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    unwritten: Vec<u8>,
    upgraded: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().skip_while(|name| name != "--port").nth(1).ok_or("--port is missing")?.parse()?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut clients: HashMap<usize, Client> = HashMap::new();
    let mut scratch = vec![0; 64 * 1024];
    let mut broadcast = Vec::new();
    let mut sessions = Sessions::default();
    let mut next = 0;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                next = accept(&listener, &poll, &mut clients, next)?;
                continue;
            }
            let Token(number) = event.token();
            let Some(client) = clients.get_mut(&number) else { continue };
            if event.is_writable() && !client.unwritten.is_empty() && client.flush().is_err() {
                clients.remove(&number);
                continue;
            }
            sessions.speak_for(number);
            if event.is_readable() && !matches!(client.read(&mut scratch, &mut broadcast, &mut sessions), Ok(true)) {
                clients.remove(&number);
            }
            if let Some((poll, answer)) = sessions.answered.take()
                && let Some(client) = clients.get_mut(&poll)
                && client.write(&answer).is_err()
            {
                clients.remove(&poll);
            }
            if !broadcast.is_empty() {
                // What one read brought leaves in one write to each.
                clients.retain(|_, client| client.write(&broadcast).is_ok());
                broadcast.clear();
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    clients: &mut HashMap<usize, Client>,
    mut next: usize,
) -> io::Result<usize> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                // Not essential: a floor without it would only be slower.
                let _ = stream.set_nodelay(true);
                poll.registry().register(&mut stream, Token(next), Interest::READABLE | Interest::WRITABLE)?;
                clients.insert(next, Client { stream, unread: Vec::new(), unwritten: Vec::new(), upgraded: false });
                next += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(next),
            Err(error) => return Err(error),
        }
    }
}

impl Client {
    /// `Ok(false)`: the client is gone.
    fn read(&mut self, scratch: &mut [u8], broadcast: &mut Vec<u8>, sessions: &mut Sessions) -> io::Result<bool> {
        let mut replies = Vec::new();
        let mut open = true;
        loop {
            let got = match self.stream.read(scratch) {
                Ok(0) => {
                    open = false;
                    break;
                }
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let fresh = &mut scratch[..got];
            if self.unread.is_empty() {
                let used = consume(&mut self.upgraded, fresh, &mut replies, broadcast, sessions);
                self.unread.extend_from_slice(&fresh[used..]);
            } else {
                self.unread.extend_from_slice(fresh);
                let used = consume(&mut self.upgraded, &mut self.unread, &mut replies, broadcast, sessions);
                self.unread.drain(..used);
                if self.unread.is_empty() {
                    self.unread = Vec::new();
                }
            }
            if got < scratch.len() {
                break;
            }
        }
        if !replies.is_empty() {
            self.write(&replies)?;
        }
        Ok(open)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        if self.unwritten.is_empty() {
            written = match self.stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                result => result?,
            };
        }
        self.unwritten.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.unwritten);
        self.write(&bytes)
    }
}

/// Answers what is complete in `bytes` and returns how much that was.
fn consume(
    upgraded: &mut bool,
    bytes: &mut [u8],
    replies: &mut Vec<u8>,
    broadcast: &mut Vec<u8>,
    sessions: &mut Sessions,
) -> usize {
    let mut used = 0;
    if !*upgraded {
        if let Some(used) = sessions.serve(bytes, replies) {
            return used;
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return 0 };
        let head = String::from_utf8_lossy(&bytes[..end]);
        let key = head.split("Sec-WebSocket-Key: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let accept = base64::engine::general_purpose::STANDARD.encode(Sha1::digest(format!("{key}{GUID}")));
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade";
        replies.extend_from_slice(format!("{head}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes());
        frame(1, OPEN.as_bytes(), replies);
        *upgraded = true;
        used = end + 4;
    }
    while let Some((opcode, start, end)) = unmask(&mut bytes[used..]) {
        answer(opcode, &bytes[used + start..used + end], replies, broadcast);
        used += end;
    }
    used
}

fn answer(opcode: u8, payload: &[u8], replies: &mut Vec<u8>, broadcast: &mut Vec<u8>) {
    match payload {
        b"40" => frame(1, CONNECT.as_bytes(), replies),
        [b'4', b'2', b'[', b'"', b'b', ..] => frame(1, payload, broadcast),
        [b'4', b'2', id @ b'0'..=b'9', rest @ ..] => {
            let from = rest.iter().position(|&byte| byte == b',').map_or(0, |comma| comma + 1);
            let digits = rest.iter().position(|&byte| byte == b'[').unwrap_or(0);
            let reply = [&[b'4', b'3', *id], &rest[..digits], b"[", &rest[from..]].concat();
            frame(1, &reply, replies);
        }
        [b'4', b'2', ..] => frame(1, payload, replies),
        _ if opcode == 2 => frame(2, payload, replies),
        _ => {}
    }
}

/// Unmasks the first frame in place: opcode, start and end of its payload.
fn unmask(bytes: &mut [u8]) -> Option<(u8, usize, usize)> {
    let [first, second, rest @ ..] = &*bytes else { return None };
    let (length, header) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 8),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?, 14),
        short => (usize::from(short), 6),
    };
    let opcode = first & 0x0f;
    let mask: [u8; 4] = *bytes.get(header - 4..header)?.first_chunk()?;
    let payload = bytes.get_mut(header..header + length)?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Some((opcode, header, header + length))
}

fn frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => out.push(length.to_be_bytes()[1]),
        Ok(length) => {
            out.push(126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            out.push(127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}
