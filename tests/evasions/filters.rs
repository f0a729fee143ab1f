//! What others put between a phone system and a carrier: filters that look at how
//! what was dialled begins, as it was sent.

use crate::table::Line;

/// A filter.
pub(crate) struct Filter {
    pub(crate) name: &'static str,
    /// Whether it lets a call through under this plan.
    pub(crate) passes: fn(plan: usize, user: &[u8]) -> bool,
}

/// How calls abroad begin under each plan.
const ABROAD: [&str; 5] = ["010", "00", "00", "011", "00"];

/// What an operator would allow each tenant to begin with, for the same rules.
const ALLOWED: [&[&str]; 5] = [
    &[
        "03", "06", "01", "050", "060", "070", "080", "090", "0120", "0800", "0101", "01044",
        "184", "186", "+81", "+1", "+4420", "110", "118", "119",
    ],
    &[
        "01", "02", "07", "001", "141", "1470", "+44", "+1", "999", "112",
    ],
    &["0", "+49", "110", "112"],
    &["1", "2", "3", "4", "5", "6", "7", "8", "9", "0111", "+1"],
    &["+4420", "+81", "112", "911"],
];

pub(crate) const FILTERS: [Filter; 4] = [
    Filter {
        name: "refuse what begins like a call abroad (2015)",
        passes: |plan, user| !user.starts_with(ABROAD[plan].as_bytes()),
    },
    Filter {
        name: "the same, and what begins with +",
        passes: |plan, user| !user.starts_with(ABROAD[plan].as_bytes()) && !user.starts_with(b"+"),
    },
    Filter {
        name: "allow by what it begins with",
        passes: |plan, user| begins_with_one(user, ALLOWED[plan]),
    },
    Filter {
        name: "the same, after all but digits is taken out",
        passes: |plan, user| {
            let digits: Vec<u8> = user
                .iter()
                .copied()
                .filter(|byte| byte.is_ascii_digit() || *byte == b'+')
                .collect();
            begins_with_one(&digits, ALLOWED[plan])
        },
    },
];

fn begins_with_one(user: &[u8], prefixes: &[&str]) -> bool {
    prefixes.iter().any(|it| user.starts_with(it.as_bytes()))
}

/// The user part as a filter would cut it out: from the first colon to the first @.
pub(crate) fn user(line: &Line) -> &[u8] {
    let uri = &*line.request_uri;
    let start = uri
        .iter()
        .position(|byte| *byte == b':')
        .map_or(0, |at| at + 1);
    let end = uri
        .iter()
        .position(|byte| *byte == b'@')
        .unwrap_or(uri.len());
    uri.get(start..end).unwrap_or_default()
}
