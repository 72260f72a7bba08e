//! What the server has asked.

use std::collections::BTreeMap;

use sockeye_client::Ack;

/// Questions that wait for an answer, by the numbers which the terminal shows.
#[derive(Debug, Default)]
pub(super) struct Questions {
    asked: u64,
    open: BTreeMap<u64, Ack>,
}

impl Questions {
    /// Notes a question; its number.
    pub(super) fn push(&mut self, ack: Ack) -> u64 {
        self.asked += 1;
        self.open.insert(self.asked, ack);
        if self.open.len() > MOST {
            self.open.pop_first();
        }
        self.asked
    }

    /// The right to answer a question, once.
    pub(super) fn take(&mut self, number: u64) -> Option<Ack> {
        self.open.remove(&number)
    }
}

/// Nobody at a terminal answers more.
const MOST: usize = 1000;
