//! The client against servers of other projects, and against ours: every server, by every transport.
//!
//! `cargo run -p sockeye-client-conformance [SERVER]`, after `npm ci` in `conformance/client`. The Python server needs an
//! interpreter with `conformance/python/requirements.txt` (`PYTHON`, or `python3`).

mod relay;
mod server;
mod tests;

use std::process::ExitCode;

use server::{Kind, Process};
use sockeye_client::{BoxError, Transport};

/// Every way of carrying messages.
const WAYS: [(&str, &[Transport]); 3] = [
    ("polling", &[Transport::Polling]),
    ("websocket", &[Transport::Websocket]),
    ("upgrade", &[Transport::Polling, Transport::Websocket]),
];

#[tokio::main]
async fn main() -> ExitCode {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let mut failed = 0;
    for kind in Kind::ALL.iter().filter(|kind| kind.name().contains(&filter)) {
        for (name, way) in WAYS {
            match judge(*kind, way).await {
                Ok(passed) => println!("ok    {:<16} {name:<10} {passed}", kind.name()),
                Err(error) => {
                    failed += 1;
                    println!("FAIL  {:<16} {name:<10} {error}", kind.name());
                }
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
