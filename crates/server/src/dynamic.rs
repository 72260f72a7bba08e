//! The handle of namespaces made on demand.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_protocol::event::{Answer, Emit, Handler, Listen, Listener, Outcome};

use crate::config::WhenFull;
use crate::error::{DisconnectReason, EmitError, Refusal};
use crate::handlers::HandlerError;
use crate::namespace::Namespace;
use crate::peer::Peer;
use crate::registry::{Parent, Registry};
use crate::rooms::RoomEvent;
use crate::socket::{Message, Socket, allowed};

/// Namespaces made on demand, by [`Server::of_pattern`](crate::Server::of_pattern) or
/// [`Server::of_with`](crate::Server::of_with). They share what is registered here; each has its own sockets and rooms.
#[derive(Clone)]
pub struct DynamicNamespace {
    registry: Arc<Registry>,
    parent: Arc<Parent>,
}

impl std::fmt::Debug for DynamicNamespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DynamicNamespace")
    }
}

impl DynamicNamespace {
    pub(crate) fn new(registry: &Arc<Registry>, parent: Arc<Parent>) -> Self {
        Self { registry: Arc::clone(registry), parent }
    }

    /// The namespaces that exist at this moment.
    pub fn namespaces(&self) -> Vec<Namespace> {
        self.registry.children(&self.parent)
    }

    /// Sends an event to everybody in all of them.
    ///
    /// # Errors
    /// When the arguments cannot be encoded or the name is reserved.
    pub fn emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), EmitError> {
        let name = event.name();
        self.namespaces().iter().try_for_each(|namespace| namespace.emit(name, &args))
    }

    /// See [`Namespace::authorize`].
    pub fn authorize<A, F, Fut>(&self, check: F) -> &Self
    where
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Peer, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.parent.handlers.authorize(check);
        self
    }

    /// See [`Namespace::on_connect`].
    pub fn on_connect<F, Fut>(&self, handler: F) -> &Self
    where
        F: FnOnce(Socket) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.parent.handlers.on_connect(handler);
        self
    }

    /// See [`Namespace::on_disconnect`].
    pub fn on_disconnect<F, Fut>(&self, handler: F) -> &Self
    where
        F: FnOnce(Socket, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.parent.handlers.on_disconnect(handler);
        self
    }

    /// See [`Namespace::on_error`].
    pub fn on_error(&self, hook: impl Fn(&Socket, HandlerError) + Send + Sync + 'static) -> &Self {
        self.parent.handlers.on_error(hook);
        self
    }

    /// See [`Namespace::filter`].
    pub fn filter<F, Fut>(&self, check: F) -> &Self
    where
        F: FnOnce(Socket, Arc<Message>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.parent.handlers.filter(check);
        self
    }

    /// See [`Namespace::set_when_full`].
    pub fn set_when_full(&self, policy: WhenFull) -> &Self {
        self.parent.handlers.when_full.set(policy);
        self
    }

    /// See [`Namespace::on_room`].
    pub fn on_room(&self, watcher: impl Fn(&RoomEvent) + Send + Sync + 'static) -> &Self {
        self.parent.handlers.watchers.add(Arc::new(watcher));
        self
    }

    /// See [`Namespace::on`].
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn on<E, A, F, Fut>(&self, event: E, handler: F) -> Listener
    where
        E: Listen<A>,
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Socket, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.parent.handlers.listeners.named(allowed(event.name()), Handler::event(handler))
    }

    /// See [`Namespace::on_with_ack`].
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn on_with_ack<E, A, R, F, Fut>(&self, event: E, handler: F) -> Listener
    where
        E: Answer<A, R>,
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        F: FnOnce(Socket, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.parent.handlers.listeners.named(allowed(event.name()), Handler::answering(handler))
    }

    /// See [`Namespace::on_message`].
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn on_message<F, Fut>(&self, event: &str, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.parent.handlers.listeners.named(allowed(event), Handler::message(handler))
    }

    /// See [`Namespace::on_any`].
    pub fn on_any<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.parent.handlers.listeners.any(Handler::message(handler))
    }
}
