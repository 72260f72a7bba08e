//! A certificate that nobody but its maker vouches for.

use wtransport::Identity;

use crate::error::ConfigError;
use crate::tls::Tls;

/// So long do browsers accept a certificate that they know by its hash alone. [WebTransport "custom certificate requirements"]
const DAYS: u32 = 14;

/// A certificate for development, made anew at every start: browsers accept it if the page names its hash
/// (`serverCertificateHashes`). It is good for 14 days, the longest that they allow; its key is ECDSA P-256.
///
/// ```no_run
/// # async fn example() -> Result<(), sockeye::BoxError> {
/// use sockeye::{SelfSigned, Server, Transport};
///
/// let io = Server::builder()
///     .transports(&[Transport::Polling, Transport::Websocket, Transport::Webtransport])
///     .build()?;
/// let certificate = SelfSigned::new(["localhost", "127.0.0.1"])?;
/// println!("serverCertificateHashes: {:?}", certificate.hash());
/// tokio::try_join!(io.listen("127.0.0.1:3000"), io.listen_webtransport("127.0.0.1:3000", certificate.tls()))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SelfSigned {
    tls: Tls,
    hash: [u8; 32],
}

impl SelfSigned {
    /// A certificate for these names and addresses of the server.
    ///
    /// # Errors
    /// When one of them cannot be a name in a certificate.
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        let identity = Identity::self_signed_builder().subject_alt_names(names).from_now_utc().validity_days(DAYS);
        let identity = identity.build().map_err(|error| ConfigError::new(format!("self-signed: {error}")))?;
        let certificate = identity.certificate_chain().as_slice().first();
        let certificate = certificate.ok_or_else(|| ConfigError::new("self-signed: no certificate was made"))?;
        let tls = Tls::from_pem(certificate.to_pem().as_bytes(), identity.private_key().to_secret_pem().as_bytes())?;
        Ok(Self { tls, hash: *certificate.hash().as_ref() })
    }

    /// What to listen with.
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// SHA-256 of the certificate: the `value` of an entry of `serverCertificateHashes`, as bytes.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_for_names_and_addresses() {
        let [one, two] = [1, 2].map(|_| SelfSigned::new(["localhost", "127.0.0.1", "::1"]).unwrap());
        assert_ne!(one.hash(), two.hash());
        assert!(SelfSigned::new(["no\u{e9}\u{0}"]).unwrap_err().to_string().contains("self-signed: "));
    }
}
