//! TLS by rustls.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::error::ConfigError;

/// How the server of an `https` or `wss` URL is recognised, and how this client shows who it is.
///
/// By default the server's certificate must be valid for the URL's host and lead to one of Mozilla's roots.
///
/// ```no_run
/// use sockeye_client::{Client, Tls};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let tls = Tls::new().root_pem(&std::fs::read("ca.pem")?).only_own_roots();
/// let client = Client::builder("https://internal.example").tls(tls).connect().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Tls {
    roots: Vec<Vec<u8>>,
    only_own_roots: bool,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    server_name: Option<String>,
    accept_anything: bool,
}

impl fmt::Debug for Tls {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("roots", &self.roots.len())
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in this PEM file as roots, besides Mozilla's.
    #[must_use]
    pub fn root_pem(mut self, pem: &[u8]) -> Self {
        self.roots.push(pem.to_vec());
        self
    }

    /// Trusts only the roots given by [`Self::root_pem`].
    #[must_use]
    pub fn only_own_roots(mut self) -> Self {
        self.only_own_roots = true;
        self
    }

    /// Shows the server this certificate, with its chain, and proves it by its key; both in PEM.
    #[must_use]
    pub fn identity_pem(mut self, certificates: &[u8], key: &[u8]) -> Self {
        self.identity = Some((certificates.to_vec(), key.to_vec()));
        self
    }

    /// The name which is asked for (SNI) and which the certificate must be valid for. Default: the URL's host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Accepts any certificate: whoever is on the way can then read and change everything. For tests only.
    #[must_use]
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.accept_anything = true;
        self
    }

    /// What makes TLS connections to `host`.
    pub(crate) fn connector(&self, host: &str) -> Result<Connector, ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let versions = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = versions.map_err(|error| ConfigError::new(format!("TLS: {error}")))?;
        let builder = if self.accept_anything {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAnything(provider)))
        } else {
            builder.with_root_certificates(self.root_store()?)
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|_| ConfigError::new("TLS: no private key in the PEM"))?;
                builder
                    .with_client_auth_cert(read_certificates(certificates)?, key)
                    .map_err(|error| ConfigError::new(format!("TLS: {error}")))?
            }
        };
        // WebSocket and long-polling are HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|_| ConfigError::new("TLS: the server's name is not valid"))?;
        Ok(Connector { inner: Arc::new(config).into(), name })
    }

    fn root_store(&self) -> Result<RootCertStore, ConfigError> {
        let mut roots = RootCertStore::empty();
        if !self.only_own_roots {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for pem in &self.roots {
            for certificate in read_certificates(pem)? {
                roots.add(certificate).map_err(|error| ConfigError::new(format!("TLS: a root: {error}")))?;
            }
        }
        if roots.is_empty() {
            return Err(ConfigError::new("TLS: only own roots are trusted, and there is none"));
        }
        Ok(roots)
    }
}

/// Makes TLS connections.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) inner: TlsConnector,
    pub(crate) name: ServerName<'static>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

fn read_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ConfigError::new("TLS: no certificate in the PEM")),
    }
}

/// Checks that the peer has the key of its certificate, and nothing else.
#[derive(Debug)]
struct AcceptAnything(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_found_before_connecting() {
        assert!(Tls::new().connector("a.example").is_ok());
        assert!(Tls::new().connector("127.0.0.1").is_ok());
        let wrong = |tls: Tls| tls.connector("a.example").unwrap_err().to_string();
        assert!(wrong(Tls::new().only_own_roots()).contains("there is none"));
        assert!(wrong(Tls::new().root_pem(b"nothing")).contains("no certificate"));
        assert!(wrong(Tls::new().identity_pem(b"", b"")).contains("no private key"));
        assert!(wrong(Tls::new().server_name("a b")).contains("name is not valid"));
    }
}
