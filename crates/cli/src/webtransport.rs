//! WebTransport beside HTTP: by UDP, at the same port number.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use sockeye::{ConfigError, SelfSigned, Server, Tls, Transport};
use tokio::net::UdpSocket;
use tracing::warn;

/// Options of `sockeye serve` about WebTransport.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "WebTransport")]
pub(crate) struct WebTransportOptions {
    /// Serve WebTransport too, by UDP at the same port; without a certificate one is made, good for 14 days, whose SHA-256
    /// is printed for serverCertificateHashes
    #[arg(long, env = "SOCKEYE_WEBTRANSPORT")]
    pub(crate) webtransport: bool,

    /// Certificate for WebTransport: its chain in PEM, the own one first
    #[arg(long, env = "SOCKEYE_WEBTRANSPORT_CERT", value_name = "FILE", requires_all = ["webtransport", "webtransport_key"])]
    pub(crate) webtransport_cert: Option<PathBuf>,

    /// Its key, in PEM
    #[arg(long, env = "SOCKEYE_WEBTRANSPORT_KEY", value_name = "FILE", requires = "webtransport_cert")]
    pub(crate) webtransport_key: Option<PathBuf>,
}

/// What WebTransport listens with.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: UdpSocket,
    tls: Tls,
    /// SHA-256 of a certificate that was made up.
    hash: Option<[u8; 32]>,
}

/// Why it cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the UDP port {address} cannot be listened on for WebTransport: {source}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{file} cannot be read: {source}")]
    Read { file: String, source: io::Error },
}

impl WebTransportOptions {
    /// The transports to enable.
    pub(crate) fn transports(&self) -> &'static [Transport] {
        let all = &[Transport::Polling, Transport::Websocket, Transport::Webtransport];
        if self.webtransport { all } else { &all[..2] }
    }

    /// Listens, if asked to.
    pub(crate) async fn listen(&self, address: SocketAddr) -> Result<Option<Listening>, Failure> {
        if !self.webtransport {
            return Ok(None);
        }
        let (tls, hash) = self.certificate(address)?;
        let socket = UdpSocket::bind(address).await.map_err(|source| Failure::Bind { address, source })?;
        Ok(Some(Listening { socket, tls, hash }))
    }

    fn certificate(&self, address: SocketAddr) -> Result<(Tls, Option<[u8; 32]>), Failure> {
        if let (Some(chain), Some(key)) = (&self.webtransport_cert, &self.webtransport_key) {
            return Ok((Tls::from_pem(&read(chain)?, &read(key)?)?, None));
        }
        let made = SelfSigned::new(["localhost", "127.0.0.1", "::1", &address.ip().to_string()])?;
        Ok((made.tls(), Some(made.hash())))
    }
}

impl Listening {
    /// The hash of a certificate that was made up, in hexadecimal.
    pub(crate) fn hash(&self) -> Option<String> {
        let hex = |hash: [u8; 32]| {
            hash.iter().fold(String::new(), |mut text, byte| {
                // Writing to a text does not fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        self.hash.map(hex)
    }

    /// Begins to serve. The end of the server is its end too.
    pub(crate) fn start(self, io: &Server) {
        let io = io.clone();
        tokio::spawn(async move {
            if let Err(error) = io.serve_webtransport(self.socket, self.tls).await {
                warn!(%error, "WebTransport is not served any more");
            }
        });
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|source| Failure::Read { file: file.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_certificate_is_made_unless_there_is_one() {
        let address = ([127, 0, 0, 1], 0).into();
        assert!(WebTransportOptions::default().listen(address).await.unwrap().is_none());
        let mut options = WebTransportOptions { webtransport: true, ..WebTransportOptions::default() };
        let hash = options.listen(address).await.unwrap().and_then(|listening| listening.hash()).unwrap();
        assert_eq!(hash.len(), 64);
        (options.webtransport_cert, options.webtransport_key) = (Some("nowhere.pem".into()), Some("key.pem".into()));
        let error = options.listen(address).await.unwrap_err().to_string();
        assert!(error.starts_with("nowhere.pem cannot be read: "), "{error}");
    }
}
