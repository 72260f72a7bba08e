//! Inside plain hyper, with an accept loop of one's own: the service is called for each request.
//!
//!     cargo run -p sockeye-examples --bin in_hyper

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use sockeye::{BoxError, PeerAddr, Server};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let io = Server::new();
    io.on("echo", async |socket, text: String| socket.emit("echo", text));

    let listener = sockeye_examples::listener().await?;
    loop {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(io.service());
        let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(PeerAddr(address));
            hyper::service::Service::call(&service, request)
        });
        tokio::spawn(async move {
            // `with_upgrades` is what makes WebSockets possible.
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
            if let Err(error) = connection.await {
                eprintln!("{address}: {error}");
            }
        });
    }
}
