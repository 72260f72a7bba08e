//! The server that the conformance tests talk to; its handlers are those of `reference-server.mjs`.
//!
//! Options: `--name value`, see [`Options`]. Prints `listening <port>`; then every line on standard input is an order:
//! `stats` prints a JSON line of what is held, `close` shuts down, the end of input ends the process.

mod refused;
mod handlers;
mod options;
mod suite;

use std::error::Error;
use std::time::Duration;

use sockeye::Server;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::net::TcpListener;

use crate::options::{Mode, Options};

/// How long `close` waits for what is under way.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let options = Options::parse(std::env::args().skip(1))?;
    let io = options.builder.build()?;
    match options.mode {
        Mode::Conformance => handlers::register(&io, &options.refused)?,
        Mode::Suite => suite::register(&io),
    }
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    println!("listening {}", listener.local_addr()?.port());
    tokio::select! {
        result = io.serve(listener) => result?,
        result = orders(&io) => result?,
    }
    Ok(())
}

/// Carries out orders until there are no more.
async fn orders(io: &Server) -> std::io::Result<()> {
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(order) = lines.next_line().await? {
        match order.as_str() {
            "stats" => println!("{}", stats(io)),
            "close" => {
                io.close(GRACE).await;
                return Ok(());
            }
            unknown => eprintln!("there is no order {unknown:?}"),
        }
    }
    Ok(())
}

fn stats(io: &Server) -> serde_json::Value {
    let metrics = io.metrics();
    let namespaces = io.namespaces();
    let rooms: usize = namespaces.iter().map(|namespace| namespace.rooms().len()).sum();
    serde_json::json!({
        "sessions": metrics.sessions,
        "sockets": metrics.sockets,
        "rooms": rooms,
        "children": namespaces.iter().filter(|namespace| is_child(namespace.path())).count(),
        "tasks": metrics.tasks,
        "acks": metrics.acks,
    })
}

fn is_child(path: &str) -> bool {
    path.starts_with("/room-") || path.starts_with("/team-")
}
