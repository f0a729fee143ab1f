//! Identity (RFC 8224): what its signature covers, as far as it can be seen. Whether it is
//! true is for whoever has the certificate; nothing is fetched here, and nothing verified.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::base::limits::PASSPORT_BYTES;

/// The claims of a PASSporT (RFC 8225 §5) that say who calls whom.
#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    orig: Orig<'a>,
    #[serde(borrow)]
    dest: Dest<'a>,
}

#[derive(Deserialize)]
struct Orig<'a> {
    #[serde(borrow)]
    tn: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Dest<'a> {
    #[serde(borrow)]
    tn: Vec<Cow<'a, str>>,
}

/// Whether an Identity field's value is of a call from `caller` to `called`, both in
/// canonical form: then what it signs is unchanged where exactly these are written.
///
/// The compact form (RFC 8225 §7) is not: it is of a message's own From, To and Date. Nor
/// is one of URIs, which are written afresh; one that is longer than
/// [`PASSPORT_BYTES`]; and a value that may hold another one behind it.
#[must_use]
pub fn is_of(value: &[u8], caller: &str, called: &str) -> bool {
    let mut parts = value.splitn(2, |byte| *byte == b';');
    let (Some(token), Some(parameters)) = (parts.next(), parts.next()) else {
        return false;
    };
    let mut parts = token.trim_ascii().split(|byte| *byte == b'.');
    let (Some(_), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    if signature.is_empty() || value.len() > PASSPORT_BYTES || is_list(parameters) {
        return false;
    }
    let Ok(claims) = URL_SAFE_NO_PAD.decode(claims) else {
        return false;
    };
    let Ok(Claims { orig, dest }) = serde_json::from_slice(&claims) else {
        return false;
    };
    if has_doubles(&claims) {
        return false;
    }
    digits(&orig.tn) == digits(caller) && dest.tn.iter().any(|it| digits(it) == digits(called))
}

/// RFC 8224 §8.3: a number is signed without its plus.
fn digits(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}

/// Whether these parameters may be read as the end of one value and another one behind it,
/// by whoever splits lists: wherever a comma stands, since not all see quotes and brackets
/// alike.
fn is_list(parameters: &[u8]) -> bool {
    parameters.contains(&b',')
}

/// Whether a claim that says who calls whom is there twice for who does not heed case.
fn has_doubles(claims: &[u8]) -> bool {
    let claims: Result<BTreeMap<String, IgnoredAny>, _> = serde_json::from_slice(claims);
    let names = claims.unwrap_or_default();
    let of = |wanted: &str| {
        names
            .keys()
            .filter(|it| it.eq_ignore_ascii_case(wanted))
            .count()
    };
    of("orig") != 1 || of("dest") != 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An Identity of these claims.
    fn identity(claims: &str) -> Vec<u8> {
        let [header, claims] = [r#"{"alg":"ES256"}"#, claims].map(|it| URL_SAFE_NO_PAD.encode(it));
        format!("{header}.{claims}.c2ln;info=<https://c.example/c.pem>;alg=ES256").into_bytes()
    }

    const CALLER: &str = "+81335570001";
    const CALLED: &str = "+442071838750";
    const OF_BOTH: &str = r#"{"attest":"A","dest":{"tn":["1","442071838750"]},"iat":1443208345,"orig":{"tn":"81335570001"},"origid":"x"}"#;

    #[test]
    fn what_is_signed_is_told_by_its_numbers() {
        let good = identity(OF_BOTH);
        assert!(is_of(&good, CALLER, CALLED));
        assert!(!is_of(&good, "+81335570002", CALLED));
        assert!(!is_of(&good, CALLER, "+442071838751"));
        let others = [
            OF_BOTH.replace("\"81335570001\"", "\"81335570001\",\"tn\":\"81335570002\""),
            OF_BOTH.replace("{\"tn\":\"81335570001\"}", "{\"uri\":\"sip:a@b\"}"),
            OF_BOTH.replace("[\"1\",\"442071838750\"]", "\"442071838750\""),
            OF_BOTH.replace('}', ""),
            OF_BOTH.replace("\"iat\"", "\"Orig\":{\"tn\":\"1\"},\"iat\""),
            "[]".repeat(9),
            "[".repeat(4_000),
        ];
        for other in others {
            assert!(!is_of(&identity(&other), CALLER, CALLED), "{other}");
        }
        let text = String::from_utf8(good).unwrap();
        let long = format!("{text};x={}", "y".repeat(PASSPORT_BYTES));
        let twice = format!("{text}, {text}");
        let compact = text[text.find(".c2ln").unwrap()..].to_owned();
        let unsigned = text.replace(".c2ln", ".");
        let bare = text.split(';').next().unwrap().to_owned();
        let quoted = format!("{text};x=\"<\", {text}");
        let open = text.replace(".pem>", &format!(".pem, {text}"));
        for other in [
            quoted,
            open,
            long,
            twice,
            format!(".{compact}"),
            unsigned,
            bare,
        ] {
            assert!(!is_of(other.as_bytes(), CALLER, CALLED), "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read(value in ".{0,200}", claims in ".{0,200}") {
            let _ = is_of(value.as_bytes(), CALLER, CALLED);
            prop_assert!(!is_of(&identity(&claims), CALLER, CALLED));
        }
    }
}
