//! What handles share with the task that owns a connection.
//!
//! Handles only enqueue. The task holds nothing here while it waits, and nothing here is locked while user code runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_channel::oneshot;
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, RwLock};
use smol_str::SmolStr;
use sockeye_protocol::event::{self, Asker, EmitError, Listeners};
use sockeye_protocol::{AckId, NamespacePath, Outgoing, OwnedArgs, Parser};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::cause::Tally;
use crate::config::{Config, Limits};
use crate::error::ConnectError;
use crate::hooks::Hooks;
use crate::measure::Measure;
use crate::patience::Patience;
use crate::queue::{Item, Kind, Queue};
use crate::state::{Disconnect, Ending, State};
use crate::watchers::Watchers;

/// One connection, as the clients of its namespaces see it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) config: Arc<Config>,
    mailbox: Mutex<Mailbox>,
    waker: AtomicWaker,
    /// The task is running or has been woken: no need to wake it again.
    awake: AtomicBool,
    /// Whether the server is still there is to be looked into.
    check: AtomicBool,
    /// The transport takes packets at this moment; see `volatile`.
    pub(crate) writable: AtomicBool,
    /// What the server takes in one piece.
    pub(crate) measure: Measure,
    /// How often the server went beyond a limit.
    pub(crate) tally: Tally,
}

#[derive(Debug, Default)]
struct Mailbox {
    commands: Vec<Command>,
    /// A task owns the connection, or will in a moment.
    is_running: bool,
}

/// What is asked of the task.
#[derive(Debug)]
pub(crate) enum Command {
    /// Connect this client and keep it connected.
    Connect { member: Arc<Member>, done: Option<oneshot::Sender<Result<(), ConnectError>>> },
    /// Disconnect this client; `done` is dropped when nothing of it is left.
    Disconnect { member: Arc<Member>, done: oneshot::Sender<()> },
}

impl Link {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            mailbox: Mutex::default(),
            waker: AtomicWaker::new(),
            awake: AtomicBool::new(false),
            check: AtomicBool::new(false),
            writable: AtomicBool::new(false),
            measure: Measure::default(),
            tally: Tally::default(),
        }
    }

    /// Asks the task to connect a client, which takes events from now on. If there is no task: the runtime in which it
    /// must be started.
    ///
    /// # Panics
    /// When there is no task, outside of a tokio runtime. Nothing is changed then.
    #[must_use]
    pub(crate) fn connect(
        &self,
        member: &Arc<Member>,
        done: oneshot::Sender<Result<(), ConnectError>>,
    ) -> Option<Handle> {
        let mut mailbox = self.mailbox.lock();
        let runtime = (!mailbox.is_running).then(Handle::current);
        mailbox.is_running = true;
        // Before the task can see the command, and in the order of the commands.
        member.activate();
        mailbox.commands.push(Command::Connect { member: Arc::clone(member), done: Some(done) });
        drop(mailbox);
        self.ring();
        runtime
    }

    /// Asks the task to disconnect a client, which takes no events from now on. `None` if there is no task, and so
    /// nothing to do.
    pub(crate) fn disconnect(&self, member: &Arc<Member>) -> Option<oneshot::Receiver<()>> {
        let mut mailbox = self.mailbox.lock();
        if !mailbox.is_running {
            return None;
        }
        let (done, told) = oneshot::channel();
        member.outbox.lock().is_active = false;
        mailbox.commands.push(Command::Disconnect { member: Arc::clone(member), done });
        drop(mailbox);
        self.ring();
        Some(told)
    }

    /// Asks the task to see whether the server is still there.
    pub(crate) fn check(&self) {
        self.check.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Wakes the task unless it is awake.
    pub(crate) fn ring(&self) {
        if !self.awake.swap(true, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    // what follows is for the task alone

    /// The task begins a turn: what was asked of it meanwhile.
    pub(crate) fn wake_up(&self) -> Vec<Command> {
        self.awake.store(true, Ordering::SeqCst);
        std::mem::take(&mut self.mailbox.lock().commands)
    }

    /// Whether [`Self::check`] was called since the last time.
    pub(crate) fn take_check(&self) -> bool {
        self.check.swap(false, Ordering::SeqCst)
    }

    /// The task is about to wait. What comes after this rings; look once more for what came before.
    pub(crate) fn sleep(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
        self.awake.store(false, Ordering::SeqCst);
    }

    pub(crate) fn has_commands(&self) -> bool {
        self.check.load(Ordering::SeqCst) || !self.mailbox.lock().commands.is_empty()
    }

    /// The task ends; false if it was asked for something in this moment.
    pub(crate) fn retire(&self) -> bool {
        let mut mailbox = self.mailbox.lock();
        mailbox.is_running = !mailbox.commands.is_empty();
        !mailbox.is_running
    }

    /// The task was dropped with its runtime. What was asked of it is told so by being dropped.
    pub(crate) fn abandon(&self) -> Vec<Command> {
        let mut mailbox = self.mailbox.lock();
        mailbox.is_running = false;
        std::mem::take(&mut mailbox.commands)
    }
}

/// One client: a namespace on a connection.
pub(crate) struct Member {
    pub(crate) link: Arc<Link>,
    pub(crate) path: NamespacePath,
    pub(crate) limits: Limits,
    pub(crate) listeners: Listeners<Client>,
    pub(crate) hooks: RwLock<Arc<Hooks<Client>>>,
    pub(crate) watchers: Watchers,
    pub(crate) outbox: Mutex<Outbox>,
    pub(crate) inbox: Mutex<Inbox>,
    /// Tells those who wait for room in the queue.
    pub(crate) room: Notify,
    /// Tells those who wait for a message.
    pub(crate) mail: Notify,
    state: watch::Sender<State>,
    identity: Mutex<Identity>,
    /// How it left its namespace the last time.
    pub(crate) last_disconnect: Mutex<Option<Disconnect>>,
    /// For the task alone; here because refusals outlive it.
    pub(crate) patience: Mutex<Patience>,
    next_ack: AtomicU64,
    /// Makes ids of this client's events unlike those of others.
    pub(crate) origin: String,
    /// Counts connections, so that answers go only where the question came from.
    epoch: AtomicU64,
}

/// The handle of one namespace on a connection. Cheap to clone; all clones are the same client.
///
/// See the [crate documentation](crate) for an introduction.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) member: Arc<Member>,
    /// The connection which this handle was given to a handler for; answers go nowhere else.
    epoch: u64,
}

impl Client {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        let epoch = member.epoch();
        Self { member, epoch }
    }

    /// The handle for the handlers of an event of connection `epoch`.
    pub(crate) fn of_epoch(member: Arc<Member>, epoch: u64) -> Self {
        Self { member, epoch }
    }
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.member, &other.member)
    }
}

impl Eq for Client {}

impl event::Handle for Client {
    fn parser(&self) -> &Parser {
        &self.member.link.config.parser
    }

    fn namespace(&self) -> &NamespacePath {
        &self.member.path
    }

    fn reply(&self, packet: Outgoing) -> Result<(), EmitError> {
        self.member.push_reply(packet, self.epoch)
    }
}

/// The way out, and whether it is open.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) queue: Queue,
    /// With `retries`: answers and volatile events, which wait for no acknowledgement. The server may need them before
    /// it acknowledges what it was sent.
    express: Queue,
    /// Events are taken: the client is connected or will try to be.
    pub(crate) is_active: bool,
    /// In its namespace: what waits may be sent.
    pub(crate) is_joined: bool,
}

impl Outbox {
    /// What is sent next; `held`: an event must be acknowledged before others of the queue.
    pub(crate) fn pop(&mut self, held: bool) -> Option<(Item, Option<Asker>)> {
        self.express.pop().or_else(|| if held { None } else { self.queue.pop() })
    }

    pub(crate) fn has_packet(&self, held: bool) -> bool {
        !self.express.is_empty() || !held && !self.queue.is_empty()
    }

    /// Packets and bytes that wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let (queue, express) = (self.queue.waiting(), self.express.waiting());
        (queue.0 + express.0, queue.1 + express.1)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.queue.dropped() + self.express.dropped()
    }

    /// Where that waits which is sent once.
    fn once(&mut self, limits: &Limits) -> &mut Queue {
        if limits.retries.is_some() { &mut self.express } else { &mut self.queue }
    }
}

/// Events which no handler took, for [`Client::next`].
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) messages: VecDeque<Stray>,
    pub(crate) bytes: usize,
    /// Somebody reads: from then on nothing is dropped, and the connection is read no faster than that.
    pub(crate) is_read: bool,
    pub(crate) dropped: u64,
}

/// An event which no handler took.
#[derive(Debug)]
pub(crate) struct Stray {
    pub(crate) name: Box<str>,
    pub(crate) args: OwnedArgs,
    pub(crate) ack: Option<AckId>,
    pub(crate) epoch: u64,
}

/// Who the server says this is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) id: Option<SmolStr>,
    pub(crate) recovered: bool,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Member {
    pub(crate) fn new(
        link: Arc<Link>,
        path: NamespacePath,
        limits: Limits,
        hooks: Hooks<Client>,
        listeners: Listeners<Client>,
    ) -> Self {
        let (state, _) = watch::channel(State::Disconnected(Ending::Idle));
        Self {
            link,
            path,
            limits,
            listeners,
            hooks: RwLock::new(Arc::new(hooks)),
            watchers: Watchers::default(),
            outbox: Mutex::default(),
            inbox: Mutex::default(),
            room: Notify::new(),
            mail: Notify::new(),
            state,
            identity: Mutex::default(),
            last_disconnect: Mutex::default(),
            patience: Mutex::default(),
            next_ack: AtomicU64::new(0),
            origin: crate::random::text(16),
            epoch: AtomicU64::new(0),
        }
    }

    /// Adds to the queue, if the client is active.
    pub(crate) fn push(&self, item: Item, asker: Option<Asker>) -> Result<(), EmitError> {
        let mut outbox = self.outbox.lock();
        if !outbox.is_active {
            return Err(EmitError::Closed);
        }
        self.link.measure.check(&item.packet)?;
        let pushed = outbox.queue.push(item, asker, &self.limits);
        let joined = outbox.is_joined;
        drop(outbox);
        if joined {
            // Also if it is full: perhaps of questions whose answers are not waited for any more.
            self.link.ring();
        }
        pushed
    }

    /// Adds to the queue if it can be sent at this moment; otherwise counts it as dropped, and says so by `false`.
    pub(crate) fn push_volatile(&self, item: Item) -> Result<bool, EmitError> {
        let mut outbox = self.outbox.lock();
        if !outbox.is_active {
            return Err(EmitError::Closed);
        }
        self.link.measure.check(&item.packet)?;
        let is_joined = outbox.is_joined;
        let queue = outbox.once(&self.limits);
        let ready = is_joined && queue.is_empty() && self.link.writable.load(Ordering::Relaxed);
        if !ready {
            queue.count_dropped();
            return Ok(false);
        }
        queue.push(item, None, &self.limits)?;
        drop(outbox);
        self.link.ring();
        Ok(true)
    }

    /// Adds the answer to an event of connection `epoch`.
    pub(crate) fn push_reply(&self, packet: Outgoing, epoch: u64) -> Result<(), EmitError> {
        let mut outbox = self.outbox.lock();
        if !outbox.is_joined || self.epoch() != epoch {
            return Err(EmitError::Closed);
        }
        self.link.measure.check(&packet)?;
        outbox.once(&self.limits).push(Item { packet, kind: Kind::Reply }, None, &self.limits)?;
        drop(outbox);
        self.link.ring();
        Ok(())
    }

    pub(crate) fn next_ack(&self) -> AckId {
        AckId(self.next_ack.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity.lock().clone()
    }

    pub(crate) fn hooks(&self) -> Arc<Hooks<Client>> {
        Arc::clone(&self.hooks.read())
    }

    /// The client is wanted: events are taken from now on.
    pub(crate) fn activate(&self) {
        let was_active = std::mem::replace(&mut self.outbox.lock().is_active, true);
        if !was_active {
            self.set_state(State::Connecting);
        }
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.send_replace(state);
    }

    // what follows is for the task alone

    /// The server has let the client in.
    pub(crate) fn join(&self, id: &str, recovered: bool) {
        *self.identity.lock() = Identity { id: Some(id.into()), recovered };
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.outbox.lock().is_joined = true;
    }

    /// The client is not in its namespace any more, but may come back.
    pub(crate) fn leave(&self) {
        let mut outbox = self.outbox.lock();
        outbox.is_joined = false;
        outbox.once(&self.limits).drop_replies();
        drop(outbox);
        *self.identity.lock() = Identity::default();
    }

    /// The client is disconnected and will not come back by itself.
    pub(crate) fn deactivate(&self, ending: Ending) {
        let mut outbox = self.outbox.lock();
        outbox.is_active = false;
        outbox.is_joined = false;
        let lost = outbox.queue.clear() + outbox.express.clear();
        drop(outbox);
        if lost > 0 {
            tracing::debug!(lost, "events were not sent, because the client was disconnected");
        }
        *self.identity.lock() = Identity::default();
        self.set_state(State::Disconnected(ending));
        self.room.notify_waiters();
        self.mail.notify_waiters();
    }
}

/// An event with its arguments not decoded yet; see [`Client::on_message`], [`Client::on_any`] and [`Client::next`].
pub type Message = sockeye_protocol::event::Message<Client>;
/// The right to answer an event once; see [`sockeye_protocol::event::Ack`].
pub type Ack = sockeye_protocol::event::Ack<Client>;
