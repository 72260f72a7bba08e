//! Polling bodies: compressed, and as scripts.

use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use sockeye::{HttpCompression, Server, ServerBuilder, Socket};

use crate::wire::{HANDSHAKE, Response, Wire};

/// A server that greets with `length` letters, and the answer to the poll after joining.
async fn greeting(builder: ServerBuilder, length: usize, headers: &[&str]) -> Response {
    let io = builder.build().unwrap();
    io.on_connect(async move |socket: Socket| socket.emit("hi", "x".repeat(length)));
    let mut wire = Wire::open(&io);
    let uri = format!("{HANDSHAKE}&sid={}", wire.get(HANDSHAKE).await.sid());
    wire.post(&uri, "text/plain", "40").await;
    wire.request("GET", &uri, headers).await
}

/// The text, less the answer to CONNECT.
fn rest(text: &str) -> &str {
    text.split_once('\x1e').unwrap().1
}

#[tokio::test]
async fn bodies_are_compressed_as_the_client_accepts() {
    let expected = format!("42[\"hi\",\"{}\"]", "x".repeat(2000));
    let gzip = greeting(Server::builder(), 2000, &["Accept-Encoding: deflate;q=0.5, gzip"]).await;
    assert_eq!((gzip.status, gzip.header("content-encoding").as_str()), (200, "gzip"));
    assert_eq!(gzip.header("content-type"), "text/plain; charset=UTF-8");
    assert_eq!(gzip.header("cache-control"), "no-store");
    let mut text = String::new();
    GzDecoder::new(&gzip.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(rest(&text), expected);

    let deflate = greeting(Server::builder(), 2000, &["Accept-Encoding: gzip;q=0, deflate"]).await;
    assert_eq!(deflate.header("content-encoding"), "deflate");
    let mut text = String::new();
    ZlibDecoder::new(&deflate.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(rest(&text), expected);

    for headers in [&[][..], &["Accept-Encoding: br"], &["Accept-Encoding: gzip;q=0"]] {
        let plain = greeting(Server::builder(), 2000, headers).await;
        assert_eq!((plain.header("content-encoding").as_str(), rest(plain.text())), ("", expected.as_str()));
    }
}

#[tokio::test]
async fn large_bodies_are_compressed_elsewhere() {
    let response = greeting(Server::builder(), 300_000, &["Accept-Encoding: gzip"]).await;
    let mut text = String::new();
    GzDecoder::new(&response.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(rest(&text).len(), 300_000 + "42[\"hi\",\"\"]".len());
}

#[tokio::test]
async fn short_bodies_are_not_compressed() {
    // 34 bytes of `40{"sid":"…"}`, the separator, 11 of `42["hi",""]`, and the text.
    for (length, encoding) in [(977, ""), (978, "gzip")] {
        let response = greeting(Server::builder(), length, &["Accept-Encoding: gzip"]).await;
        assert_eq!(response.header("content-encoding"), encoding, "{length}");
        if encoding.is_empty() {
            assert_eq!(response.body.len(), 1023);
        }
    }
    let builder = Server::builder().http_compression(HttpCompression::default().threshold(100).level(1));
    assert_eq!(greeting(builder, 100, &["Accept-Encoding: gzip"]).await.header("content-encoding"), "gzip");
    let builder = Server::builder().http_compression(HttpCompression::off());
    assert_eq!(greeting(builder, 5000, &["Accept-Encoding: gzip"]).await.header("content-encoding"), "");
}

#[tokio::test]
async fn what_is_not_to_be_compressed_is_not() {
    for (compress, encoding) in [(true, "gzip"), (false, "")] {
        let io = Server::new();
        let mut wire = Wire::open(&io);
        let uri = format!("{HANDSHAKE}&sid={}", wire.get(HANDSHAKE).await.sid());
        wire.post(&uri, "text/plain", "40").await;
        wire.get(&uri).await;
        io.compress(compress).emit("hi", "x".repeat(3000)).unwrap();
        let response = wire.request("GET", &uri, &["Accept-Encoding: gzip"]).await;
        assert_eq!(response.header("content-encoding"), encoding);
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn echo(builder: ServerBuilder) -> Server {
    let io = builder.allow_jsonp(true).build().unwrap();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    io
}

#[tokio::test]
async fn jsonp_of_revision_4() {
    let io = echo(Server::builder());
    let mut wire = Wire::open(&io);
    let opened = wire.get(&format!("{HANDSHAKE}&j=0")).await;
    assert_eq!(opened.header("content-type"), "text/javascript; charset=UTF-8");
    let text = opened.text();
    assert!(text.starts_with("___eio[0](\"0{\\\"sid\\\":\\\"") && text.ends_with("}\");"), "{text}");
    let uri = format!("{HANDSHAKE}&j=1&sid={}", &text[23..45]);
    let posted = wire.post(&uri, FORM, "d=40").await;
    assert_eq!((posted.text(), posted.header("content-type").as_str()), ("ok", "text/html"));
    assert!(wire.get(&uri).await.text().starts_with("___eio[1](\"40{\\\"sid\\\":"));
    // A line end as the client writes it, and what was backslash and n before.
    wire.post(&uri, FORM, "d=42%5B%22echo%22%2C%22a%5C%5Cnb%E2%80%A8%22%5D").await;
    assert_eq!(wire.get(&uri).await.text(), "___eio[1](\"42[\\\"echo\\\",\\\"a\\\\nb\\u2028\\\"]\");");
    assert_eq!(wire.post(&uri, FORM, "x=40").await.status, 400);
}

#[tokio::test]
async fn jsonp_of_revision_3() {
    let io = echo(Server::builder().allow_eio3(true));
    let mut wire = Wire::open(&io);
    let opened = wire.get("/socket.io/?EIO=3&transport=polling&j=0&b64=1").await;
    let text = opened.text();
    let (start, end) = ("___eio[0](\"120:0{\\\"sid\\\":\\\"", "}2:40\");");
    assert!(text.starts_with(start) && text.ends_with(end), "{text}");
    let uri = format!("/socket.io/?EIO=3&transport=polling&j=0&b64=1&sid={}", &text[27..49]);
    assert_eq!(wire.post(&uri, FORM, "d=16%3A42%5B%22echo%22%2C%22a+b%22%5D").await.text(), "ok");
    assert_eq!(wire.get(&uri).await.text(), "___eio[0](\"16:42[\\\"echo\\\",\\\"a b\\\"]\");");
    io.emit("b", bytes::Bytes::from_static(b"any carnal plea")).unwrap();
    let binary = wire.get(&uri).await;
    assert!(binary.text().ends_with("22:b4YW55IGNhcm5hbCBwbGVh\");"), "{}", binary.text());
}

#[tokio::test]
async fn scripts_are_for_those_who_allowed_them() {
    let response = Wire::open(&Server::new()).get(&format!("{HANDSHAKE}&j=0")).await;
    assert_eq!((response.status, response.text()), (400, "{\"code\":3,\"message\":\"Bad request\"}"));
}
