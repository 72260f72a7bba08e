//! A stream of packets: a WebSocket, or that of a WebTransport session.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::frame::{self, Opcode};
use crate::http;
use crate::packet::Packet;
use crate::quic::{Quic, Visit};
use crate::wire::{Route, Wire};

/// Where a client goes.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) route: Route,
    pub(crate) quic: Arc<Quic>,
    pub(crate) revision: Revision,
}

/// Of Engine.IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revision {
    V3,
    V4,
}

/// What bytes begin with in revision 3. [EIO3 "packet encoding"]
const MESSAGE: u8 = 4;

/// What packets come and go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Polling,
    Websocket,
    Webtransport,
}

/// A stream of packets.
#[derive(Debug)]
pub(crate) enum Stream {
    /// In revision 3 a type stands before bytes.
    Websocket {
        wire: Wire,
        old: bool,
    },
    Webtransport(Box<Visit>),
}

impl Stream {
    /// Asks for a stream, for a new session or for the upgrade of `sid`. [`Self::opened`] has to follow.
    pub(crate) async fn ask(target: &Target, transport: Transport, sid: Option<&str>) -> io::Result<Self> {
        if transport == Transport::Webtransport {
            let mut visit = Visit::open(&target.quic).await?;
            let hello = sid.map_or("0".to_owned(), |sid| format!("0{{\"sid\":\"{sid}\"}}"));
            visit.write(&[Packet::Text(hello)]).await?;
            return Ok(Self::Webtransport(Box::new(visit)));
        }
        let mut wire = Wire::connect(&target.route).await?;
        wire.write(http::websocket(&target.route.query, sid).as_bytes()).await?;
        Ok(Self::Websocket { wire, old: target.revision == Revision::V3 })
    }

    /// Waits until packets can be sent.
    pub(crate) async fn opened(&mut self) -> io::Result<()> {
        match self {
            Self::Websocket { wire, .. } => http::switched(wire).await,
            Self::Webtransport(_) => Ok(()),
        }
    }

    pub(crate) async fn write(&mut self, packets: &[Packet]) -> io::Result<()> {
        let (wire, old) = match self {
            Self::Websocket { wire, old } => (wire, *old),
            Self::Webtransport(visit) => return visit.write(packets).await,
        };
        let mut out = Vec::new();
        for packet in packets {
            match packet {
                Packet::Text(text) => frame::encode(&mut out, Opcode::Text, text.as_bytes()),
                Packet::Binary(bytes) if old => {
                    frame::encode(&mut out, Opcode::Binary, &[&[MESSAGE], &bytes[..]].concat());
                }
                Packet::Binary(bytes) => frame::encode(&mut out, Opcode::Binary, bytes),
            }
        }
        wire.write(&out).await
    }

    /// The next packet. Cancel safe.
    pub(crate) async fn receive(&mut self) -> io::Result<Packet> {
        let (wire, old) = match self {
            Self::Websocket { wire, old } => (wire, *old),
            Self::Webtransport(visit) => return visit.receive().await,
        };
        loop {
            match frame::decode(&mut wire.unread)? {
                // Who asked for base64 in bodies gets it here too.
                Some((Opcode::Text, payload)) if old && payload.starts_with(b"b4") => {
                    let bytes = STANDARD.decode(&payload[2..]).map_err(|error| io::Error::other(error.to_string()))?;
                    return Ok(Packet::Binary(bytes));
                }
                Some((Opcode::Text, payload)) => {
                    return String::from_utf8(payload).map(Packet::Text).map_err(io::Error::other);
                }
                Some((Opcode::Binary, payload)) if old => match payload.split_first() {
                    Some((&MESSAGE, bytes)) => return Ok(Packet::Binary(bytes.to_vec())),
                    _ => return Err(io::Error::other("bytes without a type")),
                },
                Some((Opcode::Binary, payload)) => return Ok(Packet::Binary(payload)),
                Some((Opcode::Close, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => wire.read().await?,
            }
        }
    }

    /// Says that it is over.
    pub(crate) async fn close(self) -> io::Result<()> {
        match self {
            Self::Websocket { mut wire, .. } => {
                let mut out = Vec::new();
                frame::encode(&mut out, Opcode::Close, &1000_u16.to_be_bytes());
                wire.write(&out).await
            }
            Self::Webtransport(visit) => visit.close().await,
        }
    }

    pub(crate) fn kill(self) {
        match self {
            Self::Websocket { wire, .. } => wire.kill(),
            Self::Webtransport(visit) => visit.kill(),
        }
    }
}
