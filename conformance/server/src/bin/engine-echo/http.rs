//! Requests: to a session, to a new one, or refused.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use sockeye_engine::handshake::{Query, TransportName};
use sockeye_engine::{Lane, Session, Sid, ws};
use tokio::sync::oneshot;

use crate::session::{self, Input, Link};
use crate::shared::Shared;

/// Code and message of a refusal. [JS engine.io 6.6 server.ts errorMessages]
type Refused = (u8, &'static str);

const UNKNOWN_TRANSPORT: Refused = (0, "Transport unknown");
const UNKNOWN_SESSION: Refused = (1, "Session ID unknown");
const BAD_METHOD: Refused = (2, "Bad handshake method");
const BAD_REQUEST: Refused = (3, "Bad request");
const UNSUPPORTED: Refused = (5, "Unsupported protocol version");

pub(crate) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(route(shared, request).await.unwrap_or_else(|(code, message)| {
        respond(400, "application/json", format!(r#"{{"code":{code},"message":"{message}"}}"#).into())
    }))
}

async fn route(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refused> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let query = Query::parse(&query);
    let stream = match query.transport() {
        Some(TransportName::Polling) => false,
        Some(TransportName::Websocket) => true,
        _ => return Err(UNKNOWN_TRANSPORT),
    };
    if stream != request.headers().contains_key(UPGRADE) {
        return Err(BAD_REQUEST);
    }
    if let Some(sid) = &query.sid {
        let link = shared.sessions().get(&**sid).cloned().ok_or(UNKNOWN_SESSION)?;
        return match (stream, request.method()) {
            _ if query.revision() != Some(link.revision) => Err(BAD_REQUEST),
            (true, _) => Ok(switch(link, request)),
            (false, &Method::GET) => ask(&link, Input::Poll).await,
            (false, _) => post(&link, request).await,
        };
    }
    if request.method() != Method::GET {
        return Err(BAD_METHOD);
    }
    let revision = query.revision().filter(|_| query.eio.is_some()).ok_or(UNSUPPORTED)?;
    let (sid, lane) = (new_sid(), if stream { Lane::Stream } else { Lane::Polling });
    let session = Session::accept(Arc::clone(&shared.config), revision, &sid, lane, Instant::now());
    let (link, task) = session::open(session, !query.b64);
    shared.sessions().insert(sid.as_str().to_owned(), link.clone());
    tokio::spawn(async move {
        task.run().await;
        shared.sessions().remove(sid.as_str());
    });
    if stream { Ok(switch(link, request)) } else { ask(&link, Input::Poll).await }
}

async fn post(link: &Link, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refused> {
    let binary = request.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/octet-stream");
    let body = Limited::new(request.into_body(), 1_000_000).collect().await.map_err(|_| BAD_REQUEST)?.to_bytes();
    ask(link, |answer| Input::Post { body, binary, answer }).await
}

async fn ask(link: &Link, input: impl FnOnce(session::Answer) -> Input) -> Result<Response<Full<Bytes>>, Refused> {
    let (sender, answer) = oneshot::channel();
    drop(link.inputs.send(input(sender)));
    let (status, content_type, body) = answer.await.map_err(|_| BAD_REQUEST)?;
    Ok(respond(status, content_type, body))
}

fn switch(link: Link, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let headers = request.headers().iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let accepted = match ws::handshake::accept(request.method().as_str().as_bytes(), headers, None, |_| true) {
        Ok(accepted) => accepted.accept().to_owned(),
        Err(refusal) => return respond(refusal.status(), "text/plain", refusal.to_string().into()),
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            drop(link.inputs.send(Input::Stream(TokioIo::new(upgraded))));
        }
    });
    let head = Response::builder().status(101).header(UPGRADE, "websocket").header(CONNECTION, "Upgrade");
    head.header(SEC_WEBSOCKET_ACCEPT, accepted).body(Full::default()).unwrap_or_default()
}

fn respond(status: u16, content_type: &str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let head = Response::builder().status(status).header(CONTENT_TYPE, content_type);
    head.body(Full::from(body)).unwrap_or_default()
}

/// Ids of a test server: counted, not secret.
fn new_sid() -> Sid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Sid::new(format!("engine-echo-{:08}", NEXT.fetch_add(1, Ordering::Relaxed)))
}
