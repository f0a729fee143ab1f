//! One leg: the dialog Tollgate keeps with one side of a call (RFC 3261 §12).

use std::time::Duration;

use smallvec::SmallVec;

use crate::base::flow::Flow;
use crate::base::limits::{ROUTE_SET_BYTES, TARGET_BYTES};
use crate::base::token::Token;
use crate::base::wheel::TimerId;
use crate::policy::Answered;
use crate::record;
use crate::record::fold::Carried;
use crate::sip::fields::MethodSet;
use crate::sip::header::HeaderId;
use crate::sip::line::Method;

/// The texts of a dialog in one box, since a live call holds two of them.
#[derive(Debug)]
pub(super) struct Texts<const N: usize> {
    bytes: Box<[u8]>,
    ends: [u16; N],
}

impl<const N: usize> Texts<N> {
    /// Copies `parts`. What would end beyond 65,535 bytes is cut; the scanner
    /// admits no message head that long.
    pub(super) fn new(parts: [&[u8]; N]) -> Self {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        let mut ends = [0; N];
        for (part, end) in parts.iter().zip(&mut ends) {
            let room = usize::from(u16::MAX).saturating_sub(bytes.len());
            bytes.extend_from_slice(part.get(..room).unwrap_or(part));
            *end = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        }
        Self {
            bytes: bytes.into_boxed_slice(),
            ends,
        }
    }

    pub(super) fn at(&self, index: usize) -> &[u8] {
        let end = self.ends.get(index).copied().map_or(0, usize::from);
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().map_or(0, usize::from),
            None => 0,
        };
        self.bytes.get(start..end).unwrap_or_default()
    }

    pub(super) fn replace(&mut self, index: usize, text: &[u8]) {
        if self.at(index) == text {
            return;
        }
        let parts = std::array::from_fn(|at| if at == index { text } else { self.at(at) });
        *self = Self::new(parts);
    }
}

/// What the far end of a dialog told us of itself: its tag, its remote target
/// (Contact) and the route set to it (RFC 3261 §12.1).
#[derive(Debug)]
pub(super) struct Far(Texts<3>);

impl Default for Far {
    fn default() -> Self {
        Self::new(b"", b"", b"")
    }
}

impl Far {
    /// What is too long to stand in every request counts as not said.
    pub(super) fn new(tag: &[u8], target: &[u8], routes: &[u8]) -> Self {
        let target = at_most(TARGET_BYTES, target);
        let routes = at_most(ROUTE_SET_BYTES, routes);
        Self(Texts::new([tag, target, routes]))
    }

    pub(super) fn tag(&self) -> &[u8] {
        self.0.at(0)
    }

    /// The URI that requests to the far end are addressed to.
    pub(super) fn target(&self) -> &[u8] {
        self.0.at(1)
    }

    /// The Route header's value, in sending order; empty without a route set.
    pub(super) fn routes(&self) -> &[u8] {
        self.0.at(2)
    }

    /// A target refresh (RFC 3261 §12.2). Says whether it changed anything.
    pub(super) fn refresh_target(&mut self, target: &[u8]) -> bool {
        let fits = (1..=TARGET_BYTES).contains(&target.len());
        let changed = fits && self.target() != target;
        if changed {
            self.0.replace(1, target);
        }
        changed
    }
}

/// A text of no more than `most` bytes, or none.
fn at_most(most: usize, text: &[u8]) -> &[u8] {
    if text.len() <= most { text } else { b"" }
}

/// How far a leg has come. All of it false and zero: nothing is owed to its
/// peer any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The INVITE that opens the leg has no final response yet.
    pub(super) pending: bool,
    /// The dialog is confirmed and no BYE was sent or received.
    pub(super) up: bool,
    /// BYEs of ours that have no final response yet.
    pub(super) byes: u8,
}

impl Progress {
    /// The peer was finally answered, or has finally answered.
    pub(super) fn is_closed(self) -> bool {
        self == Self::default()
    }
}

/// A leg's session timer (RFC 4028).
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    /// The agreed session interval.
    pub(super) interval: Duration,
    /// Tollgate sends the refreshes on this leg.
    pub(super) ours: bool,
    /// Runs to the next refresh of ours, or to the end of a session that the
    /// peer did not refresh.
    pub(super) timer: TimerId,
    /// The last refresh of ours was cut off.
    pub(super) cut: bool,
}

impl Session {
    /// The timer as the journal keeps it.
    pub(super) fn as_record(self) -> record::Session {
        record::Session {
            seconds: self.seconds(),
            ours: self.ours,
        }
    }
}

/// Tollgate's end of a dialog with one side of a call, and what it knows of
/// the other end.
#[derive(Debug)]
pub(super) struct Leg {
    /// Where the peer's messages come from, and where ours go by default.
    pub(super) flow: Flow,
    /// Our tag. Never reused, so that it alone finds the leg.
    pub(super) local_tag: Token,
    /// Call-ID, our URI, the peer's URI: the dialog's fixed texts.
    names: Texts<3>,
    pub(super) far: Far,
    /// The CSeq number of our last request.
    pub(super) local_cseq: u32,
    /// The CSeq number of the peer's last request, once there was one.
    pub(super) remote_cseq: Option<u32>,
    pub(super) progress: Progress,
    /// The methods the peer said it takes (Allow), if it said.
    pub(super) allow: Option<MethodSet>,
    pub(super) session: Option<Session>,
    /// The last session description sent on this leg. Kept only where session
    /// refreshes are ours and the peer takes no UPDATE.
    pub(super) description: Option<Box<[u8]>>,
    /// The peer's last request but INVITEs that an earlier life carried to the other leg.
    pub(super) carried: Option<Box<Carried>>,
    /// What its peer was answered to challenges, if there were any.
    pub(super) proofs: Option<Box<Proofs>>,
}

/// What proves to a carrier that calls may leave through it.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    pub(super) answered: Answered,
    /// Those of the last INVITE, for its ACK (RFC 3261 §22.1).
    pub(super) of_invite: SmallVec<[(HeaderId, Vec<u8>); 1]>,
}

impl Leg {
    pub(super) fn new(
        flow: Flow,
        local_tag: Token,
        call_id: &[u8],
        local_uri: &[u8],
        remote_uri: &[u8],
    ) -> Self {
        Self {
            flow,
            local_tag,
            names: Texts::new([call_id, local_uri, remote_uri]),
            far: Far::default(),
            local_cseq: 0,
            remote_cseq: None,
            progress: Progress {
                pending: true,
                up: false,
                byes: 0,
            },
            allow: None,
            session: None,
            description: None,
            carried: None,
            proofs: None,
        }
    }

    pub(super) fn call_id(&self) -> &[u8] {
        self.names.at(0)
    }

    pub(super) fn local_uri(&self) -> &[u8] {
        self.names.at(1)
    }

    pub(super) fn remote_uri(&self) -> &[u8] {
        self.names.at(2)
    }

    /// The leg as the journal keeps it; `tag` is our tag's text.
    pub(super) fn as_record<'a>(&'a self, tag: &'a [u8]) -> record::Leg<'a> {
        record::Leg {
            flow: self.flow,
            call_id: self.call_id(),
            local_uri: self.local_uri(),
            local_tag: tag,
            remote_uri: self.remote_uri(),
            remote_tag: self.far.tag(),
            target: match self.far.target() {
                target if target == self.remote_uri() => b"",
                target => target,
            },
            routes: self.far.routes(),
            local_cseq: self.local_cseq,
            remote_cseq: self.remote_cseq.unwrap_or(0),
            allow: self.allow.map(MethodSet::bits),
            session: self
                .session
                .map_or(record::Session::NONE, Session::as_record),
        }
    }

    /// Whether the peer said that it takes this method.
    pub(super) fn takes(&self, method: Method) -> bool {
        self.allow.is_some_and(|allow| allow.contains(method))
    }

    /// Counts a request of ours. RFC 3261 §12.2.1.1: strictly by one.
    pub(super) fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.local_cseq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_parts_apart() {
        let mut texts = Texts::new([b"one".as_slice(), b"", b"three"]);
        assert_eq!(
            (texts.at(0), texts.at(1), texts.at(2)),
            (&b"one"[..], &b""[..], &b"three"[..])
        );
        texts.replace(1, b"two");
        texts.replace(0, b"");
        assert_eq!(
            (texts.at(0), texts.at(1), texts.at(2)),
            (&b""[..], &b"two"[..], &b"three"[..])
        );
        assert_eq!(texts.at(3), b"");
    }

    #[test]
    fn a_target_refresh_says_whether_it_changed_anything() {
        let mut far = Far::new(b"tag", b"sip:a@b", b"");
        assert!(!far.refresh_target(b"sip:a@b"));
        assert!(!far.refresh_target(b""));
        assert!(far.refresh_target(b"sip:c@d"));
        assert_eq!(far.target(), b"sip:c@d");
        assert_eq!(far.tag(), b"tag");
    }
}
