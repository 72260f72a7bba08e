//! Everything that is logged.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span;

/// Keeps every event and span with all its fields, at TRACE.
#[derive(Clone, Default)]
pub(crate) struct Capture {
    pub(crate) log: Arc<Mutex<String>>,
    /// By their id, which counts from 1.
    pub(crate) spans: Arc<Mutex<Vec<String>>>,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
}

/// An event, and the span that it was in.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) line: String,
    pub(crate) span: Option<String>,
}

thread_local! {
    /// The spans that this thread has entered, the innermost last.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Capture {
    fn line(&self, metadata: &tracing::Metadata<'_>, record: impl FnOnce(&mut Line<'_>)) -> String {
        let mut line = format!("{} {}", metadata.level(), metadata.target());
        record(&mut Line(&mut line));
        self.log.lock().unwrap().extend([&line, "\n"]);
        line
    }

    fn current(&self) -> Option<String> {
        let id = ENTERED.with_borrow(|entered| entered.last().copied())?;
        Some(self.spans.lock().unwrap()[usize::try_from(id).unwrap() - 1].clone())
    }
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Capture {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let line = self.line(span.metadata(), |line| span.record(line));
        let mut spans = self.spans.lock().unwrap();
        spans.push(line);
        span::Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Line(&mut self.log.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let line = self.line(event.metadata(), |line| event.record(line));
        self.events.lock().unwrap().push(Event { line, span: self.current() });
    }

    fn enter(&self, span: &span::Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, span: &span::Id) {
        assert_eq!(ENTERED.with_borrow_mut(Vec::pop), Some(span.into_u64()));
    }
}

impl Event {
    pub(crate) fn is_within(&self, span: &str) -> bool {
        self.span.as_ref().is_some_and(|line| line.ends_with(span))
    }

    pub(crate) fn is_of_a_session(&self) -> bool {
        self.line.contains(" sockeye::session::")
    }
}
