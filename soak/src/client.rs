//! One client: life after life it connects, does this and that, checks what it is told, and goes in one way or another.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::carrier::{Carrier, Step};
use crate::ending::Ending;
use crate::load::Load;
use crate::packet::Packet;
use crate::random::Random;
use crate::rooms::Rooms;
use crate::side::{PATH, Side};
use crate::stream::{Stream, Target, Transport};
use crate::wire::Route;

/// What a client cannot do without; anything else that takes longer has gone wrong, however busy the machine is.
const ANSWER: Duration = Duration::from_secs(60);

/// How sessions begin: polling and WebSocket as often as each other, WebTransport less.
const TRANSPORTS: [Transport; 5] =
    [Transport::Polling, Transport::Polling, Transport::Websocket, Transport::Websocket, Transport::Webtransport];
/// What the kernel closes when a client is killed: of others the server learns when they are silent for too long.
const KERNEL: [Transport; 2] = [Transport::Polling, Transport::Websocket];

/// One client, over its lives.
pub(crate) struct Client {
    number: u64,
    life: u64,
    acked: (u64, u64),
    /// By what the server knows it again, if its last life was cut short.
    past: Option<Past>,
    dice: Random,
    load: Arc<Load>,
}

/// What a client comes back to, if it is in time.
#[derive(Debug)]
struct Past {
    pid: String,
    /// The last event that arrived; nothing may be missing behind it.
    offset: String,
    rooms: Rooms,
}

impl Client {
    pub(crate) fn new(number: u64, load: Arc<Load>) -> Self {
        Self {
            number,
            life: load.lives,
            acked: (0, 0),
            past: None,
            dice: Random::new(load.seed ^ load.lives, number),
            load,
        }
    }

    /// Lives until the load is to stop.
    pub(crate) async fn run(mut self) {
        while !self.load.is_over() {
            self.life += 1;
            let ending = Ending::choose(&mut self.dice);
            self.load.seen.lives.up();
            // That the server cuts those who sleep or stall is no fault; what it does to the others is counted.
            match self.live(ending).await {
                Ok(()) => {}
                Err(error) => self.load.cut(ending == Ending::Orderly, &error),
            }
            sleep(Duration::from_millis(self.dice.below(200))).await;
        }
    }

    /// Connects, says that it has, and then only answers pings, until the process is killed.
    pub(crate) async fn hold(mut self, ready: impl FnOnce()) -> io::Result<()> {
        self.life += 1;
        let mut session = self.join(&KERNEL).await?;
        session.put().await?;
        session.settle().await?;
        self.load.seen.lives.up();
        ready();
        loop {
            session.attend(ANSWER).await?;
        }
    }

    async fn live(&mut self, ending: Ending) -> io::Result<()> {
        if ending == Ending::Stranger {
            let _stranger = self.open(&TRANSPORTS).await?;
            sleep(Duration::from_millis(self.dice.below(500))).await;
            return Ok(());
        }
        let mut session = self.join(&TRANSPORTS).await?;
        let result = self.act(&mut session, ending).await;
        self.acked = (self.life, session.acked);
        self.past = match ending {
            Ending::Dropped { .. } | Ending::Orderly => None,
            _ => session.past(),
        };
        let _half = result?;
        match ending {
            Ending::Dropped { .. } => Ok(()),
            Ending::Orderly => {
                session.carrier.send(&[Packet::text("41")]).await?;
                session.carrier.close().await
            }
            Ending::Reset => {
                session.carrier.kill();
                Ok(())
            }
            Ending::Silence => {
                self.load.pause(self.load.profile.silence()).await;
                Ok(())
            }
            Ending::HalfUpgrade(_) => {
                sleep(Duration::from_millis(self.dice.below(300))).await;
                Ok(())
            }
            Ending::Fin | Ending::Stranger => Ok(()),
        }
    }

    /// What a life is made of, up to its end; a stream to which it was about to be upgraded.
    async fn act(&mut self, session: &mut Session, ending: Ending) -> io::Result<Option<Stream>> {
        let steps = 1 + self.dice.below(20);
        session.act(&mut self.dice, steps, &self.load).await?;
        match ending {
            Ending::Dropped { whole } => session.be_dropped(whole).await?,
            Ending::Orderly => session.settle().await?,
            Ending::HalfUpgrade(step) => {
                let to = if self.dice.below(4) == 0 { Transport::Webtransport } else { Transport::Websocket };
                return session.upgrade(to, step).await;
            }
            _ => {}
        }
        Ok(None)
    }

    /// Opens a session by one of `transports`.
    async fn open(&mut self, transports: &[Transport]) -> io::Result<(Target, Carrier)> {
        let (source, narrow) = (self.dice.next(), self.dice.below(8) == 0);
        let (server, veil) = match self.dice.below(5) {
            0 => (self.load.tls, Some(Arc::clone(&self.load.veil))),
            _ => (self.load.server, None),
        };
        let route = Route { server, source, narrow, veil };
        let target = Target { route, quic: Arc::clone(&self.load.quic) };
        let carrier = Carrier::open(&target, self.dice.one_of(transports)).await?;
        Ok((target, carrier))
    }

    /// Opens a session, joins the namespace, and upgrades if it feels like it.
    async fn join(&mut self, transports: &[Transport]) -> io::Result<Session> {
        let (target, mut carrier) = timeout(ANSWER, self.open(transports)).await??;
        let (client, group, life, acked) = (self.number, self.load.group, self.life, self.acked);
        let mut who = json!({ "client": client, "group": group, "life": life, "acked": acked });
        let past = self.past.take();
        if let Some(past) = &past {
            who["pid"] = past.pid.as_str().into();
            if !past.offset.is_empty() {
                who["offset"] = past.offset.as_str().into();
            }
        }
        let (expected, offset, rooms) = past.map_or_else(Default::default, |past| (past.pid, past.offset, past.rooms));
        carrier.send(&[Packet::text(format!("40{who}"))]).await?;
        let mut session = Session {
            name: format!("client {client}, life {life}"),
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
            load: Arc::clone(&self.load),
        };
        session.until("an answer to CONNECT", |session| session.joined).await?;
        if self.dice.below(2) == 0 {
            let to = self.dice.one_of(transports);
            session.upgrade(if to == Transport::Polling { Transport::Websocket } else { to }, Step::Done).await?;
        }
        Ok(session)
    }
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
struct Session {
    name: String,
    carrier: Carrier,
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
    acked: u64,
    /// The attachment that must be the next packet.
    blob: Option<Vec<u8>>,
    joined: bool,
    load: Arc<Load>,
}

impl Session {
    /// Does something `steps` times, with pauses.
    async fn act(&mut self, dice: &mut Random, steps: u64, load: &Load) -> io::Result<()> {
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

    async fn put(&mut self) -> io::Result<()> {
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
    async fn settle(&mut self) -> io::Result<()> {
        for room in self.rooms.all() {
            self.leave(room).await?;
        }
        self.until("answers", |session| session.asked.is_empty() && session.side.is_settled()).await
    }

    /// Asks the server to drop this client, with events before and behind it. Nothing but the end may follow.
    async fn be_dropped(&mut self, whole: bool) -> io::Result<()> {
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
    fn past(&mut self) -> Option<Past> {
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
    async fn upgrade(&mut self, to: Transport, last: Step) -> io::Result<Option<Stream>> {
        if !matches!(self.carrier, Carrier::Polling(_)) {
            return Ok(None);
        }
        // Now and then a poll is out already, which the upgrade must bring back.
        self.attend(Duration::from_millis(1)).await?;
        let Carrier::Polling(polling) = &mut self.carrier else { return Ok(None) };
        let stream = timeout(ANSWER, polling.upgrade(&self.target, to, last)).await??;
        if last < Step::Done {
            return Ok(Some(stream));
        }
        self.ready = polling.rest();
        self.carrier = Carrier::Stream(stream);
        Ok(None)
    }

    /// Receives for some time.
    async fn attend(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while let Ok(packet) = tokio::time::timeout_at(end, self.receive()).await {
            self.handle(packet?).await?;
        }
        Ok(())
    }

    /// Receives until something has happened, which must happen.
    async fn until(&mut self, what: &str, happened: impl Fn(&Self) -> bool) -> io::Result<()> {
        let end = Instant::now() + ANSWER;
        while !happened(self) {
            match tokio::time::timeout_at(end, self.receive()).await {
                Ok(packet) => self.handle(packet?).await?,
                Err(_) => return Err(self.fault(&format!("{what} did not come: {:?}", self.asked))),
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
        let told: Value = serde_json::from_str(json).map_err(|_| self.fault(json))?;
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
