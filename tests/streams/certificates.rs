//! Certificates as an authority of the tests' own issues them.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use tollgate::net::clock;

/// Vouches for others.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Papers {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// When a certificate is over.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    Later,
    /// In less than 20 days.
    Soon,
    /// Long ago.
    Long,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate, as PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Papers for these names: domains, addresses, or URIs.
    pub(crate) fn issue(&self, names: &[&str], until: Until) -> Papers {
        let (uris, plain): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|it| it.starts_with("sip:"));
        let plain: Vec<String> = plain.iter().map(|it| (*it).to_owned()).collect();
        let mut params = CertificateParams::new(plain).unwrap();
        let uris = uris
            .iter()
            .map(|it| SanType::URI((*it).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = match until {
            Until::Later => date_time_ymd(2099, 1, 1),
            Until::Soon => {
                let now = jiff::Timestamp::from_microsecond(clock::now().wall.as_micros()).unwrap();
                let day = now.to_zoned(jiff::tz::TimeZone::UTC).date() + jiff::Span::new().days(20);
                let month = day.month().try_into().unwrap();
                date_time_ymd(day.year().into(), month, day.day().try_into().unwrap())
            }
            Until::Long => date_time_ymd(2015, 1, 1),
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Papers {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn trusted(&self) -> Arc<RootCertStore> {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.0.der().clone()).unwrap();
        Arc::new(trusted)
    }

    /// Who connects to `host`, trusts this authority, and shows `papers`.
    pub(crate) fn client(&self, host: &str, papers: Option<&Papers>) -> ClientConnection {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.trusted());
        let config = match papers {
            None => config.with_no_client_auth(),
            Some(it) => config
                .with_client_auth_cert(it.chain(), it.secret())
                .unwrap(),
        };
        let name = ServerName::try_from(host.to_owned()).unwrap();
        ClientConnection::new(Arc::new(config), name).unwrap()
    }

    /// Who is connected to, shows `papers`, and hears nobody without some of this
    /// authority's if it `asks`.
    pub(crate) fn server(&self, papers: &Papers, asks: bool) -> ServerConnection {
        let verifier = WebPkiClientVerifier::builder_with_provider(self.trusted(), provider());
        let verifier = match asks {
            true => verifier.build().unwrap(),
            false => WebPkiClientVerifier::no_client_auth(),
        };
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(papers.chain(), papers.secret())
            .unwrap();
        ServerConnection::new(Arc::new(config)).unwrap()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Papers {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes());
        chain.collect::<Result<_, _>>().unwrap()
    }

    fn secret(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}
