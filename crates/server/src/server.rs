//! The server: its builder, its life, and the verbs of the main namespace.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sockeye_protocol::NamespacePath;

use crate::builder::ServerBuilder;
use crate::config::Config;
use crate::core::Core;
use crate::dynamic::DynamicNamespace;
use crate::error::{ConfigError, DisconnectReason};
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
