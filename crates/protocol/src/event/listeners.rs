//! The table of handlers by event name.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use hashbrown::HashMap;
use smol_str::SmolStr;

use super::{BoxError, Handler, Message, Received};

/// Handlers by event name; registered at any time, read by every connection.
///
/// Readers keep a [`Snapshot`] and take the lock only when something has changed since.
pub struct Listeners<H>(Arc<Shared<H>>);

struct Shared<H> {
    version: AtomicU64,
    table: RwLock<Arc<Table<H>>>,
}

struct Table<H> {
    named: HashMap<SmolStr, Vec<Arc<Entry<H>>>>,
    /// Called for every event, before the named ones.
    any: Vec<Arc<Entry<H>>>,
    /// Called for events that no named handler takes.
    unhandled: Vec<Arc<Entry<H>>>,
}

/// One registered handler.
pub struct Entry<H> {
    pub(super) handler: Handler<H>,
    /// How many events of this kind one socket may have in hand at once. 1: nothing of the socket runs beside it.
    pub(super) limit: AtomicUsize,
    once: AtomicBool,
    spent: AtomicBool,
}

/// Which list of the table a handler is in.
#[derive(Clone)]
enum Place {
    Named(SmolStr),
    Any,
    Unhandled,
}

impl<H> Default for Listeners<H> {
    fn default() -> Self {
        Self(Arc::new(Shared { version: AtomicU64::new(0), table: RwLock::default() }))
    }
}

impl<H> Default for Table<H> {
    fn default() -> Self {
        Self { named: HashMap::new(), any: Vec::new(), unhandled: Vec::new() }
    }
}

impl<H> Clone for Listeners<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H> fmt::Debug for Listeners<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listeners")
    }
}

impl<H> fmt::Debug for Entry<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<H: 'static> Listeners<H> {
    /// Adds a handler for the events called `name`, after those which are there.
    pub fn named(&self, name: &str, handler: Handler<H>) -> Listener
    where
        H: Send + Sync,
    {
        self.add(Place::Named(name.into()), handler)
    }

    /// Adds a handler for every event, called before the named ones.
    pub fn any(&self, handler: Handler<H>) -> Listener
    where
        H: Send + Sync,
    {
        self.add(Place::Any, handler)
    }

    /// Adds a handler for the events which no named handler takes.
    pub fn unhandled(&self, handler: Handler<H>) -> Listener
    where
        H: Send + Sync,
    {
        self.add(Place::Unhandled, handler)
    }

    /// Removes all handlers for `name`.
    pub fn remove_named(&self, name: &str) {
        drop(self.change(|table| table.named.remove(name)));
    }

    /// Removes all handlers.
    pub fn clear(&self) {
        drop(self.change(std::mem::take));
    }

    /// The table as it is now.
    pub fn snapshot(&self) -> Snapshot<H> {
        let table = self.0.table.read().unwrap_or_else(PoisonError::into_inner);
        Snapshot { version: self.0.version.load(Ordering::Acquire), table: Arc::clone(&table) }
    }

    fn add(&self, place: Place, handler: Handler<H>) -> Listener
    where
        H: Send + Sync,
    {
        let entry = Arc::new(Entry {
            handler,
            limit: AtomicUsize::new(1),
            once: AtomicBool::new(false),
            spent: AtomicBool::new(false),
        });
        self.change(|table| table.list(&place).push(Arc::clone(&entry)));
        let shared = Arc::downgrade(&self.0);
        Listener { control: Arc::new(Control { shared, entry, place }) }
    }

    fn change<T>(&self, edit: impl FnOnce(&mut Table<H>) -> T) -> T {
        self.0.change(edit)
    }
}

impl<H> Shared<H> {
    /// What `edit` takes out it returns: a handler is code of the application also when it is dropped, and that happens
    /// when the lock is released.
    fn change<T>(&self, edit: impl FnOnce(&mut Table<H>) -> T) -> T {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let output = edit(Arc::make_mut(&mut table));
        self.version.fetch_add(1, Ordering::Release);
        output
    }
}

impl<H> Clone for Table<H> {
    fn clone(&self) -> Self {
        Self { named: self.named.clone(), any: self.any.clone(), unhandled: self.unhandled.clone() }
    }
}

impl<H> Table<H> {
    fn list(&mut self, place: &Place) -> &mut Vec<Arc<Entry<H>>> {
        match place {
            Place::Named(name) => self.named.entry(name.clone()).or_default(),
            Place::Any => &mut self.any,
            Place::Unhandled => &mut self.unhandled,
        }
    }

    fn remove(&mut self, place: &Place, entry: &Arc<Entry<H>>) {
        self.list(place).retain(|other| !Arc::ptr_eq(other, entry));
        if let Place::Named(name) = place
            && self.named.get(name).is_some_and(Vec::is_empty)
        {
            self.named.remove(name);
        }
    }
}

impl<H: super::Handle> Entry<H> {
    /// An entry of no table: the handlers in `entries`, one after the other, if `check` lets the event pass.
    ///
    /// A handler that fails does not keep the next one from being called; the first error is reported.
    pub fn guarded<F, Fut>(check: F, entries: Vec<Arc<Self>>) -> Arc<Self>
    where
        F: FnOnce(H, Arc<Message<H>>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let limit = entries.iter().map(|entry| entry.limit.load(Ordering::Relaxed)).max().unwrap_or(1);
        Arc::new(Self {
            handler: Handler::new(move |handle: H, received: &Received<'_>| {
                let message = Arc::new(Message::new(handle.clone(), received));
                let verdict = check.clone()(handle.clone(), Arc::clone(&message));
                Ok(Box::pin(Self::run_all(verdict, entries.clone(), handle, message)))
            }),
            limit: AtomicUsize::new(limit),
            once: AtomicBool::new(false),
            spent: AtomicBool::new(false),
        })
    }
}

impl<H: super::Handle> Entry<H> {
    async fn run_all(
        verdict: impl Future<Output = Result<(), BoxError>>,
        entries: Vec<Arc<Self>>,
        handle: H,
        message: Arc<Message<H>>,
    ) -> Result<(), BoxError> {
        verdict.await?;
        let mut outcome = Ok(());
        for entry in entries.iter().filter(|entry| entry.claim()) {
            let started = entry.handler.start(handle.clone(), &message.received());
            let result = match started {
                Ok(running) => running.await,
                Err(error) => Err(error),
            };
            outcome = outcome.and(result);
        }
        outcome
    }
}

impl<H> Entry<H> {
    /// Whether the handler may take this event: always, or once.
    pub(super) fn claim(&self) -> bool {
        !self.once.load(Ordering::Relaxed) || !self.spent.swap(true, Ordering::AcqRel)
    }
}

/// A [`Listeners`] table at one moment.
pub struct Snapshot<H> {
    version: u64,
    table: Arc<Table<H>>,
}

impl<H> fmt::Debug for Snapshot<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("version", &self.version).finish_non_exhaustive()
    }
}

impl<H> Clone for Snapshot<H> {
    fn clone(&self) -> Self {
        Self { version: self.version, table: Arc::clone(&self.table) }
    }
}

impl<H: 'static> Snapshot<H> {
    /// Takes over what has changed in `listeners`, the table this is a snapshot of.
    pub fn refresh(&mut self, listeners: &Listeners<H>) {
        if listeners.0.version.load(Ordering::Acquire) != self.version {
            *self = listeners.snapshot();
        }
    }

    /// The handlers called for every event.
    pub fn any(&self) -> &[Arc<Entry<H>>] {
        &self.table.any
    }

    /// The handlers for the events called `name`.
    pub fn named(&self, name: &str) -> &[Arc<Entry<H>>] {
        self.table.named.get(name).map_or(&[], Vec::as_slice)
    }

    /// The handlers for events which no named handler takes.
    pub fn unhandled(&self) -> &[Arc<Entry<H>>] {
        &self.table.unhandled
    }
}

/// A registered handler. Dropping this changes nothing: the handler stays.
#[derive(Clone)]
pub struct Listener {
    control: Arc<dyn Controls + Send + Sync>,
}

struct Control<H> {
    shared: Weak<Shared<H>>,
    entry: Arc<Entry<H>>,
    place: Place,
}

/// What a [`Listener`] can do, without the type of the handle.
trait Controls {
    fn limit(&self, n: usize);
    fn once(&self);
    fn remove(&self);
}

impl<H> Controls for Control<H> {
    fn limit(&self, n: usize) {
        self.entry.limit.store(n.max(1), Ordering::Relaxed);
    }

    fn once(&self) {
        self.entry.once.store(true, Ordering::Relaxed);
    }

    fn remove(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.change(|table| table.remove(&self.place, &self.entry));
        }
    }
}

impl Listener {
    /// Lets one socket have `n` events of this handler in hand at once; they still start in arrival order, and other
    /// events of the socket go on beside them. Default 1: the next event of the socket starts when this one has ended.
    /// 0 counts as 1.
    pub fn concurrent(self, n: usize) -> Self {
        self.control.limit(n);
        self
    }

    /// Takes only the first event: of the socket, if it was registered on a socket; of all sockets of the namespace,
    /// if it was registered there.
    pub fn once(self) -> Self {
        self.control.once();
        self
    }

    /// Removes the handler. Events already waiting for it are still handled.
    pub fn remove(self) {
        self.control.remove();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
