//! Handlers which are there before the connection is.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_protocol::event::{Answer, Handler, Listen, Outcome};

use crate::builder::ClientBuilder;
use crate::client::allowed;
use crate::error::{ConnectError, DisconnectReason, HandlerError};
use crate::link::{Client, Message};

/// Handlers: what is registered here misses no event.
impl ClientBuilder {
    /// Calls `handler` for events of this name. See [`Client::on`].
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// let client = sockeye_client::Client::builder("http://localhost:3000")
    ///     .on("said", async |_, (who, text): (String, String)| println!("{who}: {text}"))
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn on<E, A, F, Fut>(self, event: E, handler: F) -> Self
    where
        E: Listen<A>,
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Client, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.listeners.named(allowed(event.name()), Handler::event(handler));
        self
    }

    /// Like [`Self::on`], for the first event of this name only.
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn once<E, A, F, Fut>(self, event: E, handler: F) -> Self
    where
        E: Listen<A>,
        A: DeserializeOwned + Send + 'static,
        F: FnOnce(Client, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.listeners.named(allowed(event.name()), Handler::event(handler)).once();
        self
    }

    /// Like [`Self::on`], and what `handler` returns is the answer.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// let client = sockeye_client::Client::builder("http://localhost:3000")
    ///     .on_with_ack("sum", async |_, (a, b): (i64, i64)| a + b)
    ///     .on_with_ack("both", async |_, ()| ("two", 2)) // an answer of two values
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn on_with_ack<E, A, R, F, Fut>(self, event: E, handler: F) -> Self
    where
        E: Answer<A, R>,
        A: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        F: FnOnce(Client, A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.listeners.named(allowed(event.name()), Handler::answering(handler));
        self
    }

    /// Calls `handler` for events of this name, undecoded, with the right to answer later.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// let client = sockeye_client::Client::builder("http://localhost:3000")
    ///     .on_message("job", async |_, message| {
    ///         let (number, ack) = message.split::<u32>()?;
    ///         tokio::spawn(async move { ack.send(number + 1) }); // later
    ///         Ok::<_, sockeye_client::BoxError>(())
    ///     })
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// When the name is reserved.
    #[track_caller]
    pub fn on_message<F, Fut>(self, event: &str, handler: F) -> Self
    where
        F: FnOnce(Client, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.listeners.named(allowed(event), Handler::message(handler));
        self
    }

    /// Calls `handler` for every event, before the handlers registered for its name.
    pub fn on_any<F, Fut>(self, handler: F) -> Self
    where
        F: FnOnce(Client, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.listeners.any(Handler::message(handler));
        self
    }

    /// Calls `handler` for events that no handler is registered for by name.
    pub fn on_unhandled<F, Fut>(self, handler: F) -> Self
    where
        F: FnOnce(Client, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.listeners.unhandled(Handler::message(handler));
        self
    }

    /// Calls `handler` each time the client is connected, the first time and after every reconnection. Events are handled
    /// when it has ended.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// let client = sockeye_client::Client::builder("http://localhost:3000")
    ///     .on_connect(async |client| client.emit("join", "lobby")) // after each reconnection too
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn on_connect<F, Fut>(self, handler: F) -> Self
    where
        F: FnOnce(Client) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.hooks.connect.any(Handler::event(move |client, ()| handler(client)));
        self
    }

    /// Calls `handler` each time the client is out of its namespace after having been in it. It is not held up by
    /// handlers of events that are still running. [`Client::last_disconnect`] tells it more than the reason.
    pub fn on_disconnect<F, Fut>(mut self, handler: F) -> Self
    where
        F: FnOnce(Client, DisconnectReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.hooks.on_disconnect(handler);
        self
    }

    /// Calls `handler` for every attempt that failed, and for the server's refusal. After a refusal it may call
    /// [`Client::connect`], with fresh credentials for instance: the server is asked at once, and after further refusals
    /// with the waits of [`reconnect`](Self::reconnect).
    ///
    /// These handlers and those of [`Self::on_disconnect`] are called one at a time: one that waits, for `connect` too,
    /// holds up the calls that follow. Up to 64 calls are kept; what comes beyond is logged and left out. Spawn a task
    /// for what takes long.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// let client = sockeye_client::Client::builder("http://localhost:3000")
    ///     .on_connect_error(async |client, error| match error.message() {
    ///         Some("token expired") => client.connect().await,
    ///         _ => Ok(println!("{error}")),
    ///     })
    ///     .start()?;
    /// # Ok(()) }
    /// ```
    pub fn on_connect_error<F, Fut>(mut self, handler: F) -> Self
    where
        F: FnOnce(Client, ConnectError) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Outcome> + Send + 'static,
    {
        self.hooks.on_connect_error(handler);
        self
    }

    /// Tells `hook` of every handler that failed: an error returned, arguments that do not fit, a panic; and of every event
    /// that was given up with [`retries`](Self::retries). The connection lives on. The last hook counts; without any,
    /// failures are logged at `warn`, without what the server sent.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// let client = sockeye_client::Client::builder("http://localhost:3000")
    ///     .on_error(|_, error| eprintln!("{}: {error}", error.event()))
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn on_error(mut self, hook: impl Fn(&Client, HandlerError) + Send + Sync + 'static) -> Self {
        self.hooks.on_error(hook);
        self
    }
}
