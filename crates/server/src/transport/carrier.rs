//! What carries a session's messages.

/// What carries the session's messages, as far as requests must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// HTTP long-polling.
    #[default]
    Polling,
    /// Polling, and a stream is being opened or probed.
    Upgrading,
    /// A WebSocket.
    Websocket,
    /// The stream of a WebTransport session.
    Webtransport,
}

impl Carrier {
    /// Whether it is a stream.
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Self::Websocket | Self::Webtransport)
    }

    /// For logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Polling | Self::Upgrading => "polling",
            Self::Websocket => "websocket",
            Self::Webtransport => "webtransport",
        }
    }
}
