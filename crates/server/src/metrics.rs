//! Counters and gauges, as plain atomics.

#[cfg(not(all(test, shuttle)))]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(all(test, shuttle))]
use shuttle::sync::atomic::{AtomicU64, Ordering};

use crate::error::DisconnectReason;
use crate::hooks::ErrorCode;
use crate::limits::Limit;
use crate::tally::{Counts, Tally};

macro_rules! metrics {
    (
        figures: $($(#[$doc:meta])* $name:ident),*;
        tallies: $($(#[$tally_doc:meta])* $tally:ident: $kind:ty),*;
        sums: $($(#[$sum_doc:meta])* $sum:ident),*;
    ) => {
        /// What the server counts about itself. Gauges go up and down, counters only up.
        #[derive(Debug, Default)]
        pub(crate) struct Metrics {
            $(pub(crate) $name: Count,)*
            $(pub(crate) $tally: Counts<$kind>,)*
        }

        /// The figures at one moment; see [`Server::metrics`](crate::Server::metrics).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct MetricsSnapshot {
            $($(#[$doc])* pub $name: u64,)*
            $($(#[$tally_doc])* pub $tally: Tally<$kind>,)*
            $($(#[$sum_doc])* pub $sum: u64,)*
        }

        impl Metrics {
            /// What is counted; the sums, which are of others, are 0.
            pub(crate) fn snapshot(&self) -> MetricsSnapshot {
                MetricsSnapshot { $($name: self.$name.get(),)* $($tally: self.$tally.get(),)* $($sum: 0,)* }
            }
        }
    };
}

metrics! {
    figures:
    /// Gauge: open byte streams: TCP with TLS or without, Unix sockets, and what was given to
    /// [`Server::serve_stream`](crate::Server::serve_stream) or
    /// [`Server::count_connection`](crate::Server::count_connection). WebTransport has none.
    connections,
    /// Gauge: open Engine.IO sessions.
    sessions,
    /// Gauge: sockets in namespaces.
    sockets,
    /// Gauge: tasks that own a session, including those which only wait for a handler to end.
    tasks,
    /// Gauge: answers that are waited for.
    acks,
    /// Gauge: bytes of messages that have not come to their end, as far as one client holds more than 16 KiB
    /// ([`max_unfinished`](crate::ServerBuilder::max_unfinished)).
    unfinished_bytes,
    /// Counter: sessions opened.
    sessions_opened,
    /// Counter: requests refused before a session existed, or for an unknown session.
    requests_refused,
    /// Counter: upgrades from polling to a stream which succeeded.
    upgrades,
    /// Counter: upgrades given up, however far they had come: no handshake arrived, the stream was never opened, was not
    /// wanted, or broke.
    upgrades_failed,
    /// Counter: messages received.
    messages_received,
    /// Counter: messages sent.
    messages_sent,
    /// Counter: bytes of messages received, on all transports: without their frames, and before compression.
    bytes_received,
    /// Counter: bytes of messages sent, in the same way. A broadcast counts once for each client.
    bytes_sent,
    /// Counter: packets dropped because an outbox was full.
    dropped_full,
    /// Counter: packets that were replaced by a newer one of their key before they were sent; see
    /// [`Target::latest`](crate::Target::latest).
    dropped_latest,
    /// Counter: volatile packets dropped because the client was not writable.
    dropped_volatile,
    /// Counter: sessions ended because the client read too slowly.
    slow_consumers,
    /// Counter: sessions ended because the peer broke a protocol.
    protocol_errors,
    /// Counter: handlers that returned an error or panicked.
    handler_errors,
    /// Counter: answers that did not come in time.
    acks_timed_out,
    /// Counter: answers nobody waited for (any more).
    acks_unknown;

    tallies:
    /// Counter: sockets that left their namespace, by why. Each is counted once; a connection has one in each namespace.
    disconnects: DisconnectReason,
    /// Counter: times that somebody ran into a limit, by which. What is dropped beyond the outbox is in `dropped_full`.
    limits: Limit,
    /// Counter: requests refused before a session existed, or for an unknown session, by the answer; the sum is
    /// `requests_refused`.
    refusals: ErrorCode,
    /// Counter: sessions that ended, by why: `sessions_opened` less this is `sessions`. Those which joined no namespace
    /// are among them.
    sessions_closed: DisconnectReason;

    sums:
    /// Gauge: packets that wait in the outboxes of all clients.
    queued_packets,
    /// Gauge: bytes of these. One packet of a broadcast is in memory once, and counts for each client it waits for.
    queued_bytes,
    /// Gauge: clients that are away and may come back ([`recovery`](crate::ServerBuilder::recovery)).
    recovery_away,
    /// Gauge: events that are kept for them, and for those who leave next.
    recovery_events,
    /// Gauge: bytes of these.
    recovery_bytes;
}

/// One figure.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// As many more; the figure then.
    pub(crate) fn add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Ordering::Relaxed).wrapping_add(n)
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// One more, unless that would be more than `most`.
    pub(crate) fn up_within(&self, most: Option<usize>) -> bool {
        let most = most.map_or(u64::MAX, |most| most as u64);
        let more = |count: u64| (count < most).then(|| count + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
