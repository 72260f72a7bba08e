//! One packet to many sockets: encoded once, handed to the outbox of each.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;
use smol_str::SmolStr;
use sockeye_engine::Encoded;
use sockeye_protocol::event::is_reserved;
use sockeye_protocol::{AckId, EncodeError, Outgoing, OwnedArgs, Raw, Slot};

use crate::ack::{Gather, Waiter, deadline};
use crate::adapter::{Command, Selection};
use crate::config::WhenFull;
use crate::error::{ClusterError, DisconnectReason, EmitError};
use crate::hub::{Hub, Member};
use crate::link::{self, Urgency};
use crate::recovery::{Aim, Log, State};

/// What goes with a broadcast besides its selection.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each told by its name")]
pub(crate) struct Flags {
    pub(crate) local: bool,
    pub(crate) volatile: bool,
    pub(crate) compress: bool,
    /// It is for one socket, by its own handle: the caller is told if it cannot take it.
    pub(crate) single: bool,
    pub(crate) timeout: Option<Duration>,
    /// None if that of the namespace holds.
    pub(crate) when_full: Option<WhenFull>,
    /// What it replaces.
    pub(crate) latest: Option<Arc<str>>,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            local: false,
            volatile: false,
            compress: true,
            single: false,
            timeout: None,
            when_full: None,
            latest: None,
        }
    }
}

impl Flags {
    pub(crate) fn when_full(&self, hub: &Hub) -> WhenFull {
        self.when_full.unwrap_or_else(|| hub.when_full())
    }

    /// For the socket of this slot, where this policy holds.
    fn urgency(&self, policy: WhenFull, slot: Slot) -> Urgency<'_> {
        match &self.latest {
            _ if self.volatile => Urgency::Volatile,
            Some(key) => Urgency::Latest(policy, slot, key),
            None => Urgency::Normal(policy),
        }
    }

    /// The packet as it goes to many: not compressed if that was said, and otherwise once for all its receivers.
    pub(crate) fn apply(&self, hub: &Hub, packet: Outgoing) -> Outgoing {
        match hub.config.deflate {
            _ if !self.compress => each(packet, |message| message.with_compress(false)),
            Some(deflate) => {
                each(packet, |message| if deflate.takes(&message) { message.with_shared_deflate() } else { message })
            }
            None => packet,
        }
    }
}

fn each(packet: Outgoing, change: impl Fn(Encoded) -> Encoded) -> Outgoing {
    let attachments = packet.attachments.map(|all| all.iter().cloned().map(&change).collect());
    Outgoing { first: change(packet.first), attachments }
}

/// Encodes an event of the application.
pub(crate) fn encode<A: Serialize + ?Sized>(
    hub: &Hub,
    ack: Option<AckId>,
    name: &str,
    args: &A,
) -> Result<Outgoing, EmitError> {
    if is_reserved(name) {
        return Err(EmitError::Reserved);
    }
    sendable(hub, hub.parser().event(&hub.path, ack, name, args)?)
}

/// Refuses what would cost the clients their connection: they take no more attachments than this server does.
fn sendable(hub: &Hub, packet: Outgoing) -> Result<Outgoing, EmitError> {
    let (count, most) = (packet.attachment_count(), hub.config.protocol.max_attachments);
    if count > most {
        let why = format!("{count} attachments in one event, where clients take {most} (max_attachments)");
        return Err(EncodeError::new(why).into());
    }
    Ok(packet)
}

/// Sends an event to a selection. A member that cannot take it meets its own policy; the others are not affected.
pub(crate) fn emit<A: Serialize + ?Sized>(
    hub: &Hub,
    selection: &Selection,
    flags: &Flags,
    name: &str,
    args: &A,
) -> Result<(), EmitError> {
    if is_reserved(name) {
        return Err(EmitError::Reserved);
    }
    let standing_alone = flags.local || !hub.is_clustered();
    // Who is away may come back for it: an event nobody receives now is logged all the same.
    if standing_alone && hub.log().is_none() && !hub.may_have(selection) {
        return if flags.single { Err(EmitError::Closed) } else { Ok(()) };
    }
    let packet = match hub.log() {
        Some(log) if flags.latest.is_none() => emit_logged(hub, log, selection, flags, name, args)?,
        Some(_) => emit_all(hub, selection, flags, name, &without_number(args)?)?,
        None => emit_all(hub, selection, flags, name, args)?,
    };
    tell_outgoing(hub, selection, name, args);
    if !standing_alone {
        let latest = flags.latest.as_deref();
        publish(hub, selection, Command::Broadcast { packet: &packet, volatile: flags.volatile, latest });
    }
    Ok(())
}

fn emit_all<A: Serialize + ?Sized>(
    hub: &Hub,
    selection: &Selection,
    flags: &Flags,
    name: &str,
    args: &A,
) -> Result<Outgoing, EmitError> {
    let packet = flags.apply(hub, encode(hub, None, name, args)?);
    push_all(hub, selection, flags, &packet, None)?;
    Ok(packet)
}

/// Hands a packet to all of a selection, as the event of this number. It fails if there was to be one, and it cannot
/// take the packet.
fn push_all(
    hub: &Hub,
    selection: &Selection,
    flags: &Flags,
    packet: &Outgoing,
    number: Option<u64>,
) -> Result<(), EmitError> {
    let mut taken = if flags.single { Err(EmitError::Closed) } else { Ok(()) };
    let policy = flags.when_full(hub);
    hub.for_each(selection, |member| {
        let pushed = member.link.push(packet.clone(), flags.urgency(policy, member.slot));
        if let Some(number) = number.filter(|_| pushed.is_ok() || !flags.single) {
            member.note_meant(number);
        }
        match pushed {
            Err(error) if !flags.single => tracing::trace!(%error, "left out of a broadcast"),
            pushed => taken = pushed,
        }
    });
    taken
}

/// The arguments as listeners get them in a namespace whose clients can be recovered, of an event that has no number
/// there: it may overtake others, and clients take a string at the end for how far they have come.
fn without_number<A: Serialize + ?Sized>(args: &A) -> Result<Raw, EmitError> {
    Ok(Raw::from(OwnedArgs::encode(args)?.with_null()?))
}

/// Tells those who watch what is sent to the sockets of a selection.
fn tell_outgoing<A: Serialize + ?Sized>(hub: &Hub, selection: &Selection, name: &str, args: &A) {
    if !hub.has_outgoing() {
        return;
    }
    let mut watched = Vec::new();
    hub.for_each(selection, |member| {
        if member.outgoing.is_watched() {
            watched.push(Arc::clone(member));
        }
    });
    if let Some(args) = OwnedArgs::encode(args).ok().filter(|_| !watched.is_empty()) {
        for member in watched {
            member.outgoing.tell(name, args.as_args());
        }
    }
}

/// Like `emit`, in a namespace whose clients can be recovered: the event gets its number and is kept. A volatile one is
/// not kept, and carries the number of the one before it, so that clients remember a number whatever they get.
fn emit_logged<A: Serialize + ?Sized>(
    hub: &Hub,
    log: &Log<Weak<Member>>,
    selection: &Selection,
    flags: &Flags,
    name: &str,
    args: &A,
) -> Result<Outgoing, EmitError> {
    let args = Raw::from(OwnedArgs::encode(args)?);
    let aim = (!flags.volatile).then(|| Aim::Many(Arc::new(selection.clone())));
    let now = tokio::time::Instant::now().into_std();
    let mut state = log.lock();
    let number = if flags.volatile { state.next() - 1 } else { state.next() };
    let packet = flags.apply(hub, encode_numbered(hub, &state, number, name, &args)?);
    push_all(hub, selection, flags, &packet, aim.as_ref().map(|_| number))?;
    if let Some(aim) = aim {
        state.append(packet.clone(), aim, now, log.options());
    }
    drop(state);
    Ok(packet)
}

/// The same to one member. What its outbox refuses is not kept either: the caller is told, and must not see it arrive.
pub(crate) fn emit_logged_to<A: Serialize + ?Sized>(
    member: &Member,
    log: &Log<Weak<Member>>,
    name: &str,
    args: &A,
) -> Result<(), EmitError> {
    if is_reserved(name) {
        return Err(EmitError::Reserved);
    }
    let args = Raw::from(OwnedArgs::encode(args)?);
    let now = tokio::time::Instant::now().into_std();
    let mut state = log.lock();
    if member.is_gone() {
        return Err(EmitError::Closed);
    }
    let number = state.next();
    let packet = encode_numbered(&member.hub, &state, number, name, &args)?;
    member.link.push(packet.clone(), Urgency::Normal(member.hub.when_full()))?;
    member.note_meant(number);
    state.append(packet, Aim::One(member.id.clone()), now, log.options());
    Ok(())
}

/// An event with its number, of which nobody knows before the log is locked: the application's arguments were encoded by
/// then, and all that runs under the lock is the parser. One of the application's own must not emit; see `CustomParser`.
fn encode_numbered(
    hub: &Hub,
    state: &State<Weak<Member>>,
    number: u64,
    name: &str,
    args: &Raw,
) -> Result<Outgoing, EmitError> {
    sendable(hub, hub.parser().recoverable_event(&hub.path, name, args, &state.offset(number))?)
}

/// Asks every member of a selection on this server for an answer. Questions are not kept for who is away, and carry no
/// number: where events have one, listeners expect the function that answers.
pub(crate) fn ask<A: Serialize + ?Sized>(
    hub: &Hub,
    selection: &Selection,
    flags: &Flags,
    name: &str,
    args: &A,
) -> Result<Arc<Gather>, EmitError> {
    let ack = hub.next_ack();
    let packet = flags.apply(hub, encode(hub, Some(ack), name, args)?);
    let deadline = deadline(flags.timeout.unwrap_or(hub.config.ack_timeout));
    let gather = Arc::new(Gather::default());
    let policy = flags.when_full(hub);
    ask_each(hub, selection, &packet, &gather, (ack, deadline, policy));
    Ok(gather)
}

fn ask_each(
    hub: &Hub,
    selection: &Selection,
    packet: &Outgoing,
    gather: &Arc<Gather>,
    (ack, deadline, policy): (AckId, Instant, WhenFull),
) {
    hub.for_each(selection, |member| {
        let waiter = Waiter::many(gather, member.id.clone());
        let command = link::Command::Await { slot: member.slot, socket: member.id.clone(), ack, deadline, waiter };
        member.link.push_asking(packet.clone(), policy, command);
    });
}

pub(crate) fn join(hub: &Hub, selection: &Selection, flags: &Flags, rooms: &[SmolStr]) -> Result<(), ClusterError> {
    for member in hub.select(selection) {
        for room in rooms {
            if let Err(error) = hub.join(&member, room.clone()) {
                tracing::debug!(?error, "not joined");
            }
        }
    }
    tell(hub, selection, flags, Command::Join(rooms))
}

pub(crate) fn leave(hub: &Hub, selection: &Selection, flags: &Flags, rooms: &[SmolStr]) -> Result<(), ClusterError> {
    hub.leave_all(selection, rooms);
    tell(hub, selection, flags, Command::Leave(rooms))
}

pub(crate) fn disconnect(hub: &Hub, selection: &Selection, flags: &Flags, close: bool) -> Result<(), ClusterError> {
    for member in hub.forsake_all(selection) {
        send_away(&member, close);
    }
    tell(hub, selection, flags, Command::Disconnect { close })
}

pub(crate) fn disconnect_one(member: &Member, close: bool) {
    member.hub.forsake(member);
    send_away(member, close);
}

fn send_away(member: &Member, close: bool) {
    member.link.command(if close {
        link::Command::Close { reason: DisconnectReason::ServerDisconnect, say: true }
    } else {
        link::Command::Leave { slot: member.slot, socket: member.id.clone() }
    });
}

/// Does to the members of this server what another server has told.
pub(crate) fn apply(hub: &Hub, selection: &Selection, command: Command<'_>) {
    let local = Flags { local: true, ..Flags::default() };
    let done = match command {
        Command::Broadcast { packet, volatile, latest } => {
            let flags = Flags { volatile, latest: latest.map(Arc::from), ..local };
            // Nothing fails: each member meets its own policy.
            let _ = push_all(hub, selection, &flags, packet, None);
            Ok(())
        }
        Command::Disconnect { close } => disconnect(hub, selection, &local, close),
        Command::Join(rooms) => join(hub, selection, &local, rooms),
        Command::Leave(rooms) => leave(hub, selection, &local, rooms),
    };
    if let Err(error) = done {
        tracing::warn!(%error, "what another server asked for was not done");
    }
}

fn tell(hub: &Hub, selection: &Selection, flags: &Flags, command: Command<'_>) -> Result<(), ClusterError> {
    if flags.local { Ok(()) } else { hub.adapter.publish(&hub.path, selection, command) }
}

fn publish(hub: &Hub, selection: &Selection, command: Command<'_>) {
    if let Err(error) = hub.adapter.publish(&hub.path, selection, command) {
        tracing::warn!(namespace = hub.path.as_str(), %error, "the other servers were not told of a broadcast");
    }
}
