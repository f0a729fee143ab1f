//! Messages out of a byte stream (RFC 3261 §18.3), by the same scanner that reads
//! datagrams. Where a message's end is not certain, the stream is over: guessing
//! would let a second message hide in the body of the first.

use super::error::{Fault, FaultKind, Unreadable};
use super::head::Head;
use super::message::Message;
use super::scan::MAX_HEAD;
use bytes::{Buf as _, BytesMut};
use std::fmt;

/// The longest body taken from a stream, in bytes. A longer Content-Length ends the
/// stream before anything is allocated for it.
pub const MAX_BODY: usize = 65_535;

/// Cuts one stream into messages. Holds at most [`MAX_HEAD`] and [`MAX_BODY`] bytes,
/// and what was pushed last, if [`next`](Self::next) is called until it wants more.
#[derive(Debug, Default)]
pub struct Framer {
    buf: BytesMut,
    /// How far the end of the head was looked for in vain.
    searched: usize,
    /// How long the message at the start is, once its head is there.
    need: usize,
}

/// What was in the stream.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation a message"
)]
pub enum Frame {
    /// A whole message; it may have a fault that leaves its end certain.
    Message(Message),
    /// A double CRLF between messages, which the peer wants answered with one CRLF
    /// (RFC 5626 §3.5.1).
    KeepAlive,
}

/// Why a stream cannot be read on: close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A fault that leaves the message's end uncertain, or a limit passed.
    Fault(Fault),
    /// Something that is no SIP message.
    Unreadable(Unreadable),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Unreadable(unreadable) => unreadable.fmt(f),
        }
    }
}

impl std::error::Error for Broken {}

impl Framer {
    /// A framer at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that were received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// How many bytes wait for the rest of their message.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buf.len()
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !matches!(self.buf.first(), None | Some(b'\r' | b'\n'))
    }

    /// Takes a single CRLF between messages, if that is all that is there: the answer
    /// to a keep-alive of ours (RFC 5626 §3.5.1).
    pub fn take_line_end(&mut self) -> bool {
        let is_all = self.buf.as_ref() == b"\r\n";
        if is_all {
            self.buf.clear();
        }
        is_all
    }

    /// The next message or keep-alive; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`Broken`]: no message behind this point can be trusted.
    #[expect(clippy::should_implement_trait, reason = "it goes on after a `None`")]
    pub fn next(&mut self) -> Result<Option<Frame>, Broken> {
        if self.need == 0 {
            if let Some(frame) = self.between_messages()? {
                return Ok(frame);
            }
            if !self.find_end_of_head()? {
                return Ok(None);
            }
        }
        if self.need > self.buf.len() {
            return Ok(None);
        }
        let head = self.head()?;
        let end = self.need;
        self.need = 0;
        let bytes = self.buf.split_to(end).freeze();
        Ok(Some(Frame::Message(Message::new(bytes, head, end))))
    }

    /// Reads over line ends in front of a message. `Some` if that settles it: a
    /// keep-alive, or too little there to tell.
    fn between_messages(&mut self) -> Result<Option<Option<Frame>>, Broken> {
        loop {
            match self.buf.as_ref() {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.buf.advance(4);
                    return Ok(Some(Some(Frame::KeepAlive)));
                }
                [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Ok(Some(None)),
                [b'\r', b'\n', ..] => self.buf.advance(2),
                [b'\r' | b'\n', ..] => return Err(broken(FaultKind::BareLineBreak)),
                _ => return Ok(None),
            }
        }
    }

    /// Looks for the end of the head, and learns from it how long the message is.
    fn find_end_of_head(&mut self) -> Result<bool, Broken> {
        let from = self.searched.saturating_sub(3);
        let tail = self.buf.get(from..).unwrap_or_default();
        let Some(found) = memchr::memmem::find(tail, b"\r\n\r\n") else {
            self.searched = self.buf.len();
            return match self.searched > MAX_HEAD {
                true => Err(broken(FaultKind::HeadTooLong)),
                false => Ok(false),
            };
        };
        self.searched = 0;
        let end = from.saturating_add(found).saturating_add(4);
        let head = self.head()?;
        if head.end() != end {
            return Err(broken(FaultKind::NoEndOfHead));
        }
        let length = head
            .content_length
            .ok_or(broken(FaultKind::NoContentLength))?;
        match usize::try_from(length) {
            Ok(length) if length <= MAX_BODY => self.need = end.saturating_add(length),
            _ => return Err(broken(FaultKind::BodyTooLong)),
        }
        Ok(true)
    }

    /// The head at the start of the buffer, if its end is certain.
    fn head(&self) -> Result<Head, Broken> {
        let head = Head::read(&self.buf).map_err(Broken::Unreadable)?;
        match head.uncertain {
            Some(fault) => Err(Broken::Fault(fault)),
            None => Ok(head),
        }
    }
}

/// A fault of the stream at the message's start.
fn broken(kind: FaultKind) -> Broken {
    Broken::Fault(Fault::new(kind, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a framer makes of a stream that arrives in these pieces.
    fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<Broken>) {
        let mut framer = Framer::new();
        let mut seen = Vec::new();
        for piece in pieces {
            framer.push(piece);
            loop {
                match framer.next() {
                    Ok(Some(Frame::Message(message))) => {
                        let body = message.body().escape_ascii();
                        seen.push(format!("{} {body}", message.call_id().escape_ascii()));
                    }
                    Ok(Some(Frame::KeepAlive)) => seen.push("keep-alive".to_owned()),
                    Ok(None) => break,
                    Err(broken) => return (seen, Some(broken)),
                }
            }
        }
        (seen, None)
    }

    fn whole(stream: &str) -> (Vec<String>, Option<FaultKind>) {
        let stream = stream.replace('\n', "\r\n");
        let (seen, broken) = frames([stream.as_bytes()]);
        let bytewise = frames(stream.as_bytes().chunks(1));
        assert_eq!(bytewise, (seen.clone(), broken), "{stream}");
        let kind = broken.map(|broken| match broken {
            Broken::Fault(fault) => fault.kind,
            Broken::Unreadable(unreadable) => panic!("{unreadable}"),
        });
        (seen, kind)
    }

    const HEAD: &str = "OPTIONS sip:a SIP/2.0\n";

    #[test]
    fn messages_and_keep_alives_in_a_row() {
        let (seen, broken) = whole(&format!(
            "\n{HEAD}i: 1\nl : 3\n\nabc\n\n\n{HEAD}i: 2\nContent-Length  :\n 0005\n\n\n\n!\n"
        ));
        assert_eq!(broken, None);
        assert_eq!(seen, ["1 abc", "keep-alive", "2 \\r\\n\\r\\n!"]);
    }

    #[test]
    fn the_answer_to_a_keep_alive_begins_no_message() {
        let mut framer = Framer::new();
        framer.push(b"\r\n");
        assert!(matches!(framer.next(), Ok(None)));
        assert!(!framer.is_inside() && framer.take_line_end());
        assert!(!framer.take_line_end());
        framer.push(HEAD.as_bytes());
        assert!(matches!(framer.next(), Ok(None)));
        assert!(framer.is_inside() && !framer.take_line_end());
    }

    #[test]
    fn an_inner_message_is_never_seen() {
        let inner = format!("{HEAD}i: inner\nl: 0\n\n");
        for (length, fault) in [
            ("l: 4294967328", FaultKind::ContentLength),
            ("l: 4294967295", FaultKind::BodyTooLong),
            ("l: 65536", FaultKind::BodyTooLong),
            ("l: -1", FaultKind::ContentLength),
            ("l: 0x0", FaultKind::ContentLength),
            ("l: 0, 0", FaultKind::ContentLength),
            ("l:", FaultKind::ContentLength),
            ("l: 0\nl: 9", FaultKind::ContentLengthConflict),
            ("f: a\nf: b\nl: 0\nl: 9", FaultKind::ContentLengthConflict),
            ("l\u{1}: 0", FaultKind::HeaderName),
            ("X-A: b", FaultKind::NoContentLength),
        ] {
            let found = whole(&format!("{HEAD}i: 1\n{length}\n\n{inner}"));
            assert_eq!(found, (vec![], Some(fault)), "{length}");
        }
    }

    #[test]
    fn faults_within_a_certain_message_pass() {
        let found = whole(&format!(
            "{HEAD}i: 1\ni: 2\nl: 1\nl: 1\n\nx{HEAD}i: 3\nl: 0\n\n"
        ));
        assert_eq!(found, (vec!["1 x".to_owned(), "3 ".to_owned()], None));
    }

    #[test]
    fn an_endless_head_is_given_up() {
        let mut framer = Framer::new();
        framer.push(HEAD.trim_end().as_bytes());
        while framer.buffered() <= MAX_HEAD {
            assert!(matches!(framer.next(), Ok(None)));
            framer.push(&[b'x'; 1_000]);
        }
        let broken = framer.next().unwrap_err();
        assert_eq!(broken, super::broken(FaultKind::HeadTooLong));
    }
}
