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

    /// Ids repeat after `in_flight` answers, never while one is open.
    fn ack(argument: &str, in_flight: usize) -> Self {
        let ids = 0..in_flight.max(2);
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
    asked: usize,
    answered: usize,
    times: VecDeque<Instant>,
}

impl Flight {
    fn ask(&mut self, exchange: &Exchange, out: &mut Vec<u8>) {
        out.extend_from_slice(&exchange.requests[self.asked % exchange.requests.len()]);
        self.asked += 1;
        self.times.push_back(Instant::now());
    }

    /// Takes one event; returns how long the exchange it completed took.
    fn take(&mut self, exchange: &Exchange, event: Event<'_>) -> Result<Option<Duration>, String> {
        let complete = match event {
            Event::Text(text) => {
                expect(text, &exchange.answers[self.answered % exchange.answers.len()])?;
                exchange.attachment.is_none()
            }
            Event::Binary(bytes) => {
                expect(bytes, exchange.attachment.as_deref().unwrap_or_default())?;
                true
            }
            Event::Closed => return Err("the server closed a connection".into()),
            _ => false,
        };
        if !complete {
            return Ok(None);
        }
        self.answered += 1;
        let asked = self.times.pop_front().ok_or("an answer without a question")?;
        Ok(Some(asked.elapsed()))
    }
}

fn run(trial: &Trial<'_>, exchange: &Exchange, in_flight: usize) -> Result<Metrics, String> {
    let server = trial.start()?;
    let mut fleet = Fleet::new().map_err(|error| error.to_string())?;
    fleet.connect(Options::new(server.port), CLIENTS, 32)?;
    let mut flights: Vec<_> = (0..CLIENTS).map(|_| Flight::default()).collect();
    for (client, flight) in flights.iter_mut().enumerate() {
        let mut frames = Vec::new();
        (0..in_flight).for_each(|_| flight.ask(exchange, &mut frames));
        fleet.send(client, &frames)?;
    }
    let mut times = Histogram::default();
    let turn = |fleet: &mut Fleet, flights: &mut Vec<Flight>, times: &mut Histogram| {
        fleet.turn(Some(Duration::from_millis(100)), |client, event, out| {
            if let Some(time) = flights[client].take(exchange, event)? {
                times.add(time);
                flights[client].ask(exchange, out);
            }
            Ok(())
        })
    };
    let warm = Instant::now() + trial.scale.warm_up();
    while Instant::now() < warm {
        turn(&mut fleet, &mut flights, &mut times)?;
    }
    times = Histogram::default();
    let window = Window::open(&server)?;
    while window.elapsed() < trial.scale.measure() {
        turn(&mut fleet, &mut flights, &mut times)?;
    }
    let mut metrics = Metrics::default();
    window.close(&server, times.count(), &mut metrics)?;
    metrics.set("p50_us", times.quantile(0.5));
    metrics.set("p99_us", times.quantile(0.99));
    Ok(metrics)
}

/// Every client asks `rounds` times, one at a time.
pub(super) fn once_around(fleet: &mut Fleet, clients: usize, exchange: &Exchange, rounds: usize) -> Result<(), String> {
    let mut flights: Vec<_> = (0..clients).map(|_| Flight::default()).collect();
    for (client, flight) in flights.iter_mut().enumerate() {
        let mut frames = Vec::new();
        flight.ask(exchange, &mut frames);
        fleet.send(client, &frames)?;
    }
    let mut done = 0;
    let give_up = Instant::now() + Duration::from_mins(1);
    while done < clients {
        fleet.turn(Some(Duration::from_millis(100)), |client, event, out| {
            if flights[client].take(exchange, event)?.is_some() {
                if flights[client].answered == rounds {
                    done += 1;
                } else {
                    flights[client].ask(exchange, out);
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
