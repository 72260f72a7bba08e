//! What the server answers to CONNECT, in either form.                              [SIO5 "connection to a namespace"]

use serde::{Serialize, Serializer};
use sockeye_engine::Revision;

/// The payload of CONNECT from the server.
#[derive(Serialize)]
pub(super) struct Accepted<'a> {
    pub(super) sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pid: Option<&'a str>,
}

/// The payload of CONNECT_ERROR.
#[derive(Serialize)]
pub(super) struct Refusal<'a> {
    pub(super) message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<&'a serde_json::Value>,
}

impl Refusal<'_> {
    /// Revision 3 is told the data alone, or else the message alone.
    pub(super) fn write<S: Serializer>(&self, revision: Revision, serializer: S) -> Result<S::Ok, S::Error> {
        match (revision, self.data) {
            (Revision::V4, _) => self.serialize(serializer),
            (Revision::V3, Some(data)) => data.serialize(serializer),
            (Revision::V3, None) => self.message.serialize(serializer),
        }
    }
}
