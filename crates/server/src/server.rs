//! The server: its builder, its life, and the verbs of the main namespace.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sockeye_protocol::NamespacePath;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::builder::ServerBuilder;
use crate::config::Config;
use crate::core::Core;
use crate::dynamic::DynamicNamespace;
use crate::error::{ConfigError, DisconnectReason};
use crate::http::{SocketService, listen};
use crate::link::Command;
use crate::metrics::MetricsSnapshot;
use crate::namespace::Namespace;
use crate::pattern::Pattern;
use crate::peer::Peer;
use crate::registry::Rule;

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
        Self { core: Core::new(config) }
    }

    pub(crate) fn main(&self) -> &Namespace {
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
        self.core.begin_closing();
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

impl ServerBuilder {
    /// Makes the server.
    ///
    /// # Errors
    /// When options contradict each other or cannot work; the message says what to change.
    pub fn build(self) -> Result<Server, ConfigError> {
        self.into_config().map(Server::with_config)
    }
}
