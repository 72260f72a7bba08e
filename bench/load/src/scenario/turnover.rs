//! Clients which come and go.

use std::thread::sleep;
use std::time::Duration;

use super::closed_loop::{Exchange, once_around};
use crate::figures::Metrics;
use crate::fleet::{Fleet, Options};
use crate::histogram::Histogram;
use crate::pipe::Hangup;
use crate::server::Window;
use crate::trial::{SMALL, Trial};

/// From the TCP connection to CONNECT accepted, 32 at a time; the connections stay open.
pub(super) fn handshake(trial: &Trial<'_>) -> Result<Metrics, String> {
    let server = trial.start()?;
    let options = Options::new(server.port);
    let mut fleet = Fleet::new().map_err(|error| error.to_string())?;
    fleet.connect(options, trial.scale.pick(100, 500), 32)?;
    let mut metrics = Metrics::default();
    let mut times = Histogram::default();
    let window = Window::open(&server)?;
    for time in fleet.connect(options, trial.scale.pick(500, 4000), 32)? {
        times.add(time);
    }
    window.close(&server, times.count(), &mut metrics)?;
    metrics.set("p50_us", times.quantile(0.5));
    metrics.set("p99_us", times.quantile(0.99));
    Ok(metrics)
}

/// Waves of clients which connect, echo once and leave, every second one without a word.
pub(super) fn churn(trial: &Trial<'_>) -> Result<Metrics, String> {
    let server = trial.start()?;
    let mut metrics = Metrics::default();
    let (clients, waves) = trial.scale.pick((300, 4), (1000, 10));
    let descriptors = server.descriptors();
    let base = server.resident()?;
    let mut calm = Vec::new();
    let window = Window::open(&server)?;
    for _ in 0..waves {
        let mut fleet = Fleet::new().map_err(|error| error.to_string())?;
        fleet.connect(Options::new(server.port), clients, 32)?;
        once_around(&mut fleet, clients, &Exchange::echo(SMALL), 1)?;
        fleet.hang_up(|client| if client % 2 == 0 { Hangup::Orderly } else { Hangup::Kill });
        sleep(Duration::from_millis(500));
        calm.push(server.resident()?);
    }
    window.close(&server, (clients * waves) as u64, &mut metrics)?;
    // Waves are separated by pauses: a rate would mean nothing.
    metrics.0.remove("per_second");
    server.settle(trial.scale.settle())?;
    let last = server.resident()? as f64;
    let second = *calm.get(1).ok_or("too few waves")? as f64;
    metrics.set("base_mb", base as f64 / 1e6);
    metrics.set("first_wave_mb", calm[0] as f64 / 1e6);
    metrics.set("last_wave_mb", last / 1e6);
    metrics.set("growth_mb", (last - second) / 1e6);
    metrics.set("descriptors_left", server.descriptors() as f64 - descriptors as f64);
    Ok(metrics)
}
