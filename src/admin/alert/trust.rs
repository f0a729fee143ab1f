//! Who vouches for the places that are reached over TLS.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Certificates that vouch for others.
#[derive(Clone, Debug, Default)]
pub struct Anchors(Vec<CertificateDer<'static>>);

/// Why a place cannot be reached over TLS: in a few words, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustFault(pub String);

impl std::fmt::Display for TrustFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TrustFault {}

impl Anchors {
    /// The certificates in a file (PEM).
    ///
    /// # Errors
    /// [`TrustFault`]: it is no such file, or there is none in it.
    pub fn read(pem: &[u8]) -> Result<Self, TrustFault> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match all {
            Ok(all) if all.is_empty() => {
                Err(TrustFault("there is no certificate in it".to_owned()))
            }
            Ok(all) => Ok(Self(all)),
            Err(error) => Err(TrustFault(format!(
                "it is no file of certificates: {error}"
            ))),
        }
    }

    /// Each of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.0.iter()
    }

    /// TLS 1.2 or 1.3 with whom one of them vouches for.
    ///
    /// # Errors
    /// [`TrustFault`]: none of them can.
    pub(super) fn client(&self) -> Result<ClientConfig, TrustFault> {
        let mut trusted = RootCertStore::empty();
        if let (0, _) = trusted.add_parsable_certificates(self.0.iter().cloned()) {
            let what = "none of the certificates can vouch for anybody";
            return Err(TrustFault(what.to_owned()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustFault(error.to_string()))?;
        Ok(config.with_root_certificates(trusted).with_no_client_auth())
    }
}
