//! Header field names: RFC 3261 §20 and its extensions.

use super::words;

macro_rules! headers {
    ($($(#[doc = $doc:literal])* $id:ident $name:literal $($compact:literal)? $(, $single:ident)?;)+) => {
        /// A header field that Tollgate knows by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum HeaderId {
            $(#[doc = concat!("`", $name, "`")] $(#[doc = $doc])* $id,)+
            /// A name that is not in this list.
            Other,
        }

        impl HeaderId {
            /// Every known header field, in the order of the enum; without [`Self::Other`].
            pub const ALL: &'static [Self] = &[$(Self::$id,)+];

            /// The name in full, as it is written; empty for [`Self::Other`].
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$id => $name,)+
                    Self::Other => "",
                }
            }

            /// The compact form (RFC 3261 §7.3.3), where there is one.
            #[must_use]
            pub const fn compact(self) -> Option<u8> {
                match self {
                    $($(Self::$id => Some($compact),)?)+
                    _ => None,
                }
            }

            /// Whether it may occur once only: its grammar is no comma list
            /// (RFC 3261 §7.3.1), and it is no challenge or credential.
            #[must_use]
            pub const fn single(self) -> bool {
                match self {
                    $($(Self::$id => headers!(@$single),)?)+
                    _ => false,
                }
            }
        }
    };
    (@single) => { true };
}

headers! {
    Via "Via" b'v';
    From "From" b'f', single;
    To "To" b't', single;
    CallId "Call-ID" b'i', single;
    CSeq "CSeq", single;
    MaxForwards "Max-Forwards", single;
    Contact "Contact" b'm';
    Route "Route";
    RecordRoute "Record-Route";
    ContentType "Content-Type" b'c', single;
    ContentLength "Content-Length" b'l', single;
    ContentEncoding "Content-Encoding" b'e';
    ContentDisposition "Content-Disposition", single;
    ContentLanguage "Content-Language";
    MimeVersion "MIME-Version", single;
    Allow "Allow";
    Supported "Supported" b'k';
    Require "Require";
    ProxyRequire "Proxy-Require";
    Unsupported "Unsupported";
    Accept "Accept";
    AcceptEncoding "Accept-Encoding";
    AcceptLanguage "Accept-Language";
    /// (RFC 6665)
    AllowEvents "Allow-Events" b'u';
    /// (RFC 6665)
    Event "Event" b'o', single;
    /// (RFC 6665)
    SubscriptionState "Subscription-State", single;
    /// (RFC 3515)
    ReferTo "Refer-To" b'r', single;
    /// (RFC 3892)
    ReferredBy "Referred-By" b'b', single;
    /// (RFC 3891)
    Replaces "Replaces", single;
    /// (RFC 3326)
    Reason "Reason";
    /// (RFC 3262)
    RSeq "RSeq", single;
    /// (RFC 3262)
    RAck "RAck", single;
    /// (RFC 4028)
    SessionExpires "Session-Expires" b'x', single;
    /// (RFC 4028)
    MinSe "Min-SE", single;
    Expires "Expires", single;
    MinExpires "Min-Expires", single;
    RetryAfter "Retry-After", single;
    Warning "Warning";
    Date "Date", single;
    Timestamp "Timestamp", single;
    Subject "Subject" b's', single;
    UserAgent "User-Agent", single;
    Server "Server", single;
    Organization "Organization", single;
    Priority "Priority", single;
    AlertInfo "Alert-Info";
    CallInfo "Call-Info";
    ErrorInfo "Error-Info";
    InReplyTo "In-Reply-To";
    ReplyTo "Reply-To", single;
    Authorization "Authorization";
    ProxyAuthorization "Proxy-Authorization";
    WwwAuthenticate "WWW-Authenticate";
    ProxyAuthenticate "Proxy-Authenticate";
    AuthenticationInfo "Authentication-Info";
    /// (RFC 3325)
    PAssertedIdentity "P-Asserted-Identity";
    /// (RFC 3325)
    PPreferredIdentity "P-Preferred-Identity";
    /// (RFC 5009)
    PEarlyMedia "P-Early-Media";
    /// (RFC 7315)
    PChargingVector "P-Charging-Vector", single;
    /// (RFC 3323)
    Privacy "Privacy";
    /// (draft-ietf-sip-privacy-04)
    RemotePartyId "Remote-Party-ID";
    /// (RFC 5806)
    Diversion "Diversion";
    /// (RFC 7044)
    HistoryInfo "History-Info";
    /// (RFC 8224)
    Identity "Identity" b'y';
    /// (RFC 3327)
    Path "Path";
    /// (RFC 3608)
    ServiceRoute "Service-Route";
    /// (RFC 3911)
    Join "Join", single;
    /// (RFC 6442)
    Geolocation "Geolocation";
}

/// How many values [`HeaderId`] has, `Other` included.
pub(crate) const IDS: usize = HeaderId::ALL.len() + 1;

/// The longest name, in words of eight bytes.
const WORDS: usize = 3;

/// A name as words: the bytes in order, zeros behind them.
type Words = [u64; WORDS];

/// A known name, for comparing whole words.
#[derive(Clone, Copy)]
struct Name {
    /// The name in lower case.
    lower: Words,
    /// The bit that tells upper from lower case, at its letters.
    case: Words,
}

/// Slots of the table of names. Its size and [`FACTOR`] are chosen so that no two
/// names share a slot; the compiler checks that.
const SLOTS: usize = 256;

/// See [`slot`].
const FACTOR: u64 = 0x4882_dbc8_f75a_3577;

/// Which name may stand in a slot, and its length.
static BY_SLOT: [(HeaderId, u8); SLOTS] = by_slot();

/// The names in the order of the enum.
static NAMES: [Name; IDS] = names();

/// Compact forms by the low five bits of their letter.
static COMPACT: [HeaderId; 32] = compact_forms();

impl HeaderId {
    /// The header field of this name, in any case, full or compact, without white
    /// space around it.
    #[must_use]
    pub fn lookup(name: &[u8]) -> Self {
        match name {
            [letter] => compact(*letter),
            _ if name.len() > 8 * WORDS => Self::Other,
            _ => known(words_of(name), name.len()).map_or(Self::Other, |(id, _)| id),
        }
    }

    /// The known header field at the start of a line that goes on for a while, with
    /// the colon right behind its name; and how long the name is.
    #[inline(always)]
    pub(crate) fn at_start(line: &[u8]) -> Option<(Self, usize)> {
        let [a, b] = line.first_chunk::<16>()?.as_chunks::<8>().0 else {
            return None;
        };
        let a = u64::from_le_bytes(*a);
        let found = words::equal(a, b':');
        if found != 0 {
            let length = words::lowest(found);
            return known([a & words::before(found), 0, 0], length);
        }
        let b = u64::from_le_bytes(*b);
        let found = words::equal(b, b':');
        if found == 0 {
            return Self::long_at_start(line);
        }
        let length = 8 + words::lowest(found);
        known([a, b & words::before(found), 0], length)
    }

    /// [`Self::at_start`] for names of more than fifteen bytes.
    fn long_at_start(line: &[u8]) -> Option<(Self, usize)> {
        let [a, b, c] = line.first_chunk::<24>()?.as_chunks::<8>().0 else {
            return None;
        };
        let [a, b, c] = [a, b, c].map(|word| u64::from_le_bytes(*word));
        let found = words::equal(c, b':');
        let length = 16 + words::lowest(found);
        known([a, b, c & words::before(found)], length)
    }
}

#[inline]
fn compact(letter: u8) -> HeaderId {
    COMPACT
        .get(usize::from(letter & 0x1f))
        .copied()
        .filter(|_| letter.is_ascii_alphabetic())
        .unwrap_or(HeaderId::Other)
}

/// The header field of a name of this length, and the length.
#[inline(always)]
fn known(name: Words, length: usize) -> Option<(HeaderId, usize)> {
    let &(id, expected) = BY_SLOT.get(slot(name))?;
    let Name { lower, case } = NAMES.get(id as usize)?;
    // Word by word: arrays would go through memory to be compared. The words behind
    // the name are zero, as the length says that they should be.
    let ([a, b, c], [case_a, case_b, case_c]) = (name, case);
    let [lower_a, lower_b, lower_c] = lower;
    let same = a | case_a == *lower_a
        && (length <= 8 || b | case_b == *lower_b)
        && (length <= 16 || c | case_c == *lower_c);
    (same && usize::from(expected) == length).then_some((id, length))
}

/// A perfect hash of the known names in any case. The first two words tell them apart.
#[inline]
const fn slot([a, b, _]: Words) -> usize {
    let (a, b) = (a | words::repeat(0x20), b | words::repeat(0x20));
    ((a ^ b.rotate_left(5)).wrapping_mul(FACTOR) >> 56) as usize
}

/// A name of at most 24 bytes as words.
const fn words_of(name: &[u8]) -> Words {
    let mut words = [0; WORDS];
    let mut rest = name;
    let mut at = 0;
    while let Some((first, tail)) = rest.split_first() {
        let [a, b, c] = &mut words;
        let word = match at / 8 {
            0 => a,
            1 => b,
            _ => c,
        };
        *word |= (*first as u64) << (8 * (at % 8));
        rest = tail;
        at += 1;
    }
    words
}

#[expect(clippy::indexing_slicing, reason = "run by the compiler only")]
const fn names() -> [Name; IDS] {
    let mut table = [Name {
        lower: [u64::MAX; WORDS],
        case: [0; WORDS],
    }; IDS];
    let mut at = 0;
    while at < HeaderId::ALL.len() {
        let name = words_of(HeaderId::ALL[at].name().as_bytes());
        let mut word = 0;
        while word < WORDS {
            // In a name there are letters, which have the bit 0x40, and hyphens.
            let case = (name[word] & 0x4040_4040_4040_4040) >> 1;
            table[at].case[word] = case;
            table[at].lower[word] = name[word] | case;
            word += 1;
        }
        at += 1;
    }
    table
}

#[expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "run by the compiler only"
)]
const fn by_slot() -> [(HeaderId, u8); SLOTS] {
    let mut table = [(HeaderId::Other, 0); SLOTS];
    let mut at = 0;
    while at < HeaderId::ALL.len() {
        let name = HeaderId::ALL[at].name().as_bytes();
        let slot = slot(words_of(name));
        if !matches!(table[slot], (HeaderId::Other, _)) {
            panic!("two header names share a slot: choose another factor");
        }
        table[slot] = (HeaderId::ALL[at], name.len() as u8);
        at += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, reason = "run by the compiler only")]
const fn compact_forms() -> [HeaderId; 32] {
    let mut table = [HeaderId::Other; 32];
    let mut at = 0;
    while at < HeaderId::ALL.len() {
        if let Some(letter) = HeaderId::ALL[at].compact() {
            table[(letter & 0x1f) as usize] = HeaderId::ALL[at];
        }
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for &id in HeaderId::ALL {
            assert_eq!(HeaderId::lookup(id.name().as_bytes()), id);
            assert_eq!(HeaderId::lookup(id.name().to_uppercase().as_bytes()), id);
            assert_eq!(HeaderId::lookup(id.name().to_lowercase().as_bytes()), id);
            if let Some(letter) = id.compact() {
                assert_eq!(HeaderId::lookup(&[letter]), id);
                assert_eq!(HeaderId::lookup(&[letter.to_ascii_uppercase()]), id);
            }
        }
    }

    #[test]
    fn other_names_are_other() {
        let others: [&[u8]; 8] = [
            b"",
            b"Vi",
            b"Vib",
            b"C%6Fntact",
            b"Contact ",
            b"z",
            b"6",
            b"X-Call-ID",
        ];
        for name in others {
            assert_eq!(HeaderId::lookup(name), HeaderId::Other, "{name:?}");
        }
    }

    #[test]
    fn what_decides_may_occur_once() {
        assert!(HeaderId::CallId.single() && HeaderId::From.single() && HeaderId::CSeq.single());
        assert!(!HeaderId::Via.single() && !HeaderId::Contact.single());
        assert!(!HeaderId::Other.single() && !HeaderId::Authorization.single());
    }
}
