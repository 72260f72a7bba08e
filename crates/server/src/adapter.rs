//! The seam to a cluster: what other servers are told, and what they may be asked.
//!
//! What happens on this server never goes through here: a broadcast reaches the local members first, whatever the state
//! of the broker. [`Local`] is the adapter of a server that stands alone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::time::Duration;

use smol_str::SmolStr;
use sockeye_protocol::{NamespacePath, Outgoing, OwnedArgs};

use crate::error::ClusterError;
use crate::info::SocketInfo;

/// Which sockets of a namespace are meant: those in any of `rooms` (all, if there are none), less those in any of
/// `except`. A socket's own id counts as a room with that one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Union of these rooms; empty means every socket.
    pub rooms: Vec<SmolStr>,
    /// Less the members of these.
    pub except: Vec<SmolStr>,
}

/// What the other servers are told to do with their members of a selection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command<'a> {
    /// Send them a packet.
    Broadcast {
        /// Encoded as this server sends it.
        packet: &'a Outgoing,
        /// Drop it for those who are not writable.
        volatile: bool,
        /// Put it in the place of the last one of this key that still waits; see
        /// [`Target::latest`](crate::Target::latest).
        latest: Option<&'a str>,
    },
    /// Disconnect them; `close` closes their connections too.
    Disconnect {
        /// Whether the connection is closed as well.
        close: bool,
    },
    /// Let them join rooms.
    Join(&'a [SmolStr]),
    /// Let them leave rooms.
    Leave(&'a [SmolStr]),
}

/// A future that an adapter returns.
pub type AdapterFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ClusterError>> + Send + 'a>>;

/// This server, as an adapter sees it: what other servers may ask of it.
pub trait Node: Send + Sync + 'static {
    /// Does to the members of this server what another server has told. Unknown namespaces have none.
    fn apply(&self, namespace: &NamespacePath, selection: &Selection, command: Command<'_>);

    /// The sockets of this server in a selection.
    fn sockets(&self, namespace: &NamespacePath, selection: &Selection) -> Vec<SocketInfo>;

    /// Calls the handlers of [`Namespace::on_server`](crate::Namespace::on_server); their answers, in order.
    fn server_event(
        &self,
        namespace: &NamespacePath,
        event: &str,
        args: &OwnedArgs,
    ) -> Pin<Box<dyn Future<Output = Vec<OwnedArgs>> + Send>>;
}

/// Connects the servers of a cluster. One adapter serves all namespaces.
pub trait Adapter: std::fmt::Debug + Send + Sync + 'static {
    /// Called once, before anything else: the server to which the adapter belongs.
    fn attach(&self, node: Weak<dyn Node>) {
        drop(node);
    }

    /// Tells the other servers. Must not block; delivery is at most once.
    ///
    /// # Errors
    /// When the other servers cannot be told. The members of this server have been served already.
    fn publish(
        &self,
        namespace: &NamespacePath,
        selection: &Selection,
        command: Command<'_>,
    ) -> Result<(), ClusterError>;

    /// The sockets of the other servers in a selection; what has answered after `limit` is returned.
    fn fetch_sockets<'a>(
        &'a self,
        namespace: &'a NamespacePath,
        selection: &'a Selection,
        limit: Duration,
    ) -> AdapterFuture<'a, Vec<SocketInfo>>;

    /// Sends an event to the other servers, and collects their answers if `limit` is given: what has come in time.
    fn server_side_emit<'a>(
        &'a self,
        namespace: &'a NamespacePath,
        event: &'a str,
        args: &'a OwnedArgs,
        limit: Option<Duration>,
    ) -> AdapterFuture<'a, Vec<OwnedArgs>>;

    /// Whether there are other servers at all; if not, what nobody here would receive is not even encoded.
    fn is_clustered(&self) -> bool {
        true
    }

    /// Says farewell to the other servers. Given up when the grace of [`Server::close`](crate::Server::close) is over, but
    /// polled once in any case.
    fn close(&self) -> AdapterFuture<'_, ()>;
}

/// The adapter of a server that stands alone: there is nobody to tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Adapter for Local {
    fn is_clustered(&self) -> bool {
        false
    }

    fn publish(&self, _: &NamespacePath, _: &Selection, _: Command<'_>) -> Result<(), ClusterError> {
        Ok(())
    }

    fn fetch_sockets<'a>(
        &'a self,
        _: &'a NamespacePath,
        _: &'a Selection,
        _: Duration,
    ) -> AdapterFuture<'a, Vec<SocketInfo>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn server_side_emit<'a>(
        &'a self,
        _: &'a NamespacePath,
        _: &'a str,
        _: &'a OwnedArgs,
        _: Option<Duration>,
    ) -> AdapterFuture<'a, Vec<OwnedArgs>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn close(&self) -> AdapterFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
