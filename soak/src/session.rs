//! One connection of a client: what it asks and is told, and what must be true of it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::carrier::{Carrier, Step};
use crate::load::Load;
use crate::packet::Packet;
use crate::random::Random;
use crate::rooms::Rooms;
use crate::side::{PATH, Side};
use crate::stream::{Revision, Stream, Target, Transport};

/// What a client cannot do without; anything else that takes longer has gone wrong, however busy the machine is.
pub(crate) const ANSWER: Duration = Duration::from_secs(60);

/// What a client comes back to, if it is in time.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) pid: String,
    /// The last event that arrived; nothing may be missing behind it.
    pub(crate) offset: String,
    rooms: Rooms,
}

/// What an acknowledgement is waited for.
#[derive(Debug)]
enum Asked {
    Put(u64),
    Join(u64),
    Leave(u64),
    Blob(Vec<u8>),
}

/// A connection to the namespace, and what must be true of it.
pub(crate) struct Session {
    name: String,
    /// When the next ping is due, if it is this side that pings.
    ping: Instant,
    pub(crate) carrier: Carrier,
    target: Target,
    /// Came by polling while the transport was changed.
    ready: VecDeque<Packet>,
    rooms: Rooms,
    side: Side,
    /// The name under which the server may know it, and the one by which it will.
    expected: String,
    pid: Option<String>,
    offset: String,
    asked: HashMap<u64, Asked>,
    asks: u64,
    puts: u64,
    pub(crate) acked: u64,
    /// The attachment that must be the next packet.
    blob: Option<Vec<u8>>,
    pub(crate) joined: bool,
    load: Arc<Load>,
}

impl Session {
    /// A connection on which the namespace was asked for, by a client which may come back to its past.
    pub(crate) fn new(name: String, carrier: Carrier, target: Target, past: Option<Past>, load: Arc<Load>) -> Self {
        let (expected, offset, rooms) = past.map_or_else(Default::default, |past| (past.pid, past.offset, past.rooms));
        Self {
            name,
            ping: Instant::now(),
            carrier,
            target,
            ready: VecDeque::new(),
            rooms,
            side: Side::default(),
            expected,
            pid: None,
            offset,
            asked: HashMap::new(),
            asks: 0,
            puts: 0,
            acked: 0,
            blob: None,
            joined: false,
            load,
        }
    }

    /// Does something `steps` times, with pauses.
    pub(crate) async fn act(&mut self, dice: &mut Random, steps: u64, load: &Load) -> io::Result<()> {
        for _ in 0..steps {
            if load.is_over() {
                break;
            }
            let room = dice.below(load.rooms);
            match dice.below(24) {
                0..8 => self.put().await?,
                8 | 9 => self.join(room).await?,
                10 => self.leave(room).await?,
                11..14 => {
                    let text = (0..dice.below(2_000)).map(|_| 'x').collect::<String>();
                    self.carrier.send(&[Packet::text(format!("42[\"say\",{room},\"{text}\"]"))]).await?;
                }
                14 => self.carrier.send(&[Packet::text(format!("42[\"ask me\",{}]", dice.below(1 << 32)))]).await?,
                15 => {
                    let number = dice.below(1 << 32);
                    self.carrier.send(&[Packet::text(format!("42[\"ask room\",{room},{number}]"))]).await?;
                }
                16 | 17 => {
                    let size = dice.below(3_000);
                    self.send_blob(dice.bytes(size)).await?;
                }
                20..24 => {
                    if let Some(text) = self.side.speak(dice) {
                        self.carrier.send(&[Packet::text(text)]).await?;
                    }
                }
                18 => sleep(Duration::from_millis(dice.below(2_000))).await,
                _ => {}
            }
            self.attend(Duration::from_millis(dice.below(2_000))).await?;
        }
        Ok(())
    }

    pub(crate) async fn put(&mut self) -> io::Result<()> {
        let number = self.puts;
        self.puts += 1;
        let id = self.ask(Asked::Put(number));
        self.carrier.send(&[Packet::text(format!("42{id}[\"put\",{number}]"))]).await
    }

    async fn join(&mut self, room: u64) -> io::Result<()> {
        if !self.rooms.enter(room) {
            return Ok(());
        }
        let id = self.ask(Asked::Join(room));
        self.carrier.send(&[Packet::text(format!("42{id}[\"join\",{room}]"))]).await
    }

    async fn leave(&mut self, room: u64) -> io::Result<()> {
        if !self.rooms.is_in(room)
            || self.asked.values().any(|asked| matches!(asked, Asked::Leave(left) if *left == room))
        {
            return Ok(());
        }
        let id = self.ask(Asked::Leave(room));
        self.carrier.send(&[Packet::text(format!("42{id}[\"leave\",{room}]"))]).await
    }

    async fn send_blob(&mut self, blob: Vec<u8>) -> io::Result<()> {
        let id = self.ask(Asked::Blob(blob.clone()));
        let head = format!("451-{id}[\"blob\",{{\"_placeholder\":true,\"num\":0}}]");
        self.carrier.send(&[Packet::text(head), Packet::Binary(blob)]).await
    }

    /// Leaves all rooms, which shows that nothing is missing, and waits for all answers.
    pub(crate) async fn settle(&mut self) -> io::Result<()> {
        for room in self.rooms.all() {
            self.leave(room).await?;
        }
        self.until("answers", |session| session.asked.is_empty() && session.side.is_settled()).await
    }

    /// Asks the server to drop this client, with events before and behind it. Nothing but the end may follow.
    pub(crate) async fn be_dropped(&mut self, whole: bool) -> io::Result<()> {
        for _ in 0..3 {
            self.put().await?;
        }
        self.carrier.send(&[Packet::text(format!("42[\"drop me\",{whole}]"))]).await?;
        let end = Instant::now() + ANSWER;
        let mut puts = 3;
        loop {
            if puts > 0 && self.put().await.is_err() {
                break;
            }
            puts -= i32::from(puts > 0);
            match tokio::time::timeout_at(end, self.receive()).await {
                Ok(Ok(packet)) if packet == Packet::text("41") => break,
                Ok(Ok(packet)) => self.handle(packet).await?,
                Ok(Err(_)) => break,
                Err(_) => return Err(self.fault("it was not dropped")),
            }
        }
        self.load.seen.dropped.up();
        Ok(())
    }

    /// What the next life can come back to.
    pub(crate) fn past(&mut self) -> Option<Past> {
        let pid = self.pid.take()?;
        let leaving = |asked: &Asked| if let Asked::Leave(room) = asked { Some(*room) } else { None };
        self.rooms.cut(&self.asked.values().filter_map(leaving).collect::<Vec<_>>());
        let (offset, rooms) = (std::mem::take(&mut self.offset), std::mem::take(&mut self.rooms));
        // Without a number the server counts from the moment at which it let this one in.
        Some(Past { pid, offset, rooms })
    }

    fn ask(&mut self, asked: Asked) -> u64 {
        self.asks += 1;
        self.asked.insert(self.asks, asked);
        self.asks
    }

    /// Goes to a stream, if it is not there already; a half-open one is given back.
    pub(crate) async fn upgrade(&mut self, to: Transport, last: Step) -> io::Result<Option<Stream>> {
        if !matches!(self.carrier, Carrier::Polling(_)) {
            return Ok(None);
        }
        // Now and then a poll is out already, which the upgrade must bring back.
        self.attend(Duration::from_millis(1)).await?;
        let Carrier::Polling(polling) = &mut self.carrier else { return Ok(None) };
        let to =
            if self.target.revision == Revision::V3 || to == Transport::Polling { Transport::Websocket } else { to };
        let stream = timeout(ANSWER, polling.upgrade(&self.target, to, last)).await??;
        if last < Step::Done {
            return Ok(Some(stream));
        }
        self.ready = polling.rest();
        self.carrier = Carrier::Stream(stream);
        Ok(None)
    }

    /// Receives for some time.
    pub(crate) async fn attend(&mut self, time: Duration) -> io::Result<()> {
        self.keep_alive().await?;
        let end = Instant::now() + time;
        while let Ok(packet) = tokio::time::timeout_at(end, self.receive()).await {
            self.handle(packet?).await?;
        }
        Ok(())
    }

    /// Receives until something has happened, which must happen.
    pub(crate) async fn until(&mut self, what: &str, happened: impl Fn(&Self) -> bool) -> io::Result<()> {
        let end = Instant::now() + ANSWER;
        while !happened(self) {
            if Instant::now() >= end {
                return Err(self.fault(&format!("{what} did not come: {:?}", self.asked)));
            }
            self.keep_alive().await?;
            if let Ok(packet) = timeout(self.load.profile.ping_interval, self.receive()).await {
                self.handle(packet?).await?;
            }
        }
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<Packet> {
        match self.ready.pop_front() {
            Some(packet) => Ok(packet),
            None => self.carrier.receive().await,
        }
    }

    /// In revision 3 it is this side that pings.
    async fn keep_alive(&mut self) -> io::Result<()> {
        if self.target.revision == Revision::V4 || Instant::now() < self.ping {
            return Ok(());
        }
        self.ping = Instant::now() + self.load.profile.ping_interval;
        self.carrier.send(&[Packet::text("2")]).await
    }

    async fn handle(&mut self, packet: Packet) -> io::Result<()> {
        match (self.blob.take(), packet) {
            (Some(blob), Packet::Binary(bytes)) if bytes == blob => Ok(()),
            (None, Packet::Text(text)) => self.handle_text(&text).await,
            (blob, packet) => Err(self.fault(&format!("{packet:?}, and expected {blob:?}"))),
        }
    }

    async fn handle_text(&mut self, text: &str) -> io::Result<()> {
        match text.as_bytes() {
            b"2" => self.carrier.send(&[Packet::text("3")]).await,
            b"6" => Ok(()),
            b"3" if self.target.revision == Revision::V3 => Ok(()),
            b"1" | b"41" => Err(io::ErrorKind::UnexpectedEof.into()),
            [b'4', kind, ..] if text[2..].starts_with(PATH) => match self.side.hear(*kind, &text[2 + PATH.len()..]) {
                Ok(is_answer) => {
                    (0..u64::from(is_answer)).for_each(|_| self.load.seen.echoes.up());
                    Ok(())
                }
                Err(error) => Err(self.fault(&error)),
            },
            [b'4', b'0', ..] if !self.joined => self.handle_connect(&text[2..]),
            [b'4', kind @ (b'2' | b'3' | b'6'), ..] => {
                let rest = text.get(2..).unwrap_or_default();
                let rest = if *kind == b'6' { rest.strip_prefix("1-").unwrap_or("?") } else { rest };
                let start = rest.find('[').unwrap_or(rest.len());
                let id = rest[..start].parse().ok();
                match (kind, id, serde_json::from_str::<Value>(&rest[start..])) {
                    (b'2', id, Ok(arguments)) => self.handle_event(id, &arguments).await,
                    (_, Some(id), Ok(arguments)) => self.handle_ack(id, &arguments),
                    _ => Err(self.fault(text)),
                }
            }
            _ => Err(self.fault(text)),
        }
    }

    /// It is let in; what it missed may have come before.
    fn handle_connect(&mut self, json: &str) -> io::Result<()> {
        self.joined = true;
        // In revision 3 nothing follows, and nobody comes back.
        let told = if json.is_empty() { Ok(Value::Null) } else { serde_json::from_str::<Value>(json) };
        let told = told.map_err(|_| self.fault(json))?;
        self.pid = told["pid"].as_str().map(str::to_owned);
        if self.pid.as_deref() == Some(&self.expected) {
            self.load.seen.recovered.up();
        } else {
            (self.rooms, self.offset) = (Rooms::default(), String::new());
        }
        Ok(())
    }

    async fn handle_event(&mut self, id: Option<u64>, arguments: &Value) -> io::Result<()> {
        if let (None, Some(offset)) = (id, arguments[4].as_str()) {
            offset.clone_into(&mut self.offset);
        }
        match (arguments[0].as_str(), arguments[1].as_u64(), arguments[2].as_u64(), id) {
            (Some("said"), Some(room), Some(number), None) => {
                self.load.seen.said.up();
                self.rooms.heard(room, number).map_err(|error| self.fault(&error))
            }
            (Some("ask"), Some(number), None, Some(id)) => {
                self.load.seen.answers.up();
                self.carrier.send(&[Packet::text(format!("43{id}[{}]", number.wrapping_mul(2)))]).await
            }
            _ => Err(self.fault(&arguments.to_string())),
        }
    }

    fn handle_ack(&mut self, id: u64, arguments: &Value) -> io::Result<()> {
        let number = arguments[0].as_u64();
        let result = match (self.asked.remove(&id), number) {
            (Some(Asked::Put(put)), Some(number)) if put == number && self.acked == number => {
                self.acked += 1;
                self.load.seen.acked.up();
                Ok(())
            }
            (Some(Asked::Join(room)), Some(last)) => self.rooms.entered(room, last),
            (Some(Asked::Leave(room)), Some(last)) => self.rooms.left(room, last),
            (Some(Asked::Blob(blob)), None) => {
                self.blob = Some(blob);
                Ok(())
            }
            (asked, _) => Err(format!("{asked:?}, answer {id}: {arguments}")),
        };
        result.map_err(|error| self.fault(&error))
    }

    /// Tells of an invariant that does not hold.
    fn fault(&self, what: &str) -> io::Error {
        let short: String = what.chars().take(300).collect();
        self.load.faults.add(format!("{}: {short}", self.name));
        io::Error::other(short)
    }
}
