//! What an application has registered for a namespace: listeners for events, and hooks for everything else.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_protocol::event::{Listeners, Outcome};
use sockeye_protocol::{DecodeError, OwnedArgs};

use crate::config::Policy;
use crate::error::{AckError, BoxError, DisconnectReason, Refusal};
use crate::peer::Peer;
use crate::rooms::Watchers;
use crate::socket::{DisconnectHandler, Job, Message, Socket, disconnect_handler};
use crate::warned::warn_first;

/// A future that decides about a CONNECT.
pub(crate) type Verdict = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;
/// A check that every CONNECT must pass.
pub(crate) type Authorize = Arc<dyn Fn(Peer) -> Verdict + Send + Sync>;
/// A handler for sockets that have joined.
pub(crate) type Connect = Arc<dyn Fn(Socket) -> Job + Send + Sync>;
/// A check that every event must pass.
pub(crate) type Filter = Arc<dyn Fn(Socket, Arc<Message>) -> Job + Send + Sync>;
/// A handler for events of other servers; its value is the answer.
type ServerHandler = Arc<dyn Fn(&OwnedArgs) -> Result<ServerAnswer, BoxError> + Send + Sync>;
type ServerAnswer = Pin<Box<dyn Future<Output = Result<OwnedArgs, BoxError>> + Send>>;
/// Is told of handlers that failed.
pub(crate) type ErrorHook = Arc<dyn Fn(&Socket, HandlerError) + Send + Sync>;
/// Listeners and hooks. The children of a dynamic namespace share those of their parent.
#[derive(Default)]
pub(crate) struct Handlers {
    pub(crate) listeners: Listeners<Socket>,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) when_full: Arc<Policy>,
    server_events: RwLock<Vec<(Box<str>, ServerHandler)>>,
    hooks: RwLock<Arc<Hooks>>,
    filters: AtomicBool,
}

impl Handlers {
    pub(crate) fn hooks(&self) -> Arc<Hooks> {
        Arc::clone(&self.hooks.read())
    }

    /// What `change` takes out it returns: it is code of the application also when it is dropped, and that happens when
    /// the lock is released.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Hooks) -> T) -> T {
        let mut hooks = self.hooks.write();
        let output = change(Arc::make_mut(&mut hooks));
        self.filters.store(!hooks.filter.is_empty(), Ordering::Release);
        output
    }

    /// Whether events must pass a filter: asked for every event.
    pub(crate) fn has_filters(&self) -> bool {
        self.filters.load(Ordering::Acquire)
    }
}

/// Registering: the types of the application end here.
impl Handlers {
    pub(crate) fn authorize<A, F, Fut>(&self, check: F)
    where
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Peer, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        let authorize: Authorize = Arc::new(move |peer| match peer.auth::<A>() {
            Ok(auth) => Box::pin(check.clone()(peer, auth)),
            Err(_) => Box::pin(std::future::ready(Err(Refusal::new("invalid auth")))),
        });
        self.change(|hooks| hooks.authorize.push(authorize));
    }

    pub(crate) fn on_connect<F, Fut>(&self, handler: F)
    where
        F: FnOnce(Socket) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        let connect: Connect = Arc::new(move |socket| {
            let running = handler.clone()(socket);
            Box::pin(async move { running.await.into_result() })
        });
        self.change(|hooks| hooks.connect.push(connect));
    }

    pub(crate) fn on_disconnect<F, Fut>(&self, handler: F)
    where
        F: FnOnce(Socket, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.change(|hooks| hooks.disconnect.push(disconnect_handler(handler)));
    }

    pub(crate) fn on_server<A, R, F, Fut>(&self, event: &str, handler: F)
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize,
        F: FnOnce(A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        let handler: ServerHandler = Arc::new(move |args| {
            let running = handler.clone()(args.as_args().decode()?);
            Ok(Box::pin(async move { Ok(OwnedArgs::encode(&running.await)?) }))
        });
        self.server_events.write().push((event.into(), handler));
    }

    /// Calls the handlers for an event of another server.
    pub(crate) fn server_event(
        &self,
        event: &str,
        args: &OwnedArgs,
    ) -> impl Future<Output = Vec<OwnedArgs>> + Send + use<> {
        let handlers = self.server_events.read().clone();
        let named = handlers.into_iter().filter(|(name, _)| **name == *event);
        // It may panic before it makes a future: that must not end the task of the adapter.
        let begin = |handler: ServerHandler| std::panic::catch_unwind(AssertUnwindSafe(|| handler(args)));
        let answers: Vec<_> =
            named.map(|(_, handler)| begin(handler).unwrap_or_else(|_| Err("panic".into()))).collect();
        async move {
            let mut all = Vec::new();
            for answer in answers {
                let result = match answer {
                    Ok(running) => {
                        AssertUnwindSafe(running).catch_unwind().await.unwrap_or_else(|_| Err("panic".into()))
                    }
                    Err(error) => Err(error),
                };
                match result {
                    Ok(answer) => all.push(answer),
                    Err(_) => tracing::warn!("a handler for an event of another server failed"),
                }
            }
            all
        }
    }

    pub(crate) fn on_error(&self, hook: impl Fn(&Socket, HandlerError) + Send + Sync + 'static) {
        drop(self.change(|hooks| hooks.error.replace(Arc::new(hook))));
    }

    pub(crate) fn filter<F, Fut>(&self, check: F)
    where
        F: FnOnce(Socket, Arc<Message>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        let filter: Filter = Arc::new(move |socket, message| {
            let running = check.clone()(socket, message);
            Box::pin(async move { running.await.into_result() })
        });
        self.change(|hooks| hooks.filter.push(filter));
    }
}

/// What is called besides the listeners.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) authorize: Vec<Authorize>,
    pub(crate) connect: Vec<Connect>,
    pub(crate) disconnect: Vec<DisconnectHandler>,
    pub(crate) filter: Vec<Filter>,
    pub(crate) error: Option<ErrorHook>,
}

/// A handler that failed: it returned an error, its arguments did not fit, or it panicked.
#[derive(Debug, thiserror::Error)]
#[error("handler of {event:?}: {source}")]
pub struct HandlerError {
    event: Box<str>,
    source: BoxError,
}

impl HandlerError {
    pub(crate) fn new(event: Box<str>, source: BoxError) -> Self {
        Self { event, source }
    }

    /// The event's name; `connect` and `disconnect` stand for those handlers.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// What the handler returned.
    pub fn into_source(self) -> BoxError {
        self.source
    }
}

impl Hooks {
    /// Asks every `authorize` in turn; the first refusal decides. `None` if there is nobody to ask.
    pub(crate) fn authorize(self: &Arc<Self>, peer: Peer) -> Option<Verdict> {
        if self.authorize.is_empty() {
            return None;
        }
        let hooks = Arc::clone(self);
        Some(Box::pin(async move {
            for authorize in &hooks.authorize {
                authorize(peer.clone()).await?;
            }
            Ok(())
        }))
    }

    /// Calls every `on_connect` in turn. `None` if there is none.
    pub(crate) fn connect(self: &Arc<Self>, socket: Socket) -> Option<Job> {
        if self.connect.is_empty() {
            return None;
        }
        let hooks = Arc::clone(self);
        Some(Box::pin(async move {
            for connect in &hooks.connect {
                hooks.call(&socket, "connect", || connect(socket.clone())).await;
            }
            Ok(())
        }))
    }

    /// Calls every `on_disconnect` in turn, those of the socket last. `None` if there is none.
    pub(crate) fn disconnect(self: &Arc<Self>, socket: Socket, reason: DisconnectReason) -> Option<Job> {
        let mut handlers = self.disconnect.clone();
        if let Some(own) = socket.own() {
            handlers.extend(own.disconnect.lock().iter().cloned());
        }
        if handlers.is_empty() {
            return None;
        }
        let hooks = Arc::clone(self);
        Some(Box::pin(async move {
            for handler in handlers {
                hooks.call(&socket, "disconnect", || handler(socket.clone(), reason)).await;
            }
            Ok(())
        }))
    }

    /// Runs one handler of several: that it fails or panics must not keep the others from being called.
    async fn call(&self, socket: &Socket, event: &str, handler: impl FnOnce() -> Job) {
        let running = AssertUnwindSafe(async move { handler().await }).catch_unwind();
        if let Err(error) = running.await.unwrap_or_else(|_| Err("the handler panicked".into())) {
            self.report(socket, HandlerError::new(event.into(), error));
        }
    }

    /// Asks every `filter` in turn.
    pub(crate) async fn filter(&self, socket: &Socket, message: &Arc<Message>) -> Result<(), BoxError> {
        for filter in &self.filter {
            filter(socket.clone(), Arc::clone(message)).await?;
        }
        Ok(())
    }

    /// Counts a handler that failed, and tells `on_error`.
    pub(crate) fn report(&self, socket: &Socket, error: HandlerError) {
        socket.member().hub.metrics.handler_errors.up();
        // The hook is code of the application: a panic in it must not end the connection either.
        if std::panic::catch_unwind(AssertUnwindSafe(|| self.failed(socket, error))).is_err() {
            tracing::error!("on_error panicked");
        }
    }

    fn failed(&self, socket: &Socket, error: HandlerError) {
        if let Some(hook) = &self.error {
            hook(socket, error);
        } else {
            // What does not fit a type is quoted in the error, and comes from the client: it stays out of the log.
            let about = match error.source.downcast_ref() {
                _ if error.source.is::<DecodeError>() => "the arguments do not fit",
                Some(AckError::Decode(_)) => "the answer does not fit",
                _ => "",
            };
            let shown: &dyn std::fmt::Display = if about.is_empty() { &error.source } else { &about };
            let member = socket.member();
            let first = member.warned.is_first_failure(&member.id, error.event());
            warn_first!(first, event = short(error.event()), error = %shown, "a handler failed");
        }
    }
}

/// As much of a name as is logged: a client may choose one as long as a message.
pub(crate) fn short(name: &str) -> &str {
    const MOST: usize = 64;
    name.char_indices().nth(MOST).map_or(name, |(end, _)| &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handler_for_servers_that_panics_keeps_no_other_from_answering() {
        let handlers = Handlers::default();
        handlers.on_server("add", |n: u32| {
            assert_eq!(n, 0, "on purpose, before there is a future");
            async move { n }
        });
        handlers.on_server("add", async |_: u32| -> u32 { panic!("on purpose") });
        handlers.on_server("add", async |n: u32| n + 1);
        let answers = handlers.server_event("add", &OwnedArgs::encode(&1).unwrap()).await;
        let answers: Vec<u32> = answers.iter().map(|answer| answer.as_args().decode().unwrap()).collect();
        assert_eq!(answers, [2]);
    }
}
