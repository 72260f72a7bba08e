//! One message in, many out: broadcasts and rooms.

use std::time::{Duration, Instant};

use crate::figures::Metrics;
use crate::fleet::{Event, Fleet, Options};
use crate::frame;
use crate::histogram::Histogram;
use crate::http::Compression;
use crate::server::{Server, Window};
use crate::trial::{SMALL, Trial, expect, large};

pub(super) fn broadcast_1(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, &trial.start()?, &Plan { clients: trial.scale.pick(300, 1000), ..Plan::broadcast(SMALL) })
}

pub(super) fn broadcast_8(trial: &Trial<'_>) -> Result<Metrics, String> {
    let clients = trial.scale.pick(300, 1000);
    run(trial, &trial.start()?, &Plan { clients, in_flight: 8, ..Plan::broadcast(SMALL) })
}

pub(super) fn broadcast_all(trial: &Trial<'_>) -> Result<Metrics, String> {
    let clients = trial.scale.pick(300, 1000);
    run(trial, &trial.start()?, &Plan { clients, next: Next::WhenAllHaveIt, ..Plan::broadcast(SMALL) })
}

pub(super) fn rooms(trial: &Trial<'_>) -> Result<Metrics, String> {
    let clients = trial.scale.pick(300, 1000);
    let groups = clients / 10;
    let requests = (0..groups).map(|room| frame::text(&format!(r#"42["room","room {room}",{SMALL}]"#))).collect();
    let answer = format!(r#"42["room",{SMALL}]"#).into_bytes();
    run(trial, &trial.start()?, &Plan { clients, requests, answer, ..Plan::broadcast(SMALL) })
}

/// One in twenty clients never reads; the figures are those of the others, and the server's memory.
pub(super) fn slow_readers(trial: &Trial<'_>) -> Result<Metrics, String> {
    let clients = trial.scale.pick(200, 1000);
    let server = trial.start()?;
    let plan = Plan { clients, slow: clients / 20, next: Next::WhenAllHaveIt, ..Plan::broadcast(&large(4096)) };
    let mut metrics = run(trial, &server, &plan)?;
    metrics.set("resident_mb", server.resident()? as f64 / 1e6);
    Ok(metrics)
}

pub(super) fn deflate(trial: &Trial<'_>) -> Result<Metrics, String> {
    let server = Server::start(trial.peer, trial.placement, &["--deflate"])?;
    let clients = trial.scale.pick(50, 200);
    run(trial, &server, &Plan { clients, compression: Compression::Offer, ..Plan::broadcast(&large(4096)) })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The sender's own copy asks for the next: the others may lag, and a server may batch what has piled up.
    WhenSenderHasIt,
    /// Nothing can pile up.
    WhenAllHaveIt,
}

struct Plan {
    clients: usize,
    in_flight: usize,
    next: Next,
    /// The last so many clients do not read.
    slow: usize,
    compression: Compression,
    /// One for each group; the first clients send, one in each group. Client `i` is in group `i % groups`.
    requests: Vec<Vec<u8>>,
    answer: Vec<u8>,
}

impl Plan {
    fn broadcast(argument: &str) -> Self {
        let packet = format!(r#"42["broadcast",{argument}]"#);
        Self {
            clients: 0,
            in_flight: 1,
            next: Next::WhenSenderHasIt,
            slow: 0,
            compression: Compression::Off,
            requests: vec![frame::text(&packet)],
            answer: packet.into_bytes(),
        }
    }

    fn groups(&self) -> usize {
        self.requests.len()
    }

    /// Clients which read.
    fn readers(&self) -> usize {
        self.clients - self.slow
    }
}

/// Who has received how much.
struct Progress {
    /// When each group's messages left.
    sent: Vec<Vec<Instant>>,
    /// Messages received by each client.
    received: Vec<usize>,
    /// Messages received by each group.
    delivered: Vec<usize>,
    times: Histogram,
}

impl Progress {
    fn new(plan: &Plan) -> Self {
        Self {
            sent: vec![Vec::new(); plan.groups()],
            received: vec![0; plan.clients],
            delivered: vec![0; plan.groups()],
            times: Histogram::default(),
        }
    }

    /// Takes one event; returns whether the client's group may send again.
    fn take(&mut self, plan: &Plan, client: usize, event: Event<'_>) -> Result<bool, String> {
        match event {
            Event::Text(text) | Event::Compressed(text) => expect(text, &plan.answer)?,
            // Disconnecting those who do not read is one of the right answers to them.
            Event::Closed if client >= plan.readers() => return Ok(false),
            Event::Closed => return Err("the server closed a connection".into()),
            Event::Ready(_) | Event::Binary(_) => return Ok(false),
        }
        if plan.compression == Compression::Offer && matches!(event, Event::Text(_)) {
            return Err("a message was sent uncompressed".into());
        }
        let group = client % plan.groups();
        let sent = self.sent[group].get(self.received[client]).ok_or("a message which nobody sent")?;
        self.times.add(sent.elapsed());
        self.received[client] += 1;
        self.delivered[group] += 1;
        Ok(match plan.next {
            Next::WhenSenderHasIt => client < plan.groups(),
            Next::WhenAllHaveIt => self.delivered[group] == self.sent[group].len() * plan.readers() / plan.groups(),
        })
    }
}

fn run(trial: &Trial<'_>, server: &Server, plan: &Plan) -> Result<Metrics, String> {
    let mut fleet = Fleet::new().map_err(|error| error.to_string())?;
    let options = Options { compression: plan.compression, ..Options::new(server.port) };
    fleet.connect(options, plan.readers(), 32)?;
    fleet.connect(Options { receive_buffer: Some(4096), ..options }, plan.slow, 32)?;
    (plan.readers()..plan.clients).for_each(|client| fleet.pause(client));
    if plan.groups() > 1 {
        let room = |client: usize| format!(r#"420["join",["room {}"]]"#, client % plan.groups());
        join(&mut fleet, plan.clients, room)?;
    }
    let mut progress = Progress::new(plan);
    for (sender, request) in plan.requests.iter().enumerate() {
        for _ in 0..plan.in_flight {
            progress.sent[sender].push(Instant::now());
            fleet.send(sender, request)?;
        }
    }
    let warm = Instant::now() + trial.scale.warm_up();
    while Instant::now() < warm {
        turn(&mut fleet, plan, &mut progress)?;
    }
    progress.times = Histogram::default();
    let window = Window::open(server)?;
    while window.elapsed() < trial.scale.measure() {
        turn(&mut fleet, plan, &mut progress)?;
    }
    let mut metrics = Metrics::default();
    window.close(server, progress.times.count(), &mut metrics)?;
    metrics.set("p50_us", progress.times.quantile(0.5));
    metrics.set("p99_us", progress.times.quantile(0.99));
    Ok(metrics)
}

fn turn(fleet: &mut Fleet, plan: &Plan, progress: &mut Progress) -> Result<(), String> {
    let mut later = Vec::new();
    fleet.turn(Some(Duration::from_millis(100)), |client, event, out| {
        if progress.take(plan, client, event)? {
            let group = client % plan.groups();
            progress.sent[group].push(Instant::now());
            match plan.next {
                Next::WhenSenderHasIt => out.extend_from_slice(&plan.requests[group]),
                Next::WhenAllHaveIt => later.push(group),
            }
        }
        Ok(())
    })?;
    later.into_iter().try_for_each(|group| fleet.send(group, &plan.requests[group]))
}

/// Every client sends one packet with ack id 0, and all are answered.
pub(super) fn join(fleet: &mut Fleet, clients: usize, packet: impl Fn(usize) -> String) -> Result<(), String> {
    for client in 0..clients {
        fleet.send(client, &frame::text(&packet(client)))?;
    }
    let mut joined = 0;
    let give_up = Instant::now() + Duration::from_mins(1);
    while joined < clients {
        fleet.turn(Some(Duration::from_millis(100)), |_, event, _| {
            if let Event::Text(text) = event {
                // Peers differ in what they answer when the handler gives nothing: `[]` or `[null]`.
                expect(text.get(..4).unwrap_or_default(), b"430[")?;
                joined += 1;
            }
            Ok(())
        })?;
        if Instant::now() > give_up {
            return Err(format!("{joined} of {clients} clients joined within a minute"));
        }
    }
    Ok(())
}
