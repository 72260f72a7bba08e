//! Options of the builder: how much a client may send at a time.

use std::time::Duration;

use crate::builder::ServerBuilder;

impl ServerBuilder {
    /// Longest message accepted from a client, in bytes, on every transport (`maxHttpBufferSize` of JS). Default
    /// 1,000,000. A client that sends more is disconnected; a polling body beyond it is answered by 413, and the
    /// session goes on.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.engine.max_payload = bytes;
        self
    }

    /// Bytes of messages that have not come to their end, of all clients together: of WebSocket and WebTransport what has
    /// come of a message, of long-polling what has come of a body, and packets whose attachments are still to come. Default
    /// 256 MiB, or [`max_payload`](Self::max_payload) if that is more; not less than `max_payload`.
    ///
    /// What counts is the room of the buffers, which is up to twice what has come. Each client may hold 16 KiB that do not
    /// count, so what is short never suffers. The client by which it becomes too much is disconnected with code 1013, or
    /// its body answered by 503; that is counted as [`Limit::Unfinished`](crate::Limit::Unfinished), and how much there is
    /// now as [`unfinished_bytes`](crate::MetricsSnapshot::unfinished_bytes).
    ///
    /// Too small and long messages of honest clients fail when many send at once; too large and many hostile clients that
    /// never finish use up the memory.
    pub fn max_unfinished(mut self, bytes: usize) -> Self {
        self.unfinished = Some(bytes);
        self
    }

    /// Frames that one message over WebSocket may come in, empty ones included. Default 65,536, which are 4 MiB in frames
    /// of 64 bytes; a message in more disconnects the client. 1 takes whole messages only, as all known clients send them.
    pub fn max_fragments(mut self, frames: usize) -> Self {
        self.config.max_fragments = frames;
        self
    }

    /// Attachments in one packet, received or sent. Default 10, as in the JS parser; clients refuse more than 10 as well.
    /// A packet that announces more closes the connection before anything is kept; 0 refuses all bytes.
    pub fn max_attachments(mut self, count: usize) -> Self {
        self.protocol.max_attachments = count;
        self
    }

    /// Bytes of all attachments of one packet from a client, together. Default 10,000,000, or
    /// [`max_payload`](Self::max_payload) if that is more. A client that sends more is disconnected, and counted as
    /// [`Limit::AttachmentBytes`](crate::Limit::AttachmentBytes).
    ///
    /// So much a client can make the server hold for each of its connections. Less than `max_payload` is also the bound of
    /// a single attachment.
    pub fn max_attachment_bytes(mut self, bytes: usize) -> Self {
        self.attachment_bytes = Some(bytes);
        self
    }

    /// How long the attachments of a packet may take, from its header to the last byte. Default 60 s; then the client is
    /// disconnected, and counted as [`Limit::AttachmentTime`](crate::Limit::AttachmentTime).
    ///
    /// Too short cuts uploads over slow lines; too long lets a silent client hold what it has sent.
    pub fn attachment_timeout(mut self, timeout: Duration) -> Self {
        self.protocol.attachment_timeout = timeout;
        self
    }

    /// Namespaces that one connection may be in, those it waits for included. Default 256, at most 65,535; one more
    /// closes the connection. Each takes about 1 KiB, its own sockets, and its own
    /// [`max_waiting_events`](Self::max_waiting_events).
    pub fn max_namespaces(mut self, namespaces: usize) -> Self {
        self.protocol.max_namespaces = namespaces;
        self
    }

    /// Depth of arrays and objects in a packet from a client, the list of its arguments included: `[[1]]` as the one
    /// argument has depth 3. Default and maximum 128, which the stack of every thread bears. A packet that is deeper
    /// closes the connection; 1 takes texts and numbers only.
    pub fn max_depth(mut self, levels: usize) -> Self {
        self.protocol.max_depth = levels;
        self
    }
}
