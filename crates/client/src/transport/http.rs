//! HTTP requests, one at a time on a connection that is kept.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::site::Site;
use crate::cause::{Cause, Limit};
use crate::dial::{BoxFuture, BoxIo};
use crate::error::ConnectError;
use crate::time::date;

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) retry_after: Option<Duration>,
}

/// One connection and at most one request on it.
pub(crate) struct Lane {
    site: Arc<Site>,
    /// Kept from the last request.
    idle: Option<Connection>,
    busy: Option<BoxFuture<Done>>,
}

type Done = (Result<Answer, ConnectError>, Option<Connection>);

/// An HTTP connection. It makes progress only while a request drives it.
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: http1::Connection<TokioIo<BoxIo>, Full<Bytes>>,
    /// The driver has ended: it must not be polled again.
    over: bool,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("busy", &self.busy.is_some()).finish_non_exhaustive()
    }
}

impl Lane {
    pub(crate) fn new(site: Arc<Site>) -> Self {
        Self { site, idle: None, busy: None }
    }

    /// Sends a request: a POST if there is a body. Only when none is under way.
    pub(crate) fn send(&mut self, target: String, body: Option<Vec<u8>>) {
        let (site, idle) = (Arc::clone(&self.site), self.idle.take());
        self.busy = Some(Box::pin(exchange(site, idle, target, body.map(Bytes::from))));
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// The answer, if it is here. Pending while there is no request.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, ConnectError>> {
        let Some(busy) = &mut self.busy else { return Poll::Pending };
        let Poll::Ready((result, connection)) = busy.as_mut().poll(cx) else { return Poll::Pending };
        self.busy = None;
        self.idle = connection;
        Poll::Ready(result)
    }
}

impl Connection {
    async fn open(site: &Site) -> Result<Self, ConnectError> {
        let io = site.config.dial.open(&site.config.address).await?;
        let opened = http1::Builder::new().handshake(TokioIo::new(io)).await;
        let (sender, driver) = opened.map_err(|error| failed(&error))?;
        Ok(Self { sender, driver, over: false })
    }

    /// Drives the connection while `work` on it goes on.
    async fn drive<T>(driver: &mut Driver<'_>, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            // What the connection learns when it ends, the work is told.
            if driver.poll(cx) { work.as_mut().poll(cx) } else { Poll::Pending }
        })
        .await
    }

    /// The connection, if another request can be sent on it. Notices what has happened since the last one.
    async fn reuse(idle: Option<Self>) -> Option<Self> {
        let mut idle = idle?;
        let mut driver = Driver { driver: &mut idle.driver, over: &mut idle.over };
        std::future::poll_fn(|cx| {
            driver.poll(cx);
            Poll::Ready(())
        })
        .await;
        (!idle.over && idle.sender.is_ready()).then_some(idle)
    }
}

/// The half of a connection which does the work.
struct Driver<'a> {
    driver: &'a mut http1::Connection<TokioIo<BoxIo>, Full<Bytes>>,
    over: &'a mut bool,
}

impl Driver<'_> {
    /// Makes progress; true if the connection has just ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if *self.over {
            return false;
        }
        *self.over = Pin::new(&mut *self.driver).poll(cx).is_ready();
        *self.over
    }
}

/// One request and its answer; the connection is given back if it can be used again.
async fn exchange(site: Arc<Site>, idle: Option<Connection>, target: String, body: Option<Bytes>) -> Done {
    let opened = match Connection::reuse(idle).await {
        Some(connection) => Ok(connection),
        None => Connection::open(&site).await,
    };
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(error) => return (Err(error), None),
    };
    let result = match request(&site, &target, body) {
        Ok(request) => {
            let Connection { sender, driver, over } = &mut connection;
            let mut driver = Driver { driver, over };
            Connection::drive(&mut driver, answer(&site, sender, request)).await
        }
        Err(error) => Err(error),
    };
    let keep = result.is_ok() && !connection.over;
    (result, keep.then_some(connection))
}

fn request(site: &Site, target: &str, body: Option<Bytes>) -> Result<Request<Full<Bytes>>, ConnectError> {
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder().method(method).uri(target);
    request = request.header(header::HOST, site.config.address.host_header()).header(header::ACCEPT, "*/*");
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "text/plain;charset=UTF-8");
    }
    for (name, value) in site.headers() {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body.unwrap_or_default()));
    request.map_err(|error| ConnectError::unreachable("the request cannot be written", Some(error.into())))
}

async fn answer(
    site: &Site,
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Answer, ConnectError> {
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        site.set_cookie(cookie.as_bytes());
    }
    let (status, announced) = (response.status().as_u16(), response.body().size_hint().exact());
    let retry_after = retry_after(response.headers());
    let body = match collect(response, if status == 200 { site.config.engine.max_payload } else { MAX_ERROR }).await? {
        Collected::Beginning(_) if status == 200 => {
            return Err(ConnectError::ended(Cause::Limit {
                limit: Limit::Payload,
                actual: announced,
                bound: Some(site.config.engine.max_payload as u64),
            }));
        }
        // Of an error only the beginning is of interest.
        Collected::All(body) | Collected::Beginning(body) => body,
    };
    Ok(Answer { status, body, retry_after })
}

/// What was read of a body.
enum Collected {
    All(Vec<u8>),
    /// It is longer than it may be.
    Beginning(Vec<u8>),
}

async fn collect(response: Response<Incoming>, limit: usize) -> Result<Collected, ConnectError> {
    let mut body = response.into_body();
    let mut collected = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| failed(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        let room = limit - collected.len();
        collected.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            return Ok(Collected::Beginning(collected));
        }
    }
    Ok(Collected::All(collected))
}

/// `Retry-After`, in seconds or as a date.                                                        [RFC 9110 §10.2.3]
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get(header::RETRY_AFTER)?.to_str().ok()?)
}

pub(crate) fn parse_retry_after(value: &str) -> Option<Duration> {
    let wait = match value.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value.trim()).ok()?.duration_since(date()).ok()?,
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn failed(error: &hyper::Error) -> ConnectError {
    ConnectError::failed("the HTTP request failed", Some(error.to_string().into()), Some(cause_of(error)))
}

fn cause_of(error: &hyper::Error) -> Cause {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        Some(io) => Cause::Io(io.kind()),
        None if error.is_parse() => Cause::Protocol(error.to_string().into()),
        // What hyper calls canceled or incomplete: the connection ended before there was a whole answer.
        None => Cause::Io(io::ErrorKind::UnexpectedEof),
    }
}

const MAX_ERROR: usize = 64 * 1024;
/// A server which asks for more patience than this is not believed.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_and_bounded() {
        assert_eq!(parse_retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT"), Some(MAX_RETRY_AFTER));
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(parse_retry_after("soon"), None);
    }
}
