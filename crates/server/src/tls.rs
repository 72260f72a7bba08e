//! TLS by rustls.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::error::ConfigError;
use crate::http::listen::{Connection, Spoken};

/// How long a client may take for its TLS handshake.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a server shows to those who connect by TLS; for [`Server::listen_tls`](crate::Server::listen_tls), and for
/// `Server::listen_webtransport`.
///
/// ```no_run
/// # async fn example() -> Result<(), sockeye::BoxError> {
/// use sockeye::{Server, Tls};
///
/// let tls = Tls::from_pem(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?;
/// Server::new().listen_tls("0.0.0.0:443", tls).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// TLS 1.2 and 1.3 with one certificate: its chain, the own one first, and its key, both in PEM.
    ///
    /// # Errors
    /// When there is no certificate or no key in what was given, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, ConfigError> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| ConfigError::new(format!("tls: {what}: {error}"));
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| wrong("the certificates cannot be read", &error))?;
        if chain.is_empty() {
            return Err(ConfigError::new("tls: there is no certificate in the chain: give it in PEM"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong("the key cannot be read", &error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("no version", &error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| wrong("certificate and key cannot be used", &error))?;
        Ok(Self::from_rustls(config))
    }

    /// What else rustls can do: client certificates, several hosts, certificates that change while the server runs.
    /// Where `alpn_protocols` is empty, the versions of HTTP that the server speaks are offered.
    pub fn from_rustls(mut config: ServerConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            let known: &[&[u8]] = if cfg!(feature = "http2") { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
            config.alpn_protocols = known.iter().map(|name| name.to_vec()).collect();
        }
        Self(Arc::new(config))
    }

    #[cfg(feature = "webtransport")]
    pub(crate) fn config(&self) -> &ServerConfig {
        &self.0
    }

    /// Serves one connection.
    pub(crate) async fn serve(self, connection: Box<Connection>) {
        // What the handshake needs takes no room afterwards.
        match Box::pin(self.secured(connection)).await {
            #[cfg(feature = "http2")]
            Some((inside, true)) => Box::pin(inside.serve_http2(bytes::Bytes::new())).await,
            Some((inside, _)) => inside.serve_http1(bytes::Bytes::new()).await,
            None => {}
        }
    }

    /// The inside of a connection, and whether HTTP/2 was agreed for it; `None` if there is no handshake.
    async fn secured(self, connection: Box<Connection>) -> Option<(Box<Connection>, bool)> {
        let mut connection = connection.announced(Spoken::Tls).await?;
        let mut closing = connection.site.core.closing();
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(DEADLINE, TlsAcceptor::from(self.0).accept(connection.io)) => accepted,
            () = closing.wait() => return None,
        };
        let stream = match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return None;
            }
            Err(_) => {
                tracing::debug!("a TLS handshake took too long");
                return None;
            }
        };
        let is_http2 = is_http2(&stream);
        connection.io = Box::new(stream);
        connection.speaker.secured = true;
        Some((connection, is_http2))
    }
}

fn is_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        let message = |chain: &[u8], key: &[u8]| Tls::from_pem(chain, key).unwrap_err().to_string();
        assert!(message(b"", b"").contains("no certificate in the chain"));
        assert!(message(b"nonsense", b"").contains("no certificate in the chain"));
        let certificate = include_bytes!("../tests/http/localhost.pem");
        assert!(message(certificate, b"nonsense").contains("the key cannot be read"));
        assert!(message(certificate, certificate).contains("the key cannot be read"));
    }
}
