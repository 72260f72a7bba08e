//! What all parts of a server share, and what another server may ask of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sockeye_protocol::{NamespacePath, OwnedArgs};
use tokio::sync::{Notify, watch};

use crate::adapter::{self, Node, Selection};
use crate::broadcast;
use crate::config::Config;
use crate::gate::Gate;
use crate::info::SocketInfo;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::remote::RemoteSocket;
use crate::table::Table;

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
    pub(crate) fn new(config: Config) -> Arc<Self> {
        let (config, metrics) = (Arc::new(config), Arc::new(Metrics::default()));
        let registry = Registry::new(Arc::clone(&config), Arc::clone(&metrics), Arc::clone(&config.adapter));
        let core = Arc::new(Self {
            gate: Gate::new(config.gate, tokio::time::Instant::now().into_std()),
            config,
            metrics,
            registry,
            table: Table::default(),
            closing: watch::Sender::new(false),
            task_ended: Notify::new(),
            is_draining: AtomicBool::new(false),
        });
        let node: Arc<dyn Node> = Arc::clone(&core) as Arc<dyn Node>;
        core.config.adapter.attach(Arc::downgrade(&node));
        core
    }

    /// Begins to close: nothing more is accepted.
    pub(crate) fn begin_closing(&self) {
        self.closing.send_replace(true);
    }

    pub(crate) fn closing(&self) -> Closing {
        Closing(self.closing.subscribe())
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

    pub(crate) fn task_ended(&self) {
        if self.is_draining.load(Ordering::SeqCst) {
            self.task_ended.notify_one();
        }
    }

    /// Waits until no session task is left.
    pub(crate) async fn drained(&self) {
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
