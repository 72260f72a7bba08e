//! An Engine.IO session: packets by polling or by WebSocket, and the way from one to the other.

use std::collections::VecDeque;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::frame::{self, Opcode};
use crate::http;
use crate::wire::{Route, Wire};

/// Between packets of one payload. [EIO4 "HTTP long-polling"]
const SEPARATOR: char = '\u{1e}';

/// An Engine.IO packet; the binary ones are messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Text(String),
    Binary(Vec<u8>),
}

impl Packet {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// How packets travel.
#[derive(Debug)]
pub(crate) enum Carrier {
    Polling(Polling),
    Stream(Wire),
}

/// A connection for polls and one for posts.
#[derive(Debug)]
pub(crate) struct Polling {
    sid: String,
    polls: Wire,
    posts: Wire,
    /// A poll is out.
    polled: bool,
    ready: VecDeque<Packet>,
}

impl Carrier {
    /// Opens a session by polling, and reads its OPEN.
    pub(crate) async fn poll(route: Route) -> io::Result<Self> {
        let mut polls = Wire::connect(route).await?;
        polls.write(http::get(None).as_bytes()).await?;
        let open = http::body(&mut polls).await?;
        let sid = open.split_once("\"sid\":\"").and_then(|(_, rest)| rest.split_once('"')).map(|(sid, _)| sid);
        let sid = sid.ok_or_else(|| io::Error::other(format!("not OPEN: {open}")))?.to_owned();
        let posts = Wire::connect(route).await?;
        Ok(Self::Polling(Polling { sid, polls, posts, polled: false, ready: VecDeque::new() }))
    }

    /// Opens a session by WebSocket, and reads its OPEN.
    pub(crate) async fn stream(route: Route) -> io::Result<Self> {
        let mut wire = open(route, None).await?;
        match received(&mut wire).await? {
            Packet::Text(open) if open.starts_with("0{") => Ok(Self::Stream(wire)),
            other => Err(io::Error::other(format!("not OPEN: {other:?}"))),
        }
    }

    pub(crate) async fn send(&mut self, packets: &[Packet]) -> io::Result<()> {
        match self {
            Self::Polling(polling) => polling.send(packets).await,
            Self::Stream(wire) => write(wire, packets).await,
        }
    }

    /// The next packet. Cancel safe.
    pub(crate) async fn receive(&mut self) -> io::Result<Packet> {
        match self {
            Self::Polling(polling) => polling.receive().await,
            Self::Stream(wire) => received(wire).await,
        }
    }

    /// Says at the level of the transport that it is over.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        match &mut self {
            Self::Polling(polling) => polling.send(&[Packet::text("1")]).await,
            Self::Stream(wire) => {
                let mut out = Vec::new();
                frame::encode(&mut out, Opcode::Close, &1000_u16.to_be_bytes());
                wire.write(&out).await
            }
        }
    }

    pub(crate) fn kill(self) {
        match self {
            Self::Polling(polling) => {
                polling.polls.kill();
                polling.posts.kill();
            }
            Self::Stream(wire) => wire.kill(),
        }
    }
}

/// Steps of the upgrade, after which a client may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Asked,
    Probed,
    Answered,
    Done,
}

impl Polling {
    /// Opens a WebSocket for this session and goes as far as `last`. If that is the whole way, this is over: what is left
    /// of it is in [`Self::rest`].
    pub(crate) async fn upgrade(&mut self, route: Route, last: Step) -> io::Result<Wire> {
        let mut wire = Wire::connect(route).await?;
        wire.write(http::websocket(Some(&self.sid)).as_bytes()).await?;
        if last >= Step::Probed {
            http::switched(&mut wire).await?;
            write(&mut wire, &[Packet::text("2probe")]).await?;
        }
        if last >= Step::Answered && received(&mut wire).await? != Packet::text("3probe") {
            return Err(io::Error::other("the probe was not answered"));
        }
        if last == Step::Done {
            // The last poll comes back, if only with NOOP.
            if self.polled {
                self.take_poll().await?;
            }
            write(&mut wire, &[Packet::text("5")]).await?;
        }
        Ok(wire)
    }

    /// What came and was not received yet.
    pub(crate) fn rest(&mut self) -> VecDeque<Packet> {
        std::mem::take(&mut self.ready)
    }

    async fn send(&mut self, packets: &[Packet]) -> io::Result<()> {
        let texts = packets.iter().map(|packet| match packet {
            Packet::Text(text) => text.clone(),
            Packet::Binary(bytes) => format!("b{}", STANDARD.encode(bytes)),
        });
        let body = texts.collect::<Vec<_>>().join(&SEPARATOR.to_string());
        self.posts.write(http::post(&self.sid, &body).as_bytes()).await?;
        match http::body(&mut self.posts).await.map_err(|error| told("POST", error))?.as_str() {
            "ok" => Ok(()),
            other => Err(io::Error::other(format!("a POST was answered with {other:?}"))),
        }
    }

    async fn receive(&mut self) -> io::Result<Packet> {
        loop {
            if let Some(packet) = self.ready.pop_front() {
                return Ok(packet);
            }
            if !self.polled {
                // So short that it is written in one go, or not at all if this is dropped.
                self.polls.write(http::get(Some(&self.sid)).as_bytes()).await?;
                self.polled = true;
            }
            self.take_poll().await?;
        }
    }

    async fn take_poll(&mut self) -> io::Result<()> {
        let body = http::body(&mut self.polls).await.map_err(|error| told("GET", error))?;
        self.polled = false;
        for packet in body.split(SEPARATOR) {
            self.ready.push_back(match packet.strip_prefix('b') {
                Some(bytes) => {
                    Packet::Binary(STANDARD.decode(bytes).map_err(|error| io::Error::other(error.to_string()))?)
                }
                None => Packet::text(packet),
            });
        }
        Ok(())
    }
}

/// An error, and which request it answers.
fn told(method: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{method}: {error}"))
}

async fn open(route: Route, sid: Option<&str>) -> io::Result<Wire> {
    let mut wire = Wire::connect(route).await?;
    wire.write(http::websocket(sid).as_bytes()).await?;
    http::switched(&mut wire).await?;
    Ok(wire)
}

async fn write(wire: &mut Wire, packets: &[Packet]) -> io::Result<()> {
    let mut out = Vec::new();
    for packet in packets {
        match packet {
            Packet::Text(text) => frame::encode(&mut out, Opcode::Text, text.as_bytes()),
            Packet::Binary(bytes) => frame::encode(&mut out, Opcode::Binary, bytes),
        }
    }
    wire.write(&out).await
}

async fn received(wire: &mut Wire) -> io::Result<Packet> {
    loop {
        match frame::decode(&mut wire.unread)? {
            Some((Opcode::Text, payload)) => {
                return String::from_utf8(payload).map(Packet::Text).map_err(io::Error::other);
            }
            Some((Opcode::Binary, payload)) => return Ok(Packet::Binary(payload)),
            Some((Opcode::Close, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => wire.read().await?,
        }
    }
}
