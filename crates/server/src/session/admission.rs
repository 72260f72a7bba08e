//! The way of a client into a namespace, and out of it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use smol_str::{SmolStr, format_smolstr};
use sockeye_engine::Revision;
use sockeye_protocol::{Connection, Outgoing, Slot};

use crate::error::DisconnectReason;
use crate::hub::{Hub, Member};
use crate::id::random_id;
use crate::link::{Command, Link, Urgency};
use crate::peer::Peer;
use crate::recovery::{Claim, Session, State};
use crate::stays::Stays;
use crate::thread::Thread;

/// So often in a window what is too old is looked for,
const SWEEPS: u32 = 4;
/// but no more often than this.
const OFTEN: Duration = Duration::from_secs(1);

/// Whom to let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    Anybody,
    /// Who comes back: nobody has been asked whether the client may come in.
    Returning,
}

/// Lets a client in: the answer to CONNECT is queued before anything else can be, and the socket is in the namespace.
/// `None` if the client does not wait for it any more, or is not of those who are let in.
pub(crate) fn admit(
    hub: &Arc<Hub>,
    link: &Arc<Link>,
    connection: &mut Connection,
    (slot, whom): (Slot, Whom),
    peer: Peer,
    now: Instant,
) -> Option<Arc<Member>> {
    if hub.log().is_some() {
        return admit_recoverable(hub, link, connection, (slot, whom), peer, now);
    }
    let id = socket_id(hub, link);
    let accepted = connection.accept(slot, &id, None, now)?;
    link.set_joined();
    push(link, accepted);
    let member = Member::new(id, slot, hub, link, peer, None);
    hub.insert(&member);
    Some(member)
}

/// The same in a namespace whose clients can come back. The log is locked from the moment at which it is known what the
/// client has missed until it is a member: no event can be lost or doubled between.
fn admit_recoverable(
    hub: &Arc<Hub>,
    link: &Arc<Link>,
    connection: &mut Connection,
    (slot, whom): (Slot, Whom),
    peer: Peer,
    now: Instant,
) -> Option<Arc<Member>> {
    let log = hub.log()?;
    let claim = peer.auth::<Claim>().ok();
    let mut state = log.lock();
    let mut replaced = None;
    let returning = claim.and_then(|claim| {
        // Its old connection may not have been found dead yet: then it is taken over.
        let old = state.present(&claim.pid).and_then(Weak::upgrade);
        if let Some(old) = old.filter(|old| !Arc::ptr_eq(&old.link, link)) {
            let left = hub.remove_quietly(&old)?;
            let session = session_of(&old, &mut state);
            replaced = Some((old, left));
            state.suspend(session?, now, log.options());
        }
        let session = state.claim(&claim.pid, now, log.options())?;
        let (from, missed) = state.missed(&session, claim.offset.as_deref())?;
        Some((session, from, missed))
    });
    // It was seen that it can come back; meanwhile that may have become impossible.
    let is_let_in = whom == Whom::Anybody || returning.is_some();
    let next = state.next();
    let (id, stays, thread, missed) = match returning {
        Some((session, from, missed)) => {
            peer.data().replace(session.data);
            let thread = Thread::new(session.pid, from, if missed.is_empty() { session.end } else { next }, true);
            (session.id, session.stays, thread, missed)
        }
        None => (socket_id(hub, link), Stays::default(), Thread::new(random_id(), next, next, false), Vec::new()),
    };
    let pid = thread.pid.clone();
    let rooms = stays.rooms().cloned().collect();
    let accepted = is_let_in.then(|| connection.accept(slot, &id, Some(&pid), now)).flatten();
    let member = accepted.map(|packet| {
        // Before what it has missed is queued: that is more than a stranger may have waiting.
        link.set_joined();
        push(link, packet);
        let member = Member::new(id, slot, hub, link, peer, Some(thread));
        hub.insert(&member);
        state.enter(pid, Arc::downgrade(&member), stays);
        member
    });
    let joined = member.as_ref().map(|member| rejoin(hub, member, rooms)).unwrap_or_default();
    for packet in missed {
        push(link, packet);
    }
    let begin_sweeping = member.is_some() && state.begin_sweeping();
    drop(state);
    if begin_sweeping {
        tokio::spawn(sweep(Arc::downgrade(hub), log.options().window));
    }
    if let Some((old, left)) = replaced {
        hub.tell_left(&old, left);
        old.link.command(Command::Close { reason: DisconnectReason::TransportClose, say: false });
    }
    if let Some(member) = &member {
        for (room, first) in joined {
            hub.tell_joined(member, room, first);
        }
    }
    member
}

/// Has the log of a namespace forget what is too old, until nobody is left there who could come back.
async fn sweep(hub: Weak<Hub>, window: Duration) {
    let mut goes_on = true;
    while goes_on {
        tokio::time::sleep((window / SWEEPS).max(OFTEN)).await;
        let Some(hub) = hub.upgrade() else { return };
        let now = tokio::time::Instant::now().into_std();
        goes_on = hub.log().is_some_and(|log| log.lock().sweep(now, log.options()));
    }
}

/// A fresh id; for old clients the one which they compute themselves.
fn socket_id(hub: &Hub, link: &Link) -> SmolStr {
    let sid = link.sid.as_str();
    match link.revision {
        Revision::V4 => random_id(),
        Revision::V3 if hub.path.is_main() => sid.into(),
        Revision::V3 => format_smolstr!("{}#{sid}", hub.path.as_str()),
    }
}

/// Whether this client is let in unasked, because it comes back and the application wants it so.
pub(crate) fn may_skip_authorize(hub: &Hub, peer: &Peer, now: Instant) -> bool {
    let Some(log) = hub.log().filter(|log| log.options().skip_authorize) else { return false };
    peer.auth::<Claim>().is_ok_and(|claim| log.lock().can_return(&claim, now, log.options()))
}

fn rejoin(hub: &Hub, member: &Arc<Member>, rooms: Vec<SmolStr>) -> Vec<(SmolStr, bool)> {
    let mut joined = Vec::new();
    for room in rooms {
        if let Ok(Some(first)) = hub.join_quietly(member, &room) {
            joined.push((room, first));
        }
    }
    joined
}

/// Takes a socket out of its namespace; it can come back if nobody had wanted it to leave.
pub(crate) fn dismiss(hub: &Hub, member: &Arc<Member>, reason: DisconnectReason, now: Instant) {
    let Some(log) = hub.log() else {
        hub.remove(member);
        return;
    };
    let mut state = log.lock();
    let Some(left) = hub.remove_quietly(member) else { return };
    match session_of(member, &mut state) {
        Some(session) if reason.is_recoverable() => state.suspend(session, now, log.options()),
        _ => {}
    }
    drop(state);
    hub.tell_left(member, left);
}

/// What a member leaves behind, which has just left; `None` if it was told to leave.
fn session_of(member: &Member, state: &mut State<Weak<Member>>) -> Option<Session> {
    let thread = member.thread()?;
    let stays = state.leave(&thread.pid);
    (!thread.is_forsaken()).then(|| Session {
        id: member.id.clone(),
        pid: thread.pid.clone(),
        stays,
        data: member.peer.data().to_value(),
        start: thread.start,
        end: thread.end.load(Ordering::Relaxed),
        left: state.next(),
    })
}

fn push(link: &Link, packet: Outgoing) {
    if let Err(error) = link.push(packet, Urgency::Protocol) {
        tracing::trace!(%error, "the session is closing");
    }
}
