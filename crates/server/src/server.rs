//! The server: its builder, its life, and the verbs of the main namespace.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sockeye_protocol::NamespacePath;

use crate::builder::ServerBuilder;
use crate::config::Config;
use crate::core::Core;
use crate::dynamic::DynamicNamespace;
use crate::error::ConfigError;
use crate::metrics::MetricsSnapshot;
use crate::namespace::Namespace;
use crate::pattern::Pattern;
use crate::peer::Peer;
use crate::registry::Rule;
use crate::shutdown;

/// A Socket.IO server. Cheap to clone; all clones are the same server.
///
/// It lives as long as it has work: dropping the handles ends nothing, [`Server::close`] does.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) core: Arc<Core>,
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

    /// Ends the server: opens no more sessions (503), disconnects every socket (`server shutting down`; clients come back
    /// by themselves when there is a server again), writes what was emitted before, waits for handlers to end. A socket
    /// leaves when no answer is open, neither one that the client waits for nor one of the client, but not later than in the
    /// last quarter of the grace; no new events are heard meanwhile. What is not done after `grace` is cut off; a handler that blocks its thread, which cannot be, is left alone a second later. At last [`Self::listen`] and its like return.
    ///
    /// Sockets are not disconnected all at once, because their clients will not come back all at once then: at most 500
    /// in a second while that takes no more than half of the grace, else as fast as half of the grace demands. 100
    /// sessions take a fifth of a second, 100,000 with a grace of 30 s are told within 15 s. Those who have not been told
    /// yet are served as ever.
    ///
    /// # Cancel safety
    /// Dropping the future stops nothing: the server closes as it would have. It can be called several times; the
    /// shortest grace counts.
    pub async fn close(&self, grace: Duration) {
        // In a task of its own: who waits may be one of the handlers that are cut off.
        if let Err(error) = tokio::spawn(shutdown::close(Arc::clone(&self.core), grace)).await {
            tracing::error!(%error, "the server did not close in order");
        }
    }

    /// Whether new clients are welcome: true until [`Self::close`] begins. For the readiness probe of a load balancer,
    /// which should send nobody new to a server that is about to end.
    pub fn is_ready(&self) -> bool {
        self.core.is_open()
    }

    /// The figures that the server keeps about itself. Some are summed up when they are asked for, so ask every few seconds
    /// rather than for every message.
    pub fn metrics(&self) -> MetricsSnapshot {
        self.core.snapshot()
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
