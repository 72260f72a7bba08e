//! What all parts of a server share, and what another server may ask of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use sockeye_engine::Rhythm;
use sockeye_protocol::{NamespacePath, OwnedArgs};
use tokio::sync::{Notify, watch};

use crate::adapter::{self, Node, Selection};
use crate::broadcast;
use crate::config::Config;
use crate::gate::Gate;
use crate::info::SocketInfo;
use crate::link::Link;
use crate::metrics::{Count, Metrics, MetricsSnapshot};
use crate::outbox::Queued;
use crate::registry::Registry;
use crate::remote::RemoteSocket;
use crate::table::Table;

/// What all parts of a server share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) table: Table<Link>,
    pub(crate) gate: Arc<Gate>,
    /// How idle connections were that broke.
    pub(crate) rhythm: Mutex<Rhythm>,
    /// When the server began.
    pub(crate) started: Instant,
    phase: watch::Sender<Phase>,
    /// WebSockets whose last bytes are being written, when their session is over already.
    farewells: Count,
    /// HTTP connections of the own accept loop.
    connections: Count,
    something_ended: Notify,
    /// Somebody waits for `something_ended`: otherwise ending a task costs nothing.
    is_draining: AtomicBool,
}

/// Where a server is in its life. There is no way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Everybody is welcome.
    Open,
    /// Who has a session is served to its end; nobody else is let in.
    Refusing,
    /// Nobody has a session: what was asked is answered, and nobody is listened to any more.
    Stopping,
    /// Nothing is left.
    Closed,
}

/// Resolves as the server ends.
pub(crate) struct Closing(watch::Receiver<Phase>);

impl Closing {
    /// When nobody needs a connection any more.
    pub(crate) fn wait(&mut self) -> impl Future<Output = ()> {
        self.reached(Phase::Stopping)
    }

    /// When all is over.
    pub(crate) fn wait_for_end(&mut self) -> impl Future<Output = ()> {
        self.reached(Phase::Closed)
    }

    async fn reached(&mut self, wanted: Phase) {
        // An error means that the server is gone altogether.
        drop(self.0.wait_for(|phase| *phase >= wanted).await);
    }
}

/// Something that `close` waits for; until it is dropped.
pub(crate) struct Hold {
    core: Arc<Core>,
    count: fn(&Core) -> &Count,
}

impl Drop for Hold {
    fn drop(&mut self) {
        (self.count)(&self.core).down();
        self.core.something_ended();
    }
}

impl Core {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        let (config, metrics) = (Arc::new(config), Arc::new(Metrics::default()));
        let registry = Registry::new(Arc::clone(&config), Arc::clone(&metrics), Arc::clone(&config.adapter));
        let started = tokio::time::Instant::now().into_std();
        let core = Arc::new(Self {
            gate: Gate::new(config.gate, started),
            rhythm: Mutex::default(),
            started,
            config,
            metrics,
            registry,
            table: Table::default(),
            phase: watch::Sender::new(Phase::Open),
            farewells: Count::default(),
            connections: Count::default(),
            something_ended: Notify::new(),
            is_draining: AtomicBool::new(false),
        });
        let node: Arc<dyn Node> = Arc::clone(&core) as Arc<dyn Node>;
        core.config.adapter.attach(Arc::downgrade(&node));
        core
    }

    /// The figures at this moment. What is summed up for them is not counted on the way of a message.
    pub(crate) fn snapshot(&self) -> MetricsSnapshot {
        let mut figures = self.metrics.snapshot();
        self.table.for_each(|link| {
            let Queued { packets, bytes, .. } = link.queued();
            figures.queued_packets += packets as u64;
            figures.queued_bytes += bytes as u64;
        });
        for namespace in self.registry.all() {
            let Some(log) = namespace.hub().log() else { break };
            let (away, events, bytes) = log.lock().kept();
            figures.recovery_away += away as u64;
            figures.recovery_events += events as u64;
            figures.recovery_bytes += bytes as u64;
        }
        figures
    }

    /// Begins to close: no new session is accepted.
    pub(crate) fn refuse(&self) {
        self.advance(Phase::Refusing);
    }

    /// There are no sessions any more: connections end, and none is accepted.
    pub(crate) fn stop(&self) {
        self.advance(Phase::Stopping);
    }

    /// All is over.
    pub(crate) fn closed(&self) {
        self.advance(Phase::Closed);
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let is_later = to > *phase;
            *phase = to.max(*phase);
            is_later
        });
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.phase.borrow() == Phase::Open
    }

    /// Whether nobody needs a connection any more.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.phase.borrow() >= Phase::Stopping
    }

    pub(crate) fn closing(&self) -> Closing {
        Closing(self.phase.subscribe())
    }

    /// The last bytes of a WebSocket are being written.
    pub(crate) fn hold_farewell(self: &Arc<Self>) -> Hold {
        self.hold(|core| &core.farewells)
    }

    /// An HTTP connection is served.
    pub(crate) fn hold_connection(self: &Arc<Self>) -> Hold {
        self.hold(|core| &core.connections)
    }

    fn hold(self: &Arc<Self>, count: fn(&Self) -> &Count) -> Hold {
        count(self).up();
        Hold { core: Arc::clone(self), count }
    }

    /// Makes a session known; false if the server is closing or the id is taken.
    pub(crate) fn enter(&self, link: &Arc<Link>) -> bool {
        if !self.is_open() || !self.table.insert(link) {
            return false;
        }
        // `close` may have looked through the table just before.
        let is_open = self.is_open();
        if !is_open {
            self.table.remove(link);
        }
        is_open
    }

    /// A session task has ended, or whatever else `close` waits for.
    pub(crate) fn something_ended(&self) {
        if self.is_draining.load(Ordering::SeqCst) {
            self.something_ended.notify_waiters();
        }
    }

    /// Waits until no session task is left.
    pub(crate) async fn tasks_ended(&self) {
        self.wait_until(|core| core.metrics.tasks.get() == 0).await;
    }

    /// Waits until no session task is left and what was written last is on its way.
    pub(crate) async fn drained(&self) {
        self.wait_until(|core| core.metrics.tasks.get() + core.farewells.get() == 0).await;
    }

    /// Waits until no HTTP connection of the own accept loop is left.
    pub(crate) async fn disconnected(&self) {
        self.wait_until(|core| core.connections.get() == 0).await;
    }

    async fn wait_until(&self, done: impl Fn(&Self) -> bool) {
        self.is_draining.store(true, Ordering::SeqCst);
        loop {
            let mut ended = std::pin::pin!(self.something_ended.notified());
            ended.as_mut().enable();
            if done(self) {
                return;
            }
            ended.await;
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
