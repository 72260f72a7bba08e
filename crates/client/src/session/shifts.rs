//! The handlers of one client, in the order of its events, across connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_channel::oneshot;
use sockeye_protocol::event::{Entry, Finished, Received, Runner};

use crate::link::Client;

/// What runs on behalf of each connection that the client has had. An event's answer belongs to the connection which
/// brought it, so that each has a runner of its own; a later one begins when the earlier ones are done.
#[derive(Debug, Default)]
pub(crate) struct Shifts(VecDeque<Shift>);

#[derive(Debug)]
struct Shift {
    client: Client,
    runner: Runner<Client>,
    /// Holds the runner's first job until the shifts before are done.
    gate: Option<oneshot::Sender<()>>,
}

impl Shifts {
    /// A connection begins; `client` is the handle for its handlers.
    pub(crate) fn begin(&mut self, client: Client) {
        self.0.retain(|shift| !shift.runner.is_idle());
        if self.0.len() >= MAX_SHIFTS {
            tracing::warn!("handlers of an earlier connection were stopped: they do not come to an end");
            self.0.pop_front();
        }
        let mut runner = Runner::default();
        let mut gate = None;
        if !self.0.is_empty() {
            let (opener, signal) = oneshot::channel::<()>();
            // It is opened by being dropped.
            runner.begin("connect", async move { signal.await.or(Ok(())) });
            gate = Some(opener);
        }
        self.0.push_back(Shift { client, runner, gate });
    }

    /// Hands an event of the current connection to a handler; what failed at once.
    pub(crate) fn dispatch(
        &mut self,
        entry: &Arc<Entry<Client>>,
        received: &Received<'_>,
        cx: &mut Context<'_>,
    ) -> Option<Finished> {
        let shift = self.0.back_mut()?;
        shift.runner.dispatch(&shift.client, entry, received, cx)
    }

    /// Goes on with the handlers; gives one that failed (call again).
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Finished> {
        while let Some(shift) = self.0.front_mut() {
            shift.gate = None;
            if let Poll::Ready(Some(failed)) = shift.runner.poll(&shift.client, cx) {
                return Some(failed);
            }
            if !shift.runner.is_idle() || self.0.len() == 1 {
                return None;
            }
            self.0.pop_front();
        }
        None
    }

    /// Whether nothing runs and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.iter().all(|shift| shift.runner.is_idle())
    }

    /// Events that wait for their turn, and bytes of their arguments.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let sum =
            |(events, bytes), shift: &Shift| (events + shift.runner.waiting(), bytes + shift.runner.waiting_bytes());
        self.0.iter().fold((0, 0), sum)
    }
}

/// Connections whose handlers may be unfinished at once.
const MAX_SHIFTS: usize = 16;
