//! Which events of clients that send them until they are acknowledged were there before.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Tells copies of an event from new ones, by the ids that `retry_ids` of `sockeye-client` adds to events.
///
/// A client with `retries` sends an event again when its acknowledgement was lost with a connection. Such a client sends
/// one event at a time and numbers them, so all that is kept is the latest number of each client: about 100 bytes, in the
/// memory of this process. Of clients beyond the bound, the ones that were silent longest are forgotten; a copy of theirs
/// would count as new.
///
/// Insert the id when the work is done: if it fails, nothing is acknowledged, and what the client sends again is another
/// try. The other way round, by [`Self::insert`] alone before the work, an event whose work failed would be lost, as its
/// copy is taken for done. The price is an event whose work is still going on when the client, on a new connection, sends
/// it again: it is new, too. Work that must not be done twice even then keeps the id where its result is kept, in one
/// transaction.
///
/// ```
/// use std::sync::Arc;
///
/// use sockeye::{BoxError, Seen, Server};
///
/// async fn order(amount: u32) -> Result<(), BoxError> {
///     println!("an order over {amount}");
///     Ok(())
/// }
///
/// let io = Server::new();
/// let seen = Arc::new(Seen::new(100_000));
/// io.on_message("order", async move |_, message| {
///     let ((amount, id), ack) = message.split::<(u32, String)>()?;
///     if !seen.contains(&id) {
///         order(amount).await?; // if it fails, nothing is acknowledged, and the client sends it again
///         seen.insert(&id);
///     }
///     ack.send(())?; // a copy is acknowledged too, or it would come again
///     Ok::<_, BoxError>(())
/// });
/// ```
#[derive(Debug)]
pub struct Seen {
    generations: Mutex<Generations>,
    clients: usize,
}

/// The latest number of each client. When the young are too many they become the old, whom nobody missed so far.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Box<str>, u64>,
    old: HashMap<Box<str>, u64>,
}

impl Generations {
    fn latest(&self, client: &str) -> Option<u64> {
        self.young.get(client).or_else(|| self.old.get(client)).copied()
    }
}

impl Seen {
    /// Remembers at least so many clients, and at most twice as many.
    pub fn new(clients: usize) -> Self {
        Self { generations: Mutex::default(), clients: clients.max(1) }
    }

    /// Whether an event was here before; notes nothing. Of which ids this can be known: see [`Self::insert`].
    pub fn contains(&self, id: &str) -> bool {
        let (client, number) = split(id);
        self.generations.lock().latest(client).is_some_and(|latest| number <= latest)
    }

    /// Notes the id of an event; false if the event was here before. An id without a number at its end stands for itself;
    /// one of more than 64 bytes before that number, which no client of this project makes, is always new.
    pub fn insert(&self, id: &str) -> bool {
        let (client, number) = split(id);
        if client.len() > MAX_CLIENT {
            return true;
        }
        let mut generations = self.generations.lock();
        if generations.latest(client).is_some_and(|latest| number <= latest) {
            return false;
        }
        let Generations { young, old } = &mut *generations;
        young.insert(client.into(), number);
        if young.len() >= self.clients {
            *old = std::mem::take(young);
        }
        true
    }
}

/// `client-number`; what has no number is one event of its own.
fn split(id: &str) -> (&str, u64) {
    id.rsplit_once('-').and_then(|(client, number)| Some((client, number.parse().ok()?))).unwrap_or((id, 0))
}

/// Longest name of a client that is kept.
const MAX_CLIENT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_known_and_the_silent_forgotten() {
        let seen = Seen::new(2);
        let told: Vec<bool> = ["a-1", "a-1", "a-2", "a-1", "b-7", "a-2", "b-8"].map(|id| seen.insert(id)).into();
        assert_eq!(told, [true, false, true, false, true, false, true]);
        // Two newer clients push the young out of memory, twice.
        assert!(["c-1", "d-1", "e-1", "f-1"].iter().all(|id| seen.insert(id)));
        assert!(seen.insert("b-8") && !seen.insert("f-1"));
        let generations = seen.generations.lock();
        assert!(generations.young.len() + generations.old.len() <= 4);
    }

    #[test]
    fn an_event_whose_work_failed_is_new_again() {
        let seen = Seen::new(2);
        assert!(!seen.contains("a-1") && !seen.contains("a-1"), "asking notes nothing");
        assert!(seen.insert("a-1"));
        assert!(seen.contains("a-1") && !seen.contains("a-2") && !seen.contains("b-1"));
        // An id that is not kept.
        let long = format!("{}-1", "x".repeat(65));
        assert!(seen.insert(&long) && !seen.contains(&long));
    }

    #[test]
    fn other_ids_are_events_of_their_own() {
        let seen = Seen::new(10);
        assert!(["x", "", "-", "x-y", "x-18446744073709551616"].iter().all(|id| seen.insert(id)));
        assert!(!seen.insert("x"));
        let long = format!("{}-1", "x".repeat(65));
        assert!(seen.insert(&long) && seen.insert(&long));
    }
}
