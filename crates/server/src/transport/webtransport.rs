//! The framing of one WebTransport stream.

use std::sync::{Arc, OnceLock};

use sockeye_engine::{ws, wt};

/// How packets travel on the one stream of a WebTransport session. While nothing is in flight it owns no buffer.
#[derive(Debug)]
pub(crate) struct WebTransport {
    pub(super) decoder: wt::Decoder,
    ending: Ending,
    widen: Widen,
}

/// What lets the client send more at a time than a stranger may; once.
pub(crate) struct Widen(Option<Box<dyn FnOnce() + Send>>);

impl std::fmt::Debug for Widen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Widen")
    }
}

/// How a session ends, told to whoever closes its connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending(Arc<OnceLock<(End, &'static str)>>);

/// Why the server ends a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// It was in order.
    #[default]
    Orderly,
    /// The client broke the protocol.
    Protocol,
    /// The client ran into a limit.
    TooMuch,
}

impl WebTransport {
    #[cfg_attr(not(feature = "webtransport"), expect(dead_code, reason = "made by the listener of that feature"))]
    pub(crate) fn new(max_packet: usize, ending: Ending, widen: impl FnOnce() + Send + 'static) -> Self {
        Self { decoder: wt::Decoder::new(max_packet), ending, widen: Widen(Some(Box::new(widen))) }
    }

    /// The client has joined a namespace.
    pub(super) fn welcome(&mut self) {
        if let Some(widen) = self.widen.0.take() {
            widen();
        }
    }

    /// Remembers what a close frame would say.
    pub(super) fn set_farewell(&self, farewell: Option<(ws::CloseCode, &'static str)>) {
        let Some((code, reason)) = farewell else { return };
        let end = match code {
            ws::CloseCode::GOING_AWAY | ws::CloseCode::NORMAL => End::Orderly,
            ws::CloseCode::POLICY | ws::CloseCode::TOO_LARGE | ws::CloseCode::TRY_AGAIN => End::TooMuch,
            _ => End::Protocol,
        };
        // Said once: a transport is closed once.
        let _ = self.ending.0.set((end, reason));
    }

    /// Whether the session ends in order, as far as is known.
    pub(super) fn is_orderly(&self) -> bool {
        self.ending.get().0 == End::Orderly
    }
}

impl Ending {
    /// What was said; nothing means that all was in order.
    pub(crate) fn get(&self) -> (End, &'static str) {
        self.0.get().copied().unwrap_or_default()
    }
}
