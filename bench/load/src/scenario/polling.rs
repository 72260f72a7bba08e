//! Long polling: messages by POST and GET, and the way from there to a WebSocket.

use std::time::{Duration, Instant};

use crate::figures::Metrics;
use crate::histogram::Histogram;
use crate::polling::{Event, PollingFleet};
use crate::server::Window;
use crate::trial::{SMALL, Trial, expect};

const CLIENTS: usize = 100;

pub(super) fn echo(trial: &Trial<'_>) -> Result<Metrics, String> {
    let server = trial.start()?;
    let packet = format!(r#"42["echo",{SMALL}]"#);
    let mut fleet = PollingFleet::new(server.port).map_err(|error| error.to_string())?;
    fleet.connect(CLIENTS, 16)?;
    let mut asked = vec![Instant::now(); CLIENTS];
    for (client, asked) in asked.iter_mut().enumerate() {
        *asked = Instant::now();
        fleet.send(client, &packet)?;
    }
    let mut times = Histogram::default();
    let mut turn = |times: &mut Histogram| {
        fleet.turn(Some(Duration::from_millis(100)), |client, event| match event {
            Event::Packet(got) => {
                expect(got, packet.as_bytes())?;
                times.add(asked[client].elapsed());
                asked[client] = Instant::now();
                Ok(Some(packet.clone()))
            }
            _ => Ok(None),
        })
    };
    let warm = Instant::now() + trial.scale.warm_up();
    while Instant::now() < warm {
        turn(&mut times)?;
    }
    times = Histogram::default();
    let window = Window::open(&server)?;
    while window.elapsed() < trial.scale.measure() {
        turn(&mut times)?;
    }
    let mut metrics = Metrics::default();
    window.close(&server, times.count(), &mut metrics)?;
    metrics.set("p50_us", times.quantile(0.5));
    metrics.set("p99_us", times.quantile(0.99));
    Ok(metrics)
}

/// From the first request of a session to an echo over its WebSocket, eight sessions at a time.
pub(super) fn upgrade(trial: &Trial<'_>) -> Result<Metrics, String> {
    let server = trial.start()?;
    let mut fleet = PollingFleet::new(server.port).map_err(|error| error.to_string())?;
    let mut times = Histogram::default();
    upgrades(&mut fleet, 20, &mut times)?;
    times = Histogram::default();
    let window = Window::open(&server)?;
    upgrades(&mut fleet, trial.scale.pick(100, 1000), &mut times)?;
    let mut metrics = Metrics::default();
    window.close(&server, times.count(), &mut metrics)?;
    metrics.set("p50_us", times.quantile(0.5));
    metrics.set("p99_us", times.quantile(0.99));
    Ok(metrics)
}

fn upgrades(fleet: &mut PollingFleet, count: usize, times: &mut Histogram) -> Result<(), String> {
    let packet = format!(r#"42["echo",{SMALL}]"#);
    let mut begun = Vec::with_capacity(count);
    let mut done = 0;
    let first = fleet.len();
    let give_up = Instant::now() + Duration::from_mins(1);
    while done < count {
        while begun.len() < count && begun.len() - done < 8 {
            begun.push(Instant::now());
            fleet.begin()?;
        }
        let mut ready = Vec::new();
        fleet.turn(Some(Duration::from_millis(100)), |client, event| match event {
            Event::Ready => {
                ready.push(client);
                Ok(None)
            }
            Event::Upgraded => Ok(Some(packet.clone())),
            Event::Packet(got) => {
                expect(got, packet.as_bytes())?;
                times.add(begun[client - first].elapsed());
                done += 1;
                Ok(None)
            }
        })?;
        ready.into_iter().try_for_each(|client| fleet.upgrade(client))?;
        if Instant::now() > give_up {
            return Err(format!("{done} of {count} sessions were upgraded within a minute"));
        }
    }
    Ok(())
}
