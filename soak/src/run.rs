//! A run: what happens when, and the verdict.

use std::time::Duration;

use serde_json::Value;
use sockeye::BoxError;
use tokio::time::{Instant, sleep};

use crate::options::Options;
use crate::process::{Process, Signal};
use crate::profile::Profile;
use crate::state::State;

/// So much more than before may be held when everything is over, in percent.
const SPARE_PERCENT: usize = 5;
/// Or so many bytes of heap, if that is more: threads keep the buffers in which they read, write and encode, of up to
/// 64 KiB each, from the first time that they were needed.
const SPARE_HEAP: usize = 128 * 1024;
/// Or so many bytes from the kernel: an allocator keeps some pages of its own choice.
const SPARE_RESIDENT: usize = 4 * 1024 * 1024;
/// More lives than a client has in a run.
const LIVES: u64 = 1_000_000;
/// Options that all processes of a run share.
pub(crate) const SHARED: [&str; 4] = ["seed", "clients", "heartbeat", "rooms"];

/// What is run, and on what.
struct Run {
    seed: u64,
    clients: u64,
    heartbeat: u64,
    rooms: u64,
    /// Lives that clients may have had before.
    lives: u64,
    /// Tasks of a server that nobody has come to.
    own: usize,
    faults: Vec<String>,
}

/// Clients come and go for some time.
pub(crate) async fn soak(words: &[String]) -> Result<(), BoxError> {
    let options = Options::read(words, &[&SHARED[..], &["seconds", "warm-up"]].concat())?;
    let mut run = Run::new(&options, 2_000)?;
    let time = Duration::from_secs(options.get("seconds", 60)?);
    let warm_up = Duration::from_secs(options.get("warm-up", 60)?);
    let mut server = run.server().await?;
    // What is allocated once and kept, tables for so many clients and the like, is there after the first clients, as soon as
    // some of them have slept: connections of QUIC are kept for a while behind those that take their place.
    println!("warming up for {} s", warm_up.as_secs());
    run.load(&mut server, warm_up).await?;
    let before = run.emptied(&mut server).await?;
    println!("{} clients for {} s; before: {before:?}", run.clients, time.as_secs());
    run.load(&mut server, time).await?;
    let after = run.emptied(&mut server).await?;
    run.compare(before, after);
    run.end(server).await
}

/// Clients connect and are killed, again and again.
pub(crate) async fn waves(words: &[String]) -> Result<(), BoxError> {
    let options = Options::read(words, &[&SHARED[..], &["waves"]].concat())?;
    let mut run = Run::new(&options, 5_000)?;
    let waves: u64 = options.get("waves", 50)?;
    let mut server = run.server().await?;
    let mut states = Vec::new();
    for wave in 0..waves {
        run.lives = wave;
        let mut load = Process::start(&run.words("hold", run.clients, 0, 0))?;
        let address = server.1.clone();
        load.order(&address).await?;
        let report = load.report().await?;
        run.blame("a client", &report);
        let held = run.state(&mut server.0).await?.0;
        load.kill().await?;
        let left = run.emptied(&mut server).await?;
        let (most, least) = (held.resident >> 10, left.resident >> 10);
        println!("wave {wave}: {} sockets, {most} KiB; then {least} KiB, {} B of heap", held.sockets, left.heap);
        if held.sockets != run.clients {
            run.faults.push(format!("wave {wave}: {} of {} clients connected", held.sockets, run.clients));
        }
        states.push(left);
    }
    // The first third warms up: until then tables and the allocator have as much as they will ever need.
    let (before, after) = (states[states.len() / 3], states[states.len() - 1]);
    run.compare(before, after);
    run.expect_most("bytes resident", with_spare(before.resident, SPARE_RESIDENT), after.resident);
    run.end(server).await
}

impl Run {
    fn new(options: &Options, clients: u64) -> Result<Self, BoxError> {
        #[expect(clippy::disallowed_methods, reason = "a seed, not a time")]
        let fresh = std::time::UNIX_EPOCH.elapsed()?.as_secs();
        let (seed, clients) = (options.get("seed", fresh)?, options.get("clients", clients)?);
        println!("seed {seed}");
        let rooms = options.get("rooms", clients / 20 + 1)?;
        let heartbeat = options.get("heartbeat", 5)?;
        Ok(Self { seed, clients, heartbeat, rooms, lives: 0, own: 0, faults: Vec::new() })
    }

    /// The words that start another process.
    fn words(&self, what: &str, clients: u64, first: u64, group: usize) -> Vec<String> {
        let options = [
            ("seed", self.seed),
            ("clients", clients),
            ("heartbeat", self.heartbeat),
            ("rooms", self.rooms),
            ("first", first),
            ("group", group as u64),
            ("lives", self.lives),
        ];
        let words = options.iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]);
        std::iter::once(what.to_owned()).chain(words).collect()
    }

    /// A server, and where it listens.
    async fn server(&mut self) -> Result<(Process, String), BoxError> {
        let mut server = Process::start(&self.words("serve", 0, 0, 0))?;
        let address = server.line().await?;
        self.own = self.state(&mut server).await?.0.spawned;
        Ok((server, address))
    }

    /// Clients for some time; every tenth of them sleeps now and then.
    async fn load(&mut self, (server, address): &mut (Process, String), time: Duration) -> Result<(), BoxError> {
        let end = Instant::now() + time;
        self.lives += LIVES;
        let sleepers = self.clients / 10;
        let mut awake = Process::start(&self.words("load", self.clients - sleepers, 0, 0))?;
        let mut asleep = Process::start(&self.words("load", sleepers, self.clients - sleepers, 1))?;
        awake.order(address).await?;
        asleep.order(address).await?;
        let silence = Profile::new(self.heartbeat).silence();
        sleep((end - Instant::now()).min(silence / 2)).await;
        while end > Instant::now() + silence + Duration::from_secs(2) {
            asleep.signal(Signal::Stop).await?;
            self.forgotten(server, silence * 2).await?;
            asleep.signal(Signal::Continue).await?;
            sleep(silence).await;
            println!("{}", self.state(server).await?.1);
        }
        sleep(end - Instant::now()).await;
        for (name, load) in [("awake", awake), ("now and then asleep", asleep)] {
            let report = load.finish().await?;
            println!("{name}: {report}");
            self.blame(name, &report);
        }
        Ok(())
    }

    /// Waits until the server has noticed that the sleepers sleep.
    async fn forgotten(&mut self, server: &mut Process, limit: Duration) -> Result<(), BoxError> {
        let end = Instant::now() + limit;
        loop {
            let (state, _) = self.state(server).await?;
            if state.connected[1] == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                self.faults.push(format!("{} clients that sleep are still connected", state.connected[1]));
                return Ok(());
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until the server holds nothing of its clients. That must be soon.
    async fn emptied(&mut self, (server, _): &mut (Process, String)) -> Result<State, BoxError> {
        // A connection of QUIC remembers its end for three times the time in which its client should have answered, and that
        // of one that was stopped is up to twice as long as it was stopped for, which is up to twice the silence.
        let end = Instant::now() + Profile::new(self.heartbeat).silence() * 12;
        let mut last = None;
        loop {
            let (state, _) = self.state(server).await?;
            // Connections end a moment after the sessions: until nothing moves any more.
            let still = last.replace(state.descriptors) == Some(state.descriptors);
            if state.is_empty() && state.spawned <= self.own && still {
                return Ok(state);
            }
            if Instant::now() > end {
                self.faults.push(format!("left behind: {state:?}"));
                return Ok(state);
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Asks the server what it holds.
    async fn state(&mut self, server: &mut Process) -> Result<(State, Value), BoxError> {
        server.order("state").await?;
        let told = server.report().await?;
        Ok((State::from_json(&told).ok_or("a state without figures")?, told))
    }

    fn compare(&mut self, before: State, after: State) {
        println!("before: {before:?}\nafter:  {after:?}");
        self.expect_most("tasks of the runtime", before.spawned, after.spawned);
        self.expect_most("descriptors", before.descriptors, after.descriptors);
        self.expect_most("bytes of heap", with_spare(before.heap, SPARE_HEAP), after.heap);
    }

    fn expect_most(&mut self, what: &str, most: usize, held: usize) {
        if held > most {
            self.faults.push(format!("{held} {what} when all is over, at most {most} expected"));
        }
    }

    /// Ends the server, and tells the verdict.
    async fn end(mut self, (server, _): (Process, String)) -> Result<(), BoxError> {
        let last = server.finish().await?;
        println!("the server: {last}");
        self.blame("the server", &last);
        if last["seen"]["protocol errors"] != 0 {
            self.faults.push("an honest client was taken for a broken one".into());
        }
        if self.faults.is_empty() {
            println!("no fault");
            return Ok(());
        }
        Err(format!("with seed {}:\n  {}", self.seed, self.faults.join("\n  ")).into())
    }

    fn blame(&mut self, who: &str, report: &Value) {
        let faults = &report["faults"];
        if faults["count"] != 0 {
            self.faults.push(format!("{who}: {faults}"));
        }
    }
}

fn with_spare(bytes: usize, least: usize) -> usize {
    bytes + (bytes / 100 * SPARE_PERCENT).max(least)
}
