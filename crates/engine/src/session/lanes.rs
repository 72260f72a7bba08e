//! What goes where: the queue, the requests under way, and the route between them.

use super::polling::Requests;
use super::queue::{Item, Queue};
use super::state::{Lane, Route, Step};
use crate::time::Instant;
use crate::{Encoded, Role};

/// The two lanes of a session.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) queue: Queue,
    pub(super) requests: Requests,
    route: Route,
    role: Role,
}

impl Lanes {
    pub(super) fn new(role: Role, lane: Lane) -> Self {
        Self { queue: Queue::default(), requests: Requests::default(), route: Route::from(lane), role }
    }

    /// An upgrade begins; false if none may.
    pub(super) fn open_stream(&mut self, deadline: Instant) -> bool {
        let Some(route) = self.route.after(Step::StreamOpened(deadline)) else { return false };
        self.route = route;
        if self.role == Role::Client {
            self.queue.insert(Item::Probe);
        }
        true
    }

    /// The probe is answered: nothing but NOOP goes by polling from now on. A second `2probe` is answered again.
    pub(super) fn pause(&mut self) {
        self.route = self.route.after(Step::ProbeAnswered).unwrap_or(self.route);
        if self.role == Role::Server {
            self.queue.insert(Item::Probe);
        }
    }

    /// Releases the poll that waits: during an upgrade each is answered at once, or the client could not finish polling.
    pub(super) fn release_poll(&mut self) {
        if self.role == Role::Server && self.requests.has_get() {
            self.queue.insert(Item::Noop);
        }
    }

    /// Whether a client that paused has nothing under way any more.
    pub(super) fn is_at_rest(&self) -> bool {
        self.role == Role::Client && self.route.is_paused() && self.requests.is_idle()
    }

    /// The stream takes over; false if it is not its time.
    pub(super) fn switch(&mut self) -> bool {
        let Some(route) = self.route.after(Step::Switched) else { return false };
        self.route = route;
        self.queue.remove(&[Item::Probe, Item::Noop, Item::Close]);
        match self.role {
            Role::Client => self.queue.insert(Item::Upgrade),
            Role::Server => self.release_poll(),
        }
        true
    }

    /// The upgrade is given up; false if there is none.
    pub(super) fn give_up(&mut self) -> bool {
        let Some(route) = self.route.after(Step::GivenUp) else { return false };
        self.route = route;
        self.queue.remove(&[Item::Probe]);
        true
    }

    /// The next packet for `lane`. `closing`: the session is over, and what is left goes out even if it was paused.
    pub(super) fn take(&mut self, lane: Lane, closing: bool) -> Option<Encoded> {
        let item = self.next(lane, closing)?;
        if (lane, self.role) == (Lane::Polling, Role::Client) {
            self.requests.fill_post();
        }
        self.queue.take(item, self.role)
    }

    /// What `take` would return.
    pub(super) fn peek(&self, lane: Lane, closing: bool) -> Option<&Encoded> {
        self.queue.peek(self.next(lane, closing)?, self.role)
    }

    fn next(&self, lane: Lane, closing: bool) -> Option<Item> {
        let writable = match (lane, self.role) {
            (Lane::Stream, _) => true,
            (Lane::Polling, Role::Server) => self.requests.has_get(),
            (Lane::Polling, Role::Client) => self.requests.may_post(),
        };
        if !writable {
            return None;
        }
        self.queue.next(match (lane, self.route) {
            (Lane::Polling, Route::Stream) => &[Item::Noop],
            (Lane::Polling, Route::Paused(_)) if !closing => &[Item::Noop],
            (Lane::Polling, _) => &POLLING_ORDER,
            (Lane::Stream, Route::Polling) => &[],
            (Lane::Stream, Route::Probing(_) | Route::Paused(_)) => &[Item::Probe],
            (Lane::Stream, Route::Stream) => &STREAM_ORDER,
        })
    }

    /// Where messages travel.
    pub(super) fn route(&self) -> Route {
        self.route
    }
}

const POLLING_ORDER: [Item; 6] = [Item::Open, Item::Ping, Item::Pong, Item::Message, Item::Noop, Item::Close];
const STREAM_ORDER: [Item; 5] = [Item::Open, Item::Upgrade, Item::Ping, Item::Pong, Item::Message];
