//! TLS: which files of certificates and keys the rules name, and what for. What is in
//! them is for others to read: rules are compiled without it.

use std::collections::BTreeMap;

use super::compile::Sources;
use super::diagnostic::{Diagnostic, Fault, Faults, Place};
use super::ruleset::Peer;
use crate::base::flow::{ListenerId, PeerName};

/// A name as it is compared: of a `sip:` URI what stands for its domain (RFC 5922 §7.1),
/// in small letters.
pub(super) fn plain_name(text: &str) -> String {
    let small = text.trim().to_ascii_lowercase();
    match small.strip_prefix("sip:") {
        Some(domain) if !domain.contains('@') => domain.to_owned(),
        _ => small,
    }
}

impl PeerName {
    /// Of one of the alternative names in a certificate: a domain name, or a URI.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self::head(blake3::hash(plain_name(name).as_bytes()))
    }

    /// Of a tenant, whose calls go on in the process itself. Of no certificate's name.
    #[must_use]
    pub fn of_tenant(name: &str) -> Self {
        Self::head(blake3::keyed_hash(
            b"tollgate: a tenant by its name..",
            name.as_bytes(),
        ))
    }

    fn head(hash: blake3::Hash) -> Self {
        let mut head = [0; 16];
        for (to, from) in head.iter_mut().zip(hash.as_bytes()) {
            *to = *from;
        }
        Self(head)
    }
}

/// A file that rules name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// Its path, relative to the main file.
    pub path: String,
    /// Where it is named.
    pub(super) place: Place,
}

impl NamedFile {
    /// One that is named nowhere.
    #[cfg(test)]
    pub(crate) fn sample(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            place: Place::new(0, &(0..0)),
        }
    }

    /// What is wrong with it, shown where it is named in `sources`; none if these are
    /// not the ones that name it.
    #[must_use]
    pub fn fault(
        &self,
        sources: &Sources,
        title: &str,
        help: &str,
        usable: bool,
    ) -> Option<Diagnostic> {
        let mut faults = Faults::new(sources.all(), false);
        let fault = match usable {
            true => Fault::warning(title),
            false => Fault::error(title),
        };
        faults.add(self.place, fault.help(help));
        faults.finish().pop()
    }
}

/// A certificate and its key: what one end shows the other, and proves with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Certificates (PEM): its own first, then those that vouch for it.
    pub certificate: NamedFile,
    /// The private key (PEM).
    pub key: NamedFile,
}

/// TLS at one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsListener {
    /// What it shows who connects.
    pub identity: Identity,
    /// What it shows instead to who asks for a name that the certificate is for (SNI,
    /// RFC 6066 §3): the first of them that is.
    pub others: Vec<Identity>,
    /// Certificates (PEM) that vouch for who connects. If there are any, nobody is
    /// heard without one of theirs.
    pub client_ca: Option<NamedFile>,
}

/// TLS towards one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPeer {
    /// Whom its certificate must be for: a domain name, or an address.
    pub name: String,
    /// Where that is written.
    pub(super) place: Place,
    /// Certificates (PEM) that vouch for it; none for those of the system.
    pub ca: Option<NamedFile>,
    /// What it is shown, if it asks.
    pub identity: Option<Identity>,
}

impl TlsPeer {
    /// The place of its name, or of its address, as a file that has a fault.
    #[must_use]
    pub fn named(&self) -> NamedFile {
        NamedFile {
            path: self.name.clone(),
            place: self.place,
        }
    }
}

/// All that the rules say of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsRules {
    /// Of each `tls:` listener.
    pub listeners: BTreeMap<ListenerId, TlsListener>,
    /// Of each peer that is reached over TLS.
    pub peers: BTreeMap<Peer, TlsPeer>,
}
