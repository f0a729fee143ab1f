//! Datagrams made from the corpus: cut, with bytes changed, joined. What must come
//! of each is not known, but what must never come of any is.

use bytes::Bytes;
use tollgate::sip::{StartLine, Uri, scan};

use crate::expect::{Case, OF_ANSWERS, OF_INVITES, only, sound};
use crate::text;
use crate::world::{Heard, World};

/// After so many, time passes until nothing is left.
const BATCH: usize = 10_000;

/// The same numbers in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// xorshift64
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}

/// What the characters of SIP's grammar are, and what is none.
const PIECES: [&[u8]; 16] = [
    b"\r\n", b"\n", b"\r", b"\r\n ", b":", b";", b",", b"\"", b"<", b">", b"@", b"%", b"\\", b"\0",
    b"=", b" ",
];

/// One of many changes.
pub(crate) fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(6) {
        0 => bytes.truncate(at),
        1 => {
            let byte = random.byte();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        2 => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
        3 => {
            let end = bytes.len().min(at + random.below(40));
            bytes.drain(at..end);
        }
        4 => {
            let from = random.below(other.len());
            let end = other.len().min(from + random.below(200));
            bytes.splice(at..at, other[from..end].iter().copied());
        }
        _ => {
            let end = bytes.len().min(at + random.below(100));
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
    }
    bytes.truncate(65_507);
}

/// Sends `count` of them, each from who sent the message that it was made from, and
/// calls `rest` now and then. `original` makes the message of a number.
pub(crate) fn do_no_harm<W: World>(
    world: &mut W,
    original: impl Fn(usize) -> Case,
    count: usize,
    mut rest: impl FnMut(&mut W),
) {
    let mut random = Random::new();
    let (mut answers, mut requests) = (0, 0);
    let mut other = original(0);
    for number in 0..count {
        let case = original(number);
        if case.bytes.len() > 3000 {
            continue;
        }
        let mut bytes = case.bytes.clone();
        for _ in 0..=random.below(2) {
            change(&mut bytes, &other.bytes, &mut random);
        }
        for heard in world.tell(case.source, &bytes, 0) {
            match is_harmless(world, &case, &heard) {
                Ok(Sort::Answer) => answers += 1,
                Ok(Sort::Request) => requests += 1,
                Err(fault) => {
                    let sent = bytes.escape_ascii();
                    panic!("{number}, {}: {fault}\n{sent}\n{}", case.name, heard.show());
                }
            }
        }
        if number % BATCH == 0 {
            rest(world);
        }
        if random.below(3) == 0 {
            other = case;
        }
    }
    rest(world);
    println!("{count} generated messages: {answers} answers, {requests} requests");
    assert!(answers > count / 3 && requests > count / 200);
}

/// What a packet is.
enum Sort {
    Answer,
    Request,
}

/// A packet to the sender with nothing but what answers have, or a sound message
/// to the other side; an INVITE that leaves is to a number that may be called.
fn is_harmless(world: &impl World, case: &Case, heard: &Heard) -> Result<Sort, String> {
    let places = world.places();
    let bytes = Bytes::copy_from_slice(&heard.bytes);
    let message = scan(bytes).map_err(|fault| fault.to_string())?;
    let known = [case.source.ip(), places.pbx().ip(), places.carrier().ip()];
    if !known.contains(&heard.at.ip()) {
        return Err("to nobody's address".into());
    }
    let StartLine::Request { uri, .. } = message.start() else {
        only(&heard.bytes, &OF_ANSWERS)?;
        return Ok(Sort::Answer);
    };
    sound(&heard.bytes)?;
    if !heard.bytes.starts_with(b"INVITE ") {
        return Ok(Sort::Request);
    }
    only(&heard.bytes, &OF_INVITES)?;
    if heard.at.ip() != places.carrier().ip() {
        return Ok(Sort::Request);
    }
    let user = match Uri::parse(uri) {
        Ok(Uri::Sip(sip)) => sip.user.unwrap_or_default(),
        _ => uri,
    };
    let emergency: [&[u8]; 3] = [b"110", b"118", b"119"];
    let allowed = user.starts_with(b"+4420") || user.starts_with(b"+81");
    if (allowed || emergency.contains(&user)) && text::body(&heard.bytes) == message.body() {
        Ok(Sort::Request)
    } else {
        Err("a call that nobody allowed".into())
    }
}
