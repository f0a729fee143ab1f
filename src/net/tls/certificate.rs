//! What a certificate says (RFC 5280).

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::base::time::Wall;

/// The last moment at which it is good; none if it cannot be read.
pub(super) fn valid_until(certificate: &CertificateDer<'_>) -> Option<Wall> {
    let read = Certificate::from_der(certificate).ok()?;
    let until = read.tbs_certificate().validity().not_after;
    let micros = until.to_unix_duration().as_micros();
    Some(Wall::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)))
}
