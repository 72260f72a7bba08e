//! Options that cannot work are found by `build`, before anything listens.

use sockeye::{Cookie, Deflate, ServerBuilder, Transport};

use crate::common::*;

type Change = fn(ServerBuilder) -> ServerBuilder;

#[test]
fn what_cannot_work_is_refused_with_the_name_of_the_option() {
    let polling = [Transport::Polling];
    let websocket = [Transport::Websocket];
    let wrong: [(&str, Change); 9] = [
        ("ping_interval", |builder| builder.ping_interval(Duration::ZERO)),
        ("ping_timeout", |builder| builder.ping_timeout(Duration::ZERO)),
        ("connect_timeout", |builder| builder.connect_timeout(Duration::ZERO)),
        ("ack_timeout", |builder| builder.ack_timeout(Duration::ZERO)),
        ("max_payload", |builder| builder.max_payload(0)),
        ("bytes", |builder| builder.outbox(0, 1)),
        ("packets", |builder| builder.outbox(1, 0)),
        ("max_waiting_events", |builder| builder.max_waiting_events(0, 1)),
        ("no transport", |builder| builder.transports(&[])),
    ];
    for (about, change) in wrong {
        let error = change(Server::builder()).build().unwrap_err().to_string();
        assert!(error.starts_with("invalid configuration: ") && error.contains(about), "{error}");
    }
    let upgrades = Server::builder().transports(&polling).allow_upgrades(true).build().unwrap_err();
    assert!(upgrades.to_string().contains("allow_upgrades"), "{upgrades}");
    let deflate = Server::builder().transports(&polling).per_message_deflate(Deflate::default()).build().unwrap_err();
    assert!(deflate.to_string().contains("per_message_deflate"), "{deflate}");
    let cookie = Server::builder().transports(&websocket).cookie(Cookie::new("io")).build().unwrap_err();
    assert!(cookie.to_string().contains("cookie"), "{cookie}");
}

#[test]
fn the_defaults_and_each_transport_alone_are_fine() {
    assert!(Server::builder().build().is_ok());
    assert!(Server::builder().transports(&[Transport::Polling]).build().is_ok());
    assert!(Server::builder().transports(&[Transport::Websocket]).build().is_ok());
}
