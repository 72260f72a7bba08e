//! Answers to events which have been sent, and the event which is sent until it is acknowledged.

use std::time::{Duration, Instant};

use sockeye_protocol::event::{AckError, Asker, EmitError};
use sockeye_protocol::{AckId, AckTable, Args, Outgoing};

use crate::queue::{Awaiting, Kind};
use crate::time::after;

/// Time between two looks for whoever waits no more.
const SWEEP: Duration = Duration::from_secs(10);

/// What was sent and waits for an answer.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    askers: AckTable<Asker>,
    /// When those were forgotten last who wait no more.
    swept: Option<Instant>,
    /// At most one at a time: the events behind it wait, so that their order is kept.
    guaranteed: Option<Box<Guaranteed>>,
}

/// An event which is sent again until it is acknowledged.
#[derive(Debug)]
struct Guaranteed {
    packet: Outgoing,
    id: AckId,
    timeout: Duration,
    awaiting: Awaiting,
    /// How often it may still be sent.
    tries_left: u32,
    /// When it is sent again. `None`: now.
    due: Option<Instant>,
}

/// An event which was emitted, and why it is not sent (again): the server did not acknowledge it, or takes nothing as large.
#[derive(Debug)]
pub(crate) struct GivenUp {
    pub(crate) event: Box<str>,
    pub(crate) error: AckError,
}

impl GivenUp {
    /// What the server would not take: who waits for an answer is told; else the event.
    pub(crate) fn refused(kind: Kind, asker: Option<Asker>, error: EmitError) -> Option<Self> {
        let (event, asker) = match kind {
            Kind::Asking { .. } => (None, asker),
            Kind::Plain { event } => (Some(event.as_str().into()), None),
            Kind::Reply => (Some("ack".into()), None),
            Kind::Retried { awaiting: Awaiting::Asker(asker), .. } => (None, Some(asker)),
            Kind::Retried { awaiting: Awaiting::Nobody { event }, .. } => (Some(event), None),
        };
        let error = AckError::Emit(error);
        match asker {
            Some(asker) => {
                asker.fail(error);
                None
            }
            None => event.map(|event| Self { event, error }),
        }
    }
}

impl Delivery {
    /// Notes that an answer is waited for.
    pub(crate) fn wait_for(&mut self, id: AckId, deadline: Instant, asker: Asker) {
        if let Err(asker) = self.askers.register(id, deadline, asker) {
            asker.fail(AckError::Disconnected);
        }
    }

    /// An event was sent which must be acknowledged; it is sent `retries` times more.
    pub(crate) fn guarantee(
        &mut self,
        packet: &Outgoing,
        id: AckId,
        timeout: Duration,
        awaiting: Awaiting,
        retries: u32,
        now: Instant,
    ) {
        let due = Some(after(now, timeout));
        let packet = packet.clone();
        self.guaranteed = Some(Box::new(Guaranteed { packet, id, timeout, awaiting, tries_left: retries, due }));
    }

    /// The event which is to be sent again now.
    pub(crate) fn again(&mut self, now: Instant) -> Option<Outgoing> {
        let guaranteed = self.guaranteed.as_mut().filter(|guaranteed| guaranteed.due.is_none())?;
        guaranteed.due = Some(after(now, guaranteed.timeout));
        Some(guaranteed.packet.clone())
    }

    /// The server has answered; false if nobody waits for it (any more).
    pub(crate) fn answered(&mut self, id: AckId, args: &Args<'_>) -> bool {
        if let Some(guaranteed) = self.guaranteed.take_if(|guaranteed| guaranteed.id == id) {
            if let Awaiting::Asker(asker) = guaranteed.awaiting {
                asker.answer(args);
            }
            return true;
        }
        self.askers.settle(id).map(|asker| asker.answer(args)).is_some()
    }

    /// Tells those whose answer did not come in time. The event which was given up, if it was emitted.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<GivenUp> {
        while let Some(asker) = self.askers.expire(now) {
            asker.fail(AckError::Timeout);
        }
        // Nobody says when an answer is not waited for any more. Heartbeats see to it that this is not the last look.
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            self.askers.retain(Asker::is_wanted);
        }
        let due = self.guaranteed.as_ref().and_then(|guaranteed| guaranteed.due);
        if due.is_some_and(|due| due <= now) { self.retry(AckError::Timeout) } else { None }
    }

    /// The connection is gone, and with it the answers. The event which was given up, if it was emitted.
    pub(crate) fn disconnected(&mut self) -> Option<GivenUp> {
        for asker in self.askers.drain() {
            asker.fail(AckError::Disconnected);
        }
        // As in the official client, this was a try: an event which makes the server fall over is not sent for ever.
        if self.is_waiting() { self.retry(AckError::Disconnected) } else { None }
    }

    fn retry(&mut self, error: AckError) -> Option<GivenUp> {
        let guaranteed = self.guaranteed.as_mut()?;
        if let Some(left) = guaranteed.tries_left.checked_sub(1) {
            guaranteed.tries_left = left;
            guaranteed.due = None;
            return None;
        }
        self.give_up(error)
    }

    /// The client is disconnected for good. The event which was given up, if it was emitted.
    pub(crate) fn end(&mut self) -> Option<GivenUp> {
        let given_up = self.disconnected();
        given_up.or_else(|| self.give_up(AckError::Disconnected))
    }

    /// The event which must be acknowledged is not sent again. The event, if it was emitted.
    pub(crate) fn give_up(&mut self, error: AckError) -> Option<GivenUp> {
        match self.guaranteed.take()?.awaiting {
            Awaiting::Asker(asker) => {
                asker.fail(error);
                None
            }
            Awaiting::Nobody { event } => Some(GivenUp { event, error }),
        }
    }

    /// How many answers are waited for; from `most` on, whoever waits no more is forgotten first.
    pub(crate) fn still_asked(&mut self, most: usize) -> usize {
        if self.askers.len() >= most {
            self.askers.retain(Asker::is_wanted);
        }
        self.askers.len()
    }

    /// How many answers are waited for, or were.
    pub(crate) fn asked(&self) -> usize {
        self.askers.len()
    }

    /// Whether an event must be acknowledged before others are sent.
    pub(crate) fn is_waiting(&self) -> bool {
        self.guaranteed.as_ref().is_some_and(|guaranteed| guaranteed.due.is_some())
    }

    /// Whether an event is to be sent again.
    pub(crate) fn has_packet(&self) -> bool {
        self.guaranteed.as_ref().is_some_and(|guaranteed| guaranteed.due.is_none())
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let due = self.guaranteed.as_ref().and_then(|guaranteed| guaranteed.due);
        due.into_iter().chain(self.askers.next_deadline()).min()
    }
}
