//! The figures as text for Prometheus: exposition format 0.0.4, which OpenMetrics collectors read as well.

use std::fmt::Write;

use crate::metrics::MetricsSnapshot;
use crate::tally::{Kind, Tally};

impl MetricsSnapshot {
    /// The figures as text for Prometheus, to be served as `text/plain; version=0.0.4`.
    ///
    /// Every figure is there from the beginning on, and none of the names or labels comes from clients, so that their
    /// number never grows. They are about this server alone: sums over a cluster are for the collector to make.
    ///
    /// ```
    /// let text = sockeye::Server::new().metrics().to_prometheus();
    /// assert!(text.contains("\nsockeye_sessions 0\n"));
    /// assert!(text.contains("\nsockeye_disconnects_total{reason=\"ping timeout\"} 0\n"));
    /// ```
    pub fn to_prometheus(&self) -> String {
        // Whatever is counted is named here, or this does not compile; gauges are below.
        let Self {
            connections: _,
            sessions: _,
            sockets: _,
            tasks: _,
            acks: _,
            unfinished_bytes: _,
            sessions_opened,
            requests_refused: _, // the sum of `refusals`
            upgrades,
            upgrades_failed,
            messages_received,
            messages_sent,
            bytes_received,
            bytes_sent,
            dropped_full,
            dropped_latest,
            dropped_volatile,
            slow_consumers: _, // among `sessions_closed`
            protocol_errors,
            handler_errors,
            acks_timed_out,
            acks_unknown,
            disconnects,
            limits,
            refusals,
            sessions_closed,
            queued_packets: _,
            queued_bytes: _,
            recovery_away: _,
            recovery_events: _,
            recovery_bytes: _,
        } = self;
        let mut page = Page(String::with_capacity(8 * 1024));
        self.gauges(&mut page);
        page.counter("sessions_opened_total", "Sessions opened.", *sessions_opened);
        page.tally("sessions_closed_total", "Sessions that ended, by why.", "reason", sessions_closed);
        page.tally("disconnects_total", "Sockets that left their namespace, by why.", "reason", disconnects);
        page.tally("refusals_total", "Requests refused, by the error of the answer.", "error", refusals);
        page.tally("limits_total", "Times that somebody ran into a limit, by which.", "limit", limits);
        let upgrades = [("succeeded", *upgrades), ("failed", *upgrades_failed)];
        page.counters(
            "upgrades_total",
            "Upgrades from polling to WebSocket or WebTransport, by how they ended.",
            "result",
            upgrades,
        );
        let messages = [("received", *messages_received), ("sent", *messages_sent)];
        page.counters("messages_total", "Engine.IO messages.", "direction", messages);
        let bytes = [("received", *bytes_received), ("sent", *bytes_sent)];
        page.counters("message_bytes_total", "Bytes of Engine.IO messages.", "direction", bytes);
        let dropped = [("full", *dropped_full), ("latest", *dropped_latest), ("volatile", *dropped_volatile)];
        page.counters("packets_dropped_total", "Packets that were not sent, by the policy.", "policy", dropped);
        page.counter("protocol_errors_total", "Sessions ended because the client broke a protocol.", *protocol_errors);
        page.counter("handler_errors_total", "Handlers that returned an error or panicked.", *handler_errors);
        page.counter("acks_timed_out_total", "Answers that did not come in time.", *acks_timed_out);
        page.counter("acks_unknown_total", "Answers that nobody waited for.", *acks_unknown);
        page.0
    }

    fn gauges(&self, page: &mut Page) {
        page.gauge("connections", "Open byte streams: TCP, TLS and Unix sockets.", self.connections);
        page.gauge("sessions", "Open Engine.IO sessions.", self.sessions);
        page.gauge("sockets", "Sockets in namespaces.", self.sockets);
        page.gauge("tasks", "Tasks that own a session or wait for its handlers.", self.tasks);
        page.gauge("acks", "Answers that are waited for.", self.acks);
        page.gauge("unfinished_bytes", "Bytes of messages that have not come to their end.", self.unfinished_bytes);
        page.gauge("queued_packets", "Packets that wait in outboxes.", self.queued_packets);
        page.gauge("queued_bytes", "Bytes that wait in outboxes.", self.queued_bytes);
        page.gauge("recovery_away", "Clients that may come back.", self.recovery_away);
        page.gauge("recovery_events", "Events kept for clients that may come back.", self.recovery_events);
        page.gauge("recovery_bytes", "Bytes of events kept for clients that may come back.", self.recovery_bytes);
    }
}

struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "gauge");
        self.line(name, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        self.line(name, value);
    }

    fn counters(&mut self, name: &str, help: &str, label: &str, values: impl IntoIterator<Item = (&'static str, u64)>) {
        self.head(name, help, "counter");
        for (kind, value) in values {
            self.line(&format!("{name}{{{label}=\"{kind}\"}}"), value);
        }
    }

    fn tally<K: Kind>(&mut self, name: &str, help: &str, label: &str, tally: &Tally<K>) {
        self.counters(name, help, label, tally.iter());
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP sockeye_{name} {help}\n# TYPE sockeye_{name} {kind}");
    }

    fn line(&mut self, name: &str, value: u64) {
        let _ = writeln!(self.0, "sockeye_{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::error::DisconnectReason;
    use crate::metrics::Metrics;

    #[test]
    fn each_figure_has_a_name_of_its_own_and_is_said_what_it_is() {
        let metrics = Metrics::default();
        metrics.sockets.up();
        metrics.sessions_closed.up(DisconnectReason::SlowConsumer);
        metrics.upgrades_failed.add(3);
        let text = metrics.snapshot().to_prometheus();
        for line in [
            "sockeye_sockets 1",
            "sockeye_sessions_closed_total{reason=\"slow consumer\"} 1",
            "sockeye_upgrades_total{result=\"failed\"} 3",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        let (comments, figures): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('#'));
        let names: HashSet<_> = figures.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
        assert_eq!(names.len(), figures.len(), "each once");
        let families: HashSet<_> = names.iter().map(|name| name.split('{').next().unwrap()).collect();
        for family in &families {
            assert!(comments.iter().any(|line| line.starts_with(&format!("# HELP {family} "))), "{family}");
            let kind = if family.ends_with("_total") { "counter" } else { "gauge" };
            assert!(comments.contains(&format!("# TYPE {family} {kind}").as_str()), "{family}");
        }
        assert_eq!(comments.len(), 2 * families.len());
        assert!(figures.len() < 100, "as many as there are causes, whatever clients do");
    }
}
