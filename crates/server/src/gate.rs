//! Who may come: connections per address; sessions in all and per address, and how fast.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::limits::{Limit, Meter, Rate};
use crate::spare;

/// The bounds of the gate. `None` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) connections_per_address: Option<usize>,
    pub(crate) sessions: Option<usize>,
    pub(crate) sessions_per_address: Option<usize>,
    pub(crate) handshakes: Option<Rate>,
    pub(crate) handshakes_per_address: Option<Rate>,
}

/// Counts the open sessions, and the connections of each address.
#[derive(Debug)]
pub(crate) struct Gate {
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sessions: usize,
    meter: Meter,
    addresses: HashMap<IpAddr, Address>,
    /// When addresses that are idle were last forgotten.
    swept: Instant,
    /// At so many addresses they are forgotten earlier.
    most: usize,
}

#[derive(Debug)]
struct Address {
    connections: usize,
    sessions: usize,
    meter: Meter,
}

/// The place of one session; gives itself back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    gate: Weak<Gate>,
    address: Option<IpAddr>,
}

/// The place of one connection; gives itself back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    gate: Weak<Gate>,
    address: IpAddr,
}

/// There is no room for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy {
    pub(crate) limit: Limit,
    /// How long to wait before the next try.
    pub(crate) wait: Duration,
}

/// What to tell clients that find the server full: sessions end at no known time.
const FULL: Duration = Duration::from_secs(5);
/// So seldom are addresses looked for of which nothing is open, and which have spent nothing of their rate.
const SWEEP: Duration = Duration::from_mins(1);
/// So many of which nothing is open are remembered, whatever they have spent: who has more addresses than that needs none
/// of them twice.
const MOST_IDLE: usize = 65_536;

impl Gate {
    pub(crate) fn new(bounds: Bounds, now: Instant) -> Arc<Self> {
        let state =
            State { sessions: 0, meter: Meter::new(now), addresses: HashMap::new(), swept: now, most: MOST_IDLE };
        Arc::new(Self { bounds, state: Mutex::new(state) })
    }

    /// Lets a session in. `None` if nothing is bounded, and nothing needs to be counted.
    pub(crate) fn pass(self: &Arc<Self>, address: Option<IpAddr>, now: Instant) -> Result<Option<Ticket>, Busy> {
        if self.bounds == Bounds::default() {
            return Ok(None);
        }
        let address = address.map(group).filter(|_| self.bounds.knows_addresses());
        self.state.lock().pass(self.bounds, address, now)?;
        Ok(Some(Ticket { gate: Arc::downgrade(self), address }))
    }

    /// Lets a connection in. `None` if those of an address are not bounded, and need not be counted.
    pub(crate) fn seat(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Option<Seat>, Limit> {
        let Some(most) = self.bounds.connections_per_address else { return Ok(None) };
        let address = group(address);
        self.state.lock().seat(most, address, now)?;
        Ok(Some(Seat { gate: Arc::downgrade(self), address }))
    }
}

impl Bounds {
    fn knows_addresses(self) -> bool {
        self.sessions_per_address.is_some() || self.handshakes_per_address.is_some()
    }
}

impl State {
    /// Whoever is refused costs nothing: no part of a rate, and no memory, since the addresses of others can be many.
    fn pass(&mut self, bounds: Bounds, address: Option<IpAddr>, now: Instant) -> Result<(), Busy> {
        self.sweep(now);
        let full = |limit| Busy { limit, wait: FULL };
        if bounds.sessions.is_some_and(|most| self.sessions >= most) {
            return Err(full(Limit::Sessions));
        }
        let known = address.and_then(|address| self.addresses.get(&address));
        if bounds.sessions_per_address.is_some_and(|most| known.is_some_and(|known| known.sessions >= most)) {
            return Err(full(Limit::SessionsPerAddress));
        }
        let (mut own, mut all) = (known.map_or(Meter::new(now), |known| known.meter), self.meter);
        for (meter, rate, limit) in [
            (&mut own, bounds.handshakes_per_address.filter(|_| address.is_some()), Limit::HandshakesPerAddress),
            (&mut all, bounds.handshakes, Limit::Handshakes),
        ] {
            if let Some(rate) = rate {
                meter.take(rate, 1, now).map_err(|wait| Busy { limit, wait })?;
            }
        }
        self.meter = all;
        self.sessions += 1;
        if let Some(address) = address {
            let found = self.address(address, now);
            found.meter = own;
            found.sessions += 1;
        }
        Ok(())
    }

    fn seat(&mut self, most: usize, address: IpAddr, now: Instant) -> Result<(), Limit> {
        self.sweep(now);
        let found = self.address(address, now);
        if found.connections >= most {
            return Err(Limit::ConnectionsPerAddress);
        }
        found.connections += 1;
        Ok(())
    }

    fn address(&mut self, address: IpAddr, now: Instant) -> &mut Address {
        self.addresses.entry(address).or_insert_with(|| Address { connections: 0, sessions: 0, meter: Meter::new(now) })
    }

    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) < SWEEP && self.addresses.len() < self.most {
            return;
        }
        self.swept = now;
        self.addresses.retain(|_, address| address.is_open() || address.meter.is_spent(now));
        let open = self.addresses.values().filter(|address| address.is_open()).count();
        if self.addresses.len() - open >= MOST_IDLE {
            self.addresses.retain(|_, address| address.is_open());
        }
        self.most = open + MOST_IDLE;
        if let Some(fit) = spare::fit(self.addresses.len(), self.addresses.capacity()) {
            self.addresses.shrink_to(fit);
        }
    }
}

impl Address {
    fn is_open(&self) -> bool {
        self.connections + self.sessions > 0
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(gate) = self.gate.upgrade() else { return };
        let mut state = gate.state.lock();
        state.sessions = state.sessions.saturating_sub(1);
        if let Some(address) = self.address.and_then(|address| state.addresses.get_mut(&address)) {
            address.sessions = address.sessions.saturating_sub(1);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(gate) = self.gate.upgrade() else { return };
        if let Some(address) = gate.state.lock().addresses.get_mut(&self.address) {
            address.connections = address.connections.saturating_sub(1);
        }
    }
}

/// One customer's addresses: an IPv4 address, or the 64 bits of an IPv6 network, within which anybody can choose.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as the gate takes it")]
    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn sessions_are_counted_in_all_and_per_address() {
        let now = Instant::now();
        let bounds = Bounds { sessions: Some(3), sessions_per_address: Some(2), ..Bounds::default() };
        let gate = Gate::new(bounds, now);
        let first = gate.pass(ip("10.0.0.1"), now).unwrap();
        let _second = gate.pass(ip("10.0.0.1"), now).unwrap();
        assert_eq!(gate.pass(ip("10.0.0.1"), now).unwrap_err().limit, Limit::SessionsPerAddress);
        assert_eq!(
            gate.pass(ip("::ffff:10.0.0.1"), now).unwrap_err().limit,
            Limit::SessionsPerAddress,
            "the same address, written otherwise"
        );
        let _third = gate.pass(ip("10.0.0.2"), now).unwrap();
        assert_eq!(gate.pass(ip("10.0.0.3"), now).unwrap_err(), Busy { limit: Limit::Sessions, wait: FULL }, "in all");
        drop(first);
        assert!(gate.pass(ip("10.0.0.1"), now).is_ok());
    }

    #[test]
    fn connections_are_counted_per_address_and_apart_from_sessions() {
        let now = Instant::now();
        let bounds = Bounds { connections_per_address: Some(2), sessions_per_address: Some(1), ..Bounds::default() };
        let gate = Gate::new(bounds, now);
        let seat = |text: &str| gate.seat(text.parse().unwrap(), now);
        let first = seat("10.0.0.1").unwrap();
        let _second = seat("::ffff:10.0.0.1").unwrap();
        assert_eq!(seat("10.0.0.1").unwrap_err(), Limit::ConnectionsPerAddress);
        let _other = seat("10.0.0.2").unwrap();
        let _session = gate.pass(ip("10.0.0.1"), now).unwrap();
        drop(first);
        let _third = seat("10.0.0.1").unwrap();
        assert!(seat("10.0.0.1").is_err() && gate.pass(ip("10.0.0.1"), now).is_err());
    }

    #[test]
    fn addresses_with_a_connection_are_remembered() {
        let now = Instant::now();
        let gate = Gate::new(Bounds { connections_per_address: Some(1), ..Bounds::default() }, now);
        let address = ip("10.0.0.1").unwrap();
        let seat = gate.seat(address, now).unwrap();
        drop(gate.seat(ip("10.0.0.2").unwrap(), now).unwrap());
        let later = now + SWEEP * 2;
        assert!(gate.seat(address, later).is_err());
        assert_eq!(gate.state.lock().addresses.len(), 1);
        drop(seat);
        assert!(gate.seat(address, later).unwrap().is_some());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let now = Instant::now();
        let gate = Gate::new(Bounds { sessions_per_address: Some(1), ..Bounds::default() }, now);
        let _one = gate.pass(ip("2001:db8:1:2::1"), now).unwrap();
        assert!(gate.pass(ip("2001:db8:1:2:ffff::9"), now).is_err());
        assert!(gate.pass(ip("2001:db8:1:3::1"), now).is_ok());
    }

    #[test]
    fn handshakes_are_slowed_down_and_told_when_to_come_back() {
        let now = Instant::now();
        let rate = Rate { per_second: 2, burst: 1 };
        let gate = Gate::new(Bounds { handshakes: Some(rate), ..Bounds::default() }, now);
        let _one = gate.pass(None, now).unwrap();
        assert_eq!(
            gate.pass(None, now).unwrap_err(),
            Busy { limit: Limit::Handshakes, wait: Duration::from_millis(500) }
        );
        assert!(gate.pass(None, now + Duration::from_millis(500)).is_ok());
    }

    #[test]
    fn addresses_are_forgotten() {
        let now = Instant::now();
        let gate = Gate::new(Bounds { sessions_per_address: Some(1), ..Bounds::default() }, now);
        for n in 0..1_000_u32 {
            drop(gate.pass(Some(IpAddr::from(n.to_be_bytes())), now).unwrap());
        }
        let later = now + SWEEP * 2;
        drop(gate.pass(ip("10.9.9.9"), later).unwrap());
        assert_eq!(gate.state.lock().addresses.len(), 1);
    }

    /// Who paused for two minutes had a burst anew, of which the rate gives back a part in that time.
    #[test]
    fn what_an_address_has_spent_is_remembered_as_long_as_it_is_owed() {
        let now = Instant::now();
        let rate = Rate { per_second: 1, burst: 1_000 };
        let gate = Gate::new(Bounds { handshakes_per_address: Some(rate), ..Bounds::default() }, now);
        for _ in 0..1_000 {
            drop(gate.pass(ip("10.0.0.1"), now).unwrap());
        }
        let later = now + SWEEP * 3;
        for _ in 0..180 {
            drop(gate.pass(ip("10.0.0.1"), later).unwrap());
        }
        assert_eq!(gate.pass(ip("10.0.0.1"), later).unwrap_err().limit, Limit::HandshakesPerAddress);
    }

    /// As many as a proxy that is trusted can announce, or a network of IPv6 has.
    #[test]
    fn addresses_that_are_refused_are_not_remembered() {
        let now = Instant::now();
        let bounds = Bounds {
            handshakes: Some(Rate { per_second: 10, burst: 100 }),
            handshakes_per_address: Some(Rate { per_second: 1, burst: 2 }),
            sessions_per_address: Some(1),
            ..Bounds::default()
        };
        let gate = Gate::new(bounds, now);
        let came = (0..300_000_u32).filter(|n| gate.pass(Some(IpAddr::from(n.to_be_bytes())), now).is_ok()).count();
        assert_eq!((came, gate.state.lock().addresses.len()), (100, 100));
        drop(gate.pass(ip("10.9.9.9"), now + SWEEP).unwrap());
        let state = gate.state.lock();
        assert_eq!((state.addresses.len(), state.sessions), (1, 0));
        assert!(state.addresses.capacity() <= 128, "{}", state.addresses.capacity());
    }

    /// They come, are let in, and go: each for itself within its rate.
    #[test]
    fn addresses_that_have_left_are_bounded() {
        let now = Instant::now();
        let rate = Rate { per_second: 1, burst: 10 };
        let gate = Gate::new(Bounds { handshakes_per_address: Some(rate), ..Bounds::default() }, now);
        let stays = gate.pass(ip("192.0.2.1"), now).unwrap();
        for n in 0..300_000_u32 {
            drop(gate.pass(Some(IpAddr::from(n.to_be_bytes())), now).unwrap());
            assert!(gate.state.lock().addresses.len() <= MOST_IDLE + 1);
        }
        assert_eq!(gate.state.lock().addresses[&ip("192.0.2.1").unwrap()].sessions, 1, "who is there is remembered");
        drop(stays);
        drop(gate.pass(ip("10.9.9.9"), now + SWEEP).unwrap());
        let state = gate.state.lock();
        assert_eq!(state.addresses.len(), 1);
        assert!(state.addresses.capacity() <= 128, "{}", state.addresses.capacity());
    }

    /// Its own share was gone when all together had been too fast.
    #[test]
    fn who_is_refused_for_all_keeps_its_own_rate() {
        let now = Instant::now();
        let (all, own) = (Rate { per_second: 1, burst: 1 }, Rate { per_second: 1, burst: 2 });
        let gate =
            Gate::new(Bounds { handshakes: Some(all), handshakes_per_address: Some(own), ..Bounds::default() }, now);
        let _other = gate.pass(ip("10.0.0.1"), now).unwrap();
        for _ in 0..10 {
            assert_eq!(gate.pass(ip("10.0.0.2"), now).unwrap_err().limit, Limit::Handshakes);
        }
        assert!(gate.pass(ip("10.0.0.2"), now + Duration::from_secs(1)).is_ok());
    }
}
