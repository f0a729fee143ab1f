//! Which certificate who connects is shown (SNI, RFC 6066 §3).

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates of a listener. The first is for everybody who asks for no name, or for
/// one that none of them has.
#[derive(Debug)]
pub(super) struct Shown(pub(super) Vec<Arc<CertifiedKey>>);

impl Shown {
    fn to(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.and_then(|it| ServerName::try_from(it).ok());
        let named = name.and_then(|name| self.0.iter().find(|it| is_for(it, &name)));
        named.or(self.0.first()).cloned()
    }
}

fn is_for(it: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let own = it.end_entity_cert().ok();
    let own = own.and_then(|it| ParsedCertificate::try_from(it).ok());
    own.is_some_and(|it| verify_server_name(&it, name).is_ok())
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.to(hello.server_name())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs::default_provider;

    use super::*;

    #[test]
    fn who_asks_for_a_name_is_shown_its_certificate_and_all_others_the_first() {
        let made = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
            let key = KeyPair::generate().unwrap();
            let own = CertificateParams::new(names)
                .unwrap()
                .self_signed(&key)
                .unwrap();
            let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let made = CertifiedKey::from_der(vec![own.der().clone()], key, &default_provider());
            Arc::new(made.unwrap())
        };
        let all = [
            made(&["sip.one.invalid"]),
            made(&["sip.two.invalid", "two.invalid"]),
            made(&["*.three.invalid", "two.invalid"]),
        ];
        let shown = Shown(all.to_vec());
        for (name, place) in [
            (None, 0),
            (Some("sip.one.invalid"), 0),
            (Some("sip.two.invalid"), 1),
            (Some("TWO.invalid"), 1),
            (Some("a.three.invalid"), 2),
            (Some("a.b.three.invalid"), 0),
            (Some("nobody.invalid"), 0),
        ] {
            let certificate = shown.to(name).unwrap();
            assert!(Arc::ptr_eq(&certificate, &all[place]), "{name:?}");
        }
        assert!(Shown(Vec::new()).to(None).is_none());
    }
}
