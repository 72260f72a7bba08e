//! How far a client is.

use std::fmt;
use std::time::Duration;

use tokio::sync::watch;

use crate::cause::Cause;
use crate::error::{ConnectError, DisconnectReason};

/// How far a client is, as told by [`Client::state`](crate::Client::state).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// In its namespace.
    Connected,
    /// An attempt to connect is under way.
    Connecting,
    /// Not connected, and it will not try by itself. Events are refused until `connect()` is called.
    Disconnected(Ending),
    /// Waits before the next attempt. Events wait in the queue.
    Waiting {
        /// Number of the attempt that comes next; the first after a connection was lost is 1.
        attempt: u32,
        /// How long the wait is.
        delay: Duration,
    },
}

/// Why a client is not connected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// It was connected, and this ended it.
    Disconnected(DisconnectReason),
    /// It could not be connected.
    Failed(ConnectError),
    /// It was never asked to connect.
    Idle,
}

impl State {
    /// Whether events go out at once.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected)
    }

    /// Whether it is connected or will try to be: whether events are taken.
    pub fn is_active(&self) -> bool {
        !matches!(self, Self::Disconnected(_))
    }
}

/// How a client left its namespace; see [`Client::last_disconnect`](crate::Client::last_disconnect).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnect {
    /// In the words of the official client.
    pub reason: DisconnectReason,
    /// What happened.
    pub cause: Cause,
    /// How long there had been a session; not until OPEN has come.
    pub age: Duration,
    /// How long nothing had passed in either direction.
    pub idle: Duration,
    /// It broke, after as long a silence as four of the last eight connections of this client that broke: to within half a
    /// second, and 5 s or more. Something between the two ends, such as a proxy, gives up what is idle for so long: the
    /// server's `ping_interval` must be less than `idle`.
    pub is_regular: bool,
}

impl Disconnect {
    /// The connection has ended; `error` says more, if anything is known.
    pub(crate) fn of_connection(reason: DisconnectReason, error: Option<&ConnectError>, idle: Duration) -> Self {
        let unknown = Self::from(reason);
        let cause = error.and_then(ConnectError::cause).cloned().unwrap_or(unknown.cause);
        Self { cause, idle, ..unknown }
    }
}

impl Disconnect {
    /// What a log may have of it, beside the reason.
    pub(crate) fn loggable(&self) -> impl fmt::Display {
        let Self { cause, age, idle, .. } = self;
        format!("{}; connected for {age:?}, idle for {idle:?}", cause.loggable())
    }
}

/// Where nothing but the reason is known; it was said by a packet of one side or the other.
impl From<DisconnectReason> for Disconnect {
    fn from(reason: DisconnectReason) -> Self {
        let cause = match reason {
            DisconnectReason::ClientDisconnect => Cause::ClientDisconnect,
            DisconnectReason::ParseError => Cause::Protocol(reason.as_str().into()),
            DisconnectReason::PingTimeout => Cause::PingTimeout { heard: Duration::ZERO, pinged: None },
            DisconnectReason::ServerDisconnect => Cause::ServerDisconnect,
            DisconnectReason::TransportClose => Cause::Closed { code: None, text: "".into() },
            DisconnectReason::TransportError => Cause::Io(std::io::ErrorKind::Other),
        };
        Self { reason, cause, age: Duration::ZERO, idle: Duration::ZERO, is_regular: false }
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.cause)?;
        match self.cause {
            Cause::Io(_) => write!(f, ", after {:.1} s without traffic", self.idle.as_secs_f64())?,
            _ => return Ok(()),
        }
        if self.is_regular { f.write_str(", as before: perhaps the timeout of a proxy") } else { Ok(()) }
    }
}

/// The states of a client as they change; made by [`Client::watch`](crate::Client::watch).
#[derive(Clone, Debug)]
pub struct Watch(watch::Receiver<State>);

impl Watch {
    pub(crate) fn new(receiver: watch::Receiver<State>) -> Self {
        Self(receiver)
    }

    /// The state now.
    pub fn get(&mut self) -> State {
        self.0.borrow_and_update().clone()
    }

    /// Waits for the next change. States that are left at once may be passed over. `None` when the client is gone.
    /// Cancel safe.
    pub async fn changed(&mut self) -> Option<State> {
        self.0.changed().await.ok()?;
        Some(self.get())
    }

    /// Waits until `wanted` is true of the state, which it may be already. `None` when the client is gone. Cancel safe.
    pub async fn until(&mut self, wanted: impl FnMut(&State) -> bool) -> Option<State> {
        let state = self.0.wait_for(wanted).await.ok()?;
        Some(state.clone())
    }
}
