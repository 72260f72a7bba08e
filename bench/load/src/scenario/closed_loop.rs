//! A fixed number of messages in flight for each of 100 clients: the next one leaves when an answer arrives.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::figures::Metrics;
use crate::fleet::{Event, Fleet, Options};
use crate::frame;
use crate::histogram::Histogram;
use crate::server::Window;
use crate::trial::{SMALL, Trial, expect, large};

const CLIENTS: usize = 100;

pub(super) fn echo_1(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, &Exchange::echo(SMALL), 1)
}

pub(super) fn echo_16(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, &Exchange::echo(SMALL), 16)
}

pub(super) fn echo_4k_1(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, &Exchange::echo(&large(4096)), 1)
}

pub(super) fn echo_4k_4(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, &Exchange::echo(&large(4096)), 4)
}

pub(super) fn echo_4k_16(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, &Exchange::echo(&large(4096)), 16)
}

pub(super) fn ack_1(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, &Exchange::ack(SMALL, 1), 1)
}

pub(super) fn ack_16(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, &Exchange::ack(SMALL, 16), 16)
}

pub(super) fn binary(trial: &Trial<'_>) -> Result<Metrics, String> {
    run(trial, &Exchange::binary(1024), 4)
}

/// What is asked and what must be answered, in turn.
pub(super) struct Exchange {
    requests: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    attachment: Option<Vec<u8>>,
}

impl Exchange {
    pub(super) fn echo(argument: &str) -> Self {
        let packet = format!(r#"42["echo",{argument}]"#);
        Self { requests: vec![frame::text(&packet)], answers: vec![packet.into_bytes()], attachment: None }
    }

    /// An id is used again when its answer is here.
    fn ack(argument: &str, in_flight: usize) -> Self {
        let ids = 0..in_flight;
        Self {
            requests: ids.clone().map(|id| frame::text(&format!(r#"42{id}["ack",{argument}]"#))).collect(),
            answers: ids.map(|id| format!("43{id}[{argument}]").into_bytes()).collect(),
            attachment: None,
        }
    }

    fn binary(bytes: usize) -> Self {
        let packet = r#"451-["binary",{"_placeholder":true,"num":0}]"#;
        let attachment: Vec<u8> = (0..=u8::MAX).cycle().take(bytes).collect();
        let mut request = frame::text(packet);
        frame::encode(frame::BINARY, &attachment, &mut request);
        Self { requests: vec![request], answers: vec![packet.into()], attachment: Some(attachment) }
    }
}

/// What is open for one client.
#[derive(Default)]
struct Flight {
    answered: usize,
    /// What was asked, by its place among the requests, and when; oldest first.
    open: VecDeque<(usize, Instant)>,
    /// The answer whose attachment is still to come.
    half: usize,
}

/// An answer which is complete.
struct Answer {
    time: Duration,
    /// The place of its request, which may be asked again.
    request: usize,
    /// It came before the answer to something that was asked earlier.
    early: bool,
}

impl Flight {
    fn ask(&mut self, exchange: &Exchange, request: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&exchange.requests[request]);
        self.open.push_back((request, Instant::now()));
    }

    /// Asks as much as may be open.
    fn begin(&mut self, exchange: &Exchange, in_flight: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for turn in 0..in_flight {
            self.ask(exchange, turn % exchange.requests.len(), &mut out);
        }
        out
    }

    fn take(&mut self, exchange: &Exchange, event: Event<'_>) -> Result<Option<Answer>, String> {
        match (event, &exchange.attachment) {
            (Event::Text(text), attachment) => {
                let (first, _) = self.open.front().ok_or("an answer without a question")?;
                let place = self.open.iter().position(|(request, _)| exchange.answers[*request] == text);
                self.half = place.ok_or(()).or_else(|()| expect(text, &exchange.answers[*first]).map(|()| 0))?;
                if attachment.is_some() {
                    return Ok(None);
                }
            }
            (Event::Binary(bytes), Some(attachment)) => expect(bytes, attachment)?,
            (Event::Closed, _) => return Err("the server closed a connection".into()),
            _ => return Ok(None),
        }
        let place = self.half;
        let (request, asked) = self.open.remove(place).ok_or("an answer without a question")?;
        self.answered += 1;
        Ok(Some(Answer { time: asked.elapsed(), request, early: place > 0 }))
    }
}

fn run(trial: &Trial<'_>, exchange: &Exchange, in_flight: usize) -> Result<Metrics, String> {
    let server = trial.start()?;
    let mut fleet = Fleet::new().map_err(|error| error.to_string())?;
    fleet.connect(Options::new(server.port), CLIENTS, 32)?;
    let mut flights: Vec<_> = (0..CLIENTS).map(|_| Flight::default()).collect();
    for (client, flight) in flights.iter_mut().enumerate() {
        fleet.send(client, &flight.begin(exchange, in_flight))?;
    }
    let mut early = 0_u64;
    let mut times = Histogram::default();
    let mut turn = |fleet: &mut Fleet, times: &mut Histogram, early: &mut u64| {
        fleet.turn(Some(Duration::from_millis(100)), |client, event, out| {
            if let Some(answer) = flights[client].take(exchange, event)? {
                times.add(answer.time);
                *early += u64::from(answer.early);
                flights[client].ask(exchange, answer.request, out);
            }
            Ok(())
        })
    };
    let warm = Instant::now() + trial.scale.warm_up();
    while Instant::now() < warm {
        turn(&mut fleet, &mut times, &mut early)?;
    }
    (times, early) = (Histogram::default(), 0);
    let window = Window::open(&server)?;
    while window.elapsed() < trial.scale.measure() {
        turn(&mut fleet, &mut times, &mut early)?;
    }
    let mut metrics = Metrics::default();
    window.close(&server, times.count(), &mut metrics)?;
    metrics.set("disorder_percent", early as f64 / times.count() as f64 * 100.0);
    metrics.set("p50_us", times.quantile(0.5));
    metrics.set("p99_us", times.quantile(0.99));
    Ok(metrics)
}

/// Every client asks `rounds` times, one at a time.
pub(super) fn once_around(fleet: &mut Fleet, clients: usize, exchange: &Exchange, rounds: usize) -> Result<(), String> {
    let mut flights: Vec<_> = (0..clients).map(|_| Flight::default()).collect();
    for (client, flight) in flights.iter_mut().enumerate() {
        fleet.send(client, &flight.begin(exchange, 1))?;
    }
    let mut done = 0;
    let give_up = Instant::now() + Duration::from_mins(1);
    while done < clients {
        fleet.turn(Some(Duration::from_millis(100)), |client, event, out| {
            if let Some(answer) = flights[client].take(exchange, event)? {
                if flights[client].answered == rounds {
                    done += 1;
                } else {
                    flights[client].ask(exchange, answer.request, out);
                }
            }
            Ok(())
        })?;
        if Instant::now() > give_up {
            return Err(format!("{done} of {clients} clients were answered within a minute"));
        }
    }
    Ok(())
}
