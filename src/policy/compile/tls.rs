//! TLS: which certificates and keys a listener or a way to a peer has.

use std::net::IpAddr;

use super::build::Build;
use crate::base::flow::{ListenerId, Transport};
use crate::base::limits::CERTIFICATES;
use crate::policy::diagnostic::{At, Fault, Faults, Place};
use crate::policy::model::{OtherTable, TlsTable};
use crate::policy::ruleset::Peer;
use crate::policy::tls::{Identity, NamedFile, TlsListener, TlsPeer, plain_name};

/// The longest domain name (RFC 1035 §2.3.4), in bytes.
const LONGEST_NAME: usize = 253;

fn file(at: At<&str>) -> NamedFile {
    NamedFile {
        path: at.value.to_owned(),
        place: at.place,
    }
}

/// Whether TLS is spoken at all; if not, no key may say how.
fn speaks(transport: Transport, table: &TlsTable<'_>, faults: &mut Faults<'_>) -> bool {
    let speaks = transport == Transport::Tls;
    for (key, at) in table.keys() {
        if !speaks {
            let fault = Fault::error(format!("`{key}` is for TLS, and this address has none"));
            faults.add(at.place, fault.help("write a tls: address, or take it out"));
        } else if at.value.is_empty() {
            let fault = Fault::error(format!("`{key}` is empty"));
            faults.add(at.place, fault.help("name a file, or take it out"));
        }
    }
    speaks
}

/// A certificate and its key, which there are together or not at all.
fn identity(table: &TlsTable<'_>, faults: &mut Faults<'_>) -> Option<Identity> {
    let (alone, other) = match (table.certificate, table.key) {
        (Some(certificate), Some(key)) => {
            return Some(Identity {
                certificate: file(certificate),
                key: file(key),
            });
        }
        (Some(certificate), None) => (certificate, "key = \"tls/key.pem\""),
        (None, Some(key)) => (key, "certificate = \"tls/certificate.pem\""),
        (None, None) => return None,
    };
    let fault = Fault::error("a certificate and its key go together");
    faults.add(alone.place, fault.help(format!("add {other}")));
    None
}

/// TLS at a listener.
pub(super) fn listener(
    build: &mut Build<'_>,
    id: ListenerId,
    at: (Transport, Place),
    table: &TlsTable<'_>,
    faults: &mut Faults<'_>,
) {
    let (transport, place) = at;
    if !speaks(transport, table, faults) {
        return;
    }
    if table.certificate.is_none() && table.key.is_none() {
        let fault = Fault::error("a tls: listener has no certificate");
        let help = "add certificate = \"tls/certificate.pem\" and key = \"tls/key.pem\", with paths \
                    relative to this file";
        return faults.add(place, fault.help(help));
    }
    let Some(identity) = identity(table, faults) else {
        return;
    };
    let client_ca = table.client_ca.map(file);
    if let Some(beyond) = table.others.get(CERTIFICATES) {
        let fault = Fault::error("a listener has too many certificates");
        let help = format!("write {CERTIFICATES} [[listen.certificates]] at most");
        return faults.add(beyond.place, fault.help(help));
    }
    let other = |it: &OtherTable<'_>| {
        Some(Identity {
            certificate: file(it.certificate?),
            key: file(it.key?),
        })
    };
    let listener = TlsListener {
        identity,
        others: table.others.iter().filter_map(other).collect(),
        client_ca,
    };
    build.tls.listeners.insert(id, listener);
}

/// TLS towards a peer, whose certificate is for the name in `certified` unless the table
/// says otherwise.
pub(super) fn peer(
    build: &mut Build<'_>,
    peer: Peer,
    transport: Transport,
    certified: (String, Place),
    table: &TlsTable<'_>,
    faults: &mut Faults<'_>,
) {
    if !speaks(transport, table, faults) {
        return;
    }
    if let Some(name) = table.name
        && !is_name(name.value)
    {
        let fault = Fault::error(format!("no certificate can be for `{}`", name.value));
        let help = "write the domain name that its certificate is for: \"sip.example.net\"";
        return faults.add(name.place, fault.help(help));
    }
    let towards = TlsPeer {
        name: table.name.map_or(certified.0, |it| it.value.to_owned()),
        place: table.name.map_or(certified.1, |it| it.place),
        ca: table.ca.map(file),
        identity: identity(table, faults),
    };
    build.tls.peers.insert(peer, towards);
}

/// Reads whom the certificates of `peer` are for, each of which is one peer's.
pub(super) fn claim(
    build: &mut Build<'_>,
    names: &[At<&str>],
    peer: Peer,
    faults: &mut Faults<'_>,
) {
    for at in names {
        let name = plain_name(at.value);
        if !name.contains(':') && !is_name(&name) {
            let fault = Fault::error(format!("no certificate can be for `{}`", at.value));
            let help = "write a domain name or a URI as it stands among the certificate's \
                        alternative names: \"pbx.example.net\"";
            faults.add(at.place, fault.help(help));
            continue;
        }
        if let Some(&(_, first)) = build.named.get(&name) {
            let first = faults.pointer(first);
            let fault = Fault::error(format!("`{}` is claimed twice", at.value));
            let help = format!("the other claim is at {first}; a name is one peer's");
            faults.add(at.place, fault.help(help));
            continue;
        }
        build.named.insert(name, (peer, at.place));
    }
}

/// Warns of names for whose certificates no listener asks.
pub(super) fn unasked_names(build: &Build<'_>, faults: &mut Faults<'_>) {
    let mut listeners = build.tls.listeners.values();
    let asked = listeners.any(|it| it.client_ca.is_some());
    let first = build.named.values().next();
    if let (Some((_, place)), false) = (first, asked) {
        let fault = Fault::warning("no listener asks for certificates")
            .label("nobody is known by a name")
            .help("add client_ca to a [[listen]] with a tls: address");
        faults.add(*place, fault);
    }
}

/// Whether a certificate can be for it: a domain name without wildcards, or an address.
pub(super) fn is_name(name: &str) -> bool {
    let label = |it: &str| {
        let plain = it.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain && (1..=63).contains(&it.len()) && !it.starts_with('-') && !it.ends_with('-')
    };
    let labels = name.len() <= LONGEST_NAME && name.split('.').all(label);
    let digits = name.rsplit('.').next().unwrap_or_default();
    let is_domain = labels && !digits.bytes().all(|b| b.is_ascii_digit());
    is_domain || name.parse::<IpAddr>().is_ok()
}
