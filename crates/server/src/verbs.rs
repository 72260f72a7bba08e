//! The verbs of the main namespace, at hand on the server itself.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_protocol::event::{Answer, Ask, Emit, Listen, Listener, Outcome};

use crate::ack::Replies;
use crate::config::WhenFull;
use crate::error::{ClusterError, DisconnectReason, EmitError, Refusal};
use crate::handlers::HandlerError;
use crate::peer::Peer;
use crate::remote::RemoteSocket;
use crate::rooms::RoomEvent;
use crate::selector::Rooms;
use crate::server::Server;
use crate::socket::{Message, Socket};
use crate::target::Target;

/// The verbs of the main namespace, `/`.
impl Server {
    /// See [`Namespace::authorize`](crate::Namespace::authorize).
    pub fn authorize<A, F, Fut>(&self, check: F) -> &Self
    where
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Peer, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.main().authorize(check);
        self
    }

    /// See [`Namespace::on_connect`](crate::Namespace::on_connect).
    pub fn on_connect<F, Fut>(&self, handler: F) -> &Self
    where
        F: FnOnce(Socket) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().on_connect(handler);
        self
    }

    /// See [`Namespace::on_disconnect`](crate::Namespace::on_disconnect).
    pub fn on_disconnect<F, Fut>(&self, handler: F) -> &Self
    where
        F: FnOnce(Socket, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().on_disconnect(handler);
        self
    }

    /// See [`Namespace::on_error`](crate::Namespace::on_error).
    pub fn on_error(&self, hook: impl Fn(&Socket, HandlerError) + Send + Sync + 'static) -> &Self {
        self.main().on_error(hook);
        self
    }

    /// See [`Namespace::filter`](crate::Namespace::filter).
    pub fn filter<F, Fut>(&self, check: F) -> &Self
    where
        F: FnOnce(Socket, Arc<Message>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().filter(check);
        self
    }

    /// See [`Namespace::on_server`](crate::Namespace::on_server).
    pub fn on_server<E, A, R, F, Fut>(&self, event: E, handler: F) -> &Self
    where
        E: Answer<A, R>,
        A: DeserializeOwned + Send + 'static,
        R: Serialize,
        F: FnOnce(A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.main().on_server(event, handler);
        self
    }

    /// See [`Namespace::server_side_emit`](crate::Namespace::server_side_emit).
    ///
    /// # Errors
    /// When the arguments cannot be encoded, or the other servers cannot be told.
    pub async fn server_side_emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), ClusterError> {
        self.main().server_side_emit(event, args).await
    }

    /// See [`Namespace::server_side_emit_with_ack`](crate::Namespace::server_side_emit_with_ack).
    ///
    /// # Errors
    /// When the arguments cannot be encoded, the other servers cannot be told, or an answer does not fit `R`.
    pub async fn server_side_emit_with_ack<A: Serialize, R: DeserializeOwned>(
        &self,
        event: impl Ask<A, R>,
        args: A,
    ) -> Result<Vec<R>, ClusterError> {
        self.main().server_side_emit_with_ack(event, args).await
    }

    /// See [`Namespace::on_room`](crate::Namespace::on_room).
    pub fn on_room(&self, watcher: impl Fn(&RoomEvent) + Send + Sync + 'static) -> &Self {
        self.main().on_room(watcher);
        self
    }

    /// See [`Namespace::on`](crate::Namespace::on).
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
        self.main().on(event, handler)
    }

    /// See [`Namespace::on_with_ack`](crate::Namespace::on_with_ack).
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
        self.main().on_with_ack(event, handler)
    }

    /// See [`Namespace::on_message`](crate::Namespace::on_message).
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn on_message<F, Fut>(&self, event: &str, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().on_message(event, handler)
    }

    /// See [`Namespace::on_any`](crate::Namespace::on_any).
    pub fn on_any<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().on_any(handler)
    }

    /// See [`Namespace::on_unhandled`](crate::Namespace::on_unhandled).
    pub fn on_unhandled<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().on_unhandled(handler)
    }

    /// See [`Namespace::to`](crate::Namespace::to).
    pub fn to(&self, rooms: impl Rooms) -> Target {
        self.main().to(rooms)
    }

    /// See [`Namespace::except`](crate::Namespace::except).
    pub fn except(&self, rooms: impl Rooms) -> Target {
        self.main().except(rooms)
    }

    /// See [`Namespace::local`](crate::Namespace::local).
    pub fn local(&self) -> Target {
        self.main().local()
    }

    /// See [`Namespace::volatile`](crate::Namespace::volatile).
    pub fn volatile(&self) -> Target {
        self.main().volatile()
    }

    /// See [`Namespace::compress`](crate::Namespace::compress).
    pub fn compress(&self, compress: bool) -> Target {
        self.main().compress(compress)
    }

    /// See [`Namespace::when_full`](crate::Namespace::when_full).
    pub fn when_full(&self, policy: WhenFull) -> Target {
        self.main().when_full(policy)
    }

    /// See [`Namespace::latest`](crate::Namespace::latest).
    pub fn latest(&self, key: impl Into<Arc<str>>) -> Target {
        self.main().latest(key)
    }

    /// See [`Namespace::timeout`](crate::Namespace::timeout).
    pub fn timeout(&self, limit: Duration) -> Target {
        self.main().timeout(limit)
    }

    /// See [`Namespace::emit`](crate::Namespace::emit).
    ///
    /// # Errors
    /// When the arguments cannot be encoded or the name is reserved.
    pub fn emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), EmitError> {
        self.main().emit(event, args)
    }

    /// See [`Namespace::emit_with_ack`](crate::Namespace::emit_with_ack).
    pub fn emit_with_ack<A: Serialize, R: DeserializeOwned>(&self, event: impl Ask<A, R>, args: A) -> Replies<R> {
        self.main().emit_with_ack(event, args)
    }

    /// See [`Namespace::fetch_sockets`](crate::Namespace::fetch_sockets).
    ///
    /// # Errors
    /// When other servers cannot be asked.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, ClusterError> {
        self.main().fetch_sockets().await
    }

    /// The socket with this id in the main namespace, if it is on this server. See [`Namespace::get`](crate::Namespace::get).
    pub fn get(&self, id: &str) -> Option<Socket> {
        self.main().get(id)
    }
}
