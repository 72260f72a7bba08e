//! One WebTransport session to the server, with its stream.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use wtransport::endpoint::endpoint_side::Client;
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, VarInt};

use crate::packet::Packet;

/// The bit of a header that tells binary from text.
const BINARY: u8 = 0x80;
/// In place of a length: it follows in 16 bits, or in 64.
const SHORT: u8 = 0x7e;
const LONG: u8 = 0x7f;

/// Where WebTransport sessions are opened from, and to.
pub(crate) struct Quic {
    endpoint: Endpoint<Client>,
    url: String,
}

impl Quic {
    /// `hash` is that of the server's certificate.
    pub(crate) fn new(server: SocketAddr, hash: [u8; 32]) -> io::Result<Self> {
        let config = ClientConfig::builder().with_bind_address((Ipv4Addr::LOCALHOST, 0).into());
        let config = config.with_server_certificate_hashes([Sha256Digest::new(hash)]).build();
        Ok(Self { endpoint: Endpoint::client(config)?, url: format!("https://{server}/socket.io/") })
    }
}

/// A session and its stream, and what was read from it and not yet used.
#[derive(Debug)]
pub(crate) struct Visit {
    session: Connection,
    send: SendStream,
    receive: RecvStream,
    unread: Vec<u8>,
}

impl Visit {
    /// Opens a session and its stream. Nothing is said on it yet.
    pub(crate) async fn open(quic: &Quic) -> io::Result<Self> {
        let session = quic.endpoint.connect(quic.url.as_str()).await.map_err(io::Error::other)?;
        let stream = session.open_bi().await.map_err(io::Error::other)?;
        let (send, receive) = stream.await.map_err(io::Error::other)?;
        Ok(Self { session, send, receive, unread: Vec::new() })
    }

    pub(crate) async fn write(&mut self, packets: &[Packet]) -> io::Result<()> {
        let mut out = Vec::new();
        for packet in packets {
            match packet {
                Packet::Text(text) => encode(&mut out, 0, text.as_bytes()),
                Packet::Binary(bytes) => encode(&mut out, BINARY, bytes),
            }
        }
        self.send.write_all(&out).await.map_err(io::Error::other)
    }

    /// The next packet. Cancel safe.
    pub(crate) async fn receive(&mut self) -> io::Result<Packet> {
        let mut read = [0; 4096];
        loop {
            if let Some(packet) = decode(&mut self.unread)? {
                return Ok(packet);
            }
            match self.receive.read(&mut read).await.map_err(io::Error::other)? {
                Some(n) => self.unread.extend_from_slice(&read[..n]),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Ends the session when the server has everything.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        let finished = self.send.finish().await;
        self.kill();
        finished.map_err(io::Error::other)
    }

    /// Ends the session at once, whatever is on its way.
    pub(crate) fn kill(self) {
        self.session.close(VarInt::from_u32(0), b"");
    }
}

/// Appends a packet behind its length. [JS engine.io-parser 5.2 createPacketEncoderStream]
fn encode(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..SHORT), _) => out.push(kind | length),
        (_, Ok(length)) => {
            out.push(kind | SHORT);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(kind | LONG);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Takes a packet from the front, if it is complete.
fn decode(bytes: &mut Vec<u8>) -> io::Result<Option<Packet>> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let (kind, short) = (first & BINARY, first & !BINARY);
    let more = match short {
        SHORT => 2,
        LONG => 8,
        _ => 0,
    };
    let Some(header) = bytes.get(1..1 + more) else { return Ok(None) };
    let long = header.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let (head, length) = (1 + more, if more == 0 { usize::from(short) } else { long });
    if bytes.len() < head + length {
        return Ok(None);
    }
    let payload = bytes.drain(..head + length).skip(head).collect();
    if kind == BINARY {
        return Ok(Some(Packet::Binary(payload)));
    }
    let text = String::from_utf8(payload).map_err(io::Error::other)?;
    // Bytes, of which there are none: official clients take a length of 0 for a fault.
    Ok(Some(if text == "b" { Packet::Binary(Vec::new()) } else { Packet::Text(text) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_follow_their_lengths() {
        for (length, head) in [(0, 1), (125, 1), (126, 3), (65_535, 3), (65_536, 9)] {
            for (kind, packet) in [(0, Packet::Text("x".repeat(length))), (BINARY, Packet::Binary(vec![b'x'; length]))]
            {
                let mut bytes = Vec::new();
                encode(&mut bytes, kind, &vec![b'x'; length]);
                assert_eq!((bytes.len(), bytes[0] & BINARY), (head + length, kind));
                let last = bytes.pop();
                assert_eq!(decode(&mut bytes).unwrap(), None);
                bytes.extend(last);
                assert_eq!(decode(&mut bytes).unwrap(), Some(packet));
                assert!(bytes.is_empty());
            }
        }
    }
}
