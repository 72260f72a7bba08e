//! How far one client is, and what it asks of its connection.

use std::time::Instant;

use sockeye_protocol::{Outgoing, Slot};

use crate::error::ConnectError;
use crate::hooks::AuthJob;

/// How far a client is.
pub(crate) enum Stage {
    /// CONNECT was sent; the answer must be here at the deadline.
    Asked { slot: Slot, deadline: Instant },
    /// The payload of CONNECT is being made.
    Authorizing { job: AuthJob, deadline: Instant },
    /// An attempt has failed which was this client's alone: the next one comes then, whatever the connection does.
    Delayed { until: Instant },
    /// It does not want to be connected (any more).
    Gone,
    /// An earlier CONNECT for the namespace was left, and its answer must come first: before the deadline.
    Held { deadline: Instant },
    /// In the namespace.
    Joined { slot: Slot },
    /// There is no connection.
    Waiting,
}

/// What a client asks of its connection after a step.
#[derive(Debug)]
pub(crate) enum Wish {
    Nothing,
    /// CONNECT is to be sent.
    Ask(Outgoing),
    /// It could not be connected, for a reason which further attempts may overcome.
    Failed(ConnectError),
}
