//! How costs change with size: what should be flat must be seen to be flat.

use std::time::{Duration, Instant};

use super::closed_loop::{Exchange, once_around};
use super::fan_out;
use crate::figures::Metrics;
use crate::fleet::{Event, Fleet, Options};
use crate::frame;
use crate::server::{Server, Window};
use crate::trial::{SMALL, Trial, expect};

/// Memory, handshakes and broadcasts at 100 to 15,000 connections.
pub(super) fn connections(trial: &Trial<'_>) -> Result<Metrics, String> {
    let server = trial.start()?;
    let options = Options::new(server.port);
    let mut fleet = Fleet::new().map_err(|error| error.to_string())?;
    let mut metrics = Metrics::default();
    fleet.connect(options, 50, 10)?;
    once_around(&mut fleet, 50, &Exchange::echo(SMALL), 20)?;
    server.settle(trial.scale.settle())?;
    let base = server.resident()?;
    let mut connected = 50;
    for &size in trial.scale.pick(&[100, 1_000][..], &[100, 1_000, 5_000, 15_000]) {
        let handshakes = Window::open(&server)?;
        fleet.connect(options, size - connected, 32)?;
        let cost = cost(&handshakes, &server, size - connected)?;
        metrics.set(format!("handshake_us@{size}"), cost);
        connected = size;
        server.settle(trial.scale.settle())?;
        let grown = server.resident()? as f64 - base as f64;
        metrics.set(format!("client_kb@{size}"), grown / (size - 50) as f64 / 1000.0);
        let rounds = 20_000 / size + 2;
        let window = Window::open(&server)?;
        for _ in 0..rounds {
            emit(&mut fleet, &format!(r#"42["broadcast",{SMALL}]"#), &format!(r#"42["broadcast",{SMALL}]"#), size)?;
        }
        metrics.set(format!("delivery_us@{size}"), self::cost(&window, &server, rounds * size)?);
    }
    Ok(metrics)
}

/// Memory and emits at 1 to 100,000 rooms of one member, spread over 100 clients.
pub(super) fn rooms(trial: &Trial<'_>) -> Result<Metrics, String> {
    const CLIENTS: usize = 100;
    let server = trial.start()?;
    let mut fleet = Fleet::new().map_err(|error| error.to_string())?;
    let mut metrics = Metrics::default();
    fleet.connect(Options::new(server.port), CLIENTS, 10)?;
    fan_out::join(&mut fleet, CLIENTS, |client| format!(r#"420["join",["warm {client}"]]"#))?;
    server.settle(trial.scale.settle())?;
    let base = server.resident()?;
    let mut made = 0_usize;
    for &size in trial.scale.pick(&[1, 100, 1_000][..], &[1, 100, 1_000, 10_000, 100_000]) {
        let window = Window::open(&server)?;
        let before = made;
        while made < size {
            // One join of up to 100 rooms for each client; few rooms all go to the first.
            let share = (size - made).div_ceil(CLIENTS).min(100);
            let clients = (size - made).div_ceil(share).min(CLIENTS);
            fan_out::join(&mut fleet, clients, |client| {
                let first = made + client * share;
                let names: Vec<_> = (first..(first + share).min(size)).map(|room| format!("\"room {room}\"")).collect();
                format!(r#"420["join",[{}]]"#, names.join(","))
            })?;
            made = (made + clients * share).min(size);
        }
        metrics.set(format!("join_us@{size}"), cost(&window, &server, size - before)?);
        server.settle(trial.scale.settle())?;
        metrics.set(format!("room_bytes@{size}"), (server.resident()? as f64 - base as f64) / size as f64);
        let emits = trial.scale.pick(500, 5_000);
        let window = Window::open(&server)?;
        for turn in 0..emits {
            let room = turn * 7_919 % size;
            let request = format!(r#"42["room","room {room}",{SMALL}]"#);
            emit(&mut fleet, &request, &format!(r#"42["room",{SMALL}]"#), 1)?;
        }
        metrics.set(format!("emit_us@{size}"), cost(&window, &server, emits)?);
    }
    Ok(metrics)
}

/// Server time of each operation since the window was opened, in microseconds.
fn cost(window: &Window, server: &Server, operations: usize) -> Result<f64, String> {
    let mut metrics = Metrics::default();
    window.close(server, operations.max(1) as u64, &mut metrics)?;
    Ok(metrics.0["cpu_us"])
}

/// Client 0 sends one packet, and `receivers` clients get the answer.
fn emit(fleet: &mut Fleet, request: &str, answer: &str, receivers: usize) -> Result<(), String> {
    fleet.send(0, &frame::text(request))?;
    let give_up = Instant::now() + Duration::from_secs(20);
    let mut received = 0;
    while received < receivers {
        fleet.turn(Some(Duration::from_millis(100)), |_, event, _| match event {
            Event::Text(text) => {
                received += 1;
                expect(text, answer.as_bytes())
            }
            Event::Closed => Err("the server closed a connection".into()),
            _ => Ok(()),
        })?;
        if Instant::now() > give_up {
            return Err(format!("{received} of {receivers} received the message within 20 seconds"));
        }
    }
    Ok(())
}
