//! An accept loop for QUIC.

use std::io;
use std::sync::Arc;

use sockeye_engine::handshake::TransportName;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use wtransport::quinn::{Endpoint, Incoming, VarInt};

use super::quic;
use super::visit::receive;
use crate::core::Core;
use crate::tls::Tls;

/// Clients that may be on their way to a session at a time. More are not answered.
const STRANGERS: usize = 4096;
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
    let places = Arc::new(Semaphore::new(STRANGERS));
    let mut closing = core.closing();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.0.accept() => incoming,
            () = closing.wait() => break,
        };
        let Some(incoming) = incoming else { return Err(io::Error::other("the UDP socket failed")) };
        accept(&core, incoming, &places);
    }
    endpoint.0.close(NO_ERROR, b"");
    // Until all clients have been told; `close` waits for it no longer than for the last answers of HTTP.
    endpoint.0.wait_idle().await;
    drop(hold);
    closing.wait_for_end().await;
    Ok(())
}

fn accept(core: &Arc<Core>, incoming: Incoming, places: &Arc<Semaphore>) {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else { return incoming.ignore() };
    if STRANGERS - places.available_permits() > CROWD && !incoming.remote_address_validated() {
        // An error means that it cannot be asked to, which has just been asked.
        drop(incoming.retry());
        return;
    }
    let core = Arc::clone(core);
    // Ends with its connection at the latest.
    tokio::spawn(async move {
        receive(core, incoming).await;
        drop(place);
    });
}

/// Refuses those who still come when nobody accepts them any more; connections that are open live on.
struct Listening(Endpoint);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.set_server_config(None);
    }
}
