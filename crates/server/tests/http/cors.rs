//! Pages of other origins. [Fetch "CORS protocol"]

use std::time::Duration;

use sockeye::{Cors, Server};

use crate::wire::{HANDSHAKE, Response, Wire};

const STREAM: &str = "/socket.io/?EIO=4&transport=websocket";
const A: &str = "Origin: https://a.example";
const B: &str = "Origin: https://b.example";

fn server(cors: Cors) -> Server {
    Server::builder().cors(cors).build().unwrap()
}

async fn get(io: &Server, uri: &str, headers: &[&str]) -> Response {
    Wire::open(io).request("GET", uri, headers).await
}

async fn preflight(io: &Server, headers: &[&str]) -> Response {
    let mut all = vec![A, "Access-Control-Request-Method: POST"];
    all.extend(headers);
    let response = Wire::open(io).request("OPTIONS", HANDSHAKE, &all).await;
    assert_eq!((response.status, response.text()), (204, ""));
    response
}

fn granted(response: &Response) -> [String; 3] {
    ["access-control-allow-origin", "access-control-allow-credentials", "vary"].map(|name| response.header(name))
}

/// CVE-2020-28481
#[tokio::test]
async fn by_default_other_origins_get_nothing() {
    let io = Server::new();
    let response = get(&io, HANDSHAKE, &[B]).await;
    assert_eq!(response.status, 200);
    assert_eq!(granted(&response), ["", "", ""]);
    assert_eq!(granted(&preflight(&io, &[]).await), ["", "", ""]);
    let refused = Wire::open(&io).upgrade(STREAM, &[B]).await;
    assert_eq!((refused.status, refused.text()), (403, "Forbidden"));
    assert_eq!(refused.header("connection"), "close");
    for own in ["Origin: https://chat.example", "Origin: http://chat.example"] {
        assert_eq!(Wire::open(&io).upgrade(STREAM, &[own]).await.status, 101);
    }
    assert_eq!(Wire::open(&io).upgrade(STREAM, &[]).await.status, 101, "no browser, no origin");
}

/// A stranger's page cannot take an upgrade either, though it would need the secret id.
#[tokio::test]
async fn upgrades_of_sessions_are_guarded_too() {
    let io = Server::new();
    let sid = get(&io, HANDSHAKE, &[]).await.sid();
    let uri = format!("{STREAM}&sid={sid}");
    assert_eq!(Wire::open(&io).upgrade(&uri, &[B]).await.status, 403);
    assert_eq!(Wire::open(&io).upgrade(&uri, &["Origin: https://chat.example"]).await.status, 101);
}

#[tokio::test]
async fn any_origin_is_a_wildcard_without_credentials() {
    let io = Server::builder().any_origin().build().unwrap();
    assert_eq!(granted(&get(&io, HANDSHAKE, &[B]).await), ["*", "", ""]);
    assert_eq!(granted(&get(&io, HANDSHAKE, &[]).await), ["*", "", ""]);
    assert_eq!(Wire::open(&io).upgrade(STREAM, &[B]).await.status, 101);
}

#[tokio::test]
async fn named_origins_are_echoed_with_credentials() {
    let io = Server::builder().origins(["https://a.example"]).build().unwrap();
    assert_eq!(granted(&get(&io, HANDSHAKE, &[A]).await), ["https://a.example", "true", "Origin"]);
    assert_eq!(granted(&get(&io, HANDSHAKE, &[B]).await), ["", "", "Origin"]);
    assert_eq!(granted(&get(&io, HANDSHAKE, &[]).await), ["", "", "Origin"]);
    assert_eq!(Wire::open(&io).upgrade(STREAM, &[A]).await.status, 101);
    assert_eq!(Wire::open(&io).upgrade(STREAM, &[B]).await.status, 403);
}

#[tokio::test]
async fn origins_may_be_decided_by_a_function() {
    let io = server(Cors::matching(|origin| origin.ends_with(".example") && origin.starts_with("https://")));
    assert_eq!(granted(&get(&io, HANDSHAKE, &[B]).await), ["https://b.example", "", "Origin"]);
    assert_eq!(granted(&get(&io, HANDSHAKE, &["Origin: https://c.evil"]).await), ["", "", "Origin"]);
    assert_eq!(Wire::open(&io).upgrade(STREAM, &["Origin: null"]).await.status, 403);
}

#[tokio::test]
async fn errors_are_readable_too() {
    let io = Server::builder().origins(["https://a.example"]).max_payload(100).build().unwrap();
    let marks = ["https://a.example", "true", "Origin"];
    for (uri, body) in [
        ("/socket.io/?EIO=4&transport=pigeon", "{\"code\":0,\"message\":\"Transport unknown\"}"),
        ("/socket.io/?EIO=4&transport=polling&sid=abc", "{\"code\":1,\"message\":\"Session ID unknown\"}"),
        ("/socket.io/?EIO=3&transport=polling", "{\"code\":5,\"message\":\"Unsupported protocol version\"}"),
    ] {
        let response = get(&io, uri, &[A]).await;
        assert_eq!((response.status, response.text()), (400, body));
        assert_eq!(granted(&response), marks);
    }
    let sid = get(&io, HANDSHAKE, &[]).await.sid();
    let mut wire = Wire::open(&io);
    wire.write(format!("POST {HANDSHAKE}&sid={sid} HTTP/1.1\r\nHost: x\r\n{A}\r\nContent-Length: 101\r\n\r\n")).await;
    let response = wire.response().await;
    let words = "{\"code\":3,\"message\":\"message too large\"}";
    assert_eq!((response.status, response.text(), response.header("connection").as_str()), (413, words, "close"));
    assert_eq!(granted(&response), marks);
}

#[tokio::test]
async fn preflights_are_answered() {
    let io = Server::builder().origins(["https://a.example"]).build().unwrap();
    let response = preflight(&io, &["Access-Control-Request-Headers: x-a, content-type"]).await;
    assert_eq!(response.header("access-control-allow-methods"), "GET,HEAD,PUT,PATCH,POST,DELETE");
    assert_eq!(response.header("access-control-allow-headers"), "x-a, content-type");
    assert_eq!(granted(&response), ["https://a.example", "true", "Origin, Access-Control-Request-Headers"]);
    assert_eq!(response.header("access-control-max-age"), "");

    let stranger = Wire::open(&io).request("OPTIONS", HANDSHAKE, &[B]).await;
    assert_eq!(stranger.status, 204);
    assert_eq!(stranger.header("access-control-allow-methods"), "");
}

#[tokio::test]
async fn every_knob_is_a_header() {
    let cors = Cors::origins(["https://a.example"])
        .methods(["GET", "POST"])
        .allowed_headers(["x-token", "content-type"])
        .exposed_headers(["x-node"])
        .max_age(Duration::from_mins(10))
        .private_network(true);
    let io = server(cors);
    let asked = ["Access-Control-Request-Headers: x-evil", "Access-Control-Request-Private-Network: true"];
    let response = preflight(&io, &asked).await;
    assert_eq!(response.header("access-control-allow-methods"), "GET,POST");
    assert_eq!(response.header("access-control-allow-headers"), "x-token,content-type");
    assert_eq!(response.header("access-control-max-age"), "600");
    assert_eq!(response.header("access-control-allow-private-network"), "true");
    assert_eq!(granted(&response), ["https://a.example", "", "Origin"]);
    assert_eq!(response.header("access-control-expose-headers"), "");
    assert_eq!(preflight(&io, &[]).await.header("access-control-allow-private-network"), "");
    assert_eq!(get(&io, HANDSHAKE, &[A]).await.header("access-control-expose-headers"), "x-node");

    let closed = server(Cors::origins(["https://a.example"]));
    assert_eq!(preflight(&closed, &asked).await.header("access-control-allow-private-network"), "");
}

#[test]
fn credentials_for_everybody_are_refused() {
    let error = Server::builder().cors(Cors::any_origin().credentials(true)).build().unwrap_err().to_string();
    let expected = "invalid configuration: cors: credentials with any origin would let every page act as its visitor, \
                    and browsers refuse it: name the origins by Cors::origins, or decide by Cors::matching";
    assert_eq!(error, expected);
    assert!(Server::builder().origins(["https://a.example/"]).build().is_err());
}
