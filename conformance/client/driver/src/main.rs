//! The client against servers of other projects, and against ours: every server, by every transport.
//!
//! `cargo xtask client [SERVER]`, or `cargo run -p sockeye-client-conformance [SERVER]` after `npm ci` in
//! `conformance/client`. The Python server needs an interpreter with `conformance/python/requirements.txt` (`PYTHON`, or
//! `python3`).

mod relay;
mod server;
mod tests;

use std::process::ExitCode;

use server::{Kind, Process};
use sockeye_client::{BoxError, Transport};
use tokio::task::JoinSet;

/// Every way of carrying messages.
const WAYS: [(&str, &[Transport]); 3] = [
    ("polling", &[Transport::Polling]),
    ("websocket", &[Transport::Websocket]),
    ("upgrade", &[Transport::Polling, Transport::Websocket]),
];

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.name().contains(&filter)).collect();
    server::prepare(&kinds).await?;
    // Most of the time is spent waiting: for heartbeats, for servers to come back.
    let mut all = JoinSet::new();
    for kind in kinds {
        all.spawn(judge_all(kind));
    }
    let (mut passed, mut failed) = (0, 0);
    while let Some(judged) = all.join_next().await {
        let (well, ill) = judged?;
        (passed, failed) = (passed + well, failed + ill);
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A server by every transport: how often it went well and ill.
async fn judge_all(kind: Kind) -> (usize, usize) {
    let mut failed = 0;
    for (name, way) in WAYS {
        match judge(kind, way).await {
            Ok(passed) => println!("ok    {:<20} {name:<10} {passed}", kind.name()),
            Err(error) => {
                failed += 1;
                println!("FAIL  {:<20} {name:<10} {error}", kind.name());
            }
        }
    }
    (WAYS.len() - failed, failed)
}

/// All tests that the server has what is needed for; their names.
async fn judge(kind: Kind, way: &'static [Transport]) -> Result<String, BoxError> {
    let server = Process::start(kind).await?;
    let mut passed = Vec::new();
    for (name, test) in tests::all(kind) {
        let result = tokio::time::timeout(tests::DEADLINE, test(tests::Place::new(&server, kind, way).await?)).await;
        match result {
            Ok(Ok(())) => passed.push(name),
            Ok(Err(error)) => return Err(format!("{name}: {error}").into()),
            Err(_) => return Err(format!("{name}: took too long").into()),
        }
    }
    Ok(passed.join(", "))
}
