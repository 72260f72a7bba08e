//! How fast a client is.

use std::time::{Duration, Instant};

use sockeye_engine::{Lane, Packet};

use crate::config::Config;
use crate::limits::{Limit, Meter, Rate};

/// Measures all that a client sends against the rates it has been given.
#[derive(Debug)]
pub(super) struct Meters {
    events: Option<Measured>,
    bytes: Option<Measured>,
    /// Bytes of the stream that have come since its last message, and are measured.
    come: u64,
    /// A heartbeat after this moment is one.
    heartbeat: Instant,
    /// Time after which the next one is due, at the earliest.
    pause: Duration,
}

#[derive(Debug)]
struct Measured {
    rate: Rate,
    meter: Meter,
}

impl Measured {
    fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, meter: Meter::new(now) }
    }

    fn take(&mut self, units: u64, now: Instant) -> bool {
        self.meter.take(self.rate, units, now).is_ok()
    }
}

impl Meters {
    /// `None` if there are no rates, and nothing needs to be measured. Boxed, as that is usual.
    pub(super) fn new(config: &Config, now: Instant) -> Option<Box<Self>> {
        if config.events.is_none() && config.bytes.is_none() {
            return None;
        }
        let measured = |rate: Option<Rate>| rate.map(|rate| Measured::new(rate, now));
        let (events, bytes) = (measured(config.events), measured(config.bytes));
        // The answer to one ping may be late, and that to the next early.
        let pause = config.engine.ping_interval / 2;
        Some(Box::new(Self { events, bytes, come: 0, heartbeat: now, pause }))
    }

    /// A packet has come. The heartbeats that a client owes are no events, nor is what it leaves by.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, now: Instant) -> Result<(), Limit> {
        match packet {
            Packet::Close => Ok(()),
            Packet::Ping(_) | Packet::Pong(_) if now >= self.heartbeat => {
                self.heartbeat = now + self.pause;
                Ok(())
            }
            _ => self.frames(1, now),
        }
    }

    /// Frames have come that are no packets.
    pub(super) fn frames(&mut self, count: u32, now: Instant) -> Result<(), Limit> {
        let fits = self.events.as_mut().is_none_or(|events| events.take(u64::from(count), now));
        if fits { Ok(()) } else { Err(Limit::EventsPerSecond) }
    }

    /// Bytes have come on a lane, of whatever they are.
    pub(super) fn bytes(&mut self, lane: Lane, count: usize, now: Instant) -> Result<(), Limit> {
        if lane == Lane::Stream {
            self.come = self.come.saturating_add(count as u64);
        }
        self.take_bytes(count as u64, now)
    }

    /// A message of the stream is complete. One that was inflated counts as what it has become.
    pub(super) fn message(&mut self, size: usize, now: Instant) -> Result<(), Limit> {
        let more = (size as u64).saturating_sub(std::mem::take(&mut self.come));
        self.take_bytes(more, now)
    }

    fn take_bytes(&mut self, count: u64, now: Instant) -> Result<(), Limit> {
        let fits = self.bytes.as_mut().is_none_or(|bytes| count == 0 || bytes.take(count, now));
        if fits { Ok(()) } else { Err(Limit::BytesPerSecond) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meters(events: u32, bytes: u32, now: Instant) -> Meters {
        let rate = |burst| Some(Rate { per_second: 1, burst });
        *Meters::new(&Config { events: rate(events), bytes: rate(bytes), ..Config::default() }, now).unwrap()
    }

    #[test]
    fn without_rates_nothing_is_measured() {
        assert!(Meters::new(&Config::default(), Instant::now()).is_none());
    }

    #[test]
    fn a_heartbeat_in_its_time_is_no_event() {
        let start = Instant::now();
        let mut meters = meters(2, 1, start);
        for seconds in [25, 50, 63] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(meters.packet(&Packet::Pong(""), now), Ok(()));
            assert_eq!(meters.frames(2, now), Ok(()), "both events are left");
        }
        let now = start + Duration::from_mins(2);
        let flood = [Packet::Pong(""), Packet::Ping(""), Packet::Noop, Packet::Pong("")];
        let told: Vec<_> = flood.iter().map(|packet| meters.packet(packet, now)).collect();
        assert_eq!(told, [Ok(()), Ok(()), Ok(()), Err(Limit::EventsPerSecond)]);
        assert_eq!(meters.packet(&Packet::Close, now), Ok(()));
    }

    #[test]
    fn what_was_inflated_counts_as_what_it_is() {
        let now = Instant::now();
        let mut meters = meters(1, 100, now);
        assert_eq!((meters.bytes(Lane::Stream, 10, now), meters.message(60, now)), (Ok(()), Ok(())), "60");
        assert_eq!((meters.bytes(Lane::Stream, 30, now), meters.message(20, now)), (Ok(()), Ok(())), "30 more");
        assert_eq!(meters.bytes(Lane::Stream, 5, now), Ok(()));
        assert_eq!(meters.message(11, now), Err(Limit::BytesPerSecond), "11 more would be 101");
        assert_eq!(meters.message(6, now), Err(Limit::BytesPerSecond), "what came before it was for that one");
    }
}
