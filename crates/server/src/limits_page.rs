//! What `docs/limits.md` says, against what is so: defaults, options, and under which name each limit is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::{Config, LEAST_ROOM, SESSION, STRANGER};
use crate::limits::Limit;
use crate::recovery_options::Recovery;
use crate::session::congestion::{ASKING, UNDECIDED};
use crate::tally::Kind;

const PAGE: &str = include_str!("../../../docs/limits.md");
const BUILDER: [&str; 2] = [include_str!("builder.rs"), include_str!("sizes.rs")];

/// Options that bound nothing.
const OTHERS: [&str; 23] = [
    "adapter",
    "allow_eio3",
    "allow_jsonp",
    "allow_request",
    "allow_upgrades",
    "any_origin",
    "cookie",
    "cors",
    "generate_id",
    "http_compression",
    "on_connection_error",
    "on_headers",
    "on_initial_headers",
    "origins",
    "parser",
    "path",
    "per_message_deflate",
    "proxy_header",
    "proxy_protocol",
    "serve_client",
    "transports",
    "trust_proxies",
    "when_full",
];

/// A row of a table that has a column of defaults.
#[derive(Debug)]
struct Row {
    what: &'static str,
    default: &'static str,
    options: Vec<&'static str>,
    counted: Option<&'static str>,
}

fn rows() -> Vec<Row> {
    let (mut rows, mut columns) = (Vec::new(), Vec::new());
    for line in PAGE.lines().filter(|line| !line.starts_with("|--")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if !line.starts_with('|') {
            columns.clear();
        } else if columns.is_empty() {
            columns = cells;
        } else if let Some(default) = columns.iter().position(|column| *column == "default") {
            assert_eq!(cells.len(), columns.len(), "{line}");
            let cell = |name: &str| columns.iter().position(|column| *column == name).map(|at| cells[at]);
            let options = cell("option").map_or(Vec::new(), quoted);
            rows.push(Row { what: cells[0], default: cells[default], options, counted: cell("counted as") });
        }
    }
    rows
}

/// What stands between backticks.
fn quoted(text: &'static str) -> Vec<&'static str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The methods of the builder.
fn options() -> BTreeSet<&'static str> {
    let methods = BUILDER.iter().flat_map(|file| file.split("\n    pub fn ").skip(1));
    let names = methods.filter_map(|rest| rest.split(['(', '<']).next());
    names.filter(|name| !["build", "new"].contains(name)).collect()
}

/// The default of each option that bounds something, as the page writes it.
fn defaults() -> BTreeMap<&'static str, String> {
    let Config { engine, protocol, gate, .. } = &Config::default();
    let config = Config::default();
    let none = |is_none: bool| if is_none { "none".to_owned() } else { "not none".to_owned() };
    BTreeMap::from([
        ("ack_timeout", time(config.ack_timeout)),
        ("attachment_timeout", time(protocol.attachment_timeout)),
        ("byte_rate", none(config.bytes.is_none())),
        ("connect_timeout", time(protocol.connect_timeout)),
        ("event_rate", none(config.events.is_none())),
        ("handshake_rate", none(gate.handshakes.is_none())),
        ("handshake_rate_per_address", none(gate.handshakes_per_address.is_none())),
        ("max_attachment_bytes", number(protocol.max_attachment_bytes)),
        ("max_attachments", number(protocol.max_attachments)),
        ("max_connections", none(config.max_connections.is_none())),
        ("max_connections_per_address", none(gate.connections_per_address.is_none())),
        ("max_depth", number(protocol.max_depth)),
        ("max_fragments", number(config.max_fragments)),
        ("max_head", size(config.max_head)),
        ("max_namespaces", number(protocol.max_namespaces)),
        ("max_payload", number(engine.max_payload) + " bytes"),
        ("max_pending_acks", number(config.max_pending_acks)),
        ("max_room_name", size(config.max_room_name)),
        ("max_rooms", number(config.max_rooms)),
        ("max_sessions", none(gate.sessions.is_none())),
        ("max_sessions_per_address", none(gate.sessions_per_address.is_none())),
        ("max_unconnected_payload", size(config.unconnected_payload)),
        ("max_unfinished", size(config.max_unfinished)),
        ("max_waiting_events", or(config.max_waiting_events, config.max_waiting_bytes)),
        ("outbox", or(config.outbox_packets, config.outbox_bytes)),
        ("ping_interval", time(engine.ping_interval)),
        ("ping_timeout", time(engine.ping_timeout)),
        ("recovery", none(config.recovery.is_none())),
        ("request_timeout", time(config.request_timeout)),
        ("upgrade_timeout", time(engine.upgrade_timeout)),
    ])
}

/// The same for rows whose default is made of that of an option.
fn derived() -> BTreeMap<&'static str, String> {
    let config = Config::default();
    let waiting = or(ASKING * config.max_waiting_events, ASKING * config.max_waiting_bytes);
    let undecided = format!("{}; {} before", size(config.unconnected_payload), size(UNDECIDED));
    BTreeMap::from([
        ("head of the request that opens a session", size(STRANGER - SESSION - LEAST_ROOM)),
        ("the same while an answer of this client", waiting),
        ("CONNECTs that wait for", undecided),
    ])
}

/// With a comma for each thousand.
fn number(number: usize) -> String {
    let digits = number.to_string();
    let grouped = digits.as_bytes().rchunks(3).rev().map(|three| std::str::from_utf8(three).expect("digits"));
    grouped.collect::<Vec<_>>().join(",")
}

fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

fn or(count: usize, bytes: usize) -> String {
    format!("{}, or {}", number(count), size(bytes))
}

fn time(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

/// Whether a cell begins with a default, and goes on with something else.
fn says(cell: &str, default: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric()) || rest.starts_with(",0");
    cell.strip_prefix(default).is_some_and(|rest| !goes_on(rest))
}

#[test]
fn each_default_is_the_one_of_the_code() {
    let (defaults, derived) = (defaults(), derived());
    let mut compared = BTreeSet::new();
    for row in rows() {
        let special = derived.iter().find(|(what, _)| row.what.starts_with(**what));
        for option in &row.options {
            let Some(usual) = defaults.get(option) else { continue };
            let default = special.map_or(usual, |(_, default)| default);
            assert!(says(row.default, default), "{}: the default is {default}, not {}", row.what, row.default);
            compared.insert(special.map_or(*option, |(what, _)| *what));
        }
    }
    let named: BTreeSet<_> =
        defaults.keys().chain(derived.keys()).copied().filter(|name| *name != "recovery").collect();
    assert_eq!(compared, named, "each has its row");
}

#[test]
fn each_option_that_bounds_something_has_a_row_and_each_row_an_option() {
    let methods = options();
    let bounds: BTreeSet<_> = defaults().into_keys().collect();
    let known: BTreeSet<_> = bounds.iter().copied().chain(OTHERS).collect();
    assert_eq!(methods, known, "what is new bounds something, or is one of the others");
    for row in rows() {
        for option in row.options {
            assert!(option == ".timeout(…)" || bounds.contains(option), "{}: {option}", row.what);
        }
    }
}

#[test]
fn each_limit_is_told_under_which_name_it_is_counted() {
    let limits: BTreeSet<_> = Limit::NAMES.iter().copied().collect();
    // Counters beside those of the limits.
    let others = ["dropped_full", "protocol_errors", "slow_consumers"];
    let told: BTreeSet<_> = rows().iter().filter_map(|row| row.counted).flat_map(quoted).collect();
    // These two are in the table of times, which has no column for it.
    let in_words: Vec<_> = PAGE.split("counted as `").skip(1).filter_map(|rest| rest.split('`').next()).collect();
    let told: BTreeSet<_> = told.into_iter().chain(in_words).filter(|name| !others.contains(name)).collect();
    assert_eq!(told, limits);
}

#[test]
fn recovery_keeps_what_the_page_says() {
    let Recovery { window, max_bytes, max_packets, max_sessions, .. } = Recovery::default();
    let said = format!(
        "{} or {} events, {} clients away, {} minutes",
        size(max_bytes),
        number(max_packets),
        number(max_sessions),
        window.as_secs() / 60
    );
    assert!(PAGE.contains(&said), "{said}");
}
