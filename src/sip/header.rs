//! Header field names: RFC 3261 §20 and its extensions.

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

/// Slots of the name table. Its size and [`FACTORS`] are chosen so that no two
/// names share a slot; the compiler checks that.
const SLOTS: usize = 256;

/// See [`slot`].
const FACTORS: (usize, usize, usize, usize) = (3, 141, 19, 203);

/// Full names by slot.
static NAMES: [HeaderId; SLOTS] = names();

/// Compact forms by the low five bits of their letter.
static COMPACT: [HeaderId; 32] = compact_forms();

impl HeaderId {
    /// The header field of this name, in any case, full or compact, without
    /// white space around it.
    #[must_use]
    pub fn lookup(name: &[u8]) -> Self {
        if let [letter] = name {
            return COMPACT
                .get(usize::from(*letter & 0x1f))
                .copied()
                .filter(|_| letter.is_ascii_alphabetic())
                .unwrap_or(Self::Other);
        }
        let found = NAMES.get(slot(name)).copied().unwrap_or(Self::Other);
        let full = found.name().as_bytes();
        if name == full || name.eq_ignore_ascii_case(full) {
            found
        } else {
            Self::Other
        }
    }
}

/// A perfect hash of the known names: of the length and three of the bytes, in
/// lower case.
const fn slot(name: &[u8]) -> usize {
    let length = name.len();
    let (_, from_middle) = name.split_at(length / 2);
    let (Some(first), Some(middle), Some(last)) = (name.first(), from_middle.first(), name.last())
    else {
        return 0;
    };
    let mix = (*first | 0x20) as usize * FACTORS.0
        + (*last | 0x20) as usize * FACTORS.1
        + (*middle | 0x20) as usize * FACTORS.2
        + length * FACTORS.3;
    mix % SLOTS
}

#[expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "run by the compiler only"
)]
const fn names() -> [HeaderId; SLOTS] {
    let mut table = [HeaderId::Other; SLOTS];
    let mut at = 0;
    while at < HeaderId::ALL.len() {
        let id = HeaderId::ALL[at];
        let slot = slot(id.name().as_bytes());
        if !matches!(table[slot], HeaderId::Other) {
            panic!("two header names share a slot: choose other factors");
        }
        table[slot] = id;
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
