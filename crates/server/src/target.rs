//! A set of sockets, and what can be done with all of them.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_protocol::event::{Ask, Emit};

use crate::ack::Replies;
use crate::adapter::Selection;
use crate::broadcast::{self, Flags};
use crate::config::WhenFull;
use crate::error::{ClusterError, EmitError};
use crate::hub::{Hub, Member};
use crate::remote::RemoteSocket;
use crate::selector::Rooms;

/// A set of sockets of one namespace, here and on the other servers of the cluster.
///
/// Made by `to`, `except`, `broadcast`, `local`, `volatile`, `latest`, `when_full`, `compress` and `timeout` on a server, a
/// namespace or a socket; the calls can be chained in any order. Rooms add up, exceptions are taken away afterwards, and a socket is
/// counted once however many of the rooms it is in.
#[derive(Clone, Debug)]
#[must_use = "a target does nothing until `emit` or another verb is called"]
pub struct Target {
    hub: Arc<Hub>,
    selection: Selection,
    flags: Flags,
}

impl Target {
    pub(crate) fn all(hub: &Arc<Hub>) -> Self {
        Self { hub: Arc::clone(hub), selection: Selection::default(), flags: Flags::default() }
    }

    /// One socket, by its own handle.
    pub(crate) fn one(member: &Member) -> Self {
        let mut one = Self::all(&member.hub).to(&member.id).local();
        one.flags.single = true;
        one
    }

    /// Adds the members of these rooms. A socket's id is a room with that one member.
    pub fn to(mut self, rooms: impl Rooms) -> Self {
        self.flags.single = false;
        self.selection.rooms.extend(rooms.into_rooms());
        self
    }

    /// Leaves out the members of these rooms.
    pub fn except(mut self, rooms: impl Rooms) -> Self {
        self.flags.single = false;
        self.selection.except.extend(rooms.into_rooms());
        self
    }

    /// Only the sockets of this server.
    pub fn local(mut self) -> Self {
        self.flags.local = true;
        self
    }

    /// Drops the event for those who cannot take it at this moment (and counts that), instead of queueing it.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether the event may be compressed where that was negotiated. Default true.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = compress;
        self
    }

    /// What happens for those whose outbox is full, instead of what holds for their namespace. On other servers of the
    /// cluster the policy of the namespace there holds. Without effect on what is volatile.
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.flags.when_full = Some(policy);
        self
    }

    /// For state of which only the newest matters, a position or a price: where an event with this key still waits for a
    /// socket, this one takes its place, and the old one is counted in `dropped_latest`. So at most one event of each key
    /// waits for a client, beside one that it is about to take, however slowly it reads, and it gets the newest as soon as
    /// it reads on.
    ///
    /// The new event takes the *place* of the old one, so that it is sent in time however often it is replaced; it may so
    /// arrive before events that were emitted between the two. Keys are those of one socket: different events may share
    /// one, and namespaces share none. With [`recovery`](crate::ServerBuilder::recovery) it is not kept for those who are
    /// away, and listeners get `null` as one more argument, where other events have their number. Questions
    /// (`emit_with_ack`) are not replaced.
    pub fn latest(mut self, key: impl Into<Arc<str>>) -> Self {
        self.flags.latest = Some(key.into());
        self
    }

    /// How long `emit_with_ack` waits, and `fetch_sockets` for other servers. Default: `ack_timeout` of the server.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.flags.timeout = Some(limit);
        self
    }

    /// Sends an event to all of them. Never waits.
    ///
    /// # Errors
    /// When the arguments cannot be encoded or the name is reserved. A member that cannot take the event meets the
    /// policy of its own outbox and never makes the call fail; but a target that a socket has made of itself alone
    /// (`socket.when_full(…)`, `socket.latest(…)`, `socket.compress(…)`) fails as `socket.emit` does.
    pub fn emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), EmitError> {
        broadcast::emit(&self.hub, &self.selection, &self.flags, event.name(), &args)
    }

    /// Sends an event to all of them on this server and collects their answers, each with the id of its socket.
    ///
    /// The event is sent by this call; reading the answers may come later.
    pub fn emit_with_ack<A: Serialize, R: DeserializeOwned>(&self, event: impl Ask<A, R>, args: A) -> Replies<R> {
        match broadcast::ask(&self.hub, &self.selection, &self.flags, event.name(), &args) {
            Ok(gather) => Replies::new(gather),
            Err(error) => Replies::failed(error),
        }
    }

    /// The sockets in this set. Cancel safe.
    ///
    /// # Errors
    /// When other servers cannot be asked.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, ClusterError> {
        let mut sockets: Vec<_> = self.hub.select(&self.selection).iter().map(|m| RemoteSocket::of(m)).collect();
        if !self.flags.local {
            let limit = self.flags.timeout.unwrap_or(self.hub.config.ack_timeout);
            let others = self.hub.adapter.fetch_sockets(&self.hub.path, &self.selection, limit).await?;
            sockets.extend(others.into_iter().map(|info| RemoteSocket::new(info, &self.hub)));
        }
        Ok(sockets)
    }

    /// Lets all of them join rooms.
    ///
    /// # Errors
    /// When the other servers cannot be told.
    pub fn join(&self, rooms: impl Rooms) -> Result<(), ClusterError> {
        broadcast::join(&self.hub, &self.selection, &self.flags, &rooms.into_rooms())
    }

    /// Lets all of them leave rooms; those too who are away and may come back by recovery.
    ///
    /// # Errors
    /// When the other servers cannot be told.
    pub fn leave(&self, rooms: impl Rooms) -> Result<(), ClusterError> {
        broadcast::leave(&self.hub, &self.selection, &self.flags, &rooms.into_rooms())
    }

    /// Disconnects all of them from the namespace; those who are away do not come back by recovery.
    ///
    /// # Errors
    /// When the other servers cannot be told.
    pub fn disconnect(&self) -> Result<(), ClusterError> {
        broadcast::disconnect(&self.hub, &self.selection, &self.flags, false)
    }

    /// Disconnects all of them and closes their connections, with all their namespaces.
    ///
    /// # Errors
    /// When the other servers cannot be told.
    pub fn disconnect_and_close(&self) -> Result<(), ClusterError> {
        broadcast::disconnect(&self.hub, &self.selection, &self.flags, true)
    }
}
