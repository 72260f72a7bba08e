//! Request and response, one after the other.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::UPGRADE;
use http::{Method, Request, Response, StatusCode, Version};
use parking_lot::Mutex;
use sockeye_engine::handshake::Query;
use tokio::task::unconstrained;

use super::super::Body;
use super::super::handover::Handover;
use super::super::polling::{self, Poller, Reply, Usual};
use super::super::route::session;
use super::super::service::answer;
use super::super::site::{Beside, BesideBody, Site};
use super::download::{self, Download};
use super::head::{Asked, Head, Refused};
use super::incoming::Incoming;
use super::known::{Known, recognise};
use super::leaving::Leaving;
use super::response::{self, After, Length, is_last};
use super::upload::Upload;
use super::wire::{Gone, Wire};
use crate::core::Core;
use crate::link::{self, Link};
use crate::session::alarm::{Alarm, now};
use crate::transport::io::Io;
use crate::transport::stream::lend_batch;

/// How long a client is still listened to which may not have read why.
const LINGER: Duration = Duration::from_secs(1);
/// How much of a body. Proxies pass on what was answered when they have sent the whole of a request, which is much more
/// than this server takes if that is the matter.
const REST_OF_BODY: usize = 16 * 1024 * 1024;
/// How much of what is no HTTP.
const REST: usize = 256 * 1024;

/// Who speaks on a connection.
pub(crate) struct Speaker {
    pub(crate) address: Option<SocketAddr>,
    /// Whether it is the inside of a TLS connection.
    pub(crate) secured: bool,
}

/// Serves the requests of a connection until it ends, or the server is closed and what was asked is answered; `begun`
/// are bytes that were read already.
pub(crate) async fn converse(site: &Site, io: Box<dyn Io>, begun: Bytes, speaker: &Speaker) {
    let core = &site.core;
    let mut closing = core.closing();
    let wire = Mutex::new(Wire::new(io, begun, core.config.request_timeout));
    let mut stopping = pin!(closing.wait());
    let mut alarm = Alarm::default();
    let mut first = true;
    loop {
        let deadline = now() + core.config.request_timeout;
        let asked = poll_fn(|cx| {
            // It wakes this task when the server begins to close, and has to be asked again for what follows.
            if (std::mem::take(&mut first) || !core.is_open()) && !core.is_stopping() {
                let _ = Pin::new(&mut unconstrained(stopping.as_mut())).poll(cx);
            }
            poll_asked(core, &mut wire.lock(), &mut alarm, deadline, cx)
        });
        let reaction = match asked.await {
            Some(Ok(Asked::Known(ref mut known))) => answer_known(core, &wire, known).await,
            Some(Ok(Asked::Other(head))) => match site.beside(head.parts.uri.path()) {
                Some(beside) => Box::pin(answer_beside(core, &wire, *head, speaker, beside)).await,
                None => Box::pin(answer_other(core, &wire, *head, speaker)).await,
            },
            Some(Err(Refused { status, limit })) => {
                if let Some(limit) = limit {
                    core.metrics.limits.up(limit);
                }
                Some(refuse(&wire, status))
            }
            // It is amid a body that nobody wanted, and may not have read the response yet.
            None if !wire.lock().is_body_read() => return Box::pin(part(&wire)).await,
            None => None,
        };
        match react(&wire, reaction).await {
            Some(After::Next | After::NextIfTold) => {}
            Some(After::Close) => return Box::pin(part(&wire)).await,
            // If nobody takes it, it is closed thereby.
            Some(After::Handover(taker)) => return drop(taker.send(wire.into_inner().into_stream())),
            None => return,
        }
    }
}

/// What the next head asks, or why it is refused; `None` at the end.
fn poll_asked(
    core: &Core,
    wire: &mut Wire,
    alarm: &mut Alarm,
    deadline: Instant,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Asked, Refused>>> {
    match wire.poll_head(cx, core.config.max_head, &|request| recognise(core, request)) {
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

/// What follows a request.
struct Reaction {
    /// `None` if it was written already.
    message: Option<Message>,
    after: After,
    /// Whose packets they are, if that is what the message brings.
    poller: Option<Arc<Link>>,
}

/// Writes the response, if that is left to do: what follows it; `None` if the client has gone.
fn react(wire: &Mutex<Wire>, mut reaction: Option<Reaction>) -> impl Future<Output = Option<After>> {
    poll_fn(move |cx| {
        let Some(Reaction { message, after, poller }) = &mut reaction else { return Poll::Ready(None) };
        let sent = ready!(poll_sent(&mut wire.lock(), message, after, cx));
        if sent.is_err()
            && let Some(link) = poller.take()
        {
            // Packets were taken for this answer. A session that went on without them would have lost them in silence.
            drop(link.request(link::Request::PollGone));
        }
        Poll::Ready(reaction.take().filter(|_| sent.is_ok()).map(|reaction| reaction.after))
    })
}

/// The response to what is no request.
fn refuse(wire: &Mutex<Wire>, status: StatusCode) -> Reaction {
    wire.lock().give_up();
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    Reaction { message: Some(Message::Any { response, wants_body: true }), after: After::Close, poller: None }
}

/// The response to a request of a session; `None` if the client goes away before.
async fn answer_known(core: &Core, wire: &Mutex<Wire>, known: &mut Known) -> Option<Reaction> {
    let poller = (!known.posts).then(|| Arc::clone(&known.link));
    let reply = if known.posts {
        let (link, manner) = (Arc::clone(&known.link), std::mem::take(&mut known.manner));
        // It is over soon, and larger than all that waits.
        unless_gone(wire, Box::pin(polling::post(link, manner, Incoming(wire))).as_mut(), None).await
    } else {
        unless_gone(wire, pin!(polling::poll(&known.link, &known.manner)), Some(&known.link)).await
    };
    let may_go_on = wire.lock().skip_body() && !core.is_stopping();
    Some(match reply? {
        Reply::Usual(usual) if may_go_on => {
            Reaction { message: Some(Message::Usual(usual)), after: After::Next, poller }
        }
        reply => {
            let response = reply.into_response();
            let after = if may_go_on && !is_last(&response) { After::Next } else { After::Close };
            Reaction { message: Some(Message::Any { response, wants_body: true }), after, poller }
        }
    })
}

/// The response to any other request for Socket.IO, or for nobody; `None` if the client goes away before.
async fn answer_other(core: &Arc<Core>, wire: &Mutex<Wire>, head: Head, speaker: &Speaker) -> Option<Reaction> {
    let Head { mut parts, keep_alive, .. } = head;
    let (is_old, wants_body) = (parts.version == Version::HTTP_10, parts.method != Method::HEAD);
    let taker = parts.headers.contains_key(UPGRADE).then(|| {
        let (taker, handover) = Handover::new();
        parts.extensions.insert(handover);
        taker
    });
    let awaited = awaited(core, &parts);
    let request = Request::from_parts(parts, Incoming(wire));
    let answer = answer(Arc::clone(core), request, speaker.address, speaker.secured);
    let mut response = unless_gone(wire, pin!(answer), awaited.as_deref()).await?;
    let poller = response.extensions_mut().remove().map(|Poller(link)| link);
    let may_go_on = keep_alive && !is_last(&response) && wire.lock().skip_body() && !core.is_stopping();
    if taker.is_some() && !may_go_on {
        // It may have begun to speak the other protocol.
        wire.lock().give_up();
    }
    let after = match taker {
        Some(taker) if response.status() == StatusCode::SWITCHING_PROTOCOLS => After::Handover(taker),
        _ => After::new(may_go_on, is_old),
    };
    Some(Reaction { message: Some(Message::Any { response, wants_body }), after, poller })
}

/// Has the service beside Socket.IO answer a request; `None` if the client goes away before the response is written.
async fn answer_beside(
    core: &Core,
    wire: &Mutex<Wire>,
    head: Head,
    speaker: &Speaker,
    beside: &Beside,
) -> Option<Reaction> {
    let Head { parts, keep_alive, .. } = head;
    let (is_old, is_head) = (parts.version == Version::HTTP_10, parts.method == Method::HEAD);
    // If it were taken for an agreement, what follows would be no HTTP.
    let keep_alive = keep_alive && parts.method != Method::CONNECT;
    let (mut upload, body) = Upload::new(&mut wire.lock(), core.config.request_timeout);
    let mut leaving = Leaving::default();
    let mut answer = beside.answer(core, Request::from_parts(parts, body), speaker.address);
    let response = poll_fn(|cx| poll_answer(&mut answer, wire, &mut upload, &mut leaving, cx)).await?;
    let length = download::length(&response, is_head, !is_old);
    let is_open = length == Length::Unsaid && !is_head;
    let may_go_on = keep_alive && !is_open && !is_last(&response) && wire.lock().skip_body() && !core.is_stopping();
    let after = After::new(may_go_on, is_old);
    let mut download = Download::new(response, length, !is_head, &after);
    let written = poll_fn(|cx| download.poll(wire, &mut upload, &mut leaving, cx)).await;
    if let Err(error) = written {
        tracing::debug!(%error, "a response was not written to its end");
        return None;
    }
    Some(Reaction { message: None, after, poller: None })
}

/// The response of the service beside Socket.IO, which gets what it wants of the request meanwhile; `None` if the client
/// goes away before.
fn poll_answer(
    answer: &mut BoxFuture<'static, Response<BesideBody>>,
    wire: &Mutex<Wire>,
    upload: &mut Upload,
    leaving: &mut Leaving,
    cx: &mut Context<'_>,
) -> Poll<Option<Response<BesideBody>>> {
    if let Poll::Ready(response) = answer.as_mut().poll(cx) {
        return Poll::Ready(Some(download::checked(response)));
    }
    let mut wire = wire.lock();
    upload.pass(&mut wire, cx);
    leaving.poll_gone(&mut wire, cx).map(|()| None)
}

/// What `answer` becomes; `None` if the client goes away before. Whoever says nothing more may still listen, and is
/// answered: what is asked of Socket.IO takes no longer than a client may, but for a GET that waits for packets of the
/// session `awaited`, which is told.
fn unless_gone<T>(
    wire: &Mutex<Wire>,
    mut answer: Pin<&mut impl Future<Output = T>>,
    mut awaited: Option<&Link>,
) -> impl Future<Output = Option<T>> {
    poll_fn(move |cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        let gone = wire.lock().poll_gone(cx);
        if gone == Poll::Ready(Gone::Broken) {
            return Poll::Ready(None);
        }
        if gone.is_ready()
            && let Some(link) = awaited.take()
        {
            // If the session is over, the answer says so.
            drop(link.request(link::Request::PollEnded));
        }
        Poll::Pending
    })
}

/// The session whose packets a request waits for, if that is what it does.
fn awaited(core: &Core, parts: &http::request::Parts) -> Option<Arc<Link>> {
    let query = Query::parse(parts.uri.query().filter(|_| parts.method == Method::GET)?);
    session(core, query.sid.as_deref()?, query.revision()).ok()
}

/// A response that is to be written.
enum Message {
    Usual(Usual),
    Any { response: Response<Body>, wants_body: bool },
}

impl Message {
    /// Appends the head; the body is left.
    fn put_head(self, batch: &mut Vec<u8>, after: &After) -> Bytes {
        match self {
            Self::Usual(usual) => {
                response::put_usual(batch, &usual);
                usual.body
            }
            Self::Any { response, wants_body } => {
                let (parts, body) = response.into_parts();
                let body = body.into_bytes();
                response::put(batch, parts.status, &parts.headers, Length::Bytes(body.len() as u64), after);
                if wants_body && !response::is_bare(parts.status) { body } else { Bytes::new() }
            }
        }
    }
}

/// Ready when a response is written, which is begun with at the first time.
fn poll_sent(
    wire: &mut Wire,
    message: &mut Option<Message>,
    after: &After,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<()>> {
    if let Some(message) = message.take() {
        lend_batch(|batch| {
            let body = message.put_head(batch, after);
            wire.put(cx, batch, body)
        })?;
    }
    wire.poll_sent(cx)
}

/// Closes a connection so that the client gets the last response. What it still sends would have the system throw away
/// what it has not read yet. [RFC 9112 §9.6]
async fn part(wire: &Mutex<Wire>) {
    let mut left = if wire.lock().is_given_up() { REST } else { REST_OF_BODY };
    let parting = async {
        if poll_fn(|cx| wire.lock().poll_shutdown(cx)).await.is_ok() && !wire.lock().is_body_read() {
            poll_fn(|cx| wire.lock().poll_discard(cx, &mut left)).await;
        }
    };
    if tokio::time::timeout(LINGER, parting).await.is_err() {
        tracing::debug!("a client did not stop to send what nobody wants");
    }
}
