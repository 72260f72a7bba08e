//! What a client can do.

use std::future::Future;
use std::sync::Arc;

use futures_channel::oneshot;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;
use sockeye_protocol::event::{
    Answer, Ask, Emit, Handle as _, Handler, Listen, Listener, Message as AnyMessage, Outcome, Received, is_reserved,
};
use sockeye_protocol::{AckId, Args, Outgoing, OwnedArgs, Raw};

use crate::ack::AckFuture;
use crate::config::Retries;
use crate::disconnected::Disconnected;
use crate::error::{ConnectError, DisconnectReason, EmitError, HandlerError};
use crate::link::{Client, Member, Message};
use crate::queue::{Awaiting, Item, Kind};
use crate::session;
use crate::state::{State, Watch};

impl Client {
    /// Connects again a client which is disconnected: after a refusal, or after the server or the application
    /// disconnected it. Done at once if it is connected.
    ///
    /// ```no_run
    /// # async fn example(client: sockeye_client::Client) -> Result<(), sockeye_client::BoxError> {
    /// if !client.state().is_active() {
    ///     client.connect().await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`](crate::ClientBuilder::connect).
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing: the client goes on connecting.
    ///
    /// # Panics
    /// Outside of a tokio runtime, unless the connection serves another namespace already.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let done = self.start();
        done.await.unwrap_or_else(|_| Err(ConnectError::closed()))
    }

    /// Begins to connect; the receiver is told how that ended.
    pub(crate) fn start(&self) -> oneshot::Receiver<Result<(), ConnectError>> {
        let (done, told) = oneshot::channel();
        let link = &self.member.link;
        if let Some(runtime) = link.connect(&self.member, done) {
            session::start(Arc::clone(link), &runtime);
        }
        told
    }

    /// Leaves the namespace for good: nothing connects again by itself. The last namespace to leave closes the
    /// connection. What was emitted before is sent first, within 10 s.
    ///
    /// Takes effect at once; await the result to know when nothing is left to send. Handlers that still run are not
    /// waited for, so that this can be called in them. A client which waits for its first connection stops.
    pub fn disconnect(&self) -> Disconnected {
        Disconnected(self.member.link.disconnect(&self.member))
    }

    /// Sends an event. Never waits: `Ok` means that it is queued. While the client is not connected it waits in the
    /// queue, within [`ClientBuilder::queue`](crate::ClientBuilder::queue); so does what was emitted before a connection was lost and had not been
    /// given to the network yet.
    ///
    /// ```no_run
    /// # async fn example(client: sockeye_client::Client) -> Result<(), sockeye_client::BoxError> {
    /// use bytes::Bytes;
    ///
    /// client.emit("say", ("lobby", "hello"))?;                       // two arguments
    /// client.emit("upload", ("a.bin", Bytes::from_static(&[0, 1])))?; // bytes as an attachment
    /// client.emit("ping", ())?;                                      // none
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`EmitError::Closed`] if the client is disconnected for good, [`EmitError::Full`] by the policy of the queue,
    /// [`EmitError::TooLarge`] beyond what the server takes in one message, or when the arguments cannot be encoded or the
    /// name is reserved. What the server takes is known while there is a connection. An event that was queued before and
    /// turns out to be too large is not sent: `on_error` is told, see
    /// [`HandlerError::is_too_large`](crate::HandlerError::is_too_large).
    pub fn emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), EmitError> {
        let (name, limits) = (event.name(), &self.member.limits);
        let item = match limits.retries {
            None => Item { packet: self.encode(None, name, &args)?, kind: Kind::Plain { event: name.into() } },
            Some(retries) => {
                let id = self.member.next_ack();
                let awaiting = Awaiting::Nobody { event: name.into() };
                let kind = Kind::Retried { id, timeout: limits.ack_timeout, awaiting };
                Item { packet: self.encode_retried(id, name, &args, retries)?, kind }
            }
        };
        self.send(item, name, &args)
    }

    fn send<A: Serialize>(&self, item: Item, name: &str, args: &A) -> Result<(), EmitError> {
        let note = self.member.watchers.note(name, args);
        self.member.push(item, None)?;
        self.member.watchers.tell(note.as_ref());
        Ok(())
    }

    /// Sends an event and waits for its answer: await the result, or call [`AckFuture::send`] first.
    ///
    /// ```no_run
    /// # async fn example(client: sockeye_client::Client) -> Result<(), sockeye_client::BoxError> {
    /// use std::time::Duration;
    ///
    /// let sum: i64 = client.emit_with_ack("sum", (2, 3)).timeout(Duration::from_secs(3)).await?;
    /// let reply = client.emit_with_ack::<_, i64>("sum", (4, 5)).send(); // sent now
    /// println!("{sum}, {}", reply.await?);
    /// # Ok(()) }
    /// ```
    pub fn emit_with_ack<A: Serialize, R: DeserializeOwned>(&self, event: impl Ask<A, R>, args: A) -> AckFuture<R> {
        let id = self.member.next_ack();
        let packet = match self.member.limits.retries {
            None => self.encode(Some(id), event.name(), &args),
            Some(retries) => self.encode_retried(id, event.name(), &args, retries),
        };
        let note = self.member.watchers.note(event.name(), &args);
        AckFuture::new(Arc::clone(&self.member), id, packet, note)
    }

    /// This client, with events that are dropped and counted unless they can be sent at this moment.
    ///
    /// ```no_run
    /// # async fn example(client: sockeye_client::Client) -> Result<(), sockeye_client::BoxError> {
    /// client.volatile().emit("position", (1.5, 2.5))?;
    /// # Ok(()) }
    /// ```
    pub fn volatile(&self) -> Volatile<'_> {
        Volatile { client: self, compress: true }
    }

    /// This client, with events that are not compressed, or may be.
    pub fn compress(&self, compress: bool) -> Compressed<'_> {
        Compressed { client: self, compress }
    }

    fn encode<A: Serialize>(&self, ack: Option<AckId>, name: &str, args: &A) -> Result<Outgoing, EmitError> {
        if is_reserved(name) {
            return Err(EmitError::Reserved);
        }
        Ok(self.parser().event(&self.member.path, ack, name, args)?)
    }

    fn encode_retried<A: Serialize>(
        &self,
        id: AckId,
        name: &str,
        args: &A,
        retries: Retries,
    ) -> Result<Outgoing, EmitError> {
        if !retries.with_id {
            return self.encode(Some(id), name, args);
        }
        let known = format!("{}-{}", self.member.origin, id.0);
        let args = OwnedArgs::encode(args)?.with_text(&known)?;
        self.encode(Some(id), name, &Raw::from(args))
    }

    /// Calls `handler` for events of this name. A tuple takes several arguments, `()` none, anything else the first.
    ///
    /// Handlers run one after the other in the order of the events, across reconnections too, unless
    /// [`Listener::concurrent`] says otherwise. Handlers registered here may miss events which came before; those
    /// registered with the builder miss none.
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn on<E, A, F, Fut>(&self, event: E, handler: F) -> Listener
    where
        E: Listen<A>,
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Self, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.member.listeners.named(allowed(event.name()), Handler::event(handler))
    }

    /// Like [`Self::on`], for the next event of this name only.
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn once<E, A, F, Fut>(&self, event: E, handler: F) -> Listener
    where
        E: Listen<A>,
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Self, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.on(event, handler).once()
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
        F: FnOnce(Self, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.member.listeners.named(allowed(event.name()), Handler::answering(handler))
    }

    /// Calls `handler` for events of this name with their arguments undecoded, and with the right to answer later.
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn on_message<F, Fut>(&self, event: &str, handler: F) -> Listener
    where
        F: FnOnce(Self, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.member.listeners.named(allowed(event), Handler::message(handler))
    }

    /// Calls `handler` for every event, before the handlers registered for its name.
    pub fn on_any<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Self, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.member.listeners.any(Handler::message(handler))
    }

    /// Calls `handler` for events that no handler is registered for by name.
    pub fn on_unhandled<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Self, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.member.listeners.unhandled(Handler::message(handler))
    }

    /// Tells `watcher` of every event that is sent, by its name and arguments. It is called by whoever sends, after the
    /// event was queued: it must be quick.
    ///
    /// ```no_run
    /// # async fn example(client: sockeye_client::Client) -> Result<(), sockeye_client::BoxError> {
    /// client.on_any_outgoing(|event, args| println!("{event}: {} bytes", args.size()));
    /// # Ok(()) }
    /// ```
    pub fn on_any_outgoing(&self, watcher: impl Fn(&str, Args<'_>) + Send + Sync + 'static) {
        self.member.watchers.add(watcher);
    }

    /// Calls `handler` each time the client is connected; see [`ClientBuilder::on_connect`](crate::ClientBuilder::on_connect).
    pub fn on_connect<F, Fut>(&self, handler: F) -> Listener
    where
        F: FnOnce(Self) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        let handler = Handler::event(move |client, ()| handler(client));
        self.member.hooks().connect.any(handler)
    }

    /// Calls `handler` each time the client is out of its namespace; see [`ClientBuilder::on_disconnect`](crate::ClientBuilder::on_disconnect).
    pub fn on_disconnect<F, Fut>(&self, handler: F)
    where
        F: FnOnce(Self, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        Arc::make_mut(&mut self.member.hooks.write()).on_disconnect(handler);
    }

    /// Calls `handler` for every attempt that failed; see [`ClientBuilder::on_connect_error`](crate::ClientBuilder::on_connect_error).
    pub fn on_connect_error<F, Fut>(&self, handler: F)
    where
        F: FnOnce(Self, ConnectError) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        Arc::make_mut(&mut self.member.hooks.write()).on_connect_error(handler);
    }

    /// Tells `hook` of every handler that failed; see [`ClientBuilder::on_error`](crate::ClientBuilder::on_error).
    pub fn on_error(&self, hook: impl Fn(&Self, HandlerError) + Send + Sync + 'static) {
        Arc::make_mut(&mut self.member.hooks.write()).on_error(hook);
    }

    /// The next event which no handler takes, in arrival order; `None` when the client is disconnected for good.
    ///
    /// Before the first call the latest 1,024 of them (4 MiB) are kept. From then on none is lost: a reader which falls
    /// so far behind makes the whole connection wait, answers to its own questions included.
    ///
    /// ```no_run
    /// # async fn example(client: sockeye_client::Client) -> Result<(), sockeye_client::BoxError> {
    /// while let Some(message) = client.next().await {
    ///     println!("{}", message.event());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next(&self) -> Option<Message> {
        loop {
            let notified = self.member.mail.notified();
            if let Some(message) = self.take_message() {
                return Some(message);
            }
            let mut notified = std::pin::pin!(notified);
            notified.as_mut().enable();
            // An event, or the end, may have come before `enable`.
            if let Some(message) = self.take_message() {
                return Some(message);
            }
            if !self.state().is_active() {
                return None;
            }
            notified.await;
        }
    }

    fn take_message(&self) -> Option<Message> {
        let mut inbox = self.member.inbox.lock();
        inbox.is_read = true;
        let stray = inbox.messages.pop_front()?;
        inbox.bytes = inbox.bytes.saturating_sub(stray.args.as_args().size());
        drop(inbox);
        // The connection may have waited for this.
        self.member.link.ring();
        let client = Self::of_epoch(Arc::clone(&self.member), stray.epoch);
        let received = Received { name: &stray.name, args: stray.args.as_args(), ack: stray.ack };
        Some(AnyMessage::new(client, &received))
    }

    /// The public id that the server gave this client; fresh for every connection unless it was recovered. `None` while
    /// it is not connected.
    pub fn id(&self) -> Option<SmolStr> {
        self.member.identity().id
    }

    /// The path of the namespace.
    pub fn namespace(&self) -> &str {
        self.member.path.as_str()
    }

    /// Whether it is in its namespace.
    pub fn is_connected(&self) -> bool {
        self.state().is_connected()
    }

    /// Whether the server recovered the state of an earlier connection: rooms are kept, and missed events follow.
    pub fn is_recovered(&self) -> bool {
        self.member.identity().recovered
    }

    /// How far it is.
    pub fn state(&self) -> State {
        self.member.state()
    }

    /// To watch how far it is.
    ///
    /// ```no_run
    /// # async fn example(client: sockeye_client::Client) -> Result<(), sockeye_client::BoxError> {
    /// use sockeye_client::State;
    ///
    /// client.watch().until(State::is_connected).await;
    /// # Ok(()) }
    /// ```
    pub fn watch(&self) -> Watch {
        Watch::new(self.member.subscribe())
    }

    /// Packets and bytes that wait to be sent.
    pub fn queued(&self) -> (usize, usize) {
        self.member.outbox.lock().waiting()
    }

    /// Events that were dropped so far: volatile ones, those for which the queue had no room, those which the server did
    /// not acknowledge in as many tries as [`retries`](crate::ClientBuilder::retries) says, those which turned out to be
    /// larger than the server takes, and those received which nobody took.
    pub fn dropped(&self) -> u64 {
        let sent = self.member.outbox.lock().dropped();
        sent + self.member.inbox.lock().dropped
    }

    /// Waits until the queue has room for an event; at once if the client is disconnected for good. Cancel safe.
    ///
    /// ```no_run
    /// # async fn example(client: sockeye_client::Client) -> Result<(), sockeye_client::BoxError> {
    /// for n in 0..1_000_000 {
    ///     client.ready().await;
    ///     client.emit("n", n)?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn ready(&self) {
        loop {
            let mut notified = std::pin::pin!(self.member.room.notified());
            notified.as_mut().enable();
            let done = self.member.has_room();
            if done {
                return;
            }
            notified.await;
        }
    }
}

impl Member {
    /// Whether another event would be taken, or never will be.
    fn has_room(&self) -> bool {
        let outbox = self.outbox.lock();
        !outbox.is_active || outbox.queue.has_room(&self.limits)
    }
}

/// A client whose events are dropped unless they can be sent at this moment; see [`Client::volatile`].
#[derive(Clone, Copy, Debug)]
pub struct Volatile<'a> {
    client: &'a Client,
    compress: bool,
}

impl Volatile<'_> {
    /// Sends an event if the transport takes it now.
    ///
    /// # Errors
    /// As [`Client::emit`], but for a full queue. That it was dropped is no error.
    pub fn emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), EmitError> {
        let packet = with_compress(self.client.encode(None, event.name(), &args)?, self.compress);
        let watchers = &self.client.member.watchers;
        let note = watchers.note(event.name(), &args);
        let kind = Kind::Plain { event: event.name().into() };
        if self.client.member.push_volatile(Item { packet, kind })? {
            watchers.tell(note.as_ref());
        }
        Ok(())
    }

    /// Its events are not compressed, or may be.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }
}

/// A client whose events are not compressed, or may be; see [`Client::compress`].
#[derive(Clone, Copy, Debug)]
pub struct Compressed<'a> {
    client: &'a Client,
    compress: bool,
}

impl Compressed<'_> {
    /// Sends an event.
    ///
    /// # Errors
    /// As [`Client::emit`].
    pub fn emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), EmitError> {
        let packet = with_compress(self.client.encode(None, event.name(), &args)?, self.compress);
        let kind = Kind::Plain { event: event.name().into() };
        self.client.send(Item { packet, kind }, event.name(), &args)
    }
}

fn with_compress(packet: Outgoing, compress: bool) -> Outgoing {
    let Outgoing { first, attachments } = packet;
    let attachments = attachments
        .map(|attachments| attachments.iter().map(|attachment| attachment.clone().with_compress(compress)).collect());
    Outgoing { first: first.with_compress(compress), attachments }
}

/// `name`, unless applications may not listen to it.
///
/// # Panics
/// When it is reserved: registering such a handler is a mistake in the program, and it would never be called.
#[track_caller]
pub(crate) fn allowed(name: &str) -> &str {
    assert!(!is_reserved(name), "{name:?} is a reserved event name; use on_connect, on_disconnect or on_connect_error");
    name
}
