//! What must come of a message, and whether it did.

use std::net::SocketAddr;

use bytes::Bytes;
use tollgate::sip::{Essentials, Message, StartLine, Uri, scan};

use crate::text;
use crate::world::{Heard, World};

/// What must come of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Not a byte.
    Silence,
    /// One answer with this code, and nothing else.
    Status(u16),
    /// One 603, with this reason.
    Refused(String),
    /// An INVITE to the other side, with this user part or URI, and 100 back.
    Judged(String),
}

impl Expected {
    /// `silence`, `400`, `603 no-single-meaning`, `judged +442071838750`.
    pub(crate) fn parse(text: &str) -> Self {
        match text.split_once(' ').unwrap_or((text, "")) {
            ("silence", "") => Self::Silence,
            ("603", reason) if !reason.is_empty() => Self::Refused(reason.into()),
            ("judged", number) if !number.is_empty() => Self::Judged(number.into()),
            (code, "") if code != "603" => Self::Status(code.parse().unwrap()),
            _ => panic!("nothing can be expected as {text:?}"),
        }
    }

    /// The same with `at port` behind it.
    pub(crate) fn parse_with_port(text: &str) -> (Self, Option<u16>) {
        match text.split_once(" at ") {
            Some((expected, port)) => (Self::parse(expected), Some(port.parse().unwrap())),
            None => (Self::parse(text), None),
        }
    }

    pub(crate) fn packets(&self) -> usize {
        match self {
            Self::Silence => 0,
            Self::Status(_) | Self::Refused(_) => 1,
            Self::Judged(_) => 2,
        }
    }
}

/// A message to be sent, and what must come of it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) source: SocketAddr,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
    /// Where an answer must arrive.
    pub(crate) answer_at: SocketAddr,
}

/// Header fields that an answer of Tollgate's own may have.
pub(crate) const OF_ANSWERS: [&str; 12] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Allow",
    "Accept",
    "Supported",
    "Unsupported",
    "Reason",
    "Min-SE",
    "Content-Length",
];

/// Header fields that may be in an INVITE that Tollgate sends.
pub(crate) const OF_INVITES: [&str; 24] = [
    "Via",
    "Max-Forwards",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Allow",
    "Supported",
    "Require",
    "Session-Expires",
    "Min-SE",
    "P-Asserted-Identity",
    "Privacy",
    "Content-Type",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "MIME-Version",
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Reason",
    "Content-Length",
];

/// Sends a case's message and sees what comes of it, to the end.
pub(crate) fn run(world: &mut impl World, case: &Case) -> Result<(), String> {
    let want = case.expected.packets();
    world.listen(case.answer_at);
    let heard = world.tell(case.source, &case.bytes, want);
    outcome(world, case, &heard).map_err(|fault| {
        let heard: Vec<String> = heard.iter().map(Heard::show).collect();
        format!(
            "{}: {fault}\n  expected {:?}, heard:\n{}",
            case.name,
            case.expected,
            heard.join("\n")
        )
    })
}

/// Sends a message once more, whose outcome was seen before. It may be known yet,
/// and then get no new answer.
pub(crate) fn run_again(world: &mut impl World, case: &Case) -> Result<(), String> {
    let heard = world.tell(case.source, &case.bytes, 0);
    match (&case.expected, heard.as_slice()) {
        (_, []) => Ok(()),
        (Expected::Status(code), [answer]) => {
            is_answer(case, answer, *code)?;
            confirm(world, case, answer)
        }
        (Expected::Refused(_), [answer]) => {
            is_answer(case, answer, 603)?;
            confirm(world, case, answer)
        }
        (_, [first, ..]) => Err(format!("{}: heard {}", case.name, first.show())),
    }
}

fn outcome(world: &mut impl World, case: &Case, heard: &[Heard]) -> Result<(), String> {
    match (&case.expected, heard) {
        (Expected::Silence, []) => Ok(()),
        (Expected::Status(code), [answer]) => {
            is_answer(case, answer, *code)?;
            confirm(world, case, answer)
        }
        (Expected::Refused(reason), [answer]) => {
            is_answer(case, answer, 603)?;
            let wanted = format!("Q.850;cause=21;text=\"{reason}\"");
            let found = text::values(&answer.bytes, "Reason");
            same("the reason", &found, &vec![wanted.as_bytes()])?;
            confirm(world, case, answer)
        }
        (Expected::Judged(number), [one, two]) => {
            // They go to different sockets, so their order may be lost.
            let (invite, trying) = told_apart(one, two, b"INVITE ");
            is_answer(case, trying, 100)?;
            is_carried(world, case, invite, number)?;
            turned_away(world, case, invite)
        }
        _ => Err(format!("{} packets", heard.len())),
    }
}

/// An answer to the case's message, at its place, with nothing in it that is
/// not the message's own or Tollgate's.
fn is_answer(case: &Case, answer: &Heard, code: u16) -> Result<(), String> {
    same("the place", &answer.at, &case.answer_at)?;
    let bytes = &answer.bytes;
    let message = scan(Bytes::copy_from_slice(bytes)).map_err(|fault| fault.to_string())?;
    same("the code", &message.status(), &Some(code))?;
    same("a fault in the answer", &message.fault(), &None)?;
    only(bytes, &OF_ANSWERS)?;
    same("the body", &message.body(), &b"".as_slice())?;
    for name in ["Call-ID", "CSeq", "From"] {
        let (theirs, ours) = (text::values(&case.bytes, name), text::values(bytes, name));
        let first: Vec<_> = theirs.first().into_iter().map(|it| squeezed(it)).collect();
        let ours: Vec<_> = ours.into_iter().map(squeezed).collect();
        // What stands behind a fault that ends the reading was not read.
        if code != 400 || !ours.is_empty() {
            same(name, &ours, &first)?;
        }
    }
    let via = |bytes: &[u8]| text::values(bytes, "Via").len();
    same("Vias", &via(bytes), &via(&case.bytes))?;
    let to = text::values(bytes, "To");
    let untagged = |to: &[u8]| !to.is_empty() && text::find(to, b"tag").is_none();
    if code > 100 && to.into_iter().any(untagged) {
        return Err("no To tag".into());
    }
    let must_have = match code {
        405 | 501 => "Allow",
        420 => "Unsupported",
        422 => "Min-SE",
        _ => "Via",
    };
    if text::values(bytes, must_have).is_empty() {
        return Err(format!("no {must_have}"));
    }
    if bytes.len() > case.bytes.len() + 400 {
        return Err(format!("{} bytes to {}", bytes.len(), case.bytes.len()));
    }
    Ok(())
}

/// The INVITE on the other side of a call that was let through.
fn is_carried(world: &impl World, case: &Case, invite: &Heard, number: &str) -> Result<(), String> {
    let places = world.places();
    let outbound = case.source.ip() != places.carrier().ip();
    let to = if outbound {
        places.carrier()
    } else {
        places.pbx()
    };
    same("the place", &invite.at, &to)?;
    let message = sound(&invite.bytes)?;
    let StartLine::Request { uri, .. } = message.start() else {
        return Err("not a request".into());
    };
    let called = match Uri::parse(uri) {
        Ok(Uri::Sip(sip)) => sip.user.unwrap_or_default(),
        _ => uri,
    };
    same("the number", &called, &number.as_bytes())?;
    only(&invite.bytes, &OF_INVITES)?;
    let received = scan(Bytes::copy_from_slice(&case.bytes)).unwrap();
    same("the body", &message.body(), &received.body())?;
    let call_id = text::values(&case.bytes, "Call-ID");
    let head = text::head(&invite.bytes);
    let copied = call_id.first().and_then(|id| text::find(head, id));
    same("a Call-ID of the other side's", &copied, &None)
}

/// A message that has every part it must have, no fault, and nothing in its head
/// that is not for the eye.
pub(crate) fn sound(bytes: &[u8]) -> Result<Message, String> {
    let message = scan(Bytes::copy_from_slice(bytes)).map_err(|fault| fault.to_string())?;
    same("a fault", &message.fault(), &None)?;
    Essentials::parse(&message).map_err(|fault| fault.to_string())?;
    let hidden = |byte: &&u8| byte.is_ascii_control() && !b"\r\n\t".contains(byte);
    same(
        "a control byte",
        &text::head(bytes).iter().find(hidden),
        &None,
    )?;
    Ok(message)
}

/// The callee is busy: the caller is told, and nothing is left.
fn turned_away(world: &mut impl World, case: &Case, invite: &Heard) -> Result<(), String> {
    let heard = world.tell(invite.at, &text::busy(&invite.bytes), 2);
    let show = || heard.iter().map(Heard::show).collect::<Vec<_>>().join("\n");
    let [one, two] = heard.as_slice() else {
        return Err(format!("after 486: {}", show()));
    };
    let (ack, answer) = told_apart(one, two, b"ACK ");
    same("where the ACK goes", &ack.at, &invite.at)?;
    sound(&ack.bytes).map_err(|fault| format!("{fault}: {}", show()))?;
    // After that the phone system tries another way, for an emergency call.
    let emergency = ["110", "118", "119"].iter().any(|number| {
        invite
            .bytes
            .starts_with(format!("INVITE sip:{number}@").as_bytes())
    });
    is_answer(case, answer, if emergency { 503 } else { 486 })?;
    confirm(world, case, answer)
}

/// The one that starts so, then the other.
fn told_apart<'h>(one: &'h Heard, two: &'h Heard, start: &[u8]) -> (&'h Heard, &'h Heard) {
    if one.bytes.starts_with(start) {
        (one, two)
    } else {
        (two, one)
    }
}

/// Acknowledges a final answer to an INVITE, as its sender must.
fn confirm(world: &mut impl World, case: &Case, answer: &Heard) -> Result<(), String> {
    if !case.bytes.starts_with(b"INVITE ") {
        return Ok(());
    }
    let heard = world.tell(case.source, &text::ack(&case.bytes, &answer.bytes), 0);
    match heard.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(format!("an ACK was answered: {}", first.show())),
    }
}

/// Every header field has one of these names.
pub(crate) fn only(bytes: &[u8], names: &[&str]) -> Result<(), String> {
    for field in text::fields(bytes) {
        let name = text::name_of(field);
        if !names.iter().any(|known| known.as_bytes() == name) {
            return Err(format!("a field {:?}", String::from_utf8_lossy(field)));
        }
    }
    Ok(())
}

/// White space and folds as one space, none around separators.
fn squeezed(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| byte.is_ascii_whitespace());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("{what} is {found:?}, not {wanted:?}"))
    }
}
