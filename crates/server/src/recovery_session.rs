//! What a socket leaves behind that may come back, and what was meant for it.

use std::sync::Arc;

use serde::Deserialize;
use smol_str::SmolStr;

use crate::adapter::Selection;
use crate::stays::{ByRoom, Stays};

/// What a client that comes back sends along in `auth`.
#[derive(Debug, Deserialize)]
pub(crate) struct Claim {
    pub(crate) pid: SmolStr,
    #[serde(default)]
    pub(crate) offset: Option<SmolStr>,
}

/// What a socket leaves behind.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: SmolStr,
    pub(crate) pid: SmolStr,
    pub(crate) stays: Stays,
    pub(crate) data: serde_json::Value,
    /// Number of the first event it could get.
    pub(crate) start: u64,
    /// One more than the number of the last event that was meant for it before it left.
    pub(crate) end: u64,
    /// Number of the first event after it left.
    pub(crate) left: u64,
}

/// Whom an event is meant for.
#[derive(Debug)]
pub(crate) enum Aim {
    Many(Arc<Selection>),
    /// The socket of this id, and not who may be in a room of that name.
    One(SmolStr),
}

impl Session {
    /// Whether it was in a selection when it left, less what has been taken from it since.
    pub(crate) fn is_in(&self, selection: &Selection) -> bool {
        let is_in = |room: &SmolStr| *room == self.id || self.stays.rooms().any(|other| other == room);
        (selection.rooms.is_empty() || selection.rooms.iter().any(is_in)) && !selection.except.iter().any(is_in)
    }

    /// Whether an event was meant for it; `rooms` are those of `stays`.
    pub(crate) fn is_meant(&self, rooms: &ByRoom<'_>, aim: &Aim, number: u64) -> bool {
        let selection = match aim {
            Aim::Many(selection) => selection,
            Aim::One(id) => return *id == self.id,
        };
        let was_in = |room: &SmolStr| *room == self.id || rooms.was_in(room, number);
        let included = selection.rooms.is_empty() || selection.rooms.iter().any(was_in);
        included && !selection.except.iter().any(was_in)
    }
}
