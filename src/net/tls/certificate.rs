//! What a certificate says (RFC 5280).

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::base::flow::PeerName;
use crate::base::limits::CERTIFICATE_NAMES;
use crate::base::time::Wall;

/// The last moment at which it is good; none if it cannot be read.
pub(super) fn valid_until(certificate: &CertificateDer<'_>) -> Option<Wall> {
    let read = Certificate::from_der(certificate).ok()?;
    let until = read.tbs_certificate().validity().not_after;
    let micros = until.to_unix_duration().as_micros();
    Some(Wall::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)))
}

/// Whom it is for: its alternative names that are domain names or URIs (RFC 5922 §7.1).
/// The subject's common name is none.
pub(in crate::net) fn names(certificate: &CertificateDer<'_>) -> Vec<PeerName> {
    let read = Certificate::from_der(certificate).ok();
    let names = read.and_then(|it| {
        it.tbs_certificate()
            .get_extension::<SubjectAltName>()
            .ok()?
    });
    let names = names.map_or_else(Vec::new, |(_, it)| it.0);
    let texts = names
        .iter()
        .take(CERTIFICATE_NAMES)
        .filter_map(|it| match it {
            GeneralName::DnsName(name) => Some(name.as_str()),
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        });
    texts.map(PeerName::of).collect()
}
