//! Options of a server, with the names and defaults of the official one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use sockeye_engine::handshake::TransportName;
use sockeye_protocol::Parser;

use crate::adapter::Adapter;
use crate::bundle::Bundle;
use crate::compression::{Deflate, HttpCompression};
use crate::config::{Config, WhenFull};
use crate::cookie::Cookie;
use crate::cors::Cors;
use crate::error::{ConfigError, Refusal};
use crate::hooks::ConnectionError;
use crate::limits::Rate;
use crate::peer::Peer;
use crate::proxy::{Network, ProxyHeader};
use crate::recovery::Recovery;
use crate::transport::Transport;

/// Collects options; [`Self::build`] checks them against each other.
///
/// ```
/// use std::time::Duration;
///
/// let io = sockeye::Server::builder().ping_interval(Duration::from_secs(10)).max_payload(65_536).build()?;
/// # Ok::<(), sockeye::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is made until `build` is called"]
pub struct ServerBuilder {
    pub(crate) config: Config,
    pub(crate) engine: sockeye_engine::Config,
    pub(crate) protocol: sockeye_protocol::Config,
    /// What was said about upgrades, if anything.
    upgrades: Option<bool>,
    /// What was said about the bytes of attachments, if anything.
    pub(crate) attachment_bytes: Option<usize>,
    /// What was said about unfinished messages, if anything.
    pub(crate) unfinished: Option<usize>,
    client: Option<PathBuf>,
}

impl ServerBuilder {
    /// The options, once they are found to agree.
    pub(crate) fn into_config(mut self) -> Result<Config, ConfigError> {
        self.engine.websocket = self.config.allows(TransportName::Websocket);
        self.engine.webtransport = self.config.allows(TransportName::Webtransport);
        self.engine.allow_upgrades = self.upgrades.unwrap_or(self.engine.websocket || self.engine.webtransport);
        let least = self.protocol.max_attachment_bytes;
        self.protocol.max_attachment_bytes = self.attachment_bytes.unwrap_or(self.engine.max_payload.max(least));
        let least = self.config.max_unfinished;
        self.config.max_unfinished = self.unfinished.unwrap_or(self.engine.max_payload.max(least));
        self.config.client = self.client.as_deref().map(Bundle::load).transpose()?.map(Arc::new);
        let config = Config { engine: Arc::new(self.engine), protocol: Arc::new(self.protocol), ..self.config };
        config.validate()?;
        Ok(config)
    }

    /// Path at which [`Server::listen`](crate::Server::listen) answers. Default `/socket.io/`; with and without the slash
    /// at the end.
    pub fn path(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.config.path = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
        self
    }

    /// Time between two heartbeats. Default 25 s. Shorter finds dead clients sooner and costs a packet each way.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.engine.ping_interval = interval;
        self
    }

    /// How long the answer to a heartbeat may take. Default 20 s. Too short disconnects slow phones.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.engine.ping_timeout = timeout;
        self
    }

    /// How long an upgrade may take before it is given up and polling goes on. Default 10 s.
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.engine.upgrade_timeout = timeout;
        self
    }

    /// Longest head of a request, in bytes, where [`Server::listen`](crate::Server::listen) or a sibling of it accepts
    /// connections. Default 16 KiB, as in Node.js; at least 8 KiB. A longer one is answered by 431 and counted as
    /// [`Limit::HeadBytes`](crate::Limit::HeadBytes); so is one of more than 100 headers, as
    /// [`Limit::Headers`](crate::Limit::Headers). A framework in which the server is mounted has a bound of its own.
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.config.max_head = bytes;
        self
    }

    /// How long the head of a request may take, the wait for its beginning included (where the server accepts connections
    /// itself), and then the body of a POST (everywhere). Default 30 s; then the connection is closed, and the session of a
    /// body that did not arrive with it.
    ///
    /// So long, too, may a connection of HTTP/2 be on which nothing is asked, whether it answers pings or not.
    ///
    /// Too short cuts off slow lines, and makes idle clients connect anew; too long lets silent ones keep a connection.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.config.request_timeout = timeout;
        self
    }

    /// Which transports clients may use. Default polling and WebSocket. With WebTransport among them clients are offered
    /// it, so have `Server::listen_webtransport` run at the same port number.
    pub fn transports(mut self, transports: &[Transport]) -> Self {
        let name = |transport: &Transport| match transport {
            Transport::Polling => TransportName::Polling,
            Transport::Websocket => TransportName::Websocket,
            Transport::Webtransport => TransportName::Webtransport,
        };
        self.config.transports = transports.iter().map(name).collect();
        self
    }

    /// Whether polling clients are offered the upgrade to WebSocket and WebTransport. Default: if one of these is among
    /// the transports.
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.upgrades = Some(allow);
        self
    }

    /// How long a client may stay without having joined a namespace. Default 45 s; then it is disconnected, and counted as
    /// [`Limit::ConnectTime`](crate::Limit::ConnectTime). So long, too, may [`allow_request`](Self::allow_request) take
    /// before that.
    ///
    /// Too short refuses clients whose `authorize` asks a slow database; too long lets strangers keep a session each.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.protocol.connect_timeout = timeout;
        self
    }

    /// How long `emit_with_ack` waits unless it says otherwise. Default 30 s.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.config.ack_timeout = timeout;
        self
    }

    /// What may wait for a client that reads slowly: bytes (default 16 MiB) and packets (default 262,144), whichever is
    /// reached first. Each packet counts its bytes and about 100 more. The worst case of memory is this times the number
    /// of clients; see [`WhenFull`] for what happens then.
    pub fn outbox(mut self, bytes: usize, packets: usize) -> Self {
        self.config.outbox_bytes = bytes;
        self.config.outbox_packets = packets;
        self
    }

    /// What happens when an outbox is full. Default: the client is disconnected.
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.config.when_full = policy;
        self
    }

    /// Lets pages of every origin talk to the server. Default: only those from the server's own host.
    pub fn any_origin(self) -> Self {
        self.cors(Cors::any_origin())
    }

    /// Lets pages of these origins talk to the server, with credentials: `https://example.org`, compared as a whole.
    pub fn origins<S: Into<String>>(self, origins: impl IntoIterator<Item = S>) -> Self {
        self.cors(Cors::origins(origins).credentials(true))
    }

    /// Which pages may talk to the server, in full; [`Self::any_origin`] and [`Self::origins`] are its short forms.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.config.cors = cors;
        self
    }

    /// Decides about every client before it gets a session, whatever its transport. `peer` has the headers, the query
    /// and the address of its request. A refusal is answered by 403 with its message (`allowRequest` of JS).
    ///
    /// The client waits meanwhile, for [`connect_timeout`](Self::connect_timeout) at most: then it is answered by 503 with
    /// `Retry-After`, the decision is dropped, and that is counted as [`Limit::DecisionTime`](crate::Limit::DecisionTime).
    /// If the decision panics, the client is answered by 500, code 3. To decide about users
    /// rather than connections see [`Namespace::authorize`](crate::Namespace::authorize), which gets their `auth` too.
    ///
    /// ```
    /// use sockeye::{Refusal, Server};
    ///
    /// let io = Server::builder()
    ///     .allow_request(async |peer| match peer.header("x-api-key") {
    ///         Some("secret") => Ok(()),
    ///         _ => Err(Refusal::new("no key")),
    ///     })
    ///     .build()?;
    /// # Ok::<(), sockeye::ConfigError>(())
    /// ```
    pub fn allow_request<F, Fut>(mut self, decide: F) -> Self
    where
        F: FnOnce(Peer) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.config.hooks.allow_request = Some(Arc::new(move |peer| Box::pin(decide.clone()(peer))));
        self
    }

    /// Has polling clients keep their session's id in a cookie, for proxies that need one. Default: no cookie.
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.config.cookie = Some(cookie);
        self
    }

    /// Makes the ids of sessions: 1 to 64 characters of `A-Za-z0-9-_.~`. Default: 22 characters from a cryptographic
    /// source, and better than most others: whoever guesses an id can take over its session.
    ///
    /// A client whose id is taken, or is no such id, is refused (code 3); by 500, if `generate` panics.
    pub fn generate_id(mut self, generate: impl Fn(&Peer) -> String + Send + Sync + 'static) -> Self {
        self.config.hooks.generate_id = Some(Arc::new(generate));
        self
    }

    /// Sees and changes the headers of the response that opens a session: of the first poll, or of the WebSocket. If it
    /// panics, there is no session, and the response is a 500 without them.
    pub fn on_initial_headers(mut self, hook: impl Fn(&mut HeaderMap, &Peer) + Send + Sync + 'static) -> Self {
        self.config.hooks.initial_headers.push(Arc::new(hook));
        self
    }

    /// Sees and changes the headers of every response that succeeds, the first of a session included. If it panics, the
    /// response is a 500 without them; a session that polls ends thereby, and one that was to go over to a WebSocket does
    /// not.
    pub fn on_headers(mut self, hook: impl Fn(&mut HeaderMap, &Peer) + Send + Sync + 'static) -> Self {
        self.config.hooks.headers.push(Arc::new(hook));
        self
    }

    /// Learns of every request that was refused, and why. If it panics, the answer is the same.
    pub fn on_connection_error(mut self, hook: impl Fn(&ConnectionError) + Send + Sync + 'static) -> Self {
        self.config.hooks.connection_error.push(Arc::new(hook));
        self
    }

    /// Also serves clients of Socket.IO 1.x and 2.x (`EIO=3`). Default false. Such a client computes the id of its socket
    /// from that of its session, so theirs are the same: do not show it to others.
    pub fn allow_eio3(mut self, allow: bool) -> Self {
        self.config.allow_eio3 = allow;
        self
    }

    /// How the bodies of polling responses are compressed. Default: from 1,024 bytes on, for clients that accept it.
    pub fn http_compression(mut self, compression: HttpCompression) -> Self {
        self.config.http_compression = compression;
        self
    }

    /// Whether browsers of long ago may poll by script elements (JSONP, `forceJSONP` of clients up to 3.x). Default
    /// false, unlike the official server: scripts can be loaded from every origin, with the visitor's cookies, so
    /// [`Self::cors`] is no guard for them.
    pub fn allow_jsonp(mut self, allow: bool) -> Self {
        self.config.jsonp = allow;
        self
    }

    /// Serves the client for browsers below the path, as `/socket.io/socket.io.js` and its variants: from a folder as
    /// the npm package `socket.io` has it (`client-dist`). Default: it is not served.
    ///
    /// The files are read once, by `build`; no other file of the folder can be asked for.
    pub fn serve_client(mut self, folder: impl Into<PathBuf>) -> Self {
        self.client = Some(folder.into());
        self
    }

    /// Compresses WebSocket messages for clients that want it (permessage-deflate). Default: off, as in the official
    /// server; see [`Deflate`] for what it costs.
    pub fn per_message_deflate(mut self, deflate: Deflate) -> Self {
        self.config.deflate = Some(deflate);
        self
    }

    /// The form of packets. Default JSON; all clients of a server must use the same.
    pub fn parser(mut self, parser: Parser) -> Self {
        self.config.parser = parser;
        self
    }

    /// Rooms that one socket may be in. Default 1,024.
    pub fn max_rooms(mut self, rooms: usize) -> Self {
        self.config.max_rooms = rooms;
        self
    }

    /// Length of a room's name in bytes. Default 1 KiB. A join with a longer one does nothing: where clients choose the
    /// names, this times [`Self::max_rooms`] is what one of them can make the server keep in a namespace.
    pub fn max_room_name(mut self, max_bytes: usize) -> Self {
        self.config.max_room_name = max_bytes;
        self
    }

    /// Answers that may be waited for from one socket at a time. Default 4,096; one more fails as `Full`.
    pub fn max_pending_acks(mut self, acks: usize) -> Self {
        self.config.max_pending_acks = acks;
        self
    }

    /// Events of one connection, in all its namespaces, that may wait until handlers have caught up: number (default
    /// 1,024) and bytes of names and arguments (default 4 MiB). Beyond that nothing more is read from the client until
    /// they have. While an answer of the client is waited for, four times as many may wait: the answer may stand behind
    /// them. What handlers are at counts as well, in bytes, but for the socket that has most of it in hand.
    pub fn max_waiting_events(mut self, events: usize, bytes: usize) -> Self {
        self.config.max_waiting_events = events;
        self.config.max_waiting_bytes = bytes;
        self
    }

    /// Lets clients whose connection broke come back to their id, rooms and data, and to what was sent meanwhile
    /// (`connectionStateRecovery`). Default: off. Every event then carries one more argument, a string, which the clients
    /// of Socket.IO 4.6 and later know how to use, and the broadcasts of one namespace are handed out one at a time.
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.config.recovery = Some(recovery);
        self
    }

    /// Bytes that the server keeps of a client which has not joined a namespace yet, and longest CONNECT later on. Default
    /// 16 KiB. A stranger beyond it is closed; a longer CONNECT of a further namespace is refused, and the connection goes on.
    ///
    /// It holds for all together: 5 KiB for the session itself, the head of the request that opened it, what waits for
    /// `authorize` to decide or for the client to be read, and the message that is being said. With a head of 1 KiB, the
    /// `auth` of the first CONNECT may have 10 KiB. A request with so long a head that less than 1 KiB would be left opens
    /// no session: it is answered by 431. Too small, and clients with long cookies or tokens stay out; too large, and
    /// strangers may take memory: [`max_sessions`](Self::max_sessions) times as much. Less than 16 KiB bounds the message
    /// alone. A message is never longer than [`max_payload`](Self::max_payload) either.
    pub fn max_unconnected_payload(mut self, bytes: usize) -> Self {
        self.config.unconnected_payload = bytes;
        self
    }

    /// Byte streams that are open at a time, TLS and WebSockets among them, where [`Server::listen`](crate::Server::listen)
    /// or a sibling of it serves them; those of a framework count by
    /// [`Server::count_connection`](crate::Server::count_connection). Default: no bound but the file descriptors. One more
    /// is closed at once, with a 503 that says so if it can be written without waiting, and counted as
    /// [`Limit::Connections`](crate::Limit::Connections).
    ///
    /// A client that polls has up to two, and its browser may keep more open: less than twice the clients you expect
    /// turns some of them away. More than the process has file descriptors bounds nothing: leave some of these for what
    /// else it opens. Clients of WebTransport share one UDP socket and are not among them.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.config.max_connections = Some(connections);
        self
    }

    /// Those of [`max_connections`](Self::max_connections) that one client address may have; an IPv6 network of 64 bits
    /// counts as one. Default: no bound, since many people may share an address. One more is closed as there, and counted
    /// as [`Limit::ConnectionsPerAddress`](crate::Limit::ConnectionsPerAddress). Without it one address can take all places,
    /// with connections on which it says nothing.
    ///
    /// The address is that of the other end, or what the proxy announces by [`proxy_protocol`](Self::proxy_protocol). A
    /// proxy that is [trusted](Self::trust_proxies) has the connections of all its clients, so its own are not bounded.
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.config.gate.connections_per_address = Some(connections);
        self
    }

    /// Sessions in all. Default: no bound but the file descriptors. One more is answered by 503 and `Retry-After`.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.config.gate.sessions = Some(sessions);
        self
    }

    /// Sessions per client address; an IPv6 network of 64 bits counts as one. Default: no bound, since many people may
    /// share an address. Behind proxies, name them by [`Self::trust_proxies`] first.
    pub fn max_sessions_per_address(mut self, sessions: usize) -> Self {
        self.config.gate.sessions_per_address = Some(sessions);
        self
    }

    /// New sessions per second, with so many at once. Default: no bound. What is too fast is answered by 503 and
    /// `Retry-After`, before anything is kept.
    pub fn handshake_rate(mut self, per_second: u32, burst: u32) -> Self {
        self.config.gate.handshakes = Some(Rate { per_second, burst });
        self
    }

    /// New sessions per second and client address, with so many at once. Default: no bound.
    pub fn handshake_rate_per_address(mut self, per_second: u32, burst: u32) -> Self {
        self.config.gate.handshakes_per_address = Some(Rate { per_second, burst });
        self
    }

    /// Events per second from one connection, with so many at once. Default: no bound. A client that is faster is
    /// disconnected, reason [`LimitExceeded`](crate::DisconnectReason::LimitExceeded).
    ///
    /// Whatever costs something to read counts as one, on every transport: each packet of Engine.IO, so that an event with
    /// three attachments is four; each ping and pong of WebSocket, which some clients send to keep connections open; each
    /// frame of a message in several. What a client owes does not count: the heartbeats of Engine.IO, each in its time, and
    /// the packets of an upgrade.
    pub fn event_rate(mut self, per_second: u32, burst: u32) -> Self {
        self.config.events = Some(Rate { per_second, burst });
        self
    }

    /// Bytes per second from one connection, with so many at once. Default: no bound. A client that is faster is
    /// disconnected, reason [`LimitExceeded`](crate::DisconnectReason::LimitExceeded).
    ///
    /// All that is read for a session counts: the bodies of POSTs, and on streams each frame with its header, heartbeats
    /// among them. A compressed message counts as what it becomes. `burst` below `max_payload` makes that the longest
    /// message, less its header of up to 14 bytes.
    pub fn byte_rate(mut self, per_second: u32, burst: u32) -> Self {
        self.config.bytes = Some(Rate { per_second, burst });
        self
    }

    /// Believes what these proxies say about where a request comes from, in the header that [`Self::proxy_header`] names
    /// (`X-Forwarded-For`, if nothing is said): addresses or networks, `10.0.0.0/8`. Default: nobody is believed.
    ///
    /// # Errors
    /// When one of them is neither an address nor a network.
    pub fn trust_proxies<'a>(mut self, networks: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let networks: Result<Vec<_>, _> = networks.into_iter().map(Network::parse).collect();
        self.config.trusted.networks = networks?;
        Ok(self)
    }

    /// The one header in which [trusted proxies](Self::trust_proxies) say where a request comes from. Default
    /// `X-Forwarded-For`. Name what your proxy writes: any other it passes on as the client wrote it, so that whoever is
    /// behind it would choose an address.
    pub fn proxy_header(mut self, header: ProxyHeader) -> Self {
        self.config.trusted.header = header;
        self
    }

    /// Expects every connection of [`Server::listen`](crate::Server::listen) to begin with a header of the PROXY
    /// protocol, version 1 or 2. With [`Self::trust_proxies`] only those may connect. Default false. A connection without
    /// it is closed.
    pub fn proxy_protocol(mut self, expect: bool) -> Self {
        self.config.proxy_protocol = expect;
        self
    }

    /// Connects the server to others. Default [`Local`](crate::adapter::Local): it stands alone.
    pub fn adapter(mut self, adapter: impl Adapter) -> Self {
        self.config.adapter = Arc::new(adapter);
        self
    }
}
