//! TLS as it is spoken: what the rules say of it and what the files hold, made into
//! what connections need.
//!
//! ```text
//!  rules + files --- Tls::load --> Tls --- server(listener) --> who connects to us
//!                                      --- client(peer) ------> whom we connect to
//! ```
//! A set is made whole and never changed, so that a connection keeps what it began
//! with, and a new one gets what is in force. TLS 1.2 and 1.3; rustls knows no
//! renegotiation. Nothing is resumed and nothing sent early: connections last, and
//! each is to show its certificate.

mod certificate;
mod shown;

pub(super) use certificate::names;
use shown::Shown;

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, ServerConfig};

use crate::base::flow::ListenerId;
use crate::base::time::Wall;
use crate::policy::{Identity, NamedFile, Peer, RuleSet, TlsListener, TlsPeer};

/// Reads a file that rules name, relative to the main file; without a name, the
/// certificates that the system trusts.
pub type ReadFile<'f> = &'f dyn Fn(Option<&str>) -> Result<Vec<u8>, String>;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFault {
    /// Which file, and where it is named.
    pub file: NamedFile,
    /// What is wrong.
    pub title: String,
    /// What to do.
    pub help: String,
    /// It is used all the same: its time is over, and peers say whether they mind.
    pub expired: bool,
}

/// Until when a file's certificates are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Which file, and where it is named first.
    pub file: NamedFile,
    /// The last moment.
    pub until: Wall,
}

impl Expiry {
    /// Of a file of this name.
    #[cfg(test)]
    pub(crate) fn sample(path: &str, until: Wall) -> Self {
        let file = NamedFile::sample(path);
        Self { file, until }
    }
}

/// How who connects is received.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) config: Arc<ServerConfig>,
    /// It must show a certificate, and is known by that alone.
    pub(super) asks: bool,
}

/// Whom to expect at the far end, and what to show.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

/// All that TLS takes.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    servers: BTreeMap<ListenerId, Server>,
    clients: BTreeMap<Peer, Client>,
    expiries: Vec<Expiry>,
}

impl Tls {
    /// Makes it of what the rules name. What is faulty is left out: nobody is heard at
    /// that listener, and that peer is not reached.
    pub fn load(rules: &RuleSet, read: ReadFile<'_>, now: Wall) -> (Self, Vec<TlsFault>) {
        let mut loading = Loading {
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            read,
            now,
            shown: BTreeMap::new(),
            trusted: BTreeMap::new(),
            expiries: Vec::new(),
            faults: Vec::new(),
        };
        let mut tls = Self::default();
        for (id, listener) in &rules.tls().listeners {
            if let Some(config) = loading.server(listener) {
                let config = Arc::new(config);
                let asks = listener.client_ca.is_some();
                tls.servers.insert(*id, Server { config, asks });
            }
        }
        for (peer, towards) in &rules.tls().peers {
            if let Some(client) = loading.client(towards) {
                tls.clients.insert(*peer, client);
            }
        }
        tls.expiries = loading.expiries;
        (tls, loading.faults)
    }

    /// Until when the certificates in each file are good.
    #[must_use]
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }

    /// What who connects to this listener is shown and asked for; none if nobody is
    /// heard there.
    pub(super) fn server(&self, listener: ListenerId) -> Option<Server> {
        self.servers.get(&listener).cloned()
    }

    /// How this peer is connected to; none if it is not.
    pub(super) fn client(&self, peer: Peer) -> Option<Client> {
        self.clients.get(&peer).cloned()
    }
}

/// A set while it is made. Each file is read once, and each fault told once.
struct Loading<'f> {
    provider: Arc<CryptoProvider>,
    read: ReadFile<'f>,
    now: Wall,
    shown: BTreeMap<(String, String), Option<Arc<CertifiedKey>>>,
    trusted: BTreeMap<Option<String>, Option<Arc<RootCertStore>>>,
    expiries: Vec<Expiry>,
    faults: Vec<TlsFault>,
}

impl Loading<'_> {
    fn server(&mut self, listener: &TlsListener) -> Option<ServerConfig> {
        let own = self.shown(&listener.identity);
        // Those that are faulty are left out: names of others still are shown theirs.
        let others: Vec<_> = listener
            .others
            .iter()
            .filter_map(|it| self.other(it))
            .collect();
        let verifier = match &listener.client_ca {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(file) => {
                let trusted = self.trusted(Some(file), file)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(
                    trusted,
                    Arc::clone(&self.provider),
                );
                match verifier.build() {
                    Ok(verifier) => verifier,
                    Err(error) => return self.fault(file, &error.to_string(), TAKE_ANOTHER),
                }
            }
        };
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let config = config.with_safe_default_protocol_versions().ok()?;
        let config = config.with_client_cert_verifier(verifier);
        let shown = Shown([own?].into_iter().chain(others).collect());
        let mut config = config.with_cert_resolver(Arc::new(shown));
        config.send_tls13_tickets = 0;
        Some(config)
    }

    fn client(&mut self, towards: &TlsPeer) -> Option<Client> {
        let named = towards.named();
        let asked = towards.ca.as_ref();
        let trusted = self.trusted(asked, asked.unwrap_or(&named));
        let shown = towards.identity.as_ref().map(|it| self.shown(it));
        let verifier =
            WebPkiServerVerifier::builder_with_provider(trusted?, Arc::clone(&self.provider));
        let verifier = match verifier.build() {
            Ok(verifier) => verifier,
            Err(error) => return self.fault(&named, &error.to_string(), TAKE_ANOTHER),
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
        let config = config.with_safe_default_protocol_versions().ok()?;
        let config = config.with_webpki_verifier(verifier);
        let mut config = match shown {
            None => config.with_no_client_auth(),
            Some(shown) => {
                let shown = SingleCertAndKey::from(CertifiedKey::clone(&*shown?));
                config.with_client_cert_resolver(Arc::new(shown))
            }
        };
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(towards.name.clone()).ok()?;
        let config = Arc::new(config);
        Some(Client { config, name })
    }

    /// Notes what is wrong with a file.
    fn fault<T>(&mut self, file: &NamedFile, title: &str, help: &str) -> Option<T> {
        self.faults.push(TlsFault {
            file: file.clone(),
            title: title.to_owned(),
            help: help.to_owned(),
            expired: false,
        });
        None
    }

    /// A certificate that is only shown to who asks for a name of it.
    fn other(&mut self, identity: &Identity) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown(identity)?;
        let own = shown.end_entity_cert().ok()?;
        if !certificate::names(own).is_empty() {
            return Some(shown);
        }
        self.fault(
            &identity.certificate,
            &format!(
                "`{}` is for no name that anybody can ask for",
                identity.certificate.path
            ),
            "take one with a domain name among its alternative names, or make it the listener's \
             first",
        )
    }

    /// A certificate and its key.
    fn shown(&mut self, identity: &Identity) -> Option<Arc<CertifiedKey>> {
        let Identity { certificate, key } = identity;
        let paths = (certificate.path.clone(), key.path.clone());
        if let Some(known) = self.shown.get(&paths) {
            return known.clone();
        }
        let chain = self.certificates(Some(certificate), certificate);
        let secret = self.key(key);
        let made = chain.zip(secret).and_then(|(chain, secret)| {
            let first = chain.first()?;
            self.note_until(certificate, certificate::valid_until(first));
            match CertifiedKey::from_der(chain, secret, &self.provider) {
                Ok(made) => Some(Arc::new(made)),
                Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => self.fault(
                    key,
                    &format!("`{}` is not the key of `{}`", key.path, certificate.path),
                    "name the key that this certificate was made for; the certificate itself comes \
                     first in its file, those that vouch for it after it",
                ),
                Err(error) => self.fault(
                    certificate,
                    &format!("`{}` cannot be used: {error}", certificate.path),
                    TAKE_ANOTHER,
                ),
            }
        });
        self.shown.insert(paths, made.clone());
        made
    }

    /// Who is trusted; the system's, if no file is named. A fault is told of `blamed`.
    fn trusted(
        &mut self,
        file: Option<&NamedFile>,
        blamed: &NamedFile,
    ) -> Option<Arc<RootCertStore>> {
        let path = file.map(|it| it.path.clone());
        if let Some(known) = self.trusted.get(&path) {
            return known.clone();
        }
        let made = self.certificates(file, blamed).and_then(|all| {
            let last = all.iter().filter_map(certificate::valid_until).max();
            if let Some(file) = file {
                self.note_until(file, last);
            }
            let mut trusted = RootCertStore::empty();
            match trusted.add_parsable_certificates(all) {
                (0, _) => self.fault(
                    blamed,
                    "none of these certificates can vouch for anybody",
                    TAKE_ANOTHER,
                ),
                _ => Some(Arc::new(trusted)),
            }
        });
        self.trusted.insert(path, made.clone());
        made
    }

    fn certificates(
        &mut self,
        file: Option<&NamedFile>,
        blamed: &NamedFile,
    ) -> Option<Vec<CertificateDer<'static>>> {
        let bytes = self.bytes(file, blamed)?;
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let what = file.map_or("the system's file of certificates", |it| &it.path);
        match all {
            Ok(all) if all.is_empty() => {
                let title = format!("there is no certificate in `{what}`");
                self.fault(blamed, &title, PEM)
            }
            Ok(all) => Some(all),
            Err(error) => {
                let title = format!("`{what}` is no file of certificates: {error}");
                self.fault(blamed, &title, PEM)
            }
        }
    }

    fn key(&mut self, file: &NamedFile) -> Option<PrivateKeyDer<'static>> {
        let bytes = self.bytes(Some(file), file)?;
        match PrivateKeyDer::from_pem_slice(&bytes) {
            Ok(key) => Some(key),
            // What the file says is nobody's business.
            Err(_) => self.fault(
                file,
                &format!("there is no private key in `{}`", file.path),
                "write it as PEM and without a password: it begins with -----BEGIN PRIVATE KEY-----",
            ),
        }
    }

    fn bytes(&mut self, file: Option<&NamedFile>, blamed: &NamedFile) -> Option<Vec<u8>> {
        match (self.read)(file.map(|it| it.path.as_str())) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let help = match file {
                    Some(_) => "see to it that the file is there and that Tollgate may read it",
                    None => "name a file of certificates with `ca`",
                };
                self.fault(blamed, &format!("cannot be read: {error}"), help)
            }
        }
    }

    fn note_until(&mut self, file: &NamedFile, until: Option<Wall>) {
        let Some(until) = until else {
            return;
        };
        if self.expiries.iter().any(|it| it.file.path == file.path) {
            return;
        }
        let file = file.clone();
        self.expiries.push(Expiry {
            file: file.clone(),
            until,
        });
        if until <= self.now {
            self.faults.push(TlsFault {
                title: format!("the certificate in `{}` has expired", file.path),
                file,
                help: "put a new one in its place, then `tollgate reload`".to_owned(),
                expired: true,
            });
        }
    }
}

const TAKE_ANOTHER: &str = "take another certificate, X.509 version 3";

const PEM: &str = "write certificates as PEM: each begins with -----BEGIN CERTIFICATE-----";

#[cfg(test)]
mod tests;
