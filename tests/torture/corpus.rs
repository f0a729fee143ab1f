//! The messages of `tests/corpus/`: the format is in its README.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::expect::{Case, Expected};
use crate::places::{Party, Places};

const SDP: &str = "v=0\\r\\no=- 1 1 IN IP4 192.0.2.1\\r\\ns=-\\r\\nc=IN IP4 192.0.2.1\\r\\nt=0 0\\r\\n\
                   m=audio 4000 RTP/AVP 0 8";

/// One message of the corpus.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) from: Party,
    expected: Expected,
    /// Where the answer arrives, if not at the source: the `at` of `expect`.
    port: Option<u16>,
    why: String,
    lines: Vec<String>,
}

/// Every message of every file, in order of files.
pub(crate) fn read() -> Vec<Entry> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|it| it == "txt"));
    let texts: BTreeSet<_> = texts.collect();
    let mut entries = Vec::new();
    for path in texts {
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("\n[").skip(1) {
            entries.push(entry(block));
        }
    }
    let names: BTreeSet<&str> = entries.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names.len(), entries.len(), "two messages have one name");
    entries
}

fn entry(block: &str) -> Entry {
    let (name, rest) = block.split_once("]\n").unwrap();
    let value = |key: &str| {
        let prefix = format!("{key}: ");
        let found = rest.lines().find_map(|line| line.strip_prefix(&prefix));
        found.unwrap_or_else(|| panic!("{name}: no {key}"))
    };
    let (expected, port) = Expected::parse_with_port(value("expect"));
    let lines = rest.lines().filter_map(|line| line.strip_prefix('|'));
    let entry = Entry {
        name: name.to_owned(),
        from: Party::named(value("from")),
        expected,
        port,
        why: value("why").to_owned(),
        lines: lines.map(str::to_owned).collect(),
    };
    assert!(!entry.why.is_empty(), "{name}: say why");
    for line in rest.lines() {
        let known = ["from: ", "expect: ", "why: ", "|", "#"];
        let known = line.is_empty() || known.iter().any(|start| line.starts_with(start));
        assert!(known, "{name}: {line:?} is no line of an entry");
    }
    entry
}

impl Entry {
    /// The message as it is sent. Every `round` has transactions of its own.
    pub(crate) fn case(&self, places: Places, round: u32) -> Case {
        let source = places.of(self.from);
        let mut answer_at = source;
        answer_at.set_port(self.port.unwrap_or(source.port()));
        Case {
            name: self.name.clone(),
            source,
            bytes: self.bytes(places, round),
            expected: self.expected.clone(),
            answer_at,
        }
    }

    fn bytes(&self, places: Places, round: u32) -> Vec<u8> {
        let first = self.lines.first().map_or("", String::as_str);
        let first = first.trim_start_matches("\\r\\n").trim_start_matches("\\n");
        let writer = Writer {
            places,
            from: self.from,
            id: format!("{}-{round}", self.name),
            method: first.split(' ').next().unwrap_or_default(),
        };
        let mut out = Vec::new();
        for line in &self.lines {
            // An odd number of backslashes at the end: the last one is no escape.
            let slashes = line.len() - line.trim_end_matches('\\').len();
            let (line, end) = match slashes % 2 {
                0 => (line.as_str(), b"\r\n".as_slice()),
                _ => (line.strip_suffix('\\').unwrap(), b"".as_slice()),
            };
            out.extend(unescaped(&writer.expanded(line)));
            out.extend_from_slice(end);
        }
        out
    }
}

/// Fills in what stands between `<<` and `>>`.
struct Writer<'e> {
    places: Places,
    from: Party,
    id: String,
    method: &'e str,
}

impl Writer<'_> {
    fn expanded(&self, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, behind)) = rest.split_once("<<") {
            let (what, behind) = behind.split_once(">>").unwrap();
            out.push_str(before);
            out.push_str(&self.word(what));
            rest = behind;
        }
        out + rest
    }

    fn word(&self, what: &str) -> String {
        if let Some((text, count)) = what.rsplit_once('*') {
            return text.repeat(count.parse().unwrap());
        }
        if let Some(length) = what.strip_prefix("id/") {
            return format!("{:a<width$}", self.id, width = length.parse().unwrap());
        }
        let (places, source) = (self.places, self.places.of(self.from));
        match what {
            "id" => self.id.clone(),
            "here" => places.here().to_string(),
            "source" => source.to_string(),
            "source-host" => source.ip().to_string(),
            "victim" => places.victim().to_string(),
            "victim-host" => places.victim().ip().to_string(),
            "via" => format!("SIP/2.0/UDP {source};rport;branch=z9hG4bK{}", self.id),
            "sdp" => SDP.to_owned(),
            "contact" => format!("Contact: <sip:desk@{source}>"),
            usual => self.usual(usual),
        }
    }

    /// What every request has, but for what is named behind a `-`.
    fn usual(&self, what: &str) -> String {
        let left_out: Vec<&str> = what.split(" -").collect();
        assert_eq!(left_out[0], "usual", "{}: no word {what:?}", self.id);
        let (id, source) = (&self.id, self.places.of(self.from));
        let fields = [
            ("Via", self.word("via")),
            ("Max-Forwards", "70".to_owned()),
            ("From", format!("<sip:+81335570001@{source}>;tag={id}")),
            ("To", format!("<sip:tollgate@{}>", self.places.here())),
            ("Call-ID", format!("{id}@corpus")),
            ("CSeq", format!("1 {}", self.method)),
        ];
        for name in &left_out[1..] {
            assert!(
                fields.iter().any(|(known, _)| known == name),
                "{id}: {name}"
            );
        }
        let kept = fields.iter().filter(|(name, _)| !left_out.contains(name));
        let lines: Vec<_> = kept
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        lines.join("\\r\\n")
    }
}

/// `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH`.
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
            [b'0', ..] => (0, 1),
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
