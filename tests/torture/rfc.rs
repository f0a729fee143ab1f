//! The messages of RFC 4475 and RFC 5118, with what Tollgate answers to each.
//!
//! The RFCs often leave a choice; here it is made. Tollgate carries calls and
//! nothing else: REGISTER and MESSAGE get 405, unknown methods 501. The messages'
//! calls go to names, which are no numbers, so each is judged and refused.

use std::fs;
use std::path::{Path, PathBuf};

use crate::expect::{Case, Expected};
use crate::places::{Places, SIP_PORT};

/// A folder of messages.
pub(crate) struct Folder {
    /// Where `expected.tsv` is.
    name: &'static str,
    /// Where the messages are, below that.
    below: &'static str,
    /// The column of `expected.tsv` that says what may be done.
    column: &'static str,
    rows: &'static [(&'static str, &'static str)],
}

/// A call to something that is no number.
const JUDGED: &str = "603 no-single-meaning";

/// Answers go to 5060 unless it says otherwise: only one message has an rport.
pub(crate) const FOLDERS: [Folder; 2] = [
    Folder {
        name: "rfc4475",
        below: "",
        column: "proxy_or_b2bua",
        rows: &[
            // Its To has a tag: it belongs to a call that there is not.
            ("wsinv", "481"),
            ("intmeth", "501"),
            ("esc01", JUDGED),
            ("escnull", "405"),
            ("esc02", "501"),
            ("lwsdisp", "200"),
            ("longreq", JUDGED),
            ("dblreq", "405"),
            ("semiuri", "200"),
            ("transports", "200"),
            ("mpart01", "405 at 5080"),
            ("unreason", "silence"),
            ("noreason", "silence"),
            // A Via that cannot be read names no port either.
            ("badinv01", "400 at 5080"),
            ("clerr", "400"),
            ("ncl", "400"),
            ("scalar02", "400"),
            ("scalarlg", "silence"),
            ("quotbal", "400 at 5050"),
            ("ltgtruri", "400"),
            ("lwsruri", "400"),
            ("lwsstart", "400"),
            ("trws", "400"),
            // Judged before it is refused: the Request-URI's headers may hide a number.
            ("escruri", JUDGED),
            ("baddate", JUDGED),
            ("regbadct", "405"),
            ("badaspec", "400"),
            ("baddn", "400"),
            ("badvers", "505 at 5080"),
            ("mismatch01", "400"),
            ("mismatch02", "400"),
            ("bigcode", "silence"),
            ("badbranch", "200"),
            ("insuf", "400"),
            ("unkscm", "416"),
            ("novelsc", "416"),
            ("unksm2", "405"),
            ("bext01", "420"),
            ("invut", JUDGED),
            ("regaut01", "405"),
            ("multi01", "400"),
            ("mcl01", "400"),
            ("bcast", "silence"),
            ("zeromf", "483"),
            ("cparam01", "405"),
            ("cparam02", "405"),
            ("regescrt", "405"),
            ("sdp01", JUDGED),
            ("inv2543", JUDGED),
        ],
    },
    Folder {
        name: "rfc5118",
        below: "wire-clfixed",
        column: "must_do",
        rows: &[
            ("ipv6-good", "405"),
            ("ipv6-bad", "400"),
            ("port-ambiguous", "405"),
            ("port-unambiguous", "405"),
            ("via-received-param-with-delim", "481"),
            ("via-received-param-no-delim", "200"),
            ("ipv6-in-sdp", JUDGED),
            ("mult-ip-in-header", "481 at 6050"),
            ("mult-ip-in-sdp", JUDGED),
            ("ipv4-mapped-ipv6", "603 no-single-meaning at 19823"),
            ("ipv6-bug-abnf-3-colons", "200"),
            ("ipv6-correct-abnf-2-colons", "200"),
        ],
    },
];

/// Where the messages are. Without that the test says so, and is passed over; in
/// CI it fails.
pub(crate) fn corpora() -> Option<PathBuf> {
    if let Ok(folder) = std::env::var("TOLLGATE_CORPORA") {
        return Some(folder.into());
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "TOLLGATE_CORPORA must name the RFCs' messages in CI");
    println!("*** TOLLGATE_CORPORA IS NOT SET: RFC 4475 AND RFC 5118 ARE LEFT OUT ***");
    None
}

impl Folder {
    /// Its messages: the phone system's requests, each from a machine of its own,
    /// because several have the same branch; the carrier's responses.
    pub(crate) fn cases(&self, corpora: &Path, places: Places) -> Vec<Case> {
        let folder = corpora.join(self.name).join(self.below);
        let names = fs::read_dir(&folder).unwrap().map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, path)
        });
        let messages = names.filter(|(_, path)| path.extension().is_some_and(|it| it == "dat"));
        let known = |name: &str| self.rows.iter().any(|(row, _)| *row == name);
        for (name, _) in messages {
            assert!(known(&name), "{name}: no row for this message");
        }
        (0..)
            .zip(self.rows)
            .map(|(machine, (name, expected))| {
                let bytes = fs::read(folder.join(format!("{name}.dat"))).unwrap();
                let (expected, port) = Expected::parse_with_port(expected);
                let source = if bytes.starts_with(b"SIP/") {
                    places.carrier()
                } else {
                    places.machine(machine)
                };
                let mut answer_at = source;
                answer_at.set_port(port.unwrap_or(SIP_PORT));
                Case {
                    name: format!("{}/{name}", self.name),
                    source,
                    bytes,
                    expected,
                    answer_at,
                }
            })
            .collect()
    }

    /// Whether each answer is one that `expected.tsv` lets a B2BUA give.
    pub(crate) fn agrees(&self, corpora: &Path) {
        let table = corpora.join(self.name).join("expected.tsv");
        let table = fs::read_to_string(table).unwrap();
        let mut lines = table.lines().map(|line| line.split('\t'));
        let mut header = lines.next().unwrap();
        let column = header.position(|name| name == self.column).unwrap();
        let mut seen = 0;
        for line in lines {
            let cells: Vec<&str> = line.collect();
            let (name, may) = (cells[0], cells[column]);
            let row = self.rows.iter().find(|(row, _)| *row == name).unwrap();
            let (expected, _) = Expected::parse_with_port(row.1);
            assert!(may_be(may, &expected), "{name}: {expected:?} is not {may}");
            seen += 1;
        }
        assert_eq!(seen, self.rows.len());
    }
}

/// Whether an answer is what a cell of the table allows.
fn may_be(cell: &str, answer: &Expected) -> bool {
    let code = match answer {
        Expected::Silence => None,
        Expected::Status(code) => Some(*code),
        Expected::Refused(_) => Some(603),
        Expected::Judged(_) => Some(100),
    };
    // Understood: carried on, or turned away for what it asks. A response is
    // carried on only to where its request came from.
    let understood = !matches!(code, Some(400));
    match cell {
        "400" | "400_udp|wait_close_tcp" => code == Some(400),
        "505" => code == Some(505),
        "416" | "416_or_404" => code == Some(416),
        "420_proxy_require" => code == Some(420),
        "483" => code == Some(483),
        "501_or_400" => matches!(code, Some(400 | 501)),
        "discard" | "drop" => code.is_none(),
        "error_discard_udp|close_tcp" => matches!(code, None | Some(400)),
        "forward_or_reject_by_ruri" => matches!(code, Some(501 | 603)),
        "forward" | "forward_first_only" | "accept" => understood,
        // Never carried on as it is.
        "400_or_strip"
        | "400_or_normalise"
        | "400_or_ignore_sp"
        | "400_or_infer"
        | "ignore_or_400"
        | "accept_or_400"
        | "400_stateless_or_2543" => code.is_some() && !matches!(answer, Expected::Judged(_)),
        _ => panic!("unknown in expected.tsv: {cell}"),
    }
}
