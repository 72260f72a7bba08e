//! The WebSocket layer alone, on real sockets, for the Autobahn test suite.
//!
//! ```text
//! sockeye-autobahn server 127.0.0.1:9001            echoes what the fuzzing client sends, until it is killed
//! sockeye-autobahn client 127.0.0.1:9002 NAME       runs every case of the fuzzing server
//! ```

mod wire;
mod echo;
mod client;
mod server;

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match *words {
        ["server", address] => server::run(address).await,
        ["client", address, agent] => client::run(address, agent).await,
        _ => Err(std::io::Error::other("usage: sockeye-autobahn server ADDRESS | client ADDRESS NAME")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
