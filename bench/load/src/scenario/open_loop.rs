//! Messages at a fixed rate, whether or not the server keeps up.
//!
//! Every message has a time at which it is due; its latency counts from there, so a server which stalls is charged for
//! all that should have been sent meanwhile, not for one slow answer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::figures::Metrics;
use crate::fleet::{Event, Fleet, Options};
use crate::frame;
use crate::histogram::Histogram;
use crate::server::Window;
use crate::trial::{SMALL, Trial, expect};

const CLIENTS: usize = 100;
/// How the failure of a server begins which cannot do what the schedule asks.
pub(crate) const OVERRUN_BY: &str = "overrun: ";
/// Answers outstanding at which a server counts as overrun.
const OVERRUN: usize = 200_000;
/// Messages sent before answers are looked at again, when the load generator itself is late.
const AT_ONCE: usize = 64;
/// Messages which the flooding client keeps in flight.
const FLOOD: usize = 512;

pub(super) fn rate_2k(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, 2_000, Flood::None)
}

pub(super) fn rate_10k(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, 10_000, Flood::None)
}

pub(super) fn rate_40k(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, 40_000, Flood::None)
}

/// Client 0 floods; the others send 20 messages a second each.
pub(super) fn fairness(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, 99 * 20, Flood::First)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flood {
    None,
    /// Client 0 keeps [`FLOOD`] messages in flight.
    First,
}

struct Schedule {
    /// When the open messages of each client were due.
    due: Vec<VecDeque<Instant>>,
    open: usize,
    next: usize,
    next_at: Instant,
    interval: Duration,
    first: usize,
}

impl Schedule {
    fn new(rate: u32, flood: Flood) -> Self {
        let first = usize::from(flood == Flood::First);
        Self {
            due: vec![VecDeque::new(); CLIENTS],
            open: 0,
            next: first,
            next_at: Instant::now(),
            interval: Duration::from_secs(1) / rate,
            first,
        }
    }

    /// Sends everything that is due by now.
    fn send(&mut self, fleet: &mut Fleet, request: &[u8]) -> Result<(), String> {
        for _ in 0..AT_ONCE {
            if self.next_at > Instant::now() || self.open >= OVERRUN {
                break;
            }
            fleet.send(self.next, request)?;
            self.due[self.next].push_back(self.next_at);
            self.open += 1;
            self.next_at += self.interval;
            self.next = if self.next + 1 == CLIENTS { self.first } else { self.next + 1 };
        }
        Ok(())
    }

    fn answered(&mut self, client: usize) -> Result<Duration, String> {
        let due = self.due[client].pop_front().ok_or("an answer without a question")?;
        self.open -= 1;
        Ok(due.elapsed())
    }
}

fn run(trial: &Trial<'_>, rate: u32, flood: Flood) -> Result<Metrics, String> {
    let server = trial.start()?;
    let packet = format!(r#"42["echo",{SMALL}]"#);
    let request = frame::text(&packet);
    let mut fleet = Fleet::new().map_err(|error| error.to_string())?;
    fleet.connect(Options::new(server.port), CLIENTS, 32)?;
    if flood == Flood::First {
        fleet.send(0, &request.repeat(FLOOD))?;
    }
    let mut schedule = Schedule::new(rate, flood);
    let (mut times, mut flooded) = (Histogram::default(), 0_u64);
    let mut turn = |times: &mut Histogram, flooded: &mut u64| {
        schedule.send(&mut fleet, &request)?;
        // The load generator has a core of its own and does not sleep: the timer of epoll counts milliseconds.
        fleet.turn(Some(Duration::ZERO), |client, event, out| {
            match event {
                Event::Text(text) => expect(text, packet.as_bytes())?,
                Event::Closed => return Err("the server closed a connection".into()),
                _ => return Ok(()),
            }
            if flood == Flood::First && client == 0 {
                out.extend_from_slice(&request);
                *flooded += 1;
            } else {
                times.add(schedule.answered(client)?);
            }
            Ok(())
        })?;
        Ok::<_, String>(schedule.open)
    };
    let warm = Instant::now() + trial.scale.warm_up();
    while Instant::now() < warm {
        turn(&mut times, &mut flooded)?;
    }
    (times, flooded) = (Histogram::default(), 0);
    let window = Window::open(&server)?;
    let mut open = 0;
    while window.elapsed() < trial.scale.measure() {
        open = turn(&mut times, &mut flooded)?;
    }
    if times.count() == 0 {
        return Err(format!("{OVERRUN_BY}{open} messages unanswered, and not one answer in the time measured"));
    }
    let mut metrics = Metrics::default();
    window.close(&server, times.count() + flooded, &mut metrics)?;
    metrics.set("quiet_per_second", times.count() as f64 / trial.scale.measure().as_secs_f64());
    metrics.set("unanswered", open as f64);
    for (name, part) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
        metrics.set(name, times.quantile(part));
    }
    Ok(metrics)
}
