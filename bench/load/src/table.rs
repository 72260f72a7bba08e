//! Results as a Markdown table; the terminal shows the same text.

use std::fmt::Write as _;

use crate::figures::Scale;
use crate::process::Placement;
use crate::results::{Key, Results};
use crate::scenario::{OVERRUN_BY, Row, Scenario};

/// The peer which the others are compared with.
const OURS: &str = "sockeye";

/// What must hold, from the design: a figure of ours against that of another, or against a number.
const TARGETS: &[Target] = &[
    Target { scenario: "idle", metric: "client_kb", against: None, factor: 2.6 },
    Target { scenario: "idle-after", metric: "client_kb", against: None, factor: 2.6 },
    Target::ratio("echo-1", "socketioxide", 0.80),
    Target::ratio("echo-1", "floor", 1.25),
    Target::ratio("echo-16", "socketioxide", 0.30),
    Target::ratio("echo-16", "node", 0.08),
    Target::ratio("ack-16", "socketioxide", 0.30),
    Target::ratio("echo-4k-4", "socketioxide", 0.55),
    Target::ratio("broadcast-1", "socketioxide", 0.40),
    Target::ratio("broadcast-8", "socketioxide", 0.35),
    Target::ratio("handshake", "socketioxide", 0.75),
    Target::ratio("polling", "socketioxide", 0.60),
];

struct Target {
    scenario: &'static str,
    metric: &'static str,
    against: Option<&'static str>,
    factor: f64,
}

impl Target {
    const fn ratio(scenario: &'static str, against: &'static str, factor: f64) -> Self {
        Self { scenario, metric: "cpu_us", against: Some(against), factor }
    }
}

/// Whether a scenario has to reach something.
pub(crate) fn has_target(scenario: &str) -> bool {
    TARGETS.iter().any(|target| target.scenario == scenario)
}

/// The whole report.
pub(crate) fn markdown(results: &Results, scenarios: &[Scenario]) -> String {
    let mut out = String::new();
    head(results, &mut out);
    for placement in [Placement::Pinned, Placement::Free] {
        let keys: Vec<_> = results.series.keys().filter(|key| key.1 == placement).copied().collect();
        if !keys.is_empty() {
            let _ = writeln!(out, "\n**{}**\n", placement.title());
            table(results, scenarios, &keys, &mut out);
        }
    }
    targets(results, scenarios, &mut out);
    out
}

fn head(results: &Results, out: &mut String) {
    let Results { date, machine, commit, rounds, .. } = results;
    let _ = writeln!(out, "{date}, {machine}, commit {commit}; medians of up to {rounds} interleaved rounds.");
    if results.scale == Scale::Quick {
        let _ = writeln!(out, "A quick look: short, and with fewer clients than the titles say.");
    }
    if let Some(busy) = disturbance(results) {
        let percent = number(busy * 100.0);
        let _ = writeln!(out, "Other programs used {percent} % of a processor meanwhile (median; less is steadier).");
    }
    let _ = writeln!(out, "×: what Sockeye needs, as a part of what the peer in that column needs.\n");
    for (name, version) in &results.peers {
        let _ = writeln!(out, "- {name}: {version}");
    }
    for (name, why) in &results.absent {
        let _ = writeln!(out, "- {name}: absent ({why})");
    }
}

/// Median over all measurements of what ran beside server and load, in processors.
fn disturbance(results: &Results) -> Option<f64> {
    let series = results.series.values().flat_map(|peers| peers.values());
    let mut busy: Vec<f64> =
        series.flat_map(|series| &series.rounds).filter_map(|round| round.0.get("others_busy")).copied().collect();
    busy.sort_by(f64::total_cmp);
    busy.get(busy.len() / 2).copied()
}

fn table(results: &Results, scenarios: &[Scenario], keys: &[Key], out: &mut String) {
    let peers: Vec<_> = results.peers.iter().map(|(name, _)| *name).collect();
    let _ = writeln!(out, "| workload | figure | {} |", peers.join(" | "));
    let _ = writeln!(out, "|---|---|{}", "---:|".repeat(peers.len()));
    for &key in keys {
        let scenario = &scenarios[key.0];
        for row in rows(results, scenario, key) {
            let cells: Vec<_> = peers.iter().map(|peer| cell(results, key, peer, &row)).collect();
            let _ = writeln!(out, "| {} | {} | {} |", scenario.title, row.unit, cells.join(" | "));
        }
    }
}

/// The rows of a scenario; growth curves have a row for every size.
fn rows(results: &Results, scenario: &Scenario, key: Key) -> Vec<Row> {
    let mut rows = Vec::new();
    for row in scenario.rows {
        let prefix = format!("{}@", row.metric);
        let peers = results.series.get(&key).into_iter().flat_map(|peers| peers.values());
        let mut sizes: Vec<u64> = peers
            .flat_map(|series| series.metrics())
            .filter_map(|metric| metric.strip_prefix(&prefix)?.parse().ok())
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        if sizes.is_empty() {
            rows.push(row.clone());
        }
        rows.extend(sizes.into_iter().map(|size| Row {
            metric: format!("{prefix}{size}").into(),
            unit: format!("{}, at {size}", row.unit).into(),
        }));
    }
    rows
}

fn cell(results: &Results, key: Key, peer: &str, row: &Row) -> String {
    let Some(value) = results.median(key, peer, &row.metric) else {
        let failures =
            results.series.get(&key).and_then(|peers| peers.get(peer)).map(|series| series.failures.as_slice());
        return match failures {
            Some([first, ..]) if first.starts_with(OVERRUN_BY) => "overrun",
            Some(_) => "failed",
            None => "–",
        }
        .into();
    };
    match results.median(key, OURS, &row.metric).filter(|_| peer != OURS && row.is_a_cost()) {
        Some(ours) if value > 0.0 && ours > 0.0 => format!("{} (×{})", number(value), number(ours / value)),
        _ => number(value),
    }
}

/// Three significant digits.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size < 0.1 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        size if size < 1000.0 => format!("{value:.0}"),
        size => {
            let unit = 10_f64.powf(size.log10().floor() - 2.0);
            grouped(&format!("{:.0}", (value / unit).round() * unit))
        }
    }
}

/// A whole number with a comma before every third digit from the right.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn targets(results: &Results, scenarios: &[Scenario], out: &mut String) {
    let mut lines = Vec::new();
    for target in TARGETS {
        let Some(index) = scenarios.iter().position(|scenario| scenario.name == target.scenario) else { continue };
        let key = (index, Placement::Pinned);
        let Some(ours) = results.median(key, OURS, target.metric) else { continue };
        let (value, against) = match target.against {
            None => (ours, "KB".to_owned()),
            Some(peer) => match results.median(key, peer, target.metric) {
                Some(theirs) => (ours / theirs, format!("× {peer}")),
                None => continue,
            },
        };
        let verdict = if value <= target.factor { "reached" } else { "missed" };
        let (title, value, factor) = (scenarios[index].title, number(value), number(target.factor));
        lines.push(format!("| {title} | ≤ {factor} {against} | {value} | {verdict} |"));
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "\n| target | bound | measured | |\n|---|---|---:|---|\n{}", lines.join("\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::ALL;

    #[test]
    fn numbers_keep_three_digits() {
        let numbers = [0.0, 0.0345, 0.25, 7.123, 29.24, 172.4, 4711.0, -47_110.0, 2_345_678.0];
        let texts = ["0", "0.035", "0.25", "7.12", "29.2", "172", "4,710", "-47,100", "2,350,000"];
        assert_eq!(numbers.map(number), texts);
    }

    #[test]
    fn targets_name_scenarios_that_exist() {
        for target in TARGETS {
            assert!(ALL.iter().any(|scenario| scenario.name == target.scenario), "{}", target.scenario);
        }
    }
}
