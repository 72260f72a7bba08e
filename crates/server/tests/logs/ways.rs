//! The same on every way to the server, in every form of packets, and behind proxies.

use std::time::Duration;

use sockeye::{Parser, ProxyHeader, Recovery, Server, ServerBuilder};
use sockeye_testing::{Net, settle};
use tracing::subscriber::DefaultGuard;

use crate::capture::Capture;
use crate::wire::Wire;
use crate::{ENDS, HEADERS, MESSAGES, server};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling&token=SECRET-query";
const STREAM: &str = "/socket.io/?EIO=4&transport=websocket&token=SECRET-query";

/// The library of WebTransport logs the headers of each request, and nothing here can keep it from that: `docs/operations.md`
/// tells what to do.
const BELOW: &str = "DEBUG wtransport::driver";

/// A server and what is logged of it and of its clients.
struct Watched {
    io: Server,
    capture: Capture,
    _captured: DefaultGuard,
    /// The ids of sessions, each with what its span says of it.
    sessions: Vec<(String, &'static str)>,
}

impl Watched {
    fn new(builder: ServerBuilder) -> Self {
        let capture = Capture::default();
        let captured = tracing::subscriber::set_default(capture.clone());
        Self { io: server(builder), capture, _captured: captured, sessions: Vec::new() }
    }

    /// A client was told of its session by `open`.
    fn note(&mut self, open: &str, span: &'static str) -> String {
        let sid = open.split("{\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a handshake");
        self.sessions.push((sid.to_owned(), span));
        sid.to_owned()
    }

    /// Waits until nobody is left, and looks at what was logged.
    async fn check(self) {
        let io = self.io.clone();
        io.close(Duration::from_secs(1)).await;
        settle().await;
        let log = self.capture.log.lock().unwrap().clone();
        for line in log.lines() {
            assert!(!line.contains("SECRET") || line.starts_with(BELOW), "{line}");
            let is_ours = line.split(' ').nth(1).is_some_and(|target| target.starts_with("sockeye"));
            assert!(line.len() < 300 || !is_ours, "a client can make the log grow: {line}");
        }
        assert_eq!(io.metrics().sessions_opened, self.sessions.len() as u64);
        let (events, spans) = (self.capture.events.lock().unwrap(), self.capture.spans.lock().unwrap());
        for (sid, span) in &self.sessions {
            assert!(!log.contains(sid), "the id of a session is logged");
            let span = format!(" {span} session={:?}", &sid[..4]);
            assert_eq!(
                spans.iter().filter(|line| line.ends_with(&span)).count(),
                1,
                "one span for each: {span}\n{log}"
            );
            let lines: Vec<_> = events.iter().filter(|event| event.is_within(&span)).map(|event| &event.line).collect();
            let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
            assert_eq!((count("a session began"), count("a session ended")), (1, 1), "{span}: {lines:#?}");
        }
        let stray = events.iter().find(|event| event.is_of_a_session() && event.span.is_none());
        assert!(stray.is_none(), "{stray:?}");
    }
}

/// Revision 3 has no `auth`, and joins `/` by itself.
#[tokio::test(start_paused = true)]
async fn secrets_of_old_clients_are_not_logged() {
    let mut watched = Watched::new(Server::builder().allow_eio3(true));
    let net = Net::new(&watched.io);
    for end in ENDS {
        let mut alice = net.open(&STREAM.replace("EIO=4", "EIO=3"), &HEADERS).await;
        let open = alice.drain().await;
        watched.note(&open[0], "transport=\"websocket\" revision=V3");
        for message in &MESSAGES[1..] {
            alice.send(message).await;
        }
        alice.send(end).await;
        alice.send_binary(b"\x04SECRET-binary").await;
        drop(alice);

        let target = POLLING.replace("EIO=4", "EIO=3");
        let open = net.request("GET", &target, &HEADERS, "").answer().await;
        let sid = watched.note(&String::from_utf8_lossy(&open.body), "transport=\"polling\" revision=V3");
        let target = format!("{target}&sid={sid}");
        for message in MESSAGES[1..].iter().chain([end]) {
            let body = format!("{}:{message}", message.chars().count());
            drop(net.request("POST", &target, &HEADERS, body).answer().await);
        }
        drop(net.request("POST", &target, &HEADERS, "SECRET:body").answer().await);
    }
    watched.check().await;
}

/// Packets of MessagePack, whole and broken.
const PACKED: &[&[u8]] = &[
    b"\x83\xa4type\x00\xa4data\x81\xa5token\xabSECRET-auth\xa3nsp\xa1/",
    b"\x83\xa4type\x02\xa4data\x92\xa6number\xafSECRET-argument\xa3nsp\xa1/",
    b"\x83\xa4type\x02\xa4data\x92\xa6nobody\xb0SECRET-unhandled\xa3nsp\xa1/",
    b"\x83\xa4type\x02\xa4data\x92\xa6panics\xacSECRET-panic\xa3nsp\xa1/",
    b"\x84\xa4type\x02\xa2id\x05\xa4data\x92\xa6answer\xadSECRET-answer\xa3nsp\xa1/",
];
const PACKED_ENDS: &[&[u8]] = &[
    b"\x82\xa4type\x01\xa3nsp\xa1/",
    b"\xc1SECRET-garbage",
    b"\x83\xa4type\x09\xa4data\xaaSECRET-bad\xa3nsp\xa1/",
    b"\x83\xa4type\x02\xa4data\xaaSECRET-bad\xa3nsp\xa1/",
    b"\x83\xa4type\x02\xa4data\x92\xa6number\xafSECRET-a",
    b"\x83\xa4type\x02\xa4data\x91\xa6number\xa3nsp\xaaSECRET-nsp",
    b"\x83\xa4type\x02\xaaSECRET-key\x91\xa6number\xa3nsp\xa1/",
];

#[tokio::test(start_paused = true)]
async fn secrets_in_messagepack_are_not_logged() {
    let mut watched = Watched::new(Server::builder().parser(Parser::Msgpack));
    let net = Net::new(&watched.io);
    for end in PACKED_ENDS {
        let mut alice = net.open(STREAM, &HEADERS).await;
        let open = alice.drain().await;
        watched.note(&open[0], "transport=\"websocket\" revision=V4");
        for message in PACKED.iter().chain([end]) {
            alice.send_binary(message).await;
        }
        alice.send("4SECRET-text").await;
        drop(alice);
    }
    assert_eq!(watched.io.metrics().handler_errors, 2 * PACKED_ENDS.len() as u64, "a misfit and a panic of each");
    watched.check().await;
}

/// Whoever knows a `pid` can take a socket over.
#[tokio::test(start_paused = true)]
async fn what_clients_come_back_with_is_not_logged() {
    let mut watched = Watched::new(Server::builder().recovery(Recovery::default()));
    let net = Net::new(&watched.io);
    let mut alice = net.open(STREAM, &HEADERS).await;
    watched.note(&alice.drain().await[0], "transport=\"websocket\" revision=V4");
    alice.send("40").await;
    let ids = alice.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
    alice.reset();
    settle().await;
    let pid = &ids[1];
    let claims = [
        format!("40{{\"pid\":\"{pid}\",\"offset\":\"SECRET-offset\"}}"),
        format!("40{{\"pid\":\"{pid}\"}}"),
        format!("40/typed,{{\"pid\":\"{pid}\"}}"),
        format!("40/fails,{{\"pid\":\"{pid}\",\"offset\":[\"SECRET-offset\"]}}"),
        format!("40/nowhere,{{\"pid\":\"{pid}\"}}"),
        "40{\"pid\":\"SECRET-pid\",\"offset\":\"SECRET-offset\"}".to_owned(),
    ];
    for claim in &claims {
        let mut alice = net.open(STREAM, &HEADERS).await;
        watched.note(&alice.drain().await[0], "transport=\"websocket\" revision=V4");
        alice.send(claim).await;
        alice.send("42[\"ask\",\"SECRET-question\"]").await;
        alice.reset();
        settle().await;
    }
    let log = watched.capture.log.lock().unwrap().clone();
    assert!(!log.contains(pid), "{log}");
    watched.check().await;
}

/// What clients and proxies write into the headers that say who the client is, true and untrue.
#[tokio::test(start_paused = true)]
async fn secrets_in_the_headers_of_proxies_are_not_logged() {
    let values = ["SECRET-address", "203.0.113.9, SECRET-hop", "for=203.0.113.9;by=SECRET-by", "for=\"SECRET-open"];
    for header in [ProxyHeader::Forwarded, ProxyHeader::XForwardedFor] {
        let builder = Server::builder().trust_proxies(["192.0.2.0/24"]).unwrap().proxy_header(header);
        let mut watched = Watched::new(builder.max_sessions_per_address(100));
        let net = Net::new(&watched.io);
        for value in values {
            let headers = [("forwarded", value), ("x-forwarded-for", value), ("x-real-ip", "SECRET-ip")];
            let mut alice = net.open(STREAM, &headers).await;
            let open = alice.drain().await;
            watched.note(&open[0], "transport=\"websocket\" revision=V4");
            alice.send("SECRET-garbage").await;
            drop(net.request("GET", "/socket.io/?EIO=9", &headers, "").answer().await);
        }
        watched.check().await;
    }
}

/// Headers of the PROXY protocol: with more in them than an address, and such as cannot be read.
#[tokio::test(start_paused = true)]
async fn secrets_in_headers_of_the_proxy_protocol_are_not_logged() {
    const BEGINNING: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    // An authority of 12 bytes behind the addresses.
    let known =
        [BEGINNING, b"\x21\x11\0\x1b\xc0\0\x02\x01\xc6\x33\x64\x01\x12\x67\0\x50\x02\0\x0cSECRET-proxy"].concat();
    let strange: [&[u8]; 4] = [
        b"PROXY TCP4 SECRET-source 198.51.100.1 4711 80\r\n",
        b"PROXY SECRET-family\r\n",
        b"SECRET-garbage",
        &[BEGINNING, b"\x91\x11\0\x0cSECRET-bytes"].concat(),
    ];
    let mut watched = Watched::new(Server::builder().proxy_protocol(true));
    for header in strange {
        let mut wire = Wire::open(&watched.io);
        wire.write(header).await;
        settle().await;
    }
    let mut wire = Wire::open(&watched.io);
    wire.write(&known).await;
    let open = wire.request("GET", POLLING, &["Cookie: c=SECRET-cookie"]).await;
    watched.note(open.text(), "transport=\"polling\" revision=V4");
    assert_eq!(wire.get("/SECRET-path?SECRET-query").await.status, 404);
    wire.write("SECRET-line\r\nSECRET-header\r\n\r\n").await;
    assert!(wire.rest().await.starts_with("HTTP/1.1 400 "));
    watched.check().await;
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn secrets_of_clients_of_http2_are_not_logged() {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    use crate::wire::HANDSHAKE;

    let mut watched = Watched::new(Server::builder());
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let server = watched.io.clone();
    tokio::spawn(async move { server.serve_stream(theirs, None).await });
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(ours)).await.unwrap();
    tokio::spawn(connection);
    let ask = async |method: &str, target: &str, body: &'static str| {
        let mut request = Request::builder().method(method).uri(format!("http://chat.example{target}"));
        for (name, value) in HEADERS {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let response = client.clone().send_request(request).await.unwrap();
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    for end in ENDS {
        let sid = watched.note(&ask("GET", POLLING, "").await, "transport=\"polling\" revision=V4");
        let target = format!("{POLLING}&sid={sid}");
        for message in MESSAGES.iter().chain([end]) {
            ask("POST", &target, message).await;
        }
        ask("POST", &target, "SECRET-after").await;
    }
    ask("GET", "/socket.io/?EIO=4&transport=SECRET", "").await;
    ask("GET", &format!("{HANDSHAKE}&sid=SECRET-sid"), "").await;
    drop(client);
    watched.check().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn secrets_inside_of_tls_are_not_logged() {
    use std::sync::Arc;

    use sockeye::Tls;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

    let certificate = include_bytes!("../http/localhost.pem");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));

    let mut watched = Watched::new(Server::builder());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, server) = (listener.local_addr().unwrap(), watched.io.clone());
    let tls = Tls::from_pem(certificate, include_bytes!("../http/localhost-key.pem")).unwrap();
    tokio::spawn(async move { server.serve_tls(listener, tls).await });
    for end in ENDS {
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let mut wire = Wire::over(stream);
        let response = wire.upgrade(STREAM, &["Cookie: c=SECRET-cookie", "Authorization: Bearer SECRET-token"]).await;
        assert_eq!(response.status, 101);
        watched.note(&wire.hear().await, "transport=\"websocket\" revision=V4");
        for message in MESSAGES.iter().chain([end]) {
            wire.say(message).await;
        }
        wire.end().await;
    }
    let mut plain = Wire::over(TcpStream::connect(address).await.unwrap());
    plain.write("GET /SECRET-plain HTTP/1.1\r\nHost: SECRET-host\r\n\r\n").await;
    // Whatever TLS says to that.
    drop(plain.into_io().read_to_end(&mut Vec::new()).await);
    watched.check().await;
}

#[cfg(feature = "webtransport")]
#[tokio::test]
async fn secrets_of_clients_of_webtransport_are_not_logged() {
    use crate::peer::{Site, builder};

    let mut watched = Watched::new(builder().any_origin());
    let site = Site::new(watched.io.clone()).await;
    let connect = async || {
        let session = site.ask("/socket.io/?token=SECRET-query", Some("https://SECRET-origin")).await;
        session.unwrap().open().await
    };
    for end in ENDS {
        let mut peer = connect().await;
        peer.say("0").await;
        watched.note(&peer.hear().await, "transport=\"webtransport\" revision=V4");
        for message in MESSAGES.iter().chain([end]) {
            peer.say(message).await;
        }
        peer.write(&[&[0x8d], &b"SECRET-binary"[..]].concat()).await;
        peer.leave();
    }
    for hello in ["SECRET-hello", "0{\"sid\":\"SECRET-sid\"}", "0SECRET-open"] {
        let mut peer = connect().await;
        peer.say(hello).await;
        peer.closed().await;
    }
    assert!(site.ask("/SECRET-path", None).await.is_err());
    site.emptied().await;
    watched.check().await;
}
