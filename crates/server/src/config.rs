//! Knobs of the server.

use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::Revision;
use sockeye_engine::handshake::TransportName;
use sockeye_protocol::Parser;

use crate::adapter::{Adapter, Local};
use crate::compression::{Deflate, HttpCompression};
use crate::cookie::Cookie;
use crate::cors::Cors;
use crate::error::ConfigError;
use crate::gate::Bounds;
use crate::hooks::Hooks;
use crate::limits::Rate;
use crate::proxy::Trusted;
use crate::recovery::Recovery;

/// What happens when a client reads so slowly that its outbox reaches its bound.
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
    pub(crate) max_waiting_events: usize,
    pub(crate) max_waiting_bytes: usize,
    pub(crate) allow_eio3: bool,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) deflate: Option<Deflate>,
    pub(crate) http_compression: HttpCompression,
    pub(crate) jsonp: bool,
    pub(crate) gate: Bounds,
    pub(crate) trusted: Trusted,
    pub(crate) proxy_protocol: bool,
    pub(crate) unconnected_payload: usize,
    pub(crate) events: Option<Rate>,
    pub(crate) bytes: Option<Rate>,
    pub(crate) adapter: Arc<dyn Adapter>,
}

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
            max_waiting_events: 1_024,
            max_waiting_bytes: 4 * 1024 * 1024,
            allow_eio3: false,
            recovery: None,
            deflate: None,
            http_compression: HttpCompression::default(),
            jsonp: false,
            gate: Bounds::default(),
            trusted: Trusted::default(),
            proxy_protocol: false,
            unconnected_payload: 16 * 1024,
            events: None,
            bytes: None,
            adapter: Arc::new(Local),
        }
    }
}

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let engine = &self.engine;
        let checks = [
            (engine.ping_interval.is_zero(), "ping_interval is zero: every client would be pinged without pause"),
            (
                engine.ping_timeout.is_zero(),
                "ping_timeout is zero: every client would be disconnected at its first ping",
            ),
            (engine.max_payload == 0, "max_payload is zero: no client could send anything"),
            (self.protocol.connect_timeout.is_zero(), "connect_timeout is zero: no client could join a namespace"),
            (self.transports.is_empty(), "no transport is enabled: name at least one of polling and websocket"),
            (self.outbox_bytes == 0, "the outbox bound is zero bytes: nothing could be sent"),
            (self.outbox_packets == 0, "the outbox bound is zero packets: nothing could be sent"),
            (self.unconnected_payload == 0, "max_unconnected_payload is zero: no client could send CONNECT"),
            (self.ack_timeout.is_zero(), "ack_timeout is zero: no answer could come in time"),
        ];
        if let Some((_, why)) = checks.iter().find(|(wrong, _)| *wrong) {
            return Err(ConfigError::new(*why));
        }
        self.cors.validate()?;
        self.cookie.as_ref().map_or(Ok(()), Cookie::validate)
    }

    pub(crate) fn allows(&self, transport: TransportName) -> bool {
        self.transports.contains(&transport)
    }

    pub(crate) fn speaks(&self, revision: Revision) -> bool {
        revision == Revision::V4 || self.allow_eio3
    }

    /// Whether the own accept loop answers at `path`.
    pub(crate) fn is_path(&self, path: &str) -> bool {
        path == self.path || self.path.strip_suffix('/') == Some(path)
    }
}
