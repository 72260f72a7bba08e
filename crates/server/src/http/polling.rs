//! GET and POST of a polling session.                                                     [EIO4 "HTTP long-polling"]

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_channel::oneshot;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{Response, StatusCode, request};
use http_body_util::BodyExt;
use sockeye_engine::{Revision, growth};

use super::Body;
use super::denial::{Code, Denial};
use super::jsonp::{Jsonp, form_body};
use super::response::{closing, empty, no_store, respond};
use crate::cause::Cause;
use crate::compression::HttpCompression;
use crate::config::Config;
use crate::encoding::Encoding;
use crate::limits::Limit;
use crate::link::{Answer, Link, Request};
use crate::unfinished::Share;

/// A body from this size on is compressed by a thread that may be busy for long.
const BLOCKING: usize = 64 * 1024;

/// What a request of a session says beside its body.
#[derive(Debug, Default)]
pub(crate) struct Manner {
    /// The answer is a script.
    pub(crate) jsonp: Option<Jsonp>,
    /// How the answer may be compressed.
    pub(crate) encoding: Option<Encoding>,
    /// The client says that the body is binary.
    pub(crate) binary: bool,
}

impl Manner {
    pub(crate) fn of(config: &Config, parts: &request::Parts) -> Self {
        Self {
            jsonp: if config.jsonp { Jsonp::of(parts.uri.query().unwrap_or("")) } else { None },
            encoding: if config.http_compression.enabled { Encoding::accepted(&parts.headers) } else { None },
            binary: parts.headers.get(CONTENT_TYPE).is_some_and(|value| is_binary(value.as_bytes())),
        }
    }
}

/// Whether this content type says that a body is binary.
pub(crate) fn is_binary(content_type: &[u8]) -> bool {
    content_type == b"application/octet-stream"
}

/// The answer to a request of a session.
#[derive(Debug)]
pub(crate) enum Reply {
    /// As a rule it is 200, with little more than its body.
    Usual(Usual),
    Other(Box<Response<Body>>),
}

/// An answer that nobody may keep.
#[derive(Debug)]
pub(crate) struct Usual {
    pub(crate) kind: &'static str,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) body: Bytes,
}

impl Reply {
    fn usual(kind: &'static str, body: impl Into<Bytes>) -> Self {
        Self::Usual(Usual { kind, encoding: None, body: body.into() })
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        match self {
            Self::Usual(Usual { kind, encoding, body }) => {
                let mut response = no_store(respond(StatusCode::OK, kind, body));
                if let Some(encoding) = encoding {
                    response.headers_mut().insert(CONTENT_ENCODING, encoding.header());
                }
                response
            }
            Self::Other(response) => *response,
        }
    }
}

impl From<Response<Body>> for Reply {
    fn from(response: Response<Body>) -> Self {
        Self::Other(Box::new(response))
    }
}

/// Marks a response that brings the packets of a session, for whoever can tell that it did not get out.
#[derive(Clone, Debug)]
pub(crate) struct Poller(pub(crate) Arc<Link>);

/// Waits for packets; the answer as others than the own HTTP/1 write it.
pub(crate) async fn response(link: Arc<Link>, manner: Manner) -> Response<Body> {
    let mut response = poll(&link, &manner).await.into_response();
    response.extensions_mut().insert(Poller(link));
    response
}

/// Waits for packets.
pub(crate) async fn poll(link: &Link, manner: &Manner) -> Reply {
    let (sender, answer) = oneshot::channel();
    if link.request(Request::Poll(sender)).is_err() {
        return Denial::from(Code::UnknownSession).response().into();
    }
    let mut waiting = Waiting(Some(link));
    let reply = match answer.await {
        Ok(Answer::Packets { body, binary, compress }) => {
            let body = if let Some(jsonp) = &manner.jsonp { jsonp.script(&body) } else { body };
            let kind = match (&manner.jsonp, binary) {
                (Some(_), _) => "text/javascript; charset=UTF-8",
                (None, true) => "application/octet-stream",
                (None, false) => "text/plain; charset=UTF-8",
            };
            let HttpCompression { threshold, level, .. } = link.config.http_compression;
            match manner.encoding {
                Some(encoding) if compress && body.len() >= threshold => {
                    Box::pin(packed(encoding, level, kind, body)).await
                }
                _ => Reply::usual(kind, body),
            }
        }
        Ok(Answer::BadRequest | Answer::Taken | Answer::TooMuch(_)) => Denial::from(Code::BadRequest).response().into(),
        Err(oneshot::Canceled) => Denial::from(Code::UnknownSession).response().into(),
    };
    // Compressing may have taken its time: whoever went away meanwhile has not got these packets either.
    waiting.0 = None;
    reply
}

/// An answer, compressed if that pays.
async fn packed(encoding: Encoding, level: u8, kind: &'static str, body: Bytes) -> Reply {
    let compressed = if body.len() < BLOCKING {
        encoding.compress(&body, level)
    } else {
        let body = body.clone();
        // It is not done only if the runtime is going down.
        tokio::task::spawn_blocking(move || encoding.compress(&body, level)).await.unwrap_or(None)
    };
    match compressed {
        Some(body) => Reply::Usual(Usual { kind, encoding: Some(encoding), body }),
        None => Reply::usual(kind, body),
    }
}

/// A GET that is being waited for: dropped when the client goes away.
struct Waiting<'a>(Option<&'a Link>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            // If the session is over as well, there is nobody to tell.
            drop(link.request(Request::PollGone));
        }
    }
}

/// Takes packets.
pub(crate) async fn post<B>(link: Arc<Link>, manner: Manner, body: B) -> Reply
where
    B: http_body::Body,
{
    if !link.begin_post() {
        drop(link.request(Request::Failed(Cause::Misuse("a POST while another is under way".into()))));
        return closing(empty(StatusCode::BAD_REQUEST)).into();
    }
    let mut posting = Posting { link: &link, lost: Some(Cause::Io(io::ErrorKind::ConnectionAborted)) };
    let binary = manner.binary;
    if binary && link.revision == Revision::V4 {
        posting.lost = Some(Cause::Misuse("a binary body".into()));
        return closing(empty(StatusCode::BAD_REQUEST)).into();
    }
    let limit = link.max_payload();
    let body = match tokio::time::timeout(link.config.request_timeout, collect(&link, body, limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(BodyError::TooLarge)) => {
            posting.lost = None;
            let limit = link.payload_limit();
            link.metrics.limits.up(limit);
            return closing(Denial::too_large(limit).response()).into();
        }
        Ok(Err(BodyError::Shared(limit))) => {
            posting.lost = None;
            link.metrics.limits.up(limit);
            return closing(Denial::overloaded(limit).response()).into();
        }
        Ok(Err(BodyError::Broken)) => return closing(empty(StatusCode::BAD_REQUEST)).into(),
        Err(_) => {
            posting.lost = Some(Cause::Io(io::ErrorKind::TimedOut));
            return closing(empty(StatusCode::REQUEST_TIMEOUT)).into();
        }
    };
    let body = match manner.jsonp {
        Some(_) => form_body(&body),
        None => Some(body),
    };
    let Some(body) = body else {
        posting.lost = Some(Cause::Misuse("a body that is no form".into()));
        return empty(StatusCode::BAD_REQUEST).into();
    };
    posting.lost = None;
    let (answer, taken) = oneshot::channel();
    if link.request(Request::Post { body, binary, begun: false, answer }).is_err() {
        return Denial::from(Code::UnknownSession).response().into();
    }
    match taken.await {
        Ok(Answer::Taken) => Reply::usual("text/html", "ok"),
        Ok(Answer::TooMuch(Limit::Unfinished)) => Denial::overloaded(Limit::Unfinished).response().into(),
        Ok(Answer::TooMuch(limit)) => Denial::too_much(limit).response().into(),
        Ok(_) => Denial::from(Code::BadRequest).response().into(),
        Err(oneshot::Canceled) => Denial::from(Code::UnknownSession).response().into(),
    }
}

/// A POST that is being received.
struct Posting<'a> {
    link: &'a Link,
    /// Why its messages will not come: the session cannot go on as if nothing had been sent. A body that is too large
    /// is no loss, as the client is told.
    lost: Option<Cause>,
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        self.link.end_post();
        if let Some(cause) = self.lost.take() {
            // If the session is over as well, there is nobody to tell.
            drop(self.link.request(Request::Failed(cause)));
        }
    }
}

enum BodyError {
    TooLarge,
    Broken,
    /// It is too much for all together.
    Shared(Limit),
}

/// What has come of a body.
struct Held<'a> {
    link: &'a Link,
    share: Share,
}

impl Held<'_> {
    fn set(&mut self, bytes: usize) -> Result<(), BodyError> {
        let Link { config, metrics, .. } = self.link;
        self.share.set(bytes, config.max_unfinished, metrics).map_err(|excess| BodyError::Shared(excess.limit))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = self.share.set(0, usize::MAX, &self.link.metrics);
    }
}

/// Reads a body up to `limit` bytes; what is longer is given up at once, by its announced length if there is one.
async fn collect<B: http_body::Body>(link: &Link, body: B, limit: usize) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut body = std::pin::pin!(body);
    let mut whole = Bytes::new();
    let mut parts: Vec<u8> = Vec::new();
    let mut held = Held { link, share: Share::default() };
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        let length = data.remaining();
        if whole.len() + parts.len() + length > limit {
            return Err(BodyError::TooLarge);
        }
        // Most bodies come in one piece, which needs no copy.
        let piece = data.copy_to_bytes(length);
        if whole.is_empty() && parts.is_empty() {
            whole = piece;
        } else {
            if parts.is_empty() {
                parts.extend_from_slice(&std::mem::take(&mut whole));
            }
            // Whoever is still talking is alive, though what it says may take longer than an answer to a heartbeat may.
            link.note_activity();
            parts.reserve_exact(growth(parts.len(), parts.capacity(), length, limit));
            parts.extend_from_slice(&piece);
        }
        if !body.is_end_stream() {
            held.set(whole.len() + parts.capacity())?;
        }
    }
    Ok(if parts.is_empty() { whole } else { parts.into() })
}
