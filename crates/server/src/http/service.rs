//! The service that frameworks mount.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::CONNECTION;
use http::{Method, Request, Response, StatusCode, Version, request};
use tower_service::Service;

use super::denial::Denial;
use super::open::{note_denial, open};
use super::polling::{Manner, Poller};
use super::response::{empty, respond};
use super::route::{PeerAddr, Route, Secured, request_peer, route};
use super::{Body, client_file, polling, upgrade};
use crate::core::Core;
use crate::cors::Page;
use crate::link;

/// Answers the requests of Socket.IO clients: a [`tower_service::Service`] for axum, hyper and whatever else speaks tower.
///
/// It looks at the query, not at the path: mount it where the clients' `path` option points to.
#[derive(Clone, Debug)]
pub struct SocketService {
    core: Arc<Core>,
}

impl SocketService {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    pub(crate) async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body,
    {
        let (mut parts, body) = request.into_parts();
        if let Some(PeerAddr(peer)) = parts.extensions.get().copied() {
            let client = self.core.config.trusted.client(peer, &parts.headers);
            if client != peer {
                parts.extensions.insert(PeerAddr(client));
            }
        }
        let cors = &self.core.config.cors;
        let page = match cors.judge(&parts) {
            Ok(page) => page,
            Err(panicked) => return self.deny(&parts, &panicked.into()),
        };
        if let Some(mut response) = client_file::serve(&self.core.config, &parts) {
            cors.mark(&parts, page, response.headers_mut());
            return response;
        }
        if parts.method == Method::OPTIONS {
            let mut response = empty(StatusCode::NO_CONTENT);
            cors.mark_preflight(&parts, page, response.headers_mut());
            return response;
        }
        let mut response = self.dispatch(&mut parts, body, page).await;
        cors.mark(&parts, page, response.headers_mut());
        if parts.version == Version::HTTP_2 {
            // There is nothing to say about a connection that others share. [RFC 9113 §8.2.2]
            response.headers_mut().remove(CONNECTION);
        }
        response
    }

    async fn dispatch<B>(&self, parts: &mut request::Parts, body: B, page: Page) -> Response<Body>
    where
        B: http_body::Body,
    {
        let core = &self.core;
        let route = route(core, parts, page);
        let first = matches!(route, Ok(Route::Open(_)));
        let posts = if let Ok(Route::Post(link)) = &route { Some(Arc::clone(link)) } else { None };
        let answer = match route {
            Ok(Route::Open(opening)) => {
                drop(body);
                open(core, parts, opening).await
            }
            Ok(Route::Poll(link)) => {
                // Nobody will read it, and it would be kept for as long as the GET waits.
                drop(body);
                Ok(polling::response(link, Manner::of(&core.config, parts)).await)
            }
            Ok(Route::Post(link)) => {
                Ok(polling::post(link, Manner::of(&core.config, parts), body).await.into_response())
            }
            Ok(Route::Upgrade(link)) => upgrade::upgrade(core, link, parts),
            Ok(Route::Surplus(link)) => upgrade::surplus(&link, parts),
            Ok(Route::Unsupported) => Ok(empty(StatusCode::INTERNAL_SERVER_ERROR)),
            Err(denial) => Err(denial),
        };
        let mut response = answer.unwrap_or_else(|denial| self.deny(parts, &denial));
        // Those of a response that switches protocols were seen before anybody could take the stream.
        if response.status() == StatusCode::OK
            && let Err(panicked) = core.config.hooks.see_headers(response.headers_mut(), || request_peer(parts), first)
        {
            if let Some(link) = posts.or_else(|| response.extensions_mut().remove().map(|Poller(link)| link)) {
                // The client is not told what it got, or that it was heard: they would think differently of the session.
                drop(link.request(link::Request::PollGone));
            }
            response = self.deny(parts, &panicked.into());
        }
        response
    }

    fn deny(&self, parts: &request::Parts, denial: &Denial) -> Response<Body> {
        note_denial(&self.core, parts, denial);
        let wants_stream = parts.headers.contains_key(http::header::UPGRADE);
        if wants_stream { denial.upgrade_response() } else { denial.response() }
    }
}

/// The response of the own accept loop.
pub(crate) async fn answer<B>(
    core: Arc<Core>,
    mut request: Request<B>,
    address: Option<SocketAddr>,
    secured: bool,
) -> Response<Body>
where
    B: http_body::Body,
{
    if !core.config.answers(request.uri().path()) {
        return respond(StatusCode::NOT_FOUND, "text/plain", "Not found");
    }
    if let Some(address) = address {
        request.extensions_mut().insert(PeerAddr(address));
    }
    if secured {
        request.extensions_mut().insert(Secured);
    }
    SocketService::new(core).answer(request).await
}

impl<B> Service<Request<B>> for SocketService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}
