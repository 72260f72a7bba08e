//! An event which came before the answer to CONNECT.

use sockeye_protocol::{AckId, OwnedArgs};

pub(super) struct Early {
    pub(super) name: Box<str>,
    pub(super) args: OwnedArgs,
    pub(super) ack: Option<AckId>,
}

/// Most events, and most bytes of them, which may come before the answer to CONNECT.
pub(super) const MAX_EARLY: usize = 65_536;
pub(super) const MAX_EARLY_BYTES: usize = 64 * 1024 * 1024;
