//! Options about limits, times and proxies.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use sockeye::{ConfigError, Server, ServerBuilder};

/// What clients may do. Unset options leave the server's defaults, which the help names.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitOptions {
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

    /// Messages per second from one client; one that is faster is disconnected [default: no limit]
    #[arg(long, env = "SOCKEYE_EVENT_RATE", value_name = "RATE[/BURST]")]
    pub(crate) event_rate: Option<Rate>,

    /// Bytes per second from one client; one that is faster is disconnected [default: no limit]
    #[arg(long, env = "SOCKEYE_BYTE_RATE", value_name = "RATE[/BURST]")]
    pub(crate) byte_rate: Option<Rate>,

    /// Longest message, in bytes [default: 1000000]
    #[arg(long, env = "SOCKEYE_MAX_PAYLOAD", value_name = "BYTES")]
    pub(crate) max_payload: Option<usize>,

    /// Bytes that may wait for a client that reads slowly; it is disconnected beyond that [default: 16777216]
    #[arg(long, env = "SOCKEYE_OUTBOX", value_name = "BYTES")]
    pub(crate) outbox: Option<usize>,

    /// Seconds between two heartbeats [default: 25]
    #[arg(long, env = "SOCKEYE_PING_INTERVAL", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) ping_interval: Option<Duration>,

    /// Seconds for the answer to a heartbeat [default: 20]
    #[arg(long, env = "SOCKEYE_PING_TIMEOUT", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) ping_timeout: Option<Duration>,

    /// Seconds that a client may be in no namespace [default: 45]
    #[arg(long, env = "SOCKEYE_CONNECT_TIMEOUT", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Proxy whose Forwarded and X-Forwarded-For are believed: an address, or a network such as 10.0.0.0/8; several with
    /// commas [default: nobody]
    #[arg(long, env = "SOCKEYE_TRUST_PROXY", value_name = "NETWORK", value_delimiter = ',')]
    pub(crate) trust_proxy: Vec<String>,

    /// Origin of pages elsewhere that may talk to this server, `https://example.org`; several with commas, * for all
    /// [default: only pages of its own]
    #[arg(long, env = "SOCKEYE_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) origin: Vec<String>,
}

impl LimitOptions {
    /// A server with these options.
    ///
    /// # Errors
    /// When they contradict each other, or a network or an origin cannot be read; the message says what to change.
    pub(crate) fn server(&self) -> Result<Server, ConfigError> {
        let builder = Server::builder().trust_proxies(self.trust_proxy.iter().map(String::as_str))?;
        let builder = self.numbers(builder);
        let builder = self.times(builder);
        let builder = match self.origin.as_slice() {
            [] => builder,
            [all] if all == "*" => builder.any_origin(),
            origins => builder.origins(origins),
        };
        builder.build()
    }

    fn numbers(&self, builder: ServerBuilder) -> ServerBuilder {
        let set = |builder, given: Option<Rate>, option: fn(ServerBuilder, u32, u32) -> ServerBuilder| match given {
            Some(Rate { per_second, burst }) => option(builder, per_second, burst),
            None => builder,
        };
        let builder = with(builder, self.max_sessions, ServerBuilder::max_sessions);
        let builder = with(builder, self.max_sessions_per_address, ServerBuilder::max_sessions_per_address);
        let builder = with(builder, self.max_payload, ServerBuilder::max_payload);
        let builder = with(builder, self.outbox, |builder, bytes| builder.outbox(bytes, OUTBOX_PACKETS));
        let builder = set(builder, self.handshake_rate, ServerBuilder::handshake_rate);
        let builder = set(builder, self.handshake_rate_per_address, ServerBuilder::handshake_rate_per_address);
        let builder = set(builder, self.event_rate, ServerBuilder::event_rate);
        set(builder, self.byte_rate, ServerBuilder::byte_rate)
    }

    fn times(&self, builder: ServerBuilder) -> ServerBuilder {
        let builder = with(builder, self.ping_interval, ServerBuilder::ping_interval);
        let builder = with(builder, self.ping_timeout, ServerBuilder::ping_timeout);
        with(builder, self.connect_timeout, ServerBuilder::connect_timeout)
    }
}

/// Sets an option if it was given.
fn with<T>(builder: ServerBuilder, given: Option<T>, set: fn(ServerBuilder, T) -> ServerBuilder) -> ServerBuilder {
    match given {
        Some(value) => set(builder, value),
        None => builder,
    }
}

/// So many per second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rate, burst) = text.split_once('/').unwrap_or((text, text));
        match (rate.trim().parse(), burst.trim().parse()) {
            (Ok(0), _) | (_, Ok(0)) => Err("zero would let nobody do anything"),
            (Ok(per_second), Ok(burst)) => Ok(Self { per_second, burst }),
            _ => Err("write a number such as 100, or two such as 100/500"),
        }
    }
}

/// A time in seconds, with or without a fraction.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 25 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// The server's own default.
const OUTBOX_PACKETS: usize = 262_144;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_one_number_or_two() {
        assert_eq!("100".parse(), Ok(Rate { per_second: 100, burst: 100 }));
        assert_eq!("100/500".parse(), Ok(Rate { per_second: 100, burst: 500 }));
        for wrong in ["", "x", "1/", "/1", "1/2/3", "-1", "0", "1/0"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn seconds_may_have_fractions_but_a_time_must_exist() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "1s", "-1", "NaN", "inf", "1e300"] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_reason() {
        let wrong = |options: LimitOptions| options.server().unwrap_err().to_string();
        let zero = LimitOptions { ping_interval: Some(Duration::ZERO), ..LimitOptions::default() };
        assert!(wrong(zero).contains("ping_interval is zero"));
        let network = LimitOptions { trust_proxy: vec!["10.0.0.0/99".into()], ..LimitOptions::default() };
        assert!(wrong(network).contains("10.0.0.0/99"));
    }
}
