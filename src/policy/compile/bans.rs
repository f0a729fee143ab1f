//! When strangers are banned.

use std::time::Duration;

use super::build::duration;
use crate::policy::banning::Banning;
use crate::policy::diagnostic::{Fault, Faults};
use crate::policy::model::BansTable;

/// The fewest messages that ban somebody: a phone system whose `sources` are wrong sends
/// some of each message before it gives up.
const MESSAGES_LEAST: u64 = 20;
const MESSAGES_MOST: u64 = 1_000_000;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const MONTH: Duration = Duration::from_secs(31 * 86_400);

/// The longest name of a table.
const NAME: usize = 32;

/// Reads `[bans]`.
pub(super) fn bans(table: &BansTable<'_>, faults: &mut Faults<'_>) -> Banning {
    let mut bans = Banning::default();
    if let Some(messages) = table.messages {
        match u32::try_from(messages.value) {
            Ok(count) if matches!(messages.value, 0 | MESSAGES_LEAST..=MESSAGES_MOST) => {
                bans.messages = count;
            }
            _ => {
                let fault = Fault::error(format!("{} messages ban nobody", messages.value));
                let help = format!("write {MESSAGES_LEAST} to {MESSAGES_MOST}, or 0 for no bans");
                faults.add(messages.place, fault.help(help));
            }
        }
    }
    let within = table
        .within
        .and_then(|it| duration(it, SECOND, HOUR, faults));
    bans.within = within.unwrap_or(bans.within);
    let lasts = table
        .lasts
        .and_then(|it| duration(it, SECOND, MONTH, faults));
    bans.lasts = lasts.unwrap_or(bans.lasts);
    if let Some(name) = table.nftables {
        let text = name.value;
        let plain = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let begins = text.starts_with(|it: char| it.is_ascii_alphabetic());
        match begins && text.len() <= NAME && text.chars().all(plain) {
            true => bans.nftables = Some(text.into()),
            false => {
                let fault = Fault::error(format!("`{text}` is no name for a table of nftables"));
                let help = "write letters, digits and _, such as \"tollgate\": the table is \
                            Tollgate's own";
                faults.add(name.place, fault.help(help));
            }
        }
    }
    bans
}
