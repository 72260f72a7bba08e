//! One client: life after life it connects, does this and that, checks what it is told, and goes in one way or another.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::carrier::{Carrier, Step};
use crate::ending::Ending;
use crate::load::Load;
use crate::packet::Packet;
use crate::random::Random;
use crate::session::{ANSWER, Past, Session};
use crate::stream::{Revision, Stream, Target, Transport};
use crate::wire::Route;

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
            Ending::Dropped { .. } | Ending::Fin | Ending::Stranger => Ok(()),
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

    /// What it says of itself.
    fn who(&self) -> Value {
        let (client, group, life, acked) = (self.number, self.load.group, self.life, self.acked);
        json!({ "client": client, "group": group, "life": life, "acked": acked })
    }

    /// Opens a session by one of `transports`.
    async fn open(&mut self, transports: &[Transport]) -> io::Result<(Target, Carrier)> {
        let (source, narrow) = (self.dice.next(), self.dice.below(8) == 0);
        let (server, veil) = match self.dice.below(5) {
            0 => (self.load.tls, Some(Arc::clone(&self.load.veil))),
            _ => (self.load.server, None),
        };
        let revision = if transports == TRANSPORTS && self.dice.below(6) == 0 { Revision::V3 } else { Revision::V4 };
        let query = match revision {
            // There is nothing else in which it could say who it is. Bodies are text, with bytes as base64.
            Revision::V3 => format!("EIO=3&b64=1&who={}", URL_SAFE.encode(self.who().to_string())),
            Revision::V4 => "EIO=4".to_owned(),
        };
        let route = Route { server, source, narrow, veil, query };
        let target = Target { route, quic: Arc::clone(&self.load.quic), revision };
        let transport = match self.dice.one_of(transports) {
            Transport::Webtransport if revision == Revision::V3 => Transport::Websocket,
            transport => transport,
        };
        let carrier = Carrier::open(&target, transport).await?;
        Ok((target, carrier))
    }

    /// Opens a session, joins the namespace, and upgrades if it feels like it.
    async fn join(&mut self, transports: &[Transport]) -> io::Result<Session> {
        let (target, mut carrier) = timeout(ANSWER, self.open(transports)).await??;
        let mut who = self.who();
        let past = self.past.take();
        if let Some(past) = &past {
            who["pid"] = past.pid.as_str().into();
            if !past.offset.is_empty() {
                who["offset"] = past.offset.as_str().into();
            }
        }
        if target.revision == Revision::V4 {
            carrier.send(&[Packet::text(format!("40{who}"))]).await?;
        }
        let name = format!("client {}, life {}", self.number, self.life);
        let mut session = Session::new(name, carrier, target, past, Arc::clone(&self.load));
        session.until("an answer to CONNECT", |session| session.joined).await?;
        if self.dice.below(2) == 0 {
            let to = self.dice.one_of(transports);
            session.upgrade(to, Step::Done).await?;
        }
        Ok(session)
    }
}
