//! What was measured, round by round, and its medians.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::figures::{Metrics, Scale};
use crate::process::Placement;
use crate::scenario::Scenario;

/// Name of a scenario and where it ran.
pub(crate) type Key = (usize, Placement);

/// All rounds of one peer in one scenario.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) rounds: Vec<Metrics>,
    pub(crate) failures: Vec<String>,
}

impl Series {
    /// Median of one figure over the rounds which succeeded.
    pub(crate) fn median(&self, metric: &str) -> Option<f64> {
        let mut values: Vec<f64> = self.rounds.iter().filter_map(|round| round.0.get(metric)).copied().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            length if length % 2 == 1 => Some(values[middle]),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    }

    /// Names of all figures.
    pub(crate) fn metrics(&self) -> Vec<&str> {
        self.rounds.first().map(|round| round.0.keys().map(String::as_str).collect()).unwrap_or_default()
    }
}

/// One run of the bench.
pub(crate) struct Results {
    /// Time of the start, `2026-11-23T04:30Z`.
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) commit: String,
    pub(crate) scale: Scale,
    pub(crate) rounds: usize,
    /// Versions of the peers, in the order of the tables.
    pub(crate) peers: Vec<(&'static str, String)>,
    /// Peers which could not be prepared, and why.
    pub(crate) absent: Vec<(&'static str, String)>,
    pub(crate) series: BTreeMap<Key, BTreeMap<&'static str, Series>>,
}

impl Results {
    pub(crate) fn median(&self, key: Key, peer: &str, metric: &str) -> Option<f64> {
        self.series.get(&key)?.get(peer)?.median(metric)
    }

    pub(crate) fn json(&self, scenarios: &[Scenario]) -> Value {
        let scenarios: Vec<_> = self
            .series
            .iter()
            .map(|((scenario, placement), peers)| {
                let Scenario { name, title, .. } = &scenarios[*scenario];
                let peers: Map<_, _> = peers.iter().map(|(peer, series)| ((*peer).into(), series.json())).collect();
                json!({ "name": name, "title": title, "placement": placement.name(), "peers": peers })
            })
            .collect();
        let named = |list: &[(&str, String)]| -> Map<_, _> {
            list.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect()
        };
        json!({
            "date": self.date, "machine": self.machine, "commit": self.commit, "rounds": self.rounds,
            "quick": self.scale == Scale::Quick, "peers": named(&self.peers), "absent": named(&self.absent),
            "scenarios": scenarios,
        })
    }
}

impl Series {
    fn json(&self) -> Value {
        let medians: Map<_, _> =
            self.metrics().into_iter().map(|metric| (metric.into(), json!(self.median(metric)))).collect();
        let rounds: Vec<_> = self.rounds.iter().map(|round| json!(round.0)).collect();
        json!({ "median": medians, "rounds": rounds, "failures": self.failures })
    }
}

/// The time in UTC, to the minute.
#[expect(clippy::disallowed_methods, reason = "the date of a report")]
pub(crate) fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    utc(seconds)
}

fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut left) = (1970, days);
    let leap = |year: u64| u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)));
    while left >= 365 + leap(year) {
        left -= 365 + leap(year);
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}T{:02}:{:02}Z", left + 1, rest / 3600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_known_moments() {
        assert_eq!(utc(0), "1970-01-01T00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00Z");
        assert_eq!(utc(1_795_408_200), "2026-11-23T04:30Z");
        assert_eq!(utc(1_798_761_540), "2026-12-31T23:59Z");
    }

    #[test]
    fn median_of_odd_even_and_no_rounds() {
        let series = |values: &[f64]| Series {
            rounds: values.iter().map(|value| Metrics([("m".to_owned(), *value)].into())).collect(),
            failures: Vec::new(),
        };
        assert_eq!(series(&[3.0, 1.0, 2.0]).median("m"), Some(2.0));
        assert_eq!(series(&[4.0, 1.0, 2.0, 3.0]).median("m"), Some(2.5));
        assert_eq!(series(&[]).median("m"), None);
        assert_eq!(series(&[1.0]).median("other"), None);
    }
}
