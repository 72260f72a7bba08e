//! Sockets that were asked for, wherever in the cluster they are.

use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use smol_str::SmolStr;
use sockeye_protocol::event::Emit;

use crate::adapter::Selection;
use crate::broadcast::{self, Flags};
use crate::error::{ClusterError, EmitError};
use crate::hub::{Hub, Member};
use crate::info::SocketInfo;
use crate::selector::Rooms;

/// A socket of this or another server: its facts ([`SocketInfo`], as they were when it was fetched), and the verbs that
/// work at a distance.
#[derive(Clone, Debug)]
pub struct RemoteSocket {
    info: SocketInfo,
    hub: Arc<Hub>,
}

impl Deref for RemoteSocket {
    type Target = SocketInfo;

    fn deref(&self) -> &SocketInfo {
        &self.info
    }
}

impl RemoteSocket {
    pub(crate) fn new(info: SocketInfo, hub: &Arc<Hub>) -> Self {
        Self { info, hub: Arc::clone(hub) }
    }

    pub(crate) fn of(member: &Member) -> Self {
        let peer = &member.peer;
        let info = SocketInfo {
            rooms: member.rooms(),
            data: peer.data().to_value(),
            uri: peer.uri().to_owned(),
            headers: peer.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            address: peer.address(),
            auth: peer.auth().unwrap_or_default(),
            time: peer.time(),
            secure: peer.is_secure(),
            ..SocketInfo::new(member.id.clone())
        };
        Self::new(info, &member.hub)
    }

    pub(crate) fn into_info(self) -> SocketInfo {
        self.info
    }

    /// The socket's id.
    pub fn id(&self) -> &str {
        &self.info.id
    }

    /// Sends it an event.
    ///
    /// # Errors
    /// When the arguments cannot be encoded or the name is reserved. That the socket has left meanwhile is no error.
    pub fn emit<A: Serialize>(&self, event: impl Emit<A>, args: A) -> Result<(), EmitError> {
        broadcast::emit(&self.hub, &self.selection(), &Flags::default(), event.name(), &args)
    }

    /// Lets it join rooms.
    ///
    /// # Errors
    /// When the other servers cannot be told.
    pub fn join(&self, rooms: impl Rooms) -> Result<(), ClusterError> {
        broadcast::join(&self.hub, &self.selection(), &Flags::default(), &rooms.into_rooms())
    }

    /// Lets it leave rooms.
    ///
    /// # Errors
    /// When the other servers cannot be told.
    pub fn leave(&self, rooms: impl Rooms) -> Result<(), ClusterError> {
        broadcast::leave(&self.hub, &self.selection(), &Flags::default(), &rooms.into_rooms())
    }

    /// Disconnects it from the namespace.
    ///
    /// # Errors
    /// When the other servers cannot be told.
    pub fn disconnect(&self) -> Result<(), ClusterError> {
        broadcast::disconnect(&self.hub, &self.selection(), &Flags::default(), false)
    }

    /// Disconnects it and closes its connection, with all its namespaces.
    ///
    /// # Errors
    /// When the other servers cannot be told.
    pub fn disconnect_and_close(&self) -> Result<(), ClusterError> {
        broadcast::disconnect(&self.hub, &self.selection(), &Flags::default(), true)
    }

    fn selection(&self) -> Selection {
        Selection { rooms: vec![SmolStr::clone(&self.info.id)], except: Vec::new() }
    }
}
