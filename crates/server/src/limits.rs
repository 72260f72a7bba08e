//! Limits that protect the server from too many and too much, and the errors that name them.

use std::fmt;
use std::time::{Duration, Instant};

/// A limit that somebody ran into; see `docs/limits.md` for the defaults and what happens beyond each.
///
/// Every time is counted in [`MetricsSnapshot::limits`](crate::MetricsSnapshot::limits). `Display` is what both sides can
/// read, where a limit is a [`DisconnectReason`](crate::DisconnectReason).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of the attachments of one packet.
    AttachmentBytes,
    /// Time in which the attachments of a packet must arrive.
    AttachmentTime,
    /// Attachments of one packet.
    Attachments,
    /// Bytes per second from one connection, of whatever they are.
    BytesPerSecond,
    /// Connections in all.
    Connections,
    /// Connections from one address.
    ConnectionsPerAddress,
    /// Time in which a client must join a namespace.
    ConnectTime,
    /// Time in which [`allow_request`](crate::ServerBuilder::allow_request) must decide.
    DecisionTime,
    /// Depth of arrays and objects.
    Depth,
    /// Packets and frames per second from one connection, but for heartbeats.
    EventsPerSecond,
    /// Frames of one WebSocket message.
    Fragments,
    /// New sessions per second.
    Handshakes,
    /// New sessions per second from one address.
    HandshakesPerAddress,
    /// Bytes of the head of a request.
    HeadBytes,
    /// Headers of a request.
    Headers,
    /// Namespaces of one connection.
    Namespaces,
    /// What waits for one client, in bytes or packets; with [`WhenFull::Disconnect`](crate::WhenFull::Disconnect).
    Outbox,
    /// Bytes of a message or of a polling body.
    Payload,
    /// Answers waited for from one socket.
    PendingAcks,
    /// Length of a room's name.
    RoomName,
    /// Rooms of one socket.
    Rooms,
    /// Sessions in all.
    Sessions,
    /// Sessions of one address.
    SessionsPerAddress,
    /// Bytes of a message before a namespace was joined, and of every CONNECT.
    UnconnectedPayload,
    /// Bytes of messages that have not come to their end, of all clients together.
    Unfinished,
    /// Clients of WebTransport on their way to a session that have not proven their address.
    UnprovenVisitors,
    /// Clients of WebTransport on their way to a session.
    Visitors,
}

impl Limit {
    /// The limit in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AttachmentBytes => "attachments too large",
            Self::AttachmentTime => "attachments did not arrive in time",
            Self::Attachments => "too many attachments",
            Self::BytesPerSecond => "too many bytes per second",
            Self::Connections => "too many connections",
            Self::ConnectionsPerAddress => "too many connections from this address",
            Self::ConnectTime => "no namespace was joined in time",
            Self::DecisionTime => "not decided in time",
            Self::Depth => "nested too deep",
            Self::EventsPerSecond => "too many events per second",
            Self::Fragments => "message in too many frames",
            Self::Handshakes => "too many new sessions per second",
            Self::HandshakesPerAddress => "too many new sessions per second from this address",
            Self::HeadBytes => "head of a request too long",
            Self::Headers => "too many headers",
            Self::Namespaces => "too many namespaces",
            Self::Outbox => "slow consumer",
            Self::Payload => "message too large",
            Self::PendingAcks => "too many answers waited for",
            Self::RoomName => "name of a room too long",
            Self::Rooms => "too many rooms",
            Self::Sessions => "too many sessions",
            Self::SessionsPerAddress => "too many sessions from this address",
            Self::UnconnectedPayload => "message too large before a namespace was joined",
            Self::Unfinished => "the server is receiving too much at once",
            Self::UnprovenVisitors => "too many clients on their way whose address is not proven",
            Self::Visitors => "too many clients on their way to a session",
        }
    }

    /// What stands behind figures of it.
    fn unit(self) -> &'static str {
        match self {
            Self::AttachmentBytes
            | Self::BytesPerSecond
            | Self::HeadBytes
            | Self::Payload
            | Self::RoomName
            | Self::UnconnectedPayload
            | Self::Unfinished => " bytes",
            Self::AttachmentTime | Self::ConnectTime | Self::DecisionTime => " ms",
            _ => "",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A limit that was exceeded, and how far, as far as that is known; in the units of [`Limit::unit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) limit: Limit,
    pub(crate) actual: Option<u64>,
    pub(crate) bound: Option<u64>,
}

impl Excess {
    /// Something was there that is beyond the bound.
    pub(crate) fn new(limit: Limit, actual: usize, bound: usize) -> Self {
        Self { limit, actual: Some(actual as u64), bound: Some(bound as u64) }
    }

    /// It was judged at the first that is beyond the bound.
    pub(crate) fn by_one(limit: Limit, bound: usize) -> Self {
        Self::new(limit, bound.saturating_add(1), bound)
    }

    /// The time has passed.
    pub(crate) fn of_time(limit: Limit, bound: Duration) -> Self {
        let milliseconds = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Self { limit, actual: None, bound: Some(milliseconds) }
    }

    /// It is not measured how far.
    pub(crate) fn of_rate(limit: Limit, rate: Option<Rate>) -> Self {
        Self { limit, actual: None, bound: rate.map(|rate| u64::from(rate.per_second)) }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.limit.unit();
        match (self.actual, self.bound) {
            (Some(actual), Some(bound)) => write!(f, "{} ({actual}{unit} of at most {bound})", self.limit),
            (None, Some(bound)) => write!(f, "{} (at most {bound}{unit})", self.limit),
            (_, None) => self.limit.fmt(f),
        }
    }
}

/// So many per second on average, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

impl Rate {
    /// What one unit costs in time.
    fn price(self, units: u64) -> Duration {
        let nanos = u128::from(units) * 1_000_000_000 / u128::from(self.per_second.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Measures against a [`Rate`]: remembers the moment up to which everything is spent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter(Instant);

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        Self(now)
    }

    /// Takes `units`; `Err` is how long to wait until there is room for them. What is refused is not taken.
    pub(crate) fn take(&mut self, rate: Rate, units: u64, now: Instant) -> Result<(), Duration> {
        let spent = self.0.max(now) + rate.price(units);
        let ahead = spent.saturating_duration_since(now);
        let allowed = rate.price(u64::from(rate.burst.max(1)));
        if ahead > allowed {
            return Err(ahead.saturating_sub(allowed));
        }
        self.0 = spent;
        Ok(())
    }

    /// Whether something is spent that time has not given back.
    pub(crate) fn is_spent(&self, now: Instant) -> bool {
        self.0 > now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let rate = Rate { per_second: 10, burst: 3 };
        for _ in 0..3 {
            assert_eq!(meter.take(rate, 1, start), Ok(()));
        }
        assert_eq!(meter.take(rate, 1, start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(100);
        assert_eq!(meter.take(rate, 1, later), Ok(()));
        assert!(meter.take(rate, 1, later).is_err());
        let much_later = start + Duration::from_mins(1);
        for _ in 0..3 {
            assert_eq!(meter.take(rate, 1, much_later), Ok(()));
        }
        assert!(meter.take(rate, 1, much_later).is_err(), "rest is not saved up beyond the burst");
    }

    #[test]
    fn more_than_the_burst_at_once_never_fits() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let rate = Rate { per_second: 1_000, burst: 1_000 };
        assert!(meter.take(rate, 1_001, start).is_err());
        assert_eq!(meter.take(rate, 1_000, start), Ok(()));
    }
}
