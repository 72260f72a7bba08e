//! What is served: Socket.IO at its path, and perhaps a service at all others.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tower_service::Service;

use super::request_body::RequestBody;
use super::route::PeerAddr;
use crate::core::Core;
use crate::error::BoxError;

/// A server and a service that answers at all other paths; made by [`Server::beside`](crate::Server::beside).
#[derive(Clone)]
pub struct Site {
    pub(crate) core: Arc<Core>,
    beside: Option<Beside>,
}

impl Site {
    /// All other paths are answered by 404.
    pub(crate) fn alone(core: Arc<Core>) -> Self {
        Self { core, beside: None }
    }

    pub(crate) fn new(core: Arc<Core>, beside: Beside) -> Self {
        Self { core, beside: Some(beside) }
    }

    /// The service, if it is the one to answer at this path.
    pub(crate) fn beside(&self, path: &str) -> Option<&Beside> {
        self.beside.as_ref().filter(|_| !self.core.config.answers(path))
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("beside", &self.beside.is_some()).finish_non_exhaustive()
    }
}

/// A service of the application, whatever its type.
#[derive(Clone)]
pub(crate) struct Beside(Arc<Answers>);

type Answers = dyn Fn(Request<RequestBody>) -> BoxFuture<'static, Response<BesideBody>> + Send + Sync;

/// The body of its responses.
pub(crate) type BesideBody = UnsyncBoxBody<Bytes, BoxError>;

impl Beside {
    pub(crate) fn new<S, R>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<R>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        Self(Arc::new(move |request| Box::pin(ask(service.clone(), request))))
    }

    /// Has a request answered that came from `peer`.
    pub(crate) fn answer(
        &self,
        core: &Core,
        mut request: Request<RequestBody>,
        peer: Option<SocketAddr>,
    ) -> BoxFuture<'static, Response<BesideBody>> {
        if let Some(peer) = peer {
            let client = core.config.trusted.client(peer, request.headers());
            request.extensions_mut().insert(PeerAddr(client));
        }
        (self.0)(request)
    }
}

async fn ask<S, R>(mut service: S, request: Request<RequestBody>) -> Response<BesideBody>
where
    S: Service<Request<RequestBody>, Response = Response<R>, Error = Infallible>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let Ok(response) = service.call(request).await;
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}
