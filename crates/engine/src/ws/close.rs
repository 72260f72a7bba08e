//! Why a WebSocket connection is closed, as said on the wire.                                           [RFC 6455 §7.4]

use std::fmt;

/// The status of a close frame. Any number can be written here; [`is_legal`](Self::is_legal) says which may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server goes down, or the user leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A kind of data which the endpoint does not take, such as binary where only text is understood.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Data which does not match its kind, such as text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// A message against the rules of this endpoint, when no other code says it better.
    pub const POLICY: Self = Self(1008);
    /// A message longer than this endpoint takes.
    pub const TOO_LARGE: Self = Self(1009);
    /// The client misses an extension which the server did not agree to.
    pub const EXTENSION: Self = Self(1010);
    /// The server met a condition it did not expect.
    pub const INTERNAL: Self = Self(1011);
    /// The service restarts; clients may come back after a random wait.
    pub const RESTART: Self = Self(1012);
    /// The service is overloaded; clients may come back later.
    pub const TRY_AGAIN: Self = Self(1013);

    /// Whether the code may stand in a close frame: registered for it (1000–1003, 1007–1014), or left to libraries and
    /// applications (3000–4999). 1004 is reserved; 1005, 1006 and 1015 only describe what happened without a frame.
    pub const fn is_legal(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registered_and_private_codes_travel() {
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
            assert!(CloseCode(code).is_legal(), "{code}");
        }
        for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            assert!(!CloseCode(code).is_legal(), "{code}");
        }
    }
}
