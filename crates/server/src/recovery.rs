//! Connection state recovery: what a client missed while it was away.
//!
//! Every event of a namespace gets the next number of its log and carries it as an *offset*, one more string argument
//! at the end, which the clients remember. A socket that loses its connection leaves a [`Session`] behind. Who comes back
//! with its private id in time gets its id, rooms and data again, and what was sent meanwhile, after the answer to CONNECT.
//!
//! The log's lock is held while an event is numbered and handed to the outboxes, and while a socket leaves or returns: so
//! the order of numbers is the order of delivery, and nothing can fall between.

use std::collections::VecDeque;
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use smol_str::{SmolStr, format_smolstr};
use sockeye_protocol::Outgoing;

use crate::adapter::Selection;
pub use crate::recovery_options::Recovery;
pub(crate) use crate::recovery_session::{Aim, Claim, Session};
use crate::spare;
use crate::stays::Stays;

/// So many names of clients that have come back are kept in any case.
const SLACK: usize = 64;

/// The log of one namespace and the sessions of those who are away.
#[derive(Debug)]
pub(crate) struct Log<T> {
    options: Recovery,
    state: Mutex<State<T>>,
}

/// The log while it is locked. `T` is whatever stands for a socket that is there.
#[derive(Debug)]
pub(crate) struct State<T> {
    /// Tells the numbers of this process from those of an earlier one.
    epoch: SmolStr,
    /// Number of the first event that is kept.
    first: u64,
    events: VecDeque<Kept>,
    bytes: usize,
    away: HashMap<SmolStr, (Instant, Session)>,
    /// In the order in which they left; may name some that have come back.
    leaving: VecDeque<(Instant, SmolStr)>,
    present: HashMap<SmolStr, Present<T>>,
    /// Somebody calls `sweep` now and then.
    is_swept: bool,
}

/// A socket that is there.
#[derive(Debug)]
struct Present<T> {
    socket: T,
    stays: Stays,
}

#[derive(Debug)]
struct Kept {
    packet: Outgoing,
    aim: Aim,
    at: Instant,
}

impl<T> Log<T> {
    pub(crate) fn new(options: Recovery, epoch: SmolStr) -> Self {
        let state = State {
            epoch,
            first: 1,
            events: VecDeque::new(),
            bytes: 0,
            away: HashMap::new(),
            leaving: VecDeque::new(),
            present: HashMap::new(),
            is_swept: false,
        };
        Self { options, state: Mutex::new(state) }
    }

    pub(crate) fn options(&self) -> &Recovery {
        &self.options
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock()
    }
}

impl<T> State<T> {
    /// Number of the next event.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The offset of an event, as it travels.
    pub(crate) fn offset(&self, number: u64) -> SmolStr {
        format_smolstr!("{}{number:x}", self.epoch)
    }

    /// The number that an offset names, if it is one of this log.
    fn number(&self, offset: &str) -> Option<u64> {
        let number = u64::from_str_radix(offset.strip_prefix(self.epoch.as_str())?, 16).ok()?;
        (number < self.next()).then_some(number)
    }

    /// Keeps an event under the next number.
    pub(crate) fn append(&mut self, packet: Outgoing, aim: Aim, now: Instant, options: &Recovery) {
        if self.is_deserted() {
            // Whoever comes next begins behind it.
            self.forget_events();
            self.first += 1;
            return;
        }
        self.bytes += packet.size();
        self.events.push_back(Kept { packet, aim, at: now });
        self.prune(now, options);
    }

    fn prune(&mut self, now: Instant, options: &Recovery) {
        while let Some(oldest) = self.events.front() {
            let over = self.bytes > options.max_bytes || self.events.len() > options.max_packets;
            if !over && now.saturating_duration_since(oldest.at) <= options.window {
                break;
            }
            self.bytes = self.bytes.saturating_sub(oldest.packet.size());
            self.events.pop_front();
            self.first += 1;
        }
        while let Some((since, pid)) = self.leaving.front() {
            let expired = now.saturating_duration_since(*since) > options.window;
            let over = self.away.len() > options.max_sessions;
            let stale = self.away.get(pid).is_none_or(|(at, _)| at != since);
            if !expired && !over && !stale {
                break;
            }
            if !stale {
                self.away.remove(pid);
            }
            self.leaving.pop_front();
        }
        // Who comes and goes all the time leaves a name here each time, behind the one that has been away for long.
        if self.leaving.len() > SLACK + 2 * self.away.len() {
            let away = &self.away;
            self.leaving.retain(|(since, pid)| away.get(pid).is_some_and(|(at, _)| at == since));
        }
    }

    /// Nobody is there, and nobody can come back.
    fn is_deserted(&self) -> bool {
        self.present.is_empty() && self.away.is_empty()
    }

    fn forget_events(&mut self) {
        self.first = self.next();
        self.events.clear();
        self.bytes = 0;
    }

    /// Clients that are away, events that are kept, and their bytes.
    pub(crate) fn kept(&self) -> (usize, usize, usize) {
        (self.away.len(), self.events.len(), self.bytes)
    }

    /// Whether it is for the caller to see to it that `sweep` is called from now on.
    pub(crate) fn begin_sweeping(&mut self) -> bool {
        !std::mem::replace(&mut self.is_swept, true)
    }

    /// Forgets what is too old though nothing happens, and gives its memory back. False when nobody is left: then it is to
    /// be called no more.
    pub(crate) fn sweep(&mut self, now: Instant, options: &Recovery) -> bool {
        self.prune(now, options);
        if self.is_deserted() {
            self.forget_events();
        }
        self.shrink();
        self.is_swept = !self.is_deserted();
        self.is_swept
    }

    fn shrink(&mut self) {
        if let Some(least) = spare::fit(self.events.len(), self.events.capacity()) {
            self.events.shrink_to(least);
        }
        if let Some(least) = spare::fit(self.away.len(), self.away.capacity()) {
            self.away.shrink_to(least);
        }
        if let Some(least) = spare::fit(self.leaving.len(), self.leaving.capacity()) {
            self.leaving.shrink_to(least);
        }
        if let Some(least) = spare::fit(self.present.len(), self.present.capacity()) {
            self.present.shrink_to(least);
        }
    }

    /// A socket is there, and in the rooms that are told by `stays`.
    pub(crate) fn enter(&mut self, pid: SmolStr, socket: T, stays: Stays) {
        self.present.insert(pid, Present { socket, stays });
    }

    /// The socket that has this private id now.
    pub(crate) fn present(&self, pid: &str) -> Option<&T> {
        self.present.get(pid).map(|present| &present.socket)
    }

    /// A socket that is there has joined a room which it was not in: nothing sent before is meant for it there.
    pub(crate) fn joined(&mut self, pid: &str, room: SmolStr) {
        let next = self.next();
        if let Some(present) = self.present.get_mut(pid) {
            present.stays.join(room, next);
        }
    }

    /// A socket that is there has left a room: it may still need what was sent there before.
    pub(crate) fn left(&mut self, pid: &str, room: &str) {
        let (first, next) = (self.first, self.next());
        if let Some(present) = self.present.get_mut(pid) {
            present.stays.leave(room, first, next);
        }
    }

    /// Whether who claims this has left a session that can be taken up.
    pub(crate) fn can_return(&mut self, claim: &Claim, now: Instant, options: &Recovery) -> bool {
        self.prune(now, options);
        let session = self.away.get(&claim.pid).map(|(_, session)| session);
        session.is_some_and(|session| self.first_missed(session, claim.offset.as_deref()).is_some())
    }

    /// A socket is there no more; the rooms it was in.
    pub(crate) fn leave(&mut self, pid: &str) -> Stays {
        self.present.remove(pid).map(|present| present.stays).unwrap_or_default()
    }

    /// A socket that has left may come back.
    pub(crate) fn suspend(&mut self, session: Session, now: Instant, options: &Recovery) {
        let pid = session.pid.clone();
        self.leaving.push_back((now, pid.clone()));
        self.away.insert(pid, (now, session));
        self.prune(now, options);
    }

    /// The same for one who has gone meanwhile, and may come back.
    pub(crate) fn left_away(&mut self, pid: &str, room: &str) {
        let (first, next) = (self.first, self.next());
        if let Some((_, session)) = self.away.get_mut(pid) {
            session.stays.leave(room, first, next);
        }
    }

    /// Those of a selection who are away leave rooms as those who are there do: what is sent there from now on is not for
    /// them.
    pub(crate) fn take_away(&mut self, selection: &Selection, rooms: &[SmolStr]) {
        let (first, next) = (self.first, self.next());
        for (_, session) in self.away.values_mut().filter(|(_, session)| session.is_in(selection)) {
            for room in rooms {
                session.stays.leave(room, first, next);
            }
        }
    }

    /// Those of a selection who are away do not come back.
    pub(crate) fn forsake(&mut self, selection: &Selection) {
        self.away.retain(|_, (_, session)| !session.is_in(selection));
    }

    /// The session of who comes back with this private id: it is given out once.
    pub(crate) fn claim(&mut self, pid: &str, now: Instant, options: &Recovery) -> Option<Session> {
        self.prune(now, options);
        self.away.remove(pid).map(|(_, session)| session)
    }

    /// What the session has missed, in order; `None` if some of it may be gone. The number is that of the first event
    /// the client has not seen.
    pub(crate) fn missed(&self, session: &Session, offset: Option<&str>) -> Option<(u64, Vec<Outgoing>)> {
        let from = self.first_missed(session, offset)?;
        let skip = usize::try_from(from - self.first).ok()?;
        let rooms = session.stays.by_room();
        let kept = (from..).zip(self.events.iter().skip(skip));
        let missed = kept.filter(|(number, kept)| session.is_meant(&rooms, &kept.aim, *number));
        Some((from, missed.map(|(_, kept)| kept.packet.clone()).collect()))
    }

    /// The number of the first event that the client has not seen; `None` if some of what it has missed may be gone.
    fn first_missed(&self, session: &Session, offset: Option<&str>) -> Option<u64> {
        // Without an offset of this log the client has seen nothing that carried one.
        let seen = offset.and_then(|offset| self.number(offset)).map_or(session.start, |number| number + 1);
        let from = seen.max(session.start);
        // Nothing was meant for it between `end` and `left`.
        let from = if from >= session.end { from.max(session.left) } else { from };
        if from < self.first || from < session.stays.known_from() {
            return None;
        }
        Some(from)
    }
}

/// Tells the offsets of one log from those of another.
pub(crate) fn epoch() -> SmolStr {
    let mut random = [0; 3];
    // Without randomness offsets of an earlier process might be taken for ours; private ids still could not.
    let _ = getrandom::fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).chain(["-".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use sockeye_engine::Encoded;

    use super::*;

    fn log() -> (Recovery, State<()>) {
        let options = Recovery::default().window(Duration::from_secs(10)).max_packets(4).max_sessions(2);
        let log = Log::new(options.clone(), "e".into());
        let mut state = log.state.into_inner();
        inhabit(&mut state);
        (options, state)
    }

    /// Nothing is kept where nobody is.
    fn inhabit(state: &mut State<()>) {
        state.enter("somebody".into(), (), Stays::default());
    }

    fn session(pid: &str, state: &State<()>) -> Session {
        let next = state.next();
        let mut stays = Stays::default();
        stays.join("red".into(), next);
        Session {
            id: "id".into(),
            pid: pid.into(),
            stays,
            data: serde_json::Value::Null,
            start: next,
            end: next,
            left: next,
        }
    }

    fn to(rooms: &[&str]) -> Aim {
        Aim::Many(Arc::new(Selection { rooms: rooms.iter().map(SmolStr::new).collect(), except: Vec::new() }))
    }

    fn packet(text: &str) -> Outgoing {
        Outgoing { first: Encoded::text(text), attachments: None }
    }

    fn texts(packets: &[Outgoing]) -> Vec<String> {
        packets.iter().map(|packet| String::from_utf8(packet.first.packet().to_vec()).unwrap()).collect()
    }

    #[test]
    fn what_was_meant_for_the_session_is_replayed() {
        let (options, mut state) = log();
        let now = Instant::now();
        let session = session("p", &state);
        for (text, rooms) in [("a", &["red"][..]), ("b", &["blue"]), ("c", &[]), ("d", &["id", "red"])] {
            state.append(packet(text), to(rooms), now, &options);
        }
        let (from, missed) = state.missed(&session, None).unwrap();
        assert_eq!((from, texts(&missed)), (1, vec!["4a".into(), "4c".into(), "4d".into()]));
        let (_, missed) = state.missed(&session, Some("e3")).unwrap();
        assert_eq!(texts(&missed), ["4d"]);
    }

    #[test]
    fn pruned_history_is_no_silent_gap() {
        let (options, mut state) = log();
        let now = Instant::now();
        let mut early = session("p", &state);
        for n in 0..6 {
            state.append(packet(&n.to_string()), to(&[]), now, &options);
        }
        assert!(state.missed(&early, None).is_none(), "two events are gone");
        // It had got all of them before it left: nothing it needs is gone.
        early.end = state.next();
        early.left = state.next();
        assert!(state.missed(&early, Some("e6")).is_some());
        assert!(state.missed(&early, Some("e1")).is_none());
    }

    #[test]
    fn a_quiet_session_of_any_age_comes_back() {
        let (options, mut state) = log();
        let mut quiet = session("p", &state);
        let later = Instant::now() + Duration::from_hours(24);
        for n in 0..20 {
            state.append(packet(&n.to_string()), to(&["blue"]), later, &options);
        }
        quiet.left = state.next();
        state.suspend(quiet, later, &options);
        let back = state.claim("p", later + Duration::from_secs(5), &options).unwrap();
        assert_eq!(state.missed(&back, None).unwrap().1.len(), 0);
    }

    #[test]
    fn sessions_are_given_out_once_in_time_and_bounded() {
        let (options, mut state) = log();
        let now = Instant::now();
        for pid in ["a", "b", "c"] {
            state.suspend(session(pid, &state), now, &options);
        }
        assert!(state.claim("a", now, &options).is_none(), "the one that left first made room");
        assert!(state.claim("b", now, &options).is_some());
        assert!(state.claim("b", now, &options).is_none(), "twice");
        assert!(state.claim("c", now + Duration::from_secs(11), &options).is_none(), "too late");
        assert!(state.away.is_empty() && state.leaving.is_empty());
    }

    /// A client that comes and goes again and again, behind one that has been away for long.
    #[test]
    fn coming_and_going_takes_no_memory() {
        let (options, mut state) = log();
        let now = Instant::now();
        state.suspend(session("away", &state), now, &options);
        for n in 0..9_000 {
            let then = now + Duration::from_millis(n);
            state.suspend(session("restless", &state), then, &options);
            assert!(state.claim("restless", then, &options).is_some());
            assert!(state.leaving.len() <= SLACK + 4);
        }
        state.suspend(session("restless", &state), now + Duration::from_secs(9), &options);
        assert!(state.claim("away", now + Duration::from_secs(10), &options).is_some());
        assert!(state.claim("restless", now + Duration::from_secs(19), &options).is_some());
    }

    #[test]
    fn what_is_too_old_goes_without_anything_happening() {
        let options = Recovery::default().window(Duration::from_secs(10));
        let mut state: State<()> = Log::new(options.clone(), "e".into()).state.into_inner();
        let now = Instant::now();
        let seconds = |seconds| now + Duration::from_secs(seconds);
        state.append(packet("to nobody"), to(&[]), now, &options);
        assert_eq!((state.next(), state.events.len()), (2, 0));
        inhabit(&mut state);
        assert!(state.begin_sweeping() && !state.begin_sweeping());
        for n in 0..1_000 {
            state.append(packet("x"), to(&[]), now, &options);
            state.suspend(session(&n.to_string(), &state), now, &options);
        }
        state.leave("somebody");
        assert!(state.sweep(seconds(10), &options));
        assert_eq!((state.events.len(), state.away.len(), state.leaving.len()), (1_000, 1_000, 1_000));
        assert!(!state.sweep(seconds(11), &options));
        assert_eq!(
            (state.events.capacity(), state.bytes, state.away.capacity(), state.leaving.capacity()),
            (0, 0, 0, 0)
        );
        assert_eq!(state.next(), 1_002, "numbers are not used twice");
        assert!(state.begin_sweeping());
    }

    /// The rooms are looked up by name, not one after the other: the log is locked meanwhile.
    #[test]
    fn a_client_of_many_rooms_that_comes_back_gets_what_it_missed() {
        let options = Recovery::default();
        let mut state: State<()> = Log::new(options.clone(), "e".into()).state.into_inner();
        inhabit(&mut state);
        let (few, now) = (session("p", &state), Instant::now());
        let mut many = few.clone();
        for n in 0..1_022 {
            many.stays.join(format_smolstr!("a room with a name as long as any other {n:04}"), state.next());
        }
        let elsewhere = "a room with a name as long as any other in which nobody is";
        for _ in 0..20_000 {
            state.append(packet("x"), to(&[&elsewhere[..44]]), now, &options);
        }
        state.append(packet("y"), to(&["red"]), now, &options);
        for session in [&few, &many] {
            assert_eq!(texts(&state.missed(session, None).unwrap().1), ["4y"]);
        }
    }

    #[test]
    fn offsets_of_another_process_are_as_none() {
        let (options, mut state) = log();
        let session = session("p", &state);
        state.append(packet("a"), to(&[]), Instant::now(), &options);
        for offset in ["x1", "e", "eff", "", "e99999999999999999999", "ez"] {
            assert_eq!(state.missed(&session, Some(offset)).unwrap().1.len(), 1, "{offset}");
        }
    }
}
