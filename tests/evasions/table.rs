//! `tests/evasions/*.tsv`: a line for each way to get a call past a filter, or for
//! an honest way to dial that no filter may take for one.
//!
//! `request_uri` and `headers` may have `\r`, `\n`, `\t`, `\\` and `\xHH`. Header
//! fields that a call has once take the place of the usual ones.

use std::path::Path;

/// The dial plans, each with a table of its own.
pub(crate) const PLANS: [&str; 5] = ["jp", "gb", "de", "nanp", "e164"];

/// A line of a table.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Where it stands, for people.
    pub(crate) place: String,
    /// What sort of trick it is.
    pub(crate) trick: String,
    pub(crate) request_uri: Vec<u8>,
    /// Whole header fields; empty if there are none.
    pub(crate) headers: Vec<u8>,
    /// The number; empty if it has none.
    pub(crate) canonical: String,
    /// `allow`, `emergency`, the reason of a refusal, a status code, or `silence`
    /// where the lines of the message make none.
    pub(crate) verdict: String,
    /// Why the digits are no number; `uri` if the URI is none, `-` if they are one.
    pub(crate) why: String,
}

/// The table of a plan.
pub(crate) fn read(plan: &str) -> Vec<Line> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evasions");
    let text = std::fs::read_to_string(folder.join(format!("{plan}.tsv"))).unwrap();
    let rows = text.lines().enumerate().skip(1);
    rows.map(|(at, row)| line(format!("{plan}.tsv:{}", at + 1), row))
        .collect()
}

fn line(place: String, row: &str) -> Line {
    let fields: Vec<_> = row.split('\t').collect();
    let [trick, request_uri, headers, canonical, verdict, why] = fields[..] else {
        panic!("{place} has {} fields", fields.len());
    };
    let given = |text: &str| if text == "-" { "" } else { text }.to_owned();
    Line {
        trick: trick.into(),
        request_uri: unescaped(request_uri),
        headers: unescaped(&given(headers)),
        canonical: given(canonical),
        verdict: verdict.into(),
        why: why.into(),
        place,
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let (code, length) = match tail {
            [b'r', ..] => (b'\r', 1),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', digits @ ..] => {
                let digits = std::str::from_utf8(&digits[..2]).unwrap();
                (u8::from_str_radix(digits, 16).unwrap(), 3)
            }
            _ => panic!("no escape: {text}"),
        };
        out.push(code);
        rest = &tail[length..];
    }
    out
}

impl Line {
    /// Whether the call goes to the carrier.
    pub(crate) fn leaves(&self) -> bool {
        matches!(&*self.verdict, "allow" | "emergency")
    }

    /// For people.
    pub(crate) fn show(&self) -> String {
        let (uri, headers) = (self.request_uri.escape_ascii(), self.headers.escape_ascii());
        let Self {
            place, trick, why, ..
        } = self;
        format!("{place}, {trick}: {uri} {headers} ({why})")
    }
}
