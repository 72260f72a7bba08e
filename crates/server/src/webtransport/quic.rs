//! QUIC, with bounds on what a client can make the server keep.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio_rustls::rustls::{ServerConfig as TlsConfig, quic};
use wtransport::proto::WEBTRANSPORT_ALPN;
use wtransport::quinn::crypto::rustls::QuicServerConfig;
use wtransport::quinn::{Connection, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt};

use crate::config::Config;
use crate::tls::Tls;

/// What a client may send on one stream before it is read.
const WINDOW: u32 = 256 * 1024;
/// What it may send on all of them together, and what may be on its way to it.
const CONNECTION_WINDOW: u32 = 2 * WINDOW;
/// The former before it has joined a namespace: nobody reads what it says on streams to spare, which is kept all the same.
const STRANGERS_WINDOW: u32 = 8 * 1024;
/// Streams in both directions that a client may have open: its request, its one stream, and two to spare.
const STREAMS: u32 = 4;
/// Streams in one direction: control and two of QPACK, and as many again for what means nothing.
const ONE_WAY_STREAMS: u32 = 6;
/// Datagrams are never read; what comes beyond this pushes out what came before.
const DATAGRAMS: usize = 16 * 1024;
/// Time between two signs of life that keep a path open; routers forget UDP after 30 s.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How much later than the heartbeats QUIC notices that a client is gone.
const SLACK: Duration = Duration::from_secs(10);

/// Listens on `socket`.
pub(super) fn endpoint(config: &Config, socket: UdpSocket, tls: &Tls) -> io::Result<Endpoint> {
    let crypto = crypto(tls).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(Arc::new(transport(config)));
    Endpoint::new(EndpointConfig::default(), Some(server), socket.into_std()?, Arc::new(TokioRuntime))
}

/// Lets a client that has joined a namespace send more at a time.
pub(super) fn widen(connection: &Connection) {
    connection.set_receive_window(VarInt::from_u32(CONNECTION_WINDOW));
}

/// TLS as QUIC needs it: version 1.3, no early data, which could be played back, and the protocol HTTP/3.
fn crypto(tls: &Tls) -> Result<QuicServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let mut config = TlsConfig::clone(tls.config());
    config.alpn_protocols = vec![WEBTRANSPORT_ALPN.to_vec()];
    config.max_early_data_size = 0;
    let config = Arc::new(config);
    // A connection would only find out when the first client is there.
    quic::ServerConnection::new(Arc::clone(&config), quic::Version::V1, Vec::new())?;
    Ok(QuicServerConfig::try_from(config)?)
}

fn transport(config: &Config) -> TransportConfig {
    let mut transport = TransportConfig::default();
    // The heartbeats decide: they know why they end a session.
    let idle = config.engine.ping_interval.saturating_add(config.engine.ping_timeout).saturating_add(SLACK);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(ONE_WAY_STREAMS))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(STRANGERS_WINDOW))
        .send_window(u64::from(CONNECTION_WINDOW))
        .datagram_receive_buffer_size(Some(DATAGRAMS))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(idle.try_into().ok());
    transport
}
