//! Reading a message line by line.

use bytes::Bytes;

use super::{Method, OTHER, REL, Span, TIMER, Wire};

/// Headers by number, for the reader's set of those seen.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Header {
    Via,
    From,
    To,
    CallId,
    CSeq,
    MaxForwards,
    Contact,
    Route,
    RecordRoute,
    RSeq,
    RAck,
    SessionExpires,
    MinSe,
    Supported,
    Require,
    Allow,
    Reason,
    Identity,
    Privacy,
    ContentType,
    ContentLength,
    /// Others that the core may send, and that may appear once.
    Plain,
    /// Whatever else.
    Foreign,
}

impl Header {
    /// The headers whose names are this long.
    fn of_length(length: usize) -> &'static [(&'static str, Header)] {
        match length {
            1 => &[
                ("v", Header::Via),
                ("f", Header::From),
                ("t", Header::To),
                ("i", Header::CallId),
                ("m", Header::Contact),
                ("l", Header::ContentLength),
                ("c", Header::ContentType),
                ("k", Header::Supported),
                ("x", Header::SessionExpires),
            ],
            2 => &[("To", Header::To)],
            3 => &[("Via", Header::Via)],
            4 => &[
                ("From", Header::From),
                ("CSeq", Header::CSeq),
                ("RSeq", Header::RSeq),
                ("RAck", Header::RAck),
            ],
            5 => &[
                ("Route", Header::Route),
                ("Allow", Header::Allow),
                ("Event", Header::Plain),
            ],
            6 => &[
                ("Min-SE", Header::MinSe),
                ("Reason", Header::Reason),
                ("Accept", Header::Plain),
            ],
            7 => &[
                ("Call-ID", Header::CallId),
                ("Contact", Header::Contact),
                ("Require", Header::Require),
                ("Privacy", Header::Privacy),
                ("Expires", Header::Plain),
                ("Warning", Header::Plain),
            ],
            9 => &[("Supported", Header::Supported)],
            11 => &[
                ("Retry-After", Header::Plain),
                ("Unsupported", Header::Plain),
            ],
            12 => &[
                ("Max-Forwards", Header::MaxForwards),
                ("Content-Type", Header::ContentType),
                ("Record-Route", Header::RecordRoute),
                ("MIME-Version", Header::Plain),
            ],
            13 => &[("P-Early-Media", Header::Plain)],
            14 => &[("Content-Length", Header::ContentLength)],
            15 => &[
                ("Session-Expires", Header::SessionExpires),
                ("Accept-Encoding", Header::Plain),
                ("Accept-Language", Header::Plain),
            ],
            16 => &[
                ("Content-Encoding", Header::Plain),
                ("Content-Language", Header::Plain),
            ],
            18 => &[("Subscription-State", Header::Plain)],
            19 => &[
                ("P-Asserted-Identity", Header::Identity),
                ("Content-Disposition", Header::Plain),
            ],
            _ => &[],
        }
    }

    fn read(name: &[u8]) -> Self {
        let known = Self::of_length(name.len()).iter();
        let mut same = known.filter(|(text, _)| name.eq_ignore_ascii_case(text.as_bytes()));
        same.next().map_or(Self::Foreign, |&(_, id)| id)
    }
}

/// A message that is being read.
pub struct Reader {
    wire: Wire,
    strict: bool,
    seen: u32,
    length: Option<usize>,
}

impl Reader {
    /// Fills in what an empty message's bytes hold.
    pub fn read(wire: Wire, strict: bool) -> Result<Wire, String> {
        let mut reader = Self {
            wire,
            strict,
            seen: 0,
            length: None,
        };
        reader.run()?;
        Ok(reader.wire)
    }

    fn run(&mut self) -> Result<(), String> {
        let bytes = self.wire.bytes.clone();
        if bytes.len() > 60_000 {
            return Err("larger than a datagram".into());
        }
        let mut at = 0;
        let mut first = true;
        loop {
            let Some(feed) = memchr::memchr(b'\n', &bytes[at..]) else {
                return Err("the head has no end".into());
            };
            let mut end = at + feed;
            if end == at || bytes[end - 1] != b'\r' {
                return Err(format!("bare LF at {end}"));
            }
            end -= 1;
            let next = end + 2;
            if end == at && !first {
                at = next;
                break;
            }
            if !self.strict && matches!(bytes.get(next), Some(b' ' | b'\t')) {
                return self.folded();
            }
            if self.strict {
                printable(&bytes[at..end], at)?;
            }
            if first {
                self.start_line(&bytes[at..end])?;
                first = false;
            } else {
                self.field(&bytes[at..end], at)?;
            }
            at = next;
        }
        self.wire.body = at as u16;
        self.finish()
    }

    /// Reads a message with folds by reading it again with the folds
    /// turned to spaces: offsets stay the same.
    fn folded(&mut self) -> Result<(), String> {
        let original = self.wire.bytes.clone();
        let mut flat = original.to_vec();
        let head = memchr::memmem::find(&flat, b"\r\n\r\n").unwrap_or(flat.len());
        for i in 0..head.saturating_sub(2) {
            if flat[i] == b'\r' && matches!(flat[i + 2], b' ' | b'\t') {
                flat[i] = b' ';
                flat[i + 1] = b' ';
            }
        }
        let mut wire = Wire::read(Bytes::from(flat), self.strict)?;
        wire.hash = super::hash(&original);
        wire.bytes = original;
        self.wire = wire;
        Ok(())
    }

    fn start_line(&mut self, line: &[u8]) -> Result<(), String> {
        let wire = &mut self.wire;
        if let Some(rest) = line.strip_prefix(b"SIP/2.0 ") {
            let code = number(rest.get(..3).unwrap_or_default())?;
            if rest.get(3) != Some(&b' ') || !(100..700).contains(&code) {
                return Err("a bad status line".into());
            }
            wire.code = code as u16;
            return Ok(());
        }
        let space = memchr::memchr(b' ', line).ok_or("no space in the start line")?;
        let last = memchr::memrchr(b' ', line).ok_or("no space in the start line")?;
        if last <= space || &line[last..] != b" SIP/2.0" {
            return Err("a bad request line".into());
        }
        wire.method = Method::read(&line[..space]);
        wire.uri = Span(space as u16 + 1, last as u16);
        if line[space + 1..last].contains(&b' ') {
            return Err("a space in the Request-URI".into());
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8], at: usize) -> Result<(), String> {
        let colon = memchr::memchr(b':', line).ok_or("a header without a colon")?;
        let name = line[..colon].trim_ascii_end();
        let mut start = colon + 1;
        let mut end = line.len();
        while start < end && line[start].is_ascii_whitespace() {
            start += 1;
        }
        while end > start && line[end - 1].is_ascii_whitespace() {
            end -= 1;
        }
        let id = Header::read(name);
        if self.strict {
            self.allowed(id, name, &line[colon..])?;
        }
        self.seen |= 1 << (id as u8);
        let value = &line[start..end];
        let span = Span((at + start) as u16, (at + end) as u16);
        self.value(id, value, span)
    }

    fn allowed(&self, id: Header, name: &[u8], rest: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(name);
        if id == Header::Foreign {
            return Err(format!("the header {text} is on no allow-list"));
        }
        if name.len() == 1 {
            return Err(format!("the compact header {text}"));
        }
        if rest.get(1) != Some(&b' ') {
            return Err(format!("no space after {text}:"));
        }
        let many = matches!(
            id,
            Header::Via
                | Header::Route
                | Header::RecordRoute
                | Header::Plain
                | Header::Reason
                | Header::Identity
        );
        if !many && self.seen & (1 << (id as u8)) != 0 {
            return Err(format!("{text} twice"));
        }
        Ok(())
    }

    fn value(&mut self, id: Header, value: &[u8], span: Span) -> Result<(), String> {
        let wire = &mut self.wire;
        match id {
            Header::Via => {
                wire.vias += 1;
                if wire.vias == 1 {
                    wire.via = span;
                    wire.branch = parameter(value, b";branch=", span);
                }
            }
            Header::From => {
                wire.from = span;
                wire.from_tag = parameter(value, b";tag=", span);
            }
            Header::To => {
                wire.to = span;
                wire.to_tag = parameter(value, b";tag=", span);
            }
            Header::CallId => wire.call_id = span,
            Header::CSeq => {
                let (count, method) = two(value)?;
                wire.cseq = number(count)?;
                let method = Method::read(method);
                if wire.code == 0 && wire.method != method {
                    return Err("CSeq names another method".into());
                }
                wire.method = method;
            }
            Header::MaxForwards => wire.max_forwards = u8::try_from(number(value)?).ok(),
            Header::Contact => wire.contact = angle(value, span),
            Header::Route => {
                wire.routes += 1;
                if wire.routes == 1 {
                    wire.route = span;
                }
            }
            Header::RecordRoute => wire.record_route = span,
            Header::RSeq => wire.rseq = number(value)?,
            Header::RAck => {
                let (rseq, rest) = two(value)?;
                wire.rack = Some((number(rseq)?, number(two(rest)?.0)?));
            }
            Header::SessionExpires => wire.session = Some(session(value)?),
            Header::MinSe => wire.min_se = number(value)?,
            Header::Supported => wire.supported |= options(value),
            Header::Require => wire.required |= options(value),
            Header::Allow => wire.allow = true,
            Header::Reason => wire.reason = span,
            Header::Identity => wire.identity = span,
            Header::Privacy => wire.privacy = span,
            Header::ContentType => wire.content_type = span,
            Header::ContentLength => self.length = Some(number(value)? as usize),
            Header::Plain | Header::Foreign => {}
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), String> {
        let wire = &self.wire;
        let body = wire.body().len();
        for (id, name) in [
            (Header::Via, "Via"),
            (Header::From, "From"),
            (Header::To, "To"),
            (Header::CallId, "Call-ID"),
            (Header::CSeq, "CSeq"),
        ] {
            if self.seen & (1 << (id as u8)) == 0 {
                return Err(format!("no {name}"));
            }
        }
        if !self.strict {
            return Ok(());
        }
        match self.length {
            None => return Err("no Content-Length".into()),
            Some(length) if length != body => {
                return Err(format!("Content-Length {length}, but the body has {body}"));
            }
            Some(_) => {}
        }
        if (body > 0) == wire.content_type.is_empty() {
            return Err(format!("Content-Type and a body of {body}"));
        }
        if wire.from_tag.is_empty() || wire.call_id.is_empty() || wire.branch.is_empty() {
            return Err("an empty From tag, Call-ID or branch".into());
        }
        if wire.is_request() && wire.max_forwards.is_none() {
            return Err("no Max-Forwards".into());
        }
        Ok(())
    }
}

fn printable(line: &[u8], at: usize) -> Result<(), String> {
    match line.iter().position(|&b| b < 0x20 || b == 0x7f) {
        Some(i) => Err(format!("control byte at {}", at + i)),
        None => Ok(()),
    }
}

fn number(text: &[u8]) -> Result<u32, String> {
    if text.is_empty() || text.len() > 10 || !text.iter().all(u8::is_ascii_digit) {
        return Err(format!("no number: {}", String::from_utf8_lossy(text)));
    }
    let value = text.iter().fold(0u64, |n, b| n * 10 + u64::from(b - b'0'));
    u32::try_from(value).map_err(|_| "a number too large".into())
}

fn two(text: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let space = memchr::memchr(b' ', text).ok_or("one word where two belong")?;
    Ok((&text[..space], text[space..].trim_ascii_start()))
}

/// The value of a parameter behind the address, empty if there is none.
fn parameter(value: &[u8], key: &[u8], span: Span) -> Span {
    let from = memchr::memrchr(b'>', value).unwrap_or(0);
    let Some(at) = memchr::memmem::find(&value[from..], key) else {
        return Span::default();
    };
    let start = from + at + key.len();
    let end = value[start..]
        .iter()
        .position(|b| matches!(b, b';' | b',' | b' '))
        .map_or(value.len(), |n| start + n);
    Span(span.0 + start as u16, span.0 + end as u16)
}

/// The URI between angle brackets, or the whole up to a parameter.
fn angle(value: &[u8], span: Span) -> Span {
    let open = memchr::memchr(b'<', value).map_or(0, |n| n + 1);
    let close = memchr::memchr2(b'>', b',', &value[open..]).map_or(value.len(), |n| open + n);
    Span(span.0 + open as u16, span.0 + close as u16)
}

fn session(value: &[u8]) -> Result<(u32, Option<bool>), String> {
    let mut parts = value.split(|&b| b == b';');
    let seconds = number(parts.next().unwrap_or_default().trim_ascii())?;
    let mut refresher = None;
    for part in parts {
        match part.trim_ascii() {
            b"refresher=uac" => refresher = Some(true),
            b"refresher=uas" => refresher = Some(false),
            _ => {}
        }
    }
    Ok((seconds, refresher))
}

fn options(value: &[u8]) -> u8 {
    value
        .split(|&b| b == b',')
        .map(|tag| match tag.trim_ascii() {
            b"100rel" => REL,
            b"timer" => TIMER,
            b"" => 0,
            _ => OTHER,
        })
        .fold(0, |all, tag| all | tag)
}
