//! Packets waiting for a lane: control before data.

use std::collections::VecDeque;

use crate::{Encoded, Role};

/// What may be due. [EIO4 "packet encoding"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Item {
    /// The handshake, which is the first of the messages: nothing may come before it.
    Open,
    Ping,
    Pong,
    /// `2probe` of a client, `3probe` of a server.
    Probe,
    Upgrade,
    Noop,
    /// The next message.
    Message,
    Close,
}

/// Control packets are flags: they need no memory, and a thousand PINGs of a peer are answered by one PONG.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The first message, kept here so that a session which sends one at a time never allocates.
    first: Option<Encoded>,
    /// The others; empty if there is no first.
    rest: VecDeque<Encoded>,
    /// Sizes of all messages; kept by `push`, `pop` and `clear`.
    bytes: usize,
    /// One bit per control `Item` that is due.
    control: u8,
}

impl Queue {
    /// Makes a control packet due, once.
    pub(super) fn insert(&mut self, item: Item) {
        self.control |= item.bit();
    }

    /// Makes control packets not due.
    pub(super) fn remove(&mut self, items: &[Item]) {
        for item in items {
            self.control &= !item.bit();
        }
    }

    /// Queues a message.
    pub(super) fn push(&mut self, message: Encoded) {
        self.bytes = self.bytes.saturating_add(message.size());
        match self.first {
            None => self.first = Some(message),
            Some(_) => self.rest.push_back(message),
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes `item`, which `next` has found.
    pub(super) fn take(&mut self, item: Item, role: Role) -> Option<Encoded> {
        self.remove(&[item]);
        match item {
            Item::Open | Item::Message => self.pop(),
            _ => control(item, role).cloned(),
        }
    }

    fn pop(&mut self) -> Option<Encoded> {
        let message = self.first.take()?;
        self.bytes = self.bytes.saturating_sub(message.size());
        self.first = self.rest.pop_front();
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            // An idle session owns no memory here.
            self.rest = VecDeque::new();
        }
        Some(message)
    }

    /// The first of `order` that is due.
    pub(super) fn next(&self, order: &[Item]) -> Option<Item> {
        order.iter().copied().find(|&item| match item {
            Item::Message => self.first.is_some(),
            _ => self.control & item.bit() != 0,
        })
    }

    /// What `take` would return.
    pub(super) fn peek(&self, item: Item, role: Role) -> Option<&Encoded> {
        match item {
            Item::Open | Item::Message => self.first.as_ref(),
            _ => control(item, role),
        }
    }

    /// Whether nothing at all is due.
    pub(super) fn is_empty(&self) -> bool {
        self.control == 0 && self.first.is_none()
    }

    /// Bytes of all messages.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Item {
    /// Its place in `Queue::control`.
    fn bit(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Ping => 1 << 1,
            Self::Pong => 1 << 2,
            Self::Probe => 1 << 3,
            Self::Upgrade => 1 << 4,
            Self::Noop => 1 << 5,
            Self::Close => 1 << 6,
            Self::Message => 0,
        }
    }
}

/// The packet of a control item.
fn control(item: Item, role: Role) -> Option<&'static Encoded> {
    match (item, role) {
        (Item::Open | Item::Message, _) => None,
        (Item::Ping, _) => Some(&PING),
        (Item::Pong, _) => Some(&PONG),
        (Item::Probe, Role::Client) => Some(&PING_PROBE),
        (Item::Probe, Role::Server) => Some(&PONG_PROBE),
        (Item::Upgrade, _) => Some(&UPGRADE),
        (Item::Noop, _) => Some(&NOOP),
        (Item::Close, _) => Some(&CLOSE),
    }
}

// Frames of final, unmasked text messages: 0x81, length, packet. [RFC 6455 §5.2]
static CLOSE: Encoded = Encoded::constant(b"\x81\x011");
static PING: Encoded = Encoded::constant(b"\x81\x012");
static PONG: Encoded = Encoded::constant(b"\x81\x013");
static UPGRADE: Encoded = Encoded::constant(b"\x81\x015");
static NOOP: Encoded = Encoded::constant(b"\x81\x016");
static PING_PROBE: Encoded = Encoded::constant(b"\x81\x062probe");
static PONG_PROBE: Encoded = Encoded::constant(b"\x81\x063probe");
