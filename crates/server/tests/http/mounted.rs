//! The client's files, and the server as a layer.

use std::convert::Infallible;
use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use sockeye::{Cors, Server};
use tower_layer::Layer;
use tower_service::Service;

use crate::wire::{HANDSHAKE, Wire};

/// A folder as npm's package has it, and a file that is nobody's business.
struct Dist(PathBuf);

impl Dist {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sockeye-dist-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("socket.io.js"), script()).unwrap();
        std::fs::write(folder.join("socket.io.min.js.map"), "{}").unwrap();
        std::fs::write(folder.join("secret.js"), "42").unwrap();
        Self(folder)
    }
}

impl Drop for Dist {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn script() -> String {
    "io();\n".repeat(1000)
}

#[tokio::test]
async fn files_are_served_and_kept() {
    let dist = Dist::new("served");
    let io = Server::builder().serve_client(&dist.0).cors(Cors::any_origin()).build().unwrap();
    let mut wire = Wire::open(&io);
    let file = wire.get("/socket.io/socket.io.js").await;
    assert_eq!((file.status, file.text()), (200, script().as_str()));
    assert_eq!(file.header("content-type"), "application/javascript; charset=utf-8");
    assert_eq!(file.header("cache-control"), "public, max-age=0");
    assert_eq!(file.header("vary"), "accept-encoding");
    assert_eq!(file.header("access-control-allow-origin"), "*", "modules are loaded by the rules of CORS");
    let etag = file.header("etag");
    assert!(etag.starts_with("W/\"") && etag.len() == 20, "{etag}");

    for tags in [&etag, etag.trim_start_matches("W/"), &format!("\"x\", {etag}"), "*"] {
        let known = wire.request("GET", "/socket.io/socket.io.js", &[&format!("If-None-Match: {tags}")]).await;
        assert_eq!((known.status, known.text(), known.header("etag")), (304, "", etag.clone()));
    }
    let other = wire.request("GET", "/socket.io/socket.io.js", &["If-None-Match: \"x\""]).await;
    assert_eq!(other.status, 200);

    let packed = wire.request("GET", "/socket.io/socket.io.js?v=1", &["Accept-Encoding: gzip, br"]).await;
    assert_eq!((packed.header("content-encoding").as_str(), packed.header("etag")), ("gzip", etag));
    let mut text = String::new();
    GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, script());

    let map = wire.get("/socket.io/socket.io.min.js.map").await;
    assert_eq!((map.text(), map.header("content-type").as_str()), ("{}", "application/json; charset=utf-8"));
    assert_eq!(wire.get(HANDSHAKE).await.status, 200, "the rest works as ever");
    wire.write("HEAD /socket.io/socket.io.min.js.map HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let head = wire.head().await;
    assert_eq!((head.status, head.header("content-length").as_str()), (200, "2"));
}

#[tokio::test]
async fn no_other_file_can_be_asked_for() {
    let dist = Dist::new("other");
    let io = Server::builder().serve_client(&dist.0).build().unwrap();
    let mut wire = Wire::open(&io);
    for path in [
        "/socket.io/secret.js",
        "/socket.io/socket.io.min.js",
        "/socket.io/../secret.js",
        "/socket.io/%2e%2e/secret.js",
        "/socket.io/..%2fsecret.js",
        "/socket.io/x/socket.io.js",
        "/socket.io.js",
        "/socket.io/socket.io.js/",
        "/socket.io/socket.io.js%00",
        "/socket.io//socket.io.js",
        "/socket.io/\\socket.io.js",
    ] {
        assert_eq!(wire.get(path).await.status, 404, "{path}");
    }
    assert_eq!(Wire::open(&Server::new()).get("/socket.io/socket.io.js").await.status, 404, "off by default");
}

#[test]
fn a_folder_without_client_is_refused() {
    let missing = std::env::temp_dir().join("sockeye-there-is-nothing-here");
    let error = Server::builder().serve_client(missing).build().unwrap_err().to_string();
    assert!(error.contains("serve_client: there is no client in") && error.contains("client-dist"), "{error}");
}

/// The application around which the layer is laid.
#[derive(Clone)]
pub(crate) struct Application;

impl<B> Service<Request<B>> for Application {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        std::future::ready(Ok(Response::new(Full::new(request.uri().path().to_owned().into()))))
    }
}

#[tokio::test]
async fn a_layer_answers_at_its_path_and_passes_the_rest_on() {
    let io = Server::builder().path("chat").build().unwrap();
    let mut app = io.layer().layer(Application);
    for (uri, expected) in [
        ("/chat/?EIO=4&transport=polling", "0{\"sid\":"),
        ("/chat?EIO=4&transport=pigeon", "{\"code\":0"),
        ("/chat/room", "/chat/room"),
        ("/socket.io/?EIO=4&transport=polling", "/socket.io/"),
        ("/", "/"),
    ] {
        let request = Request::builder().uri(uri).body(Empty::<Bytes>::new()).unwrap();
        std::future::poll_fn(|cx| Service::<Request<Empty<Bytes>>>::poll_ready(&mut app, cx)).await.unwrap();
        let response = app.call(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(expected.as_bytes()), "{uri}: {body:?}");
    }
    io.close(std::time::Duration::ZERO).await;
}
