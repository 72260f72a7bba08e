//! Every limit at N − 1, N and N + 1, in literal wire text over a network in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::{DisconnectReason, Limit, ProxyHeader, Server, ServerBuilder, Socket};
use sockeye_testing::Net;

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

fn net(builder: ServerBuilder) -> (Server, Net, Arc<Mutex<Vec<DisconnectReason>>>) {
    let io = builder.build().expect("the options agree");
    let reasons: Arc<Mutex<Vec<_>>> = Arc::default();
    let seen = Arc::clone(&reasons);
    io.on_disconnect(async move |_, reason| seen.lock().unwrap().push(reason));
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let net = Net::new(&io);
    (io, net, reasons)
}

#[tokio::test(start_paused = true)]
async fn sessions_in_all_are_counted_on_both_transports() {
    let (_io, net, _) = net(Server::builder().max_sessions(2));
    let first = net.websocket().await;
    let second = net.polling().await;
    let refused = net.request("GET", HANDSHAKE, &[], "").answer().await;
    refused.expect(503, r#"{"code":4,"message":"too many sessions"}"#);
    assert_eq!(refused.headers.get("retry-after").map(|value| value.to_str().unwrap()), Some("5"));
    assert!(net.try_open("/socket.io/?EIO=4&transport=websocket", &[]).await.is_err());
    first.close().await;
    let third = net.websocket().await;
    drop(third);
    second.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn handshakes_are_slowed_down() {
    let (_io, net, _) = net(Server::builder().handshake_rate(1, 2));
    let _first = net.websocket().await;
    let _second = net.websocket().await;
    net.request("GET", HANDSHAKE, &[], "")
        .expect(503, r#"{"code":4,"message":"too many new sessions per second"}"#)
        .await;
    net.advance(Duration::from_secs(1)).await;
    let _third = net.websocket().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_may_send_max_payload_right_after_connect() {
    let (_io, net, _) = net(Server::builder().max_payload(100_000));
    let mut alice = net.websocket().await;
    let long = "y".repeat(90_000);
    alice.send_all(&["40", &format!("42[\"echo\",\"{long}\"]")]).await;
    alice.expect("40{\"sid\":\"…\"}").await;
    alice.expect(&format!("42[\"echo\",\"{long}\"]")).await;
    alice.send(&format!("42[\"echo\",\"{}\"]", "y".repeat(100_000))).await;
    alice.expect_closed(Some(1009)).await;
    net.assert_clean().await;
}

const PICTURE: &str = "452-[\"echo\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]";

#[tokio::test(start_paused = true)]
async fn the_bytes_of_all_attachments_of_a_packet_are_bounded() {
    let io = Server::builder().max_attachment_bytes(1_000).build().unwrap();
    io.on("echo", async |socket: Socket, (a, b): (bytes::Bytes, bytes::Bytes)| socket.emit("size", a.len() + b.len()));
    let net = Net::new(&io);
    for (second, fits) in [(499, true), (500, true), (501, false)] {
        let (mut alice, _) = net.join().await;
        alice.send(PICTURE).await;
        alice.send_binary(&[0; 500]).await;
        alice.send_binary(&vec![0; second]).await;
        if fits {
            alice.expect(&format!("42[\"size\",{}]", 500 + second)).await;
            alice.close().await;
        } else {
            alice.expect_closed(Some(1008)).await;
        }
    }
    assert_eq!(io.metrics().limits.get(Limit::AttachmentBytes), 1);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_bound_of_attachments_is_never_below_that_of_a_message_by_default() {
    let io = Server::builder().max_payload(11_000_000).build().unwrap();
    io.on_with_ack("size", async |_, bytes: bytes::Bytes| bytes.len());
    let net = Net::new(&io).with_buffer(12_000_000);
    let (mut alice, _) = net.join().await;
    alice.send("451-0[\"size\",{\"_placeholder\":true,\"num\":0}]").await;
    alice.send_binary(&vec![0; 10_500_000]).await;
    alice.expect("430[10500000]").await;
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn attachments_must_come_in_time() {
    let (io, net, reasons) = net(Server::builder().attachment_timeout(Duration::from_secs(5)));
    let (mut alice, _) = net.join().await;
    alice.send(PICTURE).await;
    net.advance(Duration::from_millis(4_999)).await;
    alice.expect_nothing().await;
    net.advance(Duration::from_millis(1)).await;
    alice.expect_closed(Some(1008)).await;
    assert_eq!(*reasons.lock().unwrap(), [DisconnectReason::LimitExceeded(Limit::AttachmentTime)]);
    assert_eq!(io.metrics().limits.get(Limit::AttachmentTime), 1);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_namespaces_of_a_connection_are_bounded() {
    let (io, net, _) = net(Server::builder().max_namespaces(2));
    let (mut alice, _) = net.join().await;
    io.of("/b");
    for _ in 0..2 {
        alice.send("40/b,").await;
        alice.expect("40/b,{\"sid\":\"…\"}").await;
        alice.send("41/b,").await;
    }
    alice.send("40/b,").await;
    alice.expect("40/b,{\"sid\":\"…\"}").await;
    alice.send("40/c,").await;
    alice.expect_closed(Some(1008)).await;
    assert_eq!(io.metrics().limits.get(Limit::Namespaces), 1);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_depth_of_arguments_is_bounded() {
    let io = Server::builder().max_depth(3).build().unwrap();
    io.on_with_ack("depth", async |_, value: serde_json::Value| value);
    let net = Net::new(&io);
    for (value, fits) in [("[1]", true), ("[[1]]", true), ("[[[1]]]", false)] {
        let (mut alice, _) = net.join().await;
        alice.send(&format!("420[\"depth\",{value}]")).await;
        if fits {
            alice.expect(&format!("430[{value}]")).await;
            alice.close().await;
        } else {
            alice.expect_closed(Some(1008)).await;
        }
    }
    assert_eq!(io.metrics().limits.get(Limit::Depth), 1);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn too_many_events_per_second_end_the_connection_with_a_reason() {
    let (io, net, reasons) = net(Server::builder().event_rate(10, 4));
    let (mut quick, _) = net.join().await;
    let (mut calm, _) = net.join().await;
    // CONNECT was one of the four.
    for n in 0..3 {
        quick.send(&format!("42[\"echo\",\"{n}\"]")).await;
        quick.expect(&format!("42[\"echo\",\"{n}\"]")).await;
    }
    quick.send("42[\"echo\",\"one too many\"]").await;
    quick.expect_closed(Some(1008)).await;
    assert_eq!(*reasons.lock().unwrap(), [DisconnectReason::LimitExceeded(Limit::EventsPerSecond)]);
    calm.send("42[\"echo\",\"still here\"]").await;
    calm.expect("42[\"echo\",\"still here\"]").await;
    for n in 0..20 {
        net.advance(Duration::from_millis(100)).await;
        calm.send(&format!("42[\"echo\",\"{n}\"]")).await;
        calm.expect(&format!("42[\"echo\",\"{n}\"]")).await;
    }
    assert_eq!(io.metrics().sessions, 1);
    calm.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn too_many_bytes_per_second_end_a_polling_connection_too() {
    let (_io, net, reasons) = net(Server::builder().byte_rate(1_000, 1_000));
    let polling = net.polling().await;
    polling.join().await;
    polling.send(&format!("42[\"echo\",\"{}\"]", "z".repeat(900))).await;
    let refused = "{\"code\":3,\"message\":\"too many bytes per second\"}";
    polling.post(&format!("42[\"echo\",\"{}\"]", "z".repeat(900))).expect(400, refused).await;
    assert_eq!(*reasons.lock().unwrap(), [DisconnectReason::LimitExceeded(Limit::BytesPerSecond)]);
    polling.get().expect(200, "1").await;
    net.assert_clean().await;
}

/// How a handshake with these headers is answered, which comes from a proxy or from somebody else.
async fn handshake(net: &Net, from: &str, headers: &[(&'static str, &str)]) -> http::StatusCode {
    let mut request = http::Request::get(HANDSHAKE).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    request.extensions_mut().insert(sockeye::PeerAddr(from.parse().unwrap()));
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    net.send(request).answer().await.status
}

#[tokio::test(start_paused = true)]
async fn the_address_of_a_client_behind_a_trusted_proxy_counts() {
    let builder = Server::builder().max_sessions_per_address(1).trust_proxies(["10.0.0.0/8"]).expect("a network");
    let (_io, net, _) = net(builder);
    let cases = [
        ("10.1.1.1:1", "1.2.3.4", 200),
        ("10.1.1.1:1", "9.9.9.9, 1.2.3.4", 503),
        ("10.1.1.2:1", "1.2.3.5", 200),
        ("1.2.3.6:1", "1.2.3.4", 200),
        ("1.2.3.6:1", "7.7.7.7", 503),
    ];
    for (from, forwarded, status) in cases {
        let answered = handshake(&net, from, &[("x-forwarded-for", forwarded)]).await;
        assert_eq!(answered, status, "{forwarded} by {from}");
    }
}

/// A proxy writes one header and passes the other on: every client behind it chose its own address by that.
#[tokio::test(start_paused = true)]
async fn a_client_behind_a_proxy_does_not_choose_its_address() {
    let (other, forwarded) = ("x-forwarded-for", "forwarded");
    for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
        let builder = Server::builder().max_sessions_per_address(1).proxy_header(header);
        let (_io, net, _) = net(builder.trust_proxies(["10.0.0.1"]).expect("an address"));
        for (client, statuses) in [(1, [200, 503]), (2, [200, 503])] {
            for (claimed, status) in (7..).zip(statuses) {
                let (client, claimed) = (format!("192.0.2.{client}"), format!("192.0.2.{claimed}"));
                let (by_client, by_proxy) = (format!("for={claimed}"), format!("for={client}"));
                let headers = match header {
                    ProxyHeader::Forwarded => [(other, &*claimed), (forwarded, &*by_proxy)],
                    _ => [(forwarded, &*by_client), (other, &*client)],
                };
                assert_eq!(handshake(&net, "10.0.0.1:1", &headers).await, status, "{header:?}, {headers:?}");
            }
        }
        // One of whom the proxy said nothing is the proxy, whatever it says itself.
        for status in [200, 503] {
            let headers =
                if header == ProxyHeader::Forwarded { (other, "192.0.2.9") } else { (forwarded, "for=192.0.2.9") };
            assert_eq!(handshake(&net, "10.0.0.1:1", &[headers]).await, status, "{header:?}");
        }
    }
}
