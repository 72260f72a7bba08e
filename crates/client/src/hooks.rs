//! What is called at the turning points of a client's life.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_protocol::event::{BoxError, Listeners, Outcome};

use crate::error::{ConnectError, DisconnectReason, HandlerError};

/// A handler's future.
pub(crate) type Job = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
/// A payload for CONNECT on its way.
pub(crate) type AuthJob = Pin<Box<dyn Future<Output = Result<serde_json::Value, BoxError>> + Send>>;
type Farewell<H> = Arc<dyn Fn(H, DisconnectReason) -> Job + Send + Sync>;
type Complaint<H> = Arc<dyn Fn(H, ConnectError) -> Job + Send + Sync>;
type ErrorHook<H> = Arc<dyn Fn(&H, HandlerError) + Send + Sync>;

/// What is called at the turning points of a client's life.
pub(crate) struct Hooks<H> {
    pub(crate) auth: Auth,
    /// Run as events called `connect`, so that no event is handled before they have ended.
    pub(crate) connect: Listeners<H>,
    disconnect: Vec<Farewell<H>>,
    connect_error: Vec<Complaint<H>>,
    error: Option<ErrorHook<H>>,
}

/// What is sent with CONNECT.
#[derive(Clone, Default)]
pub(crate) enum Auth {
    #[default]
    Nothing,
    /// Asked before every attempt.
    Asked(Arc<dyn Fn() -> AuthJob + Send + Sync>),
    Constant(serde_json::Value),
    /// The application gave something that cannot be sent.
    Invalid(String),
}

impl<H> Default for Hooks<H> {
    fn default() -> Self {
        let (disconnect, connect_error) = (Vec::new(), Vec::new());
        Self { auth: Auth::Nothing, connect: Listeners::default(), disconnect, connect_error, error: None }
    }
}

impl<H> Clone for Hooks<H> {
    fn clone(&self) -> Self {
        Self {
            auth: self.auth.clone(),
            connect: self.connect.clone(),
            disconnect: self.disconnect.clone(),
            connect_error: self.connect_error.clone(),
            error: self.error.clone(),
        }
    }
}

impl<H: Clone + Send + Sync + 'static> Hooks<H> {
    pub(crate) fn on_disconnect<F, Fut>(&mut self, handler: F)
    where
        F: FnOnce(H, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.disconnect.push(Arc::new(move |client, reason| {
            let running = handler.clone()(client, reason);
            Box::pin(async move { running.await.into_result() })
        }));
    }

    pub(crate) fn on_connect_error<F, Fut>(&mut self, handler: F)
    where
        F: FnOnce(H, ConnectError) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.connect_error.push(Arc::new(move |client, error| {
            let running = handler.clone()(client, error);
            Box::pin(async move { running.await.into_result() })
        }));
    }

    pub(crate) fn on_error(&mut self, hook: impl Fn(&H, HandlerError) + Send + Sync + 'static) {
        self.error = Some(Arc::new(hook));
    }

    /// Makes the jobs that a disconnect calls for.
    pub(crate) fn disconnected(&self, jobs: &mut Jobs, client: &H, reason: DisconnectReason) {
        for handler in &self.disconnect {
            let (handler, client) = (Arc::clone(handler), client.clone());
            jobs.push("disconnect", Box::pin(async move { handler(client, reason).await }));
        }
    }

    /// Makes the jobs that a failed attempt calls for.
    pub(crate) fn failed(&self, jobs: &mut Jobs, client: &H, error: &ConnectError) {
        for handler in &self.connect_error {
            let (handler, client, error) = (Arc::clone(handler), client.clone(), error.clone());
            jobs.push("connect_error", Box::pin(async move { handler(client, error).await }));
        }
    }

    /// Tells `on_error`. The hook is code of the application: a panic in it ends nothing either.
    pub(crate) fn report(&self, client: &H, error: HandlerError) {
        let Some(hook) = &self.error else {
            return error.log();
        };
        if std::panic::catch_unwind(AssertUnwindSafe(|| hook(client, error))).is_err() {
            tracing::error!("on_error panicked");
        }
    }
}

/// Polls code of the application; a panic becomes an error.
pub(crate) fn poll_contained<T>(
    job: &mut Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, BoxError>> {
    std::panic::catch_unwind(AssertUnwindSafe(|| job.as_mut().poll(cx)))
        .unwrap_or_else(|_| Poll::Ready(Err("it panicked".into())))
}

/// Jobs of the hooks, one after the other. Handlers of events do not hold them up.
#[derive(Default)]
pub(crate) struct Jobs(VecDeque<(&'static str, Job)>);

impl Jobs {
    fn push(&mut self, name: &'static str, job: Job) {
        // A hook that never ends must not make memory grow with every attempt.
        if self.0.len() < MAX_JOBS {
            self.0.push_back((name, job));
        } else {
            tracing::warn!(name, "a handler was not called: earlier ones have not ended");
        }
    }

    /// Goes on with the jobs; gives one that failed (call again).
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Option<HandlerError> {
        while let Some((name, job)) = self.0.front_mut() {
            let name = *name;
            let Poll::Ready(result) = poll_contained(job, cx) else { return None };
            self.0.pop_front();
            if let Err(error) = result {
                return Some(HandlerError::new(name.into(), error));
            }
        }
        None
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.0.is_empty()
    }
}

const MAX_JOBS: usize = 64;

impl<H> std::fmt::Debug for Hooks<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("disconnect", &self.disconnect.len()).finish_non_exhaustive()
    }
}
