//! One namespace's data: its members and their rooms. No handles, no tasks.
//!
//! Locks are taken in the order *log → member → room shard → outbox*, all but the log's for a push or a lookup each; never
//! across an await, a write, encoding, or code of the application.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use hashbrown::{HashMap, HashSet};
use parking_lot::{Mutex, MutexGuard};
use smol_str::SmolStr;
use sockeye_protocol::{AckId, NamespacePath, Parser, Slot};

use crate::adapter::{Adapter, Selection};
use crate::config::{Config, Policy, WhenFull};
use crate::limits::Limit;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::outgoing::{Outgoing, OutgoingHook};
use crate::peer::Peer;
use crate::recovery::{Log, State, epoch};
use crate::rooms::{Room, RoomEvent, Watchers, address};
use crate::shards::Shards;
use crate::spare;
use crate::table::{Named, Table};
use crate::thread::Thread;
use crate::warned::Warned;

/// A socket, as its namespace knows it.
pub(crate) struct Member {
    pub(crate) id: SmolStr,
    pub(crate) slot: Slot,
    pub(crate) hub: Arc<Hub>,
    pub(crate) link: Arc<Link>,
    pub(crate) peer: Peer,
    /// Set if the namespace offers recovery.
    thread: Option<Box<Thread>>,
    /// Joined rooms, without the own one; after the end, those it was in.
    rooms: Mutex<Vec<SmolStr>>,
    /// Set by `Hub::remove` under the lock of `rooms`, so that no join can come after it.
    gone: AtomicBool,
    /// What the log was told about this socket.
    pub(crate) warned: Warned,
    /// Who is told of what is sent to this socket.
    pub(crate) outgoing: Outgoing,
    /// Handlers of this socket alone; the type is known to `socket.rs`.
    pub(crate) own: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// Why a join was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinError {
    Gone,
    NameTooLong,
    TooManyRooms,
}

impl Member {
    pub(crate) fn new(
        id: SmolStr,
        slot: Slot,
        hub: &Arc<Hub>,
        link: &Arc<Link>,
        peer: Peer,
        thread: Option<Thread>,
    ) -> Arc<Self> {
        Arc::new(Self {
            thread: thread.map(Box::new),
            id,
            slot,
            hub: Arc::clone(hub),
            link: Arc::clone(link),
            peer,
            rooms: Mutex::default(),
            gone: AtomicBool::new(false),
            warned: Warned::default(),
            outgoing: Outgoing::default(),
            own: OnceLock::new(),
        })
    }

    pub(crate) fn thread(&self) -> Option<&Thread> {
        self.thread.as_deref()
    }

    /// The event of this number is meant for this member. The log is locked.
    pub(crate) fn note_meant(&self, number: u64) {
        if let Some(thread) = &self.thread {
            thread.note_meant(number);
        }
    }

    /// The log is locked.
    fn forsake(&self) {
        if let Some(thread) = &self.thread {
            thread.forsake();
        }
    }

    pub(crate) fn on_outgoing(&self, hook: OutgoingHook) {
        self.outgoing.add(hook);
        self.hub.outgoing.store(true, Ordering::Release);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The rooms joined, and the socket's own id first; after the end, those it was in.
    pub(crate) fn rooms(&self) -> Vec<SmolStr> {
        let rooms = self.rooms.lock();
        std::iter::once(&self.id).chain(rooms.iter()).cloned().collect()
    }
}

impl Named for Member {
    fn name(&self) -> &str {
        &self.id
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Rooms of a member up to this number are searched by their names: most are in a few.
const SEARCHED: usize = 16;

type Rooms = HashMap<SmolStr, Room<Member>>;

/// The members of a namespace and their rooms.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) path: NamespacePath,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) adapter: Arc<dyn Adapter>,
    watchers: Arc<Watchers>,
    when_full: Arc<Policy>,
    log: Option<Log<Weak<Member>>>,
    members: Table<Member>,
    rooms: Shards<Rooms>,
    next_ack: AtomicU64,
    /// Some member is, or has been, watched for what is sent to it.
    outgoing: AtomicBool,
}

impl Hub {
    pub(crate) fn new(
        path: NamespacePath,
        config: Arc<Config>,
        metrics: Arc<Metrics>,
        adapter: Arc<dyn Adapter>,
        watchers: Arc<Watchers>,
        when_full: Arc<Policy>,
    ) -> Self {
        let log = config.recovery.clone().map(|options| Log::new(options, epoch()));
        Self {
            path,
            config,
            metrics,
            adapter,
            watchers,
            when_full,
            log,
            members: Table::default(),
            rooms: Shards::default(),
            next_ack: AtomicU64::new(0),
            outgoing: AtomicBool::new(false),
        }
    }

    pub(crate) fn parser(&self) -> &Parser {
        &self.config.parser
    }

    /// What happens to clients who read too slowly.
    pub(crate) fn when_full(&self) -> WhenFull {
        self.when_full.get().unwrap_or(self.config.when_full)
    }

    pub(crate) fn has_outgoing(&self) -> bool {
        self.outgoing.load(Ordering::Acquire)
    }

    /// Whether other servers have members of this namespace.
    pub(crate) fn is_clustered(&self) -> bool {
        self.adapter.is_clustered()
    }

    /// The log of events, if clients can be recovered.
    pub(crate) fn log(&self) -> Option<&Log<Weak<Member>>> {
        self.log.as_ref()
    }

    /// An id for an answer, never used before in this namespace.
    pub(crate) fn next_ack(&self) -> AckId {
        AckId(self.next_ack.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn insert(&self, member: &Arc<Member>) {
        self.members.add(member);
        self.metrics.sockets.up();
    }

    /// Takes a member out of the namespace and of all its rooms; false if it was out already.
    pub(crate) fn remove(&self, member: &Arc<Member>) -> bool {
        let Some(left) = self.remove_quietly(member) else { return false };
        self.tell_left(member, left);
        true
    }

    pub(crate) fn tell_left(&self, member: &Member, left: Vec<(SmolStr, bool)>) {
        self.watchers.tell(|| left.into_iter().flat_map(|(room, last)| RoomEvent::left(room, &member.id, last)));
    }

    /// Like `remove`, without telling anybody: the rooms it was in, and whether it was the last there.
    pub(crate) fn remove_quietly(&self, member: &Arc<Member>) -> Option<Vec<(SmolStr, bool)>> {
        let rooms = member.rooms.lock();
        if member.gone.swap(true, Ordering::AcqRel) {
            return None;
        }
        let left: Vec<_> = rooms.iter().map(|room| (room.clone(), self.remove_from_room(room, member))).collect();
        drop(rooms);
        if self.members.remove(member) {
            self.metrics.sockets.down();
        }
        Some(left)
    }

    pub(crate) fn join(&self, member: &Arc<Member>, room: SmolStr) -> Result<(), JoinError> {
        // No event is numbered between the join and the note of it.
        let mut log = self.log_of(member);
        let joined = self.join_quietly(member, &room)?;
        if let (Some((state, pid)), Some(_)) = (&mut log, joined) {
            state.joined(pid, room.clone());
        }
        drop(log);
        if let Some(first) = joined {
            self.tell_joined(member, room, first);
        }
        Ok(())
    }

    /// The log, locked, and under which name it knows a member, if that can be recovered.
    fn log_of<'a>(&'a self, member: &'a Member) -> Option<(MutexGuard<'a, State<Weak<Member>>>, &'a str)> {
        Some((self.log.as_ref()?.lock(), &member.thread()?.pid))
    }

    pub(crate) fn tell_joined(&self, member: &Member, room: SmolStr, first: bool) {
        self.watchers.tell(|| RoomEvent::joined(room, &member.id, first));
    }

    /// Like `join`, without telling anybody: `None` if it was there already, else whether it is the first.
    pub(crate) fn join_quietly(&self, member: &Arc<Member>, room: &SmolStr) -> Result<Option<bool>, JoinError> {
        let mut rooms = member.rooms.lock();
        if member.is_gone() {
            return Err(JoinError::Gone);
        }
        if *room == member.id {
            return Ok(None);
        }
        if room.len() > self.config.max_room_name {
            self.metrics.limits.up(Limit::RoomName);
            return Err(JoinError::NameTooLong);
        }
        if self.is_in(member, &rooms, room) {
            return Ok(None);
        }
        if rooms.len() >= self.config.max_rooms {
            self.metrics.limits.up(Limit::Rooms);
            return Err(JoinError::TooManyRooms);
        }
        let mut shard = self.rooms.of(room).write();
        let entry = shard.entry(room.clone()).or_default();
        let first = entry.is_empty();
        entry.add(member);
        drop(shard);
        rooms.push(room.clone());
        Ok(Some(first))
    }

    /// Whether a member is in a room; its own `rooms` are locked. Many are not searched: with long names that differ at
    /// their ends, a client could have each join read all of them.
    fn is_in(&self, member: &Arc<Member>, rooms: &[SmolStr], room: &SmolStr) -> bool {
        if rooms.len() < SEARCHED {
            return rooms.contains(room);
        }
        self.rooms.of(room).read().get(room).is_some_and(|found| found.contains(member))
    }

    pub(crate) fn leave(&self, member: &Arc<Member>, room: &str) {
        let mut log = self.log.as_ref().map(Log::lock);
        let left = self.leave_quietly(member, room, log.as_deref_mut());
        drop(log);
        self.tell_left(member, left.into_iter().collect());
    }

    /// The same of all in a selection, those who are away among them, and in one moment: who is about to come back must be
    /// found in one of the two.
    pub(crate) fn leave_all(&self, selection: &Selection, rooms: &[SmolStr]) {
        let mut log = self.log.as_ref().map(Log::lock);
        if let Some(state) = &mut log {
            state.take_away(selection, rooms);
        }
        let mut told = Vec::new();
        for member in self.select(selection) {
            let left = rooms.iter().filter_map(|room| self.leave_quietly(&member, room, log.as_deref_mut()));
            told.push((left.collect(), member));
        }
        drop(log);
        for (left, member) in told {
            self.tell_left(&member, left);
        }
    }

    /// Without telling anybody: the room, and whether it is gone, if the member was in it.
    fn leave_quietly(
        &self,
        member: &Arc<Member>,
        room: &str,
        log: Option<&mut State<Weak<Member>>>,
    ) -> Option<(SmolStr, bool)> {
        let thread = member.thread();
        let mut rooms = member.rooms.lock();
        if member.is_gone() {
            if let (Some(state), Some(thread)) = (log, thread) {
                state.left_away(&thread.pid, room);
            }
            return None;
        }
        let at = rooms.iter().position(|other| other == room)?;
        let room = rooms.swap_remove(at);
        let last = self.remove_from_room(&room, member);
        drop(rooms);
        if let (Some(state), Some(thread)) = (log, thread) {
            state.left(&thread.pid, &room);
        }
        Some((room, last))
    }

    /// A member is told to leave, and does not come back.
    pub(crate) fn forsake(&self, member: &Member) {
        let log = self.log.as_ref().map(Log::lock);
        member.forsake();
        drop(log);
    }

    /// The same of all in a selection, those who are away among them: who is there has yet to be told.
    pub(crate) fn forsake_all(&self, selection: &Selection) -> Vec<Arc<Member>> {
        let mut log = self.log.as_ref().map(Log::lock);
        if let Some(state) = &mut log {
            state.forsake(selection);
        }
        let members = self.select(selection);
        for member in &members {
            member.forsake();
        }
        members
    }

    /// True if the room is gone with its last member.
    fn remove_from_room(&self, room: &SmolStr, member: &Arc<Member>) -> bool {
        let mut shard = self.rooms.of(room).write();
        let Some(found) = shard.get_mut(room) else { return false };
        found.remove(member);
        let last = found.is_empty();
        if last {
            shard.remove(room);
            if let Some(fit) = spare::fit(shard.len(), shard.capacity()) {
                shard.shrink_to(fit);
            }
        }
        last
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Member>> {
        self.members.get(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Names of the rooms that have members here.
    pub(crate) fn room_names(&self) -> Vec<SmolStr> {
        self.rooms.iter().flat_map(|shard| shard.read().keys().cloned().collect::<Vec<_>>()).collect()
    }

    /// Whether anybody here may be in `selection`: false only if nobody is.
    pub(crate) fn may_have(&self, selection: &Selection) -> bool {
        if selection.rooms.is_empty() {
            return !self.members.is_empty();
        }
        selection.rooms.iter().any(|room| self.rooms.of(room).read().contains_key(room) || self.get(room).is_some())
    }

    /// Calls `f` once for every member in `selection`. `f` may push into an outbox, and nothing slower.
    pub(crate) fn for_each(&self, selection: &Selection, mut f: impl FnMut(&Arc<Member>)) {
        let excluded = self.addresses(&selection.except);
        let mut visit = |member: &Arc<Member>| {
            if excluded.is_empty() || !excluded.contains(&address(member)) {
                f(member);
            }
        };
        match selection.rooms.as_slice() {
            [] => self.members.for_each(visit),
            [room] => self.for_each_in(room, &mut visit),
            rooms => {
                let mut seen = HashSet::new();
                for room in rooms {
                    self.for_each_in(room, |member| {
                        if seen.insert(address(member)) {
                            visit(member);
                        }
                    });
                }
            }
        }
    }

    pub(crate) fn select(&self, selection: &Selection) -> Vec<Arc<Member>> {
        let mut members = Vec::new();
        self.for_each(selection, |member| members.push(Arc::clone(member)));
        members
    }

    fn for_each_in(&self, room: &SmolStr, mut f: impl FnMut(&Arc<Member>)) {
        let own = self.members.get(room);
        let shard = self.rooms.of(room).read();
        let found = shard.get(room);
        if let Some(own) = own
            && found.is_none_or(|found| !found.contains(&own))
        {
            f(&own);
        }
        if let Some(found) = found {
            found.members().iter().for_each(f);
        }
    }

    fn addresses(&self, rooms: &[SmolStr]) -> HashSet<usize> {
        let mut addresses = HashSet::new();
        for room in rooms {
            self.for_each_in(room, |member| {
                addresses.insert(address(member));
            });
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use sockeye_engine::{Revision, Sid};
    use sockeye_protocol::Args;

    use super::*;
    use crate::link::Opening;
    use crate::peer::Handshake;
    use crate::transport::carrier::Carrier;

    fn hub() -> Arc<Hub> {
        let (config, metrics) = (Arc::new(Config::default()), Arc::default());
        let adapter = Arc::clone(&config.adapter);
        Arc::new(Hub::new(NamespacePath::main(), config, metrics, adapter, Arc::default(), Arc::default()))
    }

    fn member(hub: &Arc<Hub>, id: &str) -> Arc<Member> {
        member_of(hub, id, &link(hub, id))
    }

    fn link(hub: &Arc<Hub>, id: &str) -> Arc<Link> {
        let handshake = Arc::new(Handshake::new(&"/".parse().unwrap(), &http::HeaderMap::new(), None, false));
        let opening = Opening {
            sid: Sid::new(id),
            revision: Revision::V4,
            takes_binary: true,
            handshake,
            ticket: None,
            carrier: Carrier::Polling,
        };
        Arc::new(Link::new(opening, Arc::clone(&hub.config), Arc::clone(&hub.metrics)))
    }

    fn member_of(hub: &Arc<Hub>, id: &str, link: &Arc<Link>) -> Arc<Member> {
        let peer = Peer::new(Arc::clone(&link.handshake), Args::NONE.to_owned(), None);
        let member = Member::new(id.into(), Slot(0), hub, link, peer, None);
        hub.insert(&member);
        member
    }

    fn names(hub: &Hub, rooms: &[&str], except: &[&str]) -> BTreeSet<String> {
        let list = |names: &[&str]| names.iter().copied().map(SmolStr::new).collect();
        let mut found = BTreeSet::new();
        hub.for_each(&Selection { rooms: list(rooms), except: list(except) }, |member| {
            assert!(found.insert(member.id.to_string()), "{} twice", member.id);
        });
        found
    }

    /// There is one for each client: what is added to it is paid for a million times.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    #[test]
    fn a_member_does_not_grow_unnoticed() {
        assert_eq!(size_of::<Member>(), 136);
    }

    /// Joins, leaves and ends in an arbitrary order, against sets.
    #[test]
    fn selections_are_what_sets_say() {
        let hub = hub();
        let members: Vec<_> = (0..40).map(|n| member(&hub, &format!("m{n}"))).collect();
        let rooms = ["red", "green", "blue", "m3"];
        let mut model: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut gone = BTreeSet::new();
        let mut dice = 1_u32;
        for _ in 0..2_000 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let who = &members[dice as usize / 64 % members.len()];
            let room = rooms[dice as usize / 4096 % rooms.len()];
            match dice / 65_536 % 50 {
                0 => {
                    assert_eq!(hub.remove(who), gone.insert(who.id.to_string()));
                    for room in model.values_mut() {
                        room.remove(who.id.as_str());
                    }
                }
                1..=30 => {
                    let joined = hub.join(who, room.into());
                    assert_eq!(joined.is_err(), gone.contains(who.id.as_str()));
                    if joined.is_ok() && who.id != room {
                        model.entry(room).or_default().insert(who.id.to_string());
                    }
                }
                _ => {
                    hub.leave(who, room);
                    model.entry(room).or_default().remove(who.id.as_str());
                }
            }
            let of = |room: &str| {
                let own = hub.get(room).map(|member| member.id.to_string());
                model.get(room).into_iter().flatten().cloned().chain(own).collect::<BTreeSet<_>>()
            };
            assert_eq!(names(&hub, &[room], &[]), of(room));
            assert_eq!(names(&hub, &["red", "m3"], &["blue"]), &(&of("red") | &of("m3")) - &of("blue"));
            assert_eq!(hub.len(), members.len() - gone.len());
        }
        for member in &members {
            hub.remove(member);
        }
        assert_eq!((hub.len(), hub.room_names().len(), hub.metrics.sockets.get()), (0, 0, 0));
    }

    /// What each of these costs is counted in `rooms.rs` and `table.rs`.
    #[test]
    fn a_hundred_thousand_in_a_room_are_reached_once_each_and_leave_nothing() {
        let (hub, everybody) = (hub(), Selection { rooms: vec!["all".into()], except: Vec::new() });
        let link = link(&hub, "link");
        let mut members: Vec<_> = (0..100_000).map(|n| member_of(&hub, &format!("m{n}"), &link)).collect();
        let assert_reached = |members: &[Arc<Member>]| {
            let mut reached = HashSet::new();
            hub.for_each(&everybody, |member| assert!(reached.insert(address(member)), "{} twice", member.id));
            assert_eq!(reached, members.iter().map(address).collect());
        };
        for member in &members {
            hub.join(member, "all".into()).expect("is there");
        }
        assert_reached(&members);
        for (turn, member) in members.drain(..90_000).enumerate() {
            if turn % 2 == 0 {
                hub.leave(&member, "all");
            }
            assert!(hub.remove(&member));
        }
        assert_reached(&members);
        assert_eq!(hub.len(), 10_000);
        for member in &members {
            assert!(hub.remove(member));
        }
        assert_eq!((hub.len(), hub.room_names().len(), hub.metrics.sockets.get()), (0, 0, 0));
    }
}
