//! Measures Socket.IO servers side by side, on this machine, in one run.
#![forbid(unsafe_code)]
#![expect(clippy::cast_precision_loss, reason = "figures have three digits")]

mod frame;
mod http;
mod inflate;
mod pipe;
mod fleet;
mod polling;
mod histogram;
mod figures;
mod process;
mod peer;
mod server;
mod trial;
mod scenario;
mod options;
mod results;
mod table;
mod chart;

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use figures::Metrics;
use options::Options;
use peer::{Peer, Places};
use process::Placement;
use results::{Key, Results};
use scenario::{ALL, Scenario};
use trial::Trial;

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| options.map_or(Ok(()), |options| bench(&options)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<(), String> {
    let places = Places::find()?;
    let mut results = Results {
        date: results::now(),
        machine: process::machine(),
        commit: peer::commit(&places.root),
        scale: options.scale,
        rounds: options.rounds.targets,
        peers: Vec::new(),
        absent: Vec::new(),
        series: BTreeMap::new(),
    };
    let mut peers = Vec::new();
    for &name in &options.peers {
        eprintln!("preparing {name}");
        match peer::prepare(name, &places) {
            Ok(peer) => {
                results.peers.push((name, peer.version.clone()));
                peers.push(peer);
            }
            Err(why) => {
                eprintln!("{name} is absent: {why}");
                results.absent.push((name, why));
            }
        }
    }
    measure(options, &peers, &mut results)?;
    let report = table::markdown(&results, ALL);
    println!("{report}");
    let directory = options.out.clone().unwrap_or_else(|| places.results(options.scale));
    fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let json = serde_json::to_string_pretty(&results.json(ALL)).map_err(|error| error.to_string())?;
    write(&format!("{}.json", results.date.replace(':', "")), &json)?;
    write("table.md", &report)?;
    for (name, text) in chart::charts(&results, ALL) {
        write(name, &text)?;
    }
    eprintln!("written to {}", directory.display());
    Ok(())
}

/// Rounds outside, peers inside: what changes on the machine meanwhile meets all peers alike.
fn measure(options: &Options, peers: &[Peer], results: &mut Results) -> Result<(), String> {
    let keys = keys(options);
    let rounds = |key: &Key| {
        let has_target = table::has_target(ALL[key.0].name) && key.1 == Placement::Pinned;
        if has_target { options.rounds.targets } else { options.rounds.others }
    };
    let total: usize = keys.iter().map(|key| takers(peers, *key).count() * rounds(key)).sum();
    let mut done = 0;
    for round in 0..options.rounds.targets.max(options.rounds.others) {
        for &key in keys.iter().filter(|key| round < rounds(key)) {
            let scenario = &ALL[key.0];
            let takers: Vec<_> = takers(peers, key).collect();
            for turn in 0..takers.len() {
                let peer = takers[(turn + round) % takers.len()];
                key.1.load()?;
                let trial = Trial { peer, placement: key.1, scale: options.scale };
                let begun = Instant::now();
                let result = (scenario.run)(&trial);
                done += 1;
                let what = format!("{} {} {}", scenario.name, key.1.name(), peer.name);
                let series = results.series.entry(key).or_default().entry(peer.name).or_default();
                let outcome = match result {
                    Ok(metrics) => {
                        let text = summary(scenario, &metrics);
                        series.rounds.push(metrics);
                        text
                    }
                    Err(error) => {
                        let text = format!("failed: {error}");
                        series.failures.push(error);
                        text
                    }
                };
                let seconds = begun.elapsed().as_secs();
                eprintln!("[{done:>3}/{total}] round {} {what:<36} {seconds:>3} s  {outcome}", round + 1);
            }
        }
    }
    Ok(())
}

/// The figures of one round in a line; curves have too many.
fn summary(scenario: &Scenario, metrics: &Metrics) -> String {
    let shown: Vec<_> = scenario
        .rows
        .iter()
        .filter_map(|row| Some(format!("{} {}", table::number(*metrics.0.get(&*row.metric)?), row.unit)))
        .collect();
    if shown.is_empty() { format!("{} figures", metrics.0.len()) } else { shown.join(", ") }
}

fn keys(options: &Options) -> Vec<Key> {
    let mut keys = Vec::new();
    for &placement in &options.placements {
        for (index, scenario) in ALL.iter().enumerate() {
            let wanted = options.only.is_empty() || options.only.iter().any(|name| name == scenario.name);
            if wanted && (placement == Placement::Pinned || scenario.also_free) {
                keys.push((index, placement));
            }
        }
    }
    keys
}

/// The peers which can do what a scenario needs.
fn takers(peers: &[Peer], key: Key) -> impl Iterator<Item = &Peer> {
    peers.iter().filter(move |peer| ALL[key.0].needs.iter().all(|need| peer.abilities.contains(need)))
}
