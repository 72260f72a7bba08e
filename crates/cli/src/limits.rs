//! Options about limits, times and proxies.

use std::time::Duration;

use clap::{Args, ValueEnum};
use sockeye::{ConfigError, ProxyHeader, Server, ServerBuilder, Transport, WhenFull};

use crate::values::{Pair, Rate, seconds};

/// What clients may do. Unset options leave the server's defaults, which the help names.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitOptions {
    /// Who may come.
    #[command(flatten)]
    pub(crate) gate: GateOptions,
    /// What clients may send.
    #[command(flatten)]
    pub(crate) sizes: SizeOptions,
    /// What is kept for clients.
    #[command(flatten)]
    pub(crate) queues: QueueOptions,
    /// How long things may take.
    #[command(flatten)]
    pub(crate) times: TimeOptions,
}

/// Who may come.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Who may come")]
pub(crate) struct GateOptions {
    /// Connections in all, those of WebSockets among them; one more is closed at once [default: no limit]
    #[arg(long, env = "SOCKEYE_MAX_CONNECTIONS", value_name = "NUMBER")]
    pub(crate) max_connections: Option<usize>,

    /// Connections per client address, but for those of a proxy (see --trust-proxy) [default: no limit]
    #[arg(long, env = "SOCKEYE_MAX_CONNECTIONS_PER_ADDRESS", value_name = "NUMBER")]
    pub(crate) max_connections_per_address: Option<usize>,

    /// Sessions in all; one more is answered by 503 [default: no limit]
    #[arg(long, env = "SOCKEYE_MAX_SESSIONS", value_name = "NUMBER")]
    pub(crate) max_sessions: Option<usize>,

    /// Sessions per client address (see --trust-proxy) [default: no limit]
    #[arg(long, env = "SOCKEYE_MAX_SESSIONS_PER_ADDRESS", value_name = "NUMBER")]
    pub(crate) max_sessions_per_address: Option<usize>,

    /// New sessions per second, as 100 or as 100/500 with so many at once [default: no limit]
    #[arg(long, env = "SOCKEYE_HANDSHAKE_RATE", value_name = "RATE[/BURST]")]
    pub(crate) handshake_rate: Option<Rate>,

    /// New sessions per second and client address [default: no limit]
    #[arg(long, env = "SOCKEYE_HANDSHAKE_RATE_PER_ADDRESS", value_name = "RATE[/BURST]")]
    pub(crate) handshake_rate_per_address: Option<Rate>,

    /// Proxy that is believed where a request comes from: an address, or a network such as 10.0.0.0/8; several with commas
    /// [default: nobody]
    #[arg(long, env = "SOCKEYE_TRUST_PROXY", value_name = "NETWORK", value_delimiter = ',')]
    pub(crate) trust_proxy: Vec<String>,

    /// The one header in which it says so; any other it passes on as the client wrote it [default: x-forwarded-for]
    #[arg(long, env = "SOCKEYE_PROXY_HEADER", value_name = "HEADER")]
    pub(crate) proxy_header: Option<Header>,

    /// Each connection begins with a header of the PROXY protocol, version 1 or 2, that says who the client is; with
    /// --trust-proxy only those may connect, otherwise anybody may say anything
    #[arg(long, env = "SOCKEYE_PROXY_PROTOCOL")]
    pub(crate) proxy_protocol: bool,

    /// Origin of pages elsewhere that may talk to this server, as `https://example.org`; several with commas, * for all
    /// [default: only pages of its own]
    #[arg(long, env = "SOCKEYE_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) origin: Vec<String>,
}

/// What clients may send.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What clients may send")]
pub(crate) struct SizeOptions {
    /// Packets and frames per second from one client, beyond its heartbeats; one that is faster is disconnected
    /// [default: no limit]
    #[arg(long, env = "SOCKEYE_EVENT_RATE", value_name = "RATE[/BURST]")]
    pub(crate) event_rate: Option<Rate>,

    /// Bytes per second from one client, whatever they are; one that is faster is disconnected [default: no limit]
    #[arg(long, env = "SOCKEYE_BYTE_RATE", value_name = "RATE[/BURST]")]
    pub(crate) byte_rate: Option<Rate>,

    /// Longest message, in bytes [default: 1000000]
    #[arg(long, env = "SOCKEYE_MAX_PAYLOAD", value_name = "BYTES")]
    pub(crate) max_payload: Option<usize>,

    /// Longest message of a client in no namespace, in bytes [default: 16384]
    #[arg(long, env = "SOCKEYE_MAX_UNCONNECTED_PAYLOAD", value_name = "BYTES")]
    pub(crate) max_unconnected_payload: Option<usize>,

    /// Longest head of a request, in bytes, at least 8192 [default: 16384]
    #[arg(long, env = "SOCKEYE_MAX_HEAD", value_name = "BYTES")]
    pub(crate) max_head: Option<usize>,

    /// Bytes of messages that have not come to their end, of all clients together [default: 268435456]
    #[arg(long, env = "SOCKEYE_MAX_UNFINISHED", value_name = "BYTES")]
    pub(crate) max_unfinished: Option<usize>,

    /// WebSocket frames of one message [default: 65536]
    #[arg(long, env = "SOCKEYE_MAX_FRAGMENTS", value_name = "NUMBER")]
    pub(crate) max_fragments: Option<usize>,

    /// Attachments of one packet [default: 10]
    #[arg(long, env = "SOCKEYE_MAX_ATTACHMENTS", value_name = "NUMBER")]
    pub(crate) max_attachments: Option<usize>,

    /// Bytes of all attachments of one packet [default: 10000000]
    #[arg(long, env = "SOCKEYE_MAX_ATTACHMENT_BYTES", value_name = "BYTES")]
    pub(crate) max_attachment_bytes: Option<usize>,

    /// Depth of arrays and objects, at most 128 [default: 128]
    #[arg(long, env = "SOCKEYE_MAX_DEPTH", value_name = "LEVELS")]
    pub(crate) max_depth: Option<usize>,

    /// Namespaces of one connection [default: 256]
    #[arg(long, env = "SOCKEYE_MAX_NAMESPACES", value_name = "NUMBER")]
    pub(crate) max_namespaces: Option<usize>,
}

/// What is kept for clients.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What is kept for clients")]
pub(crate) struct QueueOptions {
    /// What may wait for a client that reads slowly: bytes, or bytes/packets [default: 16777216/262144]
    #[arg(long, env = "SOCKEYE_OUTBOX", value_name = "BYTES[/PACKETS]")]
    pub(crate) outbox: Option<Pair>,

    /// What happens when that is reached [default: disconnect]
    #[arg(long, env = "SOCKEYE_WHEN_FULL", value_name = "POLICY")]
    pub(crate) when_full: Option<Policy>,

    /// Events of one client that may wait for handlers: number, or number/bytes [default: 1024/4194304]
    #[arg(long, env = "SOCKEYE_MAX_WAITING_EVENTS", value_name = "NUMBER[/BYTES]")]
    pub(crate) max_waiting_events: Option<Pair>,

    /// Answers that are waited for from one client [default: 4096]
    #[arg(long, env = "SOCKEYE_MAX_PENDING_ACKS", value_name = "NUMBER")]
    pub(crate) max_pending_acks: Option<usize>,

    /// Rooms of one client [default: 1024]
    #[arg(long, env = "SOCKEYE_MAX_ROOMS", value_name = "NUMBER")]
    pub(crate) max_rooms: Option<usize>,

    /// Bytes of a room's name [default: 1024]
    #[arg(long, env = "SOCKEYE_MAX_ROOM_NAME", value_name = "BYTES")]
    pub(crate) max_room_name: Option<usize>,
}

/// How long things may take.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "How long things may take")]
pub(crate) struct TimeOptions {
    /// Seconds for the head of a request, and for the body of a POST [default: 30]
    #[arg(long, env = "SOCKEYE_REQUEST_TIMEOUT", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) request_timeout: Option<Duration>,

    /// Seconds between two heartbeats [default: 25]
    #[arg(long, env = "SOCKEYE_PING_INTERVAL", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) ping_interval: Option<Duration>,

    /// Seconds for the answer to a heartbeat [default: 20]
    #[arg(long, env = "SOCKEYE_PING_TIMEOUT", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) ping_timeout: Option<Duration>,

    /// Seconds that a client may be in no namespace [default: 45]
    #[arg(long, env = "SOCKEYE_CONNECT_TIMEOUT", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Seconds for an upgrade from polling to WebSocket [default: 10]
    #[arg(long, env = "SOCKEYE_UPGRADE_TIMEOUT", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) upgrade_timeout: Option<Duration>,

    /// Seconds for the attachments of a packet [default: 60]
    #[arg(long, env = "SOCKEYE_ATTACHMENT_TIMEOUT", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) attachment_timeout: Option<Duration>,

    /// Seconds for an answer that a client is asked for [default: 30]
    #[arg(long, env = "SOCKEYE_ACK_TIMEOUT", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) ack_timeout: Option<Duration>,
}

/// What is asked of the heads of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Longest, in bytes.
    pub(crate) most: usize,
    /// How long one may take, the wait for its beginning included.
    pub(crate) timeout: Duration,
}

impl Default for Heads {
    /// As the server has them.
    fn default() -> Self {
        Self { most: 16 * 1024, timeout: Duration::from_secs(30) }
    }
}

/// Where proxies say what a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Header {
    /// That of RFC 7239
    Forwarded,
    /// The one that most proxies write
    XForwardedFor,
}

/// What happens when too much waits for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// The client is disconnected
    Disconnect,
    /// What is new is dropped
    DropNew,
    /// What has waited longest is dropped
    DropOldest,
    /// What is new is dropped, and whoever sent it is told so
    Fail,
}

impl LimitOptions {
    /// A server with these options.
    ///
    /// # Errors
    /// When they contradict each other, or a network or an origin cannot be read; the message says what to change.
    pub(crate) fn server(&self, transports: &[Transport]) -> Result<Server, ConfigError> {
        self.set(Server::builder().transports(transports))?.build()
    }

    fn set(&self, builder: ServerBuilder) -> Result<ServerBuilder, ConfigError> {
        let builder = self.gate.set(builder)?;
        let builder = self.sizes.set(builder);
        let builder = self.queues.set(builder);
        Ok(self.times.set(builder))
    }

    /// The same bounds for an address where it is not the server that accepts connections.
    pub(crate) fn heads(&self) -> Heads {
        let usual = Heads::default();
        Heads {
            most: self.sizes.max_head.map_or(usual.most, usize::next_power_of_two),
            timeout: self.times.request_timeout.unwrap_or(usual.timeout),
        }
    }
}

impl GateOptions {
    fn set(&self, builder: ServerBuilder) -> Result<ServerBuilder, ConfigError> {
        let builder = builder.trust_proxies(self.trust_proxy.iter().map(String::as_str))?;
        let builder = with(builder, self.proxy_header, |builder, header| {
            builder.proxy_header(match header {
                Header::Forwarded => ProxyHeader::Forwarded,
                Header::XForwardedFor => ProxyHeader::XForwardedFor,
            })
        });
        let builder = builder.proxy_protocol(self.proxy_protocol);
        let builder = with(builder, self.max_connections, ServerBuilder::max_connections);
        let builder = with(builder, self.max_connections_per_address, ServerBuilder::max_connections_per_address);
        let builder = with(builder, self.max_sessions, ServerBuilder::max_sessions);
        let builder = with(builder, self.max_sessions_per_address, ServerBuilder::max_sessions_per_address);
        let builder = rate(builder, self.handshake_rate, ServerBuilder::handshake_rate);
        let builder = rate(builder, self.handshake_rate_per_address, ServerBuilder::handshake_rate_per_address);
        Ok(match self.origin.as_slice() {
            [] => builder,
            [all] if all == "*" => builder.any_origin(),
            origins => builder.origins(origins),
        })
    }
}

impl SizeOptions {
    fn set(&self, builder: ServerBuilder) -> ServerBuilder {
        let builder = rate(builder, self.event_rate, ServerBuilder::event_rate);
        let builder = rate(builder, self.byte_rate, ServerBuilder::byte_rate);
        let builder = with(builder, self.max_payload, ServerBuilder::max_payload);
        let builder = with(builder, self.max_unconnected_payload, ServerBuilder::max_unconnected_payload);
        let builder = with(builder, self.max_head, ServerBuilder::max_head);
        let builder = with(builder, self.max_unfinished, ServerBuilder::max_unfinished);
        let builder = with(builder, self.max_fragments, ServerBuilder::max_fragments);
        let builder = with(builder, self.max_attachments, ServerBuilder::max_attachments);
        let builder = with(builder, self.max_attachment_bytes, ServerBuilder::max_attachment_bytes);
        let builder = with(builder, self.max_depth, ServerBuilder::max_depth);
        with(builder, self.max_namespaces, ServerBuilder::max_namespaces)
    }
}

impl QueueOptions {
    fn set(&self, builder: ServerBuilder) -> ServerBuilder {
        let builder = with(builder, self.outbox, |builder, Pair(bytes, packets)| {
            builder.outbox(bytes, packets.unwrap_or(OUTBOX_PACKETS))
        });
        let builder = with(builder, self.when_full, |builder, policy| {
            builder.when_full(match policy {
                Policy::Disconnect => WhenFull::Disconnect,
                Policy::DropNew => WhenFull::DropNew,
                Policy::DropOldest => WhenFull::DropOldest,
                Policy::Fail => WhenFull::Fail,
            })
        });
        let builder = with(builder, self.max_waiting_events, |builder, Pair(events, bytes)| {
            builder.max_waiting_events(events, bytes.unwrap_or(WAITING_BYTES))
        });
        let builder = with(builder, self.max_pending_acks, ServerBuilder::max_pending_acks);
        let builder = with(builder, self.max_rooms, ServerBuilder::max_rooms);
        with(builder, self.max_room_name, ServerBuilder::max_room_name)
    }
}

impl TimeOptions {
    fn set(&self, builder: ServerBuilder) -> ServerBuilder {
        let builder = with(builder, self.request_timeout, ServerBuilder::request_timeout);
        let builder = with(builder, self.ping_interval, ServerBuilder::ping_interval);
        let builder = with(builder, self.ping_timeout, ServerBuilder::ping_timeout);
        let builder = with(builder, self.connect_timeout, ServerBuilder::connect_timeout);
        let builder = with(builder, self.upgrade_timeout, ServerBuilder::upgrade_timeout);
        let builder = with(builder, self.attachment_timeout, ServerBuilder::attachment_timeout);
        with(builder, self.ack_timeout, ServerBuilder::ack_timeout)
    }
}

/// Sets an option if it was given.
fn with<T>(builder: ServerBuilder, given: Option<T>, set: fn(ServerBuilder, T) -> ServerBuilder) -> ServerBuilder {
    match given {
        Some(value) => set(builder, value),
        None => builder,
    }
}

/// Sets a rate if it was given.
fn rate(
    builder: ServerBuilder,
    given: Option<Rate>,
    set: fn(ServerBuilder, u32, u32) -> ServerBuilder,
) -> ServerBuilder {
    match given {
        Some(Rate { per_second, burst }) => set(builder, per_second, burst),
        None => builder,
    }
}

/// The server's own defaults.
const OUTBOX_PACKETS: usize = 262_144;
const WAITING_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        limits: LimitOptions,
    }

    /// An option, a value if it takes one, and what it is to do.
    type Case = (&'static str, &'static str, fn(ServerBuilder) -> ServerBuilder);

    const CASES: &[Case] = &[
        ("max-connections", "7", |builder| builder.max_connections(7)),
        ("max-connections-per-address", "7", |builder| builder.max_connections_per_address(7)),
        ("max-sessions", "7", |builder| builder.max_sessions(7)),
        ("max-sessions-per-address", "7", |builder| builder.max_sessions_per_address(7)),
        ("handshake-rate", "7/70", |builder| builder.handshake_rate(7, 70)),
        ("handshake-rate-per-address", "7/70", |builder| builder.handshake_rate_per_address(7, 70)),
        ("trust-proxy", "::1,10.0.0.0/8", |builder| builder.trust_proxies(["::1", "10.0.0.0/8"]).unwrap()),
        ("proxy-header", "forwarded", |builder| builder.proxy_header(ProxyHeader::Forwarded)),
        ("proxy-protocol", "", |builder| builder.proxy_protocol(true)),
        ("origin", "https://a.example,https://b.example", |builder| {
            builder.origins(["https://a.example", "https://b.example"])
        }),
        ("event-rate", "7/70", |builder| builder.event_rate(7, 70)),
        ("byte-rate", "7/70", |builder| builder.byte_rate(7, 70)),
        ("max-payload", "7", |builder| builder.max_payload(7)),
        ("max-unconnected-payload", "7", |builder| builder.max_unconnected_payload(7)),
        ("max-head", "7", |builder| builder.max_head(7)),
        ("max-unfinished", "1000007", |builder| builder.max_unfinished(1_000_007)),
        ("max-fragments", "7", |builder| builder.max_fragments(7)),
        ("max-attachments", "7", |builder| builder.max_attachments(7)),
        ("max-attachment-bytes", "7", |builder| builder.max_attachment_bytes(7)),
        ("max-depth", "7", |builder| builder.max_depth(7)),
        ("max-namespaces", "7", |builder| builder.max_namespaces(7)),
        ("outbox", "7/70", |builder| builder.outbox(7, 70)),
        ("when-full", "drop-oldest", |builder| builder.when_full(WhenFull::DropOldest)),
        ("max-waiting-events", "7/70", |builder| builder.max_waiting_events(7, 70)),
        ("max-pending-acks", "7", |builder| builder.max_pending_acks(7)),
        ("max-rooms", "7", |builder| builder.max_rooms(7)),
        ("max-room-name", "7", |builder| builder.max_room_name(7)),
        ("request-timeout", "7", |builder| builder.request_timeout(Duration::from_secs(7))),
        ("ping-interval", "7", |builder| builder.ping_interval(Duration::from_secs(7))),
        ("ping-timeout", "7", |builder| builder.ping_timeout(Duration::from_secs(7))),
        ("connect-timeout", "7", |builder| builder.connect_timeout(Duration::from_secs(7))),
        ("upgrade-timeout", "7", |builder| builder.upgrade_timeout(Duration::from_secs(7))),
        ("attachment-timeout", "7", |builder| builder.attachment_timeout(Duration::from_secs(7))),
        ("ack-timeout", "7", |builder| builder.ack_timeout(Duration::from_secs(7))),
    ];

    /// All that is set, as text.
    fn set(option: &str, value: &str) -> String {
        let option = format!("--{option}");
        let words = ["sockeye", &option, value];
        let words = Words::try_parse_from(words.iter().filter(|word| !word.is_empty())).unwrap();
        format!("{:?}", words.limits.set(Server::builder()).unwrap())
    }

    #[test]
    fn each_option_sets_its_own_and_nothing_else() {
        let mut seen = HashSet::from([format!("{:?}", Server::builder())]);
        for (option, value, meant) in CASES {
            let done = set(option, value);
            assert_eq!(done, format!("{:?}", meant(Server::builder())), "--{option} {value}");
            assert!(seen.insert(done), "--{option} does something of its own");
        }
    }

    #[test]
    fn no_option_is_left_out_here_and_each_can_be_set_in_the_environment() {
        let command = Words::command();
        let mut left: HashSet<_> = CASES.iter().map(|(option, ..)| *option).collect();
        for argument in command.get_arguments() {
            let name = argument.get_long().unwrap();
            assert!(left.remove(name), "--{name} has no case");
            let variable = format!("SOCKEYE_{}", name.to_uppercase().replace('-', "_"));
            assert_eq!(argument.get_env().unwrap(), variable.as_str(), "--{name}");
        }
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn values_that_are_words_or_half_a_pair() {
        let is = |option, value, meant: ServerBuilder| {
            assert_eq!(set(option, value), format!("{meant:?}"), "--{option} {value}");
        };
        for (policy, meant) in [
            ("disconnect", WhenFull::Disconnect),
            ("drop-new", WhenFull::DropNew),
            ("drop-oldest", WhenFull::DropOldest),
            ("fail", WhenFull::Fail),
        ] {
            is("when-full", policy, Server::builder().when_full(meant));
        }
        is("proxy-header", "x-forwarded-for", Server::builder());
        is("origin", "*", Server::builder().any_origin());
        is("outbox", "7", Server::builder().outbox(7, 262_144));
        is("max-waiting-events", "7", Server::builder().max_waiting_events(7, 4 * 1024 * 1024));
        is("event-rate", "7", Server::builder().event_rate(7, 7));
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_reason() {
        let wrong = |options: LimitOptions| {
            options.server(&[Transport::Polling, Transport::Websocket]).unwrap_err().to_string()
        };
        let mut zero = LimitOptions::default();
        zero.times.ping_interval = Some(Duration::ZERO);
        assert!(wrong(zero).contains("ping_interval is zero"));
        let mut network = LimitOptions::default();
        network.gate.trust_proxy = vec!["10.0.0.0/99".into()];
        assert!(wrong(network).contains("10.0.0.0/99"));
    }
}
