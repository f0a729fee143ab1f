//! `[[account]]`: what a tenant's phone system registers with.

use crate::policy::diagnostic::{At, Faults, Place};
use crate::policy::reader::Fields;

/// One `[[account]]`.
#[derive(Debug)]
pub(in crate::policy) struct AccountTable<'t> {
    /// Its heading.
    pub place: Place,
    /// `username`
    pub username: Option<At<&'t str>>,
    /// `secret_file`
    pub secret_file: Option<At<&'t str>>,
    /// `secret_env`
    pub secret_env: Option<At<&'t str>>,
}

impl<'t> AccountTable<'t> {
    /// Reads all of a tenant's.
    pub(super) fn all(root: &mut Fields<'t>, faults: &mut Faults<'_>) -> Vec<Self> {
        let tables = root.tables("account", "[[account]]", faults);
        let tables = tables.into_iter().map(|it| Self::of(it, faults));
        tables.collect()
    }

    fn of(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> Self {
        let username = fields.text("username", faults);
        fields.required("username", username, "\"acme-pbx\"", faults);
        let table = Self {
            place: fields.place,
            username,
            secret_file: fields.text("secret_file", faults),
            secret_env: fields.text("secret_env", faults),
        };
        fields.close(faults);
        table
    }
}
