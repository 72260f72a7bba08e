//! The address of the figures, where no Socket.IO is: it answers while the server ends, and when there is no room for
//! clients. Served with deadlines: whoever says nothing, or does not finish what it says, is cut off.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sockeye::Paced;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;
use tracing::{debug, warn};

use crate::limits::Heads;

/// How long requests that are being answered may still take at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Pause after an accept that failed because something is exhausted, file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener and what it serves.
pub(crate) struct Monitor {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Monitor {
    /// Begins to serve.
    pub(crate) fn start(listener: TcpListener, routes: Router, heads: Heads) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, task: tokio::spawn(accept(listener, routes, heads, stopped)) }
    }

    /// Accepts no more connections, ends those which wait for requests, and lets requests be answered for a second, but
    /// not beyond the deadline.
    pub(crate) async fn stop(self, deadline: Instant) {
        self.stop.send_replace(true);
        match timeout_at(deadline, self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the HTTP server did not end in order"),
            Err(_) => warn!("some HTTP requests were cut off"),
        }
    }
}

async fn accept(listener: TcpListener, routes: Router, heads: Heads, mut stopped: watch::Receiver<bool>) {
    // Each connection holds a sender: when the last is gone, there is nothing to receive.
    let (open, mut closed) = mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop(&mut stopped) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are small and wait for nobody; a failure costs latency only.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "TCP_NODELAY cannot be set");
                }
                let (routes, stopped, open) = (routes.clone(), stopped.clone(), open.clone());
                tokio::spawn(async move {
                    serve(stream, routes, heads, stopped).await;
                    drop(open);
                });
            }
            Err(error) if is_about_one_client(&error) => {}
            Err(error) => {
                warn!(%error, "no connection can be accepted at the moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, open));
    if tokio::time::timeout(LAST_ANSWERS, closed.recv()).await.is_err() {
        warn!("some HTTP requests were cut off");
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that nobody can say it any more.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

/// Serves the requests of one connection until it ends.
async fn serve<S>(stream: S, routes: Router, heads: Heads, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| routes.clone().call(request));
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(heads.timeout)
        .max_buf_size(heads.most)
        .serve_connection(TokioIo::new(Paced::new(stream, heads.timeout)), service);
    let mut http = pin!(http);
    let ended = tokio::select! {
        ended = &mut http => ended,
        () = stop(&mut stopped) => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "an HTTP connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    /// A connection, and how to stop it.
    fn open() -> (DuplexStream, watch::Sender<bool>) {
        let routes = Router::new().route("/", get(async || "hello")).route(
            "/slow",
            get(async || {
                tokio::time::sleep(Duration::from_secs(40)).await;
                "at last"
            }),
        );
        let (ours, theirs) = duplex(20_000);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(theirs, routes, Heads::default(), stopped));
        (ours, stop)
    }

    /// What comes until the end, and how long it took.
    async fn rest(stream: &mut DuplexStream) -> (String, u64) {
        let (began, mut text) = (Instant::now(), String::new());
        stream.read_to_string(&mut text).await.unwrap();
        (text, began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_half_of_it_is_cut_off() {
        for beginning in ["", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
            let (mut stream, _stop) = open();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            assert_eq!(rest(&mut stream).await.1, 30, "{beginning:?}");
        }
    }

    /// A monitor with requests that do not end.
    fn stuck() -> Monitor {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            super::stop(&mut stopped).await;
            tokio::time::sleep(LAST_ANSWERS).await;
        });
        Monitor { stop, task }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_do_not_end_do_not_outlive_the_grace() {
        for (left, takes) in [(0, 0), (300, 300), (5_000, 1_000)] {
            let began = Instant::now();
            stuck().stop(began + Duration::from_millis(left)).await;
            assert_eq!(began.elapsed().as_millis(), takes, "{left} ms were left");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_its_answers_is_cut_off() {
        let (mut stream, _stop) = open();
        let requests = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(10_000);
        let began = Instant::now();
        assert!(stream.write_all(requests.as_bytes()).await.is_err());
        assert_eq!(began.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn heads_have_a_length() {
        let most = Heads::default().most;
        for (length, status) in [(most - 1, "200"), (most, "200"), (most + 1, "431")] {
            let (mut stream, _stop) = open();
            let start = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Pad: ";
            let head = format!("{start}{}\r\n\r\n", "p".repeat(length - start.len() - 4));
            let writing = stream.write_all(head.as_bytes());
            tokio::time::timeout(Duration::from_secs(1), writing).await.unwrap().unwrap();
            let (text, _) = rest(&mut stream).await;
            assert_eq!(text.split(' ').nth(1), Some(status), "{length}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_kept_alive_is_not_kept_for_ever() {
        let (mut stream, _stop) = open();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (text, seconds) = rest(&mut stream).await;
        assert!(text.ends_with("\r\n\r\nhello"), "{text}");
        assert_eq!(seconds, 30);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_longer_than_a_request() {
        let (mut stream, _stop) = open();
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (text, seconds) = rest(&mut stream).await;
        assert!(text.ends_with("at last"), "{text}");
        assert_eq!(seconds, 70);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_idle_connections_close_and_requests_are_answered() {
        let (mut idle, stop_idle) = open();
        let (mut busy, stop_busy) = open();
        busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop_idle.send_replace(true);
        stop_busy.send_replace(true);
        assert_eq!(rest(&mut idle).await, (String::new(), 0));
        let (text, seconds) = rest(&mut busy).await;
        assert!(text.ends_with("at last"), "{text}");
        assert_eq!(seconds, 39);
    }
}
