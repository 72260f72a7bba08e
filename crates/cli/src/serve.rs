//! `sockeye serve`: the server with the demo and its page, from start to stop.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use sockeye::{ConfigError, Server};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::cli::ServeOptions;
use crate::monitor::Monitor;
use crate::probes::{self, Readiness};
use crate::signal::StopSignal;
use crate::webtransport::{self, Listening};
use crate::{app, assets, terminal};

const PASSWORD_BYTES: usize = 10;

/// Why the server did not run. The text is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("port {port} is in use; stop the other program or choose another port, for example --port {}", other(*port))]
    InUse { port: u16 },
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{0}")]
    Log(String),
    #[error("no password could be made up: {0}")]
    Password(getrandom::Error),
    #[error("cannot run: {0}")]
    Run(#[from] io::Error),
    #[error("{0}")]
    WebTransport(#[from] webtransport::Failure),
}

fn other(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(3000)
}

/// Runs until Ctrl-C or SIGTERM.
pub(crate) fn run(options: &ServeOptions) -> Result<(), Failure> {
    terminal::start_log(options).map_err(Failure::Log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: &ServeOptions) -> Result<(), Failure> {
    let listener = listen(SocketAddr::new(options.host, options.port)).await?;
    let address = listener.local_addr()?;
    let monitor = match options.monitor {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let monitor_address = monitor.as_ref().map(TcpListener::local_addr).transpose()?;
    let made_up = if options.admin_password.is_none() { Some(made_up_password()?) } else { None };
    let webtransport = options.webtransport.listen(address).await?;
    let io = options.limits.server(options.webtransport.transports())?;
    app::install(&io, options.admin_password.clone().or_else(|| made_up.clone()).unwrap_or_default());
    let signal = StopSignal::new()?;

    let readiness = Readiness::default();
    let probes = probes::routes(&io, &readiness);
    let page = Router::new().fallback(assets::serve);
    let (page, monitor) = match monitor {
        Some(listener) => (page, Some(Monitor::start(listener, probes, options.limits.heads()))),
        None => (page.merge(probes), None),
    };
    tokio::spawn(io.beside(page).serve(listener));
    let certificate = webtransport.as_ref().and_then(Listening::hash);
    if let Some(listening) = webtransport {
        listening.start(&io);
    }
    terminal::greet(address, monitor_address, certificate.as_deref(), made_up.as_deref());
    wait_and_close(signal, options, &io, &readiness, monitor).await;
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Failure::InUse { port: address.port() },
        _ => Failure::Listen { address, source },
    })
}

/// Serves until somebody asks to stop, then tells the clients and waits for them; a second request waits no longer.
async fn wait_and_close(
    mut signal: StopSignal,
    options: &ServeOptions,
    io: &Server,
    readiness: &Readiness,
    monitor: Option<Monitor>,
) {
    signal.next().await;
    info!(clients = io.metrics().sessions, "stopping; once more stops at once");
    readiness.end();
    let close = async {
        tokio::time::sleep(options.drain).await;
        let deadline = after(options.grace);
        io.close(options.grace).await;
        let connections = io.metrics().connections;
        if connections > 0 {
            warn!(connections, "some connections were cut off");
        }
        if let Some(monitor) = monitor {
            monitor.stop(deadline).await;
        }
    };
    tokio::select! {
        () = close => {}
        _ = signal.next() => warn!("stopped before all clients were told"),
    }
    info!("stopped");
}

/// A moment from now; a grace may be longer than clocks go.
fn after(time: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_hours(24 * 365);
    Instant::now() + time.min(LONGEST)
}

/// Sixteen letters and digits that are easy to read aloud: 80 random bits.
fn made_up_password() -> Result<String, Failure> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0_u8; PASSWORD_BYTES];
    getrandom::fill(&mut bytes).map_err(Failure::Password)?;
    let bits = bytes.iter().flat_map(|byte| (0..8).map(move |shift| byte >> shift & 1)).collect::<Vec<_>>();
    let letter = |five: &[u8]| char::from(ALPHABET[five.iter().fold(0, |n, bit| n << 1 | usize::from(*bit))]);
    Ok(bits.chunks_exact(5).map(letter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_passwords_are_long_and_differ() {
        let (one, two) = (made_up_password().unwrap(), made_up_password().unwrap());
        assert_eq!(one.len(), 16);
        assert!(one.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()));
        assert_ne!(one, two);
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = first.local_addr().unwrap();
        let text = listen(address).await.unwrap_err().to_string();
        assert!(text.starts_with(&format!("port {} is in use", address.port())), "{text}");
        assert!(!text.contains('\n'));
    }

    #[test]
    fn the_port_that_is_proposed_exists() {
        assert_eq!((other(3000), other(u16::MAX)), (3001, 3000));
    }
}
