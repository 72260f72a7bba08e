//! How sessions begin, and requests that begin none.                                          [EIO4 "handshake"]

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn polling_is_offered_the_upgrade() {
    let (_, net) = plain();
    let open = net.request("GET", "/socket.io/?EIO=4&transport=polling", &[], "").answer().await;
    open.expect(
        200,
        "0{\"sid\":\"…\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}",
    );
    assert_eq!(open.headers["content-type"], "text/plain; charset=UTF-8");
    assert_eq!(open.headers["cache-control"], "no-store");
}

#[tokio::test(start_paused = true)]
async fn a_websocket_is_offered_nothing() {
    let (_, net) = plain();
    let mut alice = net.open("/socket.io/?EIO=4&transport=websocket", &[]).await;
    alice
        .expect("0{\"sid\":\"…\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}")
        .await;
    alice.expect_nothing().await;
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_handshake_says_what_was_configured() {
    let io = Server::builder()
        .ping_interval(millis(300))
        .ping_timeout(millis(200))
        .max_payload(5000)
        .allow_upgrades(false)
        .build()
        .unwrap();
    let open = "0{\"sid\":\"…\",\"upgrades\":[],\"pingInterval\":300,\"pingTimeout\":200,\"maxPayload\":5000}";
    Net::new(&io).request("GET", "/socket.io/?EIO=4&transport=polling", &[], "").expect(200, open).await;
}

#[tokio::test(start_paused = true)]
async fn session_ids_are_long_and_fresh_and_not_those_of_sockets() {
    let (_, net) = plain();
    let (a, b) = (net.polling().await, net.polling().await);
    assert_eq!((a.sid().len(), b.sid().len()), (22, 22));
    assert_ne!(a.sid(), b.sid());
    assert_ne!(a.join().await, a.sid());
}

/// The six errors of the official server, with status and body.
#[tokio::test(start_paused = true)]
async fn requests_that_begin_nothing() {
    let (io, net) = plain();
    let refused = async |method: &str, query: &str, status: u16, body: &str| {
        let target = format!("/socket.io/?{query}");
        let answer = net.request(method, &target, &[], "").answer().await;
        answer.expect(status, body);
        assert_eq!(answer.headers["content-type"], "application/json", "{query}");
    };
    let unknown = "{\"code\":0,\"message\":\"Transport unknown\"}";
    refused("GET", "EIO=4", 400, unknown).await;
    refused("GET", "EIO=4&transport=pigeon", 400, unknown).await;
    refused("GET", "", 400, unknown).await;
    let sid = "{\"code\":1,\"message\":\"Session ID unknown\"}";
    refused("GET", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA", 400, sid).await;
    refused("POST", "EIO=4&transport=polling&sid=%00%ff", 400, sid).await;
    refused("POST", "EIO=4&transport=polling", 400, "{\"code\":2,\"message\":\"Bad handshake method\"}").await;
    refused("PUT", "EIO=4&transport=polling", 400, "{\"code\":2,\"message\":\"Bad handshake method\"}").await;
    refused("GET", "EIO=4&transport=websocket", 400, "{\"code\":3,\"message\":\"Bad request\"}").await;
    let version = "{\"code\":5,\"message\":\"Unsupported protocol version\"}";
    refused("GET", "EIO=3&transport=polling", 400, version).await;
    refused("GET", "transport=polling", 400, version).await;
    refused("GET", "EIO=four&transport=polling", 400, version).await;
    assert_eq!(io.metrics().requests_refused, 11);
    net.assert_clean().await;
}

/// The same over WebSocket: plain text, and the connection is closed.
#[tokio::test(start_paused = true)]
async fn websockets_that_begin_nothing() {
    let (_, net) = plain();
    let cases = [
        ("EIO=4&transport=pigeon", "400 Bad Request", "Transport unknown"),
        ("EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA", "400 Bad Request", "Session ID unknown"),
        ("EIO=4&transport=polling", "400 Bad Request", "Bad request"),
        ("EIO=3&transport=websocket", "400 Bad Request", "Unsupported protocol version"),
        ("transport=websocket", "400 Bad Request", "Unsupported protocol version"),
    ];
    for (query, status, body) in cases {
        let response = net.try_open(&format!("/socket.io/?{query}"), &[]).await.unwrap_err();
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{query}: {response}");
        assert!(response.ends_with(&format!("\r\n\r\n{body}")), "{query}: {response}");
    }
    let foreign =
        net.try_open("/socket.io/?EIO=4&transport=websocket", &[("Origin", "https://evil.example")]).await.unwrap_err();
    assert!(foreign.starts_with("HTTP/1.1 403 Forbidden\r\n") && foreign.ends_with("\r\n\r\nForbidden"), "{foreign}");
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_is_switched_off_is_unknown() {
    let io = Server::builder().transports(&[sockeye::Transport::Websocket]).build().unwrap();
    let net = Net::new(&io);
    let polling = net.request("GET", "/socket.io/?EIO=4&transport=polling", &[], "");
    polling.expect(400, "{\"code\":0,\"message\":\"Transport unknown\"}").await;
    net.websocket().await.close().await;

    let io = Server::builder().transports(&[sockeye::Transport::Polling]).build().unwrap();
    let net = Net::new(&io);
    let open = net.request("GET", "/socket.io/?EIO=4&transport=polling", &[], "").answer().await;
    assert!(open.text().contains("\"upgrades\":[],"), "{}", open.text());
    assert!(
        net.try_open("/socket.io/?EIO=4&transport=websocket", &[]).await.unwrap_err().ends_with("Transport unknown")
    );
}

#[tokio::test(start_paused = true)]
async fn other_paths_are_not_found_by_the_own_accept_loop() {
    let (_, net) = plain();
    let response = net.try_open("/chat?EIO=4&transport=websocket", &[("Connection", "close")]).await.unwrap_err();
    assert!(response.starts_with("HTTP/1.1 404 Not Found\r\n"), "{response}");
    net.open("/socket.io?EIO=4&transport=websocket", &[])
        .await
        .expect("0{\"sid\":\"…\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}")
        .await;
}

/// Pages of other origins may not read answers unless they were named.
#[tokio::test(start_paused = true)]
async fn cross_origin_rules_hold_on_every_answer() {
    let io = Server::builder().origins(["https://a.example"]).build().unwrap();
    let net = Net::new(&io);
    for target in ["/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&transport=pigeon"] {
        let answer = net.request("GET", target, &[("origin", "https://a.example")], "").answer().await;
        assert_eq!(answer.headers["access-control-allow-origin"], "https://a.example", "{target}");
        assert_eq!(answer.headers["access-control-allow-credentials"], "true", "{target}");
        assert_eq!(answer.headers["vary"], "Origin", "{target}");
        let answer = net.request("GET", target, &[("origin", "https://b.example")], "").answer().await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{target}");
        assert_eq!(answer.headers["vary"], "Origin", "{target}");
    }
    let preflight = [("origin", "https://a.example"), ("access-control-request-headers", "x-token")];
    let answer = net.request("OPTIONS", "/socket.io/?EIO=4&transport=polling", &preflight, "").answer().await;
    answer.expect(204, "");
    assert_eq!(answer.headers["access-control-allow-headers"], "x-token");
    assert!(net.try_open("/socket.io/?EIO=4&transport=websocket", &[("Origin", "https://b.example")]).await.is_err());
    net.open("/socket.io/?EIO=4&transport=websocket", &[("Origin", "https://a.example")]).await;

    let io = Server::builder().any_origin().build().unwrap();
    let answer = Net::new(&io).request("GET", "/socket.io/?EIO=4&transport=polling", &[("origin", "null")], "");
    assert_eq!(answer.answer().await.headers["access-control-allow-origin"], "*");
}

#[tokio::test(start_paused = true)]
async fn the_page_of_the_own_host_may_open_a_websocket() {
    let (_, net) = plain();
    net.open("/socket.io/?EIO=4&transport=websocket", &[("Origin", "https://sockeye.test")]).await;
}

/// Clients of Socket.IO 2 are in `/` by connecting, and are told so without having asked.
#[tokio::test(start_paused = true)]
async fn clients_of_revision_3_are_let_in_by_connecting() {
    let io = Server::builder().allow_eio3(true).build().unwrap();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let net = Net::new(&io);
    let mut alice = net.open("/socket.io/?EIO=3&transport=websocket", &[]).await;
    alice
        .expect("0{\"sid\":\"…\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}")
        .await;
    alice.expect("40").await;
    alice.send("42[\"echo\",\"hi\"]").await;
    alice.expect("42[\"echo\",\"hi\"]").await;
    alice.send("2").await;
    alice.expect("3").await;
    alice.close().await;
    net.assert_clean().await;
}
