//! The server as a layer around another service.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tower_layer::Layer;
use tower_service::Service;

use super::{Body, SocketService};
use crate::core::Core;

/// Answers requests at the server's path and passes all others on; made by [`Server::layer`](crate::Server::layer).
#[derive(Clone, Debug)]
pub struct SocketLayer {
    core: Arc<Core>,
}

impl SocketLayer {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

impl<S> Layer<S> for SocketLayer {
    type Service = Layered<S>;

    fn layer(&self, inner: S) -> Layered<S> {
        Layered { core: Arc::clone(&self.core), inner }
    }
}

/// A service with Socket.IO in front of it.
#[derive(Clone, Debug)]
pub struct Layered<S> {
    core: Arc<Core>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Layered<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<LayeredBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.core.config.answers(request.uri().path()) {
            let answer = SocketService::new(Arc::clone(&self.core)).answer(request);
            return Box::pin(async move { Ok(answer.await.map(LayeredBody::Ours)) });
        }
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| LayeredBody::Inner(Box::pin(body)))) })
    }
}

/// The body of a response, of Socket.IO or of the service behind it.
pub enum LayeredBody<R> {
    /// Of the service behind it.
    Inner(Pin<Box<R>>),
    /// Of Socket.IO.
    Ours(Body),
}

impl<R> fmt::Debug for LayeredBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LayeredBody")
    }
}

impl<R: http_body::Body<Data = Bytes>> http_body::Body for LayeredBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.get_mut() {
            Self::Inner(body) => body.as_mut().poll_frame(cx),
            Self::Ours(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never: Infallible| match never {}))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Inner(body) => body.is_end_stream(),
            Self::Ours(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Inner(body) => body.size_hint(),
            Self::Ours(body) => body.size_hint(),
        }
    }
}
