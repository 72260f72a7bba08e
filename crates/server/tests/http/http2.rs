//! Polling over HTTP/2. [RFC 9113]

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockeye::{Server, Socket};
use sockeye_testing::settle;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const HANDSHAKE: &str = "http://chat.example/socket.io/?EIO=4&transport=polling";

/// A client's end of an HTTP/2 connection.
pub(crate) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub(crate) async fn over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn open(io: &Server) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let server = io.clone();
        tokio::spawn(async move { server.serve_stream(theirs, None).await });
        Self::over(ours).await
    }

    async fn request(&self, method: &str, uri: &str, body: &'static str) -> Response<Incoming> {
        let request = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        let request = request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap();
        self.0.clone().send_request(request).await.unwrap()
    }

    /// A request of any kind; `None` if it was not answered, or not even sent.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Option<Response<Incoming>> {
        self.0.clone().send_request(request).await.ok()
    }

    pub(crate) async fn text(&self, method: &str, uri: &str, body: &'static str) -> String {
        let response = self.request(method, uri, body).await;
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    /// Asks, and takes that back when the server has been asked.
    async fn take_back(&self, uri: &str) {
        tokio::select! {
            biased;
            answer = self.request("GET", uri, "") => panic!("{answer:?}"),
            () = settle() => {}
        }
        settle().await;
    }

    /// Opens a session and joins: the uri for what follows.
    async fn join(&self) -> String {
        let open = self.text("GET", HANDSHAKE, "").await;
        assert!(open.starts_with("0{\"sid\":\""), "{open}");
        let uri = format!("{HANDSHAKE}&sid={}", &open[9..31]);
        assert_eq!(self.text("POST", &uri, "40").await, "ok");
        assert!(self.text("GET", &uri, "").await.starts_with("40{\"sid\":"));
        uri
    }
}

#[tokio::test]
async fn polls_and_posts_share_a_connection() {
    let io = Server::new();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let client = Client::open(&io).await;
    let (ann, bob) = tokio::join!(client.join(), client.join());
    // The poll waits while the post is sent: with HTTP/1.1 that would take a second connection.
    let (heard, posted) = tokio::join!(client.text("GET", &ann, ""), client.text("POST", &ann, "42[\"echo\",\"hi\"]"));
    assert_eq!((heard.as_str(), posted.as_str()), ("42[\"echo\",\"hi\"]", "ok"));
    assert_eq!(client.text("POST", &bob, "1").await, "ok");
}

/// [RFC 9113 §8.2.2]
#[tokio::test]
async fn refusals_say_nothing_about_the_connection() {
    let io = Server::builder().max_payload(50).build().unwrap();
    let client = Client::open(&io).await;
    let uri = client.join().await;
    let long = "42[\"a text which is longer than fifty bytes, by some\"]";
    let refused = client.request("POST", &uri, long).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!refused.headers().contains_key("connection"));
    assert_eq!(client.text("POST", &uri, "1").await, "ok", "the connection and the session live on");
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_never_ends_is_cut_off() {
    let io = Server::new();
    let (mut ours, theirs) = tokio::io::duplex(100);
    let serving = tokio::spawn(async move { io.serve_stream(theirs, None).await });
    ours.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    tokio::time::timeout(Duration::from_secs(31), serving).await.unwrap().unwrap();
}

/// RUSTSEC-2024-0332, CVE-2023-44487: floods of headers and of resets end the connection, not the server.
#[tokio::test]
async fn a_dead_connection_does_not_end_the_server() {
    let io = Server::new();
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    let server = io.clone();
    let serving = tokio::spawn(async move { server.serve_stream(theirs, None).await });
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for id in 0..2000_u32 {
        let id = (2 * id + 1).to_be_bytes();
        // HEADERS (GET, http, `/`, no authority), and RST_STREAM with CANCEL.
        flood.extend([[0, 0, 3, 1, 5].as_slice(), &id, &[0x82, 0x86, 0x84]].concat());
        flood.extend([[0, 0, 4, 3, 0].as_slice(), &id, &[0, 0, 0, 8]].concat());
    }
    let (mut reader, mut writer) = tokio::io::split(&mut ours);
    let ((), ()) = tokio::join!(
        // It does not take all of it.
        async { drop(writer.write_all(&flood).await) },
        async {
            let mut sink = tokio::io::sink();
            drop(tokio::io::copy(&mut reader, &mut sink).await);
        }
    );
    drop(ours);
    serving.await.unwrap();
    assert_eq!(Client::open(&io).await.request("GET", HANDSHAKE, "").await.status(), StatusCode::OK);
}

/// A client, and how its connection ends.
async fn watched(io: &Server) -> (Client, tokio::task::JoinHandle<hyper::Result<()>>) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let server = io.clone();
    tokio::spawn(async move { server.serve_stream(theirs, None).await });
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(ours)).await.unwrap();
    (Client(sender), tokio::spawn(connection))
}

/// Pings are answered by the client's library, whatever its page does.
#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_is_asked_ends() {
    let (client, ended) = watched(&Server::new()).await;
    let began = tokio::time::Instant::now();
    let uri = client.join().await;
    assert_eq!(client.text("GET", &uri, "").await, "2", "a poll that waits keeps it");
    assert_eq!(client.text("POST", &uri, "3").await, "ok");
    ended.await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 25 + 30);
    drop(client);
    let (silent, ended) = watched(&Server::new()).await;
    let began = tokio::time::Instant::now();
    ended.await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 30);
    drop(silent);
}

#[tokio::test]
async fn one_connection_is_for_so_many_sessions() {
    let io = Server::new();
    let (client, ended) = watched(&io).await;
    for _ in 0..1_000 {
        assert!(client.text("GET", HANDSHAKE, "").await.starts_with("0{"));
    }
    ended.await.unwrap().unwrap();
    assert_eq!(io.metrics().sessions_opened, 1_000);
    let next = Client::open(&io).await;
    assert!(next.text("GET", HANDSHAKE, "").await.starts_with("0{"), "and the next for others");
}

/// CVE-2023-44487, slowly: each is taken back while it waits, before the next one comes.
#[tokio::test]
async fn a_connection_on_which_all_is_taken_back_ends() {
    let io = Server::builder().allow_request(async |_| std::future::pending().await).build().unwrap();
    let (client, ended) = watched(&io).await;
    let mut asked = 0;
    while !ended.is_finished() && asked < 1_000 {
        client.take_back(HANDSHAKE).await;
        asked += 1;
    }
    assert_eq!(asked, 100);
    ended.await.unwrap().unwrap();
}

/// Pages that are left take back the poll that waits. That is how they end, and no attack.
#[tokio::test]
async fn pages_that_are_left_do_not_end_the_connection_of_others() {
    let io = Server::new();
    let (client, ended) = watched(&io).await;
    let other = client.join().await;
    for _ in 0..200 {
        let uri = client.join().await;
        client.take_back(&uri).await;
    }
    assert_eq!(client.text("POST", &other, "1").await, "ok");
    assert!(!ended.is_finished());
}

/// A request whose head names a header of 3,000 bytes `times` times, all but the first by one byte. [RFC 7541 §6]
fn compressed(times: usize) -> Vec<u8> {
    // GET, http, `/`, then `x` with a value of 127 + 2873 bytes, which is index 62 from then on.
    let first = [&[0x82, 0x86, 0x84, 0x40, 1, b'x', 0x7f, 0xb9, 0x16][..], &[b'y'; 3_000]].concat();
    let head = [first, vec![0xbe; times - 1]].concat();
    let length = u32::try_from(head.len()).unwrap().to_be_bytes();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    [&preface[..], &length[1..], &[1, 5, 0, 0, 0, 1], &head].concat()
}

#[derive(Debug, PartialEq, Eq)]
enum Answered {
    /// By a head that begins so.
    Head(Vec<u8>),
    /// By GOAWAY with this code.
    GoAway(u8),
}

async fn answered(request: &[u8]) -> Answered {
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move { Server::new().serve_stream(theirs, None).await });
    ours.write_all(request).await.unwrap();
    loop {
        let mut frame = [0; 9];
        ours.read_exact(&mut frame).await.unwrap();
        let mut payload = vec![0; usize::from(u16::from_be_bytes([frame[1], frame[2]]))];
        ours.read_exact(&mut payload).await.unwrap();
        match frame[3] {
            1 => return Answered::Head(payload[..payload.len().min(5)].to_vec()),
            7 => return Answered::GoAway(payload[7]),
            _ => {}
        }
    }
}

/// Few bytes on the wire may stand for many: what counts is what they stand for, 3,033 bytes each here.
#[tokio::test]
async fn headers_are_measured_as_they_are_when_decoded() {
    let head = |times| async move { answered(&compressed(times)).await };
    for times in [1, 5] {
        // 404, as it is not the path of Socket.IO: the head was taken.
        assert!(matches!(head(times).await, Answered::Head(head) if head[0] == 0x8d), "{times}");
    }
    for times in [6, 20] {
        assert_eq!(head(times).await, Answered::Head(vec![0x48, 0x83, 0x69, 0x90, 0xff]), "431 for {times}");
    }
    for times in [30, 10_000] {
        assert_eq!(head(times).await, Answered::GoAway(11), "ENHANCE_YOUR_CALM for {times}");
    }
}
