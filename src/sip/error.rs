//! What can be wrong with a message, and what is answered to it.

use std::fmt;

/// Something wrong in a message or a value, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Where: an offset in bytes. For a fault found in a [`Message`](super::Message)
    /// it counts from the start of the received bytes, for one found in a value
    /// parsed by itself from the start of that value.
    pub at: u16,
}

impl Fault {
    /// A fault at an offset; offsets past 65,535 are shown as 65,535.
    #[must_use]
    pub fn new(kind: FaultKind, at: usize) -> Self {
        Self {
            kind,
            at: u16::try_from(at).unwrap_or(u16::MAX),
        }
    }

    /// The same fault, seen from a text in which the value starts at `base`.
    #[must_use]
    pub fn within(self, base: usize) -> Self {
        Self::new(self.kind, base.saturating_add(usize::from(self.at)))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind.as_str(), self.at)
    }
}

impl std::error::Error for Fault {}

macro_rules! fault_kinds {
    ($($(#[doc = $doc:literal])+ $name:ident => $status:literal $text:literal,)+) => {
        /// What is wrong. [`as_str`](Self::as_str) says it in words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FaultKind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl FaultKind {
            /// Every kind, for tables of counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The fault in words, without a final stop.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The status code that RFC 3261 gives a request with this fault.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                }
            }
        }
    };
}

fault_kinds! {
    /// A CR without LF, or a LF without CR: two boxes would see two messages.
    BareLineBreak => 400 "a CR or LF that is no line end",
    /// A NUL that is not the second byte of a quoted pair.
    Nul => 400 "a NUL byte",
    /// A header field name that is empty or no token (RFC 3261 §25.1), or no colon behind it.
    HeaderName => 400 "a header field name that is no token",
    /// More than [`MAX_FIELDS`](super::scan::MAX_FIELDS) header fields.
    TooManyFields => 400 "too many header fields",
    /// A second copy of a header field that may occur once (RFC 3261 §7.3.1).
    Duplicate => 400 "a second copy of a header field that may occur once",
    /// A Content-Length that is no decimal number below 2^32.
    ContentLength => 400 "a Content-Length that is no number",
    /// Two Content-Length fields that differ.
    ContentLengthConflict => 400 "two Content-Length fields that differ",
    /// A Content-Length larger than what was received.
    ContentLengthBeyond => 400 "a Content-Length beyond the end of the datagram",
    /// A stream message without a Content-Length (RFC 3261 §18.3).
    NoContentLength => 400 "no Content-Length on a stream",
    /// The empty line behind the header fields is missing.
    NoEndOfHead => 400 "no empty line behind the header fields",
    /// The head does not end within [`MAX_HEAD`](super::scan::MAX_HEAD) bytes.
    HeadTooLong => 513 "a message head that is too long",
    /// A body over the framer's limit.
    BodyTooLong => 513 "a message body that is too long",
    /// A request line that is not `Method SP Request-URI SP SIP/2.0`.
    RequestLine => 400 "a malformed request line",
    /// Another version than SIP/2.0.
    Version => 505 "another SIP version than 2.0",
    /// A method over [`MAX_METHOD`](super::line::MAX_METHOD) bytes.
    MethodTooLong => 400 "a method name that is too long",
    /// No Via.
    NoVia => 400 "no Via",
    /// No From.
    NoFrom => 400 "no From",
    /// No To.
    NoTo => 400 "no To",
    /// No Call-ID.
    NoCallId => 400 "no Call-ID",
    /// No CSeq.
    NoCSeq => 400 "no CSeq",
    /// A Via that is not RFC 3261's `via-parm`.
    Via => 400 "a malformed Via",
    /// A Call-ID that is empty, too long, or holds spaces or bytes outside ASCII.
    CallId => 400 "a malformed Call-ID",
    /// A CSeq that is no number below 2^31 and a method.
    CSeq => 400 "a malformed CSeq",
    /// A CSeq whose method is not the request's.
    CSeqMethod => 400 "a CSeq with another method than the request line",
    /// A Max-Forwards that is no number from 0 to 255.
    MaxForwards => 400 "a Max-Forwards that is no number from 0 to 255",
    /// A quoted string that does not end, or holds control bytes.
    QuotedString => 400 "a quoted string that does not end",
    /// An unquoted display name that is no series of tokens.
    DisplayName => 400 "an unquoted display name that is no series of tokens",
    /// Angle brackets that do not match, or something between or behind them.
    NameAddr => 400 "a malformed address",
    /// An address without `<>` that holds a `?` (RFC 3261 §20.10).
    BareAddress => 400 "an address with headers but without angle brackets",
    /// A parameter that is not `;token[=value]`.
    Param => 400 "a malformed parameter",
    /// A tag that is no token, too long, or given twice.
    Tag => 400 "a malformed tag",
    /// A URI that has no scheme, or bytes that its scheme does not allow.
    Uri => 400 "a malformed URI",
    /// A Request-URI of a scheme that is not sip, sips, tel or urn (RFC 3261 §8.2.2.1).
    UriScheme => 416 "a Request-URI of an unknown scheme",
    /// A Request-URI with headers (`?`), which must not have any (RFC 3261 §19.1.1).
    UriHeaders => 400 "a Request-URI with headers in it",
    /// A user or password part that is empty or holds bytes that must be escaped, or a second `@`.
    UserInfo => 400 "a malformed user part in a URI",
    /// A `%` without two hexadecimal digits behind it.
    Escape => 400 "a % without two hexadecimal digits",
    /// A host that is no name and no address.
    Host => 400 "a malformed host",
    /// A port that is no number from 1 to 65,535.
    Port => 400 "a port that is no number from 1 to 65535",
    /// More than one Contact where there must be one (RFC 3261 §8.1.1.8).
    Contacts => 400 "more than one Contact",
    /// A Session-Expires or Min-SE that is not RFC 4028's.
    SessionTimer => 400 "a malformed Session-Expires or Min-SE",
    /// An RSeq or RAck that is not RFC 3262's.
    Reliable => 400 "a malformed RSeq or RAck",
    /// A challenge or credentials that are not RFC 7616's, or leave something open.
    Digest => 400 "a malformed challenge or malformed credentials",
    /// A comma list with an empty element, or something between its elements.
    List => 400 "a malformed list",
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FaultKind {
    /// Whether the message's end is uncertain with this fault, so that a stream
    /// cannot go on behind it.
    #[must_use]
    pub const fn breaks_framing(self) -> bool {
        matches!(
            self,
            Self::BareLineBreak
                | Self::Nul
                | Self::HeaderName
                | Self::TooManyFields
                | Self::ContentLength
                | Self::ContentLengthConflict
                | Self::NoContentLength
                | Self::NoEndOfHead
                | Self::HeadTooLong
                | Self::BodyTooLong
        )
    }
}

/// Why bytes are no message at all: nothing in them could be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unreadable {
    /// The reason.
    pub reason: UnreadableReason,
}

/// See [`Unreadable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnreadableReason {
    /// Nothing, or line ends only: a keep-alive (RFC 5626 §3.5.1).
    Empty,
    /// The first line is neither a request line nor a status line of SIP.
    NotSip,
    /// A status line of another version, or a code outside 100 to 699.
    StatusLine,
}

impl UnreadableReason {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "nothing but line ends",
            Self::NotSip => "no SIP start line",
            Self::StatusLine => "a malformed status line",
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.as_str())
    }
}

impl std::error::Error for Unreadable {}
