//! HTTP/1 of the own accept loop, with a service beside Socket.IO: however the network cuts the bytes, the same answers come
//! out, and it comes to an end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use sockeye::{Raw, RequestBody, Server};
use sockeye_testing::{Net, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_service::Service;

use crate::input::Input;
use crate::target::Target;

pub(crate) const HTTP1: Target = Target {
    name: "http1",
    run: http1,
    // The first byte: the size of pieces. Sessions are called s0, s1, and so on.
    seeds: &[
        b"\x10GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\nPOST /socket.io/?EIO=4&transport=polling&sid=s0 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40GET /socket.io/?EIO=4&transport=polling&sid=s0 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
        b"\x07GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\nPOST /socket.io/?EIO=4&transport=polling&sid=s0 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n4\r\n1\r\n0\r\n0\r\nX: y\r\n\r\nGET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        b"\x03\r\n\r\nPOST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcHEAD /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"\x20GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nxPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x01GET http://x/socket.io/?EIO=4&transport=polling&j=0 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0.5, *\r\n\r\nOPTIONS * HTTP/1.1\nHost: x\nX:\ty\n\nGET /socket.io?EIO=3&transport=websocket HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x40GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x82\x00\x00\x00\x0040",
        b"\x05GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\nGET /socket.io/?EIO=4&transport=polling&sid=s0 HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n",
        b"\x05POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\nHEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"\x09GET /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nxPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nshort",
    ],
    mutations: 100,
};

fn http1(data: &[u8]) {
    let mut input = Input::new(data);
    let size = usize::from(input.byte()).max(1);
    // The faults of a head that does not end may be seen at once, or never.
    let wire = &[input.rest(), b"\r\n\r\n"].concat();
    let whole = answers(wire, wire.len().max(1));
    assert_eq!(whole, answers(wire, size), "in pieces of {size}");
    if wire.len() <= 300 {
        assert_eq!(whole, answers(wire, 1), "byte by byte");
    }
}

/// A server whose ids are no surprise.
fn server() -> Server {
    let sessions = AtomicUsize::new(0);
    let id = move |_: &_| format!("s{}", sessions.fetch_add(1, Ordering::SeqCst));
    let io = Server::builder().generate_id(id).max_head(8 * 1024).build().expect("the options agree");
    io.on("echo", async |socket: sockeye::Socket, args: Raw| {
        let _ = socket.emit("echo", args);
    });
    io
}

/// Answers by the body of the request, which it reads to the end.
#[derive(Clone)]
struct Echo;

impl Service<Request<RequestBody>> for Echo {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        Box::pin(async {
            let body = Limited::new(request.into_body(), 1 << 20).collect().await;
            let mut response = Response::new(String::new());
            match body {
                Ok(body) => *response.body_mut() = String::from_utf8_lossy(&body.to_bytes()).into_owned(),
                Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
            }
            Ok(response)
        })
    }
}

/// What the server says to bytes that come `size` at a time, without what is different each time.
fn answers(wire: &[u8], size: usize) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O can be built").block_on(async {
        let io = server();
        let net = Net::new(&io);
        let (client, end) = tokio::io::duplex(64 * 1024);
        let serving = tokio::spawn({
            let io = io.clone();
            async move { io.beside(Echo).serve_stream(end, None).await }
        });
        let (mut reader, mut writer) = tokio::io::split(client);
        let reading = tokio::spawn(async move {
            let mut heard = Vec::new();
            // Whatever it is that ends the stream.
            drop(reader.read_to_end(&mut heard).await);
            heard
        });
        for piece in wire.chunks(size) {
            if writer.write_all(piece).await.is_err() {
                break;
            }
            settle().await;
        }
        drop(writer.shutdown().await);
        let ended = tokio::time::timeout(Duration::from_mins(3), serving).await;
        ended.expect("a connection that has ended is not served on").expect("nothing panics");
        let heard = reading.await.expect("nothing panics");
        net.advance(Duration::from_secs(200)).await;
        net.assert_clean().await;
        comparable(&heard)
    })
}

/// Without dates, random ids, whether a body had to be asked for, and what is said on a WebSocket, where a client that breaks the protocol may be cut short.
fn comparable(heard: &[u8]) -> String {
    let text = String::from_utf8_lossy(heard).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
    let switched = text.find("HTTP/1.1 101 ").and_then(|at| Some(at + text.get(at..)?.find("\r\n\r\n")?));
    let text = text.get(..switched.unwrap_or(text.len())).unwrap_or_default();
    let lines = text.split("\r\n").filter(|line| !line.starts_with("date: ") && !line.contains("40{\"sid\""));
    lines.collect::<Vec<_>>().join("\n")
}
