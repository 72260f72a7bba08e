//! Inside axum: the Socket.IO service is one route among others.
//!
//!     cargo run -p sockeye-examples --bin in_axum

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::map_request;
use axum::routing::get;
use sockeye::{BoxError, PeerAddr, Server};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let io = Server::new();
    io.on_with_ack("from", async |socket, ()| socket.peer().address().map(|address| address.ip()));

    let router = Router::new()
        .route("/online", get(online))
        .with_state(io.clone())
        .nest_service("/socket.io", io.service())
        .layer(map_request(with_address));

    let listener = sockeye_examples::listener().await?;
    let stop = async move {
        tokio::signal::ctrl_c().await.ok();
        // First the sockets, then the requests: a poll that waits is a request.
        io.close(Duration::from_secs(5)).await;
    };
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop)
        .await?;
    Ok(())
}

/// A plain request that looks at the sockets.
async fn online(State(io): State<Server>) -> String {
    format!("{} online", io.of("/").len())
}

/// Tells the service who is at the other end, for `peer().address()`.
async fn with_address(ConnectInfo(address): ConnectInfo<SocketAddr>, mut request: Request) -> Request {
    request.extensions_mut().insert(PeerAddr(address));
    request
}
