//! `tests/cases.tsv`: ways to dial, and what must come of each when the shipped
//! tenant's phone system sends it as an INVITE.

use crate::expect::{Case, Expected};
use crate::places::{Party, Places};

const TABLE: &str = include_str!("../cases.tsv");

/// The shipped tenant, which the table is about.
const TENANT: &str = include_str!("../../policies/tenants/acme.toml");

/// What the plan sends to the carrier for RFC 5031's names.
const URNS: [(&str, &str); 1] = [("urn:service:sos.fire", "119")];

/// What a rule of the tenant denies; what else is refused, none allows.
const DENIED: [&str; 2] = ["+19005551234", "+881612345678"];

/// A line of the table.
pub(crate) struct Line {
    number: usize,
    request_uri: &'static str,
    /// `-` if there is none.
    canonical: &'static str,
    verdict: &'static str,
}

pub(crate) fn read() -> Vec<Line> {
    let rows = TABLE.lines().enumerate();
    let rows = rows.filter(|(_, row)| !row.starts_with(['#']) && !row.starts_with("request_uri\t"));
    let lines: Vec<_> = rows.map(|(at, row)| line(at + 1, row)).collect();
    assert!(lines.len() >= 44, "only {} lines", lines.len());
    lines
}

fn line(number: usize, row: &'static str) -> Line {
    let fields: Vec<_> = row.split('\t').collect();
    let [request_uri, canonical, verdict, _why] = fields[..] else {
        panic!("line {number} has {} fields", fields.len());
    };
    Line {
        number,
        request_uri,
        canonical,
        verdict,
    }
}

/// The tenant, at the addresses of this world, and in less of a hurry than people
/// are: the table's calls come all at once.
pub(crate) fn tenant(places: Places) -> String {
    [
        ("127.0.0.3/32", format!("{}/32", places.host(3))),
        ("127.0.0.3:5080", places.pbx().to_string()),
        ("calls_per_second = 10", "calls_per_second = 100".into()),
    ]
    .into_iter()
    .fold(TENANT.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "the tenant has no {old}");
        text.replace(old, &new)
    })
}

impl Line {
    fn reason(&self) -> &'static str {
        match self.canonical {
            "-" => "no-single-meaning",
            denied if DENIED.contains(&denied) => "destination-denied",
            _ => "destination-not-allowed",
        }
    }

    fn call_id(&self) -> String {
        format!("line{}@cases", self.number)
    }

    /// The INVITE. Its To says something else: what counts is the Request-URI.
    pub(crate) fn message(&self, places: Places) -> Case {
        let source = places.of(Party::Pbx);
        let id = format!("line{}", self.number);
        let text = format!(
            "INVITE {} SIP/2.0\r\nVia: SIP/2.0/UDP {source};rport;branch=z9hG4bK{id}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+81335570001@{source}>;tag={id}\r\n\
             To: <sip:0335571299@{}>\r\nCall-ID: {}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:desk@{source}>\r\nContent-Length: 0\r\n\r\n",
            self.request_uri,
            places.here(),
            self.call_id(),
        );
        let urn = URNS.iter().find(|(urn, _)| *urn == self.canonical);
        let sent = urn.map_or(self.canonical, |(_, number)| number);
        Case {
            name: format!("line {}: {}", self.number, self.request_uri),
            source,
            bytes: text.into(),
            expected: match self.verdict {
                "allow" | "emergency" => Expected::Judged(sent.into()),
                "refuse" => Expected::Refused(self.reason().into()),
                other => panic!("no verdict is called {other}"),
            },
            answer_at: source,
        }
    }
}

/// The ledger has one verdict for each line, and it is the line's.
pub(crate) fn agree(lines: &[Line], verdicts: &[serde_json::Value]) {
    assert_eq!(verdicts.len(), lines.len());
    for line in lines {
        let call_id = line.call_id();
        let mut of_it = verdicts.iter().filter(|it| it["a_call_id"] == *call_id);
        let (Some(verdict), None) = (of_it.next(), of_it.next()) else {
            panic!("{}: not one verdict", line.request_uri);
        };
        let number = match line.canonical {
            "-" => "",
            number => number,
        };
        assert_eq!(verdict["decision"], line.verdict, "{verdict}");
        assert_eq!(verdict["number"], number, "{verdict}");
        assert_eq!(verdict["received_uri"], line.request_uri, "{verdict}");
        if line.verdict == "refuse" {
            assert_eq!(verdict["reason"], line.reason(), "{verdict}");
        }
    }
}
