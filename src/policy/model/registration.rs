//! `[carrier.registration]`: the account that Tollgate has with a carrier.

use crate::policy::diagnostic::{At, Faults, Place};
use crate::policy::reader::Fields;

/// One `[carrier.registration]`.
#[derive(Debug)]
pub(in crate::policy) struct RegistrationTable<'t> {
    /// Its heading.
    pub place: Place,
    /// `aor`
    pub aor: Option<At<&'t str>>,
    /// `registrar`
    pub registrar: Option<At<&'t str>>,
    /// `username`
    pub username: Option<At<&'t str>>,
    /// `realm`
    pub realm: Option<At<&'t str>>,
    /// `register`
    pub register: Option<At<bool>>,
    /// `gruu`
    pub gruu: Option<At<bool>>,
    /// `expires`
    pub expires: Option<At<&'t str>>,
    /// `secret_file`
    pub secret_file: Option<At<&'t str>>,
    /// `secret_env`
    pub secret_env: Option<At<&'t str>>,
}

impl<'t> RegistrationTable<'t> {
    /// Reads it.
    pub(super) fn of(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> Self {
        let aor = fields.text("aor", faults);
        fields.required("aor", aor, "\"sip:0312345678@sip.example.net\"", faults);
        let table = Self {
            place: fields.place,
            aor,
            registrar: fields.text("registrar", faults),
            username: fields.text("username", faults),
            realm: fields.text("realm", faults),
            register: fields.flag("register", faults),
            gruu: fields.flag("gruu", faults),
            expires: fields.text("expires", faults),
            secret_file: fields.text("secret_file", faults),
            secret_env: fields.text("secret_env", faults),
        };
        fields.close(faults);
        table
    }
}
