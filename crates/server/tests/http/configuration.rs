//! What `build` refuses, and what it says.

use std::time::Duration;

use sockeye::{Cookie, Deflate, HttpCompression, Recovery, Server, ServerBuilder, Transport};

fn refused(builder: ServerBuilder) -> String {
    let error = builder.build().expect_err("must be refused").to_string();
    error.strip_prefix("invalid configuration: ").unwrap().to_owned()
}

#[test]
fn times_that_leave_no_time() {
    let short = Duration::from_micros(999);
    let builder = Server::builder;
    assert_eq!(
        refused(builder().ping_interval(short)),
        "ping_interval is zero: every client would be pinged without pause"
    );
    assert_eq!(
        refused(builder().ping_timeout(Duration::ZERO)),
        "ping_timeout is zero: every client would be disconnected at its first ping"
    );
    assert_eq!(
        refused(builder().upgrade_timeout(Duration::ZERO)),
        "upgrade_timeout is zero: every upgrade would fail; use allow_upgrades(false) to have none"
    );
    assert!(builder().upgrade_timeout(Duration::ZERO).allow_upgrades(false).build().is_ok());
    assert_eq!(
        refused(builder().connect_timeout(Duration::ZERO)),
        "connect_timeout is zero: no client could join a namespace"
    );
    assert_eq!(refused(builder().ack_timeout(Duration::ZERO)), "ack_timeout is zero: no answer could come in time");
    let request = "request_timeout is zero: no request could arrive in time";
    assert_eq!(refused(builder().request_timeout(Duration::ZERO)), request);
}

#[test]
fn bounds_that_leave_no_room() {
    let builder = Server::builder;
    assert_eq!(refused(builder().max_payload(0)), "max_payload is zero: no client could send anything");
    let unfinished = "max_unfinished is less than max_payload: no message so long could arrive in pieces";
    assert_eq!(refused(builder().max_unfinished(999_999)), unfinished);
    assert!(builder().max_unfinished(1_000_000).build().is_ok());
    assert!(builder().max_payload(1_000_000_000).build().is_ok(), "the default grows with it");
    let frames = "max_fragments is zero: no WebSocket client could send anything";
    assert_eq!(refused(builder().max_fragments(0)), frames);
    let head = "max_head is less than 8,192 bytes: requests with ordinary cookies would be refused";
    assert_eq!(refused(builder().max_head(4_096)), head);
    assert!(builder().max_head(8_192).build().is_ok());
    assert_eq!(refused(builder().outbox(0, 1)), "the outbox bound is zero bytes: nothing could be sent");
    assert_eq!(refused(builder().outbox(1, 0)), "the outbox bound is zero packets: nothing could be sent");
    let unconnected = "max_unconnected_payload is zero: no client could send CONNECT";
    assert_eq!(refused(builder().max_unconnected_payload(0)), unconnected);
    assert_eq!(refused(builder().max_pending_acks(0)), "max_pending_acks is zero: no answer could be waited for");
    let waiting = "max_waiting_events is zero events: no event could reach a handler";
    assert_eq!(refused(builder().max_waiting_events(0, 1)), waiting);
    let waiting = "max_waiting_events is zero bytes: no event could reach a handler";
    assert_eq!(refused(builder().max_waiting_events(1, 0)), waiting);
}

#[test]
fn packets_that_nobody_could_send() {
    let builder = Server::builder;
    let bytes = "max_attachment_bytes is zero: no client could send bytes; max_attachments(0) says so before they come";
    assert_eq!(refused(builder().max_attachment_bytes(0)), bytes);
    assert!(builder().max_attachment_bytes(0).max_attachments(0).build().is_ok());
    let time = "attachment_timeout is zero: no attachment could arrive in time; max_attachments(0) takes none";
    assert_eq!(refused(builder().attachment_timeout(Duration::ZERO)), time);
    assert!(builder().attachment_timeout(Duration::ZERO).max_attachments(0).build().is_ok());
    assert_eq!(refused(builder().max_namespaces(0)), "max_namespaces is zero: no client could join a namespace");
    let counted = "max_namespaces is more than 65,535, which is as far as one connection counts";
    assert_eq!(refused(builder().max_namespaces(65_536)), counted);
    assert!(builder().max_namespaces(65_535).build().is_ok());
    assert_eq!(refused(builder().max_depth(0)), "max_depth is zero: no packet could have arguments");
    let deep = "max_depth is more than 128, which is as deep as the stack of a thread bears";
    assert_eq!(refused(builder().max_depth(129)), deep);
    assert!(builder().max_depth(128).build().is_ok() && builder().max_depth(1).build().is_ok());
}

#[test]
fn gates_that_let_nobody_in() {
    let builder = Server::builder;
    assert_eq!(refused(builder().max_sessions(0)), "max_sessions is zero: no client could connect");
    assert_eq!(refused(builder().max_connections(0)), "max_connections is zero: no client could connect");
    let address = "max_sessions_per_address is zero: no client could connect";
    assert_eq!(refused(builder().max_sessions_per_address(0)), address);
    for (per_second, burst) in [(0, 1), (1, 0)] {
        let rate = "handshake_rate has a zero: no client could connect";
        assert_eq!(refused(builder().handshake_rate(per_second, burst)), rate);
        let rate = "handshake_rate_per_address has a zero: no client could connect";
        assert_eq!(refused(builder().handshake_rate_per_address(per_second, burst)), rate);
        let rate = "event_rate has a zero: every client would be disconnected at its first message";
        assert_eq!(refused(builder().event_rate(per_second, burst)), rate);
        let rate = "byte_rate has a zero: every client would be disconnected at its first message";
        assert_eq!(refused(builder().byte_rate(per_second, burst)), rate);
    }
    let connections = "max_connections_per_address is zero: no client could connect";
    assert_eq!(refused(builder().max_connections_per_address(0)), connections);
    let tight = builder()
        .max_connections(1)
        .max_connections_per_address(1)
        .max_sessions(1)
        .max_sessions_per_address(1)
        .handshake_rate(1, 1)
        .event_rate(1, 1);
    assert!(tight.build().is_ok());
}

#[test]
fn recoveries_that_recover_nobody() {
    let refused = |recovery| refused(Server::builder().recovery(recovery));
    let window = "recovery: the window is zero, so nobody could come back; leave recovery out";
    assert_eq!(refused(Recovery::default().window(Duration::ZERO)), window);
    let sessions = "recovery: max_sessions is zero, so nobody could come back; leave recovery out";
    assert_eq!(refused(Recovery::default().max_sessions(0)), sessions);
    let kept = "recovery: max_bytes or max_packets is zero, so nothing that was missed could be kept";
    assert_eq!(refused(Recovery::default().max_bytes(0)), kept);
    assert_eq!(refused(Recovery::default().max_packets(0)), kept);
}

#[test]
fn levels_that_are_none() {
    for level in [0, 10] {
        let error = refused(Server::builder().per_message_deflate(Deflate::default().level(level)));
        assert_eq!(error, "per_message_deflate: the level is not within 1 (fastest) to 9 (smallest)");
        let error = refused(Server::builder().http_compression(HttpCompression::default().level(level)));
        assert!(error.starts_with("http_compression: the level is not within 1"), "{error}");
    }
}

#[test]
fn options_for_a_transport_that_is_off() {
    let polling = || Server::builder().transports(&[Transport::Polling]);
    let websocket = || Server::builder().transports(&[Transport::Websocket]);
    assert_eq!(
        refused(Server::builder().transports(&[])),
        "no transport is enabled: name at least one of polling and websocket"
    );
    assert_eq!(
        refused(polling().allow_upgrades(true)),
        "allow_upgrades is true, but websocket is not among the transports: there is nothing to upgrade to"
    );
    assert_eq!(
        refused(polling().per_message_deflate(Deflate::default())),
        "per_message_deflate is set, but websocket is not among the transports: see http_compression for polling"
    );
    assert_eq!(
        refused(websocket().cookie(Cookie::new("io"))),
        "a cookie is set, but polling is not among the transports: only polling sets it"
    );
    assert_eq!(refused(websocket().allow_jsonp(true)), "allow_jsonp is true, but polling is not among the transports");
    let header = Server::builder().proxy_header(sockeye::ProxyHeader::Forwarded);
    assert_eq!(refused(header.clone()), "proxy_header names a header, but nobody who may write it: see trust_proxies");
    assert!(header.trust_proxies(["::1"]).expect("an address").build().is_ok());
    assert!(polling().build().is_ok() && websocket().build().is_ok());
    let again = polling().transports(&[Transport::Polling, Transport::Websocket]).allow_upgrades(true);
    assert!(again.build().is_ok(), "the last word counts");
}

#[test]
fn paths_that_nobody_can_ask_for() {
    for path in ["/a b", "/a?b", "/a#b", "/é", "/a\n"] {
        assert!(refused(Server::builder().path(path)).starts_with("path holds what no request can ask for"), "{path}");
    }
    for path in ["", "/", "chat", "/a/b/", "/caf%C3%A9"] {
        assert!(Server::builder().path(path).build().is_ok(), "{path}");
    }
}

#[tokio::test]
async fn the_root_is_a_path() {
    let io = Server::builder().path("/").build().unwrap();
    assert_eq!(crate::wire::Wire::open(&io).get("/?EIO=4&transport=polling").await.status, 200);
}
