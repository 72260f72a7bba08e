//! Inside of axum, on a port of its own.

use axum::Router;
use axum::routing::get;
use sockeye::{Server, Socket};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::{HANDSHAKE, Wire};

pub(crate) async fn serve(app: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn speaks(address: std::net::SocketAddr) {
    let connect = async || Wire::over(TcpStream::connect(address).await.unwrap());
    assert_eq!(connect().await.get("/").await.text(), "a page");
    let mut wire = connect().await;
    let sid = wire.get(HANDSHAKE).await.sid();
    let posted = wire.post(&format!("{HANDSHAKE}&sid={sid}"), "text/plain", "40").await;
    assert_eq!(posted.text(), "ok");
    let mut wire = connect().await;
    assert_eq!(wire.upgrade("/socket.io/?EIO=4&transport=websocket", &[]).await.status, 101);
    wire.join().await;
    wire.say("42[\"echo\",\"hi\"]").await;
    assert_eq!(wire.hear().await, "42[\"echo\",\"hi\"]");
}

fn echo() -> Server {
    let io = Server::new();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    io
}

#[tokio::test]
async fn as_a_service() {
    let app = Router::new().route("/", get(async || "a page")).nest_service("/socket.io", echo().service());
    speaks(serve(app).await).await;
}

#[tokio::test]
async fn as_a_layer() {
    let app = Router::new().route("/", get(async || "a page")).layer(echo().layer());
    speaks(serve(app).await).await;
}
