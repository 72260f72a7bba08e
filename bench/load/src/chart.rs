//! Charts as SVG, drawn without a library; readable on light and dark pages.

use std::fmt::Write as _;

use crate::process::Placement;
use crate::results::Results;
use crate::scenario::Scenario;
use crate::table::number;

const WIDTH: f64 = 820.0;
const LABEL: f64 = 250.0;
/// Length of the longest bar.
const ROOM: f64 = WIDTH - LABEL - 90.0;
const BAR: f64 = 14.0;
const GROUP_GAP: f64 = 14.0;

/// One group of bars: a figure of a scenario.
type Group = (&'static str, &'static str, &'static str);

const CPU: &[Group] = &[
    ("echo-1", "cpu_us", "echo, 1 in flight"),
    ("echo-16", "cpu_us", "echo, 16 in flight"),
    ("ack-16", "cpu_us", "ack, 16 in flight"),
    ("echo-4k-4", "cpu_us", "echo 4 KiB, 4 in flight"),
    ("broadcast-1", "cpu_us", "broadcast to 1,000, 1 in flight"),
    ("broadcast-8", "cpu_us", "broadcast to 1,000, 8 in flight"),
    ("handshake", "cpu_us", "handshake to CONNECT"),
    ("polling", "cpu_us", "polling echo"),
];
const MEMORY: &[Group] = &[
    ("idle", "client_kb", "idle WebSocket connection"),
    ("idle-rooms", "client_kb", "the same in 3 rooms"),
    ("idle-after", "client_kb", "the same after traffic"),
    ("idle-polling", "client_kb", "idle polling connection"),
];
const LATENCY: &[Group] = &[
    ("rate-10k", "p50_us", "10,000 per second, p50"),
    ("rate-10k", "p99_us", "10,000 per second, p99"),
    ("rate-10k", "p999_us", "10,000 per second, p99.9"),
    ("slow", "p99_us", "broadcast, 5 % do not read, p99"),
    ("fairness", "p99_us", "beside a client that floods, p99"),
];

/// File names and contents of the charts that have something to show.
pub(crate) fn charts(results: &Results, scenarios: &[Scenario]) -> Vec<(&'static str, String)> {
    let bars = [
        ("cpu.svg", "Server CPU time for each operation, µs (less is better)", CPU),
        ("memory.svg", "Memory of each connection, KB (less is better)", MEMORY),
        ("latency.svg", "Latency, µs (less is better)", LATENCY),
    ];
    let bars =
        bars.into_iter().filter_map(|(file, title, groups)| Some((file, bars_of(results, scenarios, title, groups)?)));
    let curves =
        curves(results, scenarios, "growth", "client_kb", "Memory of each connection as their number grows, KB");
    bars.chain(curves.map(|text| ("growth.svg", text))).collect()
}

/// Groups of horizontal bars; every group has its own scale, which starts at zero, and every bar its figure. A bar with
/// a cut is longer than it is drawn.
fn bars_of(results: &Results, scenarios: &[Scenario], title: &str, groups: &[Group]) -> Option<String> {
    let mut body = String::new();
    let mut y = 64.0;
    for (scenario, metric, label) in groups {
        let Some(index) = scenarios.iter().position(|candidate| candidate.name == *scenario) else { continue };
        let value = |peer| results.median((index, Placement::Pinned), peer, metric);
        let values: Vec<_> = results.peers.iter().filter_map(|(peer, _)| Some((*peer, value(peer)?))).collect();
        let most = longest(values.iter().map(|(_, value)| *value));
        if most <= 0.0 {
            continue;
        }
        let middle = y + BAR * values.len() as f64 / 2.0 + 4.0;
        let _ = writeln!(body, r#"<text x="{:.0}" y="{middle:.0}" text-anchor="end">{label}</text>"#, LABEL - 12.0);
        for (peer, value) in values {
            let width = (value / most).min(1.0) * ROOM;
            let (width, height, colour) = (width.max(1.0), BAR - 2.0, colour(peer));
            let _ = writeln!(
                body,
                r#"<rect x="{LABEL}" y="{y:.0}" width="{width:.1}" height="{height}" rx="2" fill="{colour}"/>"#
            );
            if value > most {
                let x = LABEL + ROOM * 0.9;
                let _ = writeln!(body, r#"<path d="M{x:.0} {:.0}l8 -16" class="cut"/>"#, y + BAR);
            }
            let (x, base) = (LABEL + width + 6.0, y + BAR - 4.0);
            let _ = writeln!(body, r#"<text x="{x:.1}" y="{base:.0}" class="small">{}</text>"#, number(value));
            y += BAR;
        }
        y += GROUP_GAP;
    }
    (!body.is_empty()).then(|| page(results, title, y, &body))
}

/// The value which fills the width. One that is far beyond all others is cut, so that the others can be told apart.
fn longest(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.as_slice() {
        [.., second, last] if *last > second * 3.0 => second * 1.25,
        [.., last] => *last,
        [] => 0.0,
    }
}

/// A line for every peer over sizes that grow by factors.
fn curves(results: &Results, scenarios: &[Scenario], scenario: &str, metric: &str, title: &str) -> Option<String> {
    let index = scenarios.iter().position(|candidate| candidate.name == scenario)?;
    let series = results.series.get(&(index, Placement::Pinned))?;
    let points = |peer: &str| -> Vec<(f64, f64)> {
        let Some(series) = series.get(peer) else { return Vec::new() };
        let size = |name: &str| name.strip_prefix(metric)?.strip_prefix('@')?.parse::<f64>().ok();
        let mut points: Vec<_> =
            series.metrics().iter().filter_map(|name| Some((size(name)?, series.median(name)?))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let lines: Vec<_> = results.peers.iter().map(|(peer, _)| (*peer, points(peer))).collect();
    let axes = Axes::of(&lines)?;
    let mut body = axes.draw(&lines);
    for (peer, points) in &lines {
        let path: Vec<_> =
            points.iter().map(|(size, value)| format!("{:.1} {:.1}", axes.x(*size), axes.y(*value))).collect();
        let (Some((size, value)), path, colour) = (points.last(), path.join("L"), colour(peer)) else { continue };
        let (x, y) = (axes.x(*size) + 8.0, axes.y(*value) + 4.0);
        let _ = writeln!(body, r#"<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>"#);
        let _ = writeln!(body, r#"<text x="{x:.0}" y="{y:.1}" class="small">{}</text>"#, number(*value));
    }
    Some(page(results, title, Axes::BOTTOM + 30.0, &body))
}

type Line = (&'static str, Vec<(f64, f64)>);

/// Sizes by their logarithm to the right, values from zero upwards.
struct Axes {
    least: f64,
    most: f64,
    highest: f64,
}

impl Axes {
    const LEFT: f64 = 60.0;
    const RIGHT: f64 = WIDTH - 90.0;
    const TOP: f64 = 70.0;
    const BOTTOM: f64 = 300.0;

    /// `None`: there is nothing to draw a line through.
    fn of(lines: &[Line]) -> Option<Self> {
        let points = || lines.iter().flat_map(|(_, points)| points.iter());
        let least = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let most = points().map(|point| point.0).fold(0.0, f64::max);
        let highest = points().map(|point| point.1).fold(0.0, f64::max);
        (most > least && highest > 0.0).then_some(Self { least, most, highest })
    }

    fn x(&self, size: f64) -> f64 {
        Self::LEFT + (size / self.least).ln() / (self.most / self.least).ln() * (Self::RIGHT - Self::LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        Self::BOTTOM - value.max(0.0) / self.highest * (Self::BOTTOM - Self::TOP)
    }

    fn draw(&self, lines: &[Line]) -> String {
        let mut body = String::new();
        let (left, right, label) = (Self::LEFT, Self::RIGHT, Self::LEFT - 8.0);
        for quarter in 0..=4 {
            let value = self.highest * f64::from(quarter) / 4.0;
            let (y, text) = (self.y(value), number(value));
            let _ = writeln!(body, r#"<path d="M{left} {y:.1}H{right}" class="grid"/>"#);
            let _ =
                writeln!(body, r#"<text x="{label}" y="{:.1}" text-anchor="end" class="small">{text}</text>"#, y + 4.0);
        }
        let mut sizes: Vec<_> = lines.iter().flat_map(|(_, points)| points.iter().map(|point| point.0)).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        for size in sizes {
            let (x, y, text) = (self.x(size), Self::BOTTOM + 20.0, number(size));
            let _ = writeln!(body, r#"<text x="{x:.0}" y="{y}" text-anchor="middle" class="small">{text}</text>"#);
        }
        body
    }
}

fn page(results: &Results, title: &str, height: f64, body: &str) -> String {
    let mut legend = String::new();
    let mut x = 16.0;
    for (peer, _) in &results.peers {
        let colour = colour(peer);
        let _ = writeln!(legend, r#"<rect x="{x}" y="38" width="12" height="12" rx="2" fill="{colour}"/>"#);
        let _ = writeln!(legend, r#"<text x="{}" y="48">{}</text>"#, x + 18.0, title_of(peer));
        x += 44.0 + 7.5 * title_of(peer).len() as f64;
    }
    let (date, machine) = (results.date.split('T').next().unwrap_or_default(), &results.machine);
    let total = height + 26.0;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total:.0}" width="{WIDTH}" height="{total:.0}">
<style>text{{font:13px system-ui,sans-serif;fill:#1f2328}}.small{{font-size:11px;fill:#59636e}}.title{{font-size:15px;font-weight:600}}.grid{{stroke:#d1d9e0;stroke-width:1}}.cut{{stroke:#ffffff;stroke-width:4}}</style>
<rect width="100%" height="100%" rx="8" fill="#ffffff"/>
<text x="16" y="24" class="title">{title}</text>
{legend}{body}<text x="16" y="{:.0}" class="small">{date}, {machine}; rounds: {}</text>
</svg>
"##,
        height + 12.0,
        results.rounds,
    )
}

fn title_of(peer: &str) -> &str {
    match peer {
        "sockeye" => "Sockeye",
        "node" => "socket.io (Node)",
        "python" => "python-socketio",
        other => other,
    }
}

fn colour(peer: &str) -> &'static str {
    match peer {
        "sockeye" => "#d1242f",
        "socketioxide" => "#8250df",
        "node" => "#1a7f37",
        "python" => "#bf8700",
        _ => "#8c959f",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Metrics, Scale};
    use crate::results::Series;
    use crate::scenario::ALL;

    fn results(metrics: &[(&str, &[(&str, f64)])]) -> Results {
        let key = |name: &str| (ALL.iter().position(|scenario| scenario.name == name).unwrap(), Placement::Pinned);
        let series = |figures: &[(&str, f64)]| Series {
            rounds: vec![Metrics(figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect())],
            failures: Vec::new(),
        };
        Results {
            date: "2026-11-23T04:30Z".into(),
            machine: "a machine".into(),
            commit: "0000000000".into(),
            scale: Scale::Full,
            rounds: 1,
            peers: vec![("node", "1".into())],
            absent: Vec::new(),
            series: metrics.iter().map(|(name, figures)| (key(name), [("node", series(figures))].into())).collect(),
        }
    }

    #[test]
    fn charts_show_what_was_measured_and_nothing_else() {
        assert!(charts(&results(&[]), ALL).is_empty());
        let drawn = charts(&results(&[("echo-1", &[("cpu_us", 11.7)])]), ALL);
        let [(name, text)] = drawn.as_slice() else { panic!("one chart, not {}", drawn.len()) };
        assert_eq!(*name, "cpu.svg");
        assert!(text.contains(">11.7<") && text.contains("echo, 1 in flight") && !text.contains("16 in flight"));
    }

    #[test]
    fn one_value_far_beyond_the_others_does_not_set_the_scale() {
        let longest = |values: &[f64]| longest(values.iter().copied());
        assert!((longest(&[1.0, 4.0, 10.0]) - 10.0).abs() < 1e-9);
        assert!((longest(&[1.0, 4.0, 100.0]) - 5.0).abs() < 1e-9);
        assert!((longest(&[7.0]) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn curves_need_two_sizes() {
        assert!(charts(&results(&[("growth", &[("client_kb@100", 3.0)])]), ALL).is_empty());
        let drawn = charts(&results(&[("growth", &[("client_kb@100", 3.0), ("client_kb@1000", 2.0)])]), ALL);
        assert_eq!(drawn.len(), 1);
    }
}
