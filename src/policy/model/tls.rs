//! The keys of TLS, which listeners, carriers and `[inbound]` have.

use crate::policy::diagnostic::{At, Faults, Place};
use crate::policy::reader::Fields;

/// What a table says of TLS.
#[derive(Debug, Default)]
pub(in crate::policy) struct TlsTable<'t> {
    /// `certificate`
    pub certificate: Option<At<&'t str>>,
    /// `key`
    pub key: Option<At<&'t str>>,
    /// `[[listen.certificates]]`; only in `[[listen]]`.
    pub others: Vec<OtherTable<'t>>,
    /// `client_ca`; only in `[[listen]]`.
    pub client_ca: Option<At<&'t str>>,
    /// `ca`; never in `[[listen]]`.
    pub ca: Option<At<&'t str>>,
    /// `tls_name`; never in `[[listen]]`.
    pub name: Option<At<&'t str>>,
}

/// One `[[listen.certificates]]`.
#[derive(Debug)]
pub(in crate::policy) struct OtherTable<'t> {
    /// Its heading.
    pub place: Place,
    /// `certificate`
    pub certificate: Option<At<&'t str>>,
    /// `key`
    pub key: Option<At<&'t str>>,
}

impl<'t> OtherTable<'t> {
    fn all(fields: &mut Fields<'t>, faults: &mut Faults<'_>) -> Vec<Self> {
        let tables = fields.tables("certificates", "[[listen.certificates]]", faults);
        let one = |mut it: Fields<'t>| {
            let (certificate, key) = (it.text("certificate", faults), it.text("key", faults));
            it.required("certificate", certificate, "\"tls/other.pem\"", faults);
            it.required("key", key, "\"tls/other.key\"", faults);
            let place = it.place;
            it.close(faults);
            Self {
                place,
                certificate,
                key,
            }
        };
        tables.into_iter().map(one).collect()
    }

    /// The keys that are there, with their names.
    fn keys(&self) -> impl Iterator<Item = (&'static str, At<&'t str>)> {
        let keys = [("certificate", self.certificate), ("key", self.key)];
        keys.into_iter().filter_map(|(key, at)| Some((key, at?)))
    }
}

impl<'t> TlsTable<'t> {
    /// Of a listener.
    pub(super) fn server(fields: &mut Fields<'t>, faults: &mut Faults<'_>) -> Self {
        Self {
            certificate: fields.text("certificate", faults),
            key: fields.text("key", faults),
            others: OtherTable::all(fields, faults),
            client_ca: fields.text("client_ca", faults),
            ..Self::default()
        }
    }

    /// Of a peer that is connected to.
    pub(super) fn client(fields: &mut Fields<'t>, faults: &mut Faults<'_>) -> Self {
        Self {
            certificate: fields.text("certificate", faults),
            key: fields.text("key", faults),
            others: Vec::new(),
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
        let own = keys.into_iter().filter_map(|(key, at)| Some((key, at?)));
        own.chain(self.others.iter().flat_map(OtherTable::keys))
    }
}
