//! The keys of TLS, which listeners, carriers and `[inbound]` have.

use crate::policy::diagnostic::{At, Faults};
use crate::policy::reader::Fields;

/// What a table says of TLS.
#[derive(Debug, Default)]
pub(in crate::policy) struct TlsTable<'t> {
    /// `certificate`
    pub certificate: Option<At<&'t str>>,
    /// `key`
    pub key: Option<At<&'t str>>,
    /// `client_ca`; only in `[[listen]]`.
    pub client_ca: Option<At<&'t str>>,
    /// `ca`; never in `[[listen]]`.
    pub ca: Option<At<&'t str>>,
    /// `tls_name`; never in `[[listen]]`.
    pub name: Option<At<&'t str>>,
}

impl<'t> TlsTable<'t> {
    /// Of a listener.
    pub(super) fn server(fields: &mut Fields<'t>, faults: &mut Faults<'_>) -> Self {
        Self {
            certificate: fields.text("certificate", faults),
            key: fields.text("key", faults),
            client_ca: fields.text("client_ca", faults),
            ..Self::default()
        }
    }

    /// Of a peer that is connected to.
    pub(super) fn client(fields: &mut Fields<'t>, faults: &mut Faults<'_>) -> Self {
        Self {
            certificate: fields.text("certificate", faults),
            key: fields.text("key", faults),
            client_ca: None,
            ca: fields.text("ca", faults),
            name: fields.text("tls_name", faults),
        }
    }

    /// The keys that are there, with their names.
    pub(in crate::policy) fn keys(&self) -> impl Iterator<Item = (&'static str, At<&'t str>)> {
        let keys = [
            ("certificate", self.certificate),
            ("key", self.key),
            ("client_ca", self.client_ca),
            ("ca", self.ca),
            ("tls_name", self.name),
        ];
        keys.into_iter().filter_map(|(key, at)| Some((key, at?)))
    }
}
