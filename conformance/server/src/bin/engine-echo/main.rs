//! A bare Engine.IO server that echoes every message: what the test suites of the Engine.IO protocol want, and a small
//! driver of `sockeye_engine::Session` beside that of the server crate.
//!
//! `engine-echo [PORT]`: default 3000. Heartbeats after 300 ms, to be answered within 200 ms; both revisions.

mod session;
mod shared;
mod http;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sockeye_engine::Config;
use tokio::net::TcpListener;

use crate::shared::Shared;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(3000), |port| port.parse())?;
    let (ping_interval, ping_timeout) = (Duration::from_millis(300), Duration::from_millis(200));
    let config = Arc::new(Config { ping_interval, ping_timeout, ..Config::default() });
    let shared = Arc::new(Shared::new(config));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening {}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| http::answer(Arc::clone(&shared), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
        tokio::spawn(async move { drop(connection.await) });
    }
}
