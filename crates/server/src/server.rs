//! The server: its builder, its life, and the verbs of the main namespace.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use sockeye_engine::Sid;
use sockeye_protocol::event::{Answer, Ask, Emit, Listen, Listener, Outcome};
use sockeye_protocol::{NamespacePath, OwnedArgs};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{Notify, watch};

use crate::Message;
use crate::ack::Replies;
use crate::adapter::{self, Node, Selection};
use crate::broadcast;
use crate::builder::ServerBuilder;
use crate::config::Config;
use crate::dynamic::DynamicNamespace;
use crate::error::{ClusterError, ConfigError, DisconnectReason, EmitError, Refusal};
use crate::gate::Gate;
use crate::handlers::HandlerError;
use crate::http::{SocketService, listen};
use crate::info::SocketInfo;
use crate::link::{Command, Link};
use crate::metrics::{Metrics, MetricsSnapshot};
use crate::namespace::Namespace;
use crate::pattern::Pattern;
use crate::peer::Peer;
use crate::registry::{Registry, Rule};
use crate::remote::RemoteSocket;
use crate::rooms::RoomEvent;
use crate::selector::Rooms;
use crate::session::table::Table;
use crate::socket::Socket;
use crate::target::Target;

/// What all parts of a server share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) table: Table,
    pub(crate) gate: Arc<Gate>,
    closing: watch::Sender<bool>,
    task_ended: Notify,
    /// Somebody waits for `task_ended`: otherwise ending a task costs nothing.
    is_draining: AtomicBool,
}

/// Resolves when the server begins to close.
pub(crate) struct Closing(watch::Receiver<bool>);

impl Closing {
    pub(crate) async fn wait(&mut self) {
        // An error means that the server is gone altogether.
        drop(self.0.wait_for(|closing| *closing).await);
    }
}

impl Core {
    pub(crate) fn closing(&self) -> Closing {
        Closing(self.closing.subscribe())
    }

    /// Twenty characters from a cryptographic source.
    ///
    /// # Panics
    /// When the operating system has no randomness to give, where no safe id can be made.
    pub(crate) fn random_id() -> SmolStr {
        let mut random = [0; 15];
        getrandom::fill(&mut random).expect("the operating system has randomness to give");
        SmolStr::new(Sid::from_random(random).as_str())
    }

    /// Makes a session known; false if the server is closing or the id is taken.
    pub(crate) fn enter(&self, link: &Arc<Link>) -> bool {
        if *self.closing.borrow() || !self.table.insert(link) {
            return false;
        }
        // `close` may have looked through the table just before.
        let closing = *self.closing.borrow();
        if closing {
            self.table.remove(link);
        }
        !closing
    }

    pub(crate) fn spawn(task: crate::session::task::Task) {
        let link = Arc::clone(task.link());
        link.set_abort(tokio::spawn(task).abort_handle());
    }

    pub(crate) fn task_ended(&self) {
        if self.is_draining.load(Ordering::SeqCst) {
            self.task_ended.notify_one();
        }
    }

    /// Waits until no session task is left.
    async fn drained(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
        while self.metrics.tasks.get() > 0 {
            self.task_ended.notified().await;
        }
    }
}

impl Node for Core {
    fn apply(&self, namespace: &NamespacePath, selection: &Selection, command: adapter::Command<'_>) {
        if let Some(namespace) = self.registry.visit(namespace) {
            broadcast::apply(namespace.hub(), selection, command);
        }
    }

    fn sockets(&self, namespace: &NamespacePath, selection: &Selection) -> Vec<SocketInfo> {
        let Some(namespace) = self.registry.visit(namespace) else { return Vec::new() };
        namespace.hub().select(selection).iter().map(|member| RemoteSocket::of(member).into_info()).collect()
    }

    fn server_event(
        &self,
        namespace: &NamespacePath,
        event: &str,
        args: &OwnedArgs,
    ) -> Pin<Box<dyn Future<Output = Vec<OwnedArgs>> + Send>> {
        match self.registry.visit(namespace) {
            Some(namespace) => Box::pin(namespace.handlers().server_event(event, args)),
            None => Box::pin(std::future::ready(Vec::new())),
        }
    }
}

/// A Socket.IO server. Cheap to clone; all clones are the same server.
///
/// It lives as long as it has work: dropping the handles ends nothing, [`Server::close`] does.
#[derive(Clone, Debug)]
pub struct Server {
    core: Arc<Core>,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// A server with the defaults of the official one.
    pub fn new() -> Self {
        Self::with_config(Config::default())
    }

    /// Sets options first.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    pub(crate) fn with_config(config: Config) -> Self {
        let (config, metrics) = (Arc::new(config), Arc::new(Metrics::default()));
        let registry = Registry::new(Arc::clone(&config), Arc::clone(&metrics), Arc::clone(&config.adapter));
        let gate = Gate::new(config.gate, std::time::Instant::now());
        let core = Core {
            config,
            metrics,
            registry,
            table: Table::default(),
            gate,
            closing: watch::Sender::new(false),
            task_ended: Notify::new(),
            is_draining: AtomicBool::new(false),
        };
        let core = Arc::new(core);
        let node: Arc<dyn Node> = Arc::clone(&core) as Arc<dyn Node>;
        core.config.adapter.attach(Arc::downgrade(&node));
        Self { core }
    }

    fn main(&self) -> &Namespace {
        self.core.registry.main()
    }

    /// Listens on `address` and serves until [`Self::close`] is called.
    ///
    /// Dropping the future stops accepting; connections that are open live on.
    ///
    /// # Errors
    /// When the address cannot be listened on: in use, not permitted, not local.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        self.serve(TcpListener::bind(address).await?).await
    }

    /// Serves the connections of a listener until [`Self::close`] is called.
    ///
    /// # Errors
    /// None at present: an accept that fails is logged and tried again.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        listen::serve(Arc::clone(&self.core), listener).await
    }

    /// Serves one byte stream that was accepted elsewhere: a Unix socket, the inside of a TLS connection, a pipe in tests.
    /// Runs until the stream ends or the server is closed; a WebSocket that began on it lives on by itself.
    ///
    /// `address` is what [`Peer::address`](crate::Peer::address) will say.
    ///
    /// ```no_run
    /// # async fn unix() -> std::io::Result<()> {
    /// let io = sockeye::Server::new();
    /// let listener = tokio::net::UnixListener::bind("/run/chat.sock")?;
    /// loop {
    ///     let (stream, _) = listener.accept().await?;
    ///     let io = io.clone();
    ///     tokio::spawn(async move { io.serve_stream(stream, None).await });
    /// }
    /// # }
    /// ```
    pub async fn serve_stream(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        address: Option<SocketAddr>,
    ) {
        listen::connection(Arc::clone(&self.core), Box::new(stream), address).await;
    }

    /// The service to mount into axum, hyper, or anything else that speaks tower.
    pub fn service(&self) -> SocketService {
        SocketService::new(Arc::clone(&self.core))
    }

    /// Ends the server: accepts nothing more, disconnects every socket (`server shutting down`; clients come back by
    /// themselves when there is a server again), writes what was emitted before, waits for handlers to end. What is not
    /// done after `grace` is cut off.
    ///
    /// Cancel safe: dropping the future leaves the server closing without the cut at the end.
    pub async fn close(&self, grace: Duration) {
        self.core.closing.send_replace(true);
        for link in self.core.table.all() {
            link.command(Command::Close { reason: DisconnectReason::ServerShuttingDown, say: false });
        }
        if tokio::time::timeout(grace, self.core.drained()).await.is_err() {
            for link in self.core.table.all() {
                link.abort();
            }
            self.core.drained().await;
        }
        if let Err(error) = self.core.config.adapter.close().await {
            tracing::warn!(%error, "the other servers were not told of the end");
        }
    }

    /// The figures that the server keeps about itself.
    pub fn metrics(&self) -> MetricsSnapshot {
        self.core.metrics.snapshot()
    }

    /// The namespace of this path, made if it is not there. A missing `/` at the beginning is added; `/` is always there.
    pub fn of(&self, path: &str) -> Namespace {
        self.core.registry.pin(NamespacePath::new(path))
    }

    /// Namespaces made on demand: every path that fits `pattern`, where `{name}` stands for one or more characters other
    /// than `/`. One comes into being when the first client asks for it, and is freed when the last has left.
    ///
    /// # Errors
    /// When the pattern has unbalanced braces, or two holes with nothing between them.
    pub fn of_pattern(&self, pattern: &str) -> Result<DynamicNamespace, ConfigError> {
        let rule = Rule::Pattern(Pattern::parse(pattern)?);
        Ok(DynamicNamespace::new(&self.core.registry, self.core.registry.add_parent(rule)))
    }

    /// Namespaces made on demand: every path for which `decide` says so. Rules are asked in the order in which they were
    /// registered, after the namespaces that have a name of their own.
    pub fn of_with<F, Fut>(&self, decide: F) -> DynamicNamespace
    where
        F: FnOnce(String, Peer) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        let rule = Rule::Function(Arc::new(move |path, peer| Box::pin(decide.clone()(path, peer))));
        DynamicNamespace::new(&self.core.registry, self.core.registry.add_parent(rule))
    }

    /// The namespaces there are.
    pub fn namespaces(&self) -> Vec<Namespace> {
        self.core.registry.all()
    }
}

/// The verbs of the main namespace, `/`.
impl Server {
    /// See [`Namespace::authorize`].
    pub fn authorize<A, F, Fut>(&self, check: F) -> &Self
    where
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Peer, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.main().authorize(check);
        self
    }

    /// See [`Namespace::on_connect`].
    pub fn on_connect<F, Fut>(&self, handler: F) -> &Self
    where
        F: FnOnce(Socket) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().on_connect(handler);
        self
    }

    /// See [`Namespace::on_disconnect`].
    pub fn on_disconnect<F, Fut>(&self, handler: F) -> &Self
    where
        F: FnOnce(Socket, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().on_disconnect(handler);
        self
    }

    /// See [`Namespace::on_error`].
    pub fn on_error(&self, hook: impl Fn(&Socket, HandlerError) + Send + Sync + 'static) -> &Self {
        self.main().on_error(hook);
        self
    }

    /// See [`Namespace::filter`].
    pub fn filter<F, Fut>(&self, check: F) -> &Self
    where
        F: FnOnce(Socket, Arc<Message>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().filter(check);
        self
    }

    /// See [`Namespace::on_server`].
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

    /// See [`Namespace::server_side_emit`].
    ///
    /// # Errors
    /// When the arguments cannot be encoded, or the other servers cannot be told.
    pub async fn server_side_emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), ClusterError> {
        self.main().server_side_emit(event, args).await
    }

    /// See [`Namespace::server_side_emit_with_ack`].
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

    /// See [`Namespace::on_room`].
    pub fn on_room(&self, watcher: impl Fn(&RoomEvent) + Send + Sync + 'static) -> &Self {
        self.main().on_room(watcher);
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
        self.main().on(event, handler)
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
        self.main().on_with_ack(event, handler)
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
        self.main().on_message(event, handler)
    }

    /// See [`Namespace::on_any`].
    pub fn on_any<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().on_any(handler)
    }

    /// See [`Namespace::on_unhandled`].
    pub fn on_unhandled<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Socket, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.main().on_unhandled(handler)
    }

    /// See [`Namespace::to`].
    pub fn to(&self, rooms: impl Rooms) -> Target {
        self.main().to(rooms)
    }

    /// See [`Namespace::except`].
    pub fn except(&self, rooms: impl Rooms) -> Target {
        self.main().except(rooms)
    }

    /// See [`Namespace::local`].
    pub fn local(&self) -> Target {
        self.main().local()
    }

    /// See [`Namespace::volatile`].
    pub fn volatile(&self) -> Target {
        self.main().volatile()
    }

    /// See [`Namespace::compress`].
    pub fn compress(&self, compress: bool) -> Target {
        self.main().compress(compress)
    }

    /// See [`Namespace::timeout`].
    pub fn timeout(&self, limit: Duration) -> Target {
        self.main().timeout(limit)
    }

    /// See [`Namespace::emit`].
    ///
    /// # Errors
    /// When the arguments cannot be encoded or the name is reserved.
    pub fn emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), EmitError> {
        self.main().emit(event, args)
    }

    /// See [`Namespace::emit_with_ack`].
    pub fn emit_with_ack<A: Serialize, R: DeserializeOwned>(&self, event: impl Ask<A, R>, args: A) -> Replies<R> {
        self.main().emit_with_ack(event, args)
    }

    /// See [`Namespace::fetch_sockets`].
    ///
    /// # Errors
    /// When other servers cannot be asked.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, ClusterError> {
        self.main().fetch_sockets().await
    }

    /// The socket with this id in the main namespace, if it is on this server. See [`Namespace::get`].
    pub fn get(&self, id: &str) -> Option<Socket> {
        self.main().get(id)
    }
}
