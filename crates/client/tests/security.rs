//! Advisories about clients of this family; each test bears the number of one.

mod common;

use std::sync::Arc;

use common::{Net, WAYS, settle};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};
use sockeye::Server;
use sockeye_client::{Reconnect, Tls};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// A server whose certificate was issued by `authority`.
fn server(authority: &CertifiedIssuer<'_, KeyPair>, certificate: &CertificateParams) -> Net {
    let key = KeyPair::generate().unwrap();
    let certificate = certificate.signed_by(&key, authority).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = config.with_single_cert(vec![CertificateDer::clone(certificate.der())], key.into()).unwrap();
    let (acceptor, io) = (TlsAcceptor::from(Arc::new(config)), Server::new());
    Net::script(move |wire| {
        let (acceptor, io) = (acceptor.clone(), io.clone());
        async move {
            if let Ok(stream) = acceptor.accept(wire).await {
                io.serve_stream(stream, None).await;
            }
        }
    })
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn certificate(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

/// Also CVE-2021-31597: certificates are checked, by every transport, unless that is switched off by name.
#[tokio::test(start_paused = true)]
async fn cve_2016_10536_certificates_are_checked_by_default() {
    let (known, unknown) = (authority(), authority());
    let expired = {
        let mut expired = certificate("server.test");
        (expired.not_before, expired.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        expired
    };
    let early = {
        let mut early = certificate("server.test");
        (early.not_before, early.not_after) = (date_time_ymd(2999, 1, 1), date_time_ymd(3000, 1, 1));
        early
    };
    let cases = [
        ("good", &known, certificate("server.test"), true),
        ("of an authority that nobody knows", &unknown, certificate("server.test"), false),
        ("of another host", &known, certificate("other.test"), false),
        ("expired", &known, expired, false),
        ("not valid yet", &known, early, false),
    ];
    for (what, issuer, certificate, is_fine) in cases {
        let net = server(issuer, &certificate);
        for way in WAYS {
            let client = || net.client_of("https://server.test").transports(way).reconnect(Reconnect::never());
            let trust = Tls::new().root_pem(known.pem().as_bytes());
            match client().tls(trust).connect().await {
                Ok(client) => {
                    assert!(is_fine, "a certificate {what} was taken");
                    client.disconnect().await;
                }
                Err(error) => assert!(!is_fine && error.to_string().contains("TLS"), "{what}: {error}"),
            }
            let unchecked = client().tls(Tls::new().danger_accept_any_certificate());
            unchecked.connect().await.unwrap_or_else(|error| panic!("{what}: {error}")).disconnect().await;
        }
        settle().await;
        assert_eq!(net.open(), 0, "{what}");
    }
}
