//! Knobs of a connection, with the names and defaults of the official client.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::Revision;
use sockeye_protocol::Parser;

use crate::address::Address;
use crate::backoff::Reconnect;
use crate::dial::Dial;
use crate::error::ConfigError;

/// A way of carrying messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// HTTP long-polling: passes every proxy.
    Polling,
    /// WebSocket.
    Websocket,
}

/// What happens to an event when its client's queue is full, offline or because the server reads slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The new event is dropped and counted ([`Client::dropped`](crate::Client::dropped)).
    DropNew,
    /// The oldest events that wait are dropped and counted until the new one fits.
    DropOldest,
    /// `emit` returns [`EmitError::Full`](crate::EmitError::Full). The default.
    #[default]
    Fail,
}

/// Everything about one connection that is the same for all its namespaces.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "options of the application, each told by its name")]
pub(crate) struct Config {
    pub(crate) address: Address,
    /// Of Engine.IO.
    pub(crate) revision: Revision,
    /// Path of the HTTP requests.
    pub(crate) path: String,
    /// Query of all requests, without what the protocol adds.
    pub(crate) query: String,
    /// Headers of all requests.
    pub(crate) headers: Vec<(String, String)>,
    /// More of the query and of the headers, made for each attempt.
    pub(crate) fresh_query: Fresh,
    pub(crate) fresh_headers: Fresh,
    pub(crate) transports: Vec<Transport>,
    pub(crate) upgrade: bool,
    pub(crate) remember_upgrade: bool,
    pub(crate) try_all_transports: bool,
    pub(crate) compression: bool,
    pub(crate) parser: Parser,
    pub(crate) protocols: Vec<String>,
    pub(crate) reconnect: Reconnect,
    /// From the beginning of an attempt to the server's OPEN, and from CONNECT to its answer.
    pub(crate) connect_timeout: Duration,
    pub(crate) engine: Arc<sockeye_engine::Config>,
    pub(crate) protocol: Arc<sockeye_protocol::Config>,
    pub(crate) dial: Dial,
}

/// How many times as many events may wait while an answer of the server is waited for.
const ASKING: usize = 4;

/// What can be set for each namespace.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) ack_timeout: Duration,
    pub(crate) queue_packets: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) max_pending_acks: usize,
    pub(crate) max_waiting_events: usize,
    pub(crate) max_waiting_bytes: usize,
    pub(crate) retries: Option<Retries>,
}

/// The queue which sends each event until the server has acknowledged it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    pub(crate) limit: u32,
    pub(crate) with_id: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ack_timeout: Duration::from_secs(30),
            queue_packets: 10_000,
            queue_bytes: 16 * 1024 * 1024,
            when_full: WhenFull::default(),
            max_pending_acks: 10_000,
            max_waiting_events: 1_024,
            max_waiting_bytes: 4 * 1024 * 1024,
            retries: None,
        }
    }
}

impl Config {
    pub(crate) fn new(address: Address) -> Self {
        let engine = sockeye_engine::Config { max_payload: MAX_PAYLOAD, ..sockeye_engine::Config::default() };
        let protocol =
            sockeye_protocol::Config { max_attachment_bytes: MAX_PAYLOAD, ..sockeye_protocol::Config::default() };
        Self {
            query: address.query.clone(),
            address,
            revision: Revision::V4,
            path: "/socket.io/".to_owned(),
            headers: Vec::new(),
            fresh_query: Fresh::default(),
            fresh_headers: Fresh::default(),
            transports: vec![Transport::Polling, Transport::Websocket],
            upgrade: true,
            remember_upgrade: false,
            try_all_transports: false,
            compression: false,
            parser: Parser::default(),
            protocols: Vec::new(),
            reconnect: Reconnect::default(),
            connect_timeout: Duration::from_secs(20),
            engine: Arc::new(engine),
            protocol: Arc::new(protocol),
            dial: Dial::default(),
        }
    }

    /// Finds contradictions.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let checks = [
            (self.transports.is_empty(), "no transport is left: name at least one of polling and websocket"),
            (self.connect_timeout.is_zero(), "connect_timeout is zero: no server could answer in time"),
            (self.engine.max_payload == 0, "max_payload is zero: the server could send nothing"),
            (!self.path.starts_with('/'), "the path does not begin with /"),
            (
                self.revision == Revision::V3 && !matches!(self.parser, Parser::Json),
                "servers of Socket.IO 2.x (`eio3`) are spoken to in JSON",
            ),
            (!self.path.bytes().all(is_path), "the path holds characters that must be percent-encoded"),
        ];
        if let Some((_, why)) = checks.iter().find(|(wrong, _)| *wrong) {
            return Err(ConfigError::new(*why));
        }
        self.headers.iter().try_for_each(|(name, value)| check_header(name, value))
    }
}

/// Whether an application may add this header.
pub(crate) fn check_header(name: &str, value: &str) -> Result<(), ConfigError> {
    let is_name = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
    let is_value = http::HeaderValue::from_str(value).is_ok();
    if is_name && is_value && !OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        return Ok(());
    }
    Err(ConfigError::new(format!("the header {name:?} cannot be sent, or belongs to the protocol")))
}

/// Names and values which the application makes anew for each attempt.
#[derive(Clone, Default)]
pub(crate) struct Fresh(Option<Arc<Maker>>);

type Maker = dyn Fn() -> Vec<(String, String)> + Send + Sync;

impl Fresh {
    pub(crate) fn new(make: impl Fn() -> Vec<(String, String)> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(make)))
    }

    /// They are made; a panic becomes an error.
    pub(crate) fn make(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let Some(make) = &self.0 else { return Ok(Vec::new()) };
        let pairs = std::panic::catch_unwind(AssertUnwindSafe(|| make()));
        pairs.map_err(|_| ConfigError::new("what makes headers or the query panicked"))
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Fresh" } else { "None" })
    }
}

impl Limits {
    /// Whether more should not be read while so many events and bytes wait. An answer that is waited for may stand behind
    /// them: only reading on gets there.
    pub(crate) fn is_behind(&self, (events, bytes): (usize, usize), is_asking: bool) -> bool {
        let times = if is_asking { ASKING } else { 1 };
        events >= self.max_waiting_events.saturating_mul(times) || bytes >= self.max_waiting_bytes.saturating_mul(times)
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let checks = [
            (self.queue_bytes == 0 || self.queue_packets == 0, "the bound of the queue is zero: nothing could be sent"),
            (self.ack_timeout.is_zero(), "ack_timeout is zero: no answer could come in time"),
            (
                self.max_waiting_events == 0 || self.max_waiting_bytes == 0,
                "max_waiting is zero: nothing could be received",
            ),
            (self.max_pending_acks == 0, "max_pending_acks is zero: nothing could be asked"),
        ];
        checks.iter().find(|(wrong, _)| *wrong).map_or(Ok(()), |(_, why)| Err(ConfigError::new(*why)))
    }
}

fn is_path(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"?#".contains(&byte)
}

/// Longest message taken from the server: what the official client's WebSocket takes.
const MAX_PAYLOAD: usize = 100 * 1024 * 1024;

/// Headers which the transports write themselves.
const OURS: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_behind_is_so_at_the_bound_in_events_or_in_bytes() {
        let limits = Limits { max_waiting_events: 10, max_waiting_bytes: 1_000, ..Limits::default() };
        for (waiting, behind) in
            [((9, 999), false), ((10, 0), true), ((11, 0), true), ((0, 1_000), true), ((0, 1_001), true)]
        {
            assert_eq!(limits.is_behind(waiting, false), behind, "{waiting:?}");
        }
        for (waiting, behind) in [((39, 3_999), false), ((40, 0), true), ((0, 4_000), true)] {
            assert_eq!(limits.is_behind(waiting, true), behind, "{waiting:?}, and an answer is waited for");
        }
    }
}
