//! The start line: methods, status codes and their phrases (RFC 3261 §7.1, §7.2, §21).

use super::words;

/// The longest method name, in bytes. A request with a longer one has the fault
/// [`MethodTooLong`](super::FaultKind::MethodTooLong).
pub const MAX_METHOD: usize = 64;

macro_rules! methods {
    ($($name:ident $text:literal $rfc:literal,)+) => {
        /// A request's method. Names are case-sensitive (RFC 3261 §7.1).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Method {
            $(#[doc = concat!("`", $text, "` (", $rfc, ")")] $name,)+
            /// Any other token; its text is in the message.
            Other,
        }

        impl Method {
            /// Every method known by name, without [`Self::Other`].
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name as it is written; empty for [`Self::Other`].
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Other => "",
                }
            }
        }
    };
}

methods! {
    Invite "INVITE" "RFC 3261 §13",
    Ack "ACK" "RFC 3261 §13",
    Bye "BYE" "RFC 3261 §15",
    Cancel "CANCEL" "RFC 3261 §9",
    Options "OPTIONS" "RFC 3261 §11",
    Register "REGISTER" "RFC 3261 §10",
    Prack "PRACK" "RFC 3262",
    Update "UPDATE" "RFC 3311",
    Info "INFO" "RFC 6086",
    Refer "REFER" "RFC 3515",
    Notify "NOTIFY" "RFC 6665",
    Subscribe "SUBSCRIBE" "RFC 6665",
    Message "MESSAGE" "RFC 3428",
    Publish "PUBLISH" "RFC 3903",
}

/// Names of at most eight bytes as words, by [`slot`].
static BY_SLOT: [(u64, Method); SLOTS] = by_slot();

/// The table's size. It and [`FACTOR`] are chosen so that no two names share a slot;
/// the compiler checks that.
const SLOTS: usize = 16;

/// See [`slot`].
const FACTOR: u64 = 0xc3ec_711d_83ef_5f0b;

impl Method {
    /// The method of this name.
    #[inline]
    #[must_use]
    pub fn lookup(name: &[u8]) -> Self {
        match name {
            b"SUBSCRIBE" => Self::Subscribe,
            _ if name.len() > 8 => Self::Other,
            _ => Self::of_word(words::short(name)),
        }
    }

    /// The method of a name of at most eight bytes, given as a word with zeros
    /// behind it.
    #[inline]
    pub(crate) fn of_word(name: u64) -> Self {
        match BY_SLOT.get(slot(name)) {
            Some((known, method)) if *known == name => *method,
            _ => Self::Other,
        }
    }
}

#[inline]
const fn slot(name: u64) -> usize {
    (name.wrapping_mul(FACTOR) >> 60) as usize
}

#[expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "run by the compiler only"
)]
const fn by_slot() -> [(u64, Method); SLOTS] {
    let mut table = [(0, Method::Other); SLOTS];
    let mut at = 0;
    while at < Method::ALL.len() {
        let name = Method::ALL[at].as_str().as_bytes();
        if name.len() <= 8 {
            let name = words::of(name);
            if table[slot(name)].0 != 0 {
                panic!("two methods share a slot: choose another factor");
            }
            table[slot(name)] = (name, Method::ALL[at]);
        }
        at += 1;
    }
    table
}

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'m> {
    /// A request line.
    Request {
        /// The method.
        method: Method,
        /// The Request-URI as received; [`Uri::parse`](super::Uri::parse) reads it.
        uri: &'m [u8],
    },
    /// A status line.
    Response {
        /// The status code, 100 to 699.
        code: u16,
        /// The reason phrase, which may be empty.
        reason: &'m [u8],
    },
}

/// The phrase of a status code (RFC 3261 §21 and the extensions in use), or that
/// of its class.
#[must_use]
pub const fn reason_phrase(code: u16) -> &'static [u8] {
    match code {
        100 => b"Trying",
        180 => b"Ringing",
        181 => b"Call Is Being Forwarded",
        182 => b"Queued",
        183 => b"Session Progress",
        199 => b"Early Dialog Terminated",
        200 => b"OK",
        202 => b"Accepted",
        204 => b"No Notification",
        300 => b"Multiple Choices",
        301 => b"Moved Permanently",
        302 => b"Moved Temporarily",
        305 => b"Use Proxy",
        380 => b"Alternative Service",
        400..=499 => request_failure(code),
        500 => b"Server Internal Error",
        501 => b"Not Implemented",
        502 => b"Bad Gateway",
        503 => b"Service Unavailable",
        504 => b"Server Time-out",
        505 => b"Version Not Supported",
        513 => b"Message Too Large",
        580 => b"Precondition Failure",
        600 => b"Busy Everywhere",
        603 => b"Decline",
        604 => b"Does Not Exist Anywhere",
        606 => b"Not Acceptable",
        607 => b"Unwanted",
        608 => b"Rejected",
        _ => match code / 100 {
            1 => b"Progress",
            2 => b"OK",
            3 => b"Redirection",
            5 => b"Server Failure",
            _ => b"Global Failure",
        },
    }
}

/// The phrase of a code from 400 to 499.
const fn request_failure(code: u16) -> &'static [u8] {
    match code {
        400 => b"Bad Request",
        401 => b"Unauthorized",
        402 => b"Payment Required",
        403 => b"Forbidden",
        404 => b"Not Found",
        405 => b"Method Not Allowed",
        406 => b"Not Acceptable",
        407 => b"Proxy Authentication Required",
        408 => b"Request Timeout",
        410 => b"Gone",
        412 => b"Conditional Request Failed",
        413 => b"Request Entity Too Large",
        414 => b"Request-URI Too Long",
        415 => b"Unsupported Media Type",
        416 => b"Unsupported URI Scheme",
        420 => b"Bad Extension",
        421 => b"Extension Required",
        422 => b"Session Interval Too Small",
        423 => b"Interval Too Brief",
        428 => b"Use Identity Header",
        433 => b"Anonymity Disallowed",
        469 => b"Bad Info Package",
        480 => b"Temporarily Unavailable",
        481 => b"Call/Transaction Does Not Exist",
        482 => b"Loop Detected",
        483 => b"Too Many Hops",
        484 => b"Address Incomplete",
        485 => b"Ambiguous",
        486 => b"Busy Here",
        487 => b"Request Terminated",
        488 => b"Not Acceptable Here",
        489 => b"Bad Event",
        491 => b"Request Pending",
        493 => b"Undecipherable",
        494 => b"Security Agreement Required",
        _ => b"Request Failure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_by_their_exact_name() {
        for &method in Method::ALL {
            assert_eq!(Method::lookup(method.as_str().as_bytes()), method);
        }
        for other in [
            "invite",
            "INVITE ",
            "",
            "RE%47IST%45R",
            "NEWMETHOD",
            "SUBSCRIB",
            "REGISTERS",
            "SUBSCRIBES",
        ] {
            assert_eq!(Method::lookup(other.as_bytes()), Method::Other);
        }
    }

    #[test]
    fn every_code_has_a_phrase() {
        assert_eq!(reason_phrase(603), b"Decline");
        assert_eq!(reason_phrase(199 + 300), b"Request Failure");
        assert!((100..700).all(|code| !reason_phrase(code).is_empty()));
    }
}
