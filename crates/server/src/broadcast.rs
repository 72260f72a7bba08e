//! One packet to many sockets: encoded once, handed to the outbox of each.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use smol_str::SmolStr;
use sockeye_protocol::Outgoing;
use sockeye_protocol::event::is_reserved;

use crate::ack::{Gather, Waiter};
use crate::adapter::{Command, Selection};
use crate::error::{ClusterError, DisconnectReason, EmitError};
use crate::hub::{Hub, Member};
use crate::link::{self, Urgency};

/// What goes with a broadcast besides its selection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    pub(crate) local: bool,
    pub(crate) volatile: bool,
    pub(crate) compress: bool,
    pub(crate) timeout: Option<Duration>,
}

impl Default for Flags {
    fn default() -> Self {
        Self { local: false, volatile: false, compress: true, timeout: None }
    }
}

impl Flags {
    pub(crate) fn urgency(self) -> Urgency {
        if self.volatile { Urgency::Volatile } else { Urgency::Normal }
    }

    /// The packet with the wish not to be compressed, if that was said.
    pub(crate) fn apply(self, mut packet: Outgoing) -> Outgoing {
        if !self.compress {
            packet.first = packet.first.with_compress(false);
        }
        packet
    }
}

/// Encodes an event of the application.
pub(crate) fn encode<A: Serialize + ?Sized>(
    hub: &Hub,
    ack: Option<sockeye_protocol::AckId>,
    name: &str,
    args: &A,
) -> Result<Outgoing, EmitError> {
    if is_reserved(name) {
        return Err(EmitError::Reserved);
    }
    Ok(hub.parser().event(&hub.path, ack, name, args)?)
}

/// Sends an event to a selection. A member that cannot take it meets its own policy; the others are not affected.
pub(crate) fn emit<A: Serialize + ?Sized>(
    hub: &Hub,
    selection: &Selection,
    flags: Flags,
    name: &str,
    args: &A,
) -> Result<(), EmitError> {
    if is_reserved(name) {
        return Err(EmitError::Reserved);
    }
    let standing_alone = flags.local || !hub.is_clustered();
    if standing_alone && !hub.may_have(selection) {
        return Ok(());
    }
    let packet = flags.apply(encode(hub, None, name, args)?);
    hub.for_each(selection, |member| push(member, packet.clone(), flags.urgency()));
    if !standing_alone {
        publish(hub, selection, Command::Broadcast { packet: &packet, volatile: flags.volatile });
    }
    Ok(())
}

/// Asks every member of a selection on this server for an answer.
pub(crate) fn ask<A: Serialize + ?Sized>(
    hub: &Hub,
    selection: &Selection,
    flags: Flags,
    name: &str,
    args: &A,
) -> Result<Arc<Gather>, EmitError> {
    let ack = hub.next_ack();
    let packet = flags.apply(encode(hub, Some(ack), name, args)?);
    let deadline = tokio::time::Instant::now().into_std() + flags.timeout.unwrap_or(hub.config.ack_timeout);
    let gather = Arc::new(Gather::default());
    hub.for_each(selection, |member| {
        let waiter = Waiter::many(&gather, member.id.clone());
        let command = link::Command::Await { slot: member.slot, socket: member.id.clone(), ack, deadline, waiter };
        if let Err(error) = member.link.push_asking(packet.clone(), command) {
            // The waiter went with the command: this socket has settled as disconnected.
            tracing::trace!(%error, "not asked");
        }
    });
    Ok(gather)
}

pub(crate) fn join(hub: &Hub, selection: &Selection, flags: Flags, rooms: &[SmolStr]) -> Result<(), ClusterError> {
    for member in hub.select(selection) {
        for room in rooms {
            if let Err(error) = hub.join(&member, room.clone()) {
                tracing::debug!(?error, "not joined");
            }
        }
    }
    tell(hub, selection, flags, Command::Join(rooms))
}

pub(crate) fn leave(hub: &Hub, selection: &Selection, flags: Flags, rooms: &[SmolStr]) -> Result<(), ClusterError> {
    for member in hub.select(selection) {
        for room in rooms {
            hub.leave(&member, room);
        }
    }
    tell(hub, selection, flags, Command::Leave(rooms))
}

pub(crate) fn disconnect(hub: &Hub, selection: &Selection, flags: Flags, close: bool) -> Result<(), ClusterError> {
    for member in hub.select(selection) {
        disconnect_one(&member, close);
    }
    tell(hub, selection, flags, Command::Disconnect { close })
}

pub(crate) fn disconnect_one(member: &Member, close: bool) {
    member.link.command(if close {
        link::Command::Close { reason: DisconnectReason::ServerDisconnect, say: true }
    } else {
        link::Command::Leave { slot: member.slot, socket: member.id.clone() }
    });
}

fn push(member: &Member, packet: Outgoing, urgency: Urgency) {
    if let Err(error) = member.link.push(packet, urgency) {
        tracing::trace!(%error, "left out of a broadcast");
    }
}

fn tell(hub: &Hub, selection: &Selection, flags: Flags, command: Command<'_>) -> Result<(), ClusterError> {
    if flags.local { Ok(()) } else { hub.adapter.publish(&hub.path, selection, command) }
}

fn publish(hub: &Hub, selection: &Selection, command: Command<'_>) {
    if let Err(error) = hub.adapter.publish(&hub.path, selection, command) {
        tracing::warn!(namespace = hub.path.as_str(), %error, "the other servers were not told of a broadcast");
    }
}
