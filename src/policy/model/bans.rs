//! `[bans]`: when strangers are banned.

use crate::policy::diagnostic::{At, Faults};
use crate::policy::reader::Fields;

/// `[bans]`.
#[derive(Debug)]
pub(in crate::policy) struct BansTable<'t> {
    /// `messages`
    pub messages: Option<At<u64>>,
    /// `within`
    pub within: Option<At<&'t str>>,
    /// `for`
    pub lasts: Option<At<&'t str>>,
    /// `nftables`
    pub nftables: Option<At<&'t str>>,
}

impl<'t> BansTable<'t> {
    /// Reads it.
    pub(super) fn of(mut fields: Fields<'t>, faults: &mut Faults<'_>) -> Self {
        let table = Self {
            messages: fields.count("messages", faults),
            within: fields.text("within", faults),
            lasts: fields.text("for", faults),
            nftables: fields.text("nftables", faults),
        };
        fields.close(faults);
        table
    }
}
