//! When a connection of HTTP/2 has been used enough, or not for long enough.

use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::handshake::parameters;
use tokio::sync::watch;
use tokio::time::timeout;

/// Sessions that may be asked for on one connection. Those who share it, behind a proxy, get another one then.
const MOST: usize = 1_000;

/// How much a connection is used.
#[derive(Clone, Debug, Default)]
pub(super) struct Wear(Arc<watch::Sender<Use>>);

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// Requests that are being answered.
    running: usize,
    /// Sessions that were asked for.
    sessions: usize,
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Running(Wear);

impl Wear {
    /// A request has come; `query` if it is one for Socket.IO.
    pub(super) fn begin(&self, query: Option<&str>) -> Running {
        let asks = query.is_some_and(|query| parameters(query).all(|(name, _)| name != "sid"));
        self.0.send_modify(|all| {
            all.running += 1;
            all.sessions += usize::from(asks);
        });
        Running(self.clone())
    }

    /// Resolves when the connection should end: nothing was asked for so long, or enough altogether.
    pub(super) async fn worn(&self, idle: Duration) {
        let mut uses = self.0.subscribe();
        loop {
            let now = *uses.borrow_and_update();
            if now.sessions >= MOST {
                return;
            }
            // Only a request changes anything; an error would mean that there can be none.
            let quiet = if now.running > 0 { Duration::MAX } else { idle };
            if !matches!(timeout(quiet, uses.changed()).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.send_modify(|all| all.running -= 1);
    }
}
