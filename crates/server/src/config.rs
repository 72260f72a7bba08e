//! Knobs of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use sockeye_engine::Revision;
use sockeye_engine::handshake::TransportName;
use sockeye_protocol::Parser;

use crate::adapter::{Adapter, Local};
use crate::bundle::Bundle;
use crate::compression::{Deflate, HttpCompression};
use crate::cookie::Cookie;
use crate::cors::Cors;
use crate::error::ConfigError;
use crate::gate::Bounds;
use crate::hooks::Hooks;
use crate::limits::Rate;
use crate::proxy::{ProxyHeader, Trusted};
use crate::recovery::Recovery;

/// What happens when a client reads so slowly that its outbox reaches its bound.
///
/// Of the whole server: [`ServerBuilder::when_full`](crate::ServerBuilder::when_full); of a namespace:
/// [`Namespace::set_when_full`](crate::Namespace::set_when_full); of what is emitted:
/// [`Target::when_full`](crate::Target::when_full). To wait instead, await
/// [`Socket::ready`](crate::Socket::ready) before each `emit`; to keep only the newest state,
/// [`Target::latest`](crate::Target::latest).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The client is disconnected, reason `slow consumer`. The default: memory stays bounded and the client, when it
    /// comes back, starts from a known state.
    #[default]
    Disconnect,
    /// The new packet is dropped and counted; the client misses it.
    DropNew,
    /// The oldest packets that are not being written yet are dropped and counted, until the new one fits.
    DropOldest,
    /// `emit` returns [`EmitError::Full`](crate::EmitError::Full). A broadcast leaves the client out and counts it.
    Fail,
}

/// The policy of one namespace, which can be set at any time.
#[derive(Debug, Default)]
pub(crate) struct Policy(AtomicU8);

impl Policy {
    const ALL: [WhenFull; 4] = [WhenFull::Disconnect, WhenFull::DropNew, WhenFull::DropOldest, WhenFull::Fail];

    pub(crate) fn set(&self, policy: WhenFull) {
        let place = Self::ALL.iter().position(|each| *each == policy).and_then(|place| u8::try_from(place).ok());
        self.0.store(place.map_or(0, |place| place + 1), Ordering::Relaxed);
    }

    /// None if that of the server holds.
    pub(crate) fn get(&self) -> Option<WhenFull> {
        let place = usize::from(self.0.load(Ordering::Relaxed)).checked_sub(1)?;
        Self::ALL.get(place).copied()
    }
}

/// Everything that can be set. Made by [`ServerBuilder`](crate::ServerBuilder), never changed afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) engine: Arc<sockeye_engine::Config>,
    pub(crate) protocol: Arc<sockeye_protocol::Config>,
    pub(crate) parser: Parser,
    pub(crate) path: String,
    pub(crate) transports: Vec<TransportName>,
    pub(crate) cors: Cors,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) hooks: Hooks,
    pub(crate) outbox_bytes: usize,
    pub(crate) outbox_packets: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) ack_timeout: Duration,
    pub(crate) max_pending_acks: usize,
    pub(crate) max_rooms: usize,
    pub(crate) max_room_name: usize,
    pub(crate) max_waiting_events: usize,
    pub(crate) max_waiting_bytes: usize,
    pub(crate) allow_eio3: bool,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) deflate: Option<Deflate>,
    pub(crate) http_compression: HttpCompression,
    pub(crate) jsonp: bool,
    pub(crate) client: Option<Arc<Bundle>>,
    pub(crate) gate: Bounds,
    pub(crate) trusted: Trusted,
    pub(crate) proxy_protocol: bool,
    pub(crate) unconnected_payload: usize,
    pub(crate) max_fragments: usize,
    pub(crate) max_unfinished: usize,
    pub(crate) max_head: usize,
    pub(crate) max_connections: Option<usize>,
    pub(crate) request_timeout: Duration,
    pub(crate) events: Option<Rate>,
    pub(crate) bytes: Option<Rate>,
    pub(crate) adapter: Arc<dyn Adapter>,
}

/// What the server keeps of a client that has joined no namespace, unless the application lets it say more than that.
pub(crate) const STRANGER: usize = 16 * 1024;
/// So much of it is the session itself, with what was read ahead and the last CONNECT that waits for a decision.
pub(crate) const SESSION: usize = 5 * 1024;
/// The least that is left for messages: with a head that leaves less, no session is opened.
pub(crate) const LEAST_ROOM: usize = 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: Arc::default(),
            protocol: Arc::default(),
            parser: Parser::default(),
            path: "/socket.io/".into(),
            transports: vec![TransportName::Polling, TransportName::Websocket],
            cors: Cors::default(),
            cookie: None,
            hooks: Hooks::default(),
            outbox_bytes: 16 * 1024 * 1024,
            outbox_packets: 262_144,
            when_full: WhenFull::default(),
            ack_timeout: Duration::from_secs(30),
            max_pending_acks: 4_096,
            max_rooms: 1_024,
            max_room_name: 1_024,
            max_waiting_events: 1_024,
            max_waiting_bytes: 4 * 1024 * 1024,
            allow_eio3: false,
            recovery: None,
            deflate: None,
            http_compression: HttpCompression::default(),
            jsonp: false,
            client: None,
            gate: Bounds::default(),
            trusted: Trusted::default(),
            proxy_protocol: false,
            unconnected_payload: 16 * 1024,
            max_fragments: 65_536,
            max_unfinished: 256 * 1024 * 1024,
            max_head: 16 * 1024,
            max_connections: None,
            request_timeout: Duration::from_secs(30),
            events: None,
            bytes: None,
            adapter: Arc::new(Local),
        }
    }
}

impl Config {
    /// Refuses what contradicts itself or cannot work.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = [
            self.useless_time(),
            self.useless_bound(),
            self.useless_packet(),
            self.closed_gate(),
            self.useless_recovery(),
            self.contradiction(),
        ];
        if let Some(why) = wrong.into_iter().flatten().next() {
            return Err(ConfigError::new(why));
        }
        self.cors.validate()?;
        self.cookie.as_ref().map_or(Ok(()), Cookie::validate)
    }

    fn useless_time(&self) -> Option<&'static str> {
        let engine = &self.engine;
        // Clients are told in whole milliseconds.
        let none = |time: Duration| time.as_millis() == 0;
        first(&[
            (none(engine.ping_interval), "ping_interval is zero: every client would be pinged without pause"),
            (none(engine.ping_timeout), "ping_timeout is zero: every client would be disconnected at its first ping"),
            (
                engine.allow_upgrades && none(engine.upgrade_timeout),
                "upgrade_timeout is zero: every upgrade would fail; use allow_upgrades(false) to have none",
            ),
            (
                engine.webtransport && none(engine.upgrade_timeout),
                "upgrade_timeout is zero: no client could open a stream of WebTransport in time",
            ),
            (self.protocol.connect_timeout.is_zero(), "connect_timeout is zero: no client could join a namespace"),
            (
                self.protocol.max_attachments > 0 && self.protocol.attachment_timeout.is_zero(),
                "attachment_timeout is zero: no attachment could arrive in time; max_attachments(0) takes none",
            ),
            (self.ack_timeout.is_zero(), "ack_timeout is zero: no answer could come in time"),
            (self.request_timeout.is_zero(), "request_timeout is zero: no request could arrive in time"),
        ])
    }

    fn useless_bound(&self) -> Option<&'static str> {
        first(&[
            (self.engine.max_payload == 0, "max_payload is zero: no client could send anything"),
            (self.unconnected_payload == 0, "max_unconnected_payload is zero: no client could send CONNECT"),
            (
                self.max_unfinished < self.engine.max_payload,
                "max_unfinished is less than max_payload: no message so long could arrive in pieces",
            ),
            (self.max_fragments == 0, "max_fragments is zero: no WebSocket client could send anything"),
            (
                self.max_head < 8 * 1024,
                "max_head is less than 8,192 bytes: requests with ordinary cookies would be refused",
            ),
            (self.outbox_bytes == 0, "the outbox bound is zero bytes: nothing could be sent"),
            (self.outbox_packets == 0, "the outbox bound is zero packets: nothing could be sent"),
            (self.max_pending_acks == 0, "max_pending_acks is zero: no answer could be waited for"),
            (self.max_room_name == 0, "max_room_name is zero: no room could be joined; max_rooms(0) says so"),
            (self.max_waiting_events == 0, "max_waiting_events is zero events: no event could reach a handler"),
            (self.max_waiting_bytes == 0, "max_waiting_events is zero bytes: no event could reach a handler"),
            (
                self.deflate.is_some_and(|deflate| !(1..=9).contains(&deflate.level)),
                "per_message_deflate: the level is not within 1 (fastest) to 9 (smallest)",
            ),
            (
                !(1..=9).contains(&self.http_compression.level),
                "http_compression: the level is not within 1 (fastest) to 9 (smallest); HttpCompression::off() turns it off",
            ),
        ])
    }

    /// What leaves no room for packets, or more than there can be.
    fn useless_packet(&self) -> Option<&'static str> {
        let protocol = &self.protocol;
        first(&[
            (
                protocol.max_attachments > 0 && protocol.max_attachment_bytes == 0,
                "max_attachment_bytes is zero: no client could send bytes; max_attachments(0) says so before they come",
            ),
            (protocol.max_namespaces == 0, "max_namespaces is zero: no client could join a namespace"),
            (
                protocol.max_namespaces > usize::from(u16::MAX),
                "max_namespaces is more than 65,535, which is as far as one connection counts",
            ),
            (protocol.max_depth == 0, "max_depth is zero: no packet could have arguments"),
            (protocol.max_depth > 128, "max_depth is more than 128, which is as deep as the stack of a thread bears"),
        ])
    }

    /// What lets nobody in, or nothing through.
    fn closed_gate(&self) -> Option<&'static str> {
        let Bounds { connections_per_address, sessions, sessions_per_address, handshakes, handshakes_per_address } =
            &self.gate;
        let none = |rate: &Option<Rate>| rate.is_some_and(|rate| rate.per_second == 0 || rate.burst == 0);
        first(&[
            (self.max_connections == Some(0), "max_connections is zero: no client could connect"),
            (*connections_per_address == Some(0), "max_connections_per_address is zero: no client could connect"),
            (*sessions == Some(0), "max_sessions is zero: no client could connect"),
            (*sessions_per_address == Some(0), "max_sessions_per_address is zero: no client could connect"),
            (none(handshakes), "handshake_rate has a zero: no client could connect"),
            (none(handshakes_per_address), "handshake_rate_per_address has a zero: no client could connect"),
            (none(&self.events), "event_rate has a zero: every client would be disconnected at its first message"),
            (none(&self.bytes), "byte_rate has a zero: every client would be disconnected at its first message"),
        ])
    }

    fn useless_recovery(&self) -> Option<&'static str> {
        let recovery = self.recovery.as_ref()?;
        first(&[
            (recovery.window.is_zero(), "recovery: the window is zero, so nobody could come back; leave recovery out"),
            (
                recovery.max_sessions == 0,
                "recovery: max_sessions is zero, so nobody could come back; leave recovery out",
            ),
            (
                recovery.max_bytes == 0 || recovery.max_packets == 0,
                "recovery: max_bytes or max_packets is zero, so nothing that was missed could be kept",
            ),
        ])
    }

    fn contradiction(&self) -> Option<&'static str> {
        let polling = self.allows(TransportName::Polling);
        let websocket = self.allows(TransportName::Websocket);
        let webtransport = self.allows(TransportName::Webtransport);
        first(&[
            (self.transports.is_empty(), "no transport is enabled: name at least one of polling and websocket"),
            (
                webtransport && cfg!(not(feature = "webtransport")),
                "webtransport is among the transports, but the program was built without the feature `webtransport`",
            ),
            (
                self.engine.allow_upgrades && !websocket && !webtransport,
                "allow_upgrades is true, but websocket is not among the transports: there is nothing to upgrade to",
            ),
            (
                self.deflate.is_some() && !websocket,
                "per_message_deflate is set, but websocket is not among the transports: see http_compression for polling",
            ),
            (
                self.cookie.is_some() && !polling,
                "a cookie is set, but polling is not among the transports: only polling sets it",
            ),
            (self.jsonp && !polling, "allow_jsonp is true, but polling is not among the transports"),
            (
                self.trusted.header != ProxyHeader::default() && self.trusted.is_empty(),
                "proxy_header names a header, but nobody who may write it: see trust_proxies",
            ),
            (
                !self.path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte)),
                "path holds what no request can ask for: write it as in a URL, percent-encoded, without query",
            ),
        ])
    }

    pub(crate) fn allows(&self, transport: TransportName) -> bool {
        self.transports.contains(&transport)
    }

    /// In this time a client that has gone is noticed by its session.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.engine.ping_interval.saturating_add(self.engine.ping_timeout)
    }

    pub(crate) fn speaks(&self, revision: Revision) -> bool {
        revision == Revision::V4 || self.allow_eio3
    }

    /// Longest message of a client that has joined no namespace, of whose request `head` bytes are kept and for which
    /// `waiting` bytes are kept besides: all that is kept of a stranger has one bound.
    pub(crate) fn room(&self, head: usize, waiting: usize) -> usize {
        let whole = self.unconnected_payload.max(STRANGER);
        let left = whole.saturating_sub(SESSION).saturating_sub(head).saturating_sub(waiting);
        left.min(self.unconnected_payload)
    }

    /// Whether a request of which so much would be kept may open a session.
    pub(crate) fn leaves_room(&self, head: usize) -> bool {
        self.room(head, 0) >= LEAST_ROOM.min(self.unconnected_payload)
    }

    /// Whether `path` is that of Socket.IO, with or without its last slash.
    pub(crate) fn is_own(&self, path: &str) -> bool {
        path == self.path || self.path.strip_suffix('/') == Some(path)
    }

    /// Whether a request for `path` is meant for Socket.IO: its own path, or a file of the client below it.
    pub(crate) fn answers(&self, path: &str) -> bool {
        let client = self.client.as_ref().zip(path.strip_prefix(&self.path));
        self.is_own(path) || client.is_some_and(|(client, name)| !name.contains('/') && client.find(name).is_some())
    }
}

/// What to say about the first thing that is wrong.
fn first(checks: &[(bool, &'static str)]) -> Option<&'static str> {
    checks.iter().find(|(wrong, _)| *wrong).map(|(_, why)| *why)
}
