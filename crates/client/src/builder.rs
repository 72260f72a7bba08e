//! How a client is made.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sockeye_engine::Revision;
use sockeye_protocol::event::Listeners;
use sockeye_protocol::{NamespacePath, Parser};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::address::{self, Address};
use crate::backoff::Reconnect;
use crate::config::{Config, Fresh, Limits, Retries, Transport, WhenFull};
use crate::dial::{Base, BoxIo};
use crate::error::{BoxError, ConfigError, ConnectError};
use crate::hooks::{Auth, Hooks};
use crate::link::{Client, Link, Member};
use crate::opening::{Guard, New, Target};
use crate::proxy::Proxy;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// A client before it is connected. What is registered here misses no event.
///
/// Options of the connection (transports, headers, TLS, reconnection…) belong to the client which makes it; on a builder
/// from [`Client::of`] they are an error of [`Self::connect`].
#[derive(Debug)]
#[must_use = "nothing happens until `connect` or `start` is called"]
pub struct ClientBuilder {
    target: Result<Target, ConfigError>,
    namespace: Option<NamespacePath>,
    limits: Limits,
    pub(crate) hooks: Hooks<Client>,
    pub(crate) listeners: Listeners<Client>,
}

/// The ways to a builder.
impl Client {
    /// A client of the server at `url`, not connected yet.
    ///
    /// The scheme is `http`, `https`, `ws` or `wss`; the path of the URL names a namespace, and its query goes with
    /// every request, both as in the official client. The path of the HTTP requests is [`ClientBuilder::path`].
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder::new(url)
    }

    /// Connects to the server at `url` with all defaults.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn to(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// A client of another namespace on the same connection.
    ///
    /// ```no_run
    /// # async fn example(client: sockeye_client::Client) -> Result<(), sockeye_client::BoxError> {
    /// use serde_json::json;
    ///
    /// let admin = client.of("/admin").auth(json!({ "password": "1" })).connect().await?;
    /// admin.emit("kick", "Bob")?;
    /// admin.disconnect().await; // `client` stays
    /// # Ok(()) }
    /// ```
    pub fn of(&self, namespace: &str) -> ClientBuilder {
        ClientBuilder::of(Arc::clone(&self.member.link), NamespacePath::new(namespace))
    }
}

impl ClientBuilder {
    pub(crate) fn new(url: &str) -> Self {
        let target = Address::parse(url).map(|address| {
            Target::New(Box::new(New {
                config: Config::new(address),
                #[cfg(feature = "tls")]
                tls: Tls::new(),
            }))
        });
        Self::with_target(target, None)
    }

    pub(crate) fn of(link: Arc<Link>, namespace: NamespacePath) -> Self {
        Self::with_target(Ok(Target::Existing(link)), Some(namespace))
    }

    fn with_target(target: Result<Target, ConfigError>, namespace: Option<NamespacePath>) -> Self {
        let (limits, hooks, listeners) = (Limits::default(), Hooks::default(), Listeners::default());
        Self { target, namespace, limits, hooks, listeners }
    }

    /// Connects, and waits until the server has let the client into its namespace.
    ///
    /// While the server cannot be reached this goes on trying by the policy of [`Self::reconnect`], as the official
    /// client does: by default without end. Put it into a timeout, limit the attempts, or use [`Self::start`], if the
    /// program has something better to do.
    ///
    /// # Errors
    /// The server's refusal ([`ConnectError::is_refused`]), the last failure when no attempt is left, or a mistake in
    /// the configuration.
    ///
    /// # Cancel safety
    /// Dropping the future disconnects the client: nothing is left behind.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let client = self.build()?;
        let guard = Guard(Some(client.clone()));
        client.connect().await?;
        guard.keep();
        Ok(client)
    }

    /// Begins to connect, and gives the client at once: what it emits waits until it is connected. Failures are told to
    /// [`Self::on_connect_error`] and by [`Client::watch`].
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// let client = sockeye_client::Client::builder("http://localhost:3000").start()?;
    /// client.emit("hello", ())?; // waits in the queue
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A mistake in the configuration.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self) -> Result<Client, ConfigError> {
        let client = self.build()?;
        drop(client.start());
        Ok(client)
    }

    fn build(self) -> Result<Client, ConfigError> {
        let Self { target, namespace, limits, hooks, listeners } = self;
        limits.validate()?;
        let (link, namespace) = match target? {
            Target::Existing(link) => (link, namespace.unwrap_or_default()),
            Target::New(new) => {
                let config = new.finish()?;
                let own = NamespacePath::new(&config.address.namespace);
                (Arc::new(Link::new(Arc::new(config))), namespace.unwrap_or(own))
            }
        };
        Ok(Client::new(Arc::new(Member::new(link, namespace, limits, hooks, listeners))))
    }

    fn change(mut self, change: impl FnOnce(&mut New) -> Result<(), ConfigError>) -> Self {
        let changed = match &mut self.target {
            Ok(Target::New(new)) => change(new),
            Ok(Target::Existing(_)) => {
                Err(ConfigError::new("options of the connection belong to the client which made it"))
            }
            Err(_) => return self,
        };
        if let Err(error) = changed {
            self.target = Err(error);
        }
        self
    }

    fn configure(self, change: impl FnOnce(&mut Config)) -> Self {
        self.change(|new| {
            change(&mut new.config);
            Ok(())
        })
    }

    // The namespace.

    /// The namespace. Default: the path of the URL, or else `/`.
    pub fn namespace(mut self, path: &str) -> Self {
        self.namespace = Some(NamespacePath::new(path));
        self
    }

    /// What the server's admission is given (`socket.handshake.auth`): an object.
    pub fn auth(mut self, payload: impl Serialize) -> Self {
        self.hooks.auth = match serde_json::to_value(payload) {
            Ok(auth) => Auth::Constant(auth),
            Err(error) => Auth::Invalid(error.to_string()),
        };
        self
    }

    /// Asks `make` for the payload before *every* attempt, so that a token can be fresh.
    pub fn auth_with<F, Fut, T>(self, make: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Serialize,
    {
        self.try_auth_with(move || {
            let payload = make();
            async move { Ok::<_, BoxError>(payload.await) }
        })
    }

    /// Like [`Self::auth_with`], for what may fail: then the attempt has failed, and the next one asks again. Each
    /// namespace waits for its next attempt by itself, as `reconnect` says; the others stay connected.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// use serde_json::json;
    ///
    /// let client = sockeye_client::Client::builder("https://chat.example")
    ///     .try_auth_with(async || Ok::<_, std::io::Error>(json!({ "token": std::fs::read_to_string("token")? })))
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn try_auth_with<F, Fut, T, E>(mut self, make: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: Into<BoxError>,
    {
        self.hooks.auth = Auth::Asked(Arc::new(move || {
            let asked = make();
            Box::pin(async move {
                let payload = asked.await.map_err(Into::into)?;
                Ok(serde_json::to_value(payload)?)
            })
        }));
        self
    }

    /// How long an answer may take unless [`AckFuture::timeout`](crate::AckFuture::timeout) says otherwise. Default 30 s.
    pub fn ack_timeout(mut self, limit: Duration) -> Self {
        self.limits.ack_timeout = limit;
        self
    }

    /// Sends each event, one at a time and in order, until the server has acknowledged it: once and then up to `limit`
    /// times more, each time after [`Self::ack_timeout`] or when a lost connection is back. `emit` asks for an
    /// acknowledgement too. Volatile events and answers to events of the server do not wait in this queue: they have one
    /// of their own, with the same bound.
    ///
    /// An event of `emit` that was given up after the last try is counted in [`Client::dropped`] and told to
    /// [`on_error`](Self::on_error); `emit_with_ack` gives the error.
    ///
    /// The server may get an event twice, if its acknowledgement was lost. [`Self::retry_ids`] lets it see that.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// use std::time::Duration;
    ///
    /// let client = sockeye_client::Client::builder("https://shop.example")
    ///     .retries(10)
    ///     .retry_ids()
    ///     .ack_timeout(Duration::from_secs(5))
    ///     .start()?;
    /// client.emit("order", 7)?; // arrives, or ten further tries have failed
    /// # Ok(()) }
    /// ```
    pub fn retries(mut self, limit: u32) -> Self {
        let with_id = self.limits.retries.is_some_and(|retries| retries.with_id);
        self.limits.retries = Some(Retries { limit, with_id });
        self
    }

    /// With [`Self::retries`]: adds an argument at the end of each event, a string which is the same each time the event
    /// is sent and unlike that of any other event: the name of this client and a number that grows. `Seen` of the server
    /// tells copies by it.
    pub fn retry_ids(mut self) -> Self {
        let limit = self.limits.retries.map_or(DEFAULT_RETRIES, |retries| retries.limit);
        self.limits.retries = Some(Retries { limit, with_id: true });
        self
    }

    /// The bound of what waits to be sent, offline or because the server reads slowly, and what happens beyond it.
    /// Default: 10,000 packets, 16 MiB, [`WhenFull::Fail`].
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// use sockeye_client::{Client, WhenFull};
    ///
    /// let sensor = Client::builder("https://example.com").queue(100, 64 * 1024, WhenFull::DropOldest).start()?;
    /// # Ok(()) }
    /// ```
    pub fn queue(mut self, packets: usize, bytes: usize, when_full: WhenFull) -> Self {
        self.limits.queue_packets = packets;
        self.limits.queue_bytes = bytes;
        self.limits.when_full = when_full;
        self
    }

    /// Answers that may be waited for at once, to questions sent or not: at least 1. Default 10,000; further questions are
    /// [`EmitError::Full`](crate::EmitError::Full).
    pub fn max_pending_acks(mut self, limit: usize) -> Self {
        self.limits.max_pending_acks = limit;
        self
    }

    /// How far handlers, or the reader of [`Client::next`], may be behind before the connection is read no more: events
    /// and bytes, each at least 1. Default 1,024 events, 4 MiB; 4 times that while an answer of the server is waited for,
    /// which may stand behind these events.
    pub fn max_waiting(mut self, events: usize, bytes: usize) -> Self {
        self.limits.max_waiting_events = events;
        self.limits.max_waiting_bytes = bytes;
        self
    }

    // The connection.

    /// The path of the HTTP requests. Default `/socket.io/`. A missing `/` at the end is added.
    pub fn path(self, path: &str) -> Self {
        let path = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
        self.exact_path(&path)
    }

    /// The path of the HTTP requests as it is, for servers which want no `/` at the end.
    pub fn exact_path(self, path: &str) -> Self {
        self.configure(|config| path.clone_into(&mut config.path))
    }

    /// Adds a parameter to the query of every request (`socket.handshake.query`).
    pub fn query(self, name: &str, value: &str) -> Self {
        self.configure(|config| address::append(&mut config.query, name, value))
    }

    /// Adds a header to every request.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.configure(|config| config.headers.push((name.to_owned(), value.to_owned())))
    }

    /// Parameters of the query which `make` makes before every attempt.
    pub fn query_with(self, make: impl Fn() -> Vec<(String, String)> + Send + Sync + 'static) -> Self {
        self.configure(|config| config.fresh_query = Fresh::new(make))
    }

    /// Headers which `make` makes before every attempt: for tokens that expire, where the server or a proxy wants them
    /// in a header. (What [`Self::auth_with`] gives is asked for later, when there is a connection.) If one cannot be
    /// sent, the attempt fails, and the next one asks again.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// fn token() -> String {
    ///     "fresh".to_owned()
    /// }
    ///
    /// let client = sockeye_client::Client::builder("https://chat.example")
    ///     .headers_with(|| vec![("Authorization".to_owned(), format!("Bearer {}", token()))])
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn headers_with(self, make: impl Fn() -> Vec<(String, String)> + Send + Sync + 'static) -> Self {
        self.configure(|config| config.fresh_headers = Fresh::new(make))
    }

    /// The transports, the first of which opens the connection. Default: polling, then WebSocket, to which a connection
    /// is upgraded. `[Transport::Websocket]` saves a round trip where nothing on the way objects to it.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// use sockeye_client::{Client, Transport};
    ///
    /// let client = Client::builder("https://chat.example").transports([Transport::Websocket]).connect().await?;
    /// # Ok(()) }
    /// ```
    pub fn transports(self, transports: impl Into<Vec<Transport>>) -> Self {
        self.configure(|config| config.transports = transports.into())
    }

    /// Whether a connection begun by polling is upgraded to WebSocket. Default true.
    pub fn upgrade(self, upgrade: bool) -> Self {
        self.configure(|config| config.upgrade = upgrade)
    }

    /// Whether a client which has been upgraded begins its next connection by WebSocket. Default false.
    pub fn remember_upgrade(self, remember: bool) -> Self {
        self.configure(|config| config.remember_upgrade = remember)
    }

    /// Whether an attempt tries the other transports when the first one fails. Default false.
    pub fn try_all_transports(self, try_all: bool) -> Self {
        self.configure(|config| config.try_all_transports = try_all)
    }

    /// Whether permessage-deflate is offered, for messages of at least 1 KiB. Default false. Each message is compressed
    /// on its own, so that an idle connection keeps no state of it.
    pub fn compression(self, compression: bool) -> Self {
        self.configure(|config| config.compression = compression)
    }

    /// Subprotocols of WebSocket to ask for, the best first.
    pub fn protocols<S: Into<String>>(self, protocols: impl IntoIterator<Item = S>) -> Self {
        self.configure(|config| config.protocols = protocols.into_iter().map(Into::into).collect())
    }

    /// The form of packets. Default JSON. The server must use the same.
    pub fn parser(self, parser: Parser) -> Self {
        self.configure(|config| config.parser = parser)
    }

    /// Speaks Engine.IO 3 to a server of Socket.IO 2.x (or to one with `allowEIO3`), instead of Engine.IO 4. Default false.
    ///
    /// Such servers know no [`Self::auth`] for `/`: give them a [`Self::query`]. For other namespaces what `auth` gives
    /// travels as their query (`socket.handshake.query`), so that it must be an object of strings, numbers and booleans.
    /// [`Client::id`] of `/` is the id of the session, which is a secret there; there is no recovery, and JSON only.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// let client = sockeye_client::Client::builder("http://old.example").eio3(true).query("token", "1").connect().await?;
    /// # Ok(()) }
    /// ```
    pub fn eio3(self, eio3: bool) -> Self {
        self.configure(|config| config.revision = if eio3 { Revision::V3 } else { Revision::V4 })
    }

    /// How lost and failed connections are tried again. Default: without end, after 1 s to 5 s.
    pub fn reconnect(self, policy: Reconnect) -> Self {
        self.configure(|config| config.reconnect = policy)
    }

    /// How long the server may take to open a connection, and then to let the client into its namespace. Default 20 s.
    pub fn connect_timeout(self, limit: Duration) -> Self {
        self.configure(|config| config.connect_timeout = limit)
    }

    /// Longest message accepted from the server, in bytes. Default 100 MiB, as in the official client; a longer one closes
    /// the connection ([`Limit::Payload`](crate::Limit::Payload)).
    pub fn max_payload(self, bytes: usize) -> Self {
        self.configure(|config| {
            Arc::make_mut(&mut config.engine).max_payload = bytes;
            Arc::make_mut(&mut config.protocol).max_attachment_bytes = bytes;
        })
    }

    /// Most attachments of one event from the server. Default 10, as in the official client; more close the connection
    /// ([`Limit::Attachments`](crate::Limit::Attachments)).
    pub fn max_attachments(self, limit: usize) -> Self {
        self.configure(|config| Arc::make_mut(&mut config.protocol).max_attachments = limit)
    }

    /// The proxy through which all connections go. Default none; environment variables are not looked at.
    pub fn proxy(self, proxy: Proxy) -> Self {
        self.configure(|config| config.dial.proxy = Some(proxy))
    }

    /// How the server of an `https` or `wss` URL is recognised. Default: by Mozilla's roots.
    #[cfg(feature = "tls")]
    pub fn tls(self, tls: Tls) -> Self {
        self.change(|new| {
            new.tls = tls;
            Ok(())
        })
    }

    /// Connects to a Unix socket; the URL's host is only told to the server.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// let client = sockeye_client::Client::builder("http://localhost").unix_socket("/run/chat.sock").connect().await?;
    /// # Ok(()) }
    /// ```
    #[cfg(unix)]
    pub fn unix_socket(self, path: impl Into<std::path::PathBuf>) -> Self {
        self.configure(|config| config.dial.base = Base::Unix(path.into()))
    }

    /// Opens byte streams by a function, which is given host and port: other kinds of tunnels, or memory in tests. A
    /// proxy and TLS come on top of them. An error of it, and a panic in it, is a failed attempt.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sockeye_client::BoxError> {
    /// let client = sockeye_client::Client::builder("http://chat.example")
    ///     .dial_with(async |host, port| tokio::net::TcpStream::connect((host.as_str(), port)).await)
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn dial_with<F, Fut, S>(self, open: F) -> Self
    where
        F: Fn(String, u16) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = std::io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let open = move |host, port| -> crate::dial::BoxFuture<std::io::Result<BoxIo>> {
            let opening = open(host, port);
            Box::pin(async move { Ok(Box::new(opening.await?) as BoxIo) })
        };
        self.configure(|config| config.dial.base = Base::Custom(Arc::new(open)))
    }
}

const DEFAULT_RETRIES: u32 = 3;
