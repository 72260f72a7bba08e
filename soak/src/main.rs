//! Thousands of clients against one server, each process by itself, on the loopback interface.
//!
//! ```text
//! sockeye-soak run   [--seconds 60] [--clients 2000] [--seed N] [--heartbeat 5] [--rooms N] [--warm-up 60]
//! sockeye-soak waves [--waves 50]   [--clients 5000] [--seed N] [--heartbeat 5]
//! ```
//!
//! `run`: clients of both revisions connect by polling, WebSocket or WebTransport, a fifth of those by TCP by TLS, upgrade, join another
//! namespace, ask and answer, talk in rooms, do not read for a while, and go: in order, by FIN, by RST, in silence, half way
//! through a handshake or an upgrade, or because the server drops them amid their traffic; every tenth sleeps (SIGSTOP) now
//! and then. With an even seed they come back to what they missed (connection state recovery). Meanwhile each checks that what it was told was told once and in order, and that nothing is missing that was
//! acknowledged. When all is over the server must hold nothing of them, and no more memory than before. What the kernel has
//! given is told only: it follows the most that was needed at a time.
//!
//! `waves`: clients connect and are killed, again and again; the server must hold as much after the last as after others,
//! by its own count and by the kernel's.
#![forbid(unsafe_code)]

mod memory;
mod random;
mod faults;
mod profile;
mod state;
mod server;
mod veil;
mod wire;
mod http;
mod frame;
mod packet;
mod quic;
mod stream;
mod carrier;
mod ending;
mod rooms;
mod side;
mod load;
mod session;
mod client;
mod crowd;
mod options;
mod process;
mod run;

use std::io::BufRead as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sockeye::BoxError;
use tokio::sync::watch;

use crate::faults::Faults;
use crate::load::{Load, Seen};
use crate::options::Options;
use crate::profile::Profile;
use crate::quic::Quic;
use crate::veil::Veil;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((mode, rest)) if mode == "run" => run::soak(rest).await,
        Some((mode, rest)) if mode == "waves" => run::waves(rest).await,
        Some((mode, rest)) if mode == "serve" => {
            let options = child(rest)?;
            let profile = Profile::new(options.get("heartbeat", 5)?);
            // One run is with recovery, the next one without.
            server::run(profile, options.get("rooms", 1)?, options.get("seed", 0_u64)? % 2 == 0).await
        }
        Some((mode, rest)) if mode == "load" => {
            crowd::run(load(rest)?).await;
            Ok(())
        }
        Some((mode, rest)) if mode == "hold" => Ok(crowd::hold(load(rest)?).await?),
        _ => Err("one of: run, waves".into()),
    }
}

fn child(words: &[String]) -> Result<Options, BoxError> {
    Options::read(words, &[&run::SHARED[..], &["first", "group", "lives"]].concat())
}

/// A process of clients; the first line of standard input names the server: its addresses by TCP, by TLS and by UDP, and
/// the hash of its certificate.
fn load(words: &[String]) -> Result<Load, BoxError> {
    let options = child(words)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let [server, tls, quic, hash] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        return Err(format!("this names no server: {line}").into());
    };
    let hash = STANDARD.decode(hash).ok().and_then(|hash| hash.try_into().ok()).ok_or("no hash of a certificate")?;
    Ok(Load {
        server: server.parse()?,
        tls: tls.parse()?,
        veil: Arc::new(Veil::new()?),
        quic: Arc::new(Quic::new(quic.parse()?, hash)?),
        profile: Profile::new(options.get("heartbeat", 5)?),
        seed: options.get("seed", 0)?,
        clients: options.get("clients", 1)?,
        first: options.get("first", 0)?,
        lives: options.get("lives", 0)?,
        group: options.get("group", 0)?,
        rooms: options.get("rooms", 1)?,
        over: watch::Sender::new(false),
        faults: Faults::default(),
        seen: Seen::default(),
    })
}
