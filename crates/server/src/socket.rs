//! The handle of one client in one namespace.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use sockeye_protocol::event::{Answer, Ask, Emit, Handle, Handler, Listen, Listener, Listeners, Outcome, is_reserved};
use sockeye_protocol::{AckId, Args, NamespacePath, Outgoing, OwnedArgs, Parser};

use crate::ack::{Reply, Waiter, deadline};
use crate::broadcast;
use crate::cause::Disconnect;
use crate::config::WhenFull;
use crate::error::{AckError, BoxError, DisconnectReason, EmitError};
use crate::hub::{JoinError, Member};
use crate::limits::Limit;
use crate::link::{Command, Urgency};
use crate::outbox::{Level, Queued};
use crate::peer::{Data, Extensions, Peer};
use crate::selector::Rooms;
use crate::target::Target;
use crate::transport::Transport;
use crate::transport::carrier::Carrier;
use crate::warned::warn_first;

/// An event with its arguments not decoded yet; see [`Namespace::on_message`](crate::Namespace::on_message) and
/// [`Namespace::on_any`](crate::Namespace::on_any).
pub type Message = sockeye_protocol::event::Message<Socket>;
/// The right to answer an event once; see [`sockeye_protocol::event::Ack`].
pub type Ack = sockeye_protocol::event::Ack<Socket>;

/// One client in one namespace. Cheap to clone; keeping one after the client has left holds no buffers.
#[derive(Clone, Debug)]
pub struct Socket(Arc<Member>);

impl Handle for Socket {
    fn parser(&self) -> &Parser {
        self.0.hub.parser()
    }

    fn namespace(&self) -> &NamespacePath {
        &self.0.hub.path
    }

    fn reply(&self, packet: Outgoing) -> Result<(), EmitError> {
        self.push(packet)
    }
}

/// What not every socket has: handlers of its own, and an end.
#[derive(Default)]
pub(crate) struct Own {
    pub(crate) listeners: Listeners<Socket>,
    pub(crate) disconnect: Mutex<Vec<DisconnectHandler>>,
    /// How the socket left.
    left: OnceLock<Box<Disconnect>>,
}

/// A handler for the end of a socket, without its types.
pub(crate) type DisconnectHandler = Arc<dyn Fn(Socket, DisconnectReason) -> Job + Send + Sync>;
/// A handler's future.
pub(crate) type Job = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// Hides the types of a handler for the end of a socket.
pub(crate) fn disconnect_handler<F, Fut>(handler: F) -> DisconnectHandler
where
    F: FnOnce(Socket, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: Outcome> + Send + 'static,
{
    Arc::new(move |socket, reason| {
        let running = handler.clone()(socket, reason);
        Box::pin(async move { running.await.into_result() })
    })
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

impl Socket {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        Self(member)
    }

    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.0
    }

    /// Handlers registered on this socket alone, if there are any.
    pub(crate) fn own(&self) -> Option<&Own> {
        self.0.own.get().and_then(|own| own.downcast_ref())
    }

    fn own_or_new(&self) -> &Own {
        let own = self.0.own.get_or_init(|| Box::new(Own::default()));
        own.downcast_ref().expect("only this file fills `Member::own`")
    }

    /// Notes how it leaves, before anybody can see that it has.
    pub(crate) fn set_last_disconnect(&self, disconnect: Disconnect) {
        // It leaves once.
        let _ = self.own_or_new().left.set(Box::new(disconnect));
    }

    /// Forgets the handlers of this socket, which will not be called any more: they may hold the socket itself.
    pub(crate) fn forget_own(&self) {
        if let Some(own) = self.own() {
            own.listeners.clear();
            // Under the lock nothing of the application is dropped: it may register something.
            let gone = std::mem::take(&mut *own.disconnect.lock());
            drop(gone);
        }
        self.0.outgoing.forget();
    }

    /// What is registered on a socket that has left would never be called, and is not kept.
    fn registered(&self, listener: Listener) -> Listener {
        if self.0.is_gone() {
            self.forget_own();
        }
        listener
    }

    fn push(&self, packet: Outgoing) -> Result<(), EmitError> {
        if self.0.is_gone() {
            return Err(EmitError::Closed);
        }
        self.0.link.push(packet, Urgency::Normal(self.0.hub.when_full()))
    }

    /// The socket's public id: 22 characters, fresh for every connection and namespace, and the name of a room with
    /// this one member.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The path of its namespace.
    pub fn namespace(&self) -> &str {
        self.0.hub.path.as_str()
    }

    /// How its packets travel at this moment: a client that began with polling may go over to a WebSocket or to
    /// WebTransport.
    pub fn transport(&self) -> Transport {
        match self.0.link.carrier() {
            Carrier::Polling | Carrier::Upgrading => Transport::Polling,
            Carrier::Websocket => Transport::Websocket,
            Carrier::Webtransport => Transport::Webtransport,
        }
    }

    /// What is known of the client.
    pub fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// Values of the application, by type; local to this server. The same as `peer().extensions()`.
    pub fn extensions(&self) -> &Extensions {
        self.0.peer.extensions()
    }

    /// A JSON object of the application, visible to `fetch_sockets` on other servers.
    pub fn data(&self) -> &Data {
        self.0.peer.data()
    }

    /// Whether the socket is in its namespace.
    pub fn is_connected(&self) -> bool {
        !self.0.is_gone()
    }

    /// How the socket left its namespace: the reason, what happened, and for how long there had been a connection, and
    /// nothing on it. `None` while it is connected.
    ///
    /// ```
    /// use sockeye::{Cause, Server};
    ///
    /// let io = Server::new();
    /// io.on_disconnect(async |socket, reason| match socket.last_disconnect().map(|last| last.cause) {
    ///     Some(Cause::Closed { code: Some(code), text }) => println!("closed by the client with {code}: {text}"),
    ///     Some(Cause::Limit { limit, actual: Some(actual), bound: Some(bound) }) => println!("{limit}: {actual} of {bound}"),
    ///     Some(Cause::PingTimeout { heard, .. }) => println!("not heard of for {heard:?}"),
    ///     _ => println!("{reason}"),
    /// });
    /// ```
    pub fn last_disconnect(&self) -> Option<Disconnect> {
        self.own()?.left.get().map(|left| Disconnect::clone(left))
    }

    /// The rooms it is in, its own id first; after the disconnect, those it was in.
    pub fn rooms(&self) -> Vec<SmolStr> {
        self.0.rooms()
    }

    /// Joins rooms, at once on this server. Nothing happens after the disconnect, beyond `max_rooms`, or if a name is
    /// longer than `max_room_name` (the latter two are logged: at `warn` the first time for this socket, then at `debug`).
    pub fn join(&self, rooms: impl Rooms) {
        let Member { hub, warned, .. } = &*self.0;
        for room in rooms.into_rooms() {
            match hub.join(&self.0, room) {
                Ok(()) | Err(JoinError::Gone) => {}
                Err(JoinError::NameTooLong) => warn_first!(
                    warned.is_first_beyond(Limit::RoomName),
                    limit = hub.config.max_room_name,
                    "a room was not joined: its name is too long"
                ),
                Err(JoinError::TooManyRooms) => warn_first!(
                    warned.is_first_beyond(Limit::Rooms),
                    limit = hub.config.max_rooms,
                    "a socket is in as many rooms as it may be"
                ),
            }
        }
    }

    /// Leaves rooms, at once on this server.
    pub fn leave(&self, rooms: impl Rooms) {
        for room in rooms.into_rooms() {
            self.0.hub.leave(&self.0, &room);
        }
    }

    /// Sends an event to this client. Never waits: `Ok` means that it is queued.
    ///
    /// # Errors
    /// [`EmitError::Closed`] after the disconnect, [`EmitError::Full`] by the outbox's policy, or when the arguments
    /// cannot be encoded or the name is reserved.
    pub fn emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), EmitError> {
        match self.0.hub.log() {
            Some(log) => broadcast::emit_logged_to(&self.0, log, event.name(), &args)?,
            None => self.push(broadcast::encode(&self.0.hub, None, event.name(), &args)?)?,
        }
        if self.0.outgoing.is_watched() {
            self.0.outgoing.tell(event.name(), OwnedArgs::encode(&args)?.as_args());
        }
        Ok(())
    }

    /// Tells `watcher` of every event that is sent to this socket, by itself or by a broadcast: its name and arguments
    /// (`onAnyOutgoing` of JS). It is called by whoever sends, after the event was queued: it must be quick.
    pub fn on_any_outgoing(&self, watcher: impl Fn(&str, Args<'_>) + Send + Sync + 'static) {
        self.0.on_outgoing(Arc::new(watcher));
        if self.0.is_gone() {
            self.forget_own();
        }
    }

    /// Whether this is a client that came back to its id, rooms and data, and to what it had missed; see
    /// [`ServerBuilder::recovery`](crate::ServerBuilder::recovery).
    pub fn recovered(&self) -> bool {
        self.0.thread().is_some_and(|thread| thread.recovered)
    }

    /// Sends an event to this client and waits for its answer: await the result, or call [`AckFuture::send`] first.
    pub fn emit_with_ack<A: Serialize, R: DeserializeOwned>(&self, event: impl Ask<A, R>, args: A) -> AckFuture<R> {
        let ack = self.0.hub.next_ack();
        AckFuture {
            packet: broadcast::encode(&self.0.hub, Some(ack), event.name(), &args),
            ack,
            timeout: self.0.hub.config.ack_timeout,
            socket: self.clone(),
            reply: PhantomData,
        }
    }

    /// Everybody in the namespace but this socket.
    pub fn broadcast(&self) -> Target {
        Target::all(&self.0.hub).except(&self.0.id)
    }

    /// The members of rooms but this socket.
    pub fn to(&self, rooms: impl Rooms) -> Target {
        self.broadcast().to(rooms)
    }

    /// Everybody in the namespace but this socket and the members of rooms.
    pub fn except(&self, rooms: impl Rooms) -> Target {
        self.broadcast().except(rooms)
    }

    /// This socket, with events that are dropped if it cannot take them at this moment.
    pub fn volatile(&self) -> Target {
        Target::one(&self.0).volatile()
    }

    /// This socket, with events that are compressed or not.
    pub fn compress(&self, compress: bool) -> Target {
        Target::one(&self.0).compress(compress)
    }

    /// This socket, with another policy for events for which its outbox has no room; see [`Target::when_full`].
    pub fn when_full(&self, policy: WhenFull) -> Target {
        Target::one(&self.0).when_full(policy)
    }

    /// This socket, with events of which only the newest matters; see [`Target::latest`].
    pub fn latest(&self, key: impl Into<Arc<str>>) -> Target {
        Target::one(&self.0).latest(key)
    }

    /// What waits in the outbox of the connection, for how long, and what was dropped.
    pub fn queued(&self) -> Queued {
        self.0.link.queued()
    }

    /// Waits until half of the outbox is free, in bytes and in packets: before each `emit` of much, it lets a client set
    /// the pace. At once if the socket has left, or leaves: then `emit` says so. How long it takes is up to the client, within
    /// `ping_interval` and `ping_timeout`, in which it has to answer. Cancel safe.
    ///
    /// ```
    /// # async fn example(socket: sockeye::Socket) -> Result<(), sockeye::BoxError> {
    /// for row in 0..1_000_000 {
    ///     socket.ready().await;
    ///     socket.emit("row", row)?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn ready(&self) {
        self.reach(Level::Half).await;
    }

    /// Waits until everything that was emitted to this connection has been taken by its transport: the WebSocket or
    /// WebTransport has handed it to the system, or a client that polls has come for more. It does not say that the
    /// client has received it, as an answer to `emit_with_ack` does. Cancel safe.
    ///
    /// # Errors
    /// [`EmitError::Closed`] if the socket has left, or leaves while it waits.
    pub async fn drained(&self) -> Result<(), EmitError> {
        self.reach(Level::Empty).await;
        if self.0.is_gone() || !self.0.link.is_open() { Err(EmitError::Closed) } else { Ok(()) }
    }

    async fn reach(&self, level: Level) {
        let reached = self.0.link.wait_for(level, self.0.slot);
        // Who leaves from now on drops the other end; so does an outbox that is no more.
        if let Some(reached) = reached.filter(|_| !self.0.is_gone()) {
            let _ = reached.await;
        }
    }

    /// Leaves the namespace; the connection and its other namespaces stay. What was emitted before is sent first.
    pub fn disconnect(&self) {
        broadcast::disconnect_one(&self.0, false);
    }

    /// Closes the connection with all its namespaces. What was emitted before is sent first.
    pub fn disconnect_and_close(&self) {
        broadcast::disconnect_one(&self.0, true);
    }

    /// Calls `handler` for events of this socket alone, after the handlers of the namespace. For dynamic needs: it costs
    /// memory for every socket, where [`Namespace::on`](crate::Namespace::on) costs none.
    ///
    /// # Panics
    /// When the name is reserved.
    pub fn on<E, A, F, Fut>(&self, event: E, handler: F) -> Listener
    where
        E: Listen<A>,
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Self, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.registered(self.own_or_new().listeners.named(allowed(event.name()), Handler::event(handler)))
    }

    /// Like [`Self::on`], and what `handler` returns is the answer.
    ///
    /// # Panics
    /// When the name is reserved.
    pub fn on_with_ack<E, A, R, F, Fut>(&self, event: E, handler: F) -> Listener
    where
        E: Answer<A, R>,
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        F: FnOnce(Self, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.registered(self.own_or_new().listeners.named(allowed(event.name()), Handler::answering(handler)))
    }

    /// Calls `handler` for events of this name with their arguments undecoded, and with the right to answer later.
    ///
    /// # Panics
    /// When the name is reserved.
    pub fn on_message<F, Fut>(&self, event: &str, handler: F) -> Listener
    where
        F: FnOnce(Self, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.registered(self.own_or_new().listeners.named(allowed(event), Handler::message(handler)))
    }

    /// Calls `handler` when this socket has left, once, after the handlers of the namespace have been started.
    pub fn on_disconnect<F, Fut>(&self, handler: F)
    where
        F: FnOnce(Self, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.own_or_new().disconnect.lock().push(disconnect_handler(handler));
        if self.0.is_gone() {
            self.forget_own();
        }
    }

    /// Calls `handler` for every event of this socket, before those registered for its name.
    pub fn on_any<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Self, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.registered(self.own_or_new().listeners.any(Handler::message(handler)))
    }
}

/// `name`, unless applications may not listen to it.
///
/// # Panics
/// When it is reserved: registering such a handler is a mistake in the program, and it would never be called.
#[track_caller]
pub(crate) fn allowed(name: &str) -> &str {
    assert!(!is_reserved(name), "{name:?} is a reserved event name; use on_connect, on_disconnect or authorize");
    name
}

/// An event that asks for an answer. It is sent when this is awaited, or by [`Self::send`].
#[derive(Debug)]
#[must_use = "the event is sent when this is awaited"]
pub struct AckFuture<R> {
    socket: Socket,
    packet: Result<Outgoing, EmitError>,
    ack: AckId,
    timeout: Duration,
    reply: PhantomData<fn() -> R>,
}

impl<R> AckFuture<R> {
    /// How long to wait from the moment of sending. Default: `ack_timeout` of the server (30 s). Zero fails with
    /// [`AckError::Timeout`] as soon as the connection's task has seen it.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sends the event now; the answer can be awaited later.
    pub fn send(self) -> Reply<R> {
        Reply::new(self.sent())
    }

    fn sent(
        self,
    ) -> Result<futures_channel::oneshot::Receiver<Result<sockeye_protocol::OwnedArgs, AckError>>, EmitError> {
        let member = &self.socket.0;
        if member.is_gone() {
            return Err(EmitError::Closed);
        }
        let (waiter, receiver) = Waiter::one();
        let deadline = deadline(self.timeout);
        let command = Command::Await { slot: member.slot, socket: member.id.clone(), ack: self.ack, deadline, waiter };
        member.link.push_asking(self.packet?, member.hub.when_full(), command);
        Ok(receiver)
    }
}

impl<R: DeserializeOwned> IntoFuture for AckFuture<R> {
    type Output = Result<R, AckError>;
    type IntoFuture = Reply<R>;

    fn into_future(self) -> Self::IntoFuture {
        self.send()
    }
}
