//! An accept loop for QUIC.

use std::io;
use std::sync::Arc;

use sockeye_engine::handshake::TransportName;
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wtransport::quinn::{Endpoint, Incoming, VarInt};

use super::quic;
use super::visit::receive;
use crate::core::Core;
use crate::limits::Limit;
use crate::tls::Tls;

/// Clients that may be on their way to a session at a time. More are not answered.
const MOST: usize = 4096;
/// From so many on, one more has to prove its address first, which costs it a round trip.
const CROWD: usize = 256;
/// The code of connections which end in order. [RFC 9114 §8.1]
const NO_ERROR: VarInt = VarInt::from_u32(0x100);

/// Accepts connections until the server is closed, and has each served by a task of its own.
pub(crate) async fn serve(core: Arc<Core>, socket: UdpSocket, tls: Tls) -> io::Result<()> {
    if !core.config.allows(TransportName::Webtransport) {
        let why = "webtransport is not among the transports of the server";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let hold = core.hold_connection();
    let endpoint = Listening(quic::endpoint(&core.config, socket, &tls)?);
    let door = Door::default();
    let mut closing = core.closing();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.0.accept() => incoming,
            () = closing.wait() => break,
        };
        let Some(incoming) = incoming else { return Err(io::Error::other("the UDP socket failed")) };
        accept(&core, incoming, &door);
    }
    endpoint.0.close(NO_ERROR, b"");
    // Until all clients have been told; `close` waits for it no longer than for the last answers of HTTP.
    endpoint.0.wait_idle().await;
    drop(hold);
    closing.wait_for_end().await;
    Ok(())
}

fn accept(core: &Arc<Core>, incoming: Incoming, door: &Door) {
    let place = match door.enter(incoming.remote_address_validated()) {
        Ok(place) => place,
        Err(limit) => {
            core.metrics.limits.up(limit);
            match limit {
                // An error means that it cannot be asked to, which has just been asked.
                Limit::UnprovenVisitors => drop(incoming.retry()),
                _ => incoming.ignore(),
            }
            return;
        }
    };
    let core = Arc::clone(core);
    // Ends with its connection at the latest.
    tokio::spawn(async move {
        receive(core, incoming).await;
        drop(place);
    });
}

/// Where clients come in who have no session yet.
struct Door(Arc<Semaphore>);

impl Default for Door {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Door {
    /// A place for one more, whose address is proven or not.
    fn enter(&self, proven: bool) -> Result<OwnedSemaphorePermit, Limit> {
        let place = Arc::clone(&self.0).try_acquire_owned().map_err(|_| Limit::Visitors)?;
        let inside = MOST - self.0.available_permits();
        if inside > CROWD && !proven { Err(Limit::UnprovenVisitors) } else { Ok(place) }
    }
}

/// Refuses those who still come when nobody accepts them any more; connections that are open live on.
struct Listening(Endpoint);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.set_server_config(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills `door` with so many, and one more.
    fn fill(door: &Door, most: usize, proven: bool) -> (Vec<OwnedSemaphorePermit>, Option<Limit>) {
        let places = (0..most).map(|count| door.enter(proven).unwrap_or_else(|limit| panic!("{limit} at {count}")));
        (places.collect(), door.enter(proven).err())
    }

    #[test]
    fn visitors_are_bounded_and_sooner_those_whose_address_is_not_proven() {
        for (most, proven, limit) in [(256, false, Limit::UnprovenVisitors), (4_096, true, Limit::Visitors)] {
            let door = Door::default();
            let (mut places, refused) = fill(&door, most, proven);
            assert_eq!(refused, Some(limit));
            drop(places.pop());
            assert!(door.enter(proven).is_ok(), "there is room again");
        }
    }

    #[test]
    fn a_crowd_does_not_keep_out_those_who_prove_their_address() {
        let door = Door::default();
        let (_places, refused) = fill(&door, CROWD, false);
        assert_eq!(refused, Some(Limit::UnprovenVisitors));
        let (_more, refused) = fill(&door, MOST - CROWD, true);
        assert_eq!(refused, Some(Limit::Visitors));
        assert_eq!(door.enter(false).err(), Some(Limit::Visitors));
    }
}
