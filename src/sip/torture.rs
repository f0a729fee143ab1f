//! RFC 4475 and RFC 5118: what this floor decides of each of their messages.
//!
//! The messages themselves are not part of the project: name their folder by
//! `TOLLGATE_CORPORA` (with `rfc4475/*.dat` and `rfc5118/wire-clfixed/*.dat` in it).

use super::error::{Fault, FaultKind};
use super::fields::{self, Essentials};
use super::header::HeaderId;
use super::line::Method;
use super::message::Message;
use super::scan::scan;
use bytes::Bytes;
use std::path::Path;

/// What is decided of a message by its syntax alone.
#[derive(Debug, PartialEq)]
enum Verdict {
    Accept,
    Refuse(FaultKind),
    /// A response that is dropped, or no SIP at all.
    Drop,
}
use FaultKind as F;
use Verdict::{Accept, Drop, Refuse};

fn judge(bytes: Vec<u8>) -> Verdict {
    let Ok(message) = scan(Bytes::from(bytes)) else {
        return Drop;
    };
    match check(&message) {
        Ok(()) => Accept,
        Err(_) if message.status().is_some() => Drop,
        Err(fault) => Refuse(fault.kind),
    }
}

fn check(message: &Message) -> Result<(), Fault> {
    if let Some(fault) = message.fault() {
        return Err(fault);
    }
    Essentials::parse(message)?;
    if message.uri().is_some() {
        fields::request_uri(message)?;
    }
    match message.method() {
        Some(Method::Invite) => fields::contact(message).map(drop),
        _ => fields::addresses(message, HeaderId::Contact).try_for_each(|item| item.map(drop)),
    }
}

/// Runs over a folder; every message in it must have a row.
fn run(folder: &str, rows: &[(&str, Verdict)]) {
    let Ok(corpora) = std::env::var("TOLLGATE_CORPORA") else {
        println!("TOLLGATE_CORPORA is not set: {folder} left out");
        return;
    };
    let folder = Path::new(&corpora).join(folder);
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "dat") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let row = rows.iter().find(|(known, _)| *known == name);
        let (_, expected) = row.unwrap_or_else(|| panic!("{name}: no row"));
        assert_eq!(&judge(std::fs::read(&path).unwrap()), expected, "{name}");
        seen += 1;
    }
    assert_eq!(seen, rows.len(), "messages are missing");
}

/// Where RFC 4475 leaves a choice, the strict one is taken, except for RFC 2543's
/// callers, whose missing branch and tag are legal. What is valid but not for us
/// (an unknown method, a missing extension, Max-Forwards 0) is for the floors above.
#[test]
fn rfc4475() {
    run(
        "rfc4475",
        &[
            ("wsinv", Accept),
            ("intmeth", Accept),
            ("esc01", Accept),
            ("escnull", Accept),
            ("esc02", Accept),
            ("lwsdisp", Accept),
            ("longreq", Accept),
            ("dblreq", Accept),
            ("semiuri", Accept),
            ("transports", Accept),
            ("mpart01", Accept),
            ("unreason", Accept),
            ("noreason", Accept),
            ("badinv01", Refuse(F::Param)),
            ("clerr", Refuse(F::ContentLengthBeyond)),
            ("ncl", Refuse(F::ContentLength)),
            ("scalar02", Refuse(F::CSeq)),
            ("scalarlg", Drop),
            ("quotbal", Refuse(F::QuotedString)),
            ("ltgtruri", Refuse(F::RequestLine)),
            ("lwsruri", Refuse(F::RequestLine)),
            ("lwsstart", Refuse(F::RequestLine)),
            ("trws", Refuse(F::RequestLine)),
            ("escruri", Refuse(F::UriHeaders)),
            ("baddate", Accept),
            ("regbadct", Refuse(F::BareAddress)),
            ("badaspec", Refuse(F::NameAddr)),
            ("baddn", Refuse(F::NoEndOfHead)),
            ("badvers", Refuse(F::Version)),
            ("mismatch01", Refuse(F::CSeqMethod)),
            ("mismatch02", Refuse(F::CSeqMethod)),
            ("bigcode", Drop),
            ("badbranch", Accept),
            ("insuf", Refuse(F::NoFrom)),
            ("unkscm", Refuse(F::UriScheme)),
            ("novelsc", Refuse(F::UriScheme)),
            ("unksm2", Accept),
            ("bext01", Accept),
            ("invut", Accept),
            ("regaut01", Accept),
            ("multi01", Refuse(F::Duplicate)),
            ("mcl01", Refuse(F::ContentLengthConflict)),
            ("bcast", Accept),
            ("zeromf", Accept),
            ("cparam01", Accept),
            ("cparam02", Accept),
            ("regescrt", Accept),
            ("sdp01", Accept),
            ("inv2543", Accept),
        ],
    );
    run(
        "rfc4475/extra",
        &[("baddn-terminated", Refuse(F::DisplayName)), ("test", Drop)],
    );
}

#[test]
fn rfc5118() {
    run(
        "rfc5118/wire-clfixed",
        &[
            ("ipv6-good", Accept),
            ("ipv6-bad", Refuse(F::Host)),
            ("port-ambiguous", Accept),
            ("port-unambiguous", Accept),
            ("via-received-param-with-delim", Accept),
            ("via-received-param-no-delim", Accept),
            ("ipv6-in-sdp", Accept),
            ("mult-ip-in-header", Accept),
            ("mult-ip-in-sdp", Accept),
            ("ipv4-mapped-ipv6", Accept),
            ("ipv6-bug-abnf-3-colons", Accept),
            ("ipv6-correct-abnf-2-colons", Accept),
        ],
    );
}
