//! The simulation's own reader of SIP, which shares nothing with the crate's:
//! strict for what the core sends, lenient for what the peers send.

mod read;

use bytes::Bytes;

use read::Reader;

/// A method of RFC 3261 and its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Prack,
    Update,
    Info,
    Refer,
    Register,
    Message,
    Subscribe,
    Notify,
    Other,
}

impl Method {
    /// The method's name, `XYZZY` for one that nobody defined.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Info => "INFO",
            Self::Refer => "REFER",
            Self::Register => "REGISTER",
            Self::Message => "MESSAGE",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Other => "XYZZY",
        }
    }

    /// The method of that name.
    pub fn read(text: &[u8]) -> Self {
        match text {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"OPTIONS" => Self::Options,
            b"PRACK" => Self::Prack,
            b"UPDATE" => Self::Update,
            b"INFO" => Self::Info,
            b"REFER" => Self::Refer,
            b"REGISTER" => Self::Register,
            b"MESSAGE" => Self::Message,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            _ => Self::Other,
        }
    }
}

/// A stretch of a message's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span(pub u16, pub u16);

impl Span {
    /// Whether there is nothing.
    pub fn is_empty(self) -> bool {
        self.0 == self.1
    }
}

/// `100rel` in [`Wire::supported`] and [`Wire::required`].
pub const REL: u8 = 1;
/// `timer` there.
pub const TIMER: u8 = 2;
/// Any other option tag there.
pub const OTHER: u8 = 4;

/// A message that was read.
#[derive(Clone, Debug)]
pub struct Wire {
    pub bytes: Bytes,
    /// A hash of all bytes: the same for a retransmission.
    pub hash: u64,
    /// The request's method, or the CSeq's in a response.
    pub method: Method,
    /// A response's status; 0 for a request.
    pub code: u16,
    /// The Request-URI.
    pub uri: Span,
    /// The topmost Via's value, and the branch in it.
    pub via: Span,
    pub branch: Span,
    pub vias: u8,
    pub from: Span,
    pub from_tag: Span,
    pub to: Span,
    pub to_tag: Span,
    pub call_id: Span,
    pub cseq: u32,
    pub max_forwards: Option<u8>,
    /// The URI inside Contact.
    pub contact: Span,
    /// The topmost Route, and how many there are.
    pub route: Span,
    pub routes: u8,
    pub record_route: Span,
    pub rseq: u32,
    /// RSeq and CSeq of RAck.
    pub rack: Option<(u32, u32)>,
    /// Session-Expires: seconds, and whether `refresher=uac`.
    pub session: Option<(u32, Option<bool>)>,
    pub min_se: u32,
    pub supported: u8,
    pub required: u8,
    pub allow: bool,
    pub reason: Span,
    pub identity: Span,
    pub privacy: Span,
    pub content_type: Span,
    /// Where the body begins.
    pub body: u16,
    /// Not SIP, or not whole: only `bytes` and `hash` mean anything.
    pub junk: bool,
}

impl Wire {
    /// The text of a span.
    pub fn at(&self, span: Span) -> &[u8] {
        &self.bytes[usize::from(span.0)..usize::from(span.1)]
    }

    /// The text of a span, for people.
    pub fn text(&self, span: Span) -> &str {
        std::str::from_utf8(self.at(span)).unwrap_or("?")
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.bytes[usize::from(self.body)..]
    }

    /// Everything before the body.
    pub fn head(&self) -> &[u8] {
        &self.bytes[..usize::from(self.body)]
    }

    /// Whether this is a request.
    pub fn is_request(&self) -> bool {
        self.code == 0 && !self.junk
    }

    /// Whether this is a response that ends a transaction.
    pub fn is_final(&self) -> bool {
        self.code >= 200
    }

    fn empty(bytes: Bytes) -> Self {
        let hash = hash(&bytes);
        let end = bytes.len() as u16;
        Self {
            bytes,
            hash,
            method: Method::Other,
            code: 0,
            uri: Span::default(),
            via: Span::default(),
            branch: Span::default(),
            vias: 0,
            from: Span::default(),
            from_tag: Span::default(),
            to: Span::default(),
            to_tag: Span::default(),
            call_id: Span::default(),
            cseq: 0,
            max_forwards: None,
            contact: Span::default(),
            route: Span::default(),
            routes: 0,
            record_route: Span::default(),
            rseq: 0,
            rack: None,
            session: None,
            min_se: 0,
            supported: 0,
            required: 0,
            allow: false,
            reason: Span::default(),
            identity: Span::default(),
            privacy: Span::default(),
            content_type: Span::default(),
            body: end,
            junk: false,
        }
    }

    /// Bytes that are meant to be no message.
    pub fn junk(bytes: Bytes) -> Self {
        let mut wire = Self::empty(bytes);
        wire.junk = true;
        wire
    }

    /// Reads a message. With `strict`, everything that the core must never
    /// send is an error: unknown or repeated headers, folds, control bytes,
    /// a Content-Length that is not the body's.
    pub fn read(bytes: Bytes, strict: bool) -> Result<Self, String> {
        Reader::read(Self::empty(bytes), strict)
    }
}

/// A quick hash of bytes, the same in every run.
pub fn hash(bytes: &[u8]) -> u64 {
    use std::hash::BuildHasher;
    foldhash::fast::FixedState::with_seed(7).hash_one(bytes)
}

/// A hash of several parts.
pub fn hash2(a: &[u8], b: &[u8]) -> u64 {
    use std::hash::BuildHasher;
    foldhash::fast::FixedState::with_seed(9).hash_one((a, b))
}
