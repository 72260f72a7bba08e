//! An Engine.IO session: packets by polling or by a stream, and the way from one to the other.

use std::collections::VecDeque;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http;
use crate::packet::Packet;
use crate::stream::{Revision, Stream, Target, Transport};
use crate::wire::Wire;

/// Between packets of one payload. [EIO4 "HTTP long-polling"]
const SEPARATOR: char = '\u{1e}';

/// How packets travel.
#[derive(Debug)]
pub(crate) enum Carrier {
    Polling(Polling),
    Stream(Stream),
}

/// A connection for polls and one for posts.
#[derive(Debug)]
pub(crate) struct Polling {
    sid: String,
    query: String,
    revision: Revision,
    polls: Wire,
    posts: Wire,
    /// A poll is out.
    polled: bool,
    ready: VecDeque<Packet>,
}

impl Carrier {
    /// Opens a session, and reads its OPEN.
    pub(crate) async fn open(target: &Target, transport: Transport) -> io::Result<Self> {
        if transport == Transport::Polling {
            return Polling::open(target).await.map(Self::Polling);
        }
        let mut stream = Stream::ask(target, transport, None).await?;
        stream.opened().await?;
        match stream.receive().await? {
            Packet::Text(open) if open.starts_with("0{") => Ok(Self::Stream(stream)),
            other => Err(io::Error::other(format!("not OPEN: {other:?}"))),
        }
    }

    pub(crate) async fn send(&mut self, packets: &[Packet]) -> io::Result<()> {
        match self {
            Self::Polling(polling) => polling.send(packets).await,
            Self::Stream(stream) => stream.write(packets).await,
        }
    }

    /// The next packet. Cancel safe.
    pub(crate) async fn receive(&mut self) -> io::Result<Packet> {
        match self {
            Self::Polling(polling) => polling.receive().await,
            Self::Stream(stream) => stream.receive().await,
        }
    }

    /// Says at the level of the transport that it is over.
    pub(crate) async fn close(self) -> io::Result<()> {
        match self {
            Self::Polling(mut polling) => polling.send(&[Packet::text("1")]).await,
            Self::Stream(stream) => stream.close().await,
        }
    }

    pub(crate) fn kill(self) {
        match self {
            Self::Polling(polling) => {
                polling.polls.kill();
                polling.posts.kill();
            }
            Self::Stream(stream) => stream.kill(),
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
    async fn open(target: &Target) -> io::Result<Self> {
        let mut polls = Wire::connect(&target.route).await?;
        polls.write(http::get(&target.route.query, None).as_bytes()).await?;
        let open = http::body(&mut polls).await?;
        let sid = open.split_once("\"sid\":\"").and_then(|(_, rest)| rest.split_once('"')).map(|(sid, _)| sid);
        let sid = sid.ok_or_else(|| io::Error::other(format!("not OPEN: {open}")))?.to_owned();
        let posts = Wire::connect(&target.route).await?;
        let (query, revision) = (target.route.query.clone(), target.revision);
        let mut polling = Self { sid, query, revision, polls, posts, polled: false, ready: VecDeque::new() };
        // The server lets clients of revision 3 in unasked, and says so in the same body.
        polling.unpack(&open)?;
        polling.ready.pop_front();
        Ok(polling)
    }

    /// Opens a stream for this session and goes as far as `last`. If that is the whole way, this is over: what is left
    /// of it is in [`Self::rest`].
    pub(crate) async fn upgrade(&mut self, target: &Target, to: Transport, last: Step) -> io::Result<Stream> {
        let mut stream = Stream::ask(target, to, Some(&self.sid)).await?;
        if last >= Step::Probed {
            stream.opened().await?;
            stream.write(&[Packet::text("2probe")]).await?;
        }
        if last >= Step::Answered && stream.receive().await? != Packet::text("3probe") {
            return Err(io::Error::other("the probe was not answered"));
        }
        if last == Step::Done {
            // The last poll comes back, if only with NOOP.
            if self.polled {
                self.take_poll().await?;
            }
            stream.write(&[Packet::text("5")]).await?;
        }
        Ok(stream)
    }

    /// What came and was not received yet.
    pub(crate) fn rest(&mut self) -> VecDeque<Packet> {
        std::mem::take(&mut self.ready)
    }

    async fn send(&mut self, packets: &[Packet]) -> io::Result<()> {
        let texts = packets.iter().map(|packet| match packet {
            Packet::Text(text) => text.clone(),
            Packet::Binary(bytes) => format!("{}{}", self.binary(), STANDARD.encode(bytes)),
        });
        let body = match self.revision {
            Revision::V3 => texts.map(|text| before(&text)).collect(),
            Revision::V4 => texts.collect::<Vec<_>>().join(&SEPARATOR.to_string()),
        };
        self.posts.write(http::post(&self.query, &self.sid, &body).as_bytes()).await?;
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
                self.polls.write(http::get(&self.query, Some(&self.sid)).as_bytes()).await?;
                self.polled = true;
            }
            self.take_poll().await?;
        }
    }

    async fn take_poll(&mut self) -> io::Result<()> {
        let body = http::body(&mut self.polls).await.map_err(|error| told("GET", error))?;
        self.polled = false;
        self.unpack(&body)
    }

    /// What bytes begin with in a text.
    fn binary(&self) -> &'static str {
        match self.revision {
            Revision::V3 => "b4",
            Revision::V4 => "b",
        }
    }

    /// Takes the packets out of a body.
    fn unpack(&mut self, body: &str) -> io::Result<()> {
        let mut rest = body;
        while !rest.is_empty() {
            let (packet, behind) = match self.revision {
                Revision::V3 => first(rest).ok_or_else(|| io::Error::other(format!("no payload: {rest}")))?,
                Revision::V4 => rest.split_once(SEPARATOR).unwrap_or((rest, "")),
            };
            self.ready.push_back(match packet.strip_prefix(self.binary()) {
                Some(bytes) => {
                    Packet::Binary(STANDARD.decode(bytes).map_err(|error| io::Error::other(error.to_string()))?)
                }
                None => Packet::text(packet),
            });
            rest = behind;
        }
        Ok(())
    }
}

/// A packet behind its length, as revision 3 has them. [EIO3 "payload encoding"]
fn before(packet: &str) -> String {
    format!("{}:{packet}", packet.encode_utf16().count())
}

/// The first packet of such a payload, which is ASCII, and the rest.
fn first(payload: &str) -> Option<(&str, &str)> {
    let (length, rest) = payload.split_once(':')?;
    rest.split_at_checked(length.parse().ok()?)
}

/// An error, and which request it answers.
fn told(method: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{method}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_revision_3_stand_behind_their_lengths() {
        let payload = [before("40"), before("42[\"x\"]")].concat();
        assert_eq!(payload, "2:407:42[\"x\"]");
        assert_eq!(first(&payload), Some(("40", "7:42[\"x\"]")));
        assert!(first("9:40").is_none() && first("x").is_none());
    }
}
