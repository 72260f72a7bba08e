//! A client of QUIC that is honest but for what it seals: its packets are changed before they are encrypted, so that the
//! server takes every byte of them for its client's.

use std::any::Any;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use quinn_proto::TransportError;
use quinn_proto::transport_parameters::TransportParameters;
use wtransport::quinn::crypto::rustls::QuicClientConfig;
use wtransport::quinn::crypto::{
    ClientConfig, CryptoError, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session,
};
use wtransport::quinn::{self, ConnectError, ConnectionId, Side};
use wtransport::tls::client::{NoServerVerification, build_default_tls_config};
use wtransport::tls::rustls::RootCertStore;

/// How far the handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Initial,
    Handshake,
    Data,
}

/// What is done to the frames of a packet. Their length stays.
pub(crate) type Mangle = Box<dyn FnMut(Level, &mut [u8]) + Send>;
type Shared = Arc<Mutex<Mangle>>;

/// What a client of this kind connects with. It takes any certificate.
pub(crate) fn config(mangle: impl FnMut(Level, &mut [u8]) + Send + 'static) -> quinn::ClientConfig {
    let anybody = Arc::new(NoServerVerification::new());
    let tls = build_default_tls_config(Arc::new(RootCertStore::empty()), Some(anybody));
    let honest = Arc::new(QuicClientConfig::try_from(tls).unwrap());
    quinn::ClientConfig::new(Arc::new(Mangled { honest, mangle: Arc::new(Mutex::new(Box::new(mangle))) }))
}

struct Mangled {
    honest: Arc<QuicClientConfig>,
    mangle: Shared,
}

impl ClientConfig for Mangled {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let honest = Arc::clone(&self.honest).start_session(version, server_name, params)?;
        Ok(Box::new(MangledSession { honest, mangle: Arc::clone(&self.mangle), next: Level::Handshake }))
    }
}

struct MangledSession {
    honest: Box<dyn Session>,
    mangle: Shared,
    /// What the next keys are for.
    next: Level,
}

impl MangledSession {
    fn key(&self, level: Level, honest: Box<dyn PacketKey>) -> Box<dyn PacketKey> {
        Box::new(Sealing { honest, level, mangle: Arc::clone(&self.mangle) })
    }

    fn keys(&self, level: Level, keys: Keys) -> Keys {
        let KeyPair { local, remote } = keys.packet;
        Keys { header: keys.header, packet: KeyPair { local: self.key(level, local), remote } }
    }
}

impl Session for MangledSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        self.keys(Level::Initial, self.honest.initial_keys(dst_cid, side))
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.honest.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.honest.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.honest.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.honest.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.honest.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        self.honest.read_handshake(buf)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.honest.transport_parameters()
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let keys = self.honest.write_handshake(buf)?;
        let level = std::mem::replace(&mut self.next, Level::Data);
        Some(self.keys(level, keys))
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let KeyPair { local, remote } = self.honest.next_1rtt_keys()?;
        Some(KeyPair { local: self.key(Level::Data, local), remote })
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.honest.is_valid_retry(orig_dst_cid, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.honest.export_keying_material(output, label, context)
    }
}

struct Sealing {
    honest: Box<dyn PacketKey>,
    level: Level,
    mangle: Shared,
}

impl PacketKey for Sealing {
    fn encrypt(&self, packet: u64, buf: &mut [u8], header_len: usize) {
        let end = buf.len() - self.honest.tag_len();
        (self.mangle.lock().unwrap())(self.level, &mut buf[header_len..end]);
        self.honest.encrypt(packet, buf, header_len);
    }

    fn decrypt(&self, packet: u64, header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        self.honest.decrypt(packet, header, payload)
    }

    fn tag_len(&self) -> usize {
        self.honest.tag_len()
    }

    fn confidentiality_limit(&self) -> u64 {
        self.honest.confidentiality_limit()
    }

    fn integrity_limit(&self) -> u64 {
        self.honest.integrity_limit()
    }
}
