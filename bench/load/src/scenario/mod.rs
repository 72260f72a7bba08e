//! What is measured. Every scenario starts a fresh server, drives it, and returns figures.

mod closed_loop;
mod fan_out;
mod idle;
mod growth;
mod open_loop;
mod polling;
mod turnover;

use std::borrow::Cow;

use crate::figures::Metrics;
use crate::peer::Ability;
use crate::trial::Trial;

pub(crate) use open_loop::OVERRUN_BY;

/// One figure of the report.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Name of the figure; growth curves append `@` and the size.
    pub(crate) metric: Cow<'static, str>,
    /// What a reader sees.
    pub(crate) unit: Cow<'static, str>,
}

impl Row {
    const fn new(metric: &'static str, unit: &'static str) -> Self {
        Self { metric: Cow::Borrowed(metric), unit: Cow::Borrowed(unit) }
    }

    /// Something to compare by a ratio: less is better, and nobody needs nothing.
    pub(crate) fn is_a_cost(&self) -> bool {
        !matches!(&*self.metric, "per_second" | "disorder_percent")
    }
}

const CPU: Row = Row::new("cpu_us", "CPU µs each");
const RATE: Row = Row::new("per_second", "per second");
const P50: Row = Row::new("p50_us", "p50 µs");
const P99: Row = Row::new("p99_us", "p99 µs");
const P999: Row = Row::new("p999_us", "p99.9 µs");
const CLIENT: Row = Row::new("client_kb", "KB each");

const MEMORY: &[Row] = &[CLIENT];
const COST: &[Row] = &[CPU, RATE];
const ORDERED: &[Row] = &[CPU, RATE, Row::new("disorder_percent", "% answered out of order")];
const LATENCY: &[Row] = &[P50, P99, P999];
const OTHERS: &[Row] = &[P99, CPU];
const SLOW: &[Row] = &[P99, CPU, Row::new("resident_mb", "server MB afterwards")];
const CHURN: &[Row] =
    &[CPU, Row::new("last_wave_mb", "MB after the last wave"), Row::new("growth_mb", "MB grown since the second wave")];
const GROWTH: &[Row] =
    &[CLIENT, Row::new("handshake_us", "CPU µs a handshake"), Row::new("delivery_us", "CPU µs a delivery")];
const GROWTH_ROOMS: &[Row] = &[
    Row::new("room_bytes", "bytes a room"),
    Row::new("join_us", "CPU µs a join"),
    Row::new("emit_us", "CPU µs an emit"),
];

/// One workload.
pub(crate) struct Scenario {
    /// Name for `--only`.
    pub(crate) name: &'static str,
    /// What a reader sees.
    pub(crate) title: &'static str,
    /// The figures worth a row; results files hold all.
    pub(crate) rows: &'static [Row],
    /// What a peer must be able to do to take part.
    pub(crate) needs: &'static [Ability],
    /// Measured with two workers, unpinned, as well.
    pub(crate) also_free: bool,
    pub(crate) run: Run,
}

type Run = fn(&Trial<'_>) -> Result<Metrics, String>;

impl Scenario {
    const fn new(name: &'static str, title: &'static str, rows: &'static [Row], run: Run) -> Self {
        Self { name, title, rows, needs: &[], also_free: false, run }
    }

    const fn needs(mut self, needs: &'static [Ability]) -> Self {
        self.needs = needs;
        self
    }

    const fn also_free(mut self) -> Self {
        self.also_free = true;
        self
    }
}

use Ability::{Binary, Deflate, Polling, Rooms, Upgrade};

/// All scenarios in the order of the report.
pub(crate) const ALL: &[Scenario] = &[
    Scenario::new("idle", "idle WebSocket connection", MEMORY, idle::websocket),
    Scenario::new("idle-rooms", "idle WebSocket connection in 3 rooms", MEMORY, idle::rooms).needs(&[Rooms]),
    Scenario::new("idle-after", "idle WebSocket connection after traffic", MEMORY, idle::after_traffic),
    Scenario::new("idle-polling", "idle polling connection", MEMORY, idle::polling).needs(&[Polling]),
    Scenario::new("echo-1", "echo 32 B, 1 in flight", COST, closed_loop::echo_1).also_free(),
    Scenario::new("echo-16", "echo 32 B, 16 in flight", COST, closed_loop::echo_16).also_free(),
    Scenario::new("echo-4k-1", "echo 4 KiB, 1 in flight", COST, closed_loop::echo_4k_1),
    Scenario::new("echo-4k-4", "echo 4 KiB, 4 in flight", COST, closed_loop::echo_4k_4),
    Scenario::new("echo-4k-16", "echo 4 KiB, 16 in flight", COST, closed_loop::echo_4k_16),
    Scenario::new("ack-1", "ack, 1 in flight", COST, closed_loop::ack_1),
    Scenario::new("ack-16", "ack, 16 in flight", ORDERED, closed_loop::ack_16),
    Scenario::new("binary", "binary echo 1 KiB, 4 in flight", COST, closed_loop::binary).needs(&[Binary]),
    Scenario::new("broadcast-1", "broadcast to 1,000, 1 in flight", COST, fan_out::broadcast_1).also_free(),
    Scenario::new("broadcast-8", "broadcast to 1,000, 8 in flight", COST, fan_out::broadcast_8).also_free(),
    Scenario::new("broadcast-all", "broadcast to 1,000, next when all have it", OTHERS, fan_out::broadcast_all),
    Scenario::new("rooms", "100 rooms of 10, 1 in flight each", COST, fan_out::rooms).needs(&[Rooms]),
    Scenario::new("slow", "broadcast 4 KiB, 5 % do not read", SLOW, fan_out::slow_readers),
    Scenario::new("deflate", "broadcast 4 KiB with permessage-deflate", COST, fan_out::deflate).needs(&[Deflate]),
    Scenario::new("handshake", "handshake to CONNECT, WebSocket", COST, turnover::handshake).also_free(),
    Scenario::new("upgrade", "polling session upgraded to WebSocket", COST, polling::upgrade).needs(&[Upgrade]),
    Scenario::new("polling", "polling echo 32 B, 1 in flight", COST, polling::echo).needs(&[Polling]),
    Scenario::new("rate-2k", "echo at 2,000 per second", LATENCY, open_loop::rate_2k),
    Scenario::new("rate-10k", "echo at 10,000 per second", LATENCY, open_loop::rate_10k),
    Scenario::new("rate-40k", "echo at 40,000 per second", LATENCY, open_loop::rate_40k),
    Scenario::new("fairness", "99 quiet clients beside one that floods", OTHERS, open_loop::fairness),
    Scenario::new("churn", "waves of 1,000 clients, half of them killed", CHURN, turnover::churn),
    Scenario::new("growth", "growing number of connections", GROWTH, growth::connections),
    Scenario::new("growth-rooms", "growing number of rooms", GROWTH_ROOMS, growth::rooms).needs(&[Rooms]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ALL.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
