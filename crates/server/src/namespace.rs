//! The handle of one namespace, and what happens in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use sockeye_protocol::event::{Answer, Ask, Emit, Handler, Listen, Listener, Listeners, Outcome};

use crate::Message;
use crate::ack::Replies;
use crate::adapter::Selection;
use crate::error::{BoxError, ClusterError, DisconnectReason, EmitError, Refusal};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::remote::RemoteSocket;
use crate::selector::Rooms;
use crate::socket::{DisconnectHandler, Job, Socket, allowed, disconnect_handler};
use crate::target::Target;

/// A future that decides about a CONNECT.
pub(crate) type Verdict = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;
type Authorize = Arc<dyn Fn(Peer) -> Verdict + Send + Sync>;
type Connect = Arc<dyn Fn(Socket) -> Job + Send + Sync>;
type ErrorHook = Arc<dyn Fn(&Socket, HandlerError) + Send + Sync>;

/// A namespace: a part of the server with its own sockets, rooms, handlers and admission. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<Core>);

pub(crate) struct Core {
    pub(crate) hub: Arc<Hub>,
    pub(crate) listeners: Listeners<Socket>,
    hooks: RwLock<Arc<Hooks>>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Namespace").field("path", &self.hub.path).finish_non_exhaustive()
    }
}

/// What is called at the beginning and at the end of a socket.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    authorize: Vec<Authorize>,
    connect: Vec<Connect>,
    disconnect: Vec<DisconnectHandler>,
    error: Option<ErrorHook>,
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
                connect(socket.clone()).await?;
            }
            Ok(())
        }))
    }

    /// Calls every `on_disconnect` in turn, those of the socket last. `None` if there is none.
    pub(crate) fn disconnect(&self, socket: Socket, reason: DisconnectReason) -> Option<Job> {
        let mut handlers = self.disconnect.clone();
        if let Some(own) = socket.own() {
            handlers.extend(own.disconnect.lock().iter().cloned());
        }
        if handlers.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            let mut outcome = Ok(());
            for handler in handlers {
                // One that fails must not keep the others from being called.
                let result = handler(socket.clone(), reason).await;
                outcome = outcome.and(result);
            }
            outcome
        }))
    }

    /// Tells `on_error`.
    pub(crate) fn failed(&self, socket: &Socket, error: HandlerError) {
        if let Some(hook) = &self.error {
            hook(socket, error);
        } else {
            tracing::warn!(event = error.event(), error = %error.source, "a handler failed");
        }
    }
}

impl Namespace {
    pub(crate) fn new(hub: Hub) -> Self {
        let hooks = RwLock::new(Arc::new(Hooks::default()));
        Self(Arc::new(Core { hub: Arc::new(hub), listeners: Listeners::default(), hooks }))
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    pub(crate) fn listeners(&self) -> &Listeners<Socket> {
        &self.0.listeners
    }

    pub(crate) fn hooks(&self) -> Arc<Hooks> {
        Arc::clone(&self.0.hooks.read())
    }

    fn change_hooks(&self, change: impl FnOnce(&mut Hooks)) {
        change(Arc::make_mut(&mut self.0.hooks.write()));
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
        let authorize: Authorize = Arc::new(move |peer| match peer.auth::<A>() {
            Ok(auth) => Box::pin(check.clone()(peer, auth)),
            Err(_) => Box::pin(std::future::ready(Err(Refusal::new("invalid auth")))),
        });
        self.change_hooks(|hooks| hooks.authorize.push(authorize));
        self
    }

    /// Calls `handler` for every socket that has joined the namespace. The socket's first event is handled when it has
    /// ended; what it emits leaves after the answer to CONNECT.
    pub fn on_connect<F, Fut>(&self, handler: F) -> &Self
    where
        F: FnOnce(Socket) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        let connect: Connect = Arc::new(move |socket| {
            let running = handler.clone()(socket);
            Box::pin(async move { running.await.into_result() })
        });
        self.change_hooks(|hooks| hooks.connect.push(connect));
        self
    }

    /// Calls `handler` for every socket that has left, exactly once and whatever the cause. Its rooms can still be
    /// read. It is not held up by a handler that is still running.
    pub fn on_disconnect<F, Fut>(&self, handler: F) -> &Self
    where
        F: FnOnce(Socket, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.change_hooks(|hooks| hooks.disconnect.push(disconnect_handler(handler)));
        self
    }

    /// Tells `hook` of every handler that failed: an error returned, arguments that do not fit, a panic. The connection
    /// lives on. One hook per namespace, the last one counts; without any, failures are logged at `warn`.
    pub fn on_error(&self, hook: impl Fn(&Socket, HandlerError) + Send + Sync + 'static) -> &Self {
        self.change_hooks(|hooks| hooks.error = Some(Arc::new(hook)));
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
        self.0.listeners.named(allowed(event.name()), Handler::event(handler))
    }

    /// Like [`Self::on`], and what `handler` returns is the answer.
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
        self.0.listeners.named(allowed(event.name()), Handler::answering(handler))
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
        self.0.listeners.named(allowed(event), Handler::message(handler))
    }

    /// Calls `handler` for every event, before the handlers registered for its name.
    pub fn on_any<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.0.listeners.any(Handler::message(handler))
    }

    /// Calls `handler` for events that no handler is registered for by name.
    pub fn on_unhandled<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.0.listeners.unhandled(Handler::message(handler))
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
