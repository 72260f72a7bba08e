//! The handle of one namespace, and what happens in it.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use sockeye_protocol::OwnedArgs;
use sockeye_protocol::event::{Answer, Ask, Emit, Handler, Listen, Listener, Listeners, Outcome};

use crate::ack::Replies;
use crate::adapter::Selection;
use crate::config::WhenFull;
use crate::error::{ClusterError, DisconnectReason, EmitError, Refusal};
use crate::handlers::{HandlerError, Handlers, Hooks};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::remote::RemoteSocket;
use crate::rooms::RoomEvent;
use crate::selector::Rooms;
use crate::socket::{Message, Socket, allowed};
use crate::target::Target;

/// A namespace: a part of the server with its own sockets, rooms, handlers and admission. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<Core>);

struct Core {
    hub: Arc<Hub>,
    handlers: Arc<Handlers>,
    lifetime: Lifetime,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Namespace").field("path", &self.hub.path).finish_non_exhaustive()
    }
}

/// How long a namespace lives.
pub(crate) enum Lifetime {
    /// As long as the server.
    Pinned,
    /// As long as somebody is in it or asks for it. `leave` is called when that may have ended.
    Visited { visitors: AtomicUsize, leave: Box<dyn Fn(&Namespace) + Send + Sync> },
}

/// A namespace while somebody is in it or asks for it.
#[derive(Debug)]
pub(crate) struct Visit(Namespace);

impl Deref for Visit {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Lifetime::Visited { visitors, leave } = &self.0.0.lifetime
            && visitors.fetch_sub(1, Ordering::AcqRel) == 1
        {
            leave(&self.0);
        }
    }
}

impl Namespace {
    pub(crate) fn new(hub: Hub, handlers: Arc<Handlers>, lifetime: Lifetime) -> Self {
        Self(Arc::new(Core { hub: Arc::new(hub), handlers, lifetime }))
    }

    /// Counts a visitor. For a namespace that is freed when empty, hold the registry's lock.
    pub(crate) fn visit(&self) -> Visit {
        if let Lifetime::Visited { visitors, .. } = &self.0.lifetime {
            visitors.fetch_add(1, Ordering::AcqRel);
        }
        Visit(self.clone())
    }

    /// Whether it may be freed now. Hold the registry's lock.
    pub(crate) fn is_deserted(&self) -> bool {
        matches!(&self.0.lifetime, Lifetime::Visited { visitors, .. } if visitors.load(Ordering::Acquire) == 0)
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    pub(crate) fn handlers(&self) -> &Arc<Handlers> {
        &self.0.handlers
    }

    pub(crate) fn listeners(&self) -> &Listeners<Socket> {
        &self.0.handlers.listeners
    }

    pub(crate) fn hooks(&self) -> Arc<Hooks> {
        self.0.handlers.hooks()
    }

    /// The path, beginning with `/`.
    pub fn path(&self) -> &str {
        self.0.hub.path.as_str()
    }

    /// Number of sockets on this server.
    pub fn len(&self) -> usize {
        self.0.hub.len()
    }

    /// Whether there are no sockets on this server.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happens from now on when the outbox of one of its clients is full. Default: what
    /// [`ServerBuilder::when_full`](crate::ServerBuilder::when_full) says. A client has one outbox for all its namespaces:
    /// what decides is the namespace of the event that finds it full.
    pub fn set_when_full(&self, policy: WhenFull) -> &Self {
        self.0.handlers.when_full.set(policy);
        self
    }

    /// The socket with this id, if it is on this server.
    pub fn get(&self, id: &str) -> Option<Socket> {
        self.0.hub.get(id).map(Socket::new)
    }

    /// The sockets on this server.
    pub fn sockets(&self) -> Vec<Socket> {
        self.0.hub.select(&Selection::default()).into_iter().map(Socket::new).collect()
    }

    /// Names of the rooms that have members on this server. A socket's own id is not among them.
    pub fn rooms(&self) -> Vec<SmolStr> {
        self.0.hub.room_names()
    }

    /// Adds a check that every CONNECT must pass; several are asked in turn, and the first refusal decides.
    ///
    /// A refusal reaches the client as `connect_error`, with its message and data. Arguments that do not fit `A` are a
    /// refusal, "invalid auth". The check may take its time within `connect_timeout`; other clients do not wait for it.
    pub fn authorize<A, F, Fut>(&self, check: F) -> &Self
    where
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Peer, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.0.handlers.authorize(check);
        self
    }

    /// Calls `handler` for every socket that has joined the namespace. The socket's first event is handled when it has
    /// ended; what it emits leaves after the answer to CONNECT.
    pub fn on_connect<F, Fut>(&self, handler: F) -> &Self
    where
        F: FnOnce(Socket) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.0.handlers.on_connect(handler);
        self
    }

    /// Calls `handler` for every socket that has left, exactly once and whatever the cause. Its rooms can still be
    /// read. It is not held up by a handler that is still running.
    pub fn on_disconnect<F, Fut>(&self, handler: F) -> &Self
    where
        F: FnOnce(Socket, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.0.handlers.on_disconnect(handler);
        self
    }

    /// Tells `hook` of every handler that failed: an error returned, arguments that do not fit, a panic. The connection
    /// lives on. One hook per namespace, the last one counts; without any, failures are logged: those of a
    /// handler for one socket at `warn` the first time, then at `debug`.
    pub fn on_error(&self, hook: impl Fn(&Socket, HandlerError) + Send + Sync + 'static) -> &Self {
        self.0.handlers.on_error(hook);
        self
    }

    /// Adds a check that every event must pass before it reaches handlers registered by name; several are asked in turn
    /// (`socket.use` of JS). An error drops the event and goes to `on_error`; the sender is told nothing. With a filter,
    /// all handlers of one event run one after the other.
    pub fn filter<F, Fut>(&self, check: F) -> &Self
    where
        F: FnOnce(Socket, Arc<Message>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.0.handlers.filter(check);
        self
    }

    /// Calls `handler` for events that *other* servers of the cluster send by `server_side_emit`; what it returns is the
    /// answer for `server_side_emit_with_ack`.
    pub fn on_server<E, A, R, F, Fut>(&self, event: E, handler: F) -> &Self
    where
        E: Answer<A, R>,
        A: DeserializeOwned + Send + 'static,
        R: Serialize,
        F: FnOnce(A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.0.handlers.on_server(event.name(), handler);
        self
    }

    /// Sends an event to the other servers of the cluster, not to this one. Cancel safe once it has been sent.
    ///
    /// # Errors
    /// When the arguments cannot be encoded, or the other servers cannot be told.
    pub async fn server_side_emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), ClusterError> {
        let args = OwnedArgs::encode(&args)?;
        let hub = &self.0.hub;
        hub.adapter.server_side_emit(&hub.path, event.name(), &args, None).await.map(drop)
    }

    /// Sends an event to the other servers of the cluster and collects their answers, for `ack_timeout` at most. A server
    /// that stands alone gets none, at once.
    ///
    /// # Errors
    /// When the arguments cannot be encoded, the other servers cannot be told, or an answer does not fit `R`.
    pub async fn server_side_emit_with_ack<A: Serialize, R: DeserializeOwned>(
        &self,
        event: impl Ask<A, R>,
        args: A,
    ) -> Result<Vec<R>, ClusterError> {
        let args = OwnedArgs::encode(&args)?;
        let hub = &self.0.hub;
        let limit = Some(hub.config.ack_timeout);
        let answers = hub.adapter.server_side_emit(&hub.path, event.name(), &args, limit).await?;
        answers.iter().map(|answer| Ok(answer.as_args().decode()?)).collect()
    }

    /// Tells `watcher` of every room that comes and goes on this server, and of every socket that joins or leaves one.
    /// It is called in the middle of the join or leave: it must be quick, and must not block.
    pub fn on_room(&self, watcher: impl Fn(&RoomEvent) + Send + Sync + 'static) -> &Self {
        self.0.handlers.watchers.add(Arc::new(watcher));
        self
    }

    /// Calls `handler` for events of this name, from every socket of the namespace. A tuple takes several arguments,
    /// `()` none, anything else the first.
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
        self.0.handlers.listeners.named(allowed(event.name()), Handler::event(handler))
    }

    /// Like [`Self::on`], and what `handler` returns is the answer, whatever its type: a `Result` goes to the client, too,
    /// as `{"Ok":…}` or `{"Err":…}`, and not to `on_error`. For answers that can fail there is [`Self::on_message`].
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
        self.0.handlers.listeners.named(allowed(event.name()), Handler::answering(handler))
    }

    /// Calls `handler` for events of this name with their arguments undecoded, and with the right to answer later.
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn on_message<F, Fut>(&self, event: &str, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.0.handlers.listeners.named(allowed(event), Handler::message(handler))
    }

    /// Calls `handler` for every event, before the handlers registered for its name.
    pub fn on_any<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.0.handlers.listeners.any(Handler::message(handler))
    }

    /// Calls `handler` for events that no handler is registered for by name.
    pub fn on_unhandled<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.0.handlers.listeners.unhandled(Handler::message(handler))
    }

    /// Every socket of the namespace.
    pub fn all(&self) -> Target {
        Target::all(&self.0.hub)
    }

    /// The members of rooms. A socket's id is a room with that one member.
    pub fn to(&self, rooms: impl Rooms) -> Target {
        self.all().to(rooms)
    }

    /// Everybody but the members of rooms.
    pub fn except(&self, rooms: impl Rooms) -> Target {
        self.all().except(rooms)
    }

    /// Everybody on this server.
    pub fn local(&self) -> Target {
        self.all().local()
    }

    /// Everybody who can take an event at this moment.
    pub fn volatile(&self) -> Target {
        self.all().volatile()
    }

    /// Everybody, with events that are compressed or not.
    pub fn compress(&self, compress: bool) -> Target {
        self.all().compress(compress)
    }

    /// Everybody, with another policy for those whose outbox is full; see [`Target::when_full`].
    pub fn when_full(&self, policy: WhenFull) -> Target {
        self.all().when_full(policy)
    }

    /// Everybody, with events of which only the newest matters; see [`Target::latest`].
    pub fn latest(&self, key: impl Into<Arc<str>>) -> Target {
        self.all().latest(key)
    }

    /// Everybody, with a limit for answers.
    pub fn timeout(&self, limit: Duration) -> Target {
        self.all().timeout(limit)
    }

    /// Sends an event to everybody. See [`Target::emit`].
    ///
    /// # Errors
    /// When the arguments cannot be encoded or the name is reserved.
    pub fn emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), EmitError> {
        self.all().emit(event, args)
    }

    /// Sends an event to everybody and collects the answers. See [`Target::emit_with_ack`].
    pub fn emit_with_ack<A: Serialize, R: DeserializeOwned>(&self, event: impl Ask<A, R>, args: A) -> Replies<R> {
        self.all().emit_with_ack(event, args)
    }

    /// The sockets of the namespace, on all servers. See [`Target::fetch_sockets`].
    ///
    /// # Errors
    /// When other servers cannot be asked.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, ClusterError> {
        self.all().fetch_sockets().await
    }
}
