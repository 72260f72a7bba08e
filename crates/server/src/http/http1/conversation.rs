//! Request and response, one after the other.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_channel::oneshot;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use parking_lot::Mutex;

use super::super::Body;
use super::super::handover::Handover;
use super::super::service::answer;
use super::head::Head;
use super::incoming::Incoming;
use super::response::{self, After};
use super::wire::Wire;
use crate::core::{Closing, Core};
use crate::session::alarm::Alarm;
use crate::transport::io::{Io, Stream};
use crate::transport::stream::lend_batch;

/// How long, and how much, a client is still listened to which may not have read why.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 256 * 1024);

/// Who speaks on a connection.
pub(crate) struct Speaker {
    pub(crate) address: Option<SocketAddr>,
    /// Whether it is the inside of a TLS connection.
    pub(crate) secured: bool,
}

/// Serves the requests of a connection until it ends, or the server is closed and what was asked is answered; `begun`
/// are bytes that were read already.
pub(crate) async fn converse(core: &Arc<Core>, io: Box<dyn Io>, begun: Bytes, speaker: Speaker, mut closing: Closing) {
    let wire = Mutex::new(Wire::new(io, begun, core.config.request_timeout));
    let mut stopping = pin!(closing.wait());
    let mut alarm = Alarm::default();
    let mut first = true;
    loop {
        let deadline = now() + core.config.request_timeout;
        let asked = poll_fn(|cx| {
            // From then on it wakes this task by itself.
            if std::mem::take(&mut first) && stopping.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            poll_asked(core, &mut wire.lock(), &mut alarm, deadline, cx)
        });
        let Some(asked) = asked.await else { return };
        let (heard, taker) = match asked {
            Ok(head) => answer_unless_gone(core, &wire, head, &speaker).await,
            Err(status) => {
                wire.lock().give_up();
                (Some(refusal(status)), None)
            }
        };
        let Some(reply) = heard else { return };
        let close = reply.after == After::Close;
        if send(&wire, reply).await.is_err() {
            return;
        }
        if let Some(taker) = taker {
            // If nobody takes it, it is closed thereby.
            drop(taker.send(wire.into_inner().into_stream()));
            return;
        }
        if close {
            return part(&wire).await;
        }
    }
}

/// The next head, or the status of what is none; `None` at the end.
fn poll_asked(
    core: &Core,
    wire: &mut Wire,
    alarm: &mut Alarm,
    deadline: Instant,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Head, StatusCode>>> {
    match wire.poll_head(cx, core.config.max_head) {
        Poll::Ready(Ok(asked)) => return Poll::Ready(asked),
        Poll::Ready(Err(error)) => {
            tracing::debug!(%error, "an HTTP connection ended");
            return Poll::Ready(None);
        }
        Poll::Pending if wire.is_quiet() && core.is_stopping() => return Poll::Ready(None),
        Poll::Pending => {}
    }
    if alarm.poll(deadline, now(), cx).is_pending() {
        return Poll::Pending;
    }
    tracing::debug!("a client did not finish its request, or began none");
    Poll::Ready(None)
}

/// A response, and what becomes of the connection.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// Length of the body, also where it is not sent.
    length: usize,
    after: After,
}

fn refusal(status: StatusCode) -> Reply {
    Reply { status, headers: HeaderMap::new(), body: Bytes::new(), length: 0, after: After::Close }
}

/// The response; `None` if the client goes away before. With it, who gets the stream if protocols are switched.
async fn answer_unless_gone(
    core: &Arc<Core>,
    wire: &Mutex<Wire>,
    head: Head,
    speaker: &Speaker,
) -> (Option<Reply>, Option<oneshot::Sender<Stream>>) {
    let Head { mut parts, keep_alive, .. } = head;
    let (is_old, wants_body) = (parts.version == Version::HTTP_10, parts.method != Method::HEAD);
    let giver = parts.headers.contains_key(UPGRADE).then(|| {
        let (giver, handover) = Handover::new();
        parts.extensions.insert(handover);
        giver
    });
    let request = Request::from_parts(parts, Incoming(wire));
    // What answers is large, and lives for a moment as a rule.
    let mut answer = Box::pin(answer(Arc::clone(core), request, speaker.address, speaker.secured));
    let response = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending => wire.lock().poll_gone(cx).map(|()| None),
    });
    let Some(response) = response.await else { return (None, None) };
    let ends = response.headers().get(CONNECTION).is_some_and(|value| value == "close");
    let keep_alive = keep_alive && !ends && wire.lock().skip_body() && !core.is_stopping();
    let after = match (keep_alive, is_old) {
        (false, _) => After::Close,
        (true, true) => After::NextIfTold,
        (true, false) => After::Next,
    };
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    (Some(reply(response, wants_body, after)), giver.filter(|_| switches))
}

fn reply(response: Response<Body>, wants_body: bool, after: After) -> Reply {
    let (parts, body) = response.into_parts();
    let body = body.into_bytes();
    let length = body.len();
    let body = if wants_body { body } else { Bytes::new() };
    Reply { status: parts.status, headers: parts.headers, body, length, after }
}

/// Writes a response.
async fn send(wire: &Mutex<Wire>, reply: Reply) -> std::io::Result<()> {
    let Reply { status, headers, body, length, after } = reply;
    let mut response = Some((headers, body));
    poll_fn(|cx| {
        let mut wire = wire.lock();
        if let Some((headers, body)) = response.take() {
            lend_batch(|batch| {
                response::put(batch, status, &headers, length, after);
                wire.put(cx, batch, body)
            })?;
        }
        wire.poll_sent(cx)
    })
    .await
}

/// Closes a connection so that the client gets the last response. What it still sends would have the system throw away
/// what it has not read yet. [RFC 9112 §9.6]
async fn part(wire: &Mutex<Wire>) {
    let (time, mut left) = LINGER;
    let parting = async {
        if poll_fn(|cx| wire.lock().poll_shutdown(cx)).await.is_ok() && !wire.lock().is_body_read() {
            poll_fn(|cx| wire.lock().poll_discard(cx, &mut left)).await;
        }
    };
    if tokio::time::timeout(time, parting).await.is_err() {
        tracing::debug!("a client did not stop to send what nobody wants");
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
