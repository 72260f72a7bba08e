//! What proxies say of the client: the PROXY protocol before HTTP, and headers of requests. Whatever is written there, the
//! client is one of the addresses that are, or the proxy itself.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use sockeye::{Body, PeerAddr, ProxyHeader, Refusal, Server, ServerBuilder};
use sockeye_testing::settle;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tower_service::Service;

use crate::input::Input;
use crate::target::Target;

pub(crate) const PROXY: Target = Target {
    name: "proxy",
    run: proxy,
    // The first byte: the PROXY protocol, and then the size of pieces; or lines of `X-Forwarded-For`, or of `Forwarded`.
    seeds: &[
        b"\x00\x05PROXY TCP4 1.2.3.4 5.6.7.8 4711 80\r\n",
        b"\x00\x03PROXY TCP6 2001:db8::1 ::1 4711 80\r\nX",
        b"\x00\x01PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n",
        b"\x00\x07\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x12\x67\x00\x50",
        b"\x00\x10\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x25\x20\x01\x0d\xb8aaaabbbbccccddddeeeeffffgggg\x12\x67\x00\x50\x04",
        b"\x00\x02\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x02zz",
        b"\x00\x02\r\n\r\n\0\r\nQUIT\n\x21\x31\x02\x08zz",
        b"\x01203.0.113.7, 10.0.0.9\n198.51.100.1:80,[2001:db8::1]:7, ::1",
        b"\x01unknown, 10.0.0.9,, 1.2.3.4:99999",
        b"\x02for=203.0.113.7;proto=https, For=\"[2001:db8::1]:4711\";by=x\nfor=10.0.0.9",
        b"\x02host=\"a,for=6.6.6.6\";for=1.2.3.4, for=_hidden, for=\"\\\"10.0.0.1\"",
    ],
    mutations: 500,
};

/// Where all requests come from.
const PEER: ([u8; 4], u16) = ([10, 0, 0, 1], 7);
const REQUEST: &[u8] = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n";
/// Longest head of the PROXY protocol that is read.
const MAX_HEAD: usize = 536;
/// One more hop before those which were written.
const INVENTED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 99));

fn proxy(data: &[u8]) {
    let mut input = Input::new(data);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O can be built");
    match input.byte() % 3 {
        0 => runtime.block_on(preface(input)),
        1 => runtime.block_on(headers(ProxyHeader::XForwardedFor, input.rest())),
        _ => runtime.block_on(headers(ProxyHeader::Forwarded, input.rest())),
    }
}

/// The client of the last request, as a server knows it that lets nobody in.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Option<SocketAddr>>>);

impl Seen {
    fn server(&self, set: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Server {
        let seen = self.clone();
        let builder = Server::builder().trust_proxies(["10.0.0.0/8", "::1"]).expect("networks");
        let builder = builder.allow_request(async move |peer| {
            *seen.0.lock().expect("nothing panics") = peer.address();
            Err(Refusal::new("no"))
        });
        set(builder).build().expect("the options agree")
    }

    fn take(&self) -> Option<SocketAddr> {
        self.0.lock().expect("nothing panics").take()
    }
}

/// A head of the PROXY protocol, perhaps, and a request behind it.
async fn preface(mut input: Input<'_>) {
    let size = usize::from(input.byte()).max(1);
    let wire = [input.rest(), REQUEST].concat();
    let whole = announced(&wire, wire.len()).await;
    assert_eq!(whole, announced(&wire, size).await, "in pieces of {size}");
    assert!(whole.head <= MAX_HEAD, "{} bytes of a head were read", whole.head);
    let Some(client) = whole.client else { return };
    let head = &wire[..whole.head];
    let words = head.split(|byte| *byte == b' ').filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok());
    let four = head.windows(4).filter_map(|bytes| Some(IpAddr::from(*bytes.first_chunk::<4>()?)));
    let six = head.windows(16).filter_map(|bytes| Some(IpAddr::from(*bytes.first_chunk::<16>()?)));
    let written: HashSet<IpAddr> =
        if head.starts_with(b"PROXY ") { words.collect() } else { four.chain(six).collect() };
    let unchanged = client == SocketAddr::from(PEER);
    assert!(unchanged || written.contains(&client.ip()), "{client} was not written");
}

/// What comes of a connection.
#[derive(Debug, PartialEq)]
struct Announced {
    client: Option<SocketAddr>,
    /// Bytes that were read one by one before anything else.
    head: usize,
    status: Option<String>,
}

async fn announced(wire: &[u8], size: usize) -> Announced {
    let seen = Seen::default();
    let io = seen.server(|builder| builder.proxy_protocol(true));
    let (mut client, end) = tokio::io::duplex(64 * 1024);
    let head = Arc::new(AtomicUsize::new(0));
    let end = Counted { io: end, begun: false, head: Arc::clone(&head) };
    let serving = tokio::spawn(async move { io.serve_stream(end, Some(PEER.into())).await });
    for piece in wire.chunks(size) {
        if client.write_all(piece).await.is_err() {
            break;
        }
        settle().await;
    }
    drop(client.shutdown().await);
    let mut answer = Vec::new();
    drop(client.read_to_end(&mut answer).await);
    let ended = tokio::time::timeout(Duration::from_mins(3), serving).await;
    ended.expect("a connection that has ended is not served on").expect("nothing panics");
    let status = String::from_utf8_lossy(&answer).lines().next().map(str::to_owned);
    Announced { client: seen.take(), head: head.load(Ordering::SeqCst), status }
}

/// Counts what is read byte by byte, up to the first larger read.
struct Counted {
    io: DuplexStream,
    begun: bool,
    head: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.begun |= buffer.remaining() > 1;
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buffer);
        if !self.begun {
            self.head.fetch_add(buffer.filled().len() - before, Ordering::SeqCst);
        }
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Lines of a header, and the same with one hop more before them: who comes first in a chain has no say in what follows.
async fn headers(header: ProxyHeader, lines: &[u8]) {
    let (name, hop) = match header {
        ProxyHeader::Forwarded => ("forwarded", format!("for={INVENTED}")),
        _ => ("x-forwarded-for", INVENTED.to_string()),
    };
    let lines: Vec<_> =
        lines.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let longer = [&[HeaderValue::from_str(&hop).expect("is text")], &lines[..]].concat();
    let (client, second) = (named(header, name, &lines).await, named(header, name, &longer).await);
    let proxy = SocketAddr::from(PEER);
    let written = lines.iter().any(|line| addresses(line).contains(&client.ip()));
    assert!(client == proxy || written, "{client} was not written");
    let trusted = |ip: IpAddr| matches!(ip.to_canonical(), IpAddr::V4(v4) if v4.octets()[0] == 10) || ip.is_loopback();
    if second != client {
        assert!(second.ip() == INVENTED && trusted(client.ip()), "{client} became {second} by one more hop");
    }
}

/// The client of a request with these headers.
async fn named(header: ProxyHeader, name: &'static str, lines: &[HeaderValue]) -> SocketAddr {
    let seen = Seen::default();
    let io = seen.server(|builder| builder.proxy_header(header));
    let mut request = Request::get("/socket.io/?EIO=4&transport=polling").extension(PeerAddr(PEER.into()));
    for line in lines {
        request = request.header(name, line);
    }
    let request = request.body(String::new()).expect("a valid request");
    let answer: Result<Response<Body>, Infallible> = io.service().call(request).await;
    drop(answer);
    seen.take().expect("everybody has an address")
}

/// All that could be an address in a header.
fn addresses(line: &HeaderValue) -> HashSet<IpAddr> {
    let belongs = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let words = line.as_bytes().split(|byte| !belongs(byte)).filter_map(|word| std::str::from_utf8(word).ok());
    words.filter_map(|word| word.parse().ok().or_else(|| Some(word.parse::<SocketAddr>().ok()?.ip()))).collect()
}
