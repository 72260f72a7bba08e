//! Memory of connections which do nothing.

use super::closed_loop::{Exchange, once_around};
use super::fan_out;
use crate::figures::Metrics;
use crate::fleet::{Fleet, Options};
use crate::pipe::Hangup;
use crate::polling::PollingFleet;
use crate::server::Server;
use crate::trial::{SMALL, Trial, large};

pub(super) fn websocket(trial: &Trial<'_>) -> Result<Metrics, String> {
    measure(trial, |_, _| Ok(()))
}

pub(super) fn rooms(trial: &Trial<'_>) -> Result<Metrics, String> {
    measure(trial, |fleet, clients| {
        fan_out::join(fleet, clients, |client| {
            format!(r#"420["join",["everybody","hundred {}","own {client}"]]"#, client / 100)
        })
    })
}

pub(super) fn after_traffic(trial: &Trial<'_>) -> Result<Metrics, String> {
    measure(trial, |fleet, clients| once_around(fleet, clients, &Exchange::echo(&large(2048)), 4))
}

pub(super) fn polling(trial: &Trial<'_>) -> Result<Metrics, String> {
    let server = trial.start()?;
    let clients = trial.scale.pick(300, 2000);
    let mut fleet = PollingFleet::new(server.port).map_err(|error| error.to_string())?;
    fleet.connect(20, 10)?;
    server.settle(trial.scale.settle())?;
    let base = server.resident()?;
    fleet.connect(clients, 32)?;
    server.settle(trial.scale.settle())?;
    per_client(&server, base, clients)
}

/// Opens connections on a server which is warm, and divides what it grew by.
fn measure(trial: &Trial<'_>, then: impl Fn(&mut Fleet, usize) -> Result<(), String>) -> Result<Metrics, String> {
    let server = trial.start()?;
    let clients = trial.scale.pick(1000, 5000);
    let options = Options::new(server.port);
    let mut fleet = Fleet::new().map_err(|error| error.to_string())?;
    // Code, pools and caches that the first clients bring are not theirs.
    fleet.connect(options, 50, 10)?;
    once_around(&mut fleet, 50, &Exchange::echo(SMALL), 20)?;
    fleet.hang_up(|_| Hangup::Orderly);
    server.settle(trial.scale.settle())?;
    let base = server.resident()?;
    fleet.connect(options, clients, 32)?;
    then(&mut fleet, clients)?;
    server.settle(trial.scale.settle())?;
    per_client(&server, base, clients)
}

fn per_client(server: &Server, base: u64, clients: usize) -> Result<Metrics, String> {
    let mut metrics = Metrics::default();
    metrics.set("base_mb", base as f64 / 1e6);
    metrics.set("client_kb", (server.resident()? as f64 - base as f64) / clients as f64 / 1000.0);
    Ok(metrics)
}
