//! What carries the bytes: TLS, proxies, Unix sockets, compression, headers.

mod common;

use std::sync::Arc;

use common::{Net, Wire, seconds, settle};
use sockeye::{Deflate, Server};
use sockeye_client::{Client, ClientBuilder, Proxy, Reconnect, Tls, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A certificate for `name`, signed by itself.
fn certificate(name: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed([name.to_owned()]).unwrap()
}

fn server() -> Server {
    let io = Server::new();
    io.on_with_ack("sum", async |_, (a, b): (u32, u32)| a + b);
    io.on_with_ack("echo", async |_, text: String| text);
    io
}

fn server_chain(
    identity: &rcgen::CertifiedKey<rcgen::KeyPair>,
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    (vec![identity.cert.der().clone()], key.into())
}

/// A server behind TLS, which asks for the client's certificate if there is one it trusts.
fn secure(
    identity: &rcgen::CertifiedKey<rcgen::KeyPair>,
    trusted: Option<&rcgen::CertifiedKey<rcgen::KeyPair>>,
) -> Net {
    let (chain, key) = server_chain(identity);
    let builder = ServerConfig::builder_with_provider(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match trusted {
        None => builder.with_no_client_auth(),
        Some(trusted) => {
            let mut roots = RootCertStore::empty();
            roots.add(trusted.cert.der().clone()).unwrap();
            let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            )
        }
    };
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    let io = server();
    Net::script(move |wire| {
        let (acceptor, io) = (acceptor.clone(), io.clone());
        async move {
            if let Ok(stream) = acceptor.accept(wire).await {
                io.serve_stream(stream, None).await;
            }
        }
    })
}

async fn works(builder: ClientBuilder) {
    let client = builder.connect().await.unwrap();
    assert_eq!(client.emit_with_ack::<_, u32>("sum", (2, 3)).await.unwrap(), 5);
    client.disconnect().await;
}

async fn fails(builder: ClientBuilder, why: &str) {
    let error = builder.reconnect(Reconnect::never()).connect().await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains(why), "{error}");
}

#[tokio::test]
async fn tls_by_roots_of_our_own() {
    let identity = certificate("server.test");
    let net = secure(&identity, None);
    let root = identity.cert.pem();
    for way in common::WAYS {
        works(net.client_of("https://server.test").transports(way).tls(Tls::new().root_pem(root.as_bytes()))).await;
    }
    fails(net.client_of("https://server.test"), "TLS").await;
    let trusting = || Tls::new().root_pem(root.as_bytes()).only_own_roots();
    fails(net.client_of("https://other.test").tls(trusting()), "TLS").await;
    works(net.client_of("wss://192.0.2.7").tls(trusting().server_name("server.test"))).await;
    works(net.client_of("https://other.test").tls(Tls::new().danger_accept_any_certificate())).await;
    settle().await;
    assert_eq!(net.open(), 0);
}

#[tokio::test]
async fn tls_with_a_certificate_that_is_not_valid() {
    let key = rcgen::KeyPair::generate().unwrap();
    let sign = |change: fn(&mut rcgen::CertificateParams)| {
        let mut params = rcgen::CertificateParams::new(["server.test".to_owned()]).unwrap();
        change(&mut params);
        let cert = params.self_signed(&key).unwrap();
        rcgen::CertifiedKey { cert, signing_key: rcgen::KeyPair::from_pem(&key.serialize_pem()).unwrap() }
    };
    let valid = sign(|_| {});
    let expired = sign(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let future = sign(|params| params.not_before = rcgen::date_time_ymd(2999, 1, 1));
    let elsewhere = certificate("server.test");
    for (name, shown, trusted, host, why) in [
        ("expired", &expired, &expired, "server.test", "expired"),
        ("not valid yet", &future, &future, "server.test", "not valid yet"),
        ("wrong name", &valid, &valid, "other.test", "not valid for name"),
        ("unknown root", &valid, &elsewhere, "server.test", "invalid peer certificate"),
    ] {
        let net = secure(shown, None);
        let tls = Tls::new().root_pem(trusted.cert.pem().as_bytes()).only_own_roots();
        for way in common::WAYS {
            let builder = net.client_of(&format!("https://{host}")).transports(way).tls(tls.clone());
            let error = builder.reconnect(Reconnect::never()).connect().await.unwrap_err();
            assert!(error.to_string().contains(why), "{name}: {error}");
        }
        settle().await;
        assert_eq!(net.open(), 0, "{name}");
    }
}

#[tokio::test]
async fn tls_with_a_certificate_of_the_client() {
    let (identity, own) = (certificate("server.test"), certificate("client"));
    let net = secure(&identity, Some(&own));
    let root = identity.cert.pem();
    let tls = || Tls::new().root_pem(root.as_bytes());
    fails(net.client_of("https://server.test").tls(tls()), "").await;
    let shown = tls().identity_pem(own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes());
    works(net.client_of("https://server.test").tls(shown)).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_no_tls() {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x15\x03\x01\x00\x02\x02\x28", b""] {
        let net = Net::script(move |mut wire| async move {
            let mut hello = [0; 64];
            let _ = wire.read(&mut hello).await;
            let _ = wire.write_all(answer).await;
        });
        fails(net.client_of("https://server.test"), "TLS failed").await;
        settle().await;
        assert_eq!(net.open(), 0);
    }
    // And one which never answers.
    let net = Net::script(|mut wire| async move {
        let _ = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
    });
    let builder = net.client_of("https://server.test").reconnect(Reconnect::never());
    assert!(builder.connect().await.unwrap_err().is_timeout());
    settle().await;
    assert_eq!(net.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn through_a_proxy() {
    let io = server();
    let net = Net::script(move |mut wire: Wire| {
        let io = io.clone();
        async move {
            let head = common::read_head(&mut wire).await;
            assert!(head.starts_with("CONNECT server.test:80 HTTP/1.1\r\n"), "{head}");
            wire.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            io.serve_stream(wire, None).await;
        }
    });
    let proxy: Proxy = "http://proxy.test:3128".parse().unwrap();
    for way in common::WAYS {
        works(net.client().transports(way).proxy(proxy.clone())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn compressed_messages() {
    let io = Server::builder().per_message_deflate(Deflate::default()).build().unwrap();
    io.on_with_ack("echo", async |_, text: String| text);
    let net = Net::with(&io);
    let client = net.client().transports([Transport::Websocket]).compression(true).connect().await.unwrap();
    let text = "compress me ".repeat(5000);
    let before = net.bytes();
    assert_eq!(client.emit_with_ack::<_, String>("echo", &text).await.unwrap(), text);
    let compressed = net.bytes() - before;
    assert!(compressed < text.len() / 10, "{compressed} bytes for twice {}", text.len());
    client.compress(false).emit("echo", &text).unwrap();
    settle().await;
    assert!(net.bytes() - before > text.len());
    client.disconnect().await;
}

#[cfg(unix)]
#[tokio::test]
async fn over_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("sockeye-client-{}.sock", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let io = server();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let io = io.clone();
            tokio::spawn(async move { io.serve_stream(stream, None).await });
        }
    });
    works(Client::builder("http://localhost").unix_socket(&path)).await;
    serving.abort();
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(start_paused = true)]
async fn headers_query_and_cookies_go_with_every_request() {
    let (told, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let io = server();
    let net = Net::script(move |mut wire| {
        let (told, io) = (told.clone(), io.clone());
        async move {
            let head = common::peek_head(&mut wire).await;
            let _ = told.send(head);
            io.serve_stream(wire, None).await;
        }
    });
    let builder = net.client_of("http://server.test:81/?a=1").query("näme", "x y").header("X-App", "test");
    let client = builder.header("Cookie", "own=1").path("/ws").reconnect(Reconnect::never()).connect().await;
    let head = requests.recv().await.unwrap();
    assert!(head.starts_with("GET /ws/?a=1&n%C3%A4me=x%20y&EIO=4&transport=polling&t="), "{head}");
    for line in ["host: server.test:81\r\n", "x-app: test\r\n", "cookie: own=1\r\n"] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(client.is_err(), "the server is at another path");
    for name in ["Host", "Connection", "Sec-WebSocket-Key", "bad name", ""] {
        let error = net.client().header(name, "x").start().unwrap_err();
        assert!(error.to_string().contains("cannot be sent"), "{error}");
    }
    assert!(net.client().header("X-App", "a\r\nX-Evil: b").start().is_err());
}

#[tokio::test(start_paused = true)]
async fn headers_and_query_are_made_for_every_attempt() {
    let (told, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let net = Net::script(move |mut wire| {
        let told = told.clone();
        async move { _ = told.send(common::read_head(&mut wire).await) }
    });
    for way in common::WAYS {
        let count = std::sync::atomic::AtomicU32::new(0);
        let made = move || match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            1 => panic!("on purpose"),
            2 => vec![("Host".into(), "evil".into())],
            n => vec![("Authorization".into(), format!("Bearer {n}"))],
        };
        let builder = net.client().transports(way).headers_with(made).query_with(|| vec![("a b".into(), "c".into())]);
        let (failed, mut errors) = tokio::sync::mpsc::unbounded_channel();
        let client =
            builder.on_connect_error(async move |_, error| _ = failed.send(error.is_config())).start().unwrap();
        for token in ["Bearer 0", "Bearer 3"] {
            let head = requests.recv().await.unwrap();
            let header = format!("uthorization: {token}\r\n");
            assert!(head.contains(&header) && head.contains("?a%20b=c&EIO=4"), "{head}");
        }
        let told: Vec<bool> =
            [errors.recv().await, errors.recv().await, errors.recv().await].into_iter().flatten().collect();
        assert_eq!(told, [false, true, true], "{way:?}");
        client.disconnect().await;
        while requests.try_recv().is_ok() {}
    }
}

#[tokio::test(start_paused = true)]
async fn cookies_of_the_server_come_back() {
    let (told, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let net = Net::script(move |mut wire| {
        let told = told.clone();
        async move {
            loop {
                let head = common::read_head(&mut wire).await;
                if head.is_empty() {
                    return;
                }
                let _ = told.send(head);
                let headers = "Set-Cookie: lb=node1; Path=/; HttpOnly\r\nSet-Cookie: gone=1; Max-Age=0\r\n";
                let open = common::OPEN.replace("[]", "[\"websocket\"]");
                let _ = wire.write_all(&common::response("200 OK", headers, &open)).await;
            }
        }
    });
    let client = net.client().reconnect(Reconnect::never()).connect_timeout(seconds(2)).start().unwrap();
    assert!(!requests.recv().await.unwrap().contains("cookie"));
    for _ in 0..2 {
        let head = requests.recv().await.unwrap();
        assert!(head.to_ascii_lowercase().contains("cookie: lb=node1\r\n"), "{head}");
    }
    client.disconnect().await;
}
