//! The service that frameworks mount.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response, StatusCode};
use tower_service::Service;

use super::route::{Refused, Route, open, route};
use super::{Body, polling, upgrade};
use crate::link::{Carrier, Link};
use crate::server::Core;
use crate::session::task::Task;

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
        let origins = &self.core.config.origins;
        if parts.method == Method::OPTIONS {
            return origins.preflight(&parts.headers);
        }
        let mut response = self.dispatch(&mut parts, body).await;
        origins.mark(&parts.headers, &mut response);
        response
    }

    async fn dispatch<B>(&self, parts: &mut http::request::Parts, body: B) -> Response<Body>
    where
        B: http_body::Body,
    {
        let core = &self.core;
        match route(core, parts) {
            Ok(Route::OpenPolling { revision, takes_binary }) => {
                match open(core, parts, revision, takes_binary, Carrier::Polling) {
                    Some(link) => {
                        begin_polling(core, &link);
                        polling::poll(link).await
                    }
                    None => Refused::BadRequest.response(),
                }
            }
            Ok(Route::OpenStream { revision, takes_binary }) => {
                upgrade::open_stream(core, parts, revision, takes_binary)
            }
            Ok(Route::Poll(link)) => polling::poll(link).await,
            Ok(Route::Post(link)) => polling::post(link, &parts.headers, body).await,
            Ok(Route::Upgrade(link)) => upgrade::upgrade(link, parts),
            Ok(Route::Unsupported) => polling::empty(StatusCode::INTERNAL_SERVER_ERROR),
            Err(refused) => {
                core.metrics.requests_refused.up();
                tracing::debug!(?refused, "a request was refused");
                let wants_stream = parts.headers.contains_key(http::header::UPGRADE);
                if wants_stream { refused.upgrade_response() } else { refused.response() }
            }
        }
    }
}

fn begin_polling(core: &Arc<Core>, link: &Arc<Link>) {
    let now = tokio::time::Instant::now().into_std();
    Core::spawn(Task::polling(Arc::clone(core), Arc::clone(link), now));
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
